use std::os::unix::fs::PermissionsExt;

use counterfoil_core::clock::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::node::keys::file::SlipEntry;

const ISSUER: &str = "https://a.example";

/// Keys without signing keys, which take their time to make.
fn document() -> KeyFile {
    let now = Timestamp::from_unix(1_790_000_000);
    KeyFile {
        signing: Vec::new(),
        slip: vec![SlipEntry::new(1, now)],
        ..KeyFile::new(now).unwrap()
    }
}

fn sealing() -> (Sealing, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Sealing::under(&dir.path().join("keys"), true).unwrap(), dir)
}

fn stored(sealing: &Sealing, file: &KeyFile, version: i64) -> StoredKeys {
    StoredKeys { version, document: sealing.seal(file, ISSUER, version).unwrap() }
}

fn refused(sealing: &Sealing, stored: &StoredKeys, issuer: &str) -> String {
    sealing.open(stored, issuer).unwrap_err().to_string()
}

#[test]
fn a_document_opens_at_a_node_with_the_same_key_alone() {
    let (ours, dir) = sealing();
    let file = document();
    let third = stored(&ours, &file, 3);
    let another_node = Sealing::under(&dir.path().join("keys"), false).unwrap();
    assert_eq!(
        another_node.open(&third, ISSUER).unwrap().to_json().unwrap(),
        file.to_json().unwrap()
    );
    let (theirs, _theirs) = sealing();
    let told = refused(&theirs, &third, ISSUER);
    assert!(
        told.contains("store.key does not open them")
            && told.contains("copy it here from another node"),
        "{told}"
    );
}

#[test]
fn a_document_of_another_issuer_an_earlier_one_and_a_changed_one_do_not_open() {
    let (ours, _dir) = sealing();
    let third = stored(&ours, &document(), 3);
    assert!(refused(&ours, &third, "https://b.example").contains("another issuer's"));
    refused(&ours, &StoredKeys { version: 4, ..third.clone() }, ISSUER);
    let mut flipped = third.clone();
    flipped.document[third.document.len() / 2] ^= 1;
    refused(&ours, &flipped, ISSUER);
}

#[test]
fn what_is_in_the_clear_is_a_sandboxs_alone() {
    let (ours, _dir) = sealing();
    let clear = stored(&Sealing::InTheClear, &document(), 1);
    assert_eq!(Sealing::InTheClear.open(&clear, ISSUER).unwrap().slip.len(), 1);
    refused(&ours, &clear, ISSUER);
    let sealed = stored(&ours, &document(), 1);
    assert!(refused(&Sealing::InTheClear, &sealed, ISSUER).contains("not readable at line 1"));
    // Neither the slip key nor a word of the document is to be seen.
    let text = String::from_utf8_lossy(&sealed.document);
    assert!(!text.contains("pepper"), "{text}");
}

#[test]
fn the_key_is_made_once_and_never_where_one_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let open = |may_make| Sealing::under(&keys, may_make).map(drop).map_err(|e| e.to_string());
    assert!(open(false).unwrap_err().contains("copy it here from another node"));
    open(true).unwrap();
    let path = keys.join(NAME);
    let made = std::fs::read(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    open(true).unwrap();
    make(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), made);
    assert_eq!(std::fs::read_dir(&keys).unwrap().count(), 1);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(open(false).unwrap_err().contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for text in ["", "short", "c2hvcnQ="] {
        std::fs::write(&path, text).unwrap();
        assert!(open(true).unwrap_err().contains("does not hold a key"), "{text}");
    }
}

#[test]
fn processes_that_make_the_key_at_once_go_on_with_the_same() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let made: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let one = || {
                make(&path).unwrap();
                std::fs::read(&path).unwrap()
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|two| two[0] == two[1]));
    }
}
