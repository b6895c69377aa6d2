//! `GET /accounts`, also `/accounts/{version}/{provider}`: the accounts that the customer consented
//! to, and no others.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::fdx::FdxError;
use counterfoil_core::form::Form;
use counterfoil_store::Account;
use serde_json::json as value;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

use crate::http::observe::with_log_context;
use crate::http::operation::{self, Operation, optional, required};
use crate::http::refused::Refused;
use crate::http::respond::json_bytes;
use crate::node::app::App;
use crate::tokens::bearer::{AcceptedTokens, NoBearer, Resource, check_header};

/// The major version of the network's paths.
const VERSION: &str = "v2";
const RESOURCE: Resource =
    Resource { path: "/accounts", is_data: true, accepts: AcceptedTokens::Either };

/// `GET /accounts`.
///
/// # Errors
/// As FDX words them.
pub async fn accounts(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    list(&app, request.headers(), request.uri(), None).await
}

/// `GET /accounts/{version}/{provider}`.
///
/// # Errors
/// As FDX words them.
pub async fn accounts_at(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
    request: Request,
) -> Result<Response, Refused> {
    match &path {
        Ok(Path((version, provider))) => {
            list(&app, request.headers(), request.uri(), Some((version, provider))).await
        }
        Err(_) => Err(Refused::fdx(FdxError::InvalidInput, None, "the path is not UTF-8")),
    }
}

async fn list(
    app: &App,
    headers: &HeaderMap,
    uri: &Uri,
    path: Option<(&str, &str)>,
) -> Result<Response, Refused> {
    let now = app.clock.now();
    let bearer = check_header(app, RESOURCE, headers, now).await.map_err(NoBearer::at_data)?;
    let terms = &bearer.terms;
    let refuse =
        |error, reason: &str| Refused::fdx(error, None, reason).of(None, Some(terms.grant));
    if let Some((version, provider)) = path {
        if version != VERSION {
            return Err(refuse(FdxError::VersionNotSupported, "there is no such version"));
        }
        if provider != terms.customer.provider {
            return Err(refuse(FdxError::Forbidden, "the provider in the path is not the token's"));
        }
    }
    let query = Form::parse_oauth(uri.query().unwrap_or_default().as_bytes())
        .map_err(|error| refuse(FdxError::InvalidInput, &error.to_string()))?;
    let asked: Option<Vec<&str>> = query.get("accountIds").map(|ids| ids.split(',').collect());
    if let Some(asked) = &asked
        && !asked.iter().all(|id| terms.accounts.iter().any(|consented| consented == id))
    {
        return Err(refuse(
            FdxError::AccountNotFound,
            "an account that was asked for is not in the consent",
        ));
    }
    let directory = app.store.accounts_behind(terms).await.map_err(Refused::unavailable_fdx)?;
    let shown = |id: &str| match &asked {
        Some(asked) => asked.contains(&id),
        None => terms.accounts.iter().any(|consented| consented == id),
    };
    if asked.as_ref().is_some_and(|asked| {
        asked.iter().any(|id| !directory.iter().any(|account| account.id == *id))
    }) {
        return Err(refuse(
            FdxError::AccountNotFound,
            "an account that was asked for is not there any more",
        ));
    }
    let body = body(directory.iter().filter(|account| shown(&account.id)));
    Ok(with_log_context(json_bytes(StatusCode::OK, body.into_bytes()), &terms.client, terms.grant))
}

/// The entities were checked to be JSON when they were added, so they are passed through unchanged.
fn body<'a>(accounts: impl Iterator<Item = &'a Account> + Clone) -> String {
    let length: usize = accounts.clone().map(|account| account.entity.len() + 1).sum();
    let mut body = String::with_capacity(length + 16);
    body.push_str(r#"{"accounts":["#);
    for (n, account) in accounts.enumerate() {
        body.push_str(if n == 0 { "" } else { "," });
        body.push_str(&account.entity);
    }
    body.push_str("]}");
    body
}

fn described(operation: Operation) -> Operation {
    let entities = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::Object));
    let accounts = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("accounts", entities)
        .required("accounts");
    let example = value!({ "accounts": [{ "depositAccount": { "accountId": "a1" } }] });
    operation
        .by_bearer()
        .query([optional(
            "accountIds",
            2048,
            "Ids separated by commas: these accounts alone. One outside the consent makes the answer 404, 701.",
        )])
        .headers([
            optional(
                "x-fapi-interaction-id",
                64,
                "Names the request; echoed on the answer, and made up where none came.",
            ),
            optional("FDX-API-Actor-Type", 8, "Who waits for the data. Recorded.")
                .one_of(&["USER", "BATCH"]),
            optional("x-akoya-interaction-type", 8, "The same in the network's words. Recorded.")
                .one_of(&["user", "batch"]),
        ])
        .json_like(200, "The accounts that the customer consented to.", accounts, example)
        .refusal(400, "401: a parameter that can't be read.")
        .refusal(401, "602: token missing, not good, or its grant ended.")
        .refusal(404, "701: an account that is not in the consent.")
        .refusal(503, "501: the store can't answer.")
}

/// What the OpenAPI document says of `/accounts`.
pub fn describe() -> Vec<Operation> {
    vec![described(operation::get("The accounts that the customer consented to"))]
}

/// What the OpenAPI document says of `/accounts/{version}/{provider}`.
pub fn describe_at() -> Vec<Operation> {
    let at = operation::get("The same, by version and provider").path([
        required("version", 64, "The major version.").one_of(&[VERSION]),
        required("provider", 64, "The provider of the token."),
    ]);
    vec![
        described(at)
            .refusal(403, "403: the provider is not the token's.")
            .refusal(501, "1106: there is no such version."),
    ]
}
