//! Files beside files, whom new ones belong to, and getting their names to disk.

use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

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

/// Makes a file for its owner alone, to be read and written. One that root makes belongs to the
/// owner of the directory that it is in: an admin command of root's must not leave files that the
/// server's own user can't use.
///
/// # Errors
/// What the system says; where there is something of that name, be it a link that leads nowhere,
/// [`io::ErrorKind::AlreadyExists`].
pub fn create_private(path: &Path) -> io::Result<File> {
    create_file(path, 0o600)
}

/// Makes a file of that mode, which belongs to whom that of [`create_private`] does.
///
/// # Errors
/// Those of [`create_private`].
pub fn create_file(path: &Path, mode: u32) -> io::Result<File> {
    create(path, mode, &std::fs::metadata(directory_of(path))?)
}

/// Makes a file for its owner alone that goes with a store or takes its place: one that root makes
/// belongs to the owner of the `store`, where there is one, who may use a directory of root's by
/// their group.
pub(crate) fn create_private_of(store: Option<Metadata>, path: &Path) -> io::Result<File> {
    match store {
        Some(store) => create(path, 0o600, &store),
        None => create_private(path),
    }
}

fn create(path: &Path, mode: u32, like: &Metadata) -> io::Result<File> {
    let file = File::options().create_new(true).read(true).write(true).mode(mode).open(path)?;
    give_to_owner_of(like, &file)?;
    Ok(file)
}

/// Makes a directory of that mode, which belongs to whom a file of [`create_private`] does.
///
/// # Errors
/// What the system says; where there is something of that name, [`io::ErrorKind::AlreadyExists`].
pub fn create_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    if !geteuid().is_root() {
        return Ok(());
    }
    let what = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let made = File::options()
        .read(true)
        .custom_flags(i32::try_from(what.bits()).unwrap_or(0))
        .open(path)?;
    give_to_owner_of(&std::fs::metadata(directory_of(path))?, &made)
}

/// (S) What was just made, and is known by its descriptor: by its name, a link that somebody puts
/// in its place would have the system give away another file.
fn give_to_owner_of(like: &Metadata, made: &File) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let made_by = made.metadata()?;
    // In the directory of a user who may have put something there meanwhile, what is not root's is
    // none of ours.
    if like.uid() == made_by.uid() || made_by.uid() != 0 {
        return Ok(());
    }
    fchown(made, Some(like.uid()), Some(like.gid()))
}
