//! What root makes for a server of another user belongs to that user. Root alone can see to that,
//! and try it out.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::setting::{BINARY, Live, Server};

/// A user of no name.
const SERVER: u32 = 61_234;

/// The surroundings of a server of another user; `None` where nobody but root could make them.
fn of_another_user() -> Option<Live> {
    let live = Live::new();
    if fs::metadata(live.dir.path()).unwrap().uid() != 0 {
        println!("not run: only root can give files away");
        return None;
    }
    chown(live.dir.path(), Some(SERVER), Some(SERVER)).unwrap();
    Some(live)
}

/// The files below a directory that are not the server's.
fn of_others(directory: &Path) -> Vec<String> {
    let mut others = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        if (meta.uid(), meta.gid()) != (SERVER, SERVER) {
            others.push(entry.path().display().to_string());
        }
        if meta.is_dir() {
            others.extend(of_others(&entry.path()));
        }
    }
    others.retain(|name| !name.ends_with("/counterfoil.toml"));
    others
}

#[test]
fn files_that_root_makes() {
    let Some(live) = of_another_user() else {
        return;
    };
    live.add_client("shop");
    let made = |name: &str| assert!(live.path(name).exists(), "{name}");
    ["counterfoil.db", "counterfoil.db.lock", "keys/keys.json", "endings.log"]
        .iter()
        .for_each(|name| made(name));
    live.admin("keys rotate").says(&["slip-2"]);
    let backup = live.path("backup.db");
    live.admin(&format!("backup --to {}", backup.display())).says(&["backed up"]);
    live.admin("migrate").says(&["nothing to do"]);
    live.admin(&format!("restore --accept-lost-endings --from {}", backup.display()))
        .says(&["restored"]);
    made("backup.db");
    assert_eq!(of_others(live.dir.path()), [""; 0]);
    // Where that user can reach the binary, their server finds all that it needs.
    if Command::new(BINARY).arg("--version").uid(SERVER).gid(SERVER).output().is_ok() {
        let mut command = live.command();
        command.uid(SERVER).gid(SERVER);
        let server = Server::spawn(command);
        live.admin("client set shop name=Shop").says(&["Shop"]);
        server.kill();
    }
    live.admin("client list").says(&["shop"]);
    assert_eq!(of_others(live.dir.path()), [""; 0]);
}

/// A server may have the right to its directory by its group.
#[test]
fn files_that_root_makes_in_its_own_directory() {
    let Some(live) = of_another_user() else {
        return;
    };
    live.add_client("shop");
    chown(live.dir.path(), Some(0), Some(SERVER)).unwrap();
    fs::set_permissions(live.dir.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    fs::remove_file(live.path("counterfoil.db.lock")).unwrap();
    let backup = live.path("backup.db");
    live.admin(&format!("backup --to {}", backup.display())).says(&["backed up"]);
    live.admin(&format!("restore --accept-lost-endings --from {}", backup.display()))
        .says(&["restored"]);
    live.admin("client list").says(&["shop"]);
    assert_eq!(of_others(live.dir.path()), [""; 0]);
}

#[test]
fn certificates_of_a_sandbox_that_root_runs() {
    let Some(live) = of_another_user() else {
        return;
    };
    let mut command =
        crate::setting::counterfoil(&["sandbox", "--listen", "127.0.0.1:0", "--tls", "--data"]);
    command.arg(live.dir.path());
    Server::spawn(command).stop();
    for (name, mode) in [
        ("tls", 0o755),
        ("tls/ca.pem", 0o644),
        ("tls/ca-key.pem", 0o600),
        ("tls/certificate.pem", 0o644),
        ("tls/key.pem", 0o600),
    ] {
        assert_eq!(fs::metadata(live.path(name)).unwrap().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(of_others(live.dir.path()), [""; 0]);
}

/// Whoever may write in the directory must not have root give them a file of root's.
#[test]
fn links_are_not_followed() {
    let Some(live) = of_another_user() else {
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let (victim, missing) = (elsewhere.path().join("victim"), elsewhere.path().join("missing"));
    fs::write(&victim, "root's").unwrap();
    live.add_client("shop");
    symlink(&victim, live.path("keys/keys.new")).unwrap();
    live.admin("keys rotate").says(&["slip-2"]);
    fs::remove_file(live.path("endings.log")).unwrap();
    symlink(&missing, live.path("endings.log")).unwrap();
    live.admin("client list").refused(1, &["the endings log"]);
    assert_eq!(
        (fs::read_to_string(&victim).unwrap().as_str(), fs::metadata(&victim).unwrap().uid()),
        ("root's", 0)
    );
    assert!(!missing.exists());
    assert_eq!(fs::metadata(live.path("keys/keys.json")).unwrap().uid(), SERVER);
}
