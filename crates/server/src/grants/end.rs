//! Ending grants.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_store::{Ending, GrantFilter, StoreError};
use futures_util::future::join_all;

use crate::grants::living::LivingGrants;
use crate::node::app::App;

/// How many grants are read from the store at once.
const READ_AT_ONCE: u32 = 500;
/// How many endings are in flight at once.
const ENDED_AT_ONCE: usize = 50;

/// Ends a grant. Once this returns, all its tokens are refused everywhere.
///
/// # Errors
/// [`StoreError`].
pub async fn end(
    app: &App,
    grant: GrantId,
    by: EndedBy,
    now: Timestamp,
) -> Result<Ending, StoreError> {
    app.store.end_grant(grant, by, now).await
}

/// Ends a grant of the customer; `None` if it is not theirs.
///
/// # Errors
/// [`StoreError`].
pub async fn end_one(
    app: &App,
    customer: &CustomerId,
    grant: GrantId,
    now: Timestamp,
) -> Result<Option<GrantId>, StoreError> {
    let terms = app.store.terms(grant).await?;
    if !terms.is_some_and(|terms| terms.customer == *customer) {
        return Ok(None);
    }
    end(app, grant, EndedBy::Customer, now).await?;
    Ok(Some(grant))
}

/// Why not every grant of a client was ended.
pub enum EndAllError {
    /// None was.
    None(StoreError),
    /// Some may have been.
    Some(StoreError),
}

/// Ends every living grant of this customer to a client, including one whose code is not yet
/// redeemed. If it fails half-way, endings so far stand, and a retry ends the rest. Returns the
/// newest grant, `None` if there never was one.
///
/// # Errors
/// [`EndAllError`].
pub async fn end_all(
    app: &App,
    customer: &CustomerId,
    client: &str,
    now: Timestamp,
) -> Result<Option<GrantId>, EndAllError> {
    let living = LivingGrants::of(app, customer, Some(client), READ_AT_ONCE, now);
    let living = living.all().await.map_err(EndAllError::None)?;
    for some in living.chunks(ENDED_AT_ONCE) {
        // These are all in flight at once, and share commits.
        let endings = some.iter().map(|grant| end(app, grant.terms.grant, EndedBy::Customer, now));
        if let Some(error) = join_all(endings).await.into_iter().find_map(Result::err) {
            return Err(EndAllError::Some(error));
        }
    }
    if let Some(newest) = living.first() {
        return Ok(Some(newest.terms.grant));
    }
    // An earlier attempt may have ended them all.
    let newest = GrantFilter {
        client: Some(client.to_owned()),
        customer: Some(customer.clone()),
        before: None,
        limit: 1,
    };
    let newest = app.store.grants(&newest).await.map_err(EndAllError::None)?;
    Ok(newest.first().map(|grant| grant.terms.grant))
}
