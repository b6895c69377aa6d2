//! The binary as a process: started on a port of its own, spoken to over HTTP, stopped by signals,
//! killed when a test is over.

mod live;

pub use live::{Live, PROVIDER, SignedIn};

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use counterfoil_testing::{Answer, Client, Tokens, send, try_send};
use serde_json::Value;

pub const BINARY: &str = env!("CARGO_BIN_EXE_counterfoil");
pub const RECIPIENT: (&str, &str) = ("sandbox-recipient", "sandbox-recipient-secret-for-local-use");
/// A client whose ID tokens are quickly signed.
pub const OTHER: (&str, &str) = ("sandbox-other", "sandbox-other-secret-for-local-use");
/// How long anything may take that is awaited.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `happened` gives something.
#[track_caller]
pub fn wait_until<T>(what: &str, happened: impl FnMut() -> Option<T>) -> T {
    wait_for(what, PATIENCE, happened)
}

/// The same for what takes long.
#[track_caller]
pub fn wait_for<T>(what: &str, patience: Duration, mut happened: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = happened() {
            return value;
        }
        assert!(start.elapsed() < patience, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A command that ran to its end.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// Holds exit code and words of the message against what is expected. Nothing may be on stdout.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// The same where something may have been said on stdout before.
    #[track_caller]
    pub fn refused_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {}", self.stderr);
        }
    }

    /// Holds words on stdout against what is expected.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        for word in words {
            assert!(self.stdout.contains(word), "no {word:?} in {}", self.stdout);
        }
    }
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Done {
    finish(Command::new(BINARY).args(arguments), "")
}

/// Runs a command to its end with `input` on its stdin. One that goes on is killed.
#[track_caller]
pub fn finish(command: &mut Command, input: &str) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that needs no input may be gone by now.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (stdout, stderr) =
        (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                child.kill().unwrap();
                panic!("{command:?} goes on: {}", stderr.join().unwrap());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    Done { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The binary with `arguments`, to be spawned.
pub fn counterfoil(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    command
}

/// The same with files of at most `kib` KiB: what a full disk is to one process.
pub fn with_small_files(kib: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit -f {kib}; exec \"$0\" \"$@\""), BINARY]).args(arguments);
    command
}

/// A running server. It is killed when this is dropped.
pub struct Server {
    child: Child,
    pub client: Client,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    /// A sandbox on a free port.
    pub fn sandbox(arguments: &[&str]) -> Self {
        Self::spawn(counterfoil(&[&["sandbox", "--listen", "127.0.0.1:0"], arguments].concat()))
    }

    /// A sandbox at an address that is known.
    pub fn sandbox_at(address: &str) -> Self {
        Self::spawn(counterfoil(&["sandbox", "--listen", address]))
    }

    /// A sandbox that keeps its state.
    pub fn sandbox_in(data: &Path) -> Self {
        Self::sandbox(&["--data", data.to_str().unwrap()])
    }

    /// Starts a server and waits for its ready line.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) =
            (keep(child.stdout.take().unwrap()), keep(child.stderr.take().unwrap()));
        let ready = wait_until("the ready line", || {
            let line = stdout
                .lock()
                .unwrap()
                .lines()
                .find_map(|line| line.strip_prefix("ready ").map(str::to_owned));
            let over = line.is_none() && child.try_wait().unwrap().is_some();
            assert!(!over, "{command:?} ended: {}", stderr.lock().unwrap());
            line
        });
        let origin = match ready.split_once(" as ") {
            None => ready,
            Some((address, _)) => format!("http://{address}"),
        };
        Self { child, client: Client::new(origin), stdout, stderr }
    }

    /// Starts a server whose output goes where the command says, so that its ready line is not seen
    /// here, and waits until it listens.
    pub fn spawn_unheard(mut command: Command, address: &str) -> Self {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        wait_until("the end of the start", || {
            assert!(child.try_wait().unwrap().is_none(), "{command:?} ended");
            std::net::TcpStream::connect(address).ok()
        });
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            child,
            client: Client { origin: format!("http://{address}"), http },
            stdout: Arc::default(),
            stderr: Arc::default(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        assert!(
            Command::new("kill")
                .args(["-s", name, &self.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE)
    }

    /// Waits for the end of what takes long.
    #[track_caller]
    pub fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the end of the server", patience, || child.try_wait().unwrap())
    }

    /// Stops it in good order.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.ended().code(), Some(0), "{}", self.log());
    }

    /// Ends it without warning, as a loss of power would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn callback(&self) -> String {
        self.url("/sandbox/callback")
    }

    /// In a sandbox: first tokens of a new grant of `customer_1`.
    pub async fn tokens(&self) -> Tokens {
        let callback = self.callback();
        let code = self
            .post(
                "/sandbox/codes",
                &[
                    ("client_id", RECIPIENT.0),
                    ("redirect_uri", &callback),
                    ("customer", "customer_1"),
                ],
            )
            .await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code.member("code")),
            ("redirect_uri", &callback),
        ];
        self.post_as(RECIPIENT, "/token", &form).await.tokens()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let keeper = kept.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut kept = keeper.lock().unwrap();
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    kept
}
