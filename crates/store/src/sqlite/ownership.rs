//! One process owns the file.

use std::path::Path;

use super::replacement::complete;
use crate::OpenOptions;
use crate::agreement::must_be_apart;
use crate::error::OpenError;
use crate::files::directory_of;
use crate::lock::Lock;

/// Takes the lock of the store at `path`, and completes a restore that was cut short.
pub(super) fn own(path: &Path, options: &OpenOptions) -> Result<Lock, OpenError> {
    let directory = directory_of(path);
    if !directory.is_dir() {
        return Err(OpenError::NoDirectory(directory.to_owned()));
    }
    if path.is_dir() {
        return Err(OpenError::Foreign {
            store: path.display().to_string(),
            problem: "it is a directory".into(),
        });
    }
    if let Some(log) = &options.endings_log {
        must_be_apart(log, path)?;
    }
    let lock = Lock::take(path, &options.holder)?;
    match complete(path) {
        Ok(None) => {}
        Ok(Some(old)) => {
            tracing::warn!(old = %old.display(), "a restore had been cut short and was completed; the store before it lies apart")
        }
        Err(e) => {
            let problem = format!("a restore was cut short and can't be completed: {e}");
            return Err(OpenError::NotWritable { store: path.display().to_string(), problem });
        }
    }
    Ok(lock)
}
