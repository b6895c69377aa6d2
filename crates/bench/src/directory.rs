//! What customers of a measured server have: the accounts that its directory shows.

use counterfoil_store::{Account, Customer, NewCustomer};

use crate::grants::Grants;

/// An account as FDX has it.
fn entity(id: &str) -> String {
    format!(
        r#"{{"depositAccount":{{"accountId":"{id}","accountType":"CHECKING","accountNumberDisplay":"····4321","productName":"Everyday Checking","nickname":"Household","status":"OPEN","balanceType":"ASSET","currency":{{"currencyCode":"USD"}},"currentBalance":2350.18,"availableBalance":2290.18}}}}"#
    )
}

/// What the server answers for a grant of these accounts.
pub(crate) fn body(accounts: &[String]) -> String {
    let entities: Vec<_> = accounts.iter().map(|id| entity(id)).collect();
    format!(r#"{{"accounts":[{}]}}"#, entities.join(","))
}

/// The customer of the `n`-th grant, with the accounts that it shows. Nobody signs in as one.
pub(crate) fn customer(grants: Grants, n: u64) -> NewCustomer {
    let customer = Customer {
        id: grants.customer(n),
        name: "Ada Lovelace".into(),
        password: None,
        created_at: grants.now,
    };
    let accounts =
        grants.accounts(n).into_iter().map(|id| Account { entity: entity(&id), id }).collect();
    NewCustomer { customer, accounts }
}
