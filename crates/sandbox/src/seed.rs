//! The content of a new sandbox: a bank, five customers with their accounts, and three clients.

use counterfoil_core::client::{AuthMethod, ClientSettings, InvalidSetting, SecretDigest};
use counterfoil_core::grant::CustomerId;
use counterfoil_core::jws::Algorithm;
use counterfoil_core::login::LetterCase;
use counterfoil_core::secret::Secret;
use counterfoil_server::App;
use counterfoil_server::admin::read_accounts;
use counterfoil_store::{Customer, NewCustomer, StoreError};

/// The accounts of the customers: FDX JSON by customer id.
const CUSTOMERS: &str = include_str!("customers.json");

/// A client that every sandbox has.
pub struct SeedClient {
    /// The client id.
    pub id: &'static str,
    /// The secret, for local use only; `None` for a public client.
    pub secret: Option<&'static str>,
    name: &'static str,
    alg: Algorithm,
}

/// The clients of a sandbox.
pub const CLIENTS: [SeedClient; 3] = [
    SeedClient {
        id: "sandbox-recipient",
        secret: Some("sandbox-recipient-secret-for-local-use"),
        name: "Pocket Ledger",
        alg: Algorithm::Rs256,
    },
    SeedClient {
        id: "sandbox-other",
        secret: Some("sandbox-other-secret-for-local-use"),
        name: "Rainy Day",
        alg: Algorithm::Es256,
    },
    SeedClient { id: "sandbox-app", secret: None, name: "Coin Jar", alg: Algorithm::Rs256 },
];

/// Why a sandbox can't be seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The store can't answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The built-in data is invalid, which a test rules out.
    #[error("what is built in: {0}")]
    BuiltIn(String),
}

#[derive(serde::Deserialize)]
struct SeedCustomer {
    id: String,
    name: String,
    /// The hash of the password, which is the id: hashing takes longer than all else of a start.
    password: String,
    accounts: Vec<serde_json::Value>,
}

/// Adds the customers that are missing, and registers the clients for this issuer.
///
/// # Errors
/// [`SeedError`].
pub async fn seed(app: &App) -> Result<(), SeedError> {
    let now = app.clock.now();
    for client in &CLIENTS {
        let settings = settings(app, client).map_err(|e| SeedError::BuiltIn(e.to_string()))?;
        let digest = client
            .secret
            .map(|secret| SecretDigest::of(&Secret::new(secret), &app.keys.ring().pepper));
        app.store.add_client(client.id.into(), settings.clone(), digest, now).await?;
        app.store.set_client(client.id.into(), settings).await?;
    }
    let customers: Vec<SeedCustomer> =
        serde_json::from_str(CUSTOMERS).map_err(|e| SeedError::BuiltIn(e.to_string()))?;
    for customer in customers {
        let id = CustomerId { provider: super::PROVIDER.into(), customer: customer.id };
        if app.store.customer(&id).await?.is_some() {
            continue;
        }
        let accounts = read_accounts(&serde_json::json!({ "accounts": customer.accounts }))
            .map_err(SeedError::BuiltIn)?;
        let password = Some(Secret::new(customer.password));
        let customer = Customer { id, name: customer.name, password, created_at: now };
        app.store.add_customer(NewCustomer { customer, accounts }, LetterCase::Matters).await?;
    }
    app.reload_clients().await?;
    Ok(())
}

fn settings(app: &App, client: &SeedClient) -> Result<ClientSettings, InvalidSetting> {
    let mut settings = ClientSettings::new(client.name);
    settings.redirect_uris =
        vec!["http://127.0.0.1/callback".into(), "http://localhost:3000/callback".into()];
    settings.id_token_signed_response_alg = client.alg;
    settings.require_pkce = client.secret.is_none();
    settings.registered_entity = Some(format!("{} Ltd.", client.name));
    if client.secret.is_none() {
        settings.token_endpoint_auth_method = AuthMethod::None;
    }
    settings.check()?;
    // Added after the check: the sandbox's own callback may be http under any name, which no other
    // redirect URI may.
    settings.redirect_uris.insert(0, format!("{}{}", app.settings.issuer, super::CALLBACK));
    Ok(settings)
}
