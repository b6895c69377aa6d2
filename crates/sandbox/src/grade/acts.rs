//! What a client can be seen to do.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, LOCATION};
use counterfoil_core::form::Form;
use counterfoil_core::grant::GrantId;
use counterfoil_core::slip::{Kind, Slip};
use counterfoil_server::node::keys::Ring;
use serde_json::Value;

use crate::requests::Observed;

/// A request of the client, as far as it matters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Act {
    /// When it came, since the grading began.
    pub came: Duration,
    /// When it was answered.
    pub answered: Duration,
    pub what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// It sent the customer's browser to ask for consent, and was given a code.
    Authorize,
    /// It presented a code of this grant.
    Exchange { grant: Option<GrantId>, gives: Option<Given> },
    /// It presented this refresh token.
    Refresh {
        slip: Option<(GrantId, u64)>,
        retry_key: Option<String>,
        status: u16,
        lost: bool,
        gives: Option<Given>,
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
pub(super) struct Given {
    pub id_token: Fingerprint,
    pub access_token: Fingerprint,
}

/// What tells one token from another: a whole one is a kilobyte, and a storm is many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(token: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Act {
    /// What a request was, seen from when the grading `began`.
    pub(super) fn of(request: &Observed, ring: &Ring, began: Instant) -> Self {
        Self {
            came: request.came.saturating_duration_since(began),
            answered: request.answered.saturating_duration_since(began),
            what: what(request, ring),
        }
    }
}

fn what(request: &Observed, ring: &Ring) -> What {
    let path = request.path();
    match path {
        "/authorize" | "/auth" if gives_code(request) => What::Authorize,
        "/jwks" => What::Keys,
        "/token" => at_token(request, ring).unwrap_or(What::Other),
        _ if path.starts_with("/accounts") => {
            let header = request.headers.get(AUTHORIZATION.as_str()).unwrap_or_default();
            let token = header.split_once(' ').map_or(header, |(_, token)| token);
            What::Data { token: Fingerprint::of(token), status: request.status.as_u16() }
        }
        _ => What::Other,
    }
}

/// Whether the browser was sent back with a code, be it in the query or by a page that posts it.
fn gives_code(request: &Observed) -> bool {
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

fn at_token(request: &Observed, ring: &Ring) -> Option<What> {
    let form = Form::parse(&request.body).ok()?;
    let slip =
        |kind, name| form.get(name).and_then(|text| Slip::read(kind, text, &ring.slips).ok());
    match form.get("grant_type")? {
        "authorization_code" => Some(What::Exchange {
            grant: slip(Kind::Code, "code").map(|slip| slip.grant),
            gives: given(request),
        }),
        "refresh_token" => Some(What::Refresh {
            slip: slip(Kind::RefreshToken, "refresh_token").map(|slip| (slip.grant, slip.number)),
            retry_key: request.headers.get("idempotency-key").map(str::to_owned),
            status: request.status.as_u16(),
            lost: request.lost,
            gives: given(request),
        }),
        _ => None,
    }
}

fn given(request: &Observed) -> Option<Given> {
    if request.lost || request.status != StatusCode::OK {
        return None;
    }
    let body: Value = serde_json::from_slice(&request.answer).ok()?;
    let token = |name: &str| Fingerprint::of(body[name].as_str().unwrap_or_default());
    Some(Given { id_token: token("id_token"), access_token: token("access_token") })
}

impl Given {
    /// Whether `token` is one of them.
    pub(super) fn holds(&self, token: Fingerprint) -> bool {
        token == self.id_token || token == self.access_token
    }
}
