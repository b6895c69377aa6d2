//! Losses of data that are declared: what was revoked stays revoked, and clients go on.

use std::sync::Arc;

use counterfoil_core::client::{ClientSettings, SecretDigest};
use counterfoil_core::clock::{DAY, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_store::{
    AddClient, Customer, EndedAt, Endings, LossDeclared, NewCustomer, Redeemed, Session, Tearing,
};

use crate::contract::bench::Bench;
use crate::setting::{KEY, NOW, customer, grant, new_grant, presented, redeem, refused, torn};

const LATER: Timestamp = NOW.plus(1000);

/// Endings read from a journal with these lines.
fn endings(lines: &[&str]) -> Endings {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("endings.log");
    std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    Endings::read(&[path]).unwrap()
}

fn ended(n: u32, by: EndedBy) -> String {
    format!(
        r#"{{"at":{},"grant":"{}","by":"{by}"}}"#,
        NOW.plus(500).unix(),
        new_grant(n).terms.grant
    )
}

fn how(redeemed: Redeemed) -> Tearing {
    let Redeemed::Torn(torn) = redeemed else { panic!("{redeemed:?}") };
    torn.how()
}

pub async fn after_a_loss_each_grant_accepts_once_what_is_newer_than_it_knows(bench: Bench) {
    let store = bench.open().await;
    let (code, _) = grant(&store, 1).await;
    let known = torn(redeem(&store, presented(code, NOW, 1)).await);
    let slip = |number| Slip { key: KEY, number, ..known };
    assert!(refused(redeem(&store, presented(slip(5), LATER, 2)).await).contains("ahead"));

    let declared = store.declare_loss(&Endings::default(), false, LATER).await.unwrap();
    assert_eq!(declared, LossDeclared { epoch: 1, ..LossDeclared::default() });
    assert_eq!(store.bearers_from().await.unwrap(), None);
    // Its time is not that of the slip that the counterfoil knows.
    let much_later = LATER.plus(60 * DAY);
    assert_eq!(how(redeem(&store, presented(slip(5), much_later, 3)).await), Tearing::AfterLoss);
    for old in [1, 2, 5] {
        refused(redeem(&store, presented(slip(old), much_later, 4)).await);
    }
    assert!(refused(redeem(&store, presented(slip(8), much_later, 5)).await).contains("ahead"));
    assert_eq!(how(redeem(&store, presented(slip(6), much_later, 6)).await), Tearing::InTurn);

    // The epoch outlives the process.
    let (code, _) = grant(&store, 2).await;
    drop(store);
    let store = bench.open().await;
    assert!(
        refused(redeem(&store, presented(Slip { number: 3, ..code }, NOW, 7)).await)
            .contains("ahead")
    );
    assert_eq!(store.declare_loss(&Endings::default(), false, LATER).await.unwrap().epoch, 2);
    assert_eq!(
        how(redeem(&store, presented(Slip { number: 3, ..code }, NOW, 8)).await),
        Tearing::AfterLoss
    );
    assert!(
        store
            .audit(code.grant)
            .await
            .unwrap()
            .iter()
            .any(|entry| entry.event == "accepted_after_loss")
    );
}

pub async fn endings_that_were_forgotten_take_effect_as_they_were_recorded(bench: Bench) {
    let store = bench.open().await;
    let (_, revoked) = grant(&store, 1).await;
    let (_, living) = grant(&store, 2).await;
    let (_, dead) = grant(&store, 3).await;
    store.end_grant(dead.grant, EndedBy::Operator, NOW).await.unwrap();
    let session = Session {
        customer: customer(),
        name: "Ada".into(),
        authenticated_at: NOW,
        expires_at: NOW.plus(DAY),
        customer_era: 0,
    };
    store.create_session([1; 32], session, None, NOW).await.unwrap();
    let changes = store.changes().await.unwrap();

    let lines = [
        ended(1, EndedBy::Customer),
        ended(3, EndedBy::Client),
        ended(99, EndedBy::Client),
        ended(1, EndedBy::Customer),
    ];
    let endings = endings(&lines.each_ref().map(String::as_str));
    let declared = store.declare_loss(&endings, false, LATER).await.unwrap();
    assert_eq!(
        declared,
        LossDeclared { epoch: 1, bearers_from: None, applied: 1, known: 2, unknown: 1 }
    );
    assert!(store.living(&revoked).await.unwrap().is_none());
    assert!(store.living(&living).await.unwrap().is_some());
    let how = async |terms: &Arc<counterfoil_core::grant::Terms>| {
        store.grant(terms.grant).await.unwrap().unwrap().ended
    };
    assert_eq!(how(&revoked).await, Some(EndedAt { at: NOW.plus(500), by: EndedBy::Customer }));
    assert_eq!(how(&dead).await, Some(EndedAt { at: NOW, by: EndedBy::Operator }));
    assert!(bench.journal().contains(lines[0].trim_end_matches('}')), "{}", bench.journal());
    assert!(store.session(&[1; 32], NOW).await.unwrap().is_none());
    assert_eq!(store.is_shared(), store.changes().await.unwrap() != changes);

    let again = store.declare_loss(&endings, false, LATER).await.unwrap();
    assert_eq!(
        again,
        LossDeclared { epoch: 2, bearers_from: None, applied: 0, known: 3, unknown: 1 }
    );
    assert_eq!(how(&revoked).await, Some(EndedAt { at: NOW.plus(500), by: EndedBy::Customer }));
}

pub async fn removals_that_were_forgotten_end_what_is_of_an_earlier_era(bench: Bench) {
    let store = bench.open().await;
    store
        .add_client("app".into(), ClientSettings::new("App"), Some(SecretDigest([1; 32])), NOW)
        .await
        .unwrap();
    let ada = Customer {
        id: customer(),
        name: "Ada".into(),
        password: Some(Secret::new("$argon2id$x")),
        created_at: NOW,
    };
    store
        .add_customer(NewCustomer { customer: ada, accounts: vec![] }, LetterCase::Matters)
        .await
        .unwrap();
    let (code, terms) = grant(&store, 1).await;

    let of_client = endings(&[
        r#"{"at":1790000500,"client":"app","era":1}"#,
        r#"{"at":1790000500,"provider":"bank","customer":"zoe","era":2}"#,
    ]);
    let declared = store.declare_loss(&of_client, false, LATER).await.unwrap();
    assert_eq!((declared.applied, declared.known, declared.unknown), (2, 0, 0));
    assert!(store.clients().await.unwrap().is_empty());
    assert!(store.living(&terms).await.unwrap().is_none());
    refused(redeem(&store, presented(code, LATER, 1)).await);
    assert_eq!(
        store.customer_era(&CustomerId { customer: "zoe".into(), ..customer() }).await.unwrap(),
        2
    );
    while store.work_off_removals(LATER).await.unwrap() {}
    assert_eq!(
        store.grant(terms.grant).await.unwrap().unwrap().ended.unwrap().by,
        EndedBy::ClientRemoved
    );

    // One that was added since is another, which the same line does not mean.
    assert_eq!(
        store.add_client("app".into(), ClientSettings::new("App"), None, LATER).await.unwrap(),
        AddClient::Added
    );
    let mut anew = new_grant(2);
    anew.terms.client_era = store.clients().await.unwrap()[0].era;
    assert_eq!(anew.terms.client_era, 1);
    store.create_grant(anew.clone()).await.unwrap();
    let declared = store.declare_loss(&of_client, false, LATER).await.unwrap();
    assert_eq!((declared.applied, declared.known), (0, 2));
    let anew = Arc::new(anew.terms);
    assert!(store.living(&anew).await.unwrap().is_some());

    let of_customer = endings(&[r#"{"at":1790000500,"provider":"bank","customer":"ada","era":1}"#]);
    assert_eq!(store.declare_loss(&of_customer, false, LATER).await.unwrap().applied, 1);
    assert!(store.customer(&customer()).await.unwrap().is_none());
    assert!(store.living(&anew).await.unwrap().is_none());
    drop(store);
    let store = bench.open().await;
    assert!(store.living(&anew).await.unwrap().is_none());
    assert_eq!(
        (store.clients().await.unwrap().len(), store.customer_era(&customer()).await.unwrap()),
        (1, 1)
    );
}

pub async fn that_endings_were_lost_is_in_the_journal_and_never_taken_back(bench: Bench) {
    let store = bench.open().await;
    let declared = store.declare_loss(&Endings::default(), true, LATER).await.unwrap();
    assert_eq!(
        (declared.bearers_from, store.bearers_from().await.unwrap()),
        (Some(LATER), Some(LATER))
    );
    let lost = format!("{{\"bearers_from\":{},\"store\":\"", LATER.unix());
    assert!(
        bench.endings()[0].starts_with(&lost) && bench.endings().len() == 1,
        "{}",
        bench.journal()
    );
    assert_eq!(
        store.declare_loss(&Endings::default(), true, NOW).await.unwrap().bearers_from,
        Some(LATER)
    );
    assert_eq!(
        store.declare_loss(&Endings::default(), false, NOW).await.unwrap().bearers_from,
        Some(LATER)
    );
    // A later one, in the journal of another node or of a store that was restored before.
    let later = endings(&[&format!("{{\"bearers_from\":{}}}", LATER.plus(9).unix())]);
    let declared = store.declare_loss(&later, false, LATER.plus(10)).await.unwrap();
    assert_eq!((declared.applied, declared.bearers_from), (1, Some(LATER.plus(9))));
    // One that a wrong clock dated ahead refuses what was issued until now, and nothing that is
    // issued from now on.
    let ahead = endings(&[&format!("{{\"bearers_from\":{}}}", LATER.plus(800 * DAY).unix())]);
    let declared = store.declare_loss(&ahead, false, LATER.plus(20)).await.unwrap();
    assert_eq!((declared.applied, declared.bearers_from), (1, Some(LATER.plus(20))));
    drop(store);
    assert_eq!(bench.open().await.bearers_from().await.unwrap(), Some(LATER.plus(20)));
}

pub async fn half_a_line_that_a_crash_left_in_the_journal_is_cut_off(bench: Bench) {
    let store = bench.open().await;
    let (_, terms) = grant(&store, 1).await;
    store.end_grant(terms.grant, EndedBy::Customer, NOW).await.unwrap();
    let whole = bench.journal();
    drop(store);
    for torn in ["{", "{\"at\":17", whole.lines().last().unwrap()] {
        std::fs::write(bench.endings_log(), format!("{whole}{torn}")).unwrap();
        drop(bench.open().await);
        assert_eq!(bench.journal(), whole, "{torn}");
    }
    // What nobody of us wrote is kept, and found where the journal is read.
    std::fs::write(bench.endings_log(), format!("{whole}hello")).unwrap();
    drop(bench.open().await);
    assert_eq!(bench.journal(), format!("{whole}hello\n"));
    assert!(Endings::read(&[bench.endings_log()]).unwrap_err().to_string().contains("line 3"));
}
