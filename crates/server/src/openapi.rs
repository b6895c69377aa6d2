//! The document of `/openapi.json` (OpenAPI 3.1), made of the routes.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json as value};
use utoipa::openapi::path::{HttpMethod, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder, PathsBuilder, RefOr,
    Response as Answer, ResponsesBuilder,
};

use crate::http::operation::{self, Operation, refusal_schemas};
use crate::http::respond::json;
use crate::http::route::Route;
use crate::node::app::App;

/// Describes these routes, without the address of a server.
pub fn document(routes: impl IntoIterator<Item = Route>) -> Value {
    let mut paths = PathsBuilder::new();
    let mut components = ComponentsBuilder::new()
        .security_scheme(
            "clientBasic",
            scheme(
                HttpAuthScheme::Basic,
                "Client id and secret, each form-encoded first (RFC 6749 section 2.3.1).",
            ),
        )
        .security_scheme(
            "bearer",
            scheme(
                HttpAuthScheme::Bearer,
                "An ID token or an access token at data paths, an access token at /userinfo.",
            ),
        );
    for (name, schema) in refusal_schemas() {
        components = components.schema(name, schema);
    }
    for route in routes {
        let mut item = PathItem::default();
        for described in route.described() {
            let Operation { method, operation, answers, schemas, .. } = described;
            for (name, schema) in schemas {
                components = components.schema(name, schema);
            }
            let answers = answers
                .into_iter()
                .map(|(status, answer)| (status.to_string(), RefOr::<Answer>::T(answer)));
            let operation = operation
                .operation_id(Some(operation_id(&method, route.path)))
                .responses(ResponsesBuilder::new().responses_from_iter(answers).build());
            item.merge_operations(PathItem::new(method, operation));
        }
        paths = paths.path(route.path, item);
    }
    let mut license = LicenseBuilder::new().name("Apache-2.0 OR MIT").build();
    license.identifier = Some("Apache-2.0 OR MIT".to_owned());
    let info = InfoBuilder::new()
        .title("Counterfoil")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("OAuth 2.0 and OpenID Connect for account data: authorization code flow with PKCE, single-use refresh tokens, revocation that takes effect at once. Errors are spelled in the dialect of the network or of the RFCs; see the project's documentation."))
        .license(Some(license))
        .build();
    let document =
        OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build();
    serde_json::to_value(document).unwrap_or_default()
}

/// What the document says of itself.
pub fn describe() -> Vec<Operation> {
    let document = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("openapi", ObjectBuilder::new().schema_type(Type::String))
        .required("openapi");
    vec![operation::get("This description").json_like(
        200,
        "OpenAPI 3.1.",
        document,
        value!({ "openapi": "3.1.0" }),
    )]
}

/// Answers with a document, which names this server.
pub fn answer(app: &App, document: &Value) -> Response {
    let mut document = document.clone();
    document["servers"] = value!([{ "url": app.settings.issuer }]);
    json(StatusCode::OK, &document)
}

fn scheme(scheme: HttpAuthScheme, description: &str) -> SecurityScheme {
    let mut http = Http::new(scheme);
    http.description = Some(description.to_owned());
    SecurityScheme::Http(http)
}

/// Method and path in camel case: no two operations share them.
fn operation_id(method: &HttpMethod, path: &str) -> String {
    let method = match method {
        HttpMethod::Get => "get",
        HttpMethod::Delete => "delete",
        _ => "post",
    };
    let mut id = method.to_owned();
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(rest);
    }
    id
}
