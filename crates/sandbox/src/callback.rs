//! `GET, POST /sandbox/callback`: the redirect URI of the sandbox's own clients. Shows the code it
//! received, and how to use it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::form::Form;
use counterfoil_server::App;
use counterfoil_server::http::body::page_form;
use counterfoil_server::http::operation::{self, Operation, optional};
use counterfoil_server::http::refused::Refused;
use counterfoil_server::http::respond::{Forms, page};

use crate::Sandbox;
use crate::guard::{Local, local};
use crate::pages::Callback;
use crate::walkthrough::{GET, steps};

/// The answer in the query.
///
/// # Errors
/// A page.
pub async fn get(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Response, Refused> {
    show(&app, &sandbox, uri.query().unwrap_or_default().as_bytes())
}

/// The answer in a form (`response_mode=form_post`).
///
/// # Errors
/// A page.
pub async fn post(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let bytes = page_form(&headers, body).await?;
    show(&app, &sandbox, &bytes)
}

fn show(app: &App, sandbox: &Sandbox, answer: &[u8]) -> Result<Response, Refused> {
    let form = Form::parse(answer)
        .map_err(|error| Refused::page(StatusCode::BAD_REQUEST, "malformed", error))?;
    // The code goes into commands that people paste into a shell, so only what can be one of our
    // codes is shown.
    let safe = |code: &&str| {
        code.len() <= 256
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let code = form.get("code").filter(safe);
    let mut commands = Vec::new();
    if let Some(code) = code {
        let mut steps = steps(&app.settings.issuer).into_iter();
        steps.next();
        let with_code = |command: String| command.replace("$CODE", code);
        commands.extend(steps.map(|step| (step.title, with_code(step.command))));
        if let Some((_, first)) = commands.first_mut() {
            *first = format!("{GET}\n{first}");
        }
    }
    let html = Callback {
        locale: &sandbox.locale,
        issuer: &app.settings.issuer,
        code,
        error: form
            .get("error")
            .map(|error| (error, form.get("error_description").unwrap_or_default())),
        state: form.get("state"),
        commands,
    }
    .render();
    Ok(page(StatusCode::OK, html, Forms::StayHere))
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let fields = || {
        [
            optional("code", 512, "The code."),
            optional("state", 4096, "The state."),
            optional("iss", 2048, "The issuer."),
            optional("error", 64, "The error."),
            optional("error_description", 1024, "What is wrong."),
        ]
    };
    let shown = |operation| local(operation).page(200, "The code, and the commands that use it.");
    vec![
        shown(operation::get("Shows the code that came back").query(fields())),
        shown(operation::post("The same, for form_post").form(fields())),
    ]
}
