//! Histories with a fault in them, and their like without one. Each test's times are in
//! milliseconds.

use counterfoil_core::grant::GrantId;

use super::*;

const KEY: Option<u64> = Some(1);
const OTHER: Option<u64> = Some(2);

/// A history in the making.
#[derive(Clone, Default)]
struct Tale(Vec<Exchange>);

impl Tale {
    /// A grant of which slip 1 was redeemed with `KEY` at 30..40.
    fn begun() -> Self {
        Self::default().redeem(10, 20, 0, None, tokens(1)).redeem(30, 40, 1, KEY, tokens(2))
    }

    fn exchange(mut self, sent: u64, answered: u64, operation: Operation, answer: Reply) -> Self {
        let [sent, answered] = [sent, answered].map(Duration::from_millis);
        self.0.push(Exchange { sent, answered, node: 1, operation, answer });
        self
    }

    fn redeem(self, sent: u64, answered: u64, slip: u64, key: Option<u64>, answer: Reply) -> Self {
        self.exchange(sent, answered, Operation::Redeem { slip, key }, answer)
    }

    fn ends(self, sent: u64, answered: u64, answer: Reply) -> Self {
        self.exchange(sent, answered, Operation::Revoke(Token::Id(2)), answer)
    }

    /// Nothing is wrong with it, whether it is judged at once or exchange by exchange.
    #[track_caller]
    fn is_sound(&self) {
        assert_eq!(judge(&self.0, 0), []);
    }

    /// The last exchange shows this and nothing else, and what was before shows nothing.
    #[track_caller]
    fn shows(&self, fault: Fault) {
        let last = self.0.len() - 1;
        assert_eq!(judge(&self.0[..last], 0), [], "before the last exchange");
        let findings = judge(&self.0, last);
        assert_eq!(
            findings.iter().map(|finding| finding.fault).collect::<Vec<_>>(),
            [fault],
            "{findings:?}"
        );
        assert!(!findings[0].what.contains("text of"), "{findings:?}");
    }
}

fn successor(number: u64, text: &str, grant: i64) -> Successor {
    Successor {
        text: format!("text of {text}").into(),
        grant: GrantId::from_number(grant).unwrap(),
        number,
    }
}

fn tokens(number: u64) -> Reply {
    Reply::Tokens { successor: successor(number, &number.to_string(), 7), replayed: false }
}

fn replayed(number: u64) -> Reply {
    Reply::Tokens { successor: successor(number, &number.to_string(), 7), replayed: true }
}

fn no() -> Reply {
    Reply::No("why".into())
}

fn lost() -> Reply {
    Reply::Lost("connection reset".into())
}

#[test]
fn a_life_without_faults() {
    Tale::begun()
        .redeem(50, 60, 1, KEY, replayed(2))
        .redeem(70, 80, 1, None, no())
        .exchange(82, 83, Operation::Introspect(Token::Refresh(2)), Reply::Yes)
        .exchange(84, 85, Operation::Introspect(Token::Refresh(1)), no())
        .redeem(90, 100, 2, OTHER, lost())
        .redeem(110, 120, 2, OTHER, replayed(3))
        .redeem(130, 140, 1, KEY, no())
        .exchange(150, 160, Operation::Accounts(Token::Id(1)), Reply::Yes)
        .ends(170, 180, lost())
        .exchange(190, 200, Operation::Accounts(Token::Id(3)), no())
        .ends(210, 220, Reply::Yes)
        .redeem(230, 240, 3, None, no())
        .redeem(250, 260, 0, None, no())
        .exchange(270, 280, Operation::Introspect(Token::Access(3)), no())
        .is_sound();
}

#[test]
fn an_acknowledged_redemption_that_is_gone() {
    Tale::begun().redeem(50, 60, 2, OTHER, no()).shows(Fault::RedemptionLost);
    Tale::begun()
        .redeem(50, 60, 2, OTHER, tokens(3))
        .redeem(70, 80, 1, KEY, replayed(2))
        .shows(Fault::RedemptionLost);
    Tale::begun()
        .exchange(50, 60, Operation::Introspect(Token::Refresh(2)), no())
        .shows(Fault::RedemptionLost);
    Tale::begun()
        .exchange(50, 60, Operation::Introspect(Token::Refresh(1)), Reply::Yes)
        .shows(Fault::RedemptionLost);
    // The predecessor's replay was lost: that is no reason to refuse the successor.
    Tale::begun()
        .redeem(45, 49, 1, None, lost())
        .redeem(50, 60, 2, OTHER, no())
        .shows(Fault::RedemptionLost);
    Tale::default().redeem(10, 20, 0, None, no()).shows(Fault::RefusedWithoutCause);
}

#[test]
fn a_slip_that_buys_two_successors() {
    Tale::begun().redeem(50, 60, 1, None, tokens(2)).shows(Fault::RedeemedTwice);
    Tale::begun().redeem(50, 60, 1, OTHER, tokens(2)).shows(Fault::RedeemedTwice);
    Tale::begun().redeem(50, 60, 0, None, tokens(1)).shows(Fault::RedeemedTwice);
    // Two at once, and both won.
    Tale::begun()
        .redeem(50, 60, 2, KEY, tokens(3))
        .redeem(51, 61, 2, OTHER, tokens(3))
        .shows(Fault::RedeemedTwice);
}

#[test]
fn a_race_has_one_winner() {
    let won = Tale::begun().redeem(50, 60, 2, KEY, tokens(3));
    won.clone().redeem(51, 61, 2, OTHER, no()).is_sound();
    // The loser hears of it first, and the winner after its retry.
    Tale::begun()
        .redeem(50, 60, 2, KEY, lost())
        .redeem(51, 61, 2, OTHER, no())
        .redeem(70, 80, 2, KEY, replayed(3))
        .is_sound();
    let nobody = Tale::begun().redeem(50, 60, 2, KEY, no()).redeem(51, 61, 2, OTHER, no());
    assert_eq!(
        judge(&nobody.0, 2).iter().map(|finding| finding.fault).collect::<Vec<_>>(),
        [Fault::RedemptionLost; 2]
    );
    // A client that was refused once was so before the slip was presented to the others, too.
    let later = Tale::begun().redeem(50, 60, 2, KEY, lost()).redeem(51, 61, 2, OTHER, lost());
    let refused = later.redeem(70, 80, 2, KEY, no()).redeem(71, 81, 2, OTHER, no());
    assert_eq!(
        judge(&refused.0, 4).iter().map(|finding| finding.fault).collect::<Vec<_>>(),
        [Fault::RetryRefused; 2]
    );
}

#[test]
fn a_retry_that_is_refused() {
    let lost_answer = Tale::begun().redeem(50, 60, 2, OTHER, lost());
    lost_answer.clone().redeem(70, 80, 2, OTHER, tokens(3)).is_sound();
    lost_answer.clone().redeem(70, 80, 2, OTHER, no()).shows(Fault::RetryRefused);
    Tale::begun().redeem(50, 60, 1, KEY, no()).shows(Fault::RetryRefused);
    // Once the successor was presented a repeat is refused, even if nobody knows what became of the
    // successor.
    Tale::begun().redeem(50, 60, 2, OTHER, lost()).redeem(70, 80, 1, KEY, no()).is_sound();
    // A replay of an answered refresh is no excuse.
    Tale::begun()
        .redeem(45, 49, 1, None, lost())
        .redeem(50, 60, 1, KEY, no())
        .shows(Fault::RetryRefused);
}

#[test]
fn a_repeat_that_differs() {
    let different = Reply::Tokens { successor: successor(2, "another", 7), replayed: true };
    Tale::begun().redeem(50, 60, 1, KEY, different).shows(Fault::RepeatDiffers);
    // Not marked as a repeat it is one all the same: a server whose database died under it can't
    // tell its own success from an earlier one.
    Tale::begun().redeem(50, 60, 1, KEY, tokens(2)).is_sound();
}

#[test]
fn an_acknowledged_ending_that_is_gone() {
    let ended = Tale::begun().ends(50, 60, Reply::Yes);
    ended.clone().redeem(70, 80, 2, OTHER, tokens(3)).shows(Fault::EndingLost);
    ended.clone().redeem(70, 80, 1, KEY, replayed(2)).shows(Fault::EndingLost);
    for operation in [
        Operation::Accounts(Token::Id(1)),
        Operation::Accounts(Token::Access(2)),
        Operation::Introspect(Token::Refresh(2)),
        Operation::Introspect(Token::Id(2)),
        Operation::Introspect(Token::Access(1)),
    ] {
        ended.clone().exchange(70, 80, operation, no()).is_sound();
        ended.clone().exchange(70, 80, operation, Reply::Yes).shows(Fault::EndingLost);
    }
    // Acknowledged to a retry, it holds as well.
    let retried = Tale::begun().ends(50, 60, lost()).ends(61, 65, Reply::Yes);
    retried
        .exchange(70, 80, Operation::Accounts(Token::Id(2)), Reply::Yes)
        .shows(Fault::EndingLost);
}

#[test]
fn what_overlaps_an_ending_may_go_either_way() {
    for answer in [tokens(3), no()] {
        Tale::begun().redeem(55, 58, 2, OTHER, answer.clone()).ends(50, 60, Reply::Yes).is_sound();
        Tale::begun().ends(50, 60, Reply::Yes).redeem(55, 65, 2, OTHER, answer).is_sound();
    }
    // A revocation that was lost may have been done, or not yet.
    for answer in [Reply::Yes, no()] {
        Tale::begun()
            .ends(50, 60, lost())
            .exchange(70, 80, Operation::Accounts(Token::Id(2)), answer)
            .is_sound();
    }
    // But one that was sent after the answer is no cause for it.
    let early = Tale::begun().exchange(50, 60, Operation::Accounts(Token::Id(2)), no()).ends(
        61,
        70,
        Reply::Yes,
    );
    assert_eq!(judge(&early.0, 2).len(), 1);
}

#[test]
fn a_good_token_that_is_refused() {
    for token in [Token::Id(1), Token::Id(2), Token::Access(2)] {
        for operation in [Operation::Accounts(token), Operation::Introspect(token)] {
            Tale::begun().exchange(50, 60, operation, Reply::Yes).is_sound();
            Tale::begun().exchange(50, 60, operation, no()).shows(Fault::RefusedWithoutCause);
        }
    }
}

#[test]
fn answers_that_are_none() {
    let wrong = || Reply::Wrong("500 boom".into());
    Tale::begun().redeem(50, 60, 2, OTHER, wrong()).shows(Fault::Unexpected);
    Tale::begun().ends(50, 60, wrong()).shows(Fault::Unexpected);
    Tale::begun().redeem(50, 60, 2, OTHER, tokens(4)).shows(Fault::Unexpected);
    let foreign = Reply::Tokens { successor: successor(3, "3", 8), replayed: false };
    Tale::begun().redeem(50, 60, 2, OTHER, foreign).shows(Fault::Unexpected);
    Tale::begun().redeem(50, 60, 2, OTHER, Reply::Never("time-out".into())).shows(Fault::NoAnswer);
}
