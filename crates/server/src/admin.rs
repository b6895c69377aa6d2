//! Admin commands: the same whether the server runs (through its socket) or not (the command line
//! opens the store itself).

mod check;
mod clock;
mod customer;
pub(crate) mod health;
mod recovery;
mod socket;

pub use check::{NewSecret, Preview};
pub use customer::read_accounts;
pub(crate) use socket::answer;
pub use socket::{AdminSocket, SocketError, ask, check_path_beside, listen_beside, path_beside};

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_core::client::{Client, ClientSettings, SecretDigest, check_id};
use counterfoil_core::clock::{Seconds, Timestamp};
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_core::secret::Secret;
use counterfoil_store::{AddClient, AddSecret, Ending, Grant, GrantFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::grants::end::end;
use crate::node::app::App;
use crate::node::keys::PUBLISHED_AHEAD;
use crate::node::poll::IN_FORCE_WITHIN;

/// An operator's command.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "the members are the arguments of the commands, described in their help"
)]
pub enum Command {
    ClientAdd {
        id: String,
        settings: Vec<(String, String)>,
        #[serde(default)]
        announced: Option<NewSecret>,
    },
    ClientList,
    ClientShow {
        id: String,
    },
    ClientSet {
        id: String,
        settings: Vec<(String, String)>,
    },
    ClientRotateSecret {
        id: String,
        drop_old: bool,
        #[serde(default)]
        announced: Option<NewSecret>,
    },
    ClientRemove {
        id: String,
    },
    CustomerAdd {
        id: CustomerId,
        name: String,
        password: String,
        accounts: Option<Value>,
    },
    CustomerList {
        provider: Option<String>,
        after: Option<CustomerId>,
        limit: u32,
    },
    CustomerShow {
        id: CustomerId,
    },
    CustomerSetPassword {
        id: CustomerId,
        password: String,
    },
    CustomerSetAccounts {
        id: CustomerId,
        accounts: Value,
    },
    CustomerUnlock {
        id: CustomerId,
    },
    CustomerRemove {
        id: CustomerId,
    },
    GrantList {
        client: Option<String>,
        customer: Option<CustomerId>,
        before: Option<GrantId>,
        limit: u32,
    },
    GrantShow {
        grant: GrantId,
    },
    GrantEnd {
        grant: GrantId,
    },
    GrantSweep {
        all: bool,
    },
    KeysList,
    KeysRotate {
        compromised: Option<String>,
    },
    /// Retires a compromised slip key: its tokens stay valid for this many seconds; 0 refuses them
    /// at once. A command of its own, because a server of an earlier version would drop the key but
    /// refuses an unknown command.
    KeysRetire {
        kid: String,
        within: Seconds,
    },
    /// Counts the grants that depend on a slip key.
    KeysConcerned {
        kid: String,
    },
    ClockStatus,
    ClockAccept,
    ClockRepair {
        today: String,
    },
    Backup {
        to: PathBuf,
    },
    DeclareLoss {
        endings: Vec<PathBuf>,
        accept_lost_endings: bool,
    },
    /// Previews a command whose result contains a secret, or says why it would be refused. Changes
    /// nothing, so that the secret can be shown before the change. A command of its own, because a
    /// server of an earlier version would ignore an unknown member but refuses an unknown command.
    Check {
        of: Box<Command>,
    },
}

/// Why a command failed, in words for the operator.
fn failed(error: impl Display) -> String {
    error.to_string()
}

/// Executes a command. When this returns, what it ended is refused everywhere and what it changed
/// is in effect.
///
/// # Errors
/// Why it failed, in words for the operator.
pub async fn execute(app: &Arc<App>, command: Command) -> Result<Value, String> {
    // A sandbox's nodes poll at the start of every request.
    let waits = app.store.is_shared() && !app.is_sandbox() && command.changes_what_nodes_keep();
    let done = carry_out(app, command).await?;
    if waits {
        tokio::time::sleep(IN_FORCE_WITHIN).await;
    }
    Ok(done)
}

impl Command {
    /// Whether the command may create the store. The others are meant for an existing one: an empty
    /// store would hide that the address is wrong.
    pub fn may_make_a_store(&self) -> bool {
        match self {
            Self::ClientAdd { .. } | Self::CustomerAdd { .. } => true,
            Self::Check { of } => of.may_make_a_store(),
            _ => false,
        }
    }

    /// The client concerned, if it is the only one: then no other has to be loaded.
    pub fn only_client(&self) -> Option<&str> {
        match self {
            Self::ClientAdd { id, .. }
            | Self::ClientShow { id }
            | Self::ClientSet { id, .. }
            | Self::ClientRotateSecret { id, .. }
            | Self::ClientRemove { id } => Some(id),
            Self::Check { of } => of.only_client(),
            _ => None,
        }
    }

    /// Whether the command is about the clock, and so must work while that is wrong.
    pub fn is_about_the_clock(&self) -> bool {
        matches!(self, Self::ClockStatus | Self::ClockAccept | Self::ClockRepair { .. })
    }

    /// Whether the command is for a store behind its endings log, or works regardless of that.
    pub fn is_about_what_was_lost(&self) -> bool {
        self.is_about_the_clock() || matches!(self, Self::DeclareLoss { .. })
    }

    /// Whether the command changes cached state, so that it is in force only after every node has
    /// polled or gone stale. A rotation does not: nodes poll when they meet an unknown key.
    fn changes_what_nodes_keep(&self) -> bool {
        use Command::{
            ClientAdd, ClientRemove, ClientRotateSecret, ClientSet, CustomerSetAccounts,
            DeclareLoss, KeysRetire, KeysRotate,
        };
        matches!(
            self,
            ClientAdd { .. }
                | ClientSet { .. }
                | ClientRotateSecret { .. }
                | ClientRemove { .. }
                | CustomerSetAccounts { .. }
                | KeysRotate { compromised: Some(_) }
                | KeysRetire { .. }
                | DeclareLoss { .. }
        )
    }
}

async fn carry_out(app: &Arc<App>, command: Command) -> Result<Value, String> {
    let one = app.one_command.lock().await;
    let now = app.clock.now();
    match command {
        Command::ClientAdd { id, settings, announced } => {
            client_add(app, id, &settings, announced, now).await
        }
        Command::ClientList => Ok(app.clients().iter().map(|client| client_json(client)).collect()),
        Command::ClientShow { id } => client(app, &id).map(|client| client_json(&client)),
        Command::ClientSet { id, settings } => client_set(app, id, &settings).await,
        Command::ClientRotateSecret { id, drop_old, announced } => {
            client_rotate_secret(app, id, drop_old, announced, now).await
        }
        Command::ClientRemove { id } => {
            let removed = app.store.remove_client(id.clone(), now).await;
            // Even if it failed: it may be committed without its line in the endings log.
            app.reload_client(&id).await.map_err(failed)?;
            if removed.map_err(failed)? {
                Ok(json!({ "removed": id }))
            } else {
                Err(no_client(&id))
            }
        }
        Command::CustomerAdd { id, name, password, accounts } => {
            customer::add(app, &id, &name, password, accounts.as_ref(), now).await
        }
        Command::CustomerList { provider, after, limit } => {
            customer::list(app, provider.as_deref(), after.as_ref(), limit).await
        }
        Command::CustomerShow { id } => customer::show(app, &id, now).await,
        Command::CustomerSetPassword { id, password } => {
            customer::set_password(app, &id, password).await
        }
        Command::CustomerSetAccounts { id, accounts } => {
            customer::set_accounts(app, &id, &accounts).await
        }
        Command::CustomerUnlock { id } => customer::unlock(app, &id, now).await,
        Command::CustomerRemove { id } => customer::remove(app, &id, now).await,
        Command::GrantList { client, customer, before, limit } => {
            // Grants outlive their customers, so a removed customer is not an error.
            let customer = match customer {
                Some(typed) => {
                    Some(customer::meant(app, &typed).await.map_or(typed, |customer| customer.id))
                }
                None => None,
            };
            let grants = app
                .store
                .grants(&GrantFilter { client, customer, before, limit })
                .await
                .map_err(failed)?;
            Ok(grants.iter().map(|grant| grant_json(grant, now)).collect())
        }
        Command::GrantShow { grant } => {
            let found =
                app.store.grant(grant).await.map_err(failed)?.ok_or_else(|| no_grant(grant))?;
            let mut shown = grant_json(&found, now);
            shown["audit"] = json!(
                app.store
                    .audit(grant)
                    .await
                    .map_err(failed)?
                    .iter()
                    .map(|entry| json!({
                        "event": entry.event, "first_at": entry.first_at.to_string(), "last_at": entry.last_at.to_string(),
                        "count": entry.count, "detail": entry.detail,
                    }))
                    .collect::<Vec<_>>()
            );
            Ok(shown)
        }
        Command::GrantEnd { grant } => {
            match end(app, grant, EndedBy::Operator, now).await.map_err(failed)? {
                Ending::Ended => Ok(json!({ "ended": grant, "was_living": true })),
                Ending::AlreadyEnded => Ok(json!({ "ended": grant, "was_living": false })),
                Ending::NotFound => Err(no_grant(grant)),
            }
        }
        Command::GrantSweep { all } => clock::sweep(app, all).await,
        Command::ClockStatus => clock::status(app).await,
        Command::ClockAccept => clock::accept(app).await,
        Command::ClockRepair { today } => clock::repair(app, &today).await,
        Command::KeysList => Ok(json!(app.keys.ring().list(now, app.settings.lifetimes.id_token))),
        Command::KeysRotate { compromised } => {
            match compromised {
                Some(kid) => app.keys.drop_compromised(&app.store, &kid, now).await,
                None => app.keys.rotate(&app.store, now, now.plus(PUBLISHED_AHEAD)).await,
            }
            .map_err(failed)?;
            Ok(json!(app.keys.ring().list(now, app.settings.lifetimes.id_token)))
        }
        Command::KeysRetire { kid, within } => {
            app.keys.retire(&app.store, &kid, now, now.plus(within)).await.map_err(failed)?;
            Ok(json!(app.keys.ring().list(now, app.settings.lifetimes.id_token)))
        }
        Command::KeysConcerned { kid } => {
            // It takes long and changes nothing.
            drop(one);
            let key = app
                .keys
                .slip_key(&kid)
                .ok_or_else(|| format!("there is no slip key `{}`", kid.escape_default()))?;
            let grants = app.store.count_slips_of(key, now).await.map_err(failed)?;
            Ok(json!({ "kid": kid, "grants": grants }))
        }
        Command::Backup { to } => {
            // It takes long and changes nothing, and grants must be able to end meanwhile.
            drop(one);
            recovery::back_up(app, &to).await
        }
        Command::DeclareLoss { endings, accept_lost_endings } => {
            recovery::declare_loss(app, endings, accept_lost_endings, now).await
        }
        Command::Check { of } => check::check(app, *of, now).await,
    }
}

fn no_client(id: &str) -> String {
    format!("there is no client `{}`", id.escape_default())
}

fn no_grant(grant: GrantId) -> String {
    format!("there is no grant {grant}")
}

fn client(app: &App, id: &str) -> Result<Arc<Client>, String> {
    app.client(id).ok_or_else(|| no_client(id))
}

fn apply(settings: &mut ClientSettings, changes: &[(String, String)]) -> Result<(), String> {
    settings.set_all(changes).and_then(|()| settings.check()).map_err(failed)
}

/// The settings of a new client.
fn new_settings(id: &str, changes: &[(String, String)]) -> Result<ClientSettings, String> {
    check_id(id).map_err(failed)?;
    let mut settings = ClientSettings::new(id.to_owned());
    apply(&mut settings, changes)?;
    Ok(settings)
}

fn client_exists(id: &str) -> String {
    format!("there is a client `{id}` already")
}

async fn client_add(
    app: &App,
    id: String,
    changes: &[(String, String)],
    announced: Option<NewSecret>,
    now: Timestamp,
) -> Result<Value, String> {
    let settings = new_settings(&id, changes)?;
    let NewSecret { secret, at } = announced.unwrap_or_else(|| NewSecret::new(now));
    let secret = (!settings.is_public()).then_some(secret);
    let digest = secret.as_ref().map(|secret| digest_of(app, secret));
    match app.store.add_client(id.clone(), settings, digest, at.min(now)).await.map_err(failed)? {
        AddClient::Exists => return Err(client_exists(&id)),
        AddClient::Added => app.reload_client(&id).await.map_err(failed)?,
    }
    let mut shown = client_json(&*client(app, &id)?);
    if let Some(secret) = secret {
        shown["client_secret"] = secret.into();
    }
    Ok(shown)
}

async fn client_set(app: &App, id: String, changes: &[(String, String)]) -> Result<Value, String> {
    let before = client(app, &id)?;
    let mut settings = before.settings.clone();
    apply(&mut settings, changes)?;
    if settings.is_public() != before.settings.is_public() {
        return Err(format!(
            "`{id}` can't become public or cease to be: its secrets would be wrong; register a client under another id"
        ));
    }
    if !app.store.set_client(id.clone(), settings).await.map_err(failed)? {
        return Err(no_client(&id));
    }
    app.reload_client(&id).await.map_err(failed)?;
    client(app, &id).map(|client| client_json(&client))
}

/// A client with secrets.
fn confidential_client(app: &App, id: &str) -> Result<Arc<Client>, String> {
    let client = client(app, id)?;
    if client.settings.is_public() {
        Err(format!("`{id}` is a public client and has no secret"))
    } else {
        Ok(client)
    }
}

/// How many of a client's secrets stay valid when it gets a new one.
fn kept_secrets(drop_old: bool) -> usize {
    if drop_old { 0 } else { 1 }
}

async fn client_rotate_secret(
    app: &App,
    id: String,
    drop_old: bool,
    announced: Option<NewSecret>,
    now: Timestamp,
) -> Result<Value, String> {
    confidential_client(app, &id)?;
    let NewSecret { secret, at } = announced.unwrap_or_else(|| NewSecret::new(now));
    let digest = digest_of(app, &secret);
    match app
        .store
        .add_client_secret(id.clone(), digest, kept_secrets(drop_old), at.min(now))
        .await
        .map_err(failed)?
    {
        AddSecret::NoClient => return Err(no_client(&id)),
        AddSecret::Added => app.reload_client(&id).await.map_err(failed)?,
    }
    let mut shown = client_json(&*client(app, &id)?);
    shown["client_secret"] = secret.into();
    Ok(shown)
}

/// The digest stored for a client's secret.
fn digest_of(app: &App, secret: &str) -> SecretDigest {
    SecretDigest::of(&Secret::new(secret), &app.keys.ring().pepper)
}

fn client_json(client: &Client) -> Value {
    let mut shown = settings_json(&client.id, &client.settings, client.created_at);
    shown["secrets"] = client
        .secrets
        .iter()
        .map(|secret| {
            let used = secret.last_used_at.load(Ordering::Relaxed);
            let last_used_at = (used > 0).then(|| Timestamp::from_unix(used).to_string());
            json!({ "created_at": secret.created_at.to_string(), "last_used_at": last_used_at })
        })
        .collect();
    shown
}

fn settings_json(id: &str, settings: &ClientSettings, created_at: Timestamp) -> Value {
    let mut shown = json!({ "client_id": id, "created_at": created_at.to_string() });
    if let (Some(shown), Ok(Value::Object(settings))) =
        (shown.as_object_mut(), serde_json::to_value(settings))
    {
        shown.extend(settings);
    }
    shown
}

fn customer_id_json(id: &CustomerId) -> Value {
    json!({ "provider": id.provider, "customer": id.customer })
}

fn grant_json(grant: &Grant, now: Timestamp) -> Value {
    let (terms, row) = (&grant.terms, &grant.counterfoil);
    json!({
        "grant": terms.grant,
        "client": &*terms.client,
        "provider": terms.customer.provider,
        "customer": terms.customer.customer,
        "living": grant.is_living(now),
        "scope": terms.scopes,
        "data_clusters": terms.clusters,
        "accounts": terms.accounts,
        "created_at": terms.created_at.to_string(),
        "expires_at": terms.expires_at.to_string(),
        "next_slip": row.next_slip,
        "next_slip_expires_at": row.expires_at.to_string(),
        "last_redeemed_at": (row.next_slip > 0).then(|| row.redeemed_at.to_string()),
        "ended_at": grant.ended.map(|ended| ended.at.to_string()),
        "ended_by": grant.ended.map(|ended| ended.by),
        "removed": !grant.current,
        "parent": terms.parent,
        "parent_lives": terms.parent.map(|_| grant.parent_lives),
    })
}
