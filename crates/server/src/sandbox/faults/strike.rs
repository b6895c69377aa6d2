//! Where faults strike requests. On a live server there are none, and this is one look at an
//! option.

use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::grant::CustomerId;
use counterfoil_core::slip::{Kind, Slip};
use counterfoil_store::StoreError;

use super::{Effect, Fault};
use crate::http::refused::{Challenge, Refused, Shape};
use crate::node::app::App;

/// Why a request was refused that a fault struck.
const REASON: &str = "a fault that was set in this sandbox";

/// Lets the faults that are set for this client strike its request to `path`: it waits, or is
/// refused.
///
/// # Errors
/// 503, 429 or an FDX error, as was asked for; 503 where the store can't answer.
pub async fn strike(
    app: &App,
    path: &str,
    shape: Shape,
    client: &str,
    customer: Option<&CustomerId>,
) -> Result<(), Refused> {
    let fits = |fault: &Fault| {
        is_of(fault, client)
            && fault.wish.path.as_deref().is_none_or(|at| at == path)
            && fault
                .wish
                .customer
                .as_deref()
                .is_none_or(|asked| customer.is_some_and(|customer| customer.customer == asked))
    };
    let unavailable = |error| Refused::unavailable_at(shape, app, error);
    let delay = take(app, |fault, effect| match effect {
        Effect::Delay(delay) if fits(fault) => Some(*delay),
        _ => None,
    });
    if let Some(delay) = delay.await.map_err(unavailable)? {
        tokio::time::sleep(delay).await;
    }
    let refusal = take(app, |fault, effect| match effect {
        Effect::Unavailable(_) | Effect::TooManyRequests(_) if fits(fault) => Some(*effect),
        Effect::Fdx(_) if shape == Shape::Fdx && fits(fault) => Some(*effect),
        _ => None,
    });
    match refusal.await.map_err(unavailable)? {
        Some(Effect::Unavailable(after)) => Err(Refused::unavailable_for(shape, after, REASON)),
        Some(Effect::TooManyRequests(after)) => {
            Err(Refused::too_many_requests(shape, after, REASON))
        }
        Some(Effect::Fdx(error)) => {
            Err(Refused::fdx(error, Some(Challenge::BearerInvalidToken), REASON))
        }
        _ => Ok(()),
    }
}

/// Lets a code or refresh token expire before it is looked at, where that was asked for.
///
/// # Errors
/// The store can't answer.
pub async fn before_redeeming(
    app: &App,
    client: &str,
    slip: &Slip,
    now: Timestamp,
) -> Result<(), StoreError> {
    let kind = if slip.number == 0 { Kind::Code } else { Kind::RefreshToken };
    let strikes = |fault: &Fault, effect: &Effect| {
        (is_of(fault, client) && *effect == Effect::ExpireNext(kind)).then_some(())
    };
    if !app.sandbox.as_ref().is_some_and(|sandbox| sandbox.faults.any(strikes)) {
        return Ok(());
    }
    // One that can't be redeemed anyway is refused for what it is, and the fault waits for the
    // next.
    let is_next = app
        .store
        .counterfoil(slip.grant)
        .await?
        .is_some_and(|row| row.next_slip == slip.number && now < row.expires_at);
    if is_next && take(app, strikes).await?.is_some() {
        app.store.expire_slip(slip.grant, slip.number, now).await?;
    }
    Ok(())
}

/// By how many seconds the times in the next ID token of this client are off.
///
/// # Errors
/// The store can't answer.
pub async fn skew(app: &App, client: &str) -> Result<Seconds, StoreError> {
    let skew = take(app, |fault, effect| match effect {
        Effect::Skew(by) if is_of(fault, client) => Some(*by),
        _ => None,
    });
    Ok(skew.await?.unwrap_or(0))
}

/// Whether the answer to this client, which says that something was done, shall be lost. It is not
/// where the store can't answer.
pub async fn loses_answer(app: &App, client: &str) -> bool {
    let taken = take(app, |fault, effect| {
        (is_of(fault, client) && *effect == Effect::LoseAnswer).then_some(())
    });
    matches!(taken.await, Ok(Some(())))
}

fn is_of(fault: &Fault, client: &str) -> bool {
    fault.wish.client_id.as_deref().is_none_or(|of| of == client)
}

async fn take<T>(
    app: &App,
    strikes: impl Fn(&Fault, &Effect) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    match &app.sandbox {
        Some(sandbox) => sandbox.faults.take(&app.store, strikes).await,
        None => Ok(None),
    }
}
