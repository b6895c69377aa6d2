//! Clients: the apps that customers share data with.

mod document;
mod id;
mod secret;
mod settings;
mod stored;
mod typed;

pub use document::Unreadable;
pub use id::{InvalidId, LONGEST_ID, check_id};
pub use secret::{ClientSecret, MOST_SECRETS, SecretDigest};
pub use settings::{
    AuthMethod, ClientSettings, GrantType, InvalidSetting, LONGEST_GRANT_DAYS, SETTINGS, Setting,
};
pub use stored::Document;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Timestamp;
use crate::secret::same;

/// A registered client.
#[derive(Debug)]
pub struct Client {
    /// Its id.
    pub id: Arc<str>,
    /// How it is registered.
    pub settings: ClientSettings,
    /// Its live secrets, oldest first; none for a public client.
    pub secrets: Vec<ClientSecret>,
    /// The era of this client id, which every grant records. Removing the client raises it.
    pub era: u32,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl Client {
    /// Whether `digest` is that of a live secret; records the use. Takes the same time for every
    /// wrong secret.
    pub fn is_proven_by(&self, digest: &SecretDigest, now: Timestamp) -> bool {
        let mut proven = false;
        for secret in &self.secrets {
            if same(&secret.digest.0, &digest.0) {
                secret.last_used_at.store(now.unix(), Ordering::Relaxed);
                proven = true;
            }
        }
        proven
    }
}
