//! Faults that happen at once.

use std::sync::Arc;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_core::slip::Kind;
use counterfoil_server::App;
use counterfoil_server::grants::end::end;
use counterfoil_server::http::body::malformed;
use counterfoil_server::http::refused::Refused;
use counterfoil_server::node::keys::KeysError;
use counterfoil_server::tokens::slip::read_slip;
use counterfoil_store::{Grant, GrantFilter};

use super::{Effect, FaultSpec};
use crate::PROVIDER;

/// How many grants of a client or customer a fault applies to at most, newest first.
const GRANTS: u32 = 1000;

/// Carries out a fault.
///
/// # Errors
/// 400 if there is nothing it applies to, 503.
pub(crate) async fn happen(
    app: &Arc<App>,
    spec: &FaultSpec,
    effect: Effect,
    now: Timestamp,
) -> Result<(), Refused> {
    match effect {
        Effect::RotateKeys => {
            app.keys.rotate(&app.store, now, now).await.map_err(|error| match error {
                KeysError::Store(error) => Refused::unavailable(error),
                error => Refused::internal(error),
            })
        }
        Effect::RevokeGrant => {
            for (grant, _) in living(app, spec, now, |_| true).await? {
                end(app, grant, EndedBy::Customer, now).await.map_err(Refused::unavailable)?;
            }
            Ok(())
        }
        Effect::ExpireNow(kind) => {
            let next_is_of_kind =
                |grant: &Grant| (grant.counterfoil.next_slip == 0) == (kind == Kind::Code);
            let slips = match spec.slip() {
                Some(text) => vec![named(app, spec, kind, text).await?],
                None => {
                    living(app, spec, now, |grant| {
                        next_is_of_kind(grant) && now < grant.counterfoil.expires_at
                    })
                    .await?
                }
            };
            for (grant, number) in slips {
                app.store.expire_slip(grant, number, now).await.map_err(Refused::unavailable)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Grant and number of a code or refresh token that can still be redeemed. A redeemed one is refused:
/// expiring it would expire its successor.
async fn named(
    app: &App,
    spec: &FaultSpec,
    kind: Kind,
    text: &str,
) -> Result<(GrantId, u64), Refused> {
    let refuse =
        |problem: &str| malformed(app, format!("{}: the value {problem}", spec.fault.name()));
    let (_, slip) = read_slip(app, kind, text).await.map_err(Refused::unavailable)?;
    let slip = slip.map_err(|_| refuse("is none that this sandbox issued as such"))?;
    let grant = app
        .store
        .grant(slip.grant)
        .await
        .map_err(Refused::unavailable)?
        .ok_or_else(|| refuse("belongs to no grant"))?;
    if spec.client_id.as_deref().is_some_and(|client| client != &*grant.terms.client) {
        return Err(refuse("is another client's"));
    }
    if slip.number != grant.counterfoil.next_slip {
        return Err(refuse("was redeemed before"));
    }
    Ok((slip.grant, slip.number))
}

/// The living grants a fault applies to, each with the number of its next slip; at least one.
async fn living(
    app: &App,
    spec: &FaultSpec,
    now: Timestamp,
    which: impl Fn(&Grant) -> bool,
) -> Result<Vec<(GrantId, u64)>, Refused> {
    let customer = spec
        .customer()
        .map(|customer| CustomerId { provider: PROVIDER.into(), customer: customer.to_owned() });
    let filter =
        GrantFilter { client: spec.client_id.clone(), customer, before: None, limit: GRANTS };
    let grants = app.store.grants(&filter).await.map_err(Refused::unavailable)?;
    let which = grants.iter().filter(|grant| grant.is_living(now) && which(grant));
    let found: Vec<_> =
        which.map(|grant| (grant.terms.grant, grant.counterfoil.next_slip)).collect();
    if found.is_empty() {
        return Err(malformed(
            app,
            format!(
                "there is nothing for {} to strike: no such grant is living",
                spec.fault.name()
            ),
        ));
    }
    Ok(found)
}
