//! `GET, POST /authorize` of a sandbox: consents for the customer of a graded client at once; any
//! other request goes to the server's handler.

pub use counterfoil_server::oauth::authorize::post;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use counterfoil_server::App;
use counterfoil_server::http::refused::Refused;
use counterfoil_server::oauth::authorize;

use crate::Sandbox;
use crate::grade::consent;

/// `GET /authorize`.
///
/// # Errors
/// As the server's.
pub async fn get(
    State(app): State<Arc<App>>,
    Extension(sandbox): Extension<Arc<Sandbox>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let now = app.clock.now();
    let asked = authorize::read(&app, &uri, &headers, now).await?;
    if !asked.prompt_none
        && let Some(answer) = consent(&app, &sandbox, &asked.request, now).await?
    {
        return Ok(answer);
    }
    authorize::answer(&app, &asked, &headers, now).await
}
