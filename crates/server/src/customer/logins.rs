//! Resolves typed names to customers, and finds customers with the same name.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::{self, LetterCase, LoginMatch};
use counterfoil_store::{Customer, StoreError};

use crate::node::app::App;

/// How often to look for customers added by nodes of an earlier version.
const EVERY: Duration = Duration::from_secs(60);
/// The most groups of equal names that are logged.
const MOST_TOLD: usize = 20;

/// Whether a provider's customer names are case-sensitive.
pub(crate) fn case_at(app: &App, provider: &str) -> LetterCase {
    app.settings.provider(provider).map_or(LetterCase::Matters, |provider| provider.case)
}

/// The customer that a typed name refers to.
///
/// # Errors
/// [`StoreError`].
pub async fn meant(app: &App, typed: &CustomerId) -> Result<LoginMatch<Customer>, StoreError> {
    let known = app.store.customers_named(typed).await?;
    Ok(login::find(
        &typed.customer,
        known,
        |customer| &customer.id.customer,
        case_at(app, &typed.provider),
    ))
}

/// Other customers with the same name: each can sign in only with the exact spelling.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn others_of_the_same_name(
    app: &App,
    id: &CustomerId,
) -> Result<Vec<String>, StoreError> {
    let case = case_at(app, &id.provider);
    let normal = login::normal(&id.customer, case);
    let named =
        app.store.customers_named(id).await?.into_iter().map(|customer| customer.id.customer);
    Ok(named
        .filter(|other| *other != id.customer && login::normal(other, case) == normal)
        .collect())
}

/// Indexes the names of all customers in the store.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn fill(app: &App) -> Result<(), StoreError> {
    while app.store.fill_logins().await? {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Logs which customers have the same name, and indexes the names of customers that nodes of an
/// earlier version add. Runs until dropped.
pub(crate) async fn keep(app: Arc<App>) {
    let mut told = false;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let kept = async {
            fill(&app).await?;
            if !told {
                tell(&app).await?;
                told = true;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "the names of customers are not looked at now");
        }
    }
}

async fn tell(app: &App) -> Result<(), StoreError> {
    let mut groups: Vec<(String, String, Vec<String>)> = Vec::new();
    for CustomerId { provider, customer } in app.store.customers_with_a_common_name().await? {
        let normal = login::normal(&customer, case_at(app, &provider));
        // Equal names differ only in case, and are few.
        match groups.iter_mut().find(|(of, name, _)| *of == provider && *name == normal) {
            Some((_, _, ids)) => ids.push(customer),
            None => groups.push((provider, normal, vec![customer])),
        }
    }
    groups.retain(|(_, _, ids)| ids.len() > 1);
    for (provider, _, ids) in groups.iter().take(MOST_TOLD) {
        let customers =
            ids.iter().map(|id| id.escape_default().to_string()).collect::<Vec<_>>().join(", ");
        tracing::warn!(
            provider,
            customers,
            "customers have the same name: each can sign in only by writing it just so; `counterfoil customer list` tells"
        );
    }
    if groups.len() > MOST_TOLD {
        tracing::warn!(
            further = groups.len() - MOST_TOLD,
            "there are more customers who have the same name"
        );
    }
    Ok(())
}
