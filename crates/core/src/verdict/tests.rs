//! The verdict against a naive model: a list of every slip ever issued and what became of it.

use proptest::prelude::*;

use super::*;
use crate::claim::RequestIdentity;
use crate::clock::{HOUR, MINUTE};
use crate::grant::GrantId;
use crate::mac::MacKey;

const KEY: SlipKeyId = SlipKeyId(1);
const SEAL: Seal = Seal::from_bytes([5; 16]);
const CODE_LIFETIME: Seconds = 5 * MINUTE;
const REFRESH_LIFETIME: Seconds = 30 * DAY;

/// Who redeemed a slip, and when.
#[derive(Clone, Copy, Debug)]
struct Redemption {
    at: Timestamp,
    retry_key: Option<u8>,
    scope: u8,
}

/// Every slip ever issued is an entry, the code first; its redemption is what became of it.
#[derive(Clone, Debug)]
struct Model {
    slips: Vec<ModelSlip>,
    ended: bool,
    /// A loss was declared and no slip was redeemed since.
    loss_open: bool,
    /// Seconds that nodes' clocks may be apart.
    skew: Seconds,
}

#[derive(Clone, Copy, Debug)]
struct ModelSlip {
    expires_at: Timestamp,
    redeemed: Option<Redemption>,
    /// A loss made the server forget that this slip was issued, or that it was redeemed.
    forgotten: bool,
}

#[derive(Clone, Copy, Debug)]
struct Try {
    slip: usize,
    now: Timestamp,
    retry_key: Option<u8>,
    scope: u8,
    on_replay: OnReplay,
    on_lost_answer: OnLostAnswer,
    issued_at: Timestamp,
}

impl Model {
    /// What should become of a try, by searching the list.
    fn expect(&self, t: Try) -> Verdict {
        let slip = self.slips[t.slip];
        let last = self.slips.iter().rposition(|s| s.redeemed.is_some() && !s.forgotten);
        if self.ended {
            return Verdict::Refuse(SlipRefusal::Ended);
        }
        if slip.forgotten {
            return if self.loss_open {
                Verdict::RedeemAfterLoss
            } else {
                Verdict::Refuse(SlipRefusal::Ahead)
            };
        }
        let Some(redemption) = slip.redeemed else {
            let skipped = last.is_some_and(|last| t.slip < last);
            if !skipped {
                return if t.now < slip.expires_at {
                    Verdict::Redeem
                } else {
                    Verdict::Refuse(SlipRefusal::Expired)
                };
            }
            // Never redeemed as far as the server remembers, but a later one was: claimed in the
            // lost time.
            return self.replay(t, last);
        };
        let successor_unredeemed = last == Some(t.slip);
        let age = t.now.since(redemption.at);
        let same_request = redemption.retry_key == t.retry_key && redemption.scope == t.scope;
        let window = match (t.retry_key, t.on_lost_answer) {
            (Some(_), _) => 600,
            (None, OnLostAnswer::Repeat) => 60,
            (None, OnLostAnswer::Strict) => 0,
        };
        let successor_alive = self.slips.get(t.slip + 1).is_some_and(|s| t.now < s.expires_at);
        if t.slip > 0
            && successor_unredeemed
            && same_request
            && window > 0
            && (-30..window + self.skew).contains(&age)
            && successor_alive
        {
            return Verdict::Repeat;
        }
        self.replay(t, last)
    }

    fn replay(&self, t: Try, last: Option<usize>) -> Verdict {
        let just_now = last == Some(t.slip)
            && self.slips[t.slip]
                .redeemed
                .is_some_and(|r| (-30..10 + self.skew).contains(&t.now.since(r.at)));
        let ends_grant = if t.slip == 0 {
            (-30..24 * HOUR).contains(&t.now.since(t.issued_at)) && !just_now
        } else {
            // One that came in before the last redemption, and was slow, ends nothing.
            let last_redeemed = last.and_then(|last| self.slips[last].redeemed).map(|r| r.at);
            t.on_replay == OnReplay::Revoke
                && !just_now
                && last_redeemed.is_none_or(|at| t.now >= at)
        };
        Verdict::Refuse(SlipRefusal::Claimed { ends_grant })
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Present {
        back: usize,
        retry_key: Option<u8>,
        scope: u8,
        on_replay: OnReplay,
        on_lost_answer: OnLostAnswer,
    },
    Wait(Seconds),
    End,
    Backup,
    RestoreAndDeclareLoss,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let present =
        (
            prop_oneof![4 => Just(0_usize), 3 => Just(1), 1 => 2_usize..6],
            prop::option::of(0_u8..2),
            0_u8..2,
            prop_oneof![Just(OnReplay::Refuse), Just(OnReplay::Revoke)],
            prop_oneof![Just(OnLostAnswer::Strict), Just(OnLostAnswer::Repeat)],
        )
            .prop_map(|(back, retry_key, scope, on_replay, on_lost_answer)| {
                Step::Present { back, retry_key, scope, on_replay, on_lost_answer }
            });
    let wait = prop_oneof![
        Just(1),
        Just(9),
        Just(10),
        Just(30),
        Just(59),
        Just(60),
        Just(300),
        Just(599),
        Just(600),
        Just(-5),
        Just(-31),
        Just(DAY),
        Just(31 * DAY)
    ]
    .prop_map(Step::Wait);
    prop::collection::vec(
        prop_oneof![12 => present, 6 => wait, 1 => Just(Step::End), 2 => Just(Step::Backup), 1 => Just(Step::RestoreAndDeclareLoss)],
        1..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_verdict_agrees_with_a_list_of_every_slip(steps in steps(), skew in prop_oneof![Just(0), Just(crate::clock::SKEW)]) {
        let created = Timestamp::from_unix(1_790_000_000);
        let mac = MacKey::new(&[1; 32]);
        let mut now = created;
        let mut row = Counterfoil {
            seal: SEAL, next_slip: 0, expires_at: created.plus(CODE_LIFETIME), claim: None,
            redeemed_at: created, slip_key: KEY, epoch: 0, ended: false,
        };
        let mut epoch = 0;
        let mut model = Model {
            slips: vec![ModelSlip { expires_at: row.expires_at, redeemed: None, forgotten: false }],
            ended: false,
            loss_open: false,
            skew,
        };
        let mut backup = (row, model.clone());
        for (i, step) in steps.into_iter().enumerate() {
            match step {
                Step::Wait(seconds) => now = now.plus(seconds),
                Step::End => { row.ended = true; model.ended = true; }
                Step::Backup => backup = (row, model.clone()),
                Step::RestoreAndDeclareLoss => {
                    // The list keeps every slip that was ever issued; those the backup does not
                    // know are forgotten. Endings are not.
                    let (ended, issued) = (model.ended, model.slips.clone());
                    row = backup.0;
                    row.ended = ended;
                    let known = backup.1.slips.len();
                    model = backup.1.clone();
                    model.ended = ended;
                    model.slips.extend(issued.into_iter().skip(known).map(|s| ModelSlip { forgotten: true, redeemed: None, ..s }));
                    model.loss_open = true;
                    epoch += 1;
                }
                Step::Present { back, retry_key, scope, on_replay, on_lost_answer } => {
                    let Some(number) = model.slips.len().checked_sub(1 + back) else { continue };
                    let text = format!("slip {number}");
                    let scopes = ["openid", "profile"];
                    let request = RequestIdentity { client: "c", slip: &text, scope: Some(scopes[usize::from(scope)]) };
                    let claim = match retry_key {
                        Some(key) => Claim::keyed(&mac, &format!("key {key}"), request),
                        None => Claim::keyless(&mac, (i as u64).to_be_bytes(), request),
                    };
                    let presented = Presentation {
                        slip: Slip { key: KEY, grant: GrantId::from_number(1).unwrap(), number: number as u64, issued_at: created, seal: SEAL },
                        claim, now, on_replay, on_lost_answer,
                    };
                    let t = Try { slip: number, now, retry_key, scope, on_replay, on_lost_answer, issued_at: created };
                    let verdict = judge(&row, &presented, epoch, skew);
                    prop_assert_eq!(verdict, model.expect(t), "{:?} at {:?} in {:?}", t, row, model);
                    match verdict {
                        Verdict::Redeem | Verdict::RedeemAfterLoss => {
                            row = Counterfoil {
                                next_slip: number as u64 + 1, expires_at: now.plus(REFRESH_LIFETIME), claim: Some(claim),
                                redeemed_at: now, epoch, ..row
                            };
                            model.loss_open = false;
                            for slip in &mut model.slips[..=number] { slip.forgotten = false; }
                            model.slips[number].redeemed = Some(Redemption { at: now, retry_key, scope });
                            let next = ModelSlip { expires_at: row.expires_at, redeemed: None, forgotten: false };
                            if number + 1 < model.slips.len() { model.slips[number + 1] = next; } else { model.slips.push(next); }
                        }
                        Verdict::Refuse(SlipRefusal::Claimed { ends_grant: true }) => { row.ended = true; model.ended = true; }
                        Verdict::Repeat | Verdict::Refuse(_) => {}
                    }
                }
            }
        }
    }
}

#[test]
fn a_slip_without_the_seal_is_forged_whatever_else_it_says() {
    let now = Timestamp::from_unix(1_790_000_000);
    let row = Counterfoil {
        seal: SEAL,
        next_slip: 3,
        expires_at: now.plus(DAY),
        claim: None,
        redeemed_at: now,
        slip_key: KEY,
        epoch: 0,
        ended: false,
    };
    for number in [0, 2, 3, 4] {
        let request = RequestIdentity { client: "c", slip: "s", scope: None };
        let presented = Presentation {
            slip: Slip {
                key: KEY,
                grant: GrantId::from_number(1).unwrap(),
                number,
                issued_at: now,
                seal: Seal::from_bytes([6; 16]),
            },
            claim: Claim::keyless(&MacKey::new(&[1; 32]), [0; 8], request),
            now,
            on_replay: OnReplay::Revoke,
            on_lost_answer: OnLostAnswer::Repeat,
        };
        assert_eq!(judge(&row, &presented, 1, 0), Verdict::Refuse(SlipRefusal::Forged));
    }
}
