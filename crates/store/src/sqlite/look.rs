//! A look at a file that a start would find.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::file::{APPLICATION_ID, look_into, open_error};
use super::identity::check_identity;
use super::schema::check_schema;
use super::times;
use crate::OpenOptions;
use crate::error::OpenError;
use crate::files::directory_of;
use crate::lock::Lock;
use crate::look::Found;

pub(crate) fn look(path: &Path, options: &OpenOptions) -> Result<Option<Found>, OpenError> {
    let store = || path.display().to_string();
    let directory = directory_of(path);
    if !directory.is_dir() {
        return Err(OpenError::NoDirectory(directory.to_owned()));
    }
    let may = |path: &Path, access: Access, what: &str| {
        accessat(CWD, path, access, AtFlags::EACCESS).map_err(|e| OpenError::NotWritable {
            store: store(),
            problem: format!("this user may not {what} {}: {e}", path.display()),
        })
    };
    // For its log, its lock and its socket.
    may(directory, Access::WRITE_OK | Access::EXEC_OK, "make files in")?;
    let meta = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        meta => {
            meta.map_err(|e| OpenError::NotWritable { store: store(), problem: e.to_string() })?
        }
    };
    if !meta.is_file() {
        return Err(OpenError::Foreign { store: store(), problem: "it is no regular file".into() });
    }
    may(path, Access::READ_OK | Access::WRITE_OK, "read and write")?;
    if meta.len() == 0 {
        return Ok(None);
    }
    let failed = |e: rusqlite::Error| open_error(path, &e);
    let db = look_into(path).map_err(failed)?;
    let is_ours = || -> rusqlite::Result<Option<bool>> {
        let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables: i64 =
            db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        Ok(if id == APPLICATION_ID { Some(true) } else { (tables > 0).then_some(false) })
    };
    match is_ours().map_err(failed)? {
        Some(true) => {}
        Some(false) => {
            let problem = "it is the SQLite database of another program".into();
            return Err(OpenError::Foreign { store: store(), problem });
        }
        None => return Ok(None),
    }
    if check_schema(&db, path)? == 0 {
        return Ok(None);
    }
    check_identity(&db, path, options)?;
    let holds = |sql| db.prepare(sql).and_then(|mut query| query.exists([]));
    let made_with_keys = match () {
        () if holds("SELECT 1 FROM terms").map_err(failed)? => Some("grants"),
        () if holds("SELECT 1 FROM client_secret").map_err(failed)? => Some("client secrets"),
        () => None,
    };
    let time = times::known(&db).map_err(failed)?;
    Ok(Some(Found { holder: Lock::holder(path), made_with_keys, time, ..Found::default() }))
}
