//! Permissions of a server's files: who else may read or write them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use counterfoil_store::StoreAddress;

use crate::Failure;

/// Any permission for others.
const OTHERS: u32 = 0o007;
/// Others may create files in a directory, and remove other users' files unless it is sticky.
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// (S) Checks that others may not read, write or replace the store and the files next to it. A group
/// may: its members are the operator's decision. Keys have a stricter check, which allows only the
/// owner.
pub(super) fn check(store: &StoreAddress) -> Result<(), Failure> {
    let problems = of_store(store);
    if problems.is_empty() { Ok(()) } else { Err(Failure::Failed(problems.join("\n"))) }
}

/// What is wrong with the store and the files next to it.
pub(super) fn of_store(store: &StoreAddress) -> Vec<String> {
    let StoreAddress::Sqlite(path) = store else {
        return Vec::new();
    };
    let files = ["", "-wal", "-shm", ".lock", ".sock"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    files.iter().filter_map(|file| of_file(file)).chain(of_directory(directory_of(path))).collect()
}

/// What is wrong with a file, if it exists.
pub(super) fn of_file(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok().filter(|meta| !meta.is_dir())?;
    let mode = meta.mode();
    let told = format!(
        "others may use {0}, whose mode is {1:03o}: `chmod o= {0}` ends that",
        path.display(),
        mode & 0o777
    );
    (mode & OTHERS != 0).then_some(told)
}

/// What is wrong with a directory, if it exists.
pub(super) fn of_directory(directory: &Path) -> Option<String> {
    let mode = std::fs::metadata(directory).ok()?.mode();
    let told = format!(
        "others may put files in the place of those in {0}, whose mode is {1:03o}: `chmod o-w {0}` ends that",
        directory.display(),
        mode & 0o777
    );
    (mode & OTHERS_WRITE != 0 && mode & STICKY == 0).then_some(told)
}

/// The directory that holds `path`.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
