//! What a sandbox does to the server's requests: it injects faults, and shortens the ID tokens of a
//! client that is being graded.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::slip::{Kind, Slip};
use counterfoil_server::node::guest::{Guest, Sender, Special, Strike};
use counterfoil_store::{Store, StoreError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::Sandbox;
use crate::faults::{Effect, Fault, Faults};
use crate::grade::ID_TOKEN_WHILE_GRADED;

impl Guest for Sandbox {
    fn strike<'a>(
        &'a self,
        store: &'a Store,
        sender: Sender<'a>,
    ) -> BoxFuture<'a, Result<(), Strike>> {
        strike(&self.faults, store, sender).boxed()
    }

    fn before_issuing<'a>(
        &'a self,
        store: &'a Store,
        client: &'a str,
        slip: &'a Slip,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Special, StoreError>> {
        async move {
            expire(&self.faults, store, client, slip, now).await?;
            let skew = self.faults.take(store, |fault, effect| match effect {
                Effect::Skew(by) if fault.is_of(client) => Some(*by),
                _ => None,
            });
            let graded = self.grading.is_of(client);
            Ok(Special {
                skew: skew.await?.unwrap_or(0),
                id_token_lifetime: graded.then_some(ID_TOKEN_WHILE_GRADED),
            })
        }
        .boxed()
    }

    fn reload<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<(), StoreError>> {
        self.faults.read(store).boxed()
    }
}

/// Delays or refuses a request as the faults set for its sender say.
async fn strike(faults: &Faults, store: &Store, sender: Sender<'_>) -> Result<(), Strike> {
    let Sender { path, is_data, client, customer } = sender;
    let fits = |fault: &Fault| {
        fault.is_of(client)
            && fault.spec.path.as_deref().is_none_or(|at| at == path)
            && fault
                .spec
                .customer
                .as_deref()
                .is_none_or(|asked| customer.is_some_and(|customer| customer.customer == asked))
    };
    let delay = faults.take(store, |fault, effect| match effect {
        Effect::Delay(delay) if fits(fault) => Some(*delay),
        _ => None,
    });
    if let Some(delay) = delay.await.map_err(Strike::Store)? {
        tokio::time::sleep(delay).await;
    }
    let refusal = faults.take(store, |fault, effect| match effect {
        Effect::Unavailable(after) if fits(fault) => Some(Strike::Unavailable(*after)),
        Effect::TooManyRequests(after) if fits(fault) => Some(Strike::TooManyRequests(*after)),
        Effect::Fdx(error) if is_data && fits(fault) => Some(Strike::Fdx(*error)),
        _ => None,
    });
    match refusal.await.map_err(Strike::Store)? {
        Some(strike) => Err(strike),
        None => Ok(()),
    }
}

/// Expires a code or refresh token right before it is redeemed, if a fault asks for that.
async fn expire(
    faults: &Faults,
    store: &Store,
    client: &str,
    slip: &Slip,
    now: Timestamp,
) -> Result<(), StoreError> {
    let kind = if slip.number == 0 { Kind::Code } else { Kind::RefreshToken };
    let strikes = |fault: &Fault, effect: &Effect| {
        (fault.is_of(client) && *effect == Effect::ExpireNext(kind)).then_some(())
    };
    if !faults.any(strikes) {
        return Ok(());
    }
    // A slip that can't be redeemed anyway is refused for its own reason, and the fault waits for the
    // next one.
    let is_next = store
        .counterfoil(slip.grant)
        .await?
        .is_some_and(|row| row.next_slip == slip.number && now < row.expires_at);
    if is_next && faults.take(store, strikes).await?.is_some() {
        store.expire_slip(slip.grant, slip.number, now).await?;
    }
    Ok(())
}
