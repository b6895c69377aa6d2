//! Backups, and declaring a loss of data.

use std::path::{Path, PathBuf};

use counterfoil_core::clock::Timestamp;
use counterfoil_store::Endings;
use serde_json::{Value, json};

use super::failed;
use crate::node::app::App;

/// Copies the store to a new file at `to`.
pub(super) async fn back_up(app: &App, to: &Path) -> Result<Value, String> {
    let backup = app.store.backup(to).await.map_err(failed)?;
    tracing::info!(to = %to.display(), bytes = backup.bytes, "the store was backed up");
    let seconds = (backup.took.as_secs_f64() * 1e3).round() / 1e3;
    let longest_stall_ms = (backup.longest_stall.as_secs_f64() * 1e4).round() / 10.0;
    Ok(
        json!({ "to": to, "bytes": backup.bytes, "seconds": seconds, "longest_stall_ms": longest_stall_ms }),
    )
}

/// Declares that the store has lost its latest writes, and applies the endings from the logs.
pub(super) async fn declare_loss(
    app: &App,
    files: Vec<PathBuf>,
    accept_lost_endings: bool,
    now: Timestamp,
) -> Result<Value, String> {
    let endings = tokio::task::spawn_blocking(move || Endings::read(&files))
        .await
        .map_err(failed)?
        .map_err(failed)?;
    let declared = app.store.declare_loss(&endings, accept_lost_endings, now).await;
    // Even if it failed: part of it may be committed.
    app.reload_clients().await.map_err(failed)?;
    app.reload_bearers_from().await.map_err(failed)?;
    let declared = declared.map_err(failed)?;
    tracing::warn!(
        epoch = declared.epoch,
        applied = declared.applied,
        "a loss of data was declared"
    );
    Ok(json!({
        "epoch": declared.epoch,
        "endings_applied": declared.applied,
        "endings_known": declared.known,
        "endings_unknown": declared.unknown,
        "bearers_from": declared.bearers_from.map(|from| from.to_string()),
        "torn": endings.torn(),
    }))
}
