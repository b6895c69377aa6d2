//! `counterfoil sandbox`.

mod grade;

use super::serve::{AtStart, check_clock, open_keys};
use crate::config::listen_address;
use crate::process::{Signals, block_on};
use crate::reports::{self, Wanted};
use crate::{Failure, log, output};
use clap::Args;
use counterfoil_core::clock::Clock;
use counterfoil_core::dialect::Dialect;
use counterfoil_core::settings::{Lifetimes, Provider, Settings, check_issuer};
use counterfoil_server::sandbox::{PROVIDER, seed, walkthrough};
use counterfoil_server::{App, Listeners, serve};
use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    listen: SocketAddr,
    /// Keep store and keys in this directory; without it they end with the process
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    data: Option<PathBuf>,
    /// Keep the store here: sqlite:PATH, and the keys in PATH-keys beside it; or postgres://USER@HOST/DATABASE with the keys in it, where
    /// several sandboxes with one --issuer are the nodes of one system
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// The issuer; http://<listen address>, unless told otherwise
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Grade a client: play the script of events to it, print the scorecard, and exit with 0 where it passed all of it; the client is
    /// sandbox-recipient unless another id is given
    #[arg(long, value_name = "CLIENT_ID", num_args = 0..=1, require_equals = true, default_missing_value = seed::CLIENTS[0].id)]
    grade: Option<String>,
    /// Write the scorecard to a file: html=FILE, junit=FILE or json=FILE; may be given several times
    #[arg(long, value_name = "FORMAT=FILE", requires = "grade", value_parser = reports::wanted)]
    report: Vec<Wanted>,
    /// How errors are spelled to clients: network, or rfc as RFC 6749 and RFC 7009 say
    #[arg(long, value_name = "DIALECT", default_value = "network", value_parser = dialect)]
    dialect: Dialect,
    /// Print the values that a CI job needs as NAME=value lines, and do nothing else
    #[arg(long)]
    print_env: bool,
    /// Start although this machine's clock is behind the last use of the store, years ahead of it, or not the database's: it is right
    #[arg(long)]
    accept_clock: bool,
    /// What to log on stderr: error, warn, info, debug; info, or error with --grade, unless told otherwise
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

impl Arguments {
    /// The issuer where the server listens at `address`.
    fn issuer(&self, address: SocketAddr) -> Result<String, Failure> {
        match &self.issuer {
            Some(issuer) => check_issuer(issuer).map(|()| issuer.clone()).map_err(Failure::Usage),
            None if address.ip().is_unspecified() => {
                Err(Failure::usage(format!("--listen {address} is every address of this machine: say which one clients use with --issuer")))
            }
            None => {
                let issuer = format!("http://{address}");
                check_issuer(&issuer).map_err(|problem| Failure::usage(format!("{problem}; say another one with --issuer")))?;
                Ok(issuer)
            }
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.print_env {
        return print_env(&arguments);
    }
    // Refused before anything is made. Not read by clap, which says wrong values again: there may be a password in it.
    let store = arguments.store.as_deref().map(StoreAddress::parse).transpose().map_err(Failure::Usage)?;
    if arguments.issuer.is_some() || arguments.listen.ip().is_unspecified() {
        arguments.issuer(arguments.listen)?;
    }
    reports::prepare(&arguments.report)?;
    let filter = arguments.log.as_deref().unwrap_or(if arguments.grade.is_some() { "error" } else { "info" });
    log::start(log::Format::Text, filter)?;
    block_on(async move {
        let signals = Signals::watch()?;
        let listener =
            TcpListener::bind(arguments.listen).map_err(|e| Failure::failed(format!("{} can't be listened on: {e}", arguments.listen)))?;
        let issuer = arguments.issuer(listener.local_addr().map_err(Failure::failed)?)?;
        let temporary = match (&store, &arguments.data) {
            (None, None) => Some(tempfile::Builder::new().prefix("counterfoil-sandbox-").tempdir().map_err(Failure::failed)?),
            _ => None,
        };
        let (store, keys) = match (store, &arguments.data, &temporary) {
            (Some(StoreAddress::Sqlite(path)), _, _) => {
                let mut keys = path.clone().into_os_string();
                keys.push("-keys");
                (StoreAddress::Sqlite(path), Some(keys.into()))
            }
            (Some(store), _, _) => (store, None),
            (None, Some(data), _) => {
                std::fs::create_dir_all(data).map_err(|e| Failure::failed(format!("{} can't be made: {e}", data.display())))?;
                (StoreAddress::Sqlite(data.join("sandbox.db")), Some(data.join("keys")))
            }
            (None, None, Some(temporary)) => {
                (StoreAddress::Sqlite(temporary.path().join("sandbox.db")), Some(temporary.path().join("keys")))
            }
            (None, None, None) => return Err(Failure::failed("there is nowhere to keep the store")),
        };
        let clock = if arguments.accept_clock { AtStart::Accepted } else { AtStart::Checked };
        let app = open(issuer, arguments.dialect, store, keys, clock).await?;
        app.metrics.tell_of_log(log::counts);
        seed::seed(&app).await.map_err(Failure::failed)?;
        let listeners = Listeners { public: listener, tls: None, metrics: None, admin: None };
        match arguments.grade {
            Some(client) => grade::run(app, listeners, signals, &client, &arguments.report).await,
            None => {
                introduce(&app.settings.issuer);
                serve(app, listeners, signals.stop()).await.map_err(Failure::failed)
            }
        }
    })
}

fn dialect(name: &str) -> Result<Dialect, String> {
    match name {
        "network" => Ok(Dialect::Network),
        "rfc" => Ok(Dialect::Rfc),
        _ => Err("the dialects are network and rfc".into()),
    }
}

async fn open(
    issuer: String,
    dialect: Dialect,
    address: StoreAddress,
    keys: Option<PathBuf>,
    at_start: AtStart,
) -> Result<Arc<App>, Failure> {
    let options =
        OpenOptions { address, kind: StoreKind::Sandbox, issuer: issuer.clone(), endings_log: None, holder: "counterfoil sandbox".into() };
    let store = Store::open(options).await.map_err(Failure::failed)?;
    let clock = Clock::sandbox(store.clock_offset().await.map_err(Failure::failed)?);
    check_clock(&clock, &store, at_start)
        .await
        .map_err(|problem| problem.advised(|_| "If the clock is right, `--accept-clock` says so"))?;
    let keys = open_keys(keys.as_deref(), &store, &issuer, clock.now()).await?;
    if store.is_shared() {
        output::note("the keys of this sandbox are in its database, in the clear: good enough for tests, and for nothing else");
    }
    let settings = Settings {
        issuer,
        dialect,
        lifetimes: Lifetimes::default(),
        providers: vec![Provider { id: PROVIDER.into(), name: "Sandbank".into() }],
    };
    App::new(settings, store, keys, clock).await.map(Arc::new).map_err(Failure::failed)
}

/// The ready line that scripts wait for, then the walk-through.
fn introduce(issuer: &str) {
    let mut text =
        format!("ready {issuer}\n\nA bank, five customers and three clients are waiting. Open {issuer} in a browser, or paste these:\n");
    for (number, step) in walkthrough::steps(issuer).into_iter().enumerate() {
        text += &format!("\n# {}. {}\n{}\n", number + 1, step.in_terminal, step.command);
    }
    output::announce(text);
}

fn print_env(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.listen.port() == 0 && arguments.issuer.is_none() {
        return Err(Failure::usage("--print-env needs to know the port: give --listen one, or --issuer"));
    }
    let issuer = arguments.issuer(arguments.listen)?;
    let [recipient, ..] = &seed::CLIENTS;
    for (name, value) in [
        ("OIDC_ISSUER", issuer.as_str()),
        ("OIDC_CLIENT_ID", recipient.id),
        ("OIDC_CLIENT_SECRET", recipient.secret.unwrap_or_default()),
        ("OIDC_REDIRECT_URI", &format!("{issuer}/sandbox/callback")),
        ("SANDBOX_CONNECTOR", PROVIDER),
        ("SANDBOX_CUSTOMER", "customer_1"),
        ("SANDBOX_PASSWORD", "customer_1"),
    ] {
        output::say(&format!("{name}={value}"));
    }
    Ok(())
}
