//! Making a grant, and its code.

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
use crate::grants::lasts::Lasts;
use crate::node::app::App;
use crate::node::known_keys::ring_with;
use crate::node::poll::Unavailable;

/// What a customer says yes to.
#[derive(Debug)]
pub struct Approval {
    /// The client that they say it to, as they were shown it.
    pub client: Arc<Client>,
    /// Who says it.
    pub customer: CustomerId,
    /// Their era when they proved who they are.
    pub customer_era: u32,
    /// Their name.
    pub name: String,
    /// The accounts that they share; checked against the directory by the caller.
    pub accounts: Vec<String>,
    /// When they proved who they are.
    pub authenticated_at: Timestamp,
    /// What they allow.
    pub scopes: Scopes,
    /// The kinds of data that they share.
    pub clusters: DataClusters,
    /// How many days back the client may look.
    pub lookback_days: Option<u32>,
    /// An earlier end than that of client and server.
    pub ends_no_later_than: Option<Timestamp>,
    /// The consent that it goes by, where the customer is not asked.
    pub parent: Option<GrantId>,
}

/// Makes the grant and gives its code: the one way in which any code is made. `None` where the
/// request was answered before, otherwise or with a code that is no longer good, or where its grant
/// id is taken.
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
    let expires_at = Lasts::of(app, &client, scopes, now).end(now, app.settings.lifetimes.code);
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
            // A doubled Allow gets the code that the first one got, as long as that is good for
            // anything. One that says something else does not: the code would stand for what the
            // customer has just seen and chosen otherwise.
            let (earlier, row) = *existing;
            let same_answer = earlier.client == terms.client
                && earlier.customer == terms.customer
                && (earlier.client_era, earlier.customer_era) == (terms.client_era, terms.customer_era)
                && (earlier.scopes, earlier.clusters, earlier.lookback_days) == (terms.scopes, terms.clusters, terms.lookback_days)
                && earlier.accounts == terms.accounts
                // Another node may have answered, by a clock that is a little ahead.
                && earlier.expires_at <= terms.expires_at.plus(SKEW)
                && app.store.code(request.grant).await? == Some(bound);
            if !same_answer || row.next_slip != 0 || row.ended || now >= row.expires_at {
                return Ok(None);
            }
            code =
                Slip { key: row.slip_key, issued_at: earlier.created_at, seal: row.seal, ..code };
        }
    }
    // That of the first Allow may have been made by another node.
    Ok(code.write(&ring_with(app, code.key).await?.slips))
}
