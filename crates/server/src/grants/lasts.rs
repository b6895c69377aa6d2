//! How long a client has access.

use counterfoil_core::client::Client;
use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::scope::Scopes;
use serde::{Deserialize, Serialize};

use crate::node::app::App;

/// How long a client has access.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasts {
    /// Until then: it may refresh.
    Until(Timestamp),
    /// For as many seconds: without a refresh token, access ends with its one ID token, which is
    /// issued while the code is good.
    For(Seconds),
}

impl Lasts {
    /// How long what `client` is allowed at `from` lasts at the most.
    pub fn of(app: &App, client: &Client, scopes: Scopes, from: Timestamp) -> Self {
        let lifetimes = &app.settings.lifetimes;
        let longest = client
            .settings
            .longest_grant()
            .map_or(lifetimes.grant, |client| client.min(lifetimes.grant));
        if client.settings.may_refresh(scopes) {
            Self::Until(from.plus(longest))
        } else {
            Self::For(longest.min(lifetimes.id_token))
        }
    }

    /// When it ends at the latest, for a consent given at `now` whose code lives for `code`
    /// seconds.
    pub const fn end(self, now: Timestamp, code: Seconds) -> Timestamp {
        match self {
            Self::Until(end) => end,
            Self::For(seconds) => now.plus(seconds + code),
        }
    }
}
