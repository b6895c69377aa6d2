//! Grants as a bank has them, to fill a store with.

use counterfoil_core::clock::{DAY, Timestamp};
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::scope::Scopes;
use counterfoil_core::slip_keys::SlipKeyId;
use counterfoil_store::NewGrant;

pub const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);
pub const KEY: SlipKeyId = SlipKeyId(1);

/// The terms of the n-th grant. Customers come in no order, as they do.
pub fn terms(n: u32) -> Terms {
    Terms {
        grant: GrantId::new(NOW.plus(i64::from(n >> 20)), (n << 2).to_be_bytes()),
        client: "app".into(),
        customer: CustomerId {
            provider: "examplebank".into(),
            customer: format!("customer-{:08x}", n.wrapping_mul(0x9e37_79b9)),
        },
        name: "Ada Lovelace".into(),
        scopes: Scopes::ALL,
        clusters: DataClusters::from_names(["BALANCES", "TRANSACTIONS"]).unwrap(),
        accounts: vec![format!("account-{n}"), format!("savings-{n}")],
        lookback_days: None,
        created_at: NOW,
        expires_at: NOW.plus(365 * DAY),
        authenticated_at: NOW,
        client_era: 0,
        customer_era: 0,
        parent: None,
    }
}

/// The n-th grant, to be made.
pub fn new_grant(n: u32) -> NewGrant {
    let code = CodeBinding {
        redirect_uri: "https://app.example/callback".into(),
        challenge: None,
        nonce: None,
    };
    NewGrant {
        terms: terms(n),
        code,
        seal: Seal::from_bytes([7; 16]),
        code_expires_at: NOW.plus(300),
        slip_key: KEY,
    }
}
