//! The wings of the server, and that a request goes down and not back up.

use std::fs;
use std::path::{Path, PathBuf};

/// The top level of `src`, from top to bottom. A file imports from its own wing and from those
/// below.
const WINGS: [&str; 14] = [
    "lib",
    "serve",
    "routes",
    "openapi",
    "admin",
    "data",
    "oauth",
    "customer",
    "tokens",
    "grants",
    "authorization",
    "http",
    "node",
    "pages",
];

#[test]
fn no_wing_imports_from_one_above() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut upwards = Vec::new();
    for file in files_in(&src) {
        let inside = file.strip_prefix(&src).unwrap();
        let top = inside.components().next().unwrap().as_os_str();
        let own = height_of(Path::new(top).file_stem().unwrap().to_str().unwrap())
            .unwrap_or_else(|| panic!("{} is in no wing of the list", inside.display()));
        for wing in imported_by(&fs::read_to_string(&file).unwrap()) {
            if height_of(&wing).is_some_and(|height| height < own) {
                upwards.push(format!("{} imports from {wing}", inside.display()));
            }
        }
    }
    assert!(upwards.is_empty(), "{upwards:#?}");
}

fn height_of(wing: &str) -> Option<usize> {
    WINGS.iter().position(|name| *name == wing)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// What follows each `crate::`, comments left out.
fn imported_by(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = code.flat_map(|line| line.split("crate::").skip(1));
    paths
        .map(|path| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}
