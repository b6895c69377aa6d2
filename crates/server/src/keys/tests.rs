use super::*;
use counterfoil_core::clock::{HOUR, Timestamp};
use std::os::unix::fs::PermissionsExt;

const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);
const ID_TOKEN: Seconds = 24 * HOUR;

fn keys() -> (Keys, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Keys::open(&dir.path().join("keys"), "https://a.example", NOW).unwrap(), dir)
}

fn state(keys: &Keys, kid: &str, now: Timestamp) -> Option<KeyState> {
    keys.ring().list(now, ID_TOKEN).into_iter().find(|key| key.kid == kid).map(|key| key.state)
}

#[test]
fn a_rotation_publishes_ahead_and_forgets_late() {
    let (keys, dir) = keys();
    let signs = |now| keys.ring().signing_key(Algorithm::Es256, now).unwrap().kid.clone();
    let old = signs(NOW);
    keys.rotate(NOW.plus(DAY), NOW.plus(DAY + PUBLISHED_AHEAD)).unwrap();
    let rotated = NOW.plus(DAY);
    assert_eq!(signs(rotated), old);
    let new = signs(rotated.plus(PUBLISHED_AHEAD));
    assert_ne!(new, old);
    assert_eq!(state(&keys, &new, rotated), Some(KeyState::Ahead));
    assert_eq!(state(&keys, &old, rotated), Some(KeyState::Current));
    let takeover = rotated.plus(PUBLISHED_AHEAD);
    assert_eq!(state(&keys, &old, takeover), Some(KeyState::Retiring));
    assert_eq!(state(&keys, &old, takeover.plus(ID_TOKEN)), Some(KeyState::Retiring));
    assert_eq!(state(&keys, &old, takeover.plus(ID_TOKEN + PUBLISHED_AHEAD)), Some(KeyState::Kept));
    assert_eq!(keys.ring().published(takeover.plus(3 * DAY), ID_TOKEN).count(), 4);

    let again = Keys::open(&dir.path().join("keys"), "https://a.example", takeover).unwrap();
    assert_eq!(again.ring().signing_key(Algorithm::Es256, takeover).unwrap().kid, new);
    assert!(keys.keep_up(takeover.plus(400 * DAY), ID_TOKEN).unwrap());
    assert_eq!(state(&keys, &old, takeover), None);
}

#[test]
fn a_rotation_at_once_signs_at_once() {
    let (keys, _dir) = keys();
    let signs = || keys.ring().signing_key(Algorithm::Es256, NOW).unwrap().kid.clone();
    let mut seen = vec![signs()];
    // In the second of their making, and again: the latest one signs.
    for _ in 0..3 {
        keys.rotate(NOW, NOW).unwrap();
        assert!(!seen.contains(&signs()));
        seen.push(signs());
    }
    for old in &seen[..3] {
        assert_eq!(state(&keys, old, NOW), Some(KeyState::Retiring));
    }
}

#[test]
fn keys_are_replaced_without_anyones_help() {
    let (keys, _dir) = keys();
    assert!(!keys.keep_up(NOW.plus(ROTATED_AFTER - 1), ID_TOKEN).unwrap());
    assert!(keys.keep_up(NOW.plus(ROTATED_AFTER), ID_TOKEN).unwrap());
    assert!(!keys.keep_up(NOW.plus(ROTATED_AFTER), ID_TOKEN).unwrap());
    assert_eq!(keys.ring().list(NOW, ID_TOKEN).len(), 10);
}

#[test]
fn a_compromised_key_is_gone_at_once_and_replaced() {
    let (keys, _dir) = keys();
    let kid = keys.ring().signing_key(Algorithm::Rs256, NOW).unwrap().kid.clone();
    keys.drop_compromised(&kid, NOW).unwrap();
    assert_eq!(state(&keys, &kid, NOW), None);
    assert_ne!(keys.ring().signing_key(Algorithm::Rs256, NOW).unwrap().kid, kid);
    keys.drop_compromised("slip-1", NOW).unwrap();
    assert_eq!(keys.ring().slips.current().0, 2);
    assert!(matches!(keys.drop_compromised("nonsense", NOW), Err(KeysError::Unknown(_))));
}

#[test]
fn keys_that_others_may_read_are_refused() {
    let (_, dir) = keys();
    let path = dir.path().join("keys");
    let open = || Keys::open(&path, "https://a.example", NOW).map(drop).map_err(|e| e.to_string());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(open().unwrap_err().contains("chmod 700"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(path.join("keys.json"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open().unwrap_err().contains("chmod 600"));
    std::fs::set_permissions(path.join("keys.json"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(path.join("keys.json"), "{\"pepper\": \"secret").unwrap();
    let error = open().unwrap_err();
    assert!(error.contains("not readable at line 1") && !error.contains("secret"), "{error}");
}
