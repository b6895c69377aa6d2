//! Local customers of providers, and the directory of their accounts.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::{self, LetterCase};
use counterfoil_core::secret::Secret;
use futures_util::FutureExt as _;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::era::remove;
use super::row::Columns;
use super::sessions::forget_failures;
use super::shared::changed;
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::limits::{MOST_OF_A_COMMON_NAME, STEP};
use crate::pending::Pending;
use crate::record::{Account, AddCustomer, Customer, NewCustomer, other_of_the_same_name};
use crate::removed::Removed;

fn customer(row: &Row) -> Result<Customer, Trouble> {
    let columns = Columns::of(row, "customer");
    Ok(Customer {
        id: CustomerId { provider: columns.get(0)?, customer: columns.get(1)? },
        name: columns.get(2)?,
        password: columns.get::<Option<String>>(3)?.map(Secret::new),
        created_at: columns.time(4)?,
    })
}

impl Postgres {
    pub(crate) async fn customer(&self, id: &CustomerId) -> Result<Option<Customer>, StoreError> {
        let sql = "SELECT provider, customer, name, password, created_at FROM customer WHERE provider = $1 AND customer = $2";
        let rows = self.rows(sql, &[&id.provider, &id.customer]).await?;
        rows.first().map(|row| customer(row).map_err(StoreError::from)).transpose()
    }

    pub(crate) async fn customers(
        &self,
        provider: Option<&str>,
        after: Option<&CustomerId>,
        limit: u32,
    ) -> Result<Vec<Customer>, StoreError> {
        let (after_provider, after_customer) =
            after.map_or(("", ""), |id| (id.provider.as_str(), id.customer.as_str()));
        let sql = "SELECT provider, customer, name, password, created_at FROM customer \
            WHERE (provider, customer) > ($1, $2) AND ($3::text IS NULL OR provider = $3) ORDER BY provider, customer LIMIT $4";
        let rows = self
            .rows(sql, &[&after_provider, &after_customer, &provider, &i64::from(limit)])
            .await?;
        Ok(rows.iter().map(customer).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn accounts(&self, id: &CustomerId) -> Result<Vec<Account>, StoreError> {
        let sql = "SELECT account_id, entity FROM account JOIN customer ON customer.id = account.customer \
            WHERE provider = $1 AND customer.customer = $2 ORDER BY account.id";
        let rows = self.rows(sql, &[&id.provider, &id.customer]).await?;
        let account = |row: &Row| {
            let columns = Columns::of(row, "account");
            Ok(Account { id: columns.get(0)?, entity: columns.get(1)? })
        };
        Ok(rows.iter().map(account).collect::<Result<_, Trouble>>()?)
    }

    pub(crate) async fn customer_era(&self, id: &CustomerId) -> Result<u32, StoreError> {
        let sql = "SELECT era FROM era WHERE client = '' AND provider = $1 AND customer = $2";
        let rows = self.rows(sql, &[&id.provider, &id.customer]).await?;
        rows.first()
            .map_or(Ok(0), |row| Columns::of(row, "era").number(0).map_err(StoreError::from))
    }

    pub(crate) fn add_customer(&self, new: NewCustomer, case: LetterCase) -> Pending<AddCustomer> {
        self.write((new, case), |write, (new, case)| {
            async move {
                let Customer { id, name, password, created_at } = &new.customer;
                let login = login::common(&id.customer);
                // One after the other, at whatever node: two of the same name can't both be the
                // first.
                write.execute("SELECT FROM meta WHERE key = 'kind' FOR NO KEY UPDATE", &[]).await?;
                let named = write.rows("SELECT customer FROM customer WHERE provider = $1 AND login = $2", &[&id.provider, &login]).await?;
                let named = named.iter().map(|row| Columns::of(row, "customer").get(0)).collect::<Result<_, _>>()?;
                if let Some(same) = other_of_the_same_name(id, named, *case) {
                    return Ok(AddCustomer::SameName(same));
                }
                let insert = "INSERT INTO customer (provider, customer, name, password, created_at, login) VALUES ($1, $2, $3, $4, $5, $6) \
                    ON CONFLICT DO NOTHING RETURNING id";
                let password = password.as_ref().map(Secret::expose);
                let added = write.row(insert, &[&id.provider, &id.customer, name, &password, &created_at.unix(), &login]).await?;
                let Some(added) = added else {
                    // After a commit of unknown outcome the customer who is there may be this
                    // call's own: salts never repeat.
                    let own = "SELECT FROM customer WHERE provider = $1 AND customer = $2 AND password IS NOT DISTINCT FROM $3 AND created_at = $4";
                    let parameters: [&(dyn ToSql + Sync); 4] = [&id.provider, &id.customer, &password, &created_at.unix()];
                    let own = write.again && write.row(own, &parameters).await?.is_some();
                    return Ok(if own { AddCustomer::Added } else { AddCustomer::Exists });
                };
                let row: i64 = Columns::of(&added, "customer").get(0)?;
                insert_accounts(write, row, &new.accounts).await?;
                Ok(AddCustomer::Added)
            }
            .boxed()
        })
    }

    pub(crate) fn set_accounts(&self, id: CustomerId, accounts: Vec<Account>) -> Pending<bool> {
        self.write((id, accounts), |write, (CustomerId { provider, customer }, accounts)| {
            async move {
                let row =
                    "SELECT id FROM customer WHERE provider = $1 AND customer = $2 FOR UPDATE";
                let Some(row) = write.row(row, &[provider, customer]).await? else {
                    return Ok(false);
                };
                let row: i64 = Columns::of(&row, "customer").get(0)?;
                write.execute("DELETE FROM account WHERE customer = $1", &[&row]).await?;
                insert_accounts(write, row, accounts).await?;
                changed(write).await.map(|()| true)
            }
            .boxed()
        })
    }

    pub(crate) async fn customers_named(
        &self,
        id: &CustomerId,
    ) -> Result<Vec<Customer>, StoreError> {
        let sql = "SELECT provider, customer, name, password, created_at FROM customer \
            WHERE id IN (SELECT id FROM customer WHERE provider = $1 AND customer = $2 \
                UNION SELECT id FROM customer WHERE provider = $1 AND login = $3) ORDER BY customer";
        let rows =
            self.rows(sql, &[&id.provider, &id.customer, &login::common(&id.customer)]).await?;
        Ok(rows.iter().map(customer).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn customers_with_a_common_name(&self) -> Result<Vec<CustomerId>, StoreError> {
        let sql = "SELECT provider, customer FROM customer WHERE (provider, login) IN \
            (SELECT provider, login FROM customer WHERE login IS NOT NULL GROUP BY provider, login HAVING count(*) > 1) \
            ORDER BY provider, login, customer LIMIT $1";
        let rows = self.rows(sql, &[&i64::from(MOST_OF_A_COMMON_NAME)]).await?;
        let id = |row: &Row| {
            let columns = Columns::of(row, "customer");
            Ok(CustomerId { provider: columns.get(0)?, customer: columns.get(1)? })
        };
        Ok(rows.iter().map(id).collect::<Result<_, Trouble>>()?)
    }

    pub(crate) fn fill_logins(&self) -> Pending<bool> {
        self.write((), |write, ()| {
            async move {
                let missing = "SELECT id, customer FROM customer WHERE login IS NULL LIMIT $1 FOR UPDATE SKIP LOCKED";
                let missing = write.rows(missing, &[&i64::from(STEP)]).await?;
                let (mut rows, mut logins) = (Vec::<i64>::new(), Vec::new());
                for row in &missing {
                    let columns = Columns::of(row, "customer");
                    rows.push(columns.get(0)?);
                    logins.push(login::common(columns.get(1)?));
                }
                if !rows.is_empty() {
                    let fill = "UPDATE customer SET login = filled.login FROM unnest($1::bigint[], $2::text[]) AS filled (id, login) \
                        WHERE customer.id = filled.id";
                    write.execute(fill, &[&rows, &logins]).await?;
                }
                Ok(rows.len() == STEP as usize)
            }
            .boxed()
        })
    }

    pub(crate) fn set_password(
        &self,
        id: CustomerId,
        password: Secret,
        sign_ins: [u8; 32],
    ) -> Pending<bool> {
        self.write(
            (id, password, sign_ins),
            |write, (CustomerId { provider, customer }, password, sign_ins)| {
                async move {
                    forget_failures(write, sign_ins).await?;
                    let set =
                        "UPDATE customer SET password = $3 WHERE provider = $1 AND customer = $2";
                    let set = write.execute(set, &[provider, customer, &password.expose()]).await?;
                    write
                        .execute(
                            "DELETE FROM session WHERE provider = $1 AND customer = $2",
                            &[provider, customer],
                        )
                        .await?;
                    Ok(set == 1)
                }
                .boxed()
            },
        )
    }

    pub(crate) fn remove_customer(&self, id: CustomerId, now: Timestamp) -> Pending<bool> {
        self.write((Removed::Customer(id), now), |write, (who, now)| {
            remove(write, who, *now).boxed()
        })
    }
}

async fn insert_accounts(
    write: &mut Write<'_>,
    customer: i64,
    accounts: &[Account],
) -> Result<(), Trouble> {
    for account in accounts {
        let insert = "INSERT INTO account (customer, account_id, entity) VALUES ($1, $2, $3)";
        write.execute(insert, &[&customer, &account.id, &account.entity]).await?;
    }
    Ok(())
}
