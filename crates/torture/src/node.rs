//! A server process: started, killed with SIGKILL, started again, and never left behind.

use std::fs::File;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use counterfoil_core::random;
use reqwest::Client;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a server that starts is asked whether it is there.
const MOMENT: Duration = Duration::from_millis(10);
/// Ports that systems don't give to outgoing connections by themselves: a client's connection must
/// not take a dead server's port.
const PORTS: std::ops::Range<u16> = 10_000..30_000;
/// Characters of a server's log that a message shows.
const SHOWN: usize = 2_000;

/// A server, running or not.
#[derive(Debug)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) number: usize,
    /// Where it listens.
    pub(crate) origin: String,
    /// What it runs.
    pub(crate) program: PathBuf,
    arguments: Vec<String>,
    /// What it said since it was started: a file without a name, so that nothing stays behind.
    log: Option<File>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    server: Child,
    /// A shell that waits for the end of this process, however that comes, and then kills the
    /// server.
    guard: Child,
}

/// Why a server is not there.
#[derive(Debug)]
pub(crate) struct NotStarted {
    /// Its exit code, if it ended by itself.
    pub(crate) code: Option<i32>,
    /// Its own words.
    pub(crate) message: String,
}

/// Unused addresses.
pub(crate) fn free_addresses(count: usize) -> Vec<String> {
    let mut addresses = Vec::with_capacity(count);
    // Held until all are found, so that each is another.
    let mut held = Vec::with_capacity(count);
    while addresses.len() < count {
        let port = PORTS.start + u16::from_be_bytes(random::bytes()) % (PORTS.end - PORTS.start);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            addresses.push(format!("127.0.0.1:{port}"));
            held.push(listener);
        }
    }
    addresses
}

impl Node {
    /// A server that does not run yet.
    pub(crate) fn new(
        number: usize,
        program: PathBuf,
        address: &str,
        issuer: &str,
        store: &str,
    ) -> Self {
        let arguments = [
            "sandbox", "--store", store, "--issuer", issuer, "--listen", address, "--log", "error",
        ];
        let arguments = arguments.map(str::to_owned).into();
        Self {
            number,
            origin: format!("http://{address}"),
            program,
            arguments,
            log: None,
            running: None,
        }
    }

    /// Starts the process, and does not wait for it.
    ///
    /// # Errors
    /// There is no process.
    pub(crate) fn spawn(&mut self) -> io::Result<()> {
        self.kill()?;
        let log = self.log.insert(tempfile::tempfile()?);
        // In process groups of their own, or Ctrl-C would stop the server before its clients are
        // done. The shell becomes the server only once the guard is there and it is told to; it is
        // gone if this process dies before that.
        let mut server = Command::new("sh")
            .args(["-c", "read -r go && exec \"$@\" </dev/null", "server"])
            .arg(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log.try_clone()?)
            .process_group(0)
            .spawn()?;
        let told = server.stdin.take();
        let guard = Command::new("sh")
            .args(["-c", "read -r line; kill -9 \"$1\"", "guard", &server.id().to_string()])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn();
        match guard {
            Ok(guard) => self.running = Some(Running { server, guard }),
            Err(error) => {
                server.kill()?;
                server.wait()?;
                return Err(error);
            }
        }
        told.map_or(Ok(()), |mut shell| shell.write_all(b"go\n"))
    }

    /// Waits until the process answers.
    ///
    /// # Errors
    /// It ended, or takes too long.
    pub(crate) async fn ready(&mut self, http: &Client) -> Result<(), NotStarted> {
        let began = Instant::now();
        let live = format!("{}/health/live", self.origin);
        loop {
            if let Some(status) = self.ended() {
                return Err(NotStarted { code: status.code(), message: self.last_words() });
            }
            if http.get(&live).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                let message = format!(
                    "it does not answer after {} seconds. {}",
                    PATIENCE.as_secs(),
                    self.last_words()
                );
                return Err(NotStarted { code: None, message });
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    /// Starts the process again until it answers: a store that is itself about to start again may
    /// refuse it at first.
    ///
    /// # Errors
    /// It takes too long.
    pub(crate) async fn start_again(&mut self, http: &Client) -> Result<(), NotStarted> {
        let began = Instant::now();
        loop {
            let started = match self.spawn() {
                Ok(()) => self.ready(http).await,
                Err(error) => Err(NotStarted { code: None, message: error.to_string() }),
            };
            match started {
                Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(10 * MOMENT).await,
                started => return started,
            }
        }
    }

    /// How it ended, if it ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.running.as_mut()?.server.try_wait().ok().flatten()
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// It can't be killed.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        let Some(Running { mut server, mut guard }) = self.running.take() else {
            return Ok(());
        };
        server.kill()?;
        // Before the server's number is free for another process.
        guard.kill()?;
        guard.wait()?;
        server.wait()?;
        Ok(())
    }

    /// The end of what it said since it was started.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said();
        let said = said.trim();
        let from = said.char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
        said[from..].to_owned()
    }

    /// The first line of what it said that tells of a bug.
    pub(crate) fn panicked(&self) -> Option<String> {
        self.said().lines().find(|line| line.contains("panicked at")).map(str::to_owned)
    }

    fn said(&self) -> String {
        let read = |log: &File| {
            let mut bytes = vec![0; log.metadata()?.len().try_into().unwrap_or_default()];
            log.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        let bytes: io::Result<Vec<u8>> = self.log.as_ref().map_or(Ok(Vec::new()), read);
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
