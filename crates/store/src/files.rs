//! Files beside files, and getting their names to disk.

use std::fs::File;
use std::path::{Path, PathBuf};

/// The path whose name is that of `path` with `suffix` behind it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The directory that holds `path`.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the names in the directory of `path` are on disk.
pub(crate) fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    File::open(directory_of(path)).and_then(|directory| directory.sync_all())
}
