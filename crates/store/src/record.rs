//! What the verbs give back that core has no type for.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, Terms};
use counterfoil_core::secret::Secret;
use counterfoil_core::verdict::Counterfoil;
use serde::Serialize;

/// A local customer of a provider.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Who it is.
    pub id: CustomerId,
    /// The name to show.
    pub name: String,
    /// Argon2id, in PHC string format.
    pub password: Secret,
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
}

impl Grant {
    /// Whether its tokens are good at `now`.
    pub fn is_living(&self, now: Timestamp) -> bool {
        !self.counterfoil.ended && self.current && now < self.terms.expires_at
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
