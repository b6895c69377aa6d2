//! `GET /` of a sandbox: what it is, and commands to paste.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use counterfoil_server::App;
use counterfoil_server::customer::assets::asset;
use counterfoil_server::http::operation::{self, Operation};
use counterfoil_server::http::respond::{Forms, page};

use crate::PROVIDER;
use crate::guard::{Local, local};
use crate::pages::Walkthrough;
use crate::seed::CLIENTS;

/// A step of the walk-through.
#[derive(Debug)]
pub struct Step {
    /// The message id of its heading.
    pub title: &'static str,
    /// The message id of its explanation.
    pub text: &'static str,
    /// Its heading in a terminal.
    pub in_terminal: &'static str,
    /// The shell command.
    pub command: String,
}

/// A shell function that reads a string member of a flat JSON object, so that the commands need only
/// curl and sed.
pub const GET: &str = r#"get() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }"#;

/// The steps, to paste into one shell in this order: each uses variables that an earlier one set.
pub fn steps(issuer: &str) -> Vec<Step> {
    let [recipient, ..] = &CLIENTS;
    let credentials = format!("{}:{}", recipient.id, recipient.secret.unwrap_or_default());
    let step = |title, text, in_terminal, command| Step { title, text, in_terminal, command };
    vec![
        step(
            "step-code-title",
            "step-code-text",
            "Get an authorization code without a browser",
            format!(
                "{GET}\nCODE=$(curl -s {issuer}/sandbox/codes -d client_id={} -d customer=customer_1 \\\n  -d redirect_uri={issuer}/sandbox/callback | get code); echo $CODE",
                recipient.id
            ),
        ),
        step(
            "step-exchange-title",
            "step-exchange-text",
            "Exchange it for tokens",
            format!(
                "TOKENS=$(curl -s {issuer}/token -u {credentials} \\\n  -d grant_type=authorization_code -d code=$CODE -d redirect_uri={issuer}/sandbox/callback); echo $TOKENS"
            ),
        ),
        step(
            "step-accounts-title",
            "step-accounts-text",
            "Read the accounts with the ID token",
            format!(
                "ID=$(echo $TOKENS | get id_token)\ncurl -sw '\\n' {issuer}/accounts -H \"Authorization: Bearer $ID\""
            ),
        ),
        step(
            "step-refresh-title",
            "step-refresh-text",
            "Refresh",
            format!(
                "REFRESH=$(echo $TOKENS | get refresh_token)\nTOKENS=$(curl -s {issuer}/token -u {credentials} -d grant_type=refresh_token -d refresh_token=$REFRESH); echo $TOKENS"
            ),
        ),
        step(
            "step-refresh-again-title",
            "step-refresh-again-text",
            "Refresh with the used token: it is refused, and a header says why",
            format!(
                "curl -siw '\\n' {issuer}/token -u {credentials} -d grant_type=refresh_token -d refresh_token=$REFRESH"
            ),
        ),
        step(
            "step-clock-title",
            "step-clock-text",
            "Move the clock by 25 hours: the ID token has expired",
            format!(
                "curl -sw '\\n' {issuer}/sandbox/clock -d advance=25h\ncurl -sw '\\n' {issuer}/accounts -H \"Authorization: Bearer $ID\"\ncurl -sw '\\n' -X DELETE {issuer}/sandbox/clock"
            ),
        ),
        step(
            "step-revoke-title",
            "step-revoke-text",
            "Revoke: the next call is refused",
            format!(
                "REFRESH=$(echo $TOKENS | get refresh_token)\ncurl -si {issuer}/revoke -u {credentials} -d token=$REFRESH\ncurl -sw '\\n' {issuer}/accounts -H \"Authorization: Bearer $ID\""
            ),
        ),
    ]
}

/// The page of the walk-through.
pub async fn walkthrough(Local(sandbox): Local, State(app): State<Arc<App>>) -> Response {
    let issuer = &app.settings.issuer;
    let [recipient, other, public] = &CLIENTS;
    let authorize_url = format!(
        "{issuer}/authorize?response_type=code&client_id={}&scope=openid+profile+offline_access&state=hello&redirect_uri={issuer}/sandbox/callback",
        recipient.id
    );
    let confidential = |client: &crate::seed::SeedClient| {
        format!("{} / {}", client.id, client.secret.unwrap_or_default())
    };
    let html = Walkthrough {
        locale: &sandbox.locale,
        issuer,
        authorize_url: &authorize_url,
        steps: steps(issuer)
            .into_iter()
            .map(|step| (step.title, step.text, step.command))
            .collect(),
        rows: vec![
            ("row-client-confidential", confidential(recipient)),
            ("row-client-other", confidential(other)),
            ("row-client-public", public.id.to_owned()),
            ("row-customers", "customer_1 … customer_5".to_owned()),
            ("row-provider", PROVIDER.to_owned()),
            ("row-discovery", format!("{issuer}/.well-known/openid-configuration")),
        ],
    }
    .render();
    page(StatusCode::OK, html, Forms::StayHere)
}

/// `GET /assets/copy.js`: the script of the copy buttons.
pub async fn copy_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../assets/copy.js"))
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    vec![local(operation::get("The walk-through")).page(200, "Commands to copy.")]
}

/// What the OpenAPI document says of the script.
pub fn describe_script() -> Vec<Operation> {
    vec![operation::get("Makes the copy buttons work").text(200, "text/javascript", "The script.")]
}
