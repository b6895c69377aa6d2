//! The accounts that a consent page offers: their labels, and the marks of them in its ticket.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use counterfoil_store::Account;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::form_urlencoded::byte_serialize;

use crate::node::app::App;
use crate::pages::{AccountChoice, Locale, numbered};

/// An account as pages show it.
pub struct AccountView {
    /// Its id.
    pub id: String,
    label: String,
    kind: String,
    number: Option<String>,
}

impl AccountView {
    /// Reads it from the FDX entity.
    pub fn of(account: &Account) -> Self {
        let entity: serde_json::Value = serde_json::from_str(&account.entity).unwrap_or_default();
        let inner = entity.as_object().and_then(|kinds| kinds.values().next());
        let text = |name: &str| {
            inner
                .and_then(|inner| inner.get(name))
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        };
        Self {
            id: account.id.clone(),
            label: text("nickname")
                .or_else(|| text("productName"))
                .unwrap_or_else(|| account.id.clone()),
            kind: text("accountType").unwrap_or_default(),
            number: text("accountNumberDisplay"),
        }
    }

    /// A short name.
    pub fn label(&self, locale: &Locale) -> String {
        numbered(locale, &self.label, self.number.as_deref())
    }

    /// The account as a choice.
    pub fn choice(&self, chosen: bool) -> AccountChoice<'_> {
        AccountChoice {
            id: &self.id,
            label: &self.label,
            kind: &self.kind,
            number: self.number.as_deref(),
            chosen,
        }
    }
}

/// The largest size in bytes of the form of a page that carries `ticket` and offers `accounts`:
/// with every account ticked.
pub fn bytes_of_form(ticket: &str, accounts: &[AccountView]) -> usize {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).map(str::len).sum::<usize>();
    let ticked = accounts.iter().map(|account| "&account=".len() + encoded(&account.id));
    "ticket=&decision=allow".len() + encoded(ticket) + ticked.sum::<usize>()
}

/// Bytes of a mark: enough to make chance collisions implausible, yet few, since a customer may
/// have hundreds of accounts and the ticket comes back along with the chosen ids.
const MARK: usize = 6;

/// The offered accounts, in order: for each a mark of its id and one of its label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountMarks(Vec<([u8; MARK], [u8; MARK])>);

impl AccountMarks {
    /// The marks of these accounts.
    pub fn of(app: &App, accounts: &[AccountView]) -> Self {
        let key = &app.keys.ring().tickets;
        let mark = |parts: &[&[u8]]| -> [u8; MARK] {
            let mac = key.mac(parts);
            std::array::from_fn(|at| mac[at])
        };
        let marks = accounts.iter().map(|account| {
            let (number, numbered) = (
                account.number.as_deref().unwrap_or_default(),
                [u8::from(account.number.is_some())],
            );
            let label = [
                b"label".as_slice(),
                account.label.as_bytes(),
                account.kind.as_bytes(),
                &numbered,
                number.as_bytes(),
            ];
            (mark(&[b"account", account.id.as_bytes()]), mark(&label))
        });
        Self(marks.collect())
    }

    /// How the list has changed, in words for the customer.
    pub fn changes(&self, now: &Self, locale: &Locale) -> Vec<String> {
        let before: HashMap<_, _> = self.0.iter().copied().collect();
        let after: HashMap<_, _> = now.0.iter().copied().collect();
        let added = after.keys().filter(|id| !before.contains_key(*id)).count();
        let removed = before.keys().filter(|id| !after.contains_key(*id)).count();
        let renamed = before
            .iter()
            .filter(|(id, label)| after.get(*id).is_some_and(|now| now != *label))
            .count();
        let counts = [
            (added, "changed-accounts-added"),
            (removed, "changed-accounts-removed"),
            (renamed, "changed-accounts-renamed"),
        ];
        counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, message)| locale.with_count(message, count as u64))
            .collect()
    }
}

impl Serialize for AccountMarks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> =
            self.0.iter().flat_map(|(id, label)| id.iter().chain(label).copied()).collect();
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for AccountMarks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = URL_SAFE_NO_PAD
            .decode(String::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)?;
        let (marks, rest) = bytes.as_chunks::<{ 2 * MARK }>();
        if !rest.is_empty() {
            return Err(serde::de::Error::custom("a mark is cut short"));
        }
        let halves = |both: &[u8; 2 * MARK]| {
            (std::array::from_fn(|at| both[at]), std::array::from_fn(|at| both[MARK + at]))
        };
        Ok(Self(marks.iter().map(halves).collect()))
    }
}
