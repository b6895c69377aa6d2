//! Whatever is presented, the store does what a book of the grant's slips says: which were given,
//! which of them were torn, when and by which request. The book knows nothing of the counterfoil's
//! row or of the verdict on it.

use std::sync::atomic::{AtomicU32, Ordering};

use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::clock::{DAY, HOUR, MINUTE, Seconds, Timestamp};
use counterfoil_core::grant::Seal;
use counterfoil_core::mac::MacKey;
use counterfoil_core::slip::Slip;
use counterfoil_core::verdict::{OnLostAnswer, OnReplay, Presentation, SlipRefusal};
use counterfoil_store::{Endings, Redeemed, Store, Tearing};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::contract::bench::Bench;
use crate::setting::{CODE_LIFETIME, NOW, SLIP_LIFETIME, grant, redeem};

/// Histories that are tried.
const HISTORIES: u32 = 40;

/// Something that happens to a grant.
#[derive(Clone, Debug)]
enum Act {
    /// A slip is presented.
    Present {
        which: Which,
        /// The `Idempotency-Key`, of two.
        key: Option<u8>,
        on_replay: OnReplay,
        on_lost_answer: OnLostAnswer,
        forged: bool,
    },
    Wait(Seconds),
    /// Data was lost, and that was declared.
    Loss,
}

/// Which of the grant's slips.
#[derive(Clone, Copy, Debug)]
enum Which {
    /// The one that was given last.
    Newest,
    /// The one that was torn last.
    TornLast,
    /// The one of this number, where there was one.
    Number(u64),
    /// One that was not given, by so much.
    Ahead(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let which = prop_oneof![
        5 => Just(Which::Newest),
        3 => Just(Which::TornLast),
        1 => (0_u64..4).prop_map(Which::Number),
        1 => (1_u64..4).prop_map(Which::Ahead),
    ];
    let on_replay = prop_oneof![3 => Just(OnReplay::Refuse), 1 => Just(OnReplay::Revoke)];
    let on_lost_answer = prop_oneof![Just(OnLostAnswer::Strict), Just(OnLostAnswer::Repeat)];
    let present =
        (which, prop::option::of(0_u8..2), on_replay, on_lost_answer, prop::bool::weighted(0.03))
            .prop_map(|(which, key, on_replay, on_lost_answer, forged)| Act::Present {
                which,
                key,
                on_replay,
                on_lost_answer,
                forged,
            });
    // On either side of every window, with and without what nodes' clocks may be apart.
    let wait = prop::sample::select(vec![
        1,
        9,
        10,
        11,
        39,
        40,
        59,
        60,
        89,
        90,
        299,
        300,
        599,
        600,
        629,
        630,
        HOUR,
        DAY - 1,
        DAY,
        SLIP_LIFETIME,
    ]);
    prop_oneof![12 => present, 4 => wait.prop_map(Act::Wait), 1 => Just(Act::Loss)]
}

/// A slip that was given: the code, or a refresh token.
#[derive(Clone, Copy, Debug)]
struct Given {
    number: u64,
    at: Timestamp,
    expires_at: Timestamp,
    /// When it was torn, and by which request.
    torn: Option<(Timestamp, Claim)>,
}

/// What is known of a grant by its slips alone.
struct Book {
    slips: Vec<Given>,
    is_ended: bool,
    /// Whether a loss was declared since a slip was last torn.
    may_be_behind: bool,
    /// Seconds that clocks may be apart.
    skew: Seconds,
}

/// What the book says must become of a slip.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Expected {
    Torn(Tearing),
    /// The same slip is given again.
    Repeated(Given),
    Refused(SlipRefusal),
}

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        (self.number, self.at) == (other.number, other.at)
    }
}

impl Book {
    fn newest(&self) -> Given {
        self.slips[self.slips.len() - 1]
    }

    /// The slip that was torn last: the newest took its place.
    fn torn_last(&self) -> Option<Given> {
        self.slips.len().checked_sub(2).map(|at| self.slips[at])
    }

    fn expect(&self, presented: &Presentation, is_forged: bool) -> Expected {
        let (newest, number, now) = (self.newest(), presented.slip.number, presented.now);
        if is_forged {
            return Expected::Refused(SlipRefusal::Forged);
        }
        if self.is_ended {
            return Expected::Refused(SlipRefusal::Ended);
        }
        if number > newest.number {
            return match self.may_be_behind {
                true => Expected::Torn(Tearing::AfterLoss),
                false => Expected::Refused(SlipRefusal::Ahead),
            };
        }
        if number == newest.number {
            return match now < newest.expires_at {
                true => Expected::Torn(Tearing::InTurn),
                false => Expected::Refused(SlipRefusal::Expired),
            };
        }
        // It was torn before, or skipped after a loss. Only the request that tore the last one may
        // still be on its way.
        let last = self.torn_last().filter(|last| last.number == number);
        let since = last.and_then(|last| last.torn).map(|(at, claim)| (now.since(at), claim));
        if let Some((since, claim)) = since
            && number > 0
            && now < newest.expires_at
            && presented.claim.repeats(&claim)
        {
            let window = match (presented.claim.is_keyed(), presented.on_lost_answer) {
                (true, _) => 10 * MINUTE,
                (false, OnLostAnswer::Repeat) => MINUTE,
                (false, OnLostAnswer::Strict) => -DAY,
            };
            if since < window + self.skew {
                return Expected::Repeated(newest);
            }
        }
        let is_race = since.is_some_and(|(since, _)| since < 10 + self.skew);
        let ends_grant = match number {
            0 => !is_race && now.since(self.slips[0].at) < DAY,
            _ => !is_race && presented.on_replay == OnReplay::Revoke,
        };
        Expected::Refused(SlipRefusal::Claimed { ends_grant })
    }

    fn tear(&mut self, number: u64, now: Timestamp, claim: Claim) {
        let torn = Some((now, claim));
        match self.slips.last_mut() {
            Some(newest) if newest.number == number => newest.torn = torn,
            // One that the store had forgotten to have given.
            _ => self.slips.push(Given { number, at: now, expires_at: now, torn }),
        }
        self.slips.push(Given {
            number: number + 1,
            at: now,
            expires_at: now.plus(SLIP_LIFETIME),
            torn: None,
        });
        self.may_be_behind = false;
    }
}

pub async fn what_becomes_of_a_slip_follows_from_those_before_it(bench: Bench) {
    let store = bench.open().await;
    let grants = AtomicU32::new(0);
    let config = Config {
        cases: HISTORIES,
        max_shrink_iters: 200,
        source_file: Some(file!()),
        ..Config::default()
    };
    let histories = prop::collection::vec(act(), 1..40);
    let outcome = block_in_place(|| {
        TestRunner::new(config).run(&histories, |acts| {
            let grant = grants.fetch_add(1, Ordering::Relaxed);
            Handle::current().block_on(play(&store, grant, &acts))
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Plays a history on a grant of its own.
async fn play(store: &Store, n: u32, acts: &[Act]) -> Result<(), TestCaseError> {
    let (code, terms) = grant(store, n).await;
    let mac = MacKey::new(&[4; 32]);
    let mut book = Book {
        slips: vec![Given { number: 0, at: NOW, expires_at: NOW.plus(CODE_LIFETIME), torn: None }],
        is_ended: false,
        may_be_behind: false,
        skew: store.skew(),
    };
    let mut now = NOW;
    for (i, act) in acts.iter().enumerate() {
        let (which, key, on_replay, on_lost_answer, forged) = match *act {
            Act::Wait(seconds) => {
                now = now.plus(seconds);
                continue;
            }
            Act::Loss => {
                store.declare_loss(&Endings::default(), false, now).await.unwrap();
                book.may_be_behind = true;
                continue;
            }
            Act::Present { which, key, on_replay, on_lost_answer, forged } => {
                (which, key, on_replay, on_lost_answer, forged)
            }
        };
        let newest = book.newest();
        let number = match which {
            Which::Newest => newest.number,
            Which::TornLast => book.torn_last().map_or(0, |last| last.number),
            Which::Number(number) => number.min(newest.number),
            Which::Ahead(by) => newest.number + by,
        };
        let text = number.to_string();
        let request = RequestIdentity { client: "app", slip: &text, scope: None };
        let issued_at =
            book.slips.iter().find(|slip| slip.number == number).map_or(now, |slip| slip.at);
        let seal = if forged { Seal::from_bytes([1; 16]) } else { code.seal };
        let claim = match key {
            Some(key) => Claim::keyed(&mac, &format!("retry-key-{key}"), request),
            None => Claim::keyless(&mac, (i as u64).to_be_bytes(), request),
        };
        let slip = Slip { number, seal, issued_at, ..code };
        let presented = Presentation { slip, now, claim, on_replay, on_lost_answer };
        let expected = book.expect(&presented, forged);
        let done = redeem(store, presented).await;
        let became = match &done {
            Redeemed::Torn(torn) if torn.how() == Tearing::Repeated => Expected::Repeated(Given {
                number: torn.successor().number,
                at: torn.successor().issued_at,
                ..newest
            }),
            Redeemed::Torn(torn) => {
                let successor = torn.successor();
                prop_assert_eq!((successor.number, successor.issued_at), (number + 1, now));
                Expected::Torn(torn.how())
            }
            Redeemed::Refused { refused, .. } => Expected::Refused(refused.unwrap()),
        };
        prop_assert_eq!(became, expected, "act {}: {:?}", i, act);
        match expected {
            Expected::Torn(_) => book.tear(number, now, claim),
            Expected::Refused(SlipRefusal::Claimed { ends_grant: true }) => book.is_ended = true,
            Expected::Repeated(_) | Expected::Refused(_) => {}
        }
        let counterfoil = store.counterfoil(code.grant).await.unwrap().unwrap();
        prop_assert_eq!(
            (counterfoil.next_slip, counterfoil.ended),
            (book.newest().number, book.is_ended)
        );
        prop_assert_eq!(store.living(&terms).await.unwrap().is_none(), book.is_ended);
    }
    Ok(())
}
