//! What was read lately and never or seldom changes, in bounded memory. Whether a grant lives is
//! never answered from here.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use counterfoil_core::grant::{CustomerId, Terms};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::record::Account;

/// Bytes that one of these keeps, more or less.
const MOST_BYTES: u64 = 96 << 20;
/// Bytes of a usual entry.
const USUAL_BYTES: u64 = 900;

/// Values by their keys; those that were not asked for lately make room for others.
#[derive(Debug)]
pub(crate) struct Kept<K, V: ?Sized> {
    values: Cache<K, Arc<V>, Size>,
    /// How often all were forgotten.
    forgotten: AtomicU64,
}

/// When a read began, as far as forgetting goes: what was read before all was forgotten is not kept
/// after.
#[derive(Clone, Copy)]
pub(crate) struct Since(u64);

/// What an entry takes, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Size;

/// Whose accounts: a customer of an era.
pub(crate) type Whose = (CustomerId, u32);

/// The same, borrowed.
#[derive(Hash)]
pub(crate) struct OfCustomer<'a>(pub(crate) &'a CustomerId, pub(crate) u32);

impl Equivalent<Whose> for OfCustomer<'_> {
    fn equivalent(&self, key: &Whose) -> bool {
        *self.0 == key.0 && self.1 == key.1
    }
}

impl<K> Weighter<K, Arc<Terms>> for Size {
    fn weight(&self, _: &K, terms: &Arc<Terms>) -> u64 {
        let accounts: usize = terms.accounts.iter().map(String::len).sum();
        let customer = terms.customer.provider.len() + terms.customer.customer.len();
        let texts = terms.client.len() + customer + terms.name.len() + accounts;
        (size_of::<Terms>() + texts + terms.accounts.len() * size_of::<String>()) as u64
    }
}

impl Weighter<Whose, Arc<[Account]>> for Size {
    fn weight(&self, (customer, _): &Whose, accounts: &Arc<[Account]>) -> u64 {
        let accounts: usize = accounts
            .iter()
            .map(|account| size_of::<Account>() + account.id.len() + account.entity.len())
            .sum();
        (size_of::<Whose>() + customer.provider.len() + customer.customer.len() + accounts) as u64
    }
}

impl<K: Eq + Hash, V: ?Sized> Kept<K, V>
where
    Size: Weighter<K, Arc<V>>,
{
    pub(crate) fn new() -> Self {
        let entries = usize::try_from(MOST_BYTES / USUAL_BYTES).unwrap_or(usize::MAX);
        Self {
            values: Cache::with_weighter(entries, MOST_BYTES, Size),
            forgotten: AtomicU64::new(0),
        }
    }

    pub(crate) fn get<Q: Hash + Equivalent<K>>(&self, key: &Q) -> Option<Arc<V>> {
        self.values.get(key)
    }

    /// To be called before a value is read that is to be kept.
    pub(crate) fn begin(&self) -> Since {
        Since(self.forgotten.load(Ordering::SeqCst))
    }

    pub(crate) fn keep(&self, since: Since, key: K, value: Arc<V>) {
        if self.forgotten.load(Ordering::SeqCst) == since.0 {
            self.values.insert(key, value);
        }
    }

    pub(crate) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.values.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(name: String) -> CustomerId {
        CustomerId { provider: "bank".into(), customer: name }
    }

    #[test]
    fn what_is_kept_is_found_by_customer_and_era() {
        let kept = Kept::<Whose, [Account]>::new();
        let (ada, account) =
            (customer("ada".into()), Account { id: "1".into(), entity: "{}".into() });
        assert!(kept.get(&OfCustomer(&ada, 0)).is_none());
        let since = kept.begin();
        kept.keep(since, (ada.clone(), 0), Arc::new([account.clone()]));
        assert_eq!(kept.get(&OfCustomer(&ada, 0)).unwrap()[0].id, "1");
        assert!(kept.get(&OfCustomer(&ada, 1)).is_none());
        kept.forget();
        kept.keep(since, (ada.clone(), 0), Arc::new([account]));
        assert!(kept.get(&OfCustomer(&ada, 0)).is_none(), "what was read before is not kept after");
    }

    #[test]
    fn it_is_bounded_in_bytes() {
        let kept = Kept::<Whose, [Account]>::new();
        for number in 0..1_500 {
            kept.keep(
                kept.begin(),
                (customer(format!("{number}")), 0),
                Arc::new([Account { id: "1".into(), entity: "x".repeat(100_000) }]),
            );
        }
        let bytes: u64 =
            kept.values.iter().map(|(whose, accounts)| Size.weight(&whose, &accounts)).sum();
        assert!(bytes <= MOST_BYTES && bytes > MOST_BYTES / 2, "{bytes}");
    }
}
