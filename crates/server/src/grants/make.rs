//! Makes a grant and its code.

use std::sync::Arc;

use counterfoil_core::client::Client;
use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Seal, Terms};
use counterfoil_core::random;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::Slip;
use counterfoil_store::{CreateGrant, NewGrant};

use crate::authorization::request::AuthorizationRequest;
use crate::grants::access_period::AccessPeriod;
use crate::node::app::App;
use crate::node::known_keys::ring_with;
use crate::node::poll::Unavailable;

/// A customer's approval.
#[derive(Debug)]
pub struct Approval {
    /// The client, as it was shown.
    pub client: Arc<Client>,
    /// Who says it.
    pub customer: CustomerId,
    /// Their era when they authenticated.
    pub customer_era: u32,
    /// Their name.
    pub name: String,
    /// The accounts to share; checked against the directory by the caller.
    pub accounts: Vec<String>,
    /// When the customer authenticated.
    pub authenticated_at: Timestamp,
    /// The approved scopes.
    pub scopes: Scopes,
    /// The kinds of data to share.
    pub clusters: DataClusters,
    /// How many days back the client may look.
    pub lookback_days: Option<u32>,
    /// An earlier end than client and server would set.
    pub ends_no_later_than: Option<Timestamp>,
    /// The consent it is based on, if the customer is not asked.
    pub parent: Option<GrantId>,
}

/// Makes the grant and returns its code: the only way to make a code. `None` if the request was
/// already answered differently or with a code that is no longer valid, or if its grant id is
/// taken.
///
/// # Errors
/// The store can't answer.
pub async fn approve(
    app: &App,
    request: &AuthorizationRequest,
    approval: Approval,
    now: Timestamp,
) -> Result<Option<Secret>, Unavailable> {
    let Approval {
        client,
        customer,
        customer_era,
        name,
        accounts,
        authenticated_at,
        scopes,
        clusters,
        lookback_days,
        ..
    } = approval;
    let expires_at =
        AccessPeriod::of(app, &client, scopes, now).end(now, app.settings.lifetimes.code);
    let terms = Terms {
        grant: request.grant,
        client: client.id.clone(),
        client_era: client.era,
        customer_era,
        customer,
        name,
        scopes,
        clusters,
        accounts,
        lookback_days,
        created_at: now,
        expires_at: approval.ends_no_later_than.map_or(expires_at, |end| end.min(expires_at)),
        authenticated_at,
        parent: approval.parent,
    };
    let mut code = Slip {
        key: app.keys.ring().slips.current(),
        grant: terms.grant,
        number: 0,
        issued_at: now,
        seal: Seal::from_bytes(random::bytes()),
    };
    let code_expires_at = now.plus(app.settings.lifetimes.code).min(terms.expires_at);
    let bound = CodeBinding {
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge,
        nonce: request.nonce.clone(),
    };
    let new = NewGrant {
        terms: terms.clone(),
        code: bound.clone(),
        seal: code.seal,
        code_expires_at,
        slip_key: code.key,
    };
    match app.store.create_grant(new).await? {
        CreateGrant::Created => {}
        CreateGrant::NoParent => return Ok(None),
        CreateGrant::Exists(existing) => {
            // A repeated Allow gets the first one's code while that is valid. One with other
            // choices does not: the code would stand for something other than what the customer has
            // just seen and chosen.
            let (earlier, row) = *existing;
            let same_answer = earlier.client == terms.client
                && earlier.customer == terms.customer
                && (earlier.client_era, earlier.customer_era) == (terms.client_era, terms.customer_era)
                && (earlier.scopes, earlier.clusters, earlier.lookback_days) == (terms.scopes, terms.clusters, terms.lookback_days)
                && earlier.accounts == terms.accounts
                // Another node may have answered with a clock slightly ahead.
                && earlier.expires_at <= terms.expires_at.plus(SKEW)
                && app.store.code(request.grant).await? == Some(bound);
            if !same_answer || row.next_slip != 0 || row.ended || now >= row.expires_at {
                return Ok(None);
            }
            code =
                Slip { key: row.slip_key, issued_at: earlier.created_at, seal: row.seal, ..code };
        }
    }
    // The first Allow's code may have been made by another node.
    Ok(code.write(&ring_with(app, code.key).await?.slips))
}
