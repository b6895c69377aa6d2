//! What a client can be observed to do.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, LOCATION};
use counterfoil_core::form::Form;
use counterfoil_core::grant::GrantId;
use counterfoil_core::slip::{Kind, Slip};
use counterfoil_server::node::keys::Ring;
use serde_json::Value;

use crate::requests::RequestRecord;

/// A client's request, reduced to what grading needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Action {
    /// When it came, from the start of the grading.
    pub came: Duration,
    /// When it was answered.
    pub answered: Duration,
    pub kind: ActionKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ActionKind {
    /// It sent the customer's browser to ask for consent, and got a code.
    Authorize,
    /// It presented a code of this grant.
    Exchange { grant: Option<GrantId>, issued: Option<IssuedTokens> },
    /// It presented this refresh token.
    Refresh {
        slip: Option<(GrantId, u64)>,
        retry_key: Option<String>,
        status: u16,
        lost: bool,
        issued: Option<IssuedTokens>,
    },
    /// It asked for data, with this token.
    Data { token: Fingerprint, status: u16 },
    /// It fetched the key set.
    Keys,
    /// Anything else.
    Other,
}

/// The bearer tokens of an answer that reached the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct IssuedTokens {
    pub id_token: Fingerprint,
    pub access_token: Fingerprint,
}

/// Tells tokens apart. Keeping whole ones would take a kilobyte each, and a storm has many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(token: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Action {
    /// The action of a request, timed from when the grading `began`.
    pub(super) fn of(request: &RequestRecord, ring: &Ring, began: Instant) -> Self {
        Self {
            came: request.came.saturating_duration_since(began),
            answered: request.answered.saturating_duration_since(began),
            kind: kind(request, ring),
        }
    }
}

fn kind(request: &RequestRecord, ring: &Ring) -> ActionKind {
    let path = request.path();
    match path {
        "/authorize" | "/auth" if gives_code(request) => ActionKind::Authorize,
        "/jwks" => ActionKind::Keys,
        "/token" => at_token(request, ring).unwrap_or(ActionKind::Other),
        _ if path.starts_with("/accounts") => {
            let header = request.headers.get(AUTHORIZATION.as_str()).unwrap_or_default();
            let token = header.split_once(' ').map_or(header, |(_, token)| token);
            ActionKind::Data { token: Fingerprint::of(token), status: request.status.as_u16() }
        }
        _ => ActionKind::Other,
    }
}

/// Whether the browser was sent back with a code, in the query or in a form to post.
fn gives_code(request: &RequestRecord) -> bool {
    let location =
        request.answer_headers.get(LOCATION.as_str()).and_then(|location| location.split_once('?'));
    let in_query = |(_, query): (&str, &str)| {
        Form::parse(query.as_bytes()).is_ok_and(|query| query.get("code").is_some())
    };
    let posts = || {
        request.status == StatusCode::OK
            && request.answer.windows(11).any(|text| text == b"name=\"code\"")
    };
    location.is_some_and(in_query) || posts()
}

fn at_token(request: &RequestRecord, ring: &Ring) -> Option<ActionKind> {
    let form = Form::parse(&request.body).ok()?;
    let slip =
        |kind, name| form.get(name).and_then(|text| Slip::read(kind, text, &ring.slips).ok());
    match form.get("grant_type")? {
        "authorization_code" => Some(ActionKind::Exchange {
            grant: slip(Kind::Code, "code").map(|slip| slip.grant),
            issued: issued(request),
        }),
        "refresh_token" => Some(ActionKind::Refresh {
            slip: slip(Kind::RefreshToken, "refresh_token").map(|slip| (slip.grant, slip.number)),
            retry_key: request.headers.get("idempotency-key").map(str::to_owned),
            status: request.status.as_u16(),
            lost: request.lost,
            issued: issued(request),
        }),
        _ => None,
    }
}

fn issued(request: &RequestRecord) -> Option<IssuedTokens> {
    if request.lost || request.status != StatusCode::OK {
        return None;
    }
    let body: Value = serde_json::from_slice(&request.answer).ok()?;
    let token = |name: &str| Fingerprint::of(body[name].as_str().unwrap_or_default());
    Some(IssuedTokens { id_token: token("id_token"), access_token: token("access_token") })
}

impl IssuedTokens {
    /// Whether `token` is one of these.
    pub(super) fn holds(&self, token: Fingerprint) -> bool {
        token == self.id_token || token == self.access_token
    }
}
