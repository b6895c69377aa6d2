//! Consent without a page, by the same code path as the consent page.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_core::random;
use counterfoil_core::secret::Secret;
use counterfoil_server::App;
use counterfoil_server::Unavailable;
use counterfoil_server::authorization::request::AuthorizationRequest;
use counterfoil_server::grants::make::{Approval, approve};
use counterfoil_server::http::refused::Refused;

/// Why there is no code.
#[derive(Debug)]
pub enum NoCode {
    /// The client was removed in the meantime.
    UnknownClient,
    /// There is no such customer.
    UnknownCustomer,
    /// The customer has no such account.
    UnknownAccount,
    /// The store can't answer.
    Store(Unavailable),
    /// No free grant id was found.
    NoFreeId,
}

impl<E: Into<Unavailable>> From<E> for NoCode {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

impl NoCode {
    /// The answer where the request itself can't be at fault.
    pub fn unexpected(self) -> Refused {
        match self {
            Self::Store(error) => Refused::unavailable(error),
            other => Refused::internal(format!("{other:?}")),
        }
    }
}

/// Grants access to the chosen accounts of the customer, or to all of them, and returns the code.
/// `request.grant` becomes the grant's id.
///
/// # Errors
/// [`NoCode`].
pub async fn approve_at_once(
    app: &App,
    request: &mut AuthorizationRequest,
    customer: &CustomerId,
    chosen: Option<&[&str]>,
    now: Timestamp,
) -> Result<Secret, NoCode> {
    let customer_era = app.store.customer_era(customer).await?;
    let name = app.store.customer(customer).await?.ok_or(NoCode::UnknownCustomer)?.name;
    let directory = app.store.accounts(customer).await?;
    if chosen.is_some_and(|chosen| {
        !chosen.iter().all(|id| directory.iter().any(|account| account.id == *id))
    }) {
        return Err(NoCode::UnknownAccount);
    }
    let is_chosen = |id: &str| chosen.is_none_or(|chosen| chosen.contains(&id));
    let accounts: Vec<String> =
        directory.into_iter().map(|account| account.id).filter(|id| is_chosen(id)).collect();
    let client = app.client(&request.client).ok_or(NoCode::UnknownClient)?;
    // Two grants made in the same second draw the same id once in a billion times.
    for _ in 0..3 {
        let approval = Approval {
            client: client.clone(),
            customer: customer.clone(),
            customer_era,
            name: name.clone(),
            accounts: accounts.clone(),
            authenticated_at: now,
            scopes: request.scopes,
            clusters: client.settings.data_clusters,
            lookback_days: client.settings.lookback_days,
            ends_no_later_than: None,
            parent: None,
        };
        if let Some(code) = approve(app, request, approval, now).await? {
            return Ok(code);
        }
        request.grant = GrantId::new(now, random::bytes());
    }
    Err(NoCode::NoFreeId)
}
