//! Local customers of providers, and the directory of their accounts.

use std::sync::Arc;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::{self, LetterCase};
use counterfoil_core::secret::Secret;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use super::era::remove;
use super::row::{named, time};
use super::sessions::forget_failures;
use crate::error::StoreError;
use crate::kept::{Kept, Whose};
use crate::limits::{MOST_OF_A_COMMON_NAME, STEP};
use crate::pending::Pending;
use crate::record::{Account, AddCustomer, Customer, NewCustomer, other_of_the_same_name};
use crate::removed::Removed;

const CUSTOMER: &str = "provider, customer, name, password, created_at";
/// No join and no `ORDER BY`: SQLite plans a join by the values bound, so it would prepare it anew
/// after each use, when the cache of statements clears them; and sorting is quicker here than
/// there.
pub(super) const READ_ACCOUNTS: &str = "SELECT account.id, account_id, entity FROM account WHERE account.customer = \
    (SELECT customer.id FROM customer WHERE provider = ?1 AND customer.customer = ?2)";

/// No `OR`: SQLite would look at every customer of the provider.
pub(super) const READ_NAMED: &str = "SELECT provider, customer, name, password, created_at FROM customer WHERE id IN \
    (SELECT id FROM customer WHERE provider = ?1 AND customer = ?2 UNION SELECT id FROM customer WHERE provider = ?1 AND login = ?3) \
    ORDER BY customer";

fn customer(row: &Row<'_>) -> rusqlite::Result<Customer> {
    Ok(Customer {
        id: CustomerId { provider: row.get(0)?, customer: row.get(1)? },
        name: row.get(2)?,
        password: row.get::<_, Option<String>>(3)?.map(Secret::new),
        created_at: time(row, 4)?,
    })
}

impl Sqlite {
    pub(crate) fn customer(&self, id: &CustomerId) -> Result<Option<Customer>, StoreError> {
        self.readers
            .reader()
            .prepare_cached(&format!(
                "SELECT {CUSTOMER} FROM customer WHERE provider = ?1 AND customer = ?2"
            ))?
            .query_row([&id.provider, &id.customer], customer)
            .optional()
            .map_err(named("customer", id))
    }

    pub(crate) fn customers(
        &self,
        provider: Option<&str>,
        after: Option<&CustomerId>,
        limit: u32,
    ) -> Result<Vec<Customer>, StoreError> {
        let reader = self.readers.reader();
        let (after_provider, after_customer) =
            after.map_or(("", ""), |id| (id.provider.as_str(), id.customer.as_str()));
        let mut query = reader.prepare_cached(&format!(
            "SELECT {CUSTOMER} FROM customer WHERE (provider, customer) > (?1, ?2) AND (?3 IS NULL OR provider = ?3) \
             ORDER BY provider, customer LIMIT ?4"
        ))?;
        let found =
            query.query_map(params![after_provider, after_customer, provider, limit], customer)?;
        found.collect::<rusqlite::Result<_>>().map_err(named("customer", "listed"))
    }

    pub(crate) fn accounts(&self, id: &CustomerId) -> Result<Vec<Account>, StoreError> {
        let reader = self.readers.reader();
        let mut query = reader.prepare_cached(READ_ACCOUNTS)?;
        let row =
            |row: &Row<'_>| Ok((row.get(0)?, Account { id: row.get(1)?, entity: row.get(2)? }));
        let found: rusqlite::Result<Vec<(i64, Account)>> =
            query.query_map([&id.provider, &id.customer], row)?.collect();
        let mut found = found.map_err(named("account", id))?;
        found.sort_unstable_by_key(|(added, _)| *added);
        Ok(found.into_iter().map(|(_, account)| account).collect())
    }

    #[allow(clippy::unnecessary_wraps, reason = "a verb of both engines")]
    pub(crate) fn customer_era(&self, id: &CustomerId) -> Result<u32, StoreError> {
        Ok(self.eras.of_customer(id))
    }

    pub(crate) fn add_customer(&self, new: NewCustomer, case: LetterCase) -> Pending<AddCustomer> {
        self.writer.queue(move |batch| {
            let Customer { id, name, password, created_at } = &new.customer;
            let login = login::common(&id.customer);
            let mut named = batch.db.prepare_cached("SELECT customer FROM customer WHERE provider = ?1 AND login = ?2")?;
            let named = named.query_map([&id.provider, &login], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            if let Some(same) = other_of_the_same_name(id, named, case) {
                return Ok(AddCustomer::SameName(same));
            }
            let added = batch
                .db
                .prepare_cached(
                    "INSERT INTO customer (provider, customer, name, password, created_at, login) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![id.provider, id.customer, name, password.as_ref().map(Secret::expose), created_at.unix(), login])?;
            if added == 0 {
                // After a commit of unknown outcome the customer who is there may be this call's
                // own: salts never repeat.
                let own = "SELECT 1 FROM customer WHERE provider = ?1 AND customer = ?2 AND password IS ?3 AND created_at = ?4";
                let parameters = params![id.provider, id.customer, password.as_ref().map(Secret::expose), created_at.unix()];
                let own = batch.again && batch.db.prepare(own)?.exists(parameters)?;
                return Ok(if own { AddCustomer::Added } else { AddCustomer::Exists });
            }
            let row = batch.db.last_insert_rowid();
            insert_accounts(batch.db, row, &new.accounts)?;
            Ok(AddCustomer::Added)
        })
    }

    pub(crate) fn set_accounts(
        &self,
        id: CustomerId,
        accounts: Vec<Account>,
        kept: Arc<Kept<Whose, [Account]>>,
    ) -> Pending<bool> {
        self.writer.queue(move |batch| {
            let row = "SELECT id FROM customer WHERE provider = ?1 AND customer = ?2";
            let row: Option<i64> = batch
                .db
                .prepare_cached(row)?
                .query_row([&id.provider, &id.customer], |row| row.get(0))
                .optional()?;
            let Some(row) = row else { return Ok(false) };
            batch.db.prepare_cached("DELETE FROM account WHERE customer = ?1")?.execute([row])?;
            insert_accounts(batch.db, row, &accounts)?;
            let kept = kept.clone();
            batch.once_committed(move || kept.forget());
            Ok(true)
        })
    }

    pub(crate) fn customers_named(&self, id: &CustomerId) -> Result<Vec<Customer>, StoreError> {
        let reader = self.readers.reader();
        let mut query = reader.prepare_cached(READ_NAMED)?;
        let found = query
            .query_map([&id.provider, &id.customer, &login::common(&id.customer)], customer)?;
        found.collect::<rusqlite::Result<_>>().map_err(named("customer", id))
    }

    pub(crate) fn customers_with_a_common_name(&self) -> Result<Vec<CustomerId>, StoreError> {
        let reader = self.readers.reader();
        let mut query = reader.prepare_cached(
            "SELECT provider, customer FROM customer WHERE (provider, login) IN \
             (SELECT provider, login FROM customer WHERE login IS NOT NULL GROUP BY provider, login HAVING count(*) > 1) \
             ORDER BY provider, login, customer LIMIT ?1",
        )?;
        let found = query.query_map([MOST_OF_A_COMMON_NAME], |row| {
            Ok(CustomerId { provider: row.get(0)?, customer: row.get(1)? })
        })?;
        found.collect::<rusqlite::Result<_>>().map_err(named("customer", "listed"))
    }

    pub(crate) fn fill_logins(&self) -> Pending<bool> {
        self.writer.queue(move |batch| {
            let mut query = batch
                .db
                .prepare_cached("SELECT id, customer FROM customer WHERE login IS NULL LIMIT ?1")?;
            let missing = query
                .query_map([STEP], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
            let mut fill =
                batch.db.prepare_cached("UPDATE customer SET login = ?2 WHERE id = ?1")?;
            for (row, id) in &missing {
                fill.execute(params![row, login::common(id)])?;
            }
            Ok(missing.len() == STEP as usize)
        })
    }

    pub(crate) fn set_password(
        &self,
        id: CustomerId,
        password: Secret,
        sign_ins: [u8; 32],
    ) -> Pending<bool> {
        self.writer.queue(move |batch| {
            forget_failures(batch.db, &sign_ins)?;
            let CustomerId { provider, customer } = &id;
            batch.db.execute(
                "DELETE FROM session WHERE provider = ?1 AND customer = ?2",
                [provider, customer],
            )?;
            batch
                .db
                .execute(
                    "UPDATE customer SET password = ?3 WHERE provider = ?1 AND customer = ?2",
                    params![provider, customer, password.expose()],
                )
                .map(|n| n == 1)
        })
    }

    pub(crate) fn remove_customer(&self, id: CustomerId, now: Timestamp) -> Pending<bool> {
        let (eras, who) = (self.eras.clone(), Removed::Customer(id));
        self.writer.queue(move |batch| remove(batch, &eras, &who, now))
    }
}

fn insert_accounts(db: &Connection, customer: i64, accounts: &[Account]) -> rusqlite::Result<()> {
    let mut insert = db
        .prepare_cached("INSERT INTO account (customer, account_id, entity) VALUES (?1, ?2, ?3)")?;
    accounts.iter().try_for_each(|account| {
        insert.execute(params![customer, account.id, account.entity]).map(drop)
    })
}
