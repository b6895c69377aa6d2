//! The properties of the fuzz targets, held against every file of their corpora, so that what the
//! fuzzers found stays found without them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod properties;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Runs `property` on every file of the corpus of `target`, of which there must be some.
fn holds_for_the_corpus(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let fails = |file: &&PathBuf| {
        let data = std::fs::read(file).unwrap();
        catch_unwind(|| property(&data)).is_err()
    };
    let failing: Vec<_> = files.iter().filter(fails).collect();
    assert!(failing.is_empty(), "`{target}` does not hold for {failing:#?}");
}

#[test]
fn slip() {
    holds_for_the_corpus("slip", properties::slip);
}

#[test]
fn form() {
    holds_for_the_corpus("form", properties::form);
}

#[test]
fn basic() {
    holds_for_the_corpus("basic", properties::basic);
}

#[test]
fn jwt() {
    holds_for_the_corpus("jwt", properties::jwt);
}

#[test]
fn redirect_uri() {
    holds_for_the_corpus("redirect_uri", properties::redirect_uri);
}
