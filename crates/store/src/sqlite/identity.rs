//! What a store is: for what, whose, and which.

use std::path::Path;

use counterfoil_core::random;
use rusqlite::{Connection, params};

use super::file::open_error;
use super::meta::{meta, set_meta};
use super::schema::has_table;
use crate::error::OpenError;
use crate::{OpenOptions, StoreKind};

/// Compares what the store is with what is wanted, before anything of it is changed.
pub(super) fn check_identity(
    db: &Connection,
    path: &Path,
    options: &OpenOptions,
) -> Result<(), OpenError> {
    let failed = |e: rusqlite::Error| open_error(path, &e);
    if !has_table(db, "meta").map_err(failed)? {
        return Ok(());
    }
    if meta(db, "copying").map_err(failed)?.is_some() {
        return Err(OpenError::Unfinished(path.display().to_string()));
    }
    let Some(found) = meta(db, "kind").map_err(failed)? else {
        return Ok(());
    };
    if found != options.kind.name() {
        let (wanted, holder) = (options.kind.name(), options.holder.clone());
        return Err(OpenError::WrongKind {
            store: path.display().to_string(),
            found,
            wanted,
            holder,
        });
    }
    let found = meta(db, "issuer").map_err(failed)?.unwrap_or_default();
    // A sandbox may come back on another port. Tokens of the old issuer are worthless from then on.
    if found != options.issuer && options.kind == StoreKind::Live {
        return Err(OpenError::OtherIssuer {
            store: path.display().to_string(),
            found,
            wanted: options.issuer.clone(),
        });
    }
    let moved_to = meta(db, "moved_to").map_err(failed)?;
    moved_to.map_or(Ok(()), |to| Err(OpenError::Moved { store: path.display().to_string(), to }))
}

/// Writes down what a new store is, and whose a sandbox's is now.
pub(super) fn write_identity(
    db: &Connection,
    path: &Path,
    options: &OpenOptions,
) -> Result<(), OpenError> {
    let write = || match meta(db, "issuer")? {
        Some(found) if found == options.issuer => Ok(()),
        Some(_) => set_meta(db, "issuer", &options.issuer),
        None => db
            .execute(
                "INSERT INTO meta VALUES ('kind', ?1), ('issuer', ?2), ('epoch', '0')",
                params![options.kind.name(), options.issuer],
            )
            .map(drop),
    };
    write().map_err(|e: rusqlite::Error| open_error(path, &e))
}

/// The store's id; where it has none yet, the one that its endings log has, or one that is drawn.
/// Copies and backups of a store have its id.
pub(super) fn id(db: &Connection, by_log: Option<&str>) -> rusqlite::Result<String> {
    let drawn = by_log
        .map_or_else(|| format!("{:032x}", u128::from_be_bytes(random::bytes())), str::to_owned);
    db.execute("INSERT INTO meta VALUES ('id', ?1) ON CONFLICT DO NOTHING", [&drawn])?;
    Ok(meta(db, "id")?.unwrap_or(drawn))
}
