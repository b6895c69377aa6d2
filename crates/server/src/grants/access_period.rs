//! How long a client has access.

use counterfoil_core::client::Client;
use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::scope::Scopes;
use serde::{Deserialize, Serialize};

use crate::node::app::App;

/// How long a client has access.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessPeriod {
    /// Until then: the client may refresh.
    Until(Timestamp),
    /// In seconds. Without a refresh token, access ends with the only ID token, which is issued
    /// while the code is valid.
    For(Seconds),
}

impl AccessPeriod {
    /// How long access granted to `client` at `from` lasts at most.
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

    /// The latest end, for a consent given at `now` whose code lives for `code` seconds.
    pub const fn end(self, now: Timestamp, code: Seconds) -> Timestamp {
        match self {
            Self::Until(end) => end,
            Self::For(seconds) => now.plus(seconds + code),
        }
    }
}
