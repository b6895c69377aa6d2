//! `POST /introspect` (RFC 7662), for confidential clients: about their own tokens, or any if they
//! are resource servers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use counterfoil_core::client::Client;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::grant::Terms;
use counterfoil_core::id_token::{LONGEST_TOKEN, subject};
use counterfoil_core::slip::Kind;
use counterfoil_core::token::Token;
use serde_json::{Value, json as value};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::grants::find::{Life, life};
use crate::http::body::oauth_form;
use crate::http::observe::LogContext;
use crate::http::operation::{Operation, optional, post, required};
use crate::http::refused::Refused;
use crate::http::respond::json;
use crate::node::app::App;
use crate::node::poll::Unavailable;
use crate::oauth::client_request::{ClientEndpoint, ClientRequest, credentials};
use crate::tokens::bearer::{self, AcceptedTokens, Bearer, NoBearer};
use crate::tokens::slip::read_good_slip;

const ENDPOINT: ClientEndpoint = ClientEndpoint {
    path: "/introspect",
    missing: Refusal::InvalidClient,
    wrong: Refusal::InvalidClient,
};

/// The endpoint.
///
/// # Errors
/// 401 `invalid_client` for unauthenticated and for public clients; 400 without a token.
pub async fn introspect(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Refused> {
    let now = app.clock.now();
    let (Parts { uri, headers, .. }, body) = request.into_parts();
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let request = ClientRequest::read(&app, ENDPOINT, &headers, &bytes, now).await?;
    let ClientRequest { client, form, .. } = &request;
    let refuse = |refusal, reason: &str| {
        Refused::oauth(refusal, app.settings.dialect, reason).of(Some(client), None)
    };
    if client.settings.is_public() {
        return Err(refuse(Refusal::InvalidClient, "a public client can't introspect"));
    }
    let token = form.get("token").ok_or_else(|| refuse(Refusal::TokenMissing, "no token"))?;
    let active = answer_about(&app, client, token, now).await.map_err(Refused::unavailable)?;
    let mut response = json(StatusCode::OK, &active.unwrap_or_else(|| value!({"active": false})));
    response
        .extensions_mut()
        .insert(LogContext { client: Some(client.id.clone()), ..LogContext::default() });
    Ok(response)
}

/// What an active token allows; `None` if it is not active, or this client may not ask about it.
async fn answer_about(
    app: &App,
    client: &Client,
    token: &str,
    now: Timestamp,
) -> Result<Option<Value>, Unavailable> {
    let subjects = app.keys.ring().subjects.clone();
    let may_ask = |terms: &Terms| client.settings.resource_server || terms.client == client.id;
    let about = |terms: &Terms,
                 issued: Timestamp,
                 expires: Timestamp,
                 scope: counterfoil_core::scope::Scopes,
                 kind: &str| {
        value!({
            "active": true,
            "iss": app.settings.issuer,
            "client_id": &*terms.client,
            "aud": &*terms.client,
            "sub": subject(&terms.customer, &subjects),
            "scope": scope,
            "token_type": kind,
            "iat": issued,
            "exp": expires,
            "grant_id": terms.grant,
            "connectorId": terms.customer.provider,
        })
    };
    let token = match Token::parse(token) {
        Token::Slip(Kind::RefreshToken, token) => {
            let (_, Ok(slip)) = read_good_slip(app, Kind::RefreshToken, token, now).await? else {
                return Ok(None);
            };
            let Life::Living(terms, row) = life(app, slip.grant, now).await? else {
                return Ok(None);
            };
            let is_good = may_ask(&terms)
                && row.seal == slip.seal
                && row.next_slip == slip.number
                && now < row.expires_at;
            return Ok(is_good.then(|| {
                about(&terms, slip.issued_at, row.expires_at, terms.scopes, "refresh_token")
            }));
        }
        other => other,
    };
    let bearer = match bearer::read(app, token, now, AcceptedTokens::Either).await {
        Ok(bearer) if may_ask(&bearer.terms) => bearer,
        Err(NoBearer::Unavailable(error)) => return Err(error),
        _ => return Ok(None),
    };
    let Bearer { terms, issued_at, expires_at, scopes } = bearer;
    Ok(Some(about(&terms, issued_at, expires_at, scopes, "Bearer")))
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let time = || ObjectBuilder::new().schema_type(Type::Integer);
    let about = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("active", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("iss", text())
        .property("client_id", text())
        .property("aud", text())
        .property("sub", text())
        .property("scope", text())
        .property("token_type", text().enum_values(Some(["Bearer", "refresh_token"])))
        .property("iat", time())
        .property("exp", time())
        .property("grant_id", text())
        .property("connectorId", text())
        .required("active");
    let fields = [
        required("token", LONGEST_TOKEN, "The token."),
        optional("token_type_hint", 64, "What kind of token it is."),
    ];
    vec![
        post("Is this token good? (RFC 7662)")
            .by_client()
            .form(fields.into_iter().chain(credentials()))
            .json_like(
                200,
                "Whether it is active, and what it allows.",
                about,
                value!({ "active": false }),
            )
            .refusal(400, "Refused.")
            .refusal(401, "The credentials are wrong, or the client is public."),
    ]
}
