//! Tokens may name a key that this node does not know because another node has just made it, so
//! this node polls once before it answers.

use std::sync::Arc;

use counterfoil_core::jws::Compact;
use counterfoil_core::slip_keys::SlipKeyId;

use crate::node::app::App;
use crate::node::keys::Ring;
use crate::node::poll::Unavailable;

/// The keys after a poll. Without other nodes there is nothing to poll for.
pub(crate) async fn polled_ring(app: &App) -> Result<Arc<Ring>, Unavailable> {
    if app.store.is_shared() {
        app.poll().await?;
    }
    Ok(app.keys.ring())
}

/// The keys; polls first if they lack this slip key.
///
/// # Errors
/// The store can't answer.
pub(crate) async fn ring_with(app: &App, key: SlipKeyId) -> Result<Arc<Ring>, Unavailable> {
    let ring = app.keys.ring();
    if ring.slips.know(key) { Ok(ring) } else { polled_ring(app).await }
}

/// The keys; polls first if they lack the one that `token` names.
///
/// # Errors
/// The store can't answer.
pub(crate) async fn ring_named_by(
    app: &App,
    token: &Compact<'_>,
) -> Result<Arc<Ring>, Unavailable> {
    let ring = app.keys.ring();
    if ring.is_named_by(token) { Ok(ring) } else { polled_ring(app).await }
}
