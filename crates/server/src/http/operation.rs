//! What `/openapi.json` says of one method of a route. Each handler's module describes its own.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const HTML: &str = "text/html";

/// A parameter of a request, or a field of a form.
pub struct Field {
    name: &'static str,
    is_required: bool,
    description: &'static str,
    schema: Object,
}

/// A text of up to `longest` characters that a request may go without.
pub fn optional(name: &'static str, longest: usize, description: &'static str) -> Field {
    let schema = ObjectBuilder::new().schema_type(Type::String).max_length(Some(longest)).build();
    Field { name, is_required: false, description, schema }
}

/// A text of up to `longest` characters that a request must have.
pub fn required(name: &'static str, longest: usize, description: &'static str) -> Field {
    Field { is_required: true, ..optional(name, longest, description) }
}

impl Field {
    /// The same, which is one of these words.
    pub fn one_of(mut self, words: &[&str]) -> Self {
        self.schema.enum_values = Some(words.iter().map(|word| Value::from(*word)).collect());
        self.schema.max_length = None;
        self
    }

    /// The same, with something that could be sent.
    pub fn such_as(mut self, example: &str) -> Self {
        self.schema.examples = vec![Value::from(example)];
        self
    }

    /// The same, of at least so many characters.
    pub fn of_at_least(mut self, shortest: usize) -> Self {
        self.schema.min_length = Some(shortest);
        self
    }
}

/// One method of a route, as described.
pub struct Operation {
    /// The method.
    pub(crate) method: HttpMethod,
    pub(crate) operation: OperationBuilder,
    pub(crate) answers: BTreeMap<u16, Response>,
    /// Refusals, in the shape of the route.
    pub(crate) refusals: BTreeMap<u16, &'static str>,
    /// The schemas that answers refer to.
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    /// Whether it reads a form.
    pub(crate) has_form: bool,
}

/// `GET`.
pub fn get(summary: &'static str) -> Operation {
    Operation::new(HttpMethod::Get, summary)
}

/// `POST`.
pub fn post(summary: &'static str) -> Operation {
    Operation::new(HttpMethod::Post, summary)
}

/// `DELETE`.
pub fn delete(summary: &'static str) -> Operation {
    Operation::new(HttpMethod::Delete, summary)
}

impl Operation {
    fn new(method: HttpMethod, summary: &'static str) -> Self {
        Self {
            method,
            operation: OperationBuilder::new().summary(Some(summary)),
            answers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            schemas: Vec::new(),
            has_form: false,
        }
    }

    /// A client proves itself, in the header or in the form.
    pub fn by_client(mut self) -> Self {
        self.operation = self
            .operation
            .security(SecurityRequirement::new("clientBasic", [""; 0]))
            .security(SecurityRequirement::default());
        self
    }

    /// A bearer token is needed.
    pub fn by_bearer(mut self) -> Self {
        self.operation = self.operation.security(SecurityRequirement::new("bearer", [""; 0]));
        self
    }

    /// A bearer token is needed, which may also be in the form.
    pub fn by_bearer_or_form(self) -> Self {
        let mut described = self.by_bearer();
        described.operation = described.operation.security(SecurityRequirement::default());
        described
    }

    fn parameters(mut self, place: ParameterIn, fields: impl IntoIterator<Item = Field>) -> Self {
        for Field { name, is_required, description, schema } in fields {
            let needed = if is_required { Required::True } else { Required::False };
            self.operation = self.operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(place.clone())
                    .required(needed)
                    .description(Some(description))
                    .schema(Some(schema)),
            );
        }
        self
    }

    /// Parameters of the query.
    pub fn query(self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.parameters(ParameterIn::Query, fields)
    }

    /// Parts of the path.
    pub fn path(self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.parameters(ParameterIn::Path, fields)
    }

    /// Headers.
    pub fn headers(self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.parameters(ParameterIn::Header, fields)
    }

    /// The fields of the form that it takes.
    pub fn form(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        let mut form = ObjectBuilder::new().schema_type(Type::Object);
        let mut is_required = Required::False;
        for Field { name, is_required: needed, description, mut schema } in fields {
            schema.description = Some(description.to_owned());
            form = form.property(name, schema);
            if needed {
                form = form.required(name);
                is_required = Required::True;
            }
        }
        let content = ContentBuilder::new().schema(Some(form)).build();
        let body = RequestBodyBuilder::new().content(FORM, content).required(Some(is_required));
        self.operation = self.operation.request_body(Some(body.build()));
        self.has_form = true;
        self
    }

    fn answer(
        mut self,
        status: u16,
        description: &str,
        contents: Vec<(&str, ContentBuilder)>,
    ) -> Self {
        let answer = ResponseBuilder::new().description(description);
        let answer = contents
            .into_iter()
            .fold(answer, |answer, (kind, content)| answer.content(kind, content.build()));
        self.answers.insert(status, answer.build());
        self
    }

    /// An answer without a body.
    pub fn empty(self, status: u16, description: &str) -> Self {
        self.answer(status, description, Vec::new())
    }

    /// JSON of a type of ours, with an example.
    pub fn json<T: ToSchema>(mut self, status: u16, description: &str, example: Value) -> Self {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(T::name())))
            .example(Some(example));
        self.answer(status, description, vec![(JSON, content)])
    }

    /// JSON that no type of ours stands for, with an example.
    pub fn json_like(
        self,
        status: u16,
        description: &str,
        schema: ObjectBuilder,
        example: Value,
    ) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example));
        self.answer(status, description, vec![(JSON, content)])
    }

    /// A page.
    pub fn page(self, status: u16, description: &str) -> Self {
        self.text(status, HTML, description)
    }

    /// Text of some other type.
    pub fn text(self, status: u16, content_type: &str, description: &str) -> Self {
        self.answer(status, description, vec![(content_type, text())])
    }

    /// The same answer as text of a further type.
    pub fn or_text(mut self, status: u16, content_type: &str) -> Self {
        if let Some(answer) = self.answers.get_mut(&status) {
            answer.content.insert(content_type.to_owned(), text().build().into());
        }
        self
    }

    /// A refusal, in the shape of the route.
    pub fn refusal(mut self, status: u16, description: &'static str) -> Self {
        self.refusals.insert(status, description);
        self
    }
}

fn text() -> ContentBuilder {
    ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String)))
}

/// A refusal as the routes of a shape answer it; of both shapes where it goes by the request.
pub(crate) fn refusal(shape: Option<super::shape::Shape>, description: &str) -> Response {
    use super::shape::Shape;
    let json = |name: &str| (JSON, ContentBuilder::new().schema(Some(Ref::from_schema_name(name))));
    let contents = match shape {
        Some(Shape::OAuth) => vec![json("OAuthError")],
        Some(Shape::Fdx) => vec![json("FdxError")],
        Some(Shape::Page) => vec![(HTML, text())],
        None => vec![json("OAuthError"), (HTML, text())],
    };
    let answer = ResponseBuilder::new().description(description);
    contents
        .into_iter()
        .fold(answer, |answer, (kind, content)| answer.content(kind, content.build()))
        .build()
}

/// The schemas of refusals.
pub(crate) fn refusal_schemas() -> Vec<(String, RefOr<Schema>)> {
    let string = || ObjectBuilder::new().schema_type(Type::String);
    let oauth = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("error", string())
        .property("error_description", string())
        .required("error")
        .examples([serde_json::json!({ "error": "invalid_request" })]);
    vec![
        ("OAuthError".to_owned(), oauth.into()),
        ("FdxError".to_owned(), super::refused::FdxBody::schema()),
    ]
}
