//! The bare server's process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use counterfoil_core::clock::Clock;
use counterfoil_core::jws::{Algorithm, SigningKey};
use counterfoil_store::StoreAddress;
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;

use super::bearer::{self, Bearer, Counterfoils};
use super::refresh::{self, Refresh};
use super::response::ResponseTemplate;
use super::{postgres, sqlite};
use crate::error::BenchError;
use crate::plan::Mode;

/// What the bare server is to do.
#[derive(Debug)]
pub struct Options {
    /// What it is asked for.
    pub mode: Mode,
    /// How it signs.
    pub alg: Algorithm,
    /// Its signing key: a file with PKCS#8.
    pub key: PathBuf,
    /// Its store, which must be filled: as in a configuration.
    pub store: String,
}

/// Serves on a loopback port, which it passes to `ready`, until `stop` resolves.
///
/// # Errors
/// [`BenchError`].
pub async fn serve(
    options: Options,
    ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<(), BenchError> {
    let pkcs8 = std::fs::read(&options.key).map_err(BenchError::file(&options.key))?;
    let key = SigningKey::from_pkcs8(options.alg, &pkcs8)
        .map_err(|e| BenchError::System(e.to_string()))?;
    let store = StoreAddress::parse(&options.store).map_err(BenchError::Plan)?;
    let router = match options.mode {
        Mode::Refresh => {
            let (tears, queue) = unbounded_channel();
            match store {
                StoreAddress::Sqlite(path) => sqlite::start(&path, queue)?,
                StoreAddress::Postgres(_) => postgres::start_tearing(&options.store, queue).await?,
            }
            let clock = Clock::live();
            let refresh =
                Refresh { tears, answer: ResponseTemplate::new(key, clock.now())?, clock };
            Router::new().route("/token", post(refresh::token)).with_state(Arc::new(refresh))
        }
        Mode::Bearer { first_sight } => {
            let counterfoils = match store {
                StoreAddress::Sqlite(path) => Counterfoils::InFile(sqlite::Readers::open(&path)?),
                StoreAddress::Postgres(_) => {
                    Counterfoils::InDatabase(postgres::start_reading(&options.store).await?)
                }
            };
            let bearer = Bearer {
                counterfoils,
                verified_with: first_sight.then_some(key),
                body: bearer::body(Clock::live().now()),
            };
            Router::new().route("/accounts", get(bearer::accounts)).with_state(Arc::new(bearer))
        }
    };
    let router = router.route("/bare", get(bare));
    let failed = |e: io::Error| BenchError::System(format!("the floor can't listen: {e}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    ready(listener.local_addr().map_err(failed)?);
    // As the server's, answers must not wait for more to send.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::select! {
        served = axum::serve(listener, router) => served.map_err(failed),
        () = stop => Ok(()),
    }
}

/// The least that a server can do.
async fn bare() -> &'static str {
    "{}"
}
