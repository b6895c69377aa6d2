//! A customer's living consents, as listed on their page and used by `prompt=none`.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use counterfoil_store::{Grant, GrantFilter, StoreError};

use crate::node::app::App;

/// The living grants of a customer, newest first, read page by page. Grants made without asking are
/// excluded: each depends on one that is included.
pub struct LivingGrants<'a> {
    app: &'a App,
    now: Timestamp,
    filter: GrantFilter,
    at_end: bool,
}

impl<'a> LivingGrants<'a> {
    /// Those for one client or for all, in pages of `at_once`.
    pub fn of(
        app: &'a App,
        customer: &CustomerId,
        client: Option<&str>,
        at_once: u32,
        now: Timestamp,
    ) -> Self {
        let filter = GrantFilter {
            client: client.map(str::to_owned),
            customer: Some(customer.clone()),
            limit: at_once,
            before: None,
        };
        Self { app, now, filter, at_end: false }
    }

    /// The living grants of the next page, possibly none; `None` after the last page.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Grant>>, StoreError> {
        if self.at_end {
            return Ok(None);
        }
        let grants = self.app.store.grants(&self.filter).await?;
        self.filter.before = grants.last().map(|grant| grant.terms.grant);
        self.at_end = grants.len() < self.filter.limit as usize;
        Ok(Some(grants.into_iter().filter(|grant| grant.is_living(self.now)).collect()))
    }

    /// All of them, past any number of ended ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all(mut self) -> Result<Vec<Grant>, StoreError> {
        let mut found = Vec::new();
        while let Some(grants) = self.next().await? {
            found.extend(grants);
        }
        Ok(found)
    }
}
