//! The only logger of requests. A line names route, status, client, grant and the private reason;
//! never a query, a body, a header or a token.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use counterfoil_core::grant::GrantId;

use crate::http::fdx_headers::FdxHeaders;
use crate::node::app::App;
use crate::node::metrics::RouteMetrics;

/// What a handler adds to the request's log line, as an extension of its answer.
#[derive(Clone, Debug, Default)]
pub struct LogContext {
    /// The client that made the request.
    pub client: Option<Arc<str>>,
    /// The grant concerned.
    pub grant: Option<GrantId>,
    /// Why the request was refused, or what was special, in plain words.
    pub reason: Option<String>,
}

/// Adds client and grant to the log line of an answer.
pub fn with_log_context(mut response: Response, client: &Arc<str>, grant: GrantId) -> Response {
    let context: &mut LogContext = response.extensions_mut().get_or_insert_default();
    context.client = Some(client.clone());
    context.grant = Some(grant);
    response
}

/// Logs and counts one request; a sandbox also sends the reason of a refusal in a header.
pub(crate) fn observe(
    app: &App,
    method: &Method,
    route: &str,
    metrics: &RouteMetrics,
    fdx_headers: &FdxHeaders,
    took: Duration,
    response: &mut Response,
) {
    let status = response.status();
    metrics.count(status, took);
    let context = response.extensions().get::<LogContext>();
    let client = context.and_then(|context| context.client.as_deref());
    let grant = context.and_then(|context| context.grant).map(tracing::field::display);
    let reason = context.and_then(|context| context.reason.as_deref());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        app.writable.doubt();
    }
    let (status_code, micros) =
        (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let [interaction, actor_type, interaction_type, last_access, intent_type] =
        fdx_headers.log_fields();
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
