//! The grants of a store that is measured: each follows from its number alone, so that a token of
//! any of them can be made without reading the store.

use counterfoil_core::claim::Claim;
use counterfoil_core::clock::{DAY, Timestamp};
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CustomerId, GrantId, Seal, Terms};
use counterfoil_core::scope::Scopes;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::Counterfoil;

/// The client that all of them were given to.
pub(crate) const CLIENT: &str = "budget-app";
/// The provider of all customers.
pub(crate) const PROVIDER: &str = "examplebank";
/// Where the client gets its codes.
pub(crate) const REDIRECT_URI: &str = "https://app.example/callback";
/// The key that a new server makes slips with.
pub(crate) const SLIP_KEY: SlipKeyId = SlipKeyId(1);
/// How long before now the first consent was given. Further ones came in equal steps.
const AGE: i64 = 30 * DAY;
/// The most grants that bearer tokens are of.
pub(crate) const MOST_BEARERS: usize = 100_000;
/// Accounts of a grant.
const ACCOUNTS: u64 = 3;

/// The grants of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grants {
    pub(crate) count: u64,
    pub(crate) now: Timestamp,
}

impl Grants {
    /// When the `n`-th was given, and what tells it from others of that second.
    fn given(self, n: u64) -> (Timestamp, u32) {
        let ticks =
            u128::from(n) * (u128::from(AGE.unsigned_abs()) << 30) / u128::from(self.count.max(1));
        // Within a month in seconds and 30 bits: neither is cut off.
        let (second, part) = (
            i64::try_from(ticks >> 30).unwrap_or(AGE),
            u32::try_from(ticks & ((1 << 30) - 1)).unwrap_or(0),
        );
        (self.now.plus(second - AGE), part)
    }

    /// The id of the `n`-th; they go up with `n`, as consents do with time.
    pub(crate) fn id(self, n: u64) -> GrantId {
        let (second, part) = self.given(n);
        GrantId::new(second, (part << 2).to_be_bytes())
    }

    /// The seal of the `n`-th.
    pub(crate) fn seal(self, n: u64) -> Seal {
        Seal::from_bytes(((u128::from(mixed(n)) << 64) | u128::from(mixed(!n))).to_be_bytes())
    }

    /// The customer of the `n`-th. They come in no order, as they do.
    pub(crate) fn customer(self, n: u64) -> CustomerId {
        CustomerId {
            provider: PROVIDER.into(),
            customer: format!("customer-{:010x}", mixed(n) >> 24),
        }
    }

    /// The ids of the accounts of the `n`-th.
    pub(crate) fn accounts(self, n: u64) -> Vec<String> {
        (0..ACCOUNTS)
            .map(|account| format!("{:012x}", mixed(n * ACCOUNTS + account) >> 16))
            .collect()
    }

    /// What the `n`-th customer allowed.
    pub(crate) fn terms(self, n: u64) -> Terms {
        let (created_at, _) = self.given(n);
        Terms {
            grant: self.id(n),
            client: CLIENT.into(),
            customer: self.customer(n),
            name: "Ada Lovelace".into(),
            scopes: Scopes::ALL,
            clusters: DataClusters::from_names(["ACCOUNT_BASIC", "BALANCES", "TRANSACTIONS"])
                .unwrap_or_default(),
            accounts: self.accounts(n),
            lookback_days: None,
            created_at,
            expires_at: created_at.plus(365 * DAY),
            authenticated_at: created_at,
            client_era: 0,
            customer_era: 0,
            parent: None,
        }
    }

    /// Where the `n`-th stands: its code was redeemed, and its first refresh token is the next
    /// slip.
    pub(crate) fn counterfoil(self, n: u64) -> Counterfoil {
        let (redeemed_at, _) = self.given(n);
        let mut claim = [0; Claim::LENGTH];
        claim[1..9].copy_from_slice(&mixed(n).to_be_bytes());
        claim[9..].copy_from_slice(&mixed(!n).to_be_bytes());
        Counterfoil {
            seal: self.seal(n),
            next_slip: 1,
            expires_at: redeemed_at.plus(90 * DAY),
            claim: Some(Claim::from_bytes(claim)),
            redeemed_at,
            slip_key: SLIP_KEY,
            epoch: 0,
            ended: false,
        }
    }

    /// The numbers of `many` of them, each another while there are as many, spread over all in no
    /// order.
    pub(crate) fn spread(self, many: usize) -> impl Iterator<Item = u64> {
        let count = self.count.max(1);
        // Steps of a number that has no divisor in common with the count come to each once before
        // they come to any again.
        let golden = u64::try_from(u128::from(count) * 618_034 / 1_000_000).unwrap_or(0);
        let step = (golden.max(1)..).find(|step| common_divisor(*step, count) == 1).unwrap_or(1);
        (0..many as u64).map(move |n| {
            u64::try_from(u128::from(n) * u128::from(step) % u128::from(count)).unwrap_or(0)
        })
    }

    /// The numbers of the grants of `many` bearer tokens. Further ones are again of those: each has
    /// a customer in the directory.
    pub(crate) fn bearers(self, many: usize) -> impl Iterator<Item = u64> {
        let different =
            many.min(usize::try_from(self.count).unwrap_or(usize::MAX)).min(MOST_BEARERS);
        let numbers: Vec<u64> = self.spread(different).collect();
        (0..many).map(move |n| numbers[n % different])
    }
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A number that looks unrelated to `n` (the finaliser of SplitMix64).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_go_up_however_many_there_are() {
        for count in [1, 10, 1_000_000, 100_000_000] {
            let grants = Grants { count, now: Timestamp::from_unix(1_790_000_000) };
            let ids: Vec<_> =
                (0..count.min(2000)).map(|n| grants.id(n)).chain([grants.id(count - 1)]).collect();
            assert!(ids[..ids.len() - 1].is_sorted_by(|a, b| a < b), "{count}");
            assert!(ids[0] <= ids[ids.len() - 1]);
            assert!(grants.terms(count - 1).created_at <= grants.now);
        }
    }

    #[test]
    fn a_spread_comes_to_each_once() {
        for count in [1, 2, 10, 97, 1000] {
            let grants = Grants { count, now: Timestamp::from_unix(1_790_000_000) };
            let all: BTreeSet<_> = grants.spread(usize::try_from(count).unwrap()).collect();
            assert_eq!(all, (0..count).collect(), "{count}");
        }
    }
}
