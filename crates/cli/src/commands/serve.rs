//! `counterfoil serve`.

mod check;
mod permissions;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use counterfoil_core::clock::{Clock, Doubt, Timestamp, check_at_start};
use counterfoil_server::admin;
use counterfoil_server::keys::Keys;
use counterfoil_server::{App, Bounds, End, Listener, Server, Tls, routes, serve};
use counterfoil_store::{
    GrantFilter, OnDifference, OpenError, OpenOptions, Remedy, Store, StoreAddress, StoreError,
    StoreKind,
};

use crate::config::{Config, Connections};
use crate::process::{self, METRICS_CONNECTIONS, Signals, block_on};
use crate::{Failure, log, output};

const CONFIG_HELP: &str =
    "The smallest configuration has issuer, listen, store, keys, endings_log and one [[provider]] with id and name. Any
setting outside [[provider]] can also come from the environment, as COUNTERFOIL_LISTEN, COUNTERFOIL_LIFETIMES_ID_TOKEN and so
on, which wins. Once it accepts connections it prints a line `ready ADDRESS as ISSUER`; the log is JSON on stderr.";

#[derive(Debug, Args)]
#[command(after_help = CONFIG_HELP)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the settings and everything else a start needs, list what is wrong, and do nothing else;
    /// a server may be running
    #[arg(long)]
    check: bool,
    /// Trust this machine's clock although it is behind the last use of the store, years ahead of it,
    /// or disagrees with the database's
    #[arg(long)]
    accept_clock: bool,
    /// Start although the endings log is missing or lacks lines that the store knows: a new log starts
    /// with what the store knows, and all ID and access tokens issued until now are refused, so
    /// clients refresh
    #[arg(long)]
    accept_lost_endings: bool,
}

/// How this machine's clock is checked at start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockCheck {
    /// It is compared with what the store knows.
    Checked,
    /// The operator says that it is right.
    Accepted,
    /// Not at all: the command is about the clock.
    Unchecked,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config).map_err(Failure::Usage)?;
    if config.endings_log.is_none() {
        return Err(Failure::usage(
            "`endings_log` is missing: what was revoked must be known apart from the store, on another disk at best",
        ));
    }
    log::check(&config.log)?;
    if arguments.check {
        output::say("the settings are good");
        return block_on(async move { check::run(&config, arguments.accept_clock).await });
    }
    log::start(log::Format::Json, &config.log)?;
    block_on(async move {
        let signals = Signals::watch()?;
        let listen = |address| {
            TcpListener::bind(address)
                .map_err(|e| Failure::failed(format!("{address} can't be listened on: {e}")))
        };
        let public = listen(config.listen)?;
        let address = public.local_addr().map_err(Failure::failed)?;
        let metrics = config.metrics_listen.map(listen).transpose()?;
        let tls = match &config.tls {
            Some((certificate, key)) => {
                Some(Arc::new(Tls::from_files(certificate, key).map_err(Failure::failed)?))
            }
            None => None,
        };
        let (path, certificate) = (arguments.config.clone(), tls.clone());
        process::at_hangups(move || reload(&path, certificate.as_deref()))?;
        let clock = if arguments.accept_clock { ClockCheck::Accepted } else { ClockCheck::Checked };
        let endings = if arguments.accept_lost_endings {
            OnDifference::AcceptLostEndings
        } else {
            OnDifference::Refuse
        };
        let app = open_app(&config, "counterfoil serve", clock, endings, None).await?;
        permissions::check(&config.store)?;
        app.metrics.set_log_counts(log::counts);
        let admin = match &config.store {
            StoreAddress::Sqlite(path) => {
                Some(admin::listen_beside(path).map_err(Failure::Failed)?)
            }
            StoreAddress::Postgres(_) => None,
        };
        let bounds = bounds(&config)?;
        let mut listeners = vec![Listener {
            name: "public",
            socket: public,
            tls,
            router: routes::public(app.clone(), metrics.is_some()),
            bounds,
            end: End::InOrder,
        }];
        listeners.extend(metrics.map(|socket| Listener {
            name: "metrics",
            socket,
            tls: None,
            router: routes::metrics(app.clone()),
            bounds: Bounds { limit: bounds.limit.min(METRICS_CONNECTIONS), ..bounds },
            end: End::Last,
        }));
        let server = Server { listeners, admin, shutdown_delay: config.shutdown_delay };
        tracing::info!(%address, issuer = app.settings.issuer, version = env!("CARGO_PKG_VERSION"), "serving");
        output::announce(format!("ready {address} as {}", app.settings.issuer));
        serve(app, server, signals.stop(), signals.stop_at_once()).await.map_err(Failure::failed)
    })
}

/// The bounds of connections. Called once the store and everything else that takes files is open.
fn bounds(config: &Config) -> Result<Bounds, Failure> {
    let Connections { idle, head, write, limit } = config.connections;
    Ok(Bounds {
        idle,
        head,
        write,
        limit: process::connections(limit, config.store.opened_later())?,
    })
}

/// Reloads the settings that can change while serving: what is logged, and the certificate, whose
/// files may be others now. On an error nothing changes.
fn reload(path: &Path, tls: Option<&Tls>) {
    let reload = || {
        let config = Config::load(path)?;
        // Before anything changes.
        log::check(&config.log).map_err(Failure::message)?;
        match (tls, &config.tls) {
            (Some(tls), Some((certificate, key))) => {
                tls.reload(certificate, key).map_err(|error| error.to_string())?
            }
            (None, None) => {}
            (Some(_), None) => return Err("[tls] is gone, which needs a restart".into()),
            (None, Some(_)) => return Err("[tls] is new, which needs a restart".into()),
        }
        log::show(&config.log).map_err(Failure::message)
    };
    match reload() {
        Ok(()) => tracing::info!(
            "reloaded: the certificate, where there is one, and what is logged; other settings need a restart"
        ),
        Err(problem) => tracing::error!(problem, "nothing was reloaded, and all goes on as before"),
    }
}

/// Opens store and keys of a live server; a file is locked for this process. For a command about one
/// client, only that client is loaded.
pub(crate) async fn open_app(
    config: &Config,
    holder: &str,
    at_start: ClockCheck,
    endings: OnDifference,
    only_client: Option<&str>,
) -> Result<Arc<App>, Failure> {
    let clock = Clock::live();
    let issuer = config.settings.issuer.clone();
    let options = OpenOptions {
        address: config.store.clone(),
        kind: StoreKind::Live,
        issuer: issuer.clone(),
        endings_log: config.endings_log.clone(),
        holder: holder.into(),
    };
    let store =
        Store::open_and(endings, options).await.map_err(|error| not_opened(&error, config))?;
    check_clock(&clock, &store, at_start).await.map_err(|problem| problem.advised(about_clock))?;
    if endings == OnDifference::AcceptLostEndings {
        store.accept_lost_endings(clock.now()).await.map_err(Failure::failed)?;
    }
    let keys = open_keys(Some(&config.keys), &store, &issuer, clock.now()).await?;
    let settings = config.settings.clone();
    let app = match only_client {
        None => App::new(settings, store, keys, clock).await,
        Some(id) => App::about_client(id.to_owned(), settings, store, keys, clock).await,
    };
    app.map(Arc::new).map_err(Failure::failed)
}

/// What to do about a doubt in this machine's clock.
fn about_clock(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Behind { .. } => {
            "If the clock is right, the store was used while a clock was ahead: `counterfoil clock repair` mends what that has left, and \
             `serve --accept-clock` goes on without"
        }
        Doubt::Ahead { .. } | Doubt::Database { .. } => {
            "If the clock is right, `serve --accept-clock` or `counterfoil clock accept` says so"
        }
    }
}

/// Why a store can't be opened, and the command that helps.
fn not_opened(error: &OpenError, config: &Config) -> Failure {
    let file = config.file.display();
    match (error, error.remedy()) {
        (OpenError::InUse { .. }, _) => Failure::InUse(error.to_string()),
        (_, None) => Failure::failed(error),
        (_, Some(Remedy::DeclareLoss)) => Failure::Failed(format!(
            "{error}. Run `counterfoil declare-loss --config {file}`, with --endings for each further endings log, of other nodes or rotated away"
        )),
        (_, Some(Remedy::AcceptLostEndings)) => Failure::Failed(format!(
            "{error}. If it is lost, run `counterfoil serve --accept-lost-endings --config {file}`: a new log starts with all that the store knows, and all ID and \
             access tokens issued until then are refused, so clients refresh"
        )),
    }
}

/// Why this machine's clock is not trusted.
pub(crate) enum ClockProblem {
    Doubt(Doubt),
    Store(StoreError),
}

impl ClockProblem {
    /// As a failure, with advice about a doubt.
    pub(crate) fn advised(self, advice: impl FnOnce(Doubt) -> &'static str) -> Failure {
        match self {
            Self::Doubt(doubt) => Failure::Failed(format!("{doubt}. {}", advice(doubt))),
            Self::Store(error) => Failure::failed(error),
        }
    }
}

/// Compares this machine's clock with what the store knows, before anything is dated by it, and sets
/// `clock` by it.
pub(crate) async fn check_clock(
    clock: &Clock,
    store: &Store,
    at_start: ClockCheck,
) -> Result<(), ClockProblem> {
    let known = store.known_time().await.map_err(ClockProblem::Store)?;
    // Trust the reading that is checked: the wall clock may have been set since the process began.
    let wall = clock.begin(known.newest).unix() * 1000;
    match at_start {
        ClockCheck::Checked => check_at_start(wall, known).map_err(ClockProblem::Doubt),
        ClockCheck::Accepted => store.accept_clock(wall).await.map_err(ClockProblem::Store),
        ClockCheck::Unchecked => Ok(()),
    }
}

/// Opens the keys of a store, or makes them if the store is new too: with different keys, all its
/// secrets and tokens would be refused. A shared store holds its keys, sealed under the key in
/// `directory`, or in the clear if that is `None`.
pub(crate) async fn open_keys(
    directory: Option<&Path>,
    store: &Store,
    issuer: &str,
    now: Timestamp,
) -> Result<Keys, Failure> {
    let apart = directory.filter(|_| !store.is_shared());
    let are_there = match apart {
        Some(directory) => Keys::are_at(directory),
        None => store.keys().await.map_err(Failure::failed)?.is_some(),
    };
    if !are_there {
        let any_grant = GrantFilter { limit: 1, ..GrantFilter::default() };
        let holds = match () {
            () if !store.grants(&any_grant).await.map_err(Failure::failed)?.is_empty() => {
                Some("grants")
            }
            () if store
                .clients()
                .await
                .map_err(Failure::failed)?
                .iter()
                .any(|client| !client.secrets.is_empty()) =>
            {
                Some("client secrets")
            }
            () => None,
        };
        if let Some(what) = holds {
            return Err(Failure::Failed(keys_lost(apart, what)));
        }
    }
    match apart {
        Some(directory) => Keys::open(directory, issuer, now),
        None => Keys::in_store(store, directory, issuer, now).await,
    }
    .map_err(Failure::failed)
}

/// The message that keys are missing although the store holds `what` was made with some. `apart` is
/// `None` for a shared store, which holds its keys.
fn keys_lost(apart: Option<&Path>, what: &str) -> String {
    match apart {
        Some(directory) => {
            format!(
                "there are no keys in {}, but the store holds {what} made with some: restore them from a backup",
                directory.display()
            )
        }
        None => format!(
            "there are no keys in the store, but {what} made with some: restore the database from a backup that holds both"
        ),
    }
}
