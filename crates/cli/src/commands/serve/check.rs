//! `counterfoil serve --check`: checks everything a start needs, without starting. Nothing is made or
//! changed, and a server may run with the same configuration: the systemd unit runs this before each
//! start.
//!
//! What prevents a start is a problem. What doesn't, but is hardly intended, such as an expired
//! certificate, is a warning: a check that failed would keep down a server that could run.

use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use counterfoil_core::clock::{Clock, Timestamp, check_at_start};
use counterfoil_core::text_file;
use counterfoil_server::Tls;
use counterfoil_server::admin::check_path_beside;
use counterfoil_server::keys::Keys;
use counterfoil_store::{Found, OpenOptions, Store, StoreAddress, StoreKind};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::der::Decode;

use super::{about_clock, bounds, keys_lost, not_opened, permissions};
use crate::config::Config;
use crate::{Failure, output};

/// How long a server that already listens may take to identify itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

#[derive(Default)]
struct Findings {
    problems: Vec<String>,
    warnings: Vec<String>,
    /// What a start would do, for information.
    told: Vec<String>,
}

impl Findings {
    fn problem(&mut self, problem: impl Display) {
        self.problems.push(problem.to_string());
    }

    fn warn(&mut self, warning: impl Display) {
        self.warnings.push(warning.to_string());
    }
}

pub(super) async fn run(config: &Config, accept_clock: bool) -> Result<(), Failure> {
    let mut findings = Findings::default();
    let served_by = store_and_keys(config, accept_clock, &mut findings).await;
    findings.problems.extend(permissions::of_store(&config.store));
    if let StoreAddress::Sqlite(store) = &config.store {
        findings.problems.extend(check_path_beside(store).err());
    }
    endings_log(config, &mut findings);
    tls(config, &mut findings);
    if let Err(failure) = bounds(config) {
        findings.problem(failure.message());
    }
    listeners(config, served_by.as_deref(), &mut findings);
    findings.told.iter().for_each(|told| output::say(told));
    findings.warnings.iter().for_each(|warning| output::note(&format!("warning: {warning}")));
    match &*findings.problems {
        [] => {
            output::say("nothing hinders a start");
            Ok(())
        }
        [problem] => Err(Failure::Failed(problem.clone())),
        problems => Err(Failure::Failed(format!(
            "{} things hinder a start:\n- {}",
            problems.len(),
            problems.join("\n- ")
        ))),
    }
}

/// Checks store, clock and keys. Returns the server that holds the store, if one does.
async fn store_and_keys(
    config: &Config,
    accept_clock: bool,
    findings: &mut Findings,
) -> Option<String> {
    let options = OpenOptions {
        address: config.store.clone(),
        kind: StoreKind::Live,
        issuer: config.settings.issuer.clone(),
        endings_log: config.endings_log.clone(),
        holder: "counterfoil serve".into(),
    };
    let (clock, issuer) = (Clock::live(), &config.settings.issuer);
    let apart = matches!(config.store, StoreAddress::Sqlite(_)).then_some(&*config.keys);
    let found = match Store::look(&options).await {
        Ok(found) => found,
        Err(error) => {
            findings.problem(error);
            // Then it is unknown whether keys are missing; those that exist must be valid.
            if let Some(Err(error)) =
                apart.map(|directory| Keys::look(directory, issuer, clock.now()))
            {
                findings.problem(error);
            }
            return None;
        }
    };
    if let Err(error) = Store::check_endings(&options).await {
        findings.problem(not_opened(&error, config).message());
    }
    if found.is_none() {
        findings.told.push(format!("there is no store at {} yet; a start makes one", config.store));
    }
    let Found { holder, made_with_keys, keys, time, warnings } = found.unwrap_or_default();
    findings.warnings.extend(warnings);
    let served_by = holder.filter(|holder| holder.starts_with("counterfoil serve"));
    if let Some(server) = &served_by {
        findings.told.push(format!("the store is in use by {server}"));
    }
    if !accept_clock
        && let Err(doubt) = check_at_start(clock.wall().unix().saturating_mul(1000), time)
    {
        findings.problem(format!("{doubt}. {}", about_clock(doubt)));
    }
    let are_there = match apart {
        Some(directory) => Keys::look(directory, issuer, clock.now()),
        None => Keys::look_in_store(keys.as_ref(), &config.keys, issuer).map(|()| keys.is_some()),
    };
    match (are_there, made_with_keys) {
        (Err(error), _) => findings.problem(error),
        (Ok(true), _) => {}
        (Ok(false), Some(what)) => findings.problem(keys_lost(apart, what)),
        (Ok(false), None) => findings.told.push(format!(
            "there are no keys in {} yet; a start makes some",
            config.keys.display()
        )),
    }
    served_by
}

/// Checks that the endings log can be appended to.
fn endings_log(config: &Config, findings: &mut Findings) {
    let Some(path) = &config.endings_log else {
        return;
    };
    let named = |problem: &dyn Display| {
        format!("the endings log {} can't be written: {problem}", path.display())
    };
    let directory = permissions::directory_of(path);
    if !directory.is_dir() {
        return findings
            .problem(named(&format!("there is no directory {}; make it", directory.display())));
    }
    findings
        .warnings
        .extend(permissions::of_directory(directory).into_iter().chain(permissions::of_file(path)));
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => findings.problem(named(&"it is no regular file")),
        Ok(_) => {
            if let Err(error) = File::options().append(true).read(true).open(path) {
                findings.problem(named(&error));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
                Ok(()) => findings.told.push(format!(
                    "there is no endings log at {} yet; a start makes one",
                    path.display()
                )),
                Err(error) => findings.problem(named(&error)),
            }
        }
        Err(error) => findings.problem(named(&error)),
    }
}

/// Checks that certificate and key can be used, belong together, and are valid now.
fn tls(config: &Config, findings: &mut Findings) {
    let Some((certificate, key)) = &config.tls else {
        return;
    };
    if let Err(error) = Tls::from_files(certificate, key) {
        return findings.problem(error);
    }
    findings.warnings.extend(permissions::of_file(key));
    let named = |what: &dyn Display| format!("the certificate {} {what}", certificate.display());
    let Some((from, until)) = validity_of(certificate) else {
        return findings.warn(named(&"does not say in a readable way when it is valid"));
    };
    let now = Clock::live().wall();
    if now < from {
        findings.warn(named(&format!("is not valid before {from}")));
    } else if now > until {
        findings.warn(named(&format!("has expired at {until}")));
    }
}

/// When a server's certificate, the first of the file, is valid.
fn validity_of(certificate: &Path) -> Option<(Timestamp, Timestamp)> {
    let pem = std::fs::read(certificate).ok()?;
    let first = CertificateDer::from_pem_slice(text_file::without_mark(&pem)).ok()?;
    let validity = x509_cert::Certificate::from_der(&first).ok()?.tbs_certificate.validity;
    let at = |time: x509_cert::time::Time| {
        i64::try_from(time.to_unix_duration().as_secs()).ok().map(Timestamp::from_unix)
    };
    Some((at(validity.not_before)?, at(validity.not_after)?))
}

/// Checks that the addresses can be bound, all at once, or already are by this very server.
fn listeners(config: &Config, served_by: Option<&str>, findings: &mut Findings) {
    let addresses = [Some(config.listen), config.metrics_listen];
    // Kept until all are bound: two equal addresses conflict.
    let bound: Vec<_> = addresses
        .into_iter()
        .flatten()
        .map(|address| (address, TcpListener::bind(address)))
        .collect();
    let in_use = |error: &std::io::Error| error.kind() == ErrorKind::AddrInUse;
    let own = bound
        .first()
        .and_then(|(_, public)| public.as_ref().err())
        .is_some_and(in_use)
        .then(|| who_listens(config, served_by));
    for (at, (address, bound)) in bound.iter().enumerate() {
        let Err(error) = bound else { continue };
        match own {
            Some(PortOwner::This) if in_use(error) && bound_apart(at, *address, config) => {}
            Some(PortOwner::Unknown) if in_use(error) && bound_apart(at, *address, config) => {
                findings.warn(format!("{address} is in use, by whom is not known: unless it is this very server, a start fails"));
            }
            _ => findings.problem(format!("{address} can't be listened on: {error}")),
        }
    }
}

/// Whether an address is not the same as an earlier one.
fn bound_apart(at: usize, address: SocketAddr, config: &Config) -> bool {
    at == 0 || address != config.listen
}

/// Who listens at this server's address.
#[derive(Clone, Copy)]
enum PortOwner {
    This,
    Other,
    Unknown,
}

fn who_listens(config: &Config, served_by: Option<&str>) -> PortOwner {
    // The server that holds the store listens, most likely here.
    let by_store = if served_by.is_some() { PortOwner::This } else { PortOwner::Unknown };
    if config.tls.is_some() {
        return by_store;
    }
    let issuer = &config.settings.issuer;
    let host = issuer.split_once("//").map_or("localhost", |(_, host)| host);
    let asked = ask(
        config.listen,
        &format!(
            "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ),
    );
    match asked {
        Ok(answer) if answer.contains(&format!("\"issuer\":\"{issuer}\"")) => PortOwner::This,
        // A server at its limit, or without its database, does not identify itself.
        Ok(answer) if answer.starts_with("HTTP/1.1 503") => by_store,
        Ok(_) => PortOwner::Other,
        Err(_) => by_store,
    }
}

fn ask(mut address: SocketAddr, request: &str) -> std::io::Result<String> {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        });
    }
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
