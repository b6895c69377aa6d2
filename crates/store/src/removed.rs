//! Who is removed with all their grants, as both engines write it down.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;

use crate::journal::Line;

/// Who is removed.
#[derive(Clone)]
pub(crate) enum Removed {
    Client(String),
    Customer(CustomerId),
}

impl Removed {
    /// How the tables name it: client, provider, customer.
    pub(crate) fn name(&self) -> [&str; 3] {
        match self {
            Self::Client(id) => [id, "", ""],
            Self::Customer(id) => ["", &id.provider, &id.customer],
        }
    }

    /// Its line in the endings journal.
    pub(crate) fn line(&self, at: Timestamp, era: u32) -> Line {
        match self.clone() {
            Self::Client(client) => Line::Client { at, client, era },
            Self::Customer(customer) => Line::Customer { at, customer, era },
        }
    }
}
