//! What a sandbox may do to a request. Called after a client has authenticated, after a bearer
//! token was checked, and before tokens are issued; nowhere else. A live server has no guest.

use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::fdx::FdxError;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::slip::Slip;
use counterfoil_store::{Store, StoreError};
use futures_util::future::BoxFuture;

/// A sandbox, as seen by requests.
pub trait Guest: Send + Sync {
    /// Delays or refuses a request.
    fn strike<'a>(
        &'a self,
        store: &'a Store,
        request: Sender<'a>,
    ) -> BoxFuture<'a, Result<(), Strike>>;

    /// Decides what is special about the tokens that `slip` is redeemed for; may expire the slip
    /// first.
    ///
    /// # Errors
    /// The store can't answer.
    fn before_issuing<'a>(
        &'a self,
        store: &'a Store,
        client: &'a str,
        slip: &'a Slip,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Special, StoreError>>;

    /// Reads what other nodes have changed.
    ///
    /// # Errors
    /// The store can't answer.
    fn reload<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The sender of a request, once known.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The path of the route; `/accounts` for all account paths.
    pub path: &'a str,
    /// Whether the route serves the bank's data, with FDX's errors.
    pub is_data: bool,
    /// The client.
    pub client: &'a str,
    /// The customer, if the request has a bearer token.
    pub customer: Option<&'a CustomerId>,
}

/// How a request is refused.
#[derive(Debug)]
pub enum Strike {
    /// 503, with `Retry-After` in seconds.
    Unavailable(Seconds),
    /// 429, with `Retry-After` in seconds.
    TooManyRequests(Seconds),
    /// An FDX error.
    Fdx(FdxError),
    /// The store can't answer.
    Store(StoreError),
}

/// What is special about a token response.
#[derive(Clone, Copy, Default, Debug)]
pub struct Special {
    /// Shifts the times in the ID token, in seconds.
    pub skew: Seconds,
    /// Replaces the configured lifetime of the ID token, in seconds.
    pub id_token_lifetime: Option<Seconds>,
}
