//! Makes connections to the primary, each checked before it is used.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use counterfoil_core::text_file;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresAddress;
use super::connection::{Connection, Prepared};
use super::durability;
use super::endings_log::{Node, Past};
use super::remembered::Remembered;
use super::trouble::Trouble;
use crate::StoreKind;
use crate::counts::Counts;
use crate::error::OpenError;

/// How long one host may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How long all of them may, with the checks.
const CONNECT_IN_ALL: Duration = Duration::from_secs(5);
/// How long what was sent may stay without a sign that it arrived.
const SILENCE: Duration = Duration::from_secs(5);
/// The same for a server that may be busy writing what it was sent.
const LONG_SILENCE: Duration = Duration::from_secs(600);
/// What the server itself bounds: a statement, the wait for a lock, a transaction whose client went
/// away. Waiting for a synchronous standby is not among them: a commit that is cut short there
/// would be answered as done.
const BOUNDS: &str =
    "-c statement_timeout=5s -c lock_timeout=2s -c idle_in_transaction_session_timeout=10s";

/// Makes connections.
pub(super) struct Connector {
    address: PostgresAddress,
    config: Config,
    tls: Option<MakeRustlsConnect>,
    kind: StoreKind,
    pub(super) remembered: Remembered,
    /// The node that this process is, once it has opened its endings log.
    pub(super) node: OnceLock<Node>,
    /// Whether this process is to declare a loss, and so takes the store as it is.
    pub(super) declares_loss: bool,
    /// The most that was seen of the store's past, once it was opened.
    past: Mutex<Option<Past>>,
    pub(super) counts: Arc<Counts>,
}

impl Connector {
    /// Reads what is needed to make connections; makes none.
    pub(super) fn new(
        address: PostgresAddress,
        kind: StoreKind,
        counts: Arc<Counts>,
    ) -> Result<Self, OpenError> {
        let mut config = address.config.clone();
        config
            .application_name("counterfoil")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE);
        // All that is read must be what was written last: the primary, and no standby.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.options(match config.get_options() {
            Some(theirs) => format!("{BOUNDS} {theirs}"),
            None => BOUNDS.to_owned(),
        });
        let tls = match address.tls {
            true => Some(tls(&address).map_err(|problem| OpenError::Unreachable {
                store: address.to_string(),
                problem,
            })?),
            false => None,
        };
        Ok(Self {
            address,
            config,
            tls,
            kind,
            remembered: Remembered::default(),
            node: OnceLock::new(),
            declares_loss: false,
            past: Mutex::new(None),
            counts,
        })
    }

    /// The same for work on a store as a whole, which takes as long as it takes.
    pub(super) fn unhurried(mut self) -> Self {
        let theirs = self.config.get_options().unwrap_or_default();
        let options =
            format!("{theirs} -c statement_timeout=0 -c idle_in_transaction_session_timeout=0");
        self.config
            .options(options)
            .application_name("counterfoil maintenance")
            .tcp_user_timeout(LONG_SILENCE);
        self
    }

    /// A connection that is good to use: to a primary, which keeps what it acknowledges, and which
    /// knows every ending that this node acknowledged.
    pub(super) async fn connect(&self) -> Result<Connection, Trouble> {
        let connecting = async {
            let mut connection = self.bare().await?;
            // A developer's store may lose what it likes.
            let weaknesses = if self.kind == StoreKind::Live {
                durability::check(&connection.client).await?
            } else {
                Vec::new()
            };
            if let Some(weakness) = weaknesses.iter().find(|weakness| weakness.loses) {
                return Err(Trouble::Unready(weakness.to_string()));
            }
            self.remembered
                .apply_again(&mut connection, self.node.get(), &self.counts.endings_forgotten)
                .await?;
            if self.past().is_some()
                && let Some(past) = Past::read(&mut connection).await?
            {
                self.weigh(past)?;
            }
            Ok(connection)
        };
        tokio::time::timeout(CONNECT_IN_ALL, connecting).await.unwrap_or(Err(Trouble::Late))
    }

    /// (S) Holds what the store says of its past against the most that was seen of it: one that
    /// says less was put back to an earlier state, and grants that were revoked since live again.
    /// It is of use again once a loss was declared, or once all nodes have applied again what they
    /// remember.
    ///
    /// # Errors
    /// [`Trouble::Forgot`].
    pub(super) fn weigh(&self, past: Past) -> Result<(), Trouble> {
        let mut most = self.past();
        if most.is_some_and(|most| past < most) && !self.declares_loss {
            return Err(Trouble::Forgot);
        }
        *most = Some(past);
        Ok(())
    }

    fn past(&self) -> MutexGuard<'_, Option<Past>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that nothing was looked at on.
    pub(super) async fn bare(&self) -> Result<Connection, Trouble> {
        let client = match &self.tls {
            None => {
                let (client, driver) = self.config.connect(NoTls).await?;
                tokio::spawn(driver);
                client
            }
            Some(tls) => {
                let (client, driver) = self.config.connect(tls.clone()).await?;
                tokio::spawn(driver);
                client
            }
        };
        self.counts.connections.add(1);
        Ok(Connection { client, prepared: Prepared::default() })
    }

    /// Where the database is, for people.
    pub(super) fn address(&self) -> &PostgresAddress {
        &self.address
    }
}

fn tls(address: &PostgresAddress) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let config = match &address.root {
        None => builder.with_platform_verifier().map_err(|e| e.to_string())?.with_no_client_auth(),
        Some(path) => {
            let failed =
                |e: &dyn std::fmt::Display| format!("the certificates in {}: {e}", path.display());
            let mut roots = rustls::RootCertStore::empty();
            let pem = std::fs::read(path).map_err(|e| failed(&e))?;
            for certificate in CertificateDer::pem_slice_iter(text_file::without_mark(&pem)) {
                roots.add(certificate.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
            }
            if roots.is_empty() {
                return Err(failed(&"there are none"));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}
