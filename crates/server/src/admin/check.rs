//! Previews of commands whose result contains a secret that is shown only once. The command line
//! first requests the preview and prints it, and only then executes the command: if printing fails,
//! nothing has changed, and no secret is in use that nobody knows.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::random;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::customer::{self, CustomerDraft};
use super::{
    Command, client_exists, client_json, confidential_client, customer_id_json, failed,
    kept_secrets, new_settings, settings_json,
};
use crate::node::app::App;

/// A new client secret, shown to the operator before it is put in use.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewSecret {
    /// The secret.
    pub secret: String,
    /// When it was made.
    pub at: Timestamp,
}

impl NewSecret {
    /// A secret of 256 random bits.
    pub(super) fn new(at: Timestamp) -> Self {
        Self { secret: format!("cf_secret_{}", hex::encode(random::bytes::<32>())), at }
    }
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The preview of a command.
#[derive(Debug, Serialize, Deserialize)]
pub struct Preview {
    /// The result to be.
    pub shown: Value,
    /// The new secret in it, to be sent along with the command; public clients have none.
    pub announced: Option<NewSecret>,
}

/// Checks everything that a command may be refused for, and changes nothing.
pub(super) async fn check(app: &App, command: Command, now: Timestamp) -> Result<Value, String> {
    let checked = match command {
        Command::ClientAdd { id, settings, .. } => {
            let settings = new_settings(&id, &settings)?;
            if app.client(&id).is_some() {
                return Err(client_exists(&id));
            }
            let mut shown = settings_json(&id, &settings, now);
            shown["secrets"] = json!([]);
            if settings.is_public() {
                Preview { shown, announced: None }
            } else {
                with_secret(shown, 0, now)
            }
        }
        Command::ClientRotateSecret { id, drop_old, .. } => {
            with_secret(client_json(&*confidential_client(app, &id)?), kept_secrets(drop_old), now)
        }
        Command::CustomerAdd { id, name, accounts, .. } => {
            let draft = CustomerDraft::of(app, &id, &name, accounts.as_ref())?;
            draft.must_be_free(app).await?;
            Preview { shown: draft.json(), announced: None }
        }
        Command::CustomerSetPassword { id, .. } => Preview {
            shown: customer_id_json(&customer::meant(app, &id).await?.id),
            announced: None,
        },
        _ => {
            return Err(
                "only a command whose result holds a secret is checked before it is carried out"
                    .into(),
            );
        }
    };
    serde_json::to_value(checked).map_err(failed)
}

/// The client `shown` with a new secret and the newest `kept` of its current ones.
fn with_secret(mut shown: Value, kept: usize, now: Timestamp) -> Preview {
    let announced = NewSecret::new(now);
    if let Some(secrets) = shown["secrets"].as_array_mut() {
        secrets.drain(..secrets.len().saturating_sub(kept));
        secrets.push(json!({ "created_at": now.to_string(), "last_used_at": null }));
    }
    shown["client_secret"] = announced.secret.as_str().into();
    Preview { shown, announced: Some(announced) }
}
