//! What the verbs take and give that core has no type for.

use counterfoil_core::clock::{Database, Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::login::{self, LetterCase};
use counterfoil_core::secret::Secret;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_core::verdict::Counterfoil;
use serde::Serialize;

/// A local customer of a provider.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Who it is.
    pub id: CustomerId,
    /// The name to show.
    pub name: String,
    /// Argon2id, in PHC string format; none of customers who sign in elsewhere.
    pub password: Option<Secret>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// A customer to add.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    /// The customer.
    pub customer: Customer,
    /// Their accounts, in the order to show.
    pub accounts: Vec<Account>,
}

/// Which of the customers of one provider with these ids has the same name as a new one of `id`
/// would have; `None` also where it is that one's own id.
pub(crate) fn other_of_the_same_name(
    id: &CustomerId,
    mut others: Vec<String>,
    case: LetterCase,
) -> Option<CustomerId> {
    if others.contains(&id.customer) {
        return None;
    }
    let normal = login::normal(&id.customer, case);
    others.retain(|other| login::normal(other, case) == normal);
    others.pop().map(|customer| CustomerId { provider: id.provider.clone(), customer })
}

/// An account in the directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its persistent id, which is not the account number.
    pub id: String,
    /// The FDX entity, such as `{"depositAccount": {...}}`, as JSON text.
    pub entity: String,
}

/// When and how a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EndedAt {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: EndedBy,
}

/// A grant with all that is known of it, for people to look at.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What was allowed.
    pub terms: Terms,
    /// Where it stands.
    pub counterfoil: Counterfoil,
    /// How it ended, where it was ended.
    pub ended: Option<EndedAt>,
    /// Whether client and customer were never removed since it was given.
    pub current: bool,
    /// Whether the consent that it hangs on, if it hangs on one, is there and was not ended.
    pub parent_lives: bool,
}

impl Grant {
    /// Whether its tokens are good at `now`.
    pub fn is_living(&self, now: Timestamp) -> bool {
        !self.counterfoil.ended && self.current && self.parent_lives && now < self.terms.expires_at
    }
}

/// Something that happened to a grant, counted by the hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// What happened.
    pub event: String,
    /// When it first did in that hour.
    pub first_at: Timestamp,
    /// When it last did in that hour.
    pub last_at: Timestamp,
    /// How often it did in that hour.
    pub count: i64,
    /// The last one, in plain words.
    pub detail: String,
}

/// A customer's browser session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose it is.
    pub customer: CustomerId,
    /// The name to show.
    pub name: String,
    /// When the customer proved who they are.
    pub authenticated_at: Timestamp,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// The era of the customer when it began.
    pub customer_era: u32,
}

/// A grant to make, with slip 0 as its next.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// What the customer allowed.
    pub terms: Terms,
    /// What its code is bound to.
    pub code: CodeBinding,
    /// 128 random bits.
    pub seal: Seal,
    /// When the code expires.
    pub code_expires_at: Timestamp,
    /// The key that the code is made with.
    pub slip_key: SlipKeyId,
}

/// What became of a grant to make.
#[derive(Debug)]
pub enum CreateGrant {
    /// It was made.
    Created,
    /// A grant of this id is there already: a doubled consent, or (once in a long while) another
    /// one of the same second.
    Exists(Box<(Terms, Counterfoil)>),
    /// It was to hang on a consent that is not there or no longer lives, is another client's or
    /// customer's, ends earlier, or hangs on one itself.
    NoParent,
}

/// What became of a grant to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It was living and is ended now.
    Ended,
    /// It was ended before; how stays as it was.
    AlreadyEnded,
    /// There is no such grant.
    NotFound,
}

/// Which grants to list.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Of this client alone.
    pub client: Option<String>,
    /// Of this customer alone, and then none that hangs on another: what a customer allowed is one
    /// consent, however often `prompt=none` asked for it again.
    pub customer: Option<CustomerId>,
    /// Older than this one alone: to go on where a page ended.
    pub before: Option<GrantId>,
    /// How many at the most.
    pub limit: u32,
}

/// What became of a client to add.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddClient {
    /// It was added.
    Added,
    /// The id is taken.
    Exists,
}

/// What became of a secret to add.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddSecret {
    /// It was added, and older ones were dropped.
    Added,
    /// There is no such client.
    NoClient,
}

/// What became of a customer to add.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AddCustomer {
    /// They were added.
    Added,
    /// The provider has a customer of that id.
    Exists,
    /// The provider has a customer of this id, with which the new one would sign in too.
    SameName(CustomerId),
}

/// The time to sweep by. (S) It is one reading of one clock, so what is swept must be old by
/// another as well: by the database's, or by the last moment that the store was told of.
#[derive(Clone, Copy, Debug)]
pub struct SweepTime {
    /// The present moment.
    pub now: Timestamp,
    /// Seconds of it that a sandbox's clock is ahead of the machine's.
    pub ahead: Seconds,
}

/// What one step of a sweep removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Sessions that had expired.
    pub sessions: u64,
    /// Failures to sign in that count no more.
    pub sign_in_failures: u64,
    /// Audit entries beyond their retention.
    pub audit_entries: u64,
    /// Consents whose code was never redeemed.
    pub unredeemed: u64,
    /// Grants that `prompt=none` made, and that have expired.
    pub silent: u64,
    /// What only the exchange of a code needs, of codes that are long over.
    pub codes: u64,
    /// Authorizations that were never completed.
    pub authorizations: u64,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// Some of the grants that are old enough to be due for removal.
#[derive(Clone, Debug, Default)]
pub struct OldGrants {
    /// Those that were ended, long ago.
    pub ended: Vec<GrantId>,
    /// Those that nobody ended and that expired long ago: where the clock is wrong, they live.
    pub expired: Vec<GrantId>,
    /// The grant after which to go on; `None` where all were looked at.
    pub next: Option<GrantId>,
}

/// Whether the password of a try to sign in may be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignIn {
    /// It may.
    Try {
        /// The try counts as a failure until
        /// [`Store::sign_in_succeeded`](crate::Store::sign_in_succeeded) is told of this number.
        number: i64,
        /// Until when sign-in is closed, should this one fail: where it is the last that may.
        closes_until: Option<Timestamp>,
    },
    /// Too many failed; no password must be looked at.
    Closed {
        /// When it opens again.
        until: Timestamp,
    },
}

/// What a process is told of what others did to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Another one whenever something was changed that processes keep in memory.
    pub number: i64,
    /// The clock of the database at that moment, where there is one.
    pub database: Option<Database>,
}

/// The keys of a server that are kept in its store, as one document.
#[derive(Clone, Debug)]
pub struct StoredKeys {
    /// How often they were written; each time they are replaced it is one more.
    pub version: i64,
    /// The document, encrypted unless the store is a sandbox's.
    pub document: Vec<u8>,
}
