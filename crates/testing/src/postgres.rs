//! A cluster of one's own.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::database::{self, SCRIPT, psql};

/// A PostgreSQL cluster that only its owner uses. It is gone, with all its data, when this is
/// dropped, and when the process ends in whichever way.
///
/// Its methods panic where the script answers with an error.
pub struct Postgres {
    url: String,
    script: Mutex<Script>,
}

/// The running `scripts/private-postgres`.
struct Script {
    process: Child,
    /// Closing it is what ends the cluster.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Postgres {
    /// Starts a primary with these settings of PostgreSQL's, by name and value, on top of the
    /// script's.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::run(&[], settings)
    }

    /// Starts a standby of this cluster, with its own settings; it replicates asynchronously,
    /// unless the primary's `synchronous_standby_names` has its name. When this returns, it is
    /// readable and receives what the primary writes.
    pub fn standby(&self, name: &str, settings: &[(&str, &str)]) -> Self {
        Self::run(&["--standby-of", &self.url, "--name", name], settings)
    }

    pub(crate) fn run(options: &[&str], settings: &[(&str, &str)]) -> Self {
        let settings =
            settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
        let mut process = Command::new(SCRIPT)
            .arg("run")
            .args(options)
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Whoever kills the whole group of the tests must leave this one alive: it cleans up.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{SCRIPT} can't be run: {e}"));
        let commands = process.stdin.take();
        let mut script = Script {
            commands,
            answers: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        };
        let url = script.answer();
        assert!(
            url.starts_with("postgres://"),
            "no PostgreSQL was started; the reason is on standard error"
        );
        Postgres { url, script: Mutex::new(script) }
    }

    /// Its URL, as a superuser and with the database `postgres`. The port stays the same for its
    /// whole life.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens: for URLs with several hosts, and for proxies.
    pub fn address(&self) -> SocketAddr {
        let url = Url::parse(&self.url).expect("it is a URL");
        let addresses = url.socket_addrs(|| None).expect("it has an address");
        *addresses.first().expect("it has an address")
    }

    /// The URL of a new, empty database of it.
    pub fn fresh_database(&self) -> String {
        database::create(&self.url)
    }

    /// Kills all its processes with SIGKILL, as a crash would, and waits until they are gone.
    pub fn kill(&self) {
        self.obey("kill", "killed");
    }

    /// Stops it orderly, without waiting for clients to go.
    pub fn stop(&self) {
        self.obey("stop", "stopped");
    }

    /// Starts it on its data after [`kill`](Self::kill) or [`stop`](Self::stop), and waits until it
    /// accepts connections.
    pub fn start_again(&self) {
        self.obey("start", "started");
    }

    /// Stops it orderly and starts it again.
    pub fn restart(&self) {
        self.obey("restart", "restarted");
    }

    /// Changes a setting for good; new connections have it when this returns, and
    /// `synchronous_standby_names` is in force for all. Those that PostgreSQL reads when it starts
    /// alone want a [`restart`](Self::restart) too.
    pub fn set(&self, name: &str, value: &str) {
        assert!(!value.contains('\n'), "a command is one line");
        self.obey(&format!("set {name}={value}"), "set");
    }

    /// Makes a primary of this standby, and waits until it takes writes.
    pub fn promote(&self) {
        self.obey("promote", "promoted");
    }

    /// Cuts this standby off from its primary: it misses everything that is written from now on. It
    /// stays readable, and can be promoted.
    pub fn freeze(&self) {
        self.obey("freeze", "frozen");
    }

    /// Connects this standby again after [`freeze`](Self::freeze), and waits until it receives from
    /// the primary.
    pub fn thaw(&self) {
        self.obey("thaw", "thawed");
    }

    /// Waits until this standby shows everything that its primary has committed by now; a minute
    /// without that is a failure.
    pub fn catch_up_with(&self, primary: &Postgres) {
        let end = psql(&primary.url, "SELECT pg_current_wal_flush_lsn()");
        let begun = Instant::now();
        while psql(&self.url, &format!("SELECT pg_last_wal_replay_lsn() >= '{end}'")) != "t" {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "the standby at {} does not catch up",
                self.url
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn obey(&self, command: &str, done: &str) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = script.commands.as_mut().expect("it is open until this is dropped");
        writeln!(commands, "{command}")
            .unwrap_or_else(|e| panic!("the cluster's script has ended: {e}"));
        let answer = script.answer();
        assert!(answer == done, "PostgreSQL at {}: {answer}", self.url);
    }
}

impl Script {
    /// One line, or nothing when the script has ended.
    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .unwrap_or_else(|e| panic!("the cluster's script can't be read: {e}"));
        line.trim_end().to_owned()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.commands = None;
        // The directory is gone when it ends. An error means that it is waited for no more.
        let _ = self.process.wait();
    }
}
