//! What a sandbox may do to a request. It is asked where a client has proven itself, where a bearer
//! has, and before tokens are issued, and nowhere else. A live server has no guest.

use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::fdx::FdxError;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::slip::Slip;
use counterfoil_store::{Store, StoreError};
use futures_util::future::BoxFuture;

/// A sandbox, as requests meet it.
pub trait Guest: Send + Sync {
    /// Delays or refuses a request.
    fn strike<'a>(
        &'a self,
        store: &'a Store,
        request: Sender<'a>,
    ) -> BoxFuture<'a, Result<(), Strike>>;

    /// Says what is special about the tokens that `slip` will be redeemed for; may let the slip
    /// expire first.
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

    /// Reads from the store what other nodes have changed.
    ///
    /// # Errors
    /// The store can't answer.
    fn reload<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// Whose request it is, once that is known.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The path of the route; `/accounts` for every path of accounts.
    pub path: &'a str,
    /// Whether it asks for the bank's data, where errors are FDX's.
    pub is_data: bool,
    /// The client.
    pub client: &'a str,
    /// The customer, where the request has a bearer.
    pub customer: Option<&'a CustomerId>,
}

/// What a request is refused with.
#[derive(Debug)]
pub enum Strike {
    /// 503, and the client may come back after so many seconds.
    Unavailable(Seconds),
    /// 429, and the client may come back after so many seconds.
    TooManyRequests(Seconds),
    /// An error of FDX.
    Fdx(FdxError),
    /// The store can't answer.
    Store(StoreError),
}

/// What is special about tokens.
#[derive(Clone, Copy, Default, Debug)]
pub struct Special {
    /// By how many seconds the times in the ID token are off.
    pub skew: Seconds,
    /// How long the ID token lives, where that is not what the operator decided.
    pub id_token_lifetime: Option<Seconds>,
}
