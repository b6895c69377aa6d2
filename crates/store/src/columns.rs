//! The columns that both engines read a grant from, in their order.

/// Those of a counterfoil.
macro_rules! counterfoil_columns {
    () => {
        "seal, next_slip, counterfoil.expires_at, claim, redeemed_at, slip_key, epoch, ended"
    };
}
/// Those of a grant's terms.
macro_rules! terms_columns {
    () => {
        "terms.grant_id, client, provider, customer, name, scopes, clusters, accounts, lookback_days, created_at, \
         terms.expires_at, authenticated_at, redirect_uri, challenge, nonce, client_era, customer_era"
    };
}
pub(crate) use {counterfoil_columns, terms_columns};

/// How many columns a counterfoil has.
pub(crate) const COUNTERFOIL_COLUMNS: usize = 8;
/// How many columns the terms have.
pub(crate) const TERMS_COLUMNS: usize = 17;
