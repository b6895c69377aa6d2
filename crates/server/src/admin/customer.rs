//! Customers in our own directory.

use std::collections::HashSet;

use counterfoil_core::clock::Timestamp;
use counterfoil_core::display_name;
use counterfoil_core::fdx::account_id;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::{self, LetterCase, LoginMatch};
use counterfoil_core::secret::Secret;
use counterfoil_store::{Account, AddCustomer, Customer, NewCustomer};
use serde_json::{Value, json};

use super::{customer_id_json, failed};
use crate::customer::consent_page::accounts::AccountView;
use crate::customer::{logins, passwords};
use crate::grants::living::LivingGrants;
use crate::node::app::App;
use crate::node::lockout;

/// The shortest password, in characters; a sandbox accepts any.
const SHORTEST_PASSWORD: usize = 8;
/// How many grants are read at once for counting.
const AT_ONCE: u32 = 200;

/// A new customer, validated.
pub(super) struct CustomerDraft {
    pub(super) id: CustomerId,
    pub(super) accounts: Vec<Account>,
    case: LetterCase,
}

impl CustomerDraft {
    /// Validates a new customer, parses their accounts, and normalises their id.
    pub(super) fn of(
        app: &App,
        typed: &CustomerId,
        name: &str,
        accounts: Option<&Value>,
    ) -> Result<Self, String> {
        let Some(provider) = app.settings.provider(&typed.provider) else {
            let known: Vec<_> =
                app.settings.providers.iter().map(|provider| provider.id.as_str()).collect();
            return Err(format!(
                "there is no provider `{}`; the configuration has {}",
                typed.provider.escape_default(),
                known.join(", ")
            ));
        };
        let customer = login::normal(&typed.customer, provider.case);
        display_name::check(&customer).map_err(|e| format!("the customer id: {e}"))?;
        display_name::check(name).map_err(|e| format!("the name of the customer: {e}"))?;
        let accounts = accounts.map_or(Ok(Vec::new()), read_accounts)?;
        Ok(Self {
            id: CustomerId { provider: typed.provider.clone(), customer },
            accounts,
            case: provider.case,
        })
    }

    pub(super) fn json(&self) -> Value {
        let mut shown = customer_id_json(&self.id);
        shown["accounts"] = self.accounts.len().into();
        shown
    }

    /// Fails if the provider already has a customer with that id or name, as far as can be told in
    /// advance.
    pub(super) async fn must_be_free(&self, app: &App) -> Result<(), String> {
        logins::fill(app).await.map_err(failed)?;
        if app.store.customer(&self.id).await.map_err(failed)?.is_some() {
            return Err(exists(&self.id));
        }
        let others = logins::others_of_the_same_name(app, &self.id).await.map_err(failed)?;
        others.first().map_or(Ok(()), |other| Err(has_the_same_name(other, self.case)))
    }
}

fn exists(id: &CustomerId) -> String {
    format!("there is a customer {id} already")
}

fn has_the_same_name(other: &str, case: LetterCase) -> String {
    let case = match case {
        LetterCase::Matters => "",
        LetterCase::Ignored => ", or in the case of letters alone",
    };
    format!(
        "the customer `{}` has the same name: names that look alike and differ in their encoding (Unicode's normal form) or in spaces around them{case} are one to who signs in",
        other.escape_default()
    )
}

fn nobody(id: &CustomerId) -> String {
    format!("there is no customer {id}")
}

/// The customer that an operator refers to.
///
/// # Errors
/// There is none, or there are several.
pub(super) async fn meant(app: &App, typed: &CustomerId) -> Result<Customer, String> {
    match logins::meant(app, typed).await.map_err(failed)? {
        LoginMatch::One(customer) => Ok(customer),
        LoginMatch::Nobody => Err(nobody(typed)),
        LoginMatch::Several(customers) => {
            let ids: Vec<_> = customers
                .iter()
                .map(|customer| format!("`{}`", customer.id.customer.escape_default()))
                .collect();
            Err(format!("that may be {}; write the id just as it is listed", ids.join(" or ")))
        }
    }
}

pub(super) async fn add(
    app: &App,
    typed: &CustomerId,
    name: &str,
    password: String,
    accounts: Option<&Value>,
    now: Timestamp,
) -> Result<Value, String> {
    let draft = CustomerDraft::of(app, typed, name, accounts)?;
    logins::fill(app).await.map_err(failed)?;
    let password = Some(hash(app, password).await?);
    let shown = draft.json();
    let CustomerDraft { id, accounts, case } = draft;
    let customer =
        Customer { id: id.clone(), name: name.trim().to_owned(), password, created_at: now };
    match app.store.add_customer(NewCustomer { customer, accounts }, case).await.map_err(failed)? {
        AddCustomer::Added => Ok(shown),
        AddCustomer::Exists => Err(exists(&id)),
        AddCustomer::SameName(other) => Err(has_the_same_name(&other.customer, case)),
    }
}

pub(super) async fn list(
    app: &App,
    provider: Option<&str>,
    after: Option<&CustomerId>,
    limit: u32,
) -> Result<Value, String> {
    logins::fill(app).await.map_err(failed)?;
    let mut shown = Vec::new();
    for customer in app.store.customers(provider, after, limit).await.map_err(failed)? {
        let accounts = app.store.accounts(&customer.id).await.map_err(failed)?.len();
        let same_name = logins::others_of_the_same_name(app, &customer.id).await.map_err(failed)?;
        let mut one = json(&customer);
        one["accounts"] = accounts.into();
        one["same_name"] = same_name.into();
        shown.push(one);
    }
    Ok(shown.into())
}

pub(super) async fn show(app: &App, typed: &CustomerId, now: Timestamp) -> Result<Value, String> {
    logins::fill(app).await.map_err(failed)?;
    let customer = meant(app, typed).await?;
    let id = &customer.id;
    let accounts = app.store.accounts(id).await.map_err(failed)?;
    let account = |account: &Account| json!({ "account_id": account.id, "label": AccountView::of(account).label(&app.locale) });
    let mut shown = json(&customer);
    shown["signs_in_with_password"] = customer.password.is_some().into();
    shown["sessions"] = app.store.count_sessions(id, now).await.map_err(failed)?.into();
    shown["living_grants"] =
        LivingGrants::of(app, id, None, AT_ONCE, now).all().await.map_err(failed)?.len().into();
    shown["closed_until"] = closed_until(app, id, now).await?;
    shown["same_name"] = logins::others_of_the_same_name(app, id).await.map_err(failed)?.into();
    shown["accounts"] = accounts.iter().map(account).collect();
    Ok(shown)
}

fn json(customer: &Customer) -> Value {
    let mut shown = customer_id_json(&customer.id);
    shown["name"] = customer.name.as_str().into();
    shown["created_at"] = customer.created_at.to_string().into();
    shown
}

/// Until when a customer is locked out.
async fn closed_until(app: &App, id: &CustomerId, now: Timestamp) -> Result<Value, String> {
    let until = app
        .store
        .sign_in_closed_until(&lockout::key_of(&app.keys.ring().tickets, id), now)
        .await
        .map_err(failed)?;
    Ok(until.map(|until| until.to_string()).into())
}

pub(super) async fn set_password(
    app: &App,
    typed: &CustomerId,
    password: String,
) -> Result<Value, String> {
    let id = meant(app, typed).await?.id;
    let hash = hash(app, password).await?;
    let set = app
        .store
        .set_password(id.clone(), hash, lockout::key_of(&app.keys.ring().tickets, &id))
        .await
        .map_err(failed)?;
    if set { Ok(customer_id_json(&id)) } else { Err(nobody(&id)) }
}

pub(super) async fn set_accounts(
    app: &App,
    typed: &CustomerId,
    accounts: &Value,
) -> Result<Value, String> {
    let id = meant(app, typed).await?.id;
    let accounts = read_accounts(accounts)?;
    let before = app.store.accounts(&id).await.map_err(failed)?;
    let not_in = |of: &[Account], among: &[Account]| {
        of.iter().filter(|one| !among.iter().any(|other| other.id == one.id)).count()
    };
    let mut shown = customer_id_json(&id);
    shown["accounts"] = accounts.len().into();
    shown["added"] = not_in(&accounts, &before).into();
    shown["removed"] = not_in(&before, &accounts).into();
    if app.store.set_accounts(id.clone(), accounts).await.map_err(failed)? {
        Ok(shown)
    } else {
        Err(nobody(&id))
    }
}

pub(super) async fn unlock(app: &App, typed: &CustomerId, now: Timestamp) -> Result<Value, String> {
    let id = meant(app, typed).await?.id;
    let mut shown = customer_id_json(&id);
    shown["was_closed_until"] = closed_until(app, &id, now).await?;
    app.store
        .forget_failures(lockout::key_of(&app.keys.ring().tickets, &id))
        .await
        .map_err(failed)?;
    Ok(shown)
}

pub(super) async fn remove(app: &App, typed: &CustomerId, now: Timestamp) -> Result<Value, String> {
    let id = meant(app, typed).await?.id;
    if app.store.remove_customer(id.clone(), now).await.map_err(failed)? {
        Ok(json!({ "removed": id }))
    } else {
        Err(nobody(&id))
    }
}

async fn hash(app: &App, password: String) -> Result<Secret, String> {
    let password = login::password(&Secret::new(password));
    let text = password.expose();
    let shortest = if app.is_sandbox() { 1 } else { SHORTEST_PASSWORD };
    if text.chars().count() < shortest {
        return Err(format!("a password must have at least {shortest} characters"));
    }
    if text.len() > passwords::LONGEST_PASSWORD {
        return Err(format!("a password may have at most {} bytes", passwords::LONGEST_PASSWORD));
    }
    if text.contains(char::is_control) {
        return Err(
            "a password must not hold control characters: they can't be typed on the page".into()
        );
    }
    tokio::task::spawn_blocking(move || passwords::hash(&password))
        .await
        .map_err(failed)?
        .map_err(failed)
}

/// Parses accounts from FDX JSON, `{"accounts": [{"depositAccount": {"accountId": "..."}}, ...]}`.
///
/// # Errors
/// Which account can't be parsed, and why.
pub fn read_accounts(document: &Value) -> Result<Vec<Account>, String> {
    let list = document
        .get("accounts")
        .and_then(Value::as_array)
        .ok_or(r#"the accounts must be FDX JSON: {"accounts": [...]}"#)?;
    let mut accounts: Vec<Account> = Vec::with_capacity(list.len());
    let mut ids = HashSet::with_capacity(list.len());
    for (i, entity) in list.iter().enumerate() {
        let id = account_id(entity).ok_or_else(|| {
            format!("account {} must be one FDX entity, such as {{\"depositAccount\": {{...}}}}, with an accountId without commas", i + 1)
        })?;
        if !ids.insert(id) {
            return Err(format!("account {} has the accountId of an earlier one", i + 1));
        }
        accounts.push(Account { id: id.to_owned(), entity: entity.to_string() });
    }
    Ok(accounts)
}
