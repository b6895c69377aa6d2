//! `postgres://...`: hosts, credentials, and whether the way there is encrypted.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where a database is, and how to get there.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) config: Config,
    /// Whether the connection is encrypted and the server's certificate checked.
    pub(super) tls: bool,
    /// The certificates to trust, in PEM; without it those of the system.
    pub(super) root: Option<PathBuf>,
    /// The most slips that are redeemed in one statement.
    pub(super) batch: usize,
}

/// The parameters that an address may have. A node sets what else there is; `hostaddr` would lead
/// past the check of the host.
const KNOWN: &str = "sslmode, sslrootcert, batch, options and channel_binding";

/// The most slips in one statement, unless the address says otherwise.
const BATCH: usize = 128;

impl PostgresAddress {
    /// Reads
    /// `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?sslmode=...&sslrootcert=...&batch=...`.
    /// TLS is on, and certificates are checked, unless all hosts are this machine or
    /// `sslmode=disable` says otherwise. On an engine that spreads its rows over machines,
    /// `batch=1` redeems each slip in a statement of its own.
    ///
    /// # Errors
    /// What is wrong with it. The text itself, which may hold a password, is not in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_written(text)?;
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut root, mut batch, mut others) = (None, None, BATCH, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_encoding::percent_decode_str(value);
            match name {
                "sslmode" => mode = Some(value.decode_utf8_lossy().into_owned()),
                "batch" => {
                    let number = value
                        .decode_utf8_lossy()
                        .parse()
                        .ok()
                        .filter(|number| (1..=BATCH).contains(number));
                    batch = number
                        .ok_or_else(|| format!("the store's batch may be from 1 to {BATCH}"))?;
                }
                "sslrootcert" => root = Some(PathBuf::from(value.decode_utf8_lossy().into_owned())),
                "options" | "channel_binding" => others.push(parameter),
                name => {
                    return Err(format!(
                        "the store's postgres:// address has `{name}`, which can't be set; {KNOWN} can"
                    ));
                }
            }
        }
        let text = if others.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", others.join("&"))
        };
        let mut config: Config = text.parse().map_err(|e: tokio_postgres::Error| {
            let cause = std::error::Error::source(&e)
                .map_or_else(|| e.to_string(), |cause| format!("{e}: {cause}"));
            format!("the store's postgres:// address can't be read: {cause}")
        })?;
        if config.get_hosts().is_empty() {
            return Err("the store's postgres:// address names no host".into());
        }
        if config.get_password().is_none()
            && let Some(password) =
                std::env::var_os("PGPASSWORD").filter(|password| !password.is_empty())
        {
            // As every client of PostgreSQL does, so that it need not stand on a command line.
            config.password(std::os::unix::ffi::OsStrExt::as_bytes(&*password));
        }
        let tls = match mode.as_deref() {
            None => !config.get_hosts().iter().all(is_here),
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(_) => {
                return Err("the store's sslmode may be verify-full (or require, which here means the same) or disable: \
                            anything between would only look safe"
                    .into());
            }
        };
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        if root.is_some() && !tls {
            return Err(
                "the store's sslrootcert is of no use with sslmode=disable or hosts on this machine; add sslmode=verify-full".into()
            );
        }
        Ok(Self { config, tls, root, batch })
    }
}

/// (S) Checks that an address is written as a URI (RFC 3986 section 3.2), before anything of it is
/// read: a password with a `/` in it, unescaped, would end the host there, and its rest would be
/// the name of the database, which is told in messages. Nothing of the text is in the error.
fn check_written(text: &str) -> Result<(), String> {
    const ESCAPE: &str = "in a user, a password or a database, write `/` as %2F, `@` as %40, `?` as %3F, `#` as %23, `%` as %25, a space \
                          as %20, and anything else that is no letter or digit likewise";
    let wrong = |what: &str| Err(format!("the store's postgres:// address {what}: {ESCAPE}"));
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    match rest.matches('@').count() {
        0 | 1 if rest.contains('@') && !authority.contains('@') => {
            return wrong("has its @ behind a `/` or `?`");
        }
        0 | 1 => {}
        _ => return wrong("has more than one @"),
    }
    if rest.contains(|c: char| c == '#' || c == '\\' || c.is_whitespace() || c.is_control()) {
        return wrong("holds what no address may hold unescaped (`#`, `\\` or a space)");
    }
    let is_escape =
        |after: &str| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if rest.match_indices('%').any(|(at, _)| !is_escape(&rest[at + 1..])) {
        return wrong("has a `%` that begins no escape");
    }
    let (who, hosts) =
        authority.split_once('@').map_or((None, authority), |(who, hosts)| (Some(who), hosts));
    if who.is_some_and(|who| who.contains(['[', ']'])) {
        return wrong("has a bracket before its @");
    }
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    let is_host = |host: &str| match host.rsplit_once(']') {
        Some((_, "")) => true,
        Some((_, port)) => port.strip_prefix(':').is_some_and(is_port),
        None => host.split_once(':').is_none_or(|(_, port)| is_port(port)),
    };
    if hosts.split(',').all(is_host) {
        Ok(())
    } else {
        wrong("has a port that is no number, or a password without an @ behind it")
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

impl fmt::Display for PostgresAddress {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        let port = |at: usize| ports.get(at).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate().map(|(at, host)| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(at)),
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            Host::Unix(path) => path.display().to_string(),
        });
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        write!(f, "postgres://{}/{database}", hosts.collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PostgresAddress {
        PostgresAddress::parse(text).unwrap()
    }

    #[test]
    fn several_hosts_are_read_and_no_password_is_told() {
        let address = parse(
            "postgres://counterfoil:very%20secret@db1.example:5433,db2.example/tokens?options=-c%20jit%3Doff",
        );
        assert_eq!(address.to_string(), "postgres://db1.example:5433,db2.example:5432/tokens");
        assert!(!format!("{address:?}").contains("secret"));
        let error = PostgresAddress::parse("postgres://u:secret@h/d?nonsense=1").unwrap_err();
        assert!(error.contains("nonsense") && !error.contains("secret"), "{error}");
        assert!(PostgresAddress::parse("postgres://u@localhost/d?hostaddr=10.0.0.5").is_err());
        assert_eq!((address.batch, parse("postgres://u@h/d?batch=1").batch), (BATCH, 1));
        assert!(PostgresAddress::parse("postgres://u@h/d?batch=0").unwrap_err().contains("from 1"));
        assert!(PostgresAddress::parse("postgres://u:a@b@h/d").unwrap_err().contains("%40"));
        assert!(PostgresAddress::parse("postgres:///tokens").unwrap_err().contains("no host"));
    }

    #[test]
    fn a_password_that_is_not_escaped_is_refused_untold() {
        for unescaped in [
            "postgres://u:se@cr/et#word@db.example/d",
            "postgres://u:se/cret@db.example/d",
            "postgres://u:se?cret@db.example/d",
            "postgres://u:se#cret@db.example/d",
            "postgres://u:se%cret@db.example/d",
            "postgres://u:secret%@db.example/d",
            "postgres://u:se cret@db.example/d",
            "postgres://u:se[cret@db.example/d",
            "postgres://u:se\\cret@db.example/d",
            "postgres://u:secret/d",
            "postgres://u@a@secret/d",
            "postgres://u:a@db.example/se@cret",
            "postgresql://db.example:secret/d",
        ] {
            let error = PostgresAddress::parse(unescaped).unwrap_err();
            assert!(
                ["secret", "cret", "#wo"].iter().all(|piece| !error.contains(piece))
                    && error.contains("%2F"),
                "{unescaped}: {error}"
            );
        }
        // As `jq -sRr @uri` or Python's `quote(safe="")` writes it, and with what a password may
        // hold as it is.
        let address =
            parse("postgres://u:p%40s%2Fs%23w%25rd!$&'()*+,;=:-._~@[::1]:5433,db.example,%2Frun/d");
        assert_eq!(address.config.get_password(), Some(&b"p@s/s#w%rd!$&'()*+,;=:-._~"[..]));
        assert_eq!(address.to_string(), "postgres://[::1]:5433,db.example:5432,/run/d");
    }

    #[test]
    fn the_way_is_encrypted_unless_it_is_within_this_machine() {
        assert!(!parse("postgres://u@127.0.0.1:5432/d").tls);
        assert!(!parse("postgres://u@localhost,[::1]/d").tls);
        assert!(!parse("postgres://u@%2Frun%2Fpostgresql/d").tls);
        assert!(parse("postgres://u@127.0.0.1,db.example/d").tls);
        assert!(!parse("postgres://u@db.example/d?sslmode=disable").tls);
        let address =
            parse("postgres://u@127.0.0.1/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fa%20ca.pem");
        assert_eq!(
            (address.tls, address.root.as_deref()),
            (true, Some(std::path::Path::new("/etc/a ca.pem")))
        );
        for half_way in ["prefer", "allow", "verify-ca"] {
            assert!(
                PostgresAddress::parse(&format!("postgres://u@h/d?sslmode={half_way}")).is_err()
            );
        }
        assert!(PostgresAddress::parse("postgres://u@127.0.0.1/d?sslrootcert=x").is_err());
    }
}
