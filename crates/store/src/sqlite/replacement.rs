//! How a restored store takes the place of the one before it.

use std::io;
use std::path::{Path, PathBuf};

use counterfoil_core::clock::Timestamp;

use crate::files::{beside, directory_of, sync_directory_of};

/// What stands between the name of a store and the time of its restore, while it waits to take its
/// place.
pub(super) const RESTORED: &str = ".restored-";

/// The time as it goes into a file's name, moved on while something of that name is there.
pub(super) fn free_time(path: &Path, now: Timestamp) -> String {
    let name = |at: Timestamp| at.to_string().replace(['-', ':'], "");
    let is_free = |at: &Timestamp| beside(path, &before(&name(*at))).symlink_metadata().is_err();
    (0..).map(|seconds| now.plus(seconds)).find(is_free).map_or_else(|| name(now), name)
}

fn before(time: &str) -> String {
    format!(".before-restore-{time}")
}

/// Has the restored store that waits beside `path`, if one does, take its place. Gives where the
/// one before it lies, if there was one.
pub(super) fn complete(path: &Path) -> io::Result<Option<PathBuf>> {
    let Some((new, time)) = waiting(path)? else {
        return Ok(None);
    };
    let old = beside(path, &before(&time));
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::rename(beside(path, suffix), beside(&old, suffix)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    // Else a loss of power could leave the new store with the old one's log.
    sync_directory_of(path)?;
    std::fs::rename(new, path)?;
    sync_directory_of(path)?;
    Ok(Some(old))
}

/// The restored store that waits to take its place, and its time.
fn waiting(path: &Path) -> io::Result<Option<(PathBuf, String)>> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    for entry in std::fs::read_dir(directory_of(path))? {
        let entry = entry?;
        let time = entry
            .file_name()
            .to_str()
            .and_then(|entry| entry.strip_prefix(name)?.strip_prefix(RESTORED).map(str::to_owned));
        if let Some(time) = time {
            return Ok(Some((entry.path(), time)));
        }
    }
    Ok(None)
}
