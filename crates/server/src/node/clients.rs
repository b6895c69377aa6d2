//! Every registered client, in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_core::client::{Client, ClientSettings};
use counterfoil_core::jws::Algorithm;
use counterfoil_core::redirect_uri;

/// The clients that a process knows. A change clones the whole value, which costs two counters per
/// client and parses nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    by_id: HashMap<Arc<str>, Arc<Client>>,
    /// The origins of public clients' redirect URIs, each with its number of URIs: scripts there
    /// may call `/token`, `/revoke` and `/userinfo`.
    public_origins: HashMap<Arc<str>, usize>,
    /// How many clients have their ID tokens signed with each algorithm.
    algorithms: HashMap<Algorithm, usize>,
}

impl Clients {
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Client>> {
        self.by_id.get(id).cloned()
    }

    /// All clients, ordered by id.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> = self.by_id.values().cloned().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The algorithms that their ID tokens are signed with.
    pub(crate) fn algorithms(&self) -> BTreeSet<Algorithm> {
        self.algorithms.iter().filter(|(_, count)| **count > 0).map(|(alg, _)| *alg).collect()
    }

    /// Whether scripts of this origin may call what public clients call from a browser.
    pub(crate) fn is_public_origin(&self, origin: &str) -> bool {
        // An origin on a loopback address may have any port, as in a redirect URI (RFC 8252 section
        // 7.3).
        self.public_origins.keys().any(|known| redirect_uri::matches(known, origin))
    }

    /// Inserts a client, replacing one with the same id. Its uses of secrets not yet stored are
    /// carried over.
    pub(crate) fn put(&mut self, client: Client) {
        if let Some(known) = self.remove(&client.id) {
            remember_uses(&client, &known);
        }
        for origin in public_origins(&client.settings) {
            *self.public_origins.entry(origin.into()).or_default() += 1;
        }
        *self.algorithms.entry(client.settings.id_token_signed_response_alg).or_default() += 1;
        self.by_id.insert(client.id.clone(), Arc::new(client));
    }

    /// Removes a client.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Arc<Client>> {
        let removed = self.by_id.remove(id)?;
        if let Some(count) = self.algorithms.get_mut(&removed.settings.id_token_signed_response_alg)
        {
            *count -= 1;
        }
        for origin in public_origins(&removed.settings) {
            if let Some(count) = self.public_origins.get_mut(&*origin) {
                *count -= 1;
                if *count == 0 {
                    self.public_origins.remove(&*origin);
                }
            }
        }
        Some(removed)
    }

    /// Exactly these clients; uses of their secrets are carried over from `before`.
    pub(crate) fn new(clients: Vec<Client>, before: &Clients) -> Self {
        let mut all = Self::default();
        for client in clients {
            if let Some(known) = before.by_id.get(&client.id) {
                remember_uses(&client, known);
            }
            all.put(client);
        }
        all
    }
}

fn remember_uses(client: &Client, known: &Client) {
    for secret in &client.secrets {
        if let Some(same) = known.secrets.iter().find(|known| known.digest == secret.digest) {
            secret
                .last_used_at
                .fetch_max(same.last_used_at.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// The origins of a public client's scripts: those of its web redirect URIs.
fn public_origins(settings: &ClientSettings) -> impl Iterator<Item = String> {
    let web = |uri: &String| {
        url::Url::parse(uri).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    };
    let uris = settings.is_public().then_some(&settings.redirect_uris).into_iter().flatten();
    uris.filter_map(web).map(|url| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use counterfoil_core::client::{AuthMethod, ClientSecret, SecretDigest};
    use counterfoil_core::clock::Timestamp;

    use super::*;

    fn client(id: &str, uris: &[&str], used: i64) -> Client {
        let mut settings = ClientSettings::new(id);
        settings.redirect_uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        settings.token_endpoint_auth_method = AuthMethod::None;
        let created_at = Timestamp::from_unix(1);
        let secret = ClientSecret {
            digest: SecretDigest([1; 32]),
            created_at,
            last_used_at: AtomicI64::new(used),
        };
        Client { id: id.into(), settings, secrets: vec![secret], era: 0, created_at }
    }

    #[test]
    fn an_origin_counts_for_as_long_as_one_client_has_it() {
        let mut clients = Clients::default();
        let (shared, own) = ("https://a.example/cb", "https://b.example/cb");
        clients.put(client("one", &[shared, shared, own], 0));
        clients.put(client("two", &[shared], 0));
        let allowed = |clients: &Clients| {
            ["https://a.example", "https://b.example"]
                .map(|origin| clients.is_public_origin(origin))
        };
        assert_eq!(allowed(&clients), [true, true]);
        clients.put(client("one", &[shared], 0));
        assert_eq!(allowed(&clients), [true, false]);
        clients.remove("one");
        assert_eq!(allowed(&clients), [true, false]);
        clients.remove("two");
        assert_eq!((allowed(&clients), clients.all().len()), ([false, false], 0));
        assert!(clients.public_origins.is_empty());
    }

    #[test]
    fn uses_are_remembered() {
        let mut clients = Clients::default();
        clients.put(client("one", &[], 7));
        let used = |clients: &Clients| {
            clients.get("one").unwrap().secrets[0].last_used_at.load(Ordering::Relaxed)
        };
        clients.put(client("one", &[], 5));
        assert_eq!(used(&clients), 7);
        assert_eq!(used(&Clients::new(vec![client("one", &[], 6)], &clients)), 7);
        assert_eq!(used(&Clients::new(vec![client("one", &[], 8)], &clients)), 8);
    }
}
