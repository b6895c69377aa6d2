use std::os::unix::fs::PermissionsExt;

use counterfoil_core::clock::{HOUR, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::scope::Scopes;
use counterfoil_store::{NewGrant, OpenOptions, StoreAddress, StoreKind};

use super::*;

const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);
const ID_TOKEN: Seconds = 24 * HOUR;
const ISSUER: &str = "https://a.example";

/// Keys in a directory, and the store they belong to.
async fn keys() -> (Keys, Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(OpenOptions {
        address: StoreAddress::Sqlite(dir.path().join("store.db")),
        kind: StoreKind::Live,
        issuer: ISSUER.into(),
        endings_log: None,
        holder: "the test".into(),
    });
    (Keys::open(&dir.path().join("keys"), ISSUER, NOW).unwrap(), store.await.unwrap(), dir)
}

fn state(keys: &Keys, kid: &str, now: Timestamp) -> Option<KeyState> {
    keys.ring().list(now, ID_TOKEN).into_iter().find(|key| key.kid == kid).map(|key| key.state)
}

fn all() -> BTreeSet<Algorithm> {
    Algorithm::ALL.into()
}

fn signs(keys: &Keys, now: Timestamp) -> String {
    keys.ring().signing_key(Algorithm::Es256, now).unwrap().kid.clone()
}

#[tokio::test]
async fn a_rotation_publishes_ahead_and_forgets_late() {
    let (keys, store, dir) = keys().await;
    let old = signs(&keys, NOW);
    keys.rotate(&store, NOW.plus(DAY), NOW.plus(DAY + PUBLISHED_AHEAD)).await.unwrap();
    let rotated = NOW.plus(DAY);
    assert_eq!(signs(&keys, rotated), old);
    let new = signs(&keys, rotated.plus(PUBLISHED_AHEAD));
    assert_ne!(new, old);
    assert_eq!(state(&keys, &new, rotated), Some(KeyState::Ahead));
    assert_eq!(state(&keys, &old, rotated), Some(KeyState::Current));
    let takeover = rotated.plus(PUBLISHED_AHEAD);
    assert_eq!(state(&keys, &old, takeover), Some(KeyState::Retiring));
    assert_eq!(state(&keys, &old, takeover.plus(ID_TOKEN)), Some(KeyState::Retiring));
    assert_eq!(state(&keys, &old, takeover.plus(ID_TOKEN + PUBLISHED_AHEAD)), Some(KeyState::Kept));
    assert_eq!(keys.ring().published(&all(), takeover.plus(3 * DAY), ID_TOKEN).count(), 4);

    let again = Keys::open(&dir.path().join("keys"), ISSUER, takeover).unwrap();
    assert_eq!(signs(&again, takeover), new);
    assert!(keys.keep_up(&store, takeover.plus(400 * DAY), ID_TOKEN, true).await.unwrap());
    assert_eq!(state(&keys, &old, takeover), None);
}

#[tokio::test]
async fn a_rotation_at_once_signs_at_once() {
    let (keys, store, _dir) = keys().await;
    let mut seen = vec![signs(&keys, NOW)];
    // Several in the same second: the latest signs.
    for _ in 0..3 {
        keys.rotate(&store, NOW, NOW).await.unwrap();
        assert!(!seen.contains(&signs(&keys, NOW)));
        seen.push(signs(&keys, NOW));
    }
    for old in &seen[..3] {
        assert_eq!(state(&keys, old, NOW), Some(KeyState::Retiring));
    }
}

#[tokio::test]
async fn keys_are_replaced_without_anyones_help() {
    let (keys, store, _dir) = keys().await;
    let first = signs(&keys, NOW);
    // One of each algorithm is published ahead at once.
    assert!(keys.keep_up(&store, NOW, ID_TOKEN, false).await.unwrap());
    assert!(!keys.keep_up(&store, NOW.plus(ROTATED_AFTER - 1), ID_TOKEN, false).await.unwrap());
    assert_eq!(
        (keys.ring().list(NOW, ID_TOKEN).len(), signs(&keys, NOW.plus(ROTATED_AFTER - 1))),
        (9, first.clone())
    );
    assert!(keys.keep_up(&store, NOW.plus(ROTATED_AFTER), ID_TOKEN, false).await.unwrap());
    assert!(!keys.keep_up(&store, NOW.plus(ROTATED_AFTER), ID_TOKEN, false).await.unwrap());
    assert_ne!(signs(&keys, NOW.plus(ROTATED_AFTER)), first);
    assert_eq!(keys.ring().list(NOW, ID_TOKEN).len(), 14);
}

#[tokio::test]
async fn keys_that_a_wrong_clock_has_dated_ahead_stop_no_rotation_and_are_repaired() {
    let (keys, store, _dir) = keys().await;
    let wrong = NOW.plus(800 * DAY);
    assert!(keys.keep_up(&store, wrong, ID_TOKEN, false).await.unwrap());
    assert!(
        keys.keep_up(&store, NOW.plus(DAY), ID_TOKEN, false).await.unwrap(),
        "one is published ahead by the right clock"
    );
    assert!(!keys.keep_up(&store, NOW.plus(DAY), ID_TOKEN, false).await.unwrap());
    let before = signs(&keys, NOW);
    assert!(keys.keep_up(&store, NOW.plus(ROTATED_AFTER), ID_TOKEN, false).await.unwrap());
    assert_ne!(signs(&keys, NOW.plus(ROTATED_AFTER + PUBLISHED_AHEAD)), before);

    let later = NOW.plus(ROTATED_AFTER + DAY);
    assert_eq!(keys.repair_dates(&store, later).await.unwrap(), 5);
    assert!(
        keys.ring().list(later, ID_TOKEN).iter().all(|key| Timestamp::parse_rfc3339(
            &key.created_at
        )
        .unwrap()
            <= later)
    );
    assert_eq!(keys.repair_dates(&store, later).await.unwrap(), 0);
    assert!(!keys.keep_up(&store, later, ID_TOKEN, false).await.unwrap());
}

#[tokio::test]
async fn a_slip_key_that_a_grant_needs_which_nobody_ended_is_not_forgotten() {
    let (keys, store, _dir) = keys().await;
    let customer = CustomerId { provider: "bank".into(), customer: "ada".into() };
    let terms = Terms {
        grant: GrantId::new(NOW, [0; 4]),
        client: "app".into(),
        customer,
        name: "Ada".into(),
        scopes: Scopes::ALL,
        clusters: DataClusters::default(),
        accounts: vec![],
        lookback_days: None,
        created_at: NOW,
        expires_at: NOW.plus(DAY),
        authenticated_at: NOW,
        client_era: 0,
        customer_era: 0,
        parent: None,
    };
    let code =
        CodeBinding { redirect_uri: "https://app.example/cb".into(), challenge: None, nonce: None };
    let (grant, seal) = (terms.grant, Seal::from_bytes([7; 16]));
    store
        .create_grant(NewGrant {
            terms,
            code,
            seal,
            code_expires_at: NOW.plus(300),
            slip_key: SlipKeyId(1),
        })
        .await
        .unwrap();
    keys.rotate(&store, NOW, NOW).await.unwrap();
    let years_later = NOW.plus(1000 * DAY);
    let slip_keys = |keys: &Keys| {
        keys.ring().list(years_later, ID_TOKEN).iter().filter(|key| key.alg == "slip").count()
    };
    keys.keep_up(&store, years_later, ID_TOKEN, false).await.unwrap();
    assert_eq!(slip_keys(&keys), 3, "one was made");
    assert!(
        keys.keep_up(&store, years_later, ID_TOKEN, true).await.unwrap(),
        "signing keys are forgotten"
    );
    assert_eq!(slip_keys(&keys), 3, "a grant needs the first, and the second was in use until now");
    store.end_grant(grant, EndedBy::Customer, years_later).await.unwrap();
    assert!(keys.keep_up(&store, years_later, ID_TOKEN, true).await.unwrap());
    assert_eq!(slip_keys(&keys), 2);
}

#[tokio::test]
async fn a_compromised_signing_key_is_gone_and_the_one_ahead_takes_its_place() {
    let (keys, store, _dir) = keys().await;
    let kid = keys.ring().signing_key(Algorithm::Rs256, NOW).unwrap().kid.clone();
    keys.drop_compromised(&store, &kid, NOW).await.unwrap();
    assert_eq!(state(&keys, &kid, NOW), None);
    let new = keys.ring().signing_key(Algorithm::Rs256, NOW).unwrap().kid.clone();
    assert_ne!(new, kid, "none was ahead");
    let published = |keys: &Keys| {
        keys.ring()
            .published(&all(), NOW, ID_TOKEN)
            .map(|key| (key.alg, key.kid.clone()))
            .collect::<Vec<_>>()
    };
    let [(Algorithm::Rs256, current), (Algorithm::Rs256, ahead), (Algorithm::Ps256, _), ..] =
        &published(&keys)[..]
    else {
        panic!("{:?}", published(&keys));
    };
    assert_eq!((current, state(&keys, ahead, NOW)), (&new, Some(KeyState::Ahead)));
    let ahead = ahead.clone();
    keys.drop_compromised(&store, &new, NOW).await.unwrap();
    assert_eq!(
        keys.ring().signing_key(Algorithm::Rs256, NOW).unwrap().kid,
        ahead,
        "relying parties have it already"
    );
    assert_eq!(published(&keys).iter().filter(|(alg, _)| *alg == Algorithm::Rs256).count(), 2);
    assert!(matches!(
        keys.drop_compromised(&store, "nonsense", NOW).await,
        Err(KeysError::Unknown(_))
    ));
}

#[tokio::test]
async fn a_compromised_slip_key_is_good_for_a_while_or_not_at_all() {
    let (keys, store, dir) = keys().await;
    let (first, day_90) = (SlipKeyId(1), NOW.plus(COMPROMISED_SLIP_KEY_GOOD_FOR));
    keys.drop_compromised(&store, "slip-1", NOW).await.unwrap();
    assert_eq!(keys.ring().slips.current(), SlipKeyId(2));
    let keys = Keys::open(&dir.path().join("keys"), ISSUER, NOW).unwrap();
    assert_eq!(state(&keys, "slip-1", NOW), Some(KeyState::Retiring));
    assert!(
        keys.ring().slips.know(first)
            && !keys.ring().refuses(first, day_90.plus(-1))
            && keys.ring().refuses(first, day_90)
    );
    // A second time, which makes no other key.
    keys.retire(&store, "slip-1", NOW, NOW.plus(DAY)).await.unwrap();
    assert!(
        keys.ring().refuses(first, NOW.plus(DAY)) && keys.ring().slips.current() == SlipKeyId(2)
    );
    // It is forgotten once the time is beyond doubt, even if grants would need it.
    let forgotten = |keys: &Keys| !keys.ring().slips.know(first);
    keys.keep_up(&store, NOW.plus(DAY), ID_TOKEN, false).await.unwrap();
    assert!(!forgotten(&keys));
    keys.keep_up(&store, NOW.plus(DAY), ID_TOKEN, true).await.unwrap();
    assert!(forgotten(&keys));
    keys.retire(&store, "slip-2", NOW, NOW).await.unwrap();
    assert!(!keys.ring().slips.know(SlipKeyId(2)) && keys.ring().slips.current() == SlipKeyId(3));
    assert!(matches!(keys.retire(&store, "slip-9", NOW, NOW).await, Err(KeysError::Unknown(_))));
}

#[tokio::test]
async fn algorithms_are_published_while_tokens_by_them_can_be_good() {
    let (keys, store, dir) = keys().await;
    let used = |algorithms: &[Algorithm]| algorithms.iter().copied().collect::<BTreeSet<_>>();
    let published = |keys: &Keys, by: &[Algorithm], now| {
        let published: Vec<_> =
            keys.ring().published(&used(by), now, ID_TOKEN).map(|key| key.alg).collect();
        assert!(Algorithm::ALL.iter().all(|alg| keys.ring().publishes(
            *alg,
            &used(by),
            now,
            ID_TOKEN
        ) == published.contains(alg)));
        published
    };
    let (rs, es, ed) = (Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa);
    let note = async |keys: &Keys, by: &[Algorithm], now| {
        keys.note_algorithms(&store, used(by), now, ID_TOKEN).await.unwrap()
    };
    assert_eq!(published(&keys, &[], NOW), [rs]);
    // At once with the first client that uses it, even before that is recorded.
    assert_eq!(published(&keys, &[es], NOW), [rs, es]);
    note(&keys, &[es], NOW).await;
    let switched = NOW.plus(DAY);
    assert_eq!(published(&keys, &[ed], switched), [rs, es, ed]);
    note(&keys, &[ed], switched).await;
    let keys = Keys::open(&dir.path().join("keys"), ISSUER, NOW).unwrap();
    let over = switched.plus(ID_TOKEN + PUBLISHED_AHEAD);
    assert_eq!(published(&keys, &[ed], over.plus(-1)), [rs, es, ed]);
    assert_eq!(published(&keys, &[ed], over), [rs, ed]);
    note(&keys, &[], over).await;
    note(&keys, &[], over.plus(2 * DAY)).await;
    assert_eq!(published(&keys, &[], over.plus(2 * DAY)), [rs]);

    // What an earlier version wrote has no record of it.
    let path = dir.path().join("keys/keys.json");
    let mut document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    document.as_object_mut().unwrap().remove("algorithms").unwrap();
    std::fs::write(&path, document.to_string()).unwrap();
    let keys = Keys::open(&dir.path().join("keys"), ISSUER, NOW).unwrap();
    assert_eq!(published(&keys, &[], NOW).len(), 4);
    note(&keys, &[es], NOW).await;
    assert_eq!(published(&keys, &[es], NOW.plus(DAY)).len(), 4);
    assert_eq!(published(&keys, &[es], NOW.plus(2 * DAY)), [rs, es]);
}

#[tokio::test]
async fn keys_that_others_may_read_are_refused() {
    let (_, _, dir) = keys().await;
    let path = dir.path().join("keys");
    let open = || Keys::open(&path, ISSUER, NOW).map(drop).map_err(|e| e.to_string());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(open().unwrap_err().contains("chmod 700"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(path.join("keys.json"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    assert!(open().unwrap_err().contains("chmod 600"));
    std::fs::set_permissions(path.join("keys.json"), std::fs::Permissions::from_mode(0o600))
        .unwrap();
    std::fs::write(path.join("keys.json"), "{\"pepper\": \"secret").unwrap();
    let error = open().unwrap_err();
    assert!(error.contains("not readable at line 1") && !error.contains("secret"), "{error}");
}

/// What a newer version wrote is not damage, and survives a rotation by this one.
#[tokio::test]
async fn members_that_a_newer_version_added_are_kept() {
    let (keys, store, dir) = keys().await;
    drop(keys);
    let path = dir.path().join("keys/keys.json");
    let read =
        || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path).unwrap()).unwrap();
    let mut document = read();
    assert_eq!(document.as_object().unwrap().len(), 4);
    document["kms"] = "arn".into();
    document["signing"][0]["use"] = "sig".into();
    document["slip"][0]["algorithm"] = "HS512".into();
    std::fs::write(&path, document.to_string()).unwrap();
    let keys = Keys::open(&dir.path().join("keys"), ISSUER, NOW).unwrap();
    keys.rotate(&store, NOW, NOW.plus(HOUR)).await.unwrap();
    let after = read();
    assert!(
        after["signing"].as_array().unwrap().len() > document["signing"].as_array().unwrap().len()
    );
    assert_eq!(
        (&after["kms"], &after["signing"][0]["use"], &after["slip"][0]["algorithm"]),
        (&"arn".into(), &"sig".into(), &"HS512".into())
    );
}
