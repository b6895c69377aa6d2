//! The row of a grant's terms, defined once: both engines write and read it by this list, and so do
//! a copy and what fills a store.
//!
//! A new field is a column in a migration of each engine, a line in [`COLUMNS`] and one in
//! [`from_row`].

use std::sync::LazyLock;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::grant::{CodeBinding, CustomerId, GrantId, Terms};
use counterfoil_core::scope::Scopes;

use crate::columns::Kind::{self, Bytes, Integer, Text};
use crate::columns::Value;
use crate::level::Level;

/// A column, and what it holds of a grant's terms.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    value: for<'a> fn(&'a Terms) -> Value<'a>,
}

const fn column(
    name: &'static str,
    kind: Kind,
    value: for<'a> fn(&'a Terms) -> Value<'a>,
) -> Column {
    Column { name, kind, value }
}

/// How many columns hold a grant's terms.
pub(crate) const WIDTH: usize = 15;

/// The columns that hold a grant's terms.
pub(crate) const COLUMNS: [Column; WIDTH] = [
    column("grant_id", Integer, |terms| terms.grant.number().into()),
    column("client", Text, |terms| (*terms.client).into()),
    column("provider", Text, |terms| terms.customer.provider.as_str().into()),
    column("customer", Text, |terms| terms.customer.customer.as_str().into()),
    column("name", Text, |terms| terms.name.as_str().into()),
    column("scopes", Integer, |terms| i64::from(terms.scopes.bits()).into()),
    column("clusters", Integer, |terms| i64::from(terms.clusters.bits()).into()),
    column("accounts", Text, |terms| Value::Text(json(&terms.accounts).into())),
    column("lookback_days", Integer, |terms| terms.lookback_days.map(i64::from).into()),
    column("created_at", Integer, |terms| terms.created_at.unix().into()),
    column("expires_at", Integer, |terms| terms.expires_at.unix().into()),
    column("authenticated_at", Integer, |terms| terms.authenticated_at.unix().into()),
    column("client_era", Integer, |terms| i64::from(terms.client_era).into()),
    column("customer_era", Integer, |terms| i64::from(terms.customer_era).into()),
    column("parent", Integer, |terms| terms.parent.map(GrantId::number).into()),
];

/// The terms of a row, from the values of [`COLUMNS`] in their order.
///
/// # Errors
/// The column whose value can't be.
pub(crate) fn from_row(row: &[Value<'_>; WIDTH]) -> Result<Terms, &'static str> {
    let [
        grant_id,
        client,
        provider,
        customer,
        name,
        scopes,
        clusters,
        accounts,
        lookback_days,
        created_at,
        expires_at,
        authenticated_at,
        client_era,
        customer_era,
        parent,
    ] = row;
    Ok(Terms {
        grant: grant_id.integer().and_then(GrantId::from_number).ok_or("grant_id")?,
        client: client.text().ok_or("client")?.into(),
        customer: CustomerId {
            provider: provider.text().ok_or("provider")?.to_owned(),
            customer: customer.text().ok_or("customer")?.to_owned(),
        },
        name: name.text().ok_or("name")?.to_owned(),
        scopes: scopes.integer().map(Scopes::known_among).ok_or("scopes")?,
        clusters: clusters.integer().map(DataClusters::known_among).ok_or("clusters")?,
        accounts: accounts
            .text()
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or("accounts")?,
        lookback_days: optional(lookback_days, |days| u32::try_from(days).ok())
            .ok_or("lookback_days")?,
        created_at: time(created_at).ok_or("created_at")?,
        expires_at: time(expires_at).ok_or("expires_at")?,
        authenticated_at: time(authenticated_at).ok_or("authenticated_at")?,
        client_era: era(client_era).ok_or("client_era")?,
        customer_era: era(customer_era).ok_or("customer_era")?,
        parent: optional(parent, GrantId::from_number).ok_or("parent")?,
    })
}

fn time(value: &Value<'_>) -> Option<Timestamp> {
    value.integer().map(Timestamp::from_unix)
}

fn era(value: &Value<'_>) -> Option<u32> {
    value.integer().and_then(|era| u32::try_from(era).ok())
}

/// A number that may be missing; `None` where it is there and can't be.
#[allow(clippy::option_option, reason = "missing is not wrong")]
fn optional<T>(value: &Value<'_>, make: impl FnOnce(i64) -> Option<T>) -> Option<Option<T>> {
    if *value == Value::Null { Some(None) } else { value.integer().and_then(make).map(Some) }
}

fn json(texts: &[String]) -> String {
    // A list of texts is always JSON.
    serde_json::to_string(texts).unwrap_or_default()
}

/// What a row of these terms holds, in the order of [`COLUMNS`].
pub(crate) fn row(terms: &Terms) -> [Value<'_>; WIDTH] {
    COLUMNS.each_ref().map(|column| (column.value)(terms))
}

/// The other columns of the table: what a code is bound to, where version 1 keeps it, and `open`,
/// which nothing has used yet.
const OTHERS: [(&str, Kind); 4] =
    [("redirect_uri", Text), ("challenge", Bytes), ("nonce", Text), ("open", Text)];

/// All columns of the table.
pub(crate) const TABLE: [(&str, Kind); WIDTH + OTHERS.len()] = {
    let mut table = [OTHERS[0]; WIDTH + OTHERS.len()];
    let mut at = 0;
    while at < table.len() {
        table[at] =
            if at < WIDTH { (COLUMNS[at].name, COLUMNS[at].kind) } else { OTHERS[at - WIDTH] };
        at += 1;
    }
    table
};

/// The names of [`COLUMNS`], to be selected.
pub(crate) static NAMES: LazyLock<String> =
    LazyLock::new(|| COLUMNS.each_ref().map(|column| format!("terms.{}", column.name)).join(", "));

/// Makes a row of [`to_insert`], where there is none yet.
pub(crate) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let names = COLUMNS.each_ref().map(|column| column.name).join(", ");
    let places: Vec<String> = (1..=WIDTH + 3).map(|place| format!("${place}")).collect();
    format!(
        "INSERT INTO terms ({names}, redirect_uri, challenge, nonce) VALUES ({}) ON CONFLICT DO NOTHING",
        places.join(", ")
    )
});

/// What [`INSERT`] inserts.
pub(crate) fn to_insert<'a>(
    terms: &'a Terms,
    code: &'a CodeBinding,
    level: Level,
) -> impl Iterator<Item = Value<'a>> {
    let (redirect_uri, challenge, nonce) = level.in_terms(code);
    row(terms).into_iter().chain([redirect_uri.into(), challenge.into(), nonce.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        let at = Timestamp::from_unix;
        Terms {
            grant: GrantId::new(at(1_790_000_000), [1; 4]),
            client: "app".into(),
            customer: CustomerId { provider: "bank".into(), customer: "ada".into() },
            name: "Ada".into(),
            scopes: Scopes::OPENID,
            clusters: DataClusters::from_names(["BALANCES"]).unwrap(),
            accounts: vec!["1".into(), "\"2\"".into()],
            lookback_days: Some(90),
            created_at: at(1_790_000_000),
            expires_at: at(1_790_000_001),
            authenticated_at: at(1_789_999_999),
            client_era: 2,
            customer_era: 3,
            parent: Some(GrantId::new(at(1_790_000_000), [2; 4])),
        }
    }

    #[test]
    fn terms_come_back_from_their_row() {
        let terms = terms();
        assert_eq!(from_row(&row(&terms)), Ok(terms.clone()));
        let bare = Terms { lookback_days: None, parent: None, ..terms };
        assert_eq!(from_row(&row(&bare)), Ok(bare));
    }

    #[test]
    fn a_value_that_cannot_be_is_named_by_its_column() {
        let terms = terms();
        for at in 0..WIDTH {
            let mut row = row(&terms);
            row[at] = Value::Bytes(b"?");
            assert_eq!(from_row(&row), Err(COLUMNS[at].name));
        }
    }
}
