//! Restoring a backup: the new store is made wholly beside the old one, and then takes its place.
//!
//! A store at `NAME` is prepared as `NAME.restoring`. Once it is whole and on disk it is renamed to
//! `NAME.restored-TIME`, and from then on it is the store: whoever takes the lock next completes
//! what is left, however often that is cut short. `NAME` with its log and index becomes
//! `NAME.before-restore-TIME`, then the new one becomes `NAME`. So no start in between finds
//! nothing, or one store with the log of another.

use std::fs::File;
use std::io;
use std::path::Path;

use counterfoil_core::clock::{Doubt, StoreTime, Timestamp, check_at_start};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::batch::Batch;
use super::endings::recent_endings;
use super::file::{APPLICATION_ID, damage, look_into};
use super::identity::{check_identity, id};
use super::meta::meta;
use super::ownership::own;
use super::replacement::{RESTORED, complete, free_time};
use super::schema::{check_schema, migrate};
use super::times::noted;
use super::{endings_log, loss};
use crate::OpenOptions;
use crate::agreement::{Held, OnDifference, look};
use crate::endings::Endings;
use crate::endings_log::KnownLog;
use crate::error::OpenError;
use crate::files::{beside, create_private_of, sync_directory_of};
use crate::journal::{Line, Numbered};
use crate::loss::LossDeclared;
use crate::restore::{RestoreError, Restored};

/// What SQLite may have beside a file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Restores the backup at `from` as the store at `path`.
pub(crate) fn restore(
    path: &Path,
    options: &OpenOptions,
    from: &Path,
    endings: &Endings,
    accept_lost_endings: bool,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let _lock = own(path, options)?;
    let no_backup = |problem: String| RestoreError::Backup { path: from.to_owned(), problem };
    if from.canonicalize().is_ok_and(|from| path.canonicalize().is_ok_and(|path| path == from)) {
        return Err(no_backup("it is the store itself".into()));
    }
    let backup = look_at(from, options)?;
    check_clock(path, &backup, now)?;
    let endings = &endings.clone().not_ahead_of(now);
    let new = beside(path, ".restoring");
    let written = |problem: String| RestoreError::Written { path: new.clone(), problem };
    remove(&new).map_err(|e| written(e.to_string()))?;
    let prepare = || {
        let db = copied(path, &new, &backup).map_err(written)?;
        let recent = recent_endings(&db).map_err(|e| no_backup(e.to_string()))?;
        endings.must_be_of(&id(&db, endings.store()).map_err(|e| no_backup(e.to_string()))?)?;
        if !accept_lost_endings {
            endings
                .must_go_on_from(&endings_log::known(&db).map_err(|e| no_backup(e.to_string()))?)?;
        }
        if !accept_lost_endings && !endings.know_any_of(&recent) {
            return Err(RestoreError::OtherEndings(recent.len()));
        }
        let (loss, restored, lines) =
            declared(&new, db, endings, accept_lost_endings, now).map_err(written)?;
        // The store's own journal knows from now on what was learnt from others.
        if let Some(log) = &options.endings_log {
            write_down(log, path, restored, lines).map_err(|e| written(e.to_string()))?;
        }
        let ready = beside(path, &format!("{RESTORED}{}", free_time(path, now)));
        std::fs::rename(&new, ready)
            .and_then(|()| sync_directory_of(path))
            .map_err(|e| written(e.to_string()))?;
        Ok(loss)
    };
    let loss = match prepare() {
        Ok(loss) => loss,
        Err(error) => {
            let _ = remove(&new);
            return Err(error);
        }
    };
    let old = complete(path).map_err(|e| RestoreError::Unfinished(e.to_string()))?;
    Ok(Restored { loss, old: old.filter(|old| old.exists()) })
}

/// Holds the clock against what the store and the backup know, before anything is dated by it. What
/// noted no time, or can't be read, says nothing.
fn check_clock(path: &Path, backup: &Connection, now: Timestamp) -> Result<(), RestoreError> {
    let check = |newest| {
        check_at_start(now.unix().saturating_mul(1000), StoreTime { newest, database: None })
    };
    let store = look_into(path).ok();
    check(store.and_then(|db| noted(&db).ok().flatten()))?;
    match check(noted(backup).ok().flatten()) {
        // A backup may be old.
        Err(Doubt::Ahead { .. }) | Ok(()) => Ok(()),
        Err(doubt) => Err(doubt.into()),
    }
}

/// Opens the backup and holds it against what the store must be, before anything is touched.
fn look_at(from: &Path, options: &OpenOptions) -> Result<Connection, RestoreError> {
    let unusable = |problem: String| RestoreError::Backup { path: from.to_owned(), problem };
    let failed = |e: rusqlite::Error| unusable(e.to_string());
    File::open(from).map_err(|e| unusable(e.to_string()))?;
    let backup = Connection::open_with_flags(
        from,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(failed)?;
    let id: i32 =
        backup.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    if id != APPLICATION_ID
        || check_schema(&backup, from)? == 0
        || meta(&backup, "kind").map_err(failed)?.is_none()
    {
        let problem = "it is empty, or the SQLite database of another program".into();
        return Err(OpenError::Foreign { store: from.display().to_string(), problem }.into());
    }
    check_identity(&backup, from, options)?;
    match damage(&backup, "integrity_check").map_err(failed)? {
        None => Ok(backup),
        Some(problem) => Err(unusable(format!("it is damaged: {problem}"))),
    }
}

/// Makes the store that is to be at `path` as a file of its own, of the schema of this version.
fn copied(path: &Path, new: &Path, backup: &Connection) -> Result<Connection, String> {
    create_private_of(std::fs::metadata(path).ok(), new).map_err(|e| e.to_string())?;
    let make = || -> rusqlite::Result<Connection> {
        let mut db = Connection::open_with_flags(
            new,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        while Backup::new(backup, &mut db)?.step(-1)? != StepResult::Done {
            std::thread::yield_now();
        }
        db.execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
        )?;
        Ok(db)
    };
    let mut db = make().map_err(|e| e.to_string())?;
    let schema = check_schema(&db, new).map_err(|e| e.to_string())?;
    migrate(&mut db, new, schema).map_err(|e| e.to_string())?;
    Ok(db)
}

/// What a store knows of endings logs, with its id.
struct OfLogs {
    id: String,
    known: Vec<KnownLog>,
}

/// Writes what endings were new to the backup into the store's own log, which agrees with the
/// restored store from then on.
fn write_down(
    log: &Path,
    path: &Path,
    OfLogs { id, known }: OfLogs,
    lines: Vec<Line>,
) -> Result<(), OpenError> {
    let found = look(log)?;
    let held = Held::against(
        (log, &found),
        (&path.display().to_string(), &id, &known),
        OnDifference::DeclareLoss,
        false,
    )?;
    let (last, failed) = (held.standing.line, |e: io::Error| OpenError::EndingsLog {
        path: log.to_owned(),
        problem: e.to_string(),
    });
    let mut journal = held.open(id, Vec::new())?;
    journal.add(lines.into_iter().map(Numbered::again));
    journal.reaches(last);
    journal.write().map_err(failed)
}

/// Declares the loss in the restored store; gives what that came to, what it knows of logs, and
/// what endings were new to the backup.
fn declared(
    new: &Path,
    db: Connection,
    endings: &Endings,
    accept_lost_endings: bool,
    now: Timestamp,
) -> Result<(LossDeclared, OfLogs, Vec<Line>), String> {
    let declare = || -> rusqlite::Result<(LossDeclared, OfLogs, Vec<Line>)> {
        let transaction = db.unchecked_transaction()?;
        let mut batch = Batch::new(&db, false);
        let counted = loss::apply(&mut batch, &endings.lines)?;
        let (epoch, bearers_from) =
            loss::raise(&mut batch, accept_lost_endings.then_some(now), &endings.reach())?;
        let lines = batch.into_lines();
        let of_logs = OfLogs { id: id(&db, None)?, known: endings_log::known(&db)? };
        transaction.commit()?;
        Ok((LossDeclared { epoch, bearers_from, ..counted }, of_logs, lines))
    };
    let declared = declare().map_err(|e| e.to_string())?;
    db.close().map_err(|(_, e)| e.to_string())?;
    File::open(new).and_then(|file| file.sync_all()).map_err(|e| e.to_string())?;
    Ok(declared)
}

/// Removes what an earlier try left.
fn remove(path: &Path) -> io::Result<()> {
    for path in BESIDE.iter().map(|suffix| beside(path, suffix)).chain([path.to_owned()]) {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
