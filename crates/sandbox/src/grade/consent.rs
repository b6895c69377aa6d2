//! The customer of a graded client, who consents at once. The first answers are spoiled.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::random;
use counterfoil_server::App;
use counterfoil_server::authorization::answer::{redirect_code, redirect_code_from};
use counterfoil_server::authorization::request::AuthorizationRequest;
use counterfoil_server::http::refused::Refused;

use super::Spoil;
use crate::approval::approve_at_once;
use crate::{PROVIDER, Sandbox};

/// The customer who consents.
const CUSTOMER: &str = "customer_1";
/// The `iss` of a spoiled answer.
const ANOTHER_ISSUER: &str = "https://auth.another-bank.example";

/// The answer to an authorization request of the graded client; `None` for any other client.
///
/// # Errors
/// The store can't answer.
pub async fn consent(
    app: &App,
    sandbox: &Sandbox,
    request: &AuthorizationRequest,
    now: Timestamp,
) -> Result<Option<Response>, Refused> {
    if !sandbox.grading.is_of(&request.client) {
        return Ok(None);
    }
    let mut request = request.clone();
    let provider = request.connector.clone().unwrap_or_else(|| PROVIDER.to_owned());
    let customer = CustomerId { provider, customer: CUSTOMER.to_owned() };
    let code = approve_at_once(app, &mut request, &customer, None, now)
        .await
        .map_err(|why| why.unexpected())?;
    let Some(run) = sandbox.grading.playing() else {
        return Ok(None);
    };
    let spoil = sandbox.grading.change(run, |graded| {
        let spoil = graded.spoils.pop_front()?;
        graded.spoiled.push((spoil, request.grant));
        Some(spoil)
    });
    match spoil.flatten() {
        None => redirect_code(app, &request, &code).map(Some),
        Some(Spoil::State) => {
            request.state = Some(URL_SAFE_NO_PAD.encode(random::bytes::<16>()));
            redirect_code(app, &request, &code).map(Some)
        }
        Some(Spoil::Issuer) => {
            redirect_code_from(app, &request, &code, Some(ANOTHER_ISSUER)).map(Some)
        }
        Some(Spoil::NoIssuer) => redirect_code_from(app, &request, &code, None).map(Some),
    }
}
