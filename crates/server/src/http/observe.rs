//! The only logger of requests. A line names route, status, client, grant and the private reason;
//! never a query, a body, a header or a token.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use counterfoil_core::grant::GrantId;

use crate::http::said::Said;
use crate::node::app::App;
use crate::node::metrics::RouteMetrics;

/// What a handler tells the log, as an extension of its answer.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The client that asked.
    pub client: Option<Arc<str>>,
    /// The grant that it was about.
    pub grant: Option<GrantId>,
    /// Why it was refused, or what was special, in plain words.
    pub reason: Option<String>,
}

/// Tells the log which client and grant an answer is about.
pub fn seen(mut response: Response, client: &Arc<str>, grant: GrantId) -> Response {
    let seen: &mut Seen = response.extensions_mut().get_or_insert_default();
    seen.client = Some(client.clone());
    seen.grant = Some(grant);
    response
}

/// Logs and counts one request; in a sandbox tells the reason of a refusal in a header too.
pub(crate) fn observe(
    app: &App,
    method: &Method,
    route: &str,
    metrics: &RouteMetrics,
    said: &Said,
    took: Duration,
    response: &mut Response,
) {
    let status = response.status();
    metrics.count(status, took);
    let seen = response.extensions().get::<Seen>();
    let client = seen.and_then(|seen| seen.client.as_deref());
    let grant = seen.and_then(|seen| seen.grant).map(tracing::field::display);
    let reason = seen.and_then(|seen| seen.reason.as_deref());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        app.writable.doubt();
    }
    let (status_code, micros) =
        (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let [interaction, actor_type, interaction_type, last_access, intent_type] = said.recorded();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "request", %method, route, status = status_code, micros, client, grant, reason, interaction, actor_type, interaction_type,
                last_access, intent_type
            )
        };
    }
    if status.is_server_error() {
        line!(error);
    } else {
        line!(info);
    }
    if app.is_sandbox()
        && let Some(reason) = reason
        && let Ok(value) = HeaderValue::from_str(
            &reason.replace(|c: char| !c.is_ascii() || c.is_ascii_control(), "?"),
        )
    {
        response.headers_mut().insert("counterfoil-reason", value);
    }
}
