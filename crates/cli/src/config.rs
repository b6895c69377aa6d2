//! The configuration: a TOML file, in which an unknown setting is an error with its line, overridden
//! by the environment.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil_core::clock::{parse_lifetime, parse_wait};
use counterfoil_core::dialect::Dialect;
use counterfoil_core::display_name;
use counterfoil_core::login::LetterCase;
use counterfoil_core::settings::{Lifetimes, Provider, Settings, check_issuer, check_provider_id};
use counterfoil_core::text_file;
use counterfoil_server::Bounds;
use counterfoil_store::StoreAddress;
use serde::Deserialize;

#[cfg(any(test, fuzzing))]
#[path = "config/fuzzed.rs"]
pub(crate) mod fuzzed;

/// Everything that a server needs to start.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file it was read from.
    pub(crate) file: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) store: StoreAddress,
    /// The directory of a SQLite store's keys, or of the key that encrypts those in PostgreSQL.
    pub(crate) keys: PathBuf,
    pub(crate) endings_log: Option<PathBuf>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) connections: Connections,
    /// How long a server that is told to stop keeps serving while not ready.
    pub(crate) shutdown_delay: Duration,
    pub(crate) log: String,
}

/// The bounds of connections.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) idle: Duration,
    pub(crate) head: Duration,
    pub(crate) write: Duration,
    /// How many there may be at once; by default as many as the limit of open files allows.
    pub(crate) limit: Option<usize>,
}

/// The default of `shutdown.delay`. Load balancers notice in that time. nginx, which has no health
/// checks, avoids an unreachable node for as long: when nodes are replaced one by one, it uses the
/// first again before the second is gone.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(10);

/// The content of the file. No `Debug`: it may hold a password.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    issuer: Option<String>,
    listen: Option<String>,
    metrics_listen: Option<String>,
    store: Option<String>,
    keys: Option<String>,
    endings_log: Option<String>,
    log: Option<String>,
    #[serde(default)]
    provider: Vec<ProviderFile>,
    #[serde(default)]
    lifetimes: LifetimesFile,
    #[serde(default)]
    errors: ErrorsFile,
    #[serde(default)]
    tls: TlsFile,
    #[serde(default)]
    connections: ConnectionsFile,
    #[serde(default)]
    shutdown: ShutdownFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderFile {
    id: String,
    name: String,
    #[serde(default)]
    sign_in: SignInKind,
    #[serde(default)]
    accounts: AccountsKind,
    #[serde(default)]
    case_insensitive: bool,
}

/// How a provider's customers sign in.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SignInKind {
    /// With a password that Counterfoil keeps the hash of.
    #[default]
    Password,
}

/// Where a provider's accounts come from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccountsKind {
    /// From Counterfoil's own directory.
    #[default]
    Directory,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LifetimesFile {
    code: Option<String>,
    id_token: Option<String>,
    refresh_token: Option<String>,
    grant: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorsFile {
    dialect: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    certificate: Option<String>,
    key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionsFile {
    idle_timeout: Option<String>,
    header_timeout: Option<String>,
    write_timeout: Option<String>,
    #[serde(default, deserialize_with = "number")]
    limit: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShutdownFile {
    delay: Option<String>,
}

/// A number, kept as text, as it would come from the environment.
fn number<'de, D: serde::Deserializer<'de>>(file: D) -> Result<Option<String>, D::Error> {
    let number = i64::deserialize(file)
        .map_err(|_| serde::de::Error::custom("this must be a number, without quotes"))?;
    Ok(Some(number.to_string()))
}

/// A setting that the environment may override: its name in the file, and its place.
type Leaf = (&'static str, fn(&mut File) -> &mut Option<String>);

/// Every setting outside `[[provider]]`.
const LEAVES: [Leaf; 19] = [
    ("issuer", |file| &mut file.issuer),
    ("listen", |file| &mut file.listen),
    ("metrics_listen", |file| &mut file.metrics_listen),
    ("store", |file| &mut file.store),
    ("keys", |file| &mut file.keys),
    ("endings_log", |file| &mut file.endings_log),
    ("log", |file| &mut file.log),
    ("lifetimes.code", |file| &mut file.lifetimes.code),
    ("lifetimes.id_token", |file| &mut file.lifetimes.id_token),
    ("lifetimes.refresh_token", |file| &mut file.lifetimes.refresh_token),
    ("lifetimes.grant", |file| &mut file.lifetimes.grant),
    ("errors.dialect", |file| &mut file.errors.dialect),
    ("tls.certificate", |file| &mut file.tls.certificate),
    ("tls.key", |file| &mut file.tls.key),
    ("connections.idle_timeout", |file| &mut file.connections.idle_timeout),
    ("connections.header_timeout", |file| &mut file.connections.header_timeout),
    ("connections.write_timeout", |file| &mut file.connections.write_timeout),
    ("connections.limit", |file| &mut file.connections.limit),
    ("shutdown.delay", |file| &mut file.shutdown.delay),
];

const PREFIX: &str = "COUNTERFOIL_";

fn variable(leaf: &str) -> String {
    format!("{PREFIX}{}", leaf.replace('.', "_").to_uppercase())
}

impl Config {
    /// Reads the file at `path` and the environment.
    ///
    /// # Errors
    /// What is wrong, with its line where it is in the file.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let named = |problem: String| format!("the configuration {}: {problem}", path.display());
        let content = std::fs::read(path)
            .map_err(|e| format!("the configuration {} can't be read: {e}", path.display()))?;
        let text = text_file::decode(&content).map_err(|e| named(e.to_string()))?;
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.into_string().ok().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let value = value
                .into_string()
                .map_err(|_| format!("the environment sets {name} to what is not UTF-8"))?;
            environment.push((name, value));
        }
        Self::parse(text, environment.into_iter())
            .map(|config| Self { file: path.to_owned(), ..config })
            .map_err(named)
    }

    /// Reads a configuration from its text and from variables named `COUNTERFOIL_*`. An empty
    /// variable counts as not set, since many ways to start a process can't leave one out.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let mut file: File = toml::from_str(text).map_err(|e| placed(text, &e))?;
        for (name, value) in environment.filter(|(_, value)| !value.is_empty()) {
            match LEAVES.iter().find(|(leaf, _)| variable(leaf) == name) {
                Some((_, place)) => *place(&mut file) = Some(value),
                None => {
                    let known: Vec<_> = LEAVES.iter().map(|(leaf, _)| variable(leaf)).collect();
                    return Err(format!(
                        "the environment sets {name}, which is no setting; those are {}",
                        known.join(", ")
                    ));
                }
            }
        }
        file.resolve()
    }
}

/// An error with its position, but not the line itself, which may hold a password.
fn placed(text: &str, error: &toml::de::Error) -> String {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return error.message().to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

impl File {
    fn resolve(self) -> Result<Config, String> {
        let needed = |name: &str, value: Option<String>| {
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                format!("`{name}` is missing; set it in the file or as {}", variable(name))
            })
        };
        let address =
            |name: &str, text: String| listen_address(&text).map_err(|e| format!("`{name}`: {e}"));
        let issuer = needed("issuer", self.issuer)?;
        check_issuer(&issuer)?;
        if self.provider.is_empty() {
            return Err("at least one [[provider]] is needed".into());
        }
        let mut providers: Vec<Provider> = Vec::new();
        for ProviderFile {
            id,
            name,
            sign_in: SignInKind::Password,
            accounts: AccountsKind::Directory,
            case_insensitive,
        } in self.provider
        {
            check_provider_id(&id)?;
            if providers.iter().any(|other| other.id == id) {
                return Err(format!("there are two providers `{id}`"));
            }
            display_name::check(&name)
                .map_err(|e| format!("the name of the provider `{id}`: {e}"))?;
            let case = if case_insensitive { LetterCase::Ignored } else { LetterCase::Matters };
            providers.push(Provider { id, name, case });
        }
        let defaults = Lifetimes::default();
        let duration = |name: &str, text: Option<String>, default| {
            text.map_or(Ok(default), |text| {
                parse_lifetime(&text).map_err(|e| format!("`lifetimes.{name}`: {e}"))
            })
        };
        let lifetimes = Lifetimes {
            code: duration("code", self.lifetimes.code, defaults.code)?,
            id_token: duration("id_token", self.lifetimes.id_token, defaults.id_token)?,
            refresh_token: duration(
                "refresh_token",
                self.lifetimes.refresh_token,
                defaults.refresh_token,
            )?,
            grant: duration("grant", self.lifetimes.grant, defaults.grant)?,
        };
        lifetimes.check()?;
        let dialect = match self.errors.dialect.as_deref() {
            None | Some("network") => Dialect::Network,
            Some("rfc") => Dialect::Rfc,
            Some(other) => {
                return Err(format!("`errors.dialect` must be network or rfc, not `{other}`"));
            }
        };
        let tls = match (self.tls.certificate, self.tls.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            _ => return Err("`tls.certificate` and `tls.key` go together".into()),
        };
        let wait = |name: &str, text: Option<String>, default, range: RangeInclusive<Duration>| {
            let wait = text.map_or(Ok(default), |text| {
                parse_wait(&text).map_err(|e| format!("`{name}`: {e}"))
            })?;
            let (from, to) = (range.start().as_secs(), range.end().as_secs());
            if range.contains(&wait) {
                Ok(wait)
            } else {
                Err(format!("`{name}` must be between {from} and {to} seconds"))
            }
        };
        let (defaults, some_time) =
            (Bounds::default(), Duration::from_secs(1)..=Duration::from_secs(3600));
        let connections = Connections {
            idle: wait(
                "connections.idle_timeout",
                self.connections.idle_timeout,
                defaults.idle,
                some_time.clone(),
            )?,
            head: wait(
                "connections.header_timeout",
                self.connections.header_timeout,
                defaults.head,
                some_time.clone(),
            )?,
            write: wait(
                "connections.write_timeout",
                self.connections.write_timeout,
                defaults.write,
                some_time,
            )?,
            limit: match self.connections.limit {
                None => None,
                Some(text) => match text.parse() {
                    Ok(limit) if (8..=1_000_000).contains(&limit) => Some(limit),
                    _ => {
                        return Err(format!(
                            "`connections.limit` must be a number from 8 to 1000000, not `{text}`"
                        ));
                    }
                },
            },
        };
        let shutdown_delay = wait(
            "shutdown.delay",
            self.shutdown.delay,
            SHUTDOWN_DELAY,
            Duration::ZERO..=Duration::from_secs(600),
        )?;
        Ok(Config {
            file: PathBuf::new(),
            settings: Settings { issuer, dialect, lifetimes, providers },
            listen: address("listen", needed("listen", self.listen)?)?,
            metrics_listen: self
                .metrics_listen
                .map(|text| address("metrics_listen", text))
                .transpose()?,
            store: StoreAddress::parse(&needed("store", self.store)?)
                .map_err(|e| format!("`store`: {e}"))?,
            keys: needed("keys", self.keys)?.into(),
            endings_log: self.endings_log.filter(|path| !path.is_empty()).map(PathBuf::from),
            tls,
            connections,
            shutdown_delay,
            log: self.log.unwrap_or_else(|| "info".into()),
        })
    }
}

/// Parses an address to listen on.
///
/// # Errors
/// Says what an address looks like.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an IP address with a port, such as 127.0.0.1:8080 or [::1]:8080")
    })
}

#[cfg(test)]
mod tests;
