//! `POST /sandbox/codes`: an authorization code without a browser, made by the same code path as the consent page.

use crate::app::App;
use crate::authorize::{Rejected, read};
use crate::consent::{Approval, approve};
use crate::refused::Refused;
use crate::request::{malformed, oauth_form};
use crate::respond::json;
use crate::sandbox::PROVIDER;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::dialect::{ErrorCode, WireError};
use counterfoil_core::form::Form;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::secret::Secret;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct Answer<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    expires_in: i64,
}

/// What the customer of such a request asks for, unless it says otherwise.
const SCOPE: &str = "openid profile offline_access";

/// The endpoint.
///
/// # Errors
/// 400 with the error that `/authorize` would give, 503.
pub async fn codes(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    let now = app.clock.now();
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&app, error))?;
    let form = form.with_default("response_type", "code").with_default("scope", SCOPE);
    let refuse = |error, reason: &str| Refused::wire(WireError { status: 400, error, description: None }, None, reason);
    let (mut request, _) = read(&app, &form, now).map_err(|rejected| match rejected {
        Rejected::Page("unknown-client", reason) => refuse(ErrorCode::InvalidClient, reason),
        Rejected::Page(_, reason) => refuse(ErrorCode::InvalidRequest, reason),
        Rejected::Redirect(_, error, reason) => refuse(error, reason),
    })?;
    let provider = request.connector.clone().unwrap_or_else(|| PROVIDER.to_owned());
    let id = CustomerId { provider, customer: form.get("customer").unwrap_or_default().to_owned() };
    let customer_era = app.store.customer_era(&id);
    let customer = app.store.customer(&id).map_err(Refused::unavailable)?;
    let customer = customer.ok_or_else(|| refuse(ErrorCode::InvalidRequest, "the customer is missing or unknown"))?;
    let directory = app.store.accounts(&id).map_err(Refused::unavailable)?;
    let chosen: Option<Vec<&str>> = form.get("accounts").map(|ids| ids.split(',').collect());
    if chosen.as_ref().is_some_and(|chosen| !chosen.iter().all(|id| directory.iter().any(|account| account.id == *id))) {
        return Err(refuse(ErrorCode::InvalidRequest, "the customer has no such account"));
    }
    let is_chosen = |id: &str| chosen.as_ref().is_none_or(|chosen| chosen.contains(&id));
    let accounts: Vec<String> = directory.into_iter().map(|account| account.id).filter(|id| is_chosen(id)).collect();
    let client = app.client(&request.client);
    let clusters = client.as_ref().map(|client| client.settings.data_clusters).unwrap_or_default();
    let lookback_days = client.as_ref().and_then(|client| client.settings.lookback_days);
    let mut code: Option<Secret> = None;
    // Two grants of one second may draw the same id, once in a billion.
    for _ in 0..3 {
        let approval = Approval {
            customer: id.clone(),
            customer_era,
            name: customer.name.clone(),
            accounts: accounts.clone(),
            authenticated_at: now,
            scopes: request.scopes,
            clusters,
            lookback_days,
            ends_no_later_than: None,
        };
        code = approve(&app, &request, approval, now).await.map_err(Refused::unavailable)?;
        if code.is_some() {
            break;
        }
        request.grant = counterfoil_core::grant::GrantId::new(now, counterfoil_core::random::bytes());
    }
    let code = code.ok_or_else(|| Refused::internal("no free grant id was found"))?;
    let body = Answer { code: code.expose(), state: request.state, expires_in: app.settings.lifetimes.code };
    Ok(json(StatusCode::CREATED, &body))
}
