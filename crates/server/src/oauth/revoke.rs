//! `POST /revoke` (RFC 7009): revoking any token of a grant ends the whole grant.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use counterfoil_core::client::Client;
use counterfoil_core::dialect::Refusal;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::GrantId;
use counterfoil_core::id_token::LONGEST_TOKEN;
use counterfoil_core::slip::Kind;
use counterfoil_core::token::Token;
use counterfoil_store::StoreError;

use crate::grants::end::end;
use crate::grants::find::{self, Owner};
use crate::http::body::oauth_form;
use crate::http::observe::with_log_context;
use crate::http::operation::{Operation, optional, post, required};
use crate::http::refused::Refused;
use crate::http::respond::empty;
use crate::node::app::App;
use crate::node::known_keys::ring_with;
use crate::node::poll::Unavailable;
use crate::oauth::client_request::{ClientEndpoint, ClientRequest, credentials};
use crate::tokens::id_token::{self, IdTokenError};
use crate::tokens::slip::read_slip;

const ENDPOINT: ClientEndpoint = ClientEndpoint {
    path: "/revoke",
    missing: Refusal::RevokeCredentialsMissing,
    wrong: Refusal::RevokeCredentialsWrong,
};

/// The endpoint.
///
/// # Errors
/// As in the table of `counterfoil_core::dialect`. An unknown token is no error (RFC 7009 section
/// 2.2): it is already as good as revoked.
pub async fn revoke(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let now = app.clock.now();
    let (Parts { uri, headers, .. }, body) = request.into_parts();
    let bytes = oauth_form(&app, &headers, uri.query(), body).await?;
    let request = ClientRequest::read(&app, ENDPOINT, &headers, &bytes, now).await?;
    let ClientRequest { client, form, .. } = &request;
    let refuse = |refusal, reason: &str| request.refuse(refusal, reason);
    let token = form.get("token").ok_or_else(|| refuse(Refusal::TokenMissing, "no token"))?;
    let known_hint = |hint| matches!(hint, "refresh_token" | "id_token" | "access_token");
    if app.dialect_of(client).refuses_unknown_hints()
        && form.get("token_type_hint").is_some_and(|hint| !known_hint(hint))
    {
        return Err(refuse(
            Refusal::TokenTypeHintUnknown,
            "the token_type_hint names no kind of token",
        ));
    }
    // `token_type_hint` would only speed up a search, and the token's own form says more.
    match find_target(&app, client, token).await.map_err(Refused::unavailable)? {
        Target::Grant(grant) => {
            end(&app, grant, EndedBy::Client, now)
                .await
                .map_err(|error| Refused::unavailable(error).of(Some(client), Some(grant)))?;
            Ok(with_log_context(empty(StatusCode::OK), &client.id, grant))
        }
        Target::AnotherClients(grant) => {
            Err(refuse(Refusal::TokenOfAnotherClient, "the token was issued to another client")
                .of(None, Some(grant)))
        }
        Target::Nothing => Ok(empty(StatusCode::OK)),
    }
}

/// The target of a revocation.
enum Target {
    /// A grant of the client, which ends.
    Grant(GrantId),
    /// Another client's grant, which stays.
    AnotherClients(GrantId),
    /// Nothing that could end.
    Nothing,
}

async fn find_target(app: &App, client: &Client, token: &str) -> Result<Target, Unavailable> {
    match Token::parse(token) {
        Token::Slip(Kind::RefreshToken, text) => named_by_refresh_token(app, client, text).await,
        Token::AccessToken(unverified) => {
            let ring = ring_with(app, unverified.key()).await?;
            let Some(row) = app.store.counterfoil(unverified.grant()).await? else {
                return Ok(Target::Nothing);
            };
            match unverified.verify(&row.seal, &ring.slips) {
                Some(token) => Ok(of_client(app, client, token.grant).await?),
                None => Ok(Target::Nothing),
            }
        }
        Token::IdToken(token) => match id_token::read(app, &token).await {
            Ok(claims) => Ok(of_client(app, client, claims.grant_id).await?),
            Err(IdTokenError::NotOurs(_)) => Ok(Target::Nothing),
            Err(IdTokenError::Unavailable(error)) => Err(error),
        },
        Token::Slip(Kind::Code, _) | Token::Unknown => Ok(Target::Nothing),
    }
}

async fn named_by_refresh_token(
    app: &App,
    client: &Client,
    token: &str,
) -> Result<Target, Unavailable> {
    let (_, Ok(slip)) = read_slip(app, Kind::RefreshToken, token).await? else {
        return Ok(Target::Nothing);
    };
    let Some(row) = app.store.counterfoil(slip.grant).await?.filter(|row| row.seal == slip.seal)
    else {
        return Ok(Target::Nothing);
    };
    // Presenting a public client's token takes no secret, so an old one found by somebody must not
    // end a grant that has long moved on.
    let too_old = client.settings.is_public() && slip.number.saturating_add(1) < row.next_slip;
    Ok(match of_client(app, client, slip.grant).await? {
        Target::Grant(_) if too_old => Target::Nothing,
        named => named,
    })
}

async fn of_client(app: &App, client: &Client, grant: GrantId) -> Result<Target, StoreError> {
    Ok(match find::of_client(app, client, grant).await? {
        Owner::Unknown => Target::Nothing,
        Owner::Own(_) => Target::Grant(grant),
        Owner::Another => Target::AnotherClients(grant),
    })
}

/// What the OpenAPI document says of it.
pub fn describe() -> Vec<Operation> {
    let fields = [
        required("token", LONGEST_TOKEN, "A refresh token, an ID token or an access token."),
        optional("token_type_hint", 64, "What kind of token it is.").one_of(&[
            "refresh_token",
            "id_token",
            "access_token",
        ]),
    ];
    vec![
        post("End the grant of a token (RFC 7009)")
            .by_client()
            .form(fields.into_iter().chain(credentials()))
            .empty(
                200,
                "Every token of the grant is refused from now on; or it was no token that could be revoked.",
            )
            .refusal(400, "Refused.")
            .refusal(401, "The credentials are wrong."),
    ]
}
