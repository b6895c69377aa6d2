//! Tokens that name a key which is not known here: another node may have made it a moment ago.
//! Before one is refused for that, this node looks for changes, once.

use std::sync::Arc;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::jws::Compact;
use counterfoil_core::slip::{Kind, NotASlip, Slip};
use counterfoil_core::slip_keys::SlipKeyId;

use crate::node::app::App;
use crate::node::follow::Unavailable;
use crate::node::keys::Ring;

/// The keys as they are after a look for changes. Where nobody else makes keys there is nothing to
/// look for.
async fn after_a_look(app: &App) -> Result<Arc<Ring>, Unavailable> {
    if app.store.is_shared() {
        app.follow.look(app).await?;
    }
    Ok(app.keys.ring())
}

/// Reads a slip; gives the keys that it was read with, too.
///
/// # Errors
/// The outer error is that the store can't answer, the inner one that it is no slip of ours.
pub async fn read_slip(
    app: &App,
    kind: Kind,
    text: &str,
) -> Result<(Arc<Ring>, Result<Slip, NotASlip>), Unavailable> {
    let mut ring = app.keys.ring();
    let mut slip = Slip::read(kind, text, &ring.slips);
    if matches!(slip, Err(NotASlip::UnknownKey(_))) {
        ring = after_a_look(app).await?;
        slip = Slip::read(kind, text, &ring.slips);
    }
    Ok((ring, slip))
}

/// The same for a slip that is to be good for something at `now`, which one is not whose key others
/// may have, once the time for which that was borne is over. To revoke its grant it is good for as
/// long as the key is kept.
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

/// The keys, where they hold this slip key or not even another node's do.
///
/// # Errors
/// The store can't answer.
pub async fn ring_with(app: &App, key: SlipKeyId) -> Result<Arc<Ring>, Unavailable> {
    let ring = app.keys.ring();
    if ring.slips.know(key) { Ok(ring) } else { after_a_look(app).await }
}

/// The keys, where one of them is the one that `token` names or not even another node's is.
///
/// # Errors
/// The store can't answer.
pub async fn ring_named_by(app: &App, token: &Compact<'_>) -> Result<Arc<Ring>, Unavailable> {
    let ring = app.keys.ring();
    if ring.is_named_by(token) { Ok(ring) } else { after_a_look(app).await }
}
