//! Verbs for customers and their accounts.

use std::sync::Arc;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{CustomerId, Terms};
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;

use crate::error::StoreError;
use crate::kept::OfCustomer;
use crate::pending::Pending;
use crate::record::{Account, AddCustomer, Customer, NewCustomer};
use crate::store::{Engine, Store, call, read};

/// Local customers of providers, and the directory of their accounts.
impl Store {
    /// The customer of this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer(&self, id: &CustomerId) -> Result<Option<Customer>, StoreError> {
        read!(self, customer(id))
    }

    /// Customers in the order of their ids, after `after`, of one provider or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customers(
        &self,
        provider: Option<&str>,
        after: Option<&CustomerId>,
        limit: u32,
    ) -> Result<Vec<Customer>, StoreError> {
        read!(self, customers(provider, after, limit))
    }

    /// The accounts of a customer, in the order in which they were given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accounts(&self, id: &CustomerId) -> Result<Vec<Account>, StoreError> {
        read!(self, accounts(id))
    }

    /// The accounts of the customer who gave a living grant, in the order in which they were given.
    /// They seldom change, so those that were read lately are kept, until [`Store::forget_kept`]
    /// where another process may have set them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accounts_behind(&self, terms: &Terms) -> Result<Arc<[Account]>, StoreError> {
        let (customer, era) = (&terms.customer, terms.customer_era);
        if let Some(kept) = self.accounts.get(&OfCustomer(customer, era)) {
            return Ok(kept);
        }
        let since = self.accounts.begin();
        let accounts: Arc<[Account]> = self.accounts(customer).await?.into();
        // Where there are none, the customer may not have been added yet.
        if !accounts.is_empty() {
            self.accounts.keep(since, (customer.clone(), era), accounts.clone());
        }
        Ok(accounts)
    }

    /// The era of customers of this id, to be recorded in the grants and sessions that one gets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customer_era(&self, id: &CustomerId) -> Result<u32, StoreError> {
        read!(self, customer_era(id))
    }

    /// The customer of this id, and those of other ids that may be the same to who signs in,
    /// whatever the case of letters: `login::find` tells whom it means. One whom a process of an
    /// earlier version added is found by the id alone until [`Store::fill_logins`] came to them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customers_named(&self, id: &CustomerId) -> Result<Vec<Customer>, StoreError> {
        read!(self, customers_named(id))
    }

    /// Customers of whom others of the same provider have the same name but perhaps for the case of
    /// letters, in an order that has those together; some where they are many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn customers_with_a_common_name(&self) -> Result<Vec<CustomerId>, StoreError> {
        read!(self, customers_with_a_common_name())
    }

    /// Writes down what some customers sign in with whom a process of an earlier version added;
    /// true where there may be more of them.
    pub fn fill_logins(&self) -> Pending<bool> {
        call!(self, fill_logins())
    }

    /// Adds a customer with their accounts, or nothing. `case` is whether names of the provider's
    /// customers are the same whatever the case of letters.
    ///
    /// Promise: two customers whose name is the same are not both added, at whatever node.
    pub fn add_customer(&self, new: NewCustomer, case: LetterCase) -> Pending<AddCustomer> {
        call!(self, add_customer(new, case))
    }

    /// Replaces the accounts of a customer; false where there is no such customer. Grants stay as
    /// they are.
    ///
    /// Promise: once answered, this process answers nothing from those before; others know of a
    /// change ([`Store::changes`]).
    pub async fn set_accounts(
        &self,
        id: CustomerId,
        accounts: Vec<Account>,
    ) -> Result<bool, StoreError> {
        match &self.engine {
            Engine::Sqlite(engine) => {
                engine.set_accounts(id, accounts, self.accounts.clone()).await
            }
            Engine::Postgres(engine) => {
                let set = engine.set_accounts(id, accounts).await;
                self.accounts.forget();
                set
            }
        }
    }

    /// Sets a customer's password, ends their sessions, and forgets the failures that are counted
    /// under `sign_ins`; false where there is no such customer.
    pub fn set_password(
        &self,
        id: CustomerId,
        password: Secret,
        sign_ins: [u8; 32],
    ) -> Pending<bool> {
        call!(self, set_password(id, password, sign_ins))
    }

    /// Removes a customer with their accounts and sessions and ends all their grants at once, by
    /// raising their era. Audit entries are written as [`Store::work_off_removals`] comes to them.
    /// False where there is no such customer.
    ///
    /// Promise: once answered, no check finds a grant of theirs living, at no node.
    pub fn remove_customer(&self, id: CustomerId, now: Timestamp) -> Pending<bool> {
        call!(self, remove_customer(id, now))
    }
}
