//! Keys that a token names and this node does not know: another node may have made one a moment
//! ago, so this node polls once before it answers.

use std::sync::Arc;

use counterfoil_core::jws::Compact;
use counterfoil_core::slip_keys::SlipKeyId;

use crate::node::app::App;
use crate::node::keys::Ring;
use crate::node::poll::Unavailable;

/// The keys after a poll. Where nobody else makes keys there is nothing to poll for.
pub(crate) async fn polled_ring(app: &App) -> Result<Arc<Ring>, Unavailable> {
    if app.store.is_shared() {
        app.poll().await?;
    }
    Ok(app.keys.ring())
}

/// The keys, where they hold this slip key or not even another node's do.
///
/// # Errors
/// The store can't answer.
pub(crate) async fn ring_with(app: &App, key: SlipKeyId) -> Result<Arc<Ring>, Unavailable> {
    let ring = app.keys.ring();
    if ring.slips.know(key) { Ok(ring) } else { polled_ring(app).await }
}

/// The keys, where one of them is the one that `token` names or not even another node's is.
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
