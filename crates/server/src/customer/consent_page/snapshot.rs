//! What a consent page shows, bound into the page's ticket: the customer consents to what they saw,
//! and nothing else.

use counterfoil_core::client::Client;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::scope::Scopes;
use counterfoil_store::Session;
use serde::{Deserialize, Serialize};

use super::accounts::{AccountMarks, AccountView};
use crate::authorization::request::AuthorizationRequest;
use crate::grants::access_period::AccessPeriod;
use crate::node::app::App;
use crate::pages::Locale;

/// What a consent page shows, apart from the request itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PageSnapshot {
    /// When it was first shown. The grant's end is computed from this however long the page stays
    /// open, so a grant never ends later than the page said.
    pub at: Timestamp,
    /// The customer being asked.
    pub customer: CustomerId,
    /// Their era.
    pub customer_era: u32,
    /// Their name.
    pub customer_name: String,
    /// The name of their bank.
    pub provider_name: String,
    /// The era of the client that asks.
    pub client_era: u32,
    /// The client's name.
    pub client_name: String,
    /// The client's logo.
    pub logo_uri: Option<String>,
    /// The company behind the client.
    pub registered_entity: Option<String>,
    /// The requested scopes, limited to those the client may request.
    pub scopes: Scopes,
    /// The kinds of data.
    pub clusters: DataClusters,
    /// How many days back it may look.
    pub lookback_days: Option<u32>,
    /// How long the client will have access.
    pub lasts: AccessPeriod,
    /// The offered accounts.
    pub accounts: AccountMarks,
}

impl PageSnapshot {
    /// What a page shows that was first shown at `at`.
    pub fn of(
        app: &App,
        request: &AuthorizationRequest,
        client: &Client,
        session: &Session,
        accounts: &[AccountView],
        at: Timestamp,
    ) -> Self {
        let provider = app.settings.provider(&session.customer.provider);
        let scopes = request.scopes.and(client.settings.scopes);
        Self {
            at,
            customer: session.customer.clone(),
            customer_era: session.customer_era,
            customer_name: session.name.clone(),
            provider_name: provider.map_or_else(
                || session.customer.provider.clone(),
                |provider| provider.name.clone(),
            ),
            client_era: client.era,
            client_name: client.settings.name.clone(),
            logo_uri: client.settings.logo_uri.clone(),
            registered_entity: client.settings.registered_entity.clone(),
            scopes,
            clusters: client.settings.data_clusters,
            lookback_days: client.settings.lookback_days,
            lasts: AccessPeriod::of(app, client, scopes, at),
            accounts: AccountMarks::of(app, accounts),
        }
    }

    /// How `now` differs, in words for the customer; empty if it does not.
    pub fn changes(&self, now: &Self, locale: &Locale) -> Vec<String> {
        let mut said = Vec::new();
        let same_customer = self.customer == now.customer;
        let mut say = |changed: bool, message: &str, arguments: &[(&str, &str)]| {
            if changed {
                said.push(locale.text_with(message, arguments));
            }
        };
        let (customer, client) =
            (("customer", now.customer_name.as_str()), ("client", now.client_name.as_str()));
        say(!same_customer, "changed-customer", &[customer]);
        say(
            same_customer && self.customer_name != now.customer_name,
            "changed-customer-name",
            &[customer],
        );
        say(same_customer && self.customer_era != now.customer_era, "changed-customer-again", &[]);
        say(
            self.provider_name != now.provider_name,
            "changed-provider",
            &[("provider", &now.provider_name)],
        );
        say(
            self.client_name != now.client_name,
            "changed-client-name",
            &[client, ("before", &self.client_name)],
        );
        say(self.client_era != now.client_era, "changed-client-again", &[client]);
        say(self.logo_uri != now.logo_uri, "changed-client-logo", &[client]);
        match &now.registered_entity {
            entity if *entity == self.registered_entity => {}
            Some(entity) => say(true, "changed-client-entity", &[client, ("entity", entity)]),
            None => say(true, "changed-client-no-entity", &[client]),
        }
        let kinds = |some: DataClusters, without: DataClusters| -> Vec<String> {
            some.names()
                .filter(|name| !without.names().any(|other| other == *name))
                .map(|name| locale.cluster(name))
                .collect()
        };
        for (kinds, message) in [
            (kinds(now.clusters, self.clusters), "changed-clusters-more"),
            (kinds(self.clusters, now.clusters), "changed-clusters-fewer"),
        ] {
            say(!kinds.is_empty(), message, &[client, ("kinds", &kinds.join(", "))]);
        }
        let days = |days: Option<u32>| {
            days.map_or_else(
                || locale.text("lookback-all"),
                |days| locale.with_count("lookback-days", days.into()),
            )
        };
        let lookback = [("now", days(now.lookback_days)), ("before", days(self.lookback_days))];
        let lasts =
            [("now", in_words(now.lasts, locale)), ("before", in_words(self.lasts, locale))];
        for (changed, message, [(a, now), (b, before)]) in [
            (self.lookback_days != now.lookback_days, "changed-lookback", lookback),
            (self.lasts != now.lasts, "changed-lasts", lasts),
        ] {
            say(changed, message, &[client, (a, &now), (b, &before)]);
        }
        // Whether it may refresh is expressed by how long access lasts.
        let others = |scopes: Scopes| scopes.without(Scopes::OFFLINE_ACCESS);
        say(others(self.scopes) != others(now.scopes), "changed-scopes", &[client]);
        if same_customer {
            said.extend(self.accounts.changes(&now.accounts, locale));
        }
        // Every difference is reported, even one without a sentence of its own.
        if said.is_empty() && self != now {
            said.push(locale.text("changed-other"));
        }
        said
    }
}

fn in_words(lasts: AccessPeriod, locale: &Locale) -> String {
    match lasts {
        AccessPeriod::Until(end) => locale.text_with("lasts-until", &[("day", &locale.day(end))]),
        AccessPeriod::For(seconds) => {
            locale.text_with("lasts-for", &[("time", &locale.length_of_time(seconds))])
        }
    }
}
