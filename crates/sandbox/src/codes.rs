//! `POST /sandbox/codes`: an authorization code without a browser, by the same code path as the
//! consent page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::form::Form;
use counterfoil_core::grant::CustomerId;
use counterfoil_server::App;
use counterfoil_server::http::body::{malformed, oauth_form};
use counterfoil_server::http::operation::{self, Operation, optional, required};
use counterfoil_server::http::refused::Refused;
use counterfoil_server::http::respond::json;
use counterfoil_server::oauth::authorize::{RequestError, read_request as read};
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;

use crate::PROVIDER;
use crate::approval::{NoCode, approve_at_once};
use crate::guard::{Local, local};

#[derive(Serialize, ToSchema)]
#[schema(as = Code)]
struct Answer<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    expires_in: i64,
}

/// The scope of a request that names none.
const SCOPE: &str = "openid profile offline_access";

/// The endpoint.
///
/// # Errors
/// 400 with the error that `/authorize` would give, 503.
pub async fn codes(
    _: Local,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let now = app.clock.now();
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&app, error))?;
    let form = form.with_default("response_type", "code").with_default("scope", SCOPE);
    let unknown_client =
        |reason| Refused::oauth(Refusal::UnknownClient, app.settings.dialect, reason);
    let (mut request, _) = read(&app, &form, now).map_err(|rejected| match rejected {
        RequestError::Page("unknown-client", reason) => unknown_client(reason),
        RequestError::Page(_, reason) => malformed(&app, reason),
        RequestError::Redirect(_, error) => Refused::authorization(error),
    })?;
    let provider = request.connector.clone().unwrap_or_else(|| PROVIDER.to_owned());
    let id = CustomerId { provider, customer: form.get("customer").unwrap_or_default().to_owned() };
    let chosen: Option<Vec<&str>> = form.get("accounts").map(|ids| ids.split(',').collect());
    let code =
        approve_at_once(&app, &mut request, &id, chosen.as_deref(), now).await.map_err(|why| {
            match why {
                NoCode::UnknownClient => unknown_client("the client was removed meanwhile"),
                NoCode::UnknownCustomer => malformed(&app, "the customer is missing or unknown"),
                NoCode::UnknownAccount => malformed(&app, "the customer has no such account"),
                other => other.unexpected(),
            }
        })?;
    let body = Answer {
        code: code.expose(),
        state: request.state,
        expires_in: app.settings.lifetimes.code,
    };
    Ok(json(StatusCode::CREATED, &body))
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    vec![
        local(operation::post("A code without a browser"))
            .form([
                required("client_id", 255, "The client.").such_as("sandbox-recipient"),
                required("redirect_uri", 2048, "One that the client registered."),
                required("customer", 1024, "The customer.").such_as("customer_1"),
                optional("scope", 256, "`openid profile offline_access`, unless told otherwise."),
                optional("connector", 64, "The provider."),
                optional("accounts", 8192, "Ids separated by commas; all, unless told otherwise."),
                optional("state", 4096, "Given back."),
                optional("nonce", 512, "Put into the first ID token."),
                optional("code_challenge", 43, "PKCE (RFC 7636)."),
                optional("code_challenge_method", 16, "`S256`"),
            ])
            .json::<Answer<'_>>(
                201,
                "A code, made as at consent.",
                value!({ "code": "cfc_AQAB...", "state": "hello", "expires_in": 300 }),
            )
            .refusal(400, "The error that /authorize would give."),
    ]
}
