//! A grant in a client's hands: its tokens, and all that was answered about it.

use counterfoil_sandbox::seed::SeedClient;

use crate::chance::Chance;
use crate::checker::judge;
use crate::findings::Subject;
use crate::history::{Exchange, Operation, Reply, Token};
use crate::requests::{Issued, Request};
use crate::run::{Attempts, Phase, Run};

/// From how many answers a living grant keeps the tokens, including the first.
const KEPT: usize = 8;
/// Events that are kept of a grant that ended.
const LAST_EXCHANGES: usize = 24;
/// The customers that have accounts.
const CUSTOMERS: [&str; 4] = ["customer_1", "customer_2", "customer_3", "customer_4"];

pub(crate) struct ClientGrant {
    client: &'static SeedClient,
    code: String,
    /// Tokens in the order of their numbers: the first that were issued, and the last few. Never
    /// empty once the grant was obtained.
    issued: Vec<Issued>,
    history: Vec<Exchange>,
}

impl ClientGrant {
    /// A new grant with its first tokens. `None` where there is none to be had: a code of which the
    /// answer was lost is no good any more.
    pub(crate) async fn obtain(
        run: &Run,
        chance: &mut Chance,
        client: &'static SeedClient,
    ) -> Option<Self> {
        let customer = CUSTOMERS[chance.below(CUSTOMERS.len())];
        let code = run.code(chance, client, customer).await?;
        let node = chance.below(run.origins.len());
        let operation = Operation::Redeem { slip: 0, key: None };
        let exchange = run.ask_once(Request { operation, token: &code, client }, node).await;
        let mut grant = Self { client, code, issued: Vec::new(), history: Vec::new() };
        if !grant.record(run, [exchange]) || grant.issued.is_empty() {
            return None;
        }
        run.tally().grants += 1;
        Some(grant)
    }

    /// The number of the newest refresh token.
    pub(crate) fn number(&self) -> u64 {
        self.issued.last().map_or(0, |issued| issued.number)
    }

    /// Which grant it is, and whose, for a finding.
    fn in_words(&self) -> String {
        let named = self.history.iter().find_map(|exchange| match &exchange.answer {
            Reply::Tokens { successor, .. } => Some(successor.grant.to_string()),
            _ => None,
        });
        format!("grant {} of {}", named.as_deref().unwrap_or("without a name"), self.client.id)
    }

    /// Refreshes, with a key. As all that follow: whether everything is as it should be.
    pub(crate) async fn refresh(&mut self, run: &Run, chance: &mut Chance) -> bool {
        let (before, tries) = (self.number(), self.history.len());
        let operation = Operation::Redeem { slip: before, key: Some(chance.next()) };
        if !self.ask(run, chance, operation, None).await {
            return false;
        }
        run.tally().refreshes += u64::from(self.number() > before);
        // What a kill may have undone is checked at once.
        if self.history.len() > tries + 1 && chance.one_in(2) {
            self.replay(run, chance).await
        } else {
            true
        }
    }

    /// Repeats the last refresh with its key, though it was answered.
    pub(crate) async fn repeat(&mut self, run: &Run, chance: &mut Chance) -> bool {
        let Some(repeat) = self.last_refresh() else {
            return true;
        };
        let sound = self.ask(run, chance, repeat, None).await;
        let unmarked = self
            .history
            .last()
            .is_some_and(|last| matches!(last.answer, Reply::Tokens { replayed: false, .. }));
        let mut tally = run.tally();
        tally.repeats += u64::from(sound);
        tally.unmarked_repeats += u64::from(unmarked);
        sound
    }

    /// The request that gave the newest tokens, if it was a refresh.
    fn last_refresh(&self) -> Option<Operation> {
        let newest = self.issued.last()?;
        newest.key.map(|key| Operation::Redeem { slip: newest.number - 1, key: Some(key) })
    }

    /// Presents an old slip without a key.
    pub(crate) async fn replay(&mut self, run: &Run, chance: &mut Chance) -> bool {
        let old = &self.issued[..self.issued.len().saturating_sub(1)];
        let Some(old) = old.get(chance.below(old.len())) else {
            return true;
        };
        let replay = Operation::Redeem { slip: old.number, key: None };
        let sound = self.ask(run, chance, replay, None).await;
        run.tally().replays += u64::from(sound);
        sound
    }

    /// Presents the newest slip twice at once, with two keys.
    pub(crate) async fn race(&mut self, run: &Run, chance: &mut Chance) -> bool {
        let slip = self.number();
        let [first, second] = [chance.next(), chance.next()]
            .map(|key| self.request(Operation::Redeem { slip, key: Some(key) }));
        let (Some(first), Some(second)) = (first, second) else {
            return true;
        };
        let mut other = chance.fork();
        let both = tokio::join!(run.ask(chance, first, None), run.ask(&mut other, second, None));
        let sound = self.record(run, both.into());
        run.tally().races += u64::from(sound);
        sound
    }

    /// Shows one of the tokens, not always the newest, at `/accounts` or `/introspect`.
    pub(crate) async fn read(&mut self, run: &Run, chance: &mut Chance) -> bool {
        let Some(issued) = self.issued.get(chance.below(self.issued.len())) else {
            return true;
        };
        let number = issued.number;
        let operation = match chance.below(6) {
            0 | 1 => Operation::Accounts(Token::Id(number)),
            2 => Operation::Accounts(Token::Access(number)),
            3 => Operation::Introspect(Token::Refresh(number)),
            4 => Operation::Introspect(Token::Id(number)),
            _ => Operation::Introspect(Token::Access(number)),
        };
        let sound = self.ask(run, chance, operation, None).await;
        run.tally().reads += u64::from(sound);
        sound
    }

    /// Ends the grant, half of the time while it is being refreshed, and then tries all its tokens
    /// at every node.
    pub(crate) async fn end(&mut self, run: &Run, chance: &mut Chance) -> bool {
        let newest = self.number();
        let with =
            [Token::Refresh(newest), Token::Id(newest), Token::Access(newest), Token::Refresh(1)]
                [chance.below(4)];
        let refresh = Operation::Redeem { slip: newest, key: Some(chance.next()) };
        let (Some(revoke), Some(refresh)) =
            (self.request(Operation::Revoke(with)), self.request(refresh))
        else {
            return true;
        };
        let mut other = chance.fork();
        let sound = if chance.one_in(2) {
            let both =
                tokio::join!(run.ask(chance, revoke, None), run.ask(&mut other, refresh, None));
            self.record(run, both.into())
        } else {
            let ended = run.ask(chance, revoke, None).await;
            self.record(run, [ended])
        };
        if !sound {
            return false;
        }
        run.tally().revocations += 1;
        for node in 0..run.origins.len() {
            if !self.check_ended(run, chance, Some(node)).await {
                return false;
            }
        }
        self.shorten();
        true
    }

    /// Tries all kept tokens of an ended grant, at this node or any.
    pub(crate) async fn check_ended(
        &mut self,
        run: &Run,
        chance: &mut Chance,
        node: Option<usize>,
    ) -> bool {
        let newest = self.number();
        let mut all = vec![
            Operation::Accounts(Token::Id(newest)),
            Operation::Accounts(Token::Access(newest)),
            Operation::Redeem { slip: newest, key: None },
            Operation::Introspect(Token::Refresh(newest)),
            Operation::Introspect(Token::Id(newest)),
            Operation::Introspect(Token::Access(newest)),
            Operation::Redeem { slip: 0, key: None },
        ];
        if newest > 1 {
            all.extend([
                Operation::Accounts(Token::Id(1)),
                Operation::Accounts(Token::Access(1)),
                Operation::Redeem { slip: 1, key: None },
            ]);
        }
        all.extend(self.last_refresh());
        for operation in all {
            if !self.ask(run, chance, operation, node).await {
                return false;
            }
        }
        run.tally().ended_grants_checked += 1;
        true
    }

    /// Tries all kept tokens of a living grant: the newest are good, the old slips are not, and it
    /// can be refreshed.
    pub(crate) async fn check_living(&mut self, run: &Run, chance: &mut Chance) -> bool {
        let newest = self.number();
        let mut all = vec![
            Operation::Accounts(Token::Id(newest)),
            Operation::Accounts(Token::Access(newest)),
        ];
        all.extend(
            self.issued.iter().map(|issued| Operation::Introspect(Token::Refresh(issued.number))),
        );
        all.extend(self.last_refresh());
        let old = self.issued.iter().filter(|issued| issued.number < newest);
        all.extend(old.map(|issued| Operation::Redeem { slip: issued.number, key: None }));
        for operation in all {
            if !self.ask(run, chance, operation, None).await {
                return false;
            }
        }
        self.refresh(run, chance).await
    }

    async fn ask(
        &mut self,
        run: &Run,
        chance: &mut Chance,
        operation: Operation,
        node: Option<usize>,
    ) -> bool {
        let Some(request) = self.request(operation) else {
            return true;
        };
        let attempts = run.ask(chance, request, node).await;
        self.record(run, [attempts])
    }

    /// A request with the text of its token, if that was kept.
    fn request(&self, operation: Operation) -> Option<Request<'_>> {
        let named = match operation {
            Operation::Redeem { slip: 0, .. } => Token::Code,
            Operation::Redeem { slip, .. } => Token::Refresh(slip),
            Operation::Accounts(token)
            | Operation::Introspect(token)
            | Operation::Revoke(token) => token,
        };
        let issued = |number| self.issued.iter().find(|issued| issued.number == number);
        let token = match named {
            Token::Code => &*self.code,
            Token::Refresh(number) => &*issued(number)?.refresh_token,
            Token::Id(number) => &*issued(number)?.id_token,
            Token::Access(number) => &*issued(number)?.access_token,
        };
        Some(Request { operation, token, client: self.client })
    }

    /// Records the replies to requests that were in flight together, compares them with
    /// all that was before, and keeps the tokens. False where something is wrong, or the run is
    /// over and nobody knows.
    fn record<const N: usize>(&mut self, run: &Run, attempts: [Attempts; N]) -> bool {
        let new = self.history.len();
        for Attempts { tries, issued } in attempts {
            self.history.extend(tries);
            if let Some(issued) = issued.filter(|issued| issued.number > self.number()) {
                self.issued.push(issued);
            }
        }
        if self.issued.len() > KEPT {
            self.issued.remove(1);
        }
        self.history[new..].sort_by_key(|exchange| exchange.answered);
        let violations = judge(&self.history, new);
        let sound = violations.is_empty();
        for violation in violations {
            let subject = Subject { name: self.in_words(), history: &self.history };
            run.report(violation, Some(subject));
        }
        sound && run.phase() < Phase::Over
    }

    /// Forgets the middle of a grant that ended: no rule needs it any more.
    fn shorten(&mut self) {
        if self.issued.len() > 3 {
            self.issued.drain(1..self.issued.len() - 2);
        }
        let late = self.history.len().saturating_sub(LAST_EXCHANGES);
        let mut at = 0;
        self.history.retain(|exchange| {
            at += 1;
            at > late || at == 1 || matches!(exchange.operation, Operation::Revoke(_))
        });
    }
}
