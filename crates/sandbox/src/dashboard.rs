//! `GET, POST /sandbox`: one page to watch and change the clock, faults and grants, with the last
//! requests.

mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::REFERRER_POLICY;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::failure::Failure;
use counterfoil_core::form::Form;
use counterfoil_core::grant::GrantId;
use counterfoil_server::App;
use counterfoil_server::grants::end::end;
use counterfoil_server::http::body::{malformed, page_form};
use counterfoil_server::http::observe::LogContext;
use counterfoil_server::http::operation::{self, Operation, optional, required};
use counterfoil_server::http::refused::Refused;
use counterfoil_server::http::respond::see_other;
use counterfoil_server::http::shape::Shape;

use crate::guard::{Local, local};
use crate::pages::Notice;
use crate::{Sandbox, clock, faults, grade};

/// Results of actions: each has a message `done-<word>`, shown in the given section. The word is the
/// form's `action`, except where a comment says otherwise.
const DONE: [(&str, &str); 9] = [
    ("advance", "clock"),
    ("machine_time", "clock"),
    ("fault", "faults"),
    // A `fault` that happened at once.
    ("fault_at_once", "faults"),
    ("clear_fault", "faults"),
    // A `clear_fault` without an id.
    ("clear_faults", "faults"),
    ("revoke_grant", "grants"),
    ("grade", "grading"),
    ("stop_grading", "grading"),
];

/// The page.
///
/// # Errors
/// A page.
pub async fn get(
    Local(sandbox): Local,
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Response, Refused> {
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let done = query.get("done").and_then(|done| DONE.iter().find(|(word, _)| *word == done));
    let text =
        done.map(|(word, _)| sandbox.locale.text(&format!("done-{word}"))).unwrap_or_default();
    let notice = done.map(|(_, section)| Notice { section, text: &text, bad: false });
    show(&app, &sandbox, StatusCode::OK, notice, None).await
}

/// Carries out a form's action and redirects to the page; a refused action is explained on the page
/// itself.
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
    let form = Form::parse_oauth(&bytes)
        .map_err(|error| Refused::page(StatusCode::BAD_REQUEST, "malformed", error))?;
    let action = form.get("action").unwrap_or_default();
    match act(&app, &sandbox, action, &form).await {
        Ok(done) => Ok(see_other(&format!("/sandbox?done={done}"))),
        Err(refused) => {
            let (status, reason) = refused.told();
            let section = DONE
                .iter()
                .find(|(known, _)| *known == action)
                .map_or("clock", |(_, section)| section);
            let mut response = show(
                &app,
                &sandbox,
                status,
                Some(Notice { section, text: reason, bad: true }),
                Some(&form),
            )
            .await?;
            response
                .extensions_mut()
                .insert(LogContext { reason: Some(reason.to_owned()), ..LogContext::default() });
            Ok(response)
        }
    }
}

/// Carries an action out with the same functions as the endpoints for scripts. Returns its word in
/// [`DONE`].
async fn act(
    app: &Arc<App>,
    sandbox: &Arc<Sandbox>,
    action: &str,
    form: &Form<'_>,
) -> Result<&'static str, Refused> {
    match action {
        "advance" => clock::move_as_asked(app, form).await.map(|()| "advance"),
        "machine_time" => clock::move_to(app, 0).await.map(|()| "machine_time"),
        "fault" => {
            let fault = faults::endpoint::set(app, sandbox, form).await?;
            Ok(if fault.remaining == 0 { "fault_at_once" } else { "fault" })
        }
        "clear_fault" => {
            let id = form.get("id");
            faults::endpoint::clear(app, sandbox, id).await?;
            Ok(if id.is_some() { "clear_fault" } else { "clear_faults" })
        }
        "revoke_grant" => {
            let unknown = || {
                let reason = sandbox.locale.text("dashboard-unknown-grant");
                Refused::failed(Shape::OAuth, Failure::NotFound, reason)
            };
            let id = form.get("grant").and_then(GrantId::parse).ok_or_else(unknown)?;
            app.store.terms(id).await.map_err(Refused::unavailable)?.ok_or_else(unknown)?;
            end(app, id, EndedBy::Customer, app.clock.now()).await.map_err(Refused::unavailable)?;
            Ok("revoke_grant")
        }
        "grade" => grade::start(app, sandbox, form.get("client_id").unwrap_or_default())
            .await
            .map(|()| "grade"),
        "stop_grading" => {
            grade::stop(sandbox);
            Ok("stop_grading")
        }
        _ => Err(malformed(app, sandbox.locale.text("dashboard-unknown-action"))),
    }
}

async fn show(
    app: &App,
    sandbox: &Sandbox,
    status: StatusCode,
    notice: Option<Notice<'_>>,
    typed: Option<&Form<'_>>,
) -> Result<Response, Refused> {
    let html = view::html(app, sandbox, notice, typed).await.map_err(Refused::unavailable_page)?;
    let mut response = counterfoil_server::http::respond::page(
        status,
        html,
        counterfoil_server::http::respond::Forms::StayHere,
    );
    // Other pages have `no-referrer`, with which browsers send `Origin: null` with forms, which the
    // guard refuses.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let fields = [
        required("action", 32, "What to do.").one_of(&[
            "advance",
            "machine_time",
            "fault",
            "clear_fault",
            "revoke_grant",
            "grade",
            "stop_grading",
        ]),
        optional("advance", 64, "With `advance`, such as `25h`."),
        optional("id", 64, "With `clear_fault`; all of them, where it is missing."),
        optional("grant", 64, "With `revoke_grant`."),
        optional("fault", 64, "With `fault`: its kind."),
    ];
    vec![
        local(operation::get("The sandbox's controls: clock, faults, grants, last requests"))
            .page(200, "The page."),
        local(operation::post("Does what a form of the page asks for"))
            .form(fields.into_iter().chain(faults::endpoint::fields()))
            .empty(303, "Done: back to the page, which says so.")
            .refusal(400, "The page, with what is wrong.")
            .refusal(404, "The page: there is no such fault or grant.")
            .refusal(409, "The page: a client is graded now."),
    ]
}
