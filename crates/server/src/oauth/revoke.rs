//! `POST /revoke` (RFC 7009): any token of a grant ends the whole grant.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use counterfoil_core::client::Client;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::form::Form;
use counterfoil_core::grant::GrantId;
use counterfoil_core::slip::Kind;
use counterfoil_core::token::Token;
use counterfoil_store::StoreError;

use crate::http::observe::seen;
use crate::http::refused::{Refused, Shape};
use crate::http::request::{malformed, oauth_form};
use crate::http::respond::empty;
use crate::node::app::App;
use crate::node::follow::Unavailable;
use crate::oauth::client_auth::{Unproven, authenticate};
use crate::sandbox::faults::strike;
use crate::tokens::id_token;
use crate::tokens::unknown_key::{read_slip, ring_with};

/// The endpoint.
///
/// # Errors
/// As in the table of `counterfoil_core::dialect`. A token that is none of ours is no error: what
/// its bearer wants is so already.
pub async fn revoke(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let now = app.clock.now();
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let form = Form::parse_oauth(&bytes).map_err(|error| malformed(&app, error))?;
    let client = authenticate(&app, &headers, &form, now)?.map_err(|unproven| {
        let refusal = match unproven {
            Unproven::Missing(_) => Refusal::RevokeCredentialsMissing,
            Unproven::Wrong(_) => Refusal::RevokeCredentialsWrong,
        };
        Refused::oauth(refusal, app.settings.dialect, unproven.reason())
    })?;
    let struck = strike(&app, "/revoke", Shape::OAuth, &client.id, None).await;
    struck.map_err(|refused| refused.of(Some(&client), None))?;
    let dialect = app.dialect_of(&client);
    let refuse = |refusal, reason| Refused::oauth(refusal, dialect, reason).of(Some(&client), None);
    let token = form.get("token").ok_or_else(|| refuse(Refusal::TokenMissing, "no token"))?;
    let known_hint = |hint| matches!(hint, "refresh_token" | "id_token" | "access_token");
    if dialect.refuses_unknown_hints()
        && form.get("token_type_hint").is_some_and(|hint| !known_hint(hint))
    {
        return Err(refuse(
            Refusal::TokenTypeHintUnknown,
            "the token_type_hint names no kind of token",
        ));
    }
    // A hint would only speed up a search, and the token's own shape says more.
    match named_grant(&app, &client, token).await.map_err(Refused::unavailable)? {
        Named::Grant(grant) => {
            let ending = app.store.end_grant(grant, EndedBy::Client, now);
            ending
                .await
                .map_err(|error| Refused::unavailable(error).of(Some(&client), Some(grant)))?;
            Ok(seen(empty(StatusCode::OK), &client.id, grant))
        }
        Named::AnotherClients(grant) => {
            Err(refuse(Refusal::TokenOfAnotherClient, "the token was issued to another client")
                .of(None, Some(grant)))
        }
        Named::Nothing => Ok(empty(StatusCode::OK)),
    }
}

/// What a token presented for revocation names.
enum Named {
    /// A grant of the client, which ends.
    Grant(GrantId),
    /// A grant of another client, which goes on.
    AnotherClients(GrantId),
    /// Nothing that could be ended.
    Nothing,
}

async fn named_grant(app: &App, client: &Client, token: &str) -> Result<Named, Unavailable> {
    match Token::parse(token) {
        Token::Slip(Kind::RefreshToken, text) => named_by_refresh_token(app, client, text).await,
        Token::AccessToken(unverified) => {
            let ring = ring_with(app, unverified.key()).await?;
            let Some(row) = app.store.counterfoil(unverified.grant()).await? else {
                return Ok(Named::Nothing);
            };
            match unverified.verify(&row.seal, &ring.slips) {
                Some(token) => Ok(of_client(app, client, token.grant).await?),
                None => Ok(Named::Nothing),
            }
        }
        Token::IdToken(token) => match id_token::read(app, &token).await? {
            Ok(claims) => Ok(of_client(app, client, claims.grant_id).await?),
            Err(_) => Ok(Named::Nothing),
        },
        Token::Slip(Kind::Code, _) | Token::Unknown => Ok(Named::Nothing),
    }
}

async fn named_by_refresh_token(
    app: &App,
    client: &Client,
    token: &str,
) -> Result<Named, Unavailable> {
    let (_, Ok(slip)) = read_slip(app, Kind::RefreshToken, token).await? else {
        return Ok(Named::Nothing);
    };
    let Some(row) = app.store.counterfoil(slip.grant).await?.filter(|row| row.seal == slip.seal)
    else {
        return Ok(Named::Nothing);
    };
    // Presenting a token of a public client takes no secret, so an old one that somebody found must
    // not end a grant that has long moved on.
    let too_old = client.settings.is_public() && slip.number.saturating_add(1) < row.next_slip;
    Ok(match of_client(app, client, slip.grant).await? {
        Named::Grant(_) if too_old => Named::Nothing,
        named => named,
    })
}

async fn of_client(app: &App, client: &Client, grant: GrantId) -> Result<Named, StoreError> {
    Ok(match app.store.terms(grant).await? {
        None => Named::Nothing,
        Some(terms) if terms.client == client.id => Named::Grant(grant),
        Some(_) => Named::AnotherClients(grant),
    })
}
