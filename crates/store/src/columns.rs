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
         terms.expires_at, authenticated_at, client_era, customer_era, parent"
    };
}
/// Whether the consent that the grant of `terms` hangs on, if it hangs on one, is there and not
/// ended.
macro_rules! parent_lives {
    () => {
        "terms.parent IS NULL OR coalesce((SELECT NOT above.ended FROM counterfoil AS above WHERE above.grant_id = terms.parent), false)"
    };
}
/// What a code is bound to: in a row of its own or, as version 1 wrote it, in the terms.
macro_rules! read_code {
    () => {
        "SELECT redirect_uri, challenge, nonce FROM code WHERE grant_id = $1 \
         UNION ALL SELECT redirect_uri, challenge, nonce FROM terms WHERE grant_id = $1 AND redirect_uri <> '' LIMIT 1"
    };
}
pub(crate) use {counterfoil_columns, parent_lives, read_code, terms_columns};

/// How many columns a counterfoil has.
pub(crate) const COUNTERFOIL_COLUMNS: usize = 8;
/// How many columns the terms have.
pub(crate) const TERMS_COLUMNS: usize = 15;
