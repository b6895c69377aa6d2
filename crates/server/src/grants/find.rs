//! Finding a grant.

use std::sync::Arc;

use counterfoil_core::client::Client;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::{GrantId, Terms};
use counterfoil_core::verdict::Counterfoil;
use counterfoil_store::StoreError;

use crate::node::app::App;

/// The owner of a grant, from a client's point of view.
pub enum Owner {
    /// The client's own.
    Own(Arc<Terms>),
    /// Another client's.
    Another,
    /// There is no such grant.
    Unknown,
}

/// The owner of this grant.
///
/// # Errors
/// [`StoreError`].
pub async fn of_client(app: &App, client: &Client, grant: GrantId) -> Result<Owner, StoreError> {
    Ok(match app.store.terms(grant).await? {
        None => Owner::Unknown,
        Some(terms) if terms.client == client.id => Owner::Own(terms),
        Some(_) => Owner::Another,
    })
}

/// Whether a grant lives.
pub enum Life {
    /// Living: its terms and counterfoil.
    Living(Arc<Terms>, Counterfoil),
    /// Not living, and why.
    Over(&'static str),
}

/// Whether a grant lives at `now`: it has not expired or ended, and belongs to the current eras
/// of its client and customer. Every token is checked against this.
///
/// # Errors
/// [`StoreError`].
pub async fn life(app: &App, grant: GrantId, now: Timestamp) -> Result<Life, StoreError> {
    let Some(terms) = app.store.terms(grant).await? else {
        return Ok(Life::Over("the grant is not known"));
    };
    if now >= terms.expires_at {
        return Ok(Life::Over("the grant has expired"));
    }
    Ok(match app.store.living(&terms).await? {
        Some(row) => Life::Living(terms, row),
        None => Life::Over("the grant was ended"),
    })
}
