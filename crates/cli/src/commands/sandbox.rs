//! `counterfoil sandbox`.

mod certificate;
mod grade;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use counterfoil_core::clock::Clock;
use counterfoil_core::dialect::Dialect;
use counterfoil_core::login::LetterCase;
use counterfoil_core::settings::{Lifetimes, Provider, Settings, check_sandbox_issuer};
use counterfoil_sandbox::{PROVIDER, Sandbox, seed, walkthrough};
use counterfoil_server::{App, Bounds, End, Listener, Server, Tls, serve};
use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};
use tempfile::TempDir;
use url::{Host, Url};

use super::serve::{ClockCheck, check_clock, open_keys};
use crate::config::listen_address;
use crate::process::{self, Signals, block_on};
use crate::reports::{self, ReportFile};
use crate::{Failure, log, output};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    listen: SocketAddr,
    /// Keep store and keys in this directory; without it they are deleted at the end
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    data: Option<PathBuf>,
    /// Keep the store here: sqlite:PATH, with the keys in PATH-keys; or
    /// postgres://USER@HOST/DATABASE, which holds the keys too, and where several sandboxes with one
    /// --issuer are the nodes of one system
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// The issuer, by default http://<listen address>; plain http is allowed with any host name, such
    /// as a container's
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Another host name under which /sandbox/* can be reached, in addition to the issuer's and
    /// loopback ones; may be repeated
    #[arg(long = "host", value_name = "NAME", value_parser = host)]
    hosts: Vec<Host>,
    /// Serve TLS, with a certificate for the issuer's host, the names given with --host and loopback;
    /// it is signed by a CA for clients to trust, which is made once and kept with the data
    #[arg(long)]
    tls: bool,
    /// Grade a client: play the script of events to it, print the scorecard, and exit with 0 if it
    /// passes all of them; by default the client is sandbox-recipient
    #[arg(long, value_name = "CLIENT_ID", num_args = 0..=1, require_equals = true, default_missing_value = seed::CLIENTS[0].id)]
    grade: Option<String>,
    /// Write the scorecard to a file: html=FILE, junit=FILE or json=FILE; may be repeated
    #[arg(long, value_name = "FORMAT=FILE", requires = "grade", value_parser = reports::report_file)]
    report: Vec<ReportFile>,
    /// The form of OAuth errors: network, or rfc for that of RFC 6749 and RFC 7009
    #[arg(long, value_name = "DIALECT", default_value = "network", value_parser = dialect)]
    dialect: Dialect,
    /// Print the values a CI job needs as NAME=value lines, and do nothing else
    #[arg(long)]
    print_env: bool,
    /// Trust this machine's clock although it is behind the last use of the store, years ahead of it,
    /// or disagrees with the database's
    #[arg(long)]
    accept_clock: bool,
    /// What to log on stderr: error, warn, info or debug; by default info, or error with --grade
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

impl Arguments {
    /// The issuer where the server listens at `address`.
    fn issuer(&self, address: SocketAddr) -> Result<String, Failure> {
        match &self.issuer {
            Some(issuer) if self.tls && issuer.starts_with("http://") => {
                Err(Failure::usage(format!("with --tls the issuer is https, not `{issuer}`")))
            }
            Some(issuer) => {
                check_sandbox_issuer(issuer).map(|()| issuer.clone()).map_err(Failure::Usage)
            }
            None if address.ip().is_unspecified() => Err(Failure::usage(format!(
                "--listen {address} is every address of this machine: say which one clients use with --issuer"
            ))),
            None => {
                let issuer = format!("{}://{address}", if self.tls { "https" } else { "http" });
                check_sandbox_issuer(&issuer).map_err(|problem| {
                    Failure::usage(format!("{problem}; say another one with --issuer"))
                })?;
                Ok(issuer)
            }
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.print_env {
        return print_env(&arguments);
    }
    // Parsed before anything is made, but not by clap, which echoes wrong values: there may be a
    // password in it.
    let store =
        arguments.store.as_deref().map(StoreAddress::parse).transpose().map_err(Failure::Usage)?;
    if arguments.issuer.is_some() || arguments.listen.ip().is_unspecified() {
        arguments.issuer(arguments.listen)?;
    }
    reports::prepare(&arguments.report)?;
    let filter = arguments.log.as_deref().unwrap_or(if arguments.grade.is_some() {
        "error"
    } else {
        "info"
    });
    log::start(log::Format::Text, filter)?;
    block_on(async move {
        let signals = Signals::watch()?;
        let listener = TcpListener::bind(arguments.listen).map_err(|e| {
            Failure::failed(format!("{} can't be listened on: {e}", arguments.listen))
        })?;
        let issuer = arguments.issuer(listener.local_addr().map_err(Failure::failed)?)?;
        let Place { store, keys, tls, temporary } = Place::of(store, arguments.data.as_deref())?;
        let clock = if arguments.accept_clock { ClockCheck::Accepted } else { ClockCheck::Checked };
        let later = store.opened_later();
        let (app, sandbox) =
            open(issuer, arguments.dialect, arguments.hosts.clone(), store, keys, clock).await?;
        app.metrics.set_log_counts(log::counts);
        seed::seed(&app).await.map_err(Failure::failed)?;
        let (tls, ca) = match arguments.tls {
            true => {
                let names = names(&app.settings.issuer, arguments.listen.ip(), &arguments.hosts);
                let made = certificate::make(&tls, names, app.clock.wall())?;
                (
                    Some(Arc::new(
                        Tls::from_files(&made.certificate, &made.key).map_err(Failure::failed)?,
                    )),
                    Some(made.ca),
                )
            }
            false => (None, None),
        };
        let bounds = Bounds { limit: process::connections(None, later)?, ..Bounds::default() };
        let router = counterfoil_sandbox::router(app.clone(), sandbox.clone());
        let (name, end) = ("public", End::InOrder);
        let listener = Listener { name, socket: listener, tls, router, bounds, end };
        let server =
            Server { listeners: vec![listener], admin: None, shutdown_delay: Duration::ZERO };
        let (stop, at_once) = (signals.stop(), signals.stop_at_once());
        // A closed terminal sends SIGHUP too, which must not end a sandbox that tests may be using.
        process::at_hangups(|| {
            tracing::info!("SIGHUP: a sandbox has nothing to reload, and goes on")
        })?;
        match arguments.grade {
            Some(client) => {
                grade::run(app, sandbox, server, (stop, at_once), &client, &arguments.report).await
            }
            None => {
                introduce(&app.settings.issuer, ca.as_deref());
                serve(app, server, stop, at_once).await.map_err(Failure::failed)
            }
        }?;
        drop(temporary);
        Ok(())
    })
}

/// Where a sandbox keeps its state.
struct Place {
    store: StoreAddress,
    /// The directory of the keys, if they are not in the store.
    keys: Option<PathBuf>,
    /// The directory of its certificate, with `--tls`.
    tls: PathBuf,
    /// Removed when the process ends.
    temporary: Option<TempDir>,
}

impl Place {
    fn of(store: Option<StoreAddress>, data: Option<&Path>) -> Result<Self, Failure> {
        let temporary = || {
            tempfile::Builder::new()
                .prefix("counterfoil-sandbox-")
                .tempdir()
                .map_err(Failure::failed)
        };
        let within = |directory: &Path, temporary| Self {
            store: StoreAddress::Sqlite(directory.join("sandbox.db")),
            keys: Some(directory.join("keys")),
            tls: directory.join("tls"),
            temporary,
        };
        match (store, data) {
            (Some(StoreAddress::Sqlite(path)), _) => {
                let (keys, tls) = (beside(&path, "-keys"), beside(&path, "-tls"));
                Ok(Self {
                    store: StoreAddress::Sqlite(path),
                    keys: Some(keys),
                    tls,
                    temporary: None,
                })
            }
            (Some(store), _) => {
                let temporary = temporary()?;
                Ok(Self {
                    store,
                    keys: None,
                    tls: temporary.path().join("tls"),
                    temporary: Some(temporary),
                })
            }
            (None, Some(data)) => {
                std::fs::create_dir_all(data).map_err(|e| {
                    Failure::failed(format!("{} can't be made: {e}", data.display()))
                })?;
                Ok(within(data, None))
            }
            (None, None) => {
                let temporary = temporary()?;
                let directory = temporary.path().to_owned();
                Ok(within(&directory, Some(temporary)))
            }
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}

/// Parses a host name or an address.
fn host(text: &str) -> Result<Host, String> {
    let parsed = match text.parse() {
        Ok(IpAddr::V4(address)) => Ok(Host::Ipv4(address)),
        Ok(IpAddr::V6(address)) => Ok(Host::Ipv6(address)),
        Err(_) => Host::parse(text),
    };
    parsed
        .map_err(|_| format!("`{text}` is not the name of a host: leave out scheme, port and path"))
}

/// The names in the certificate: all that clients reach this sandbox by.
fn names(issuer: &str, listen: IpAddr, hosts: &[Host]) -> Vec<String> {
    let issuer = Url::parse(issuer).ok().and_then(|url| url.host().map(|host| host.to_owned()));
    let name = |host: Host| match host {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter();
    let listen = (!listen.is_unspecified()).then(|| listen.to_string());
    let mut names: Vec<_> = issuer
        .into_iter()
        .chain(hosts.iter().cloned())
        .map(name)
        .chain(listen)
        .chain(here)
        .collect();
    names.sort();
    names.dedup();
    names
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
    hosts: Vec<Host>,
    address: StoreAddress,
    keys: Option<PathBuf>,
    at_start: ClockCheck,
) -> Result<(Arc<App>, Arc<Sandbox>), Failure> {
    let options = OpenOptions {
        address,
        kind: StoreKind::Sandbox,
        issuer: issuer.clone(),
        endings_log: None,
        holder: "counterfoil sandbox".into(),
    };
    let store = Store::open(options).await.map_err(Failure::failed)?;
    let clock = Clock::sandbox(store.clock_offset().await.map_err(Failure::failed)?);
    check_clock(&clock, &store, at_start).await.map_err(|problem| {
        problem.advised(|_| "If the clock is right, `--accept-clock` says so")
    })?;
    let keys = open_keys(keys.as_deref(), &store, &issuer, clock.now()).await?;
    if store.is_shared() {
        output::note(
            "the keys of this sandbox are in its database, in the clear: good enough for tests, and for nothing else",
        );
    }
    let settings = Settings {
        issuer,
        dialect,
        lifetimes: Lifetimes::default(),
        providers: vec![Provider {
            id: PROVIDER.into(),
            name: "Sandbank".into(),
            case: LetterCase::Matters,
        }],
    };
    counterfoil_sandbox::open(settings, store, keys, clock, hosts).await.map_err(Failure::failed)
}

/// The ready line that scripts wait for, then the walk-through.
fn introduce(issuer: &str, ca: Option<&Path>) {
    let mut text = format!(
        "ready {issuer}\n\nA bank, five customers and three clients are waiting. Open {issuer} in a browser, or paste these:\n"
    );
    if let Some(ca) = ca {
        let ca = std::path::absolute(ca).unwrap_or_else(|_| ca.to_owned());
        let variables =
            ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
        let trust = variables.map(|variable| format!("{variable}='{}'", ca.display())).join(" ");
        text += &format!("\n# 0. Trust its certificate, in this shell alone\nexport {trust}\n");
    }
    for (number, step) in walkthrough::steps(issuer).into_iter().enumerate() {
        text += &format!("\n# {}. {}\n{}\n", number + 1, step.in_terminal, step.command);
    }
    output::announce(text);
}

fn print_env(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.listen.port() == 0 && arguments.issuer.is_none() {
        return Err(Failure::usage(
            "--print-env needs to know the port: give --listen one, or --issuer",
        ));
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
    if arguments.tls {
        let store = arguments
            .store
            .as_deref()
            .map(StoreAddress::parse)
            .transpose()
            .map_err(Failure::Usage)?;
        let directory = match (store, &arguments.data) {
            (Some(StoreAddress::Sqlite(path)), _) => beside(&path, "-tls"),
            (None, Some(data)) => data.join("tls"),
            _ => return Ok(()),
        };
        let ca = std::path::absolute(certificate::ca_in(&directory)).map_err(Failure::failed)?;
        output::say(&format!("SANDBOX_CA_FILE={}", ca.display()));
    }
    Ok(())
}
