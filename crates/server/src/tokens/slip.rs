//! Reads slips: codes and refresh tokens.

use std::sync::Arc;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::slip::{Kind, NotASlip, Slip};

use crate::node::app::App;
use crate::node::keys::Ring;
use crate::node::known_keys::polled_ring;
use crate::node::poll::Unavailable;

/// Reads a slip; also returns the keys that it was read with.
///
/// # Errors
/// The outer error: the store can't answer. The inner one: it is not our slip.
pub async fn read_slip(
    app: &App,
    kind: Kind,
    text: &str,
) -> Result<(Arc<Ring>, Result<Slip, NotASlip>), Unavailable> {
    let mut ring = app.keys.ring();
    let mut slip = Slip::read(kind, text, &ring.slips);
    if matches!(slip, Err(NotASlip::UnknownKey(_))) {
        ring = polled_ring(app).await?;
        slip = Slip::read(kind, text, &ring.slips);
    }
    Ok((ring, slip))
}

/// The same for a slip that is to be redeemed at `now`, which excludes those of a compromised key
/// whose grace period is over. To revoke its grant, a slip works for as long as its key is kept.
///
/// # Errors
/// As [`read_slip`].
pub async fn read_good_slip(
    app: &App,
    kind: Kind,
    text: &str,
    now: Timestamp,
) -> Result<(Arc<Ring>, Result<Slip, NotASlip>), Unavailable> {
    let (ring, slip) = read_slip(app, kind, text).await?;
    let slip = slip.and_then(|slip| {
        if ring.refuses(slip.key, now) { Err(NotASlip::RetiredKey(slip.key)) } else { Ok(slip) }
    });
    Ok((ring, slip))
}
