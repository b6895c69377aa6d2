//! The admin socket: a Unix socket next to the store, mode 0600. One JSON line in, one JSON line
//! out.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Command, execute};
use crate::node::app::App;

/// The longest line, in bytes: enough for a customer's accounts.
const LONGEST_LINE: u64 = 16 << 20;
/// The longest path of a socket, in bytes.
const LONGEST_PATH: usize = 107;
/// How long the peer may take to send its line, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many commands run at once; others wait. Each needs one of the reserved file descriptors.
const AT_ONCE: usize = 8;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Done(Value),
    Failed(String),
}

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// No server listens there.
    #[error("no server listens at {0}")]
    NotRunning(PathBuf),
    /// The connection broke.
    #[error("the server at {path} did not answer: {problem}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
    /// The server tried to execute the command, and failed or refused.
    #[error("{0}")]
    Failed(String),
}

/// The socket path of the server that owns the store at `store`.
pub fn path_beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}

/// A server's socket. Commands sent before the server is ready wait.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    pub(crate) path: PathBuf,
}

/// Checks that a socket next to the store at `store` has a valid path.
///
/// # Errors
/// What to do, in words for the operator.
pub fn check_path_beside(store: &Path) -> Result<(), String> {
    let path = path_beside(store);
    match path.as_os_str().len() {
        ..=LONGEST_PATH => Ok(()),
        _ => Err(format!(
            "the path of the admin socket, {}, is longer than {LONGEST_PATH} bytes: give the store a shorter path",
            path.display()
        )),
    }
}

/// Listens next to the store at `store`. The caller holds the store's lock, so an existing socket
/// belongs to a dead server.
///
/// # Errors
/// The system's error, in words for the operator; most often the path is too long for a socket.
pub fn listen_beside(store: &Path) -> Result<AdminSocket, String> {
    let path = path_beside(store);
    let bind = || {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    check_path_beside(store)?;
    match bind() {
        Ok(listener) => Ok(AdminSocket { listener, path }),
        Err(e) => Err(format!("the admin socket {} can't be made: {e}", path.display())),
    }
}

/// Answers commands until dropped.
pub(crate) async fn answer(app: Arc<App>, socket: AdminSocket) {
    let AdminSocket { listener, path } = socket;
    // Between bind and chmod another user could have connected; the peer credentials tell.
    let owner = match std::fs::metadata(&path) {
        Ok(meta) => meta.uid(),
        Err(error) => {
            return tracing::error!(%error, "the admin socket is gone; admin commands can't reach this server");
        }
    };
    let room = Arc::new(Semaphore::new(AT_ONCE));
    // Never closed.
    while let Ok(permit) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _))
                if stream.peer_cred().is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0) =>
            {
                let app = app.clone();
                tokio::spawn(async move {
                    converse(app, stream).await;
                    drop(permit);
                });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the admin socket could not take a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(app: Arc<App>, stream: UnixStream) {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(LONGEST_LINE));
    let Ok(Ok(_)) = timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await else {
        return;
    };
    let reply = match serde_json::from_slice::<Command>(&line) {
        // Runs to completion even if the peer disconnects.
        Ok(command) => match tokio::spawn(async move { execute(&app, command).await }).await {
            Ok(Ok(done)) => Reply::Done(done),
            Ok(Err(reason)) => Reply::Failed(reason),
            Err(error) => Reply::Failed(error.to_string()),
        },
        Err(error) => {
            Reply::Failed(format!("the command can't be read; is it of another version? {error}"))
        }
    };
    if let Ok(mut text) = serde_json::to_vec(&reply) {
        text.push(b'\n');
        let _ = timeout(PATIENCE, writer.write_all(&text)).await;
    }
}

/// Sends a command to the server at `path`.
///
/// # Errors
/// [`SocketError`].
pub async fn ask(path: &Path, command: &Command) -> Result<Value, SocketError> {
    let broken = |problem: String| SocketError::Broken { path: path.to_owned(), problem };
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(e)
            if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
        {
            return Err(SocketError::NotRunning(path.to_owned()));
        }
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            return Err(broken(
                "this user may not ask it; run the command as the user that the server runs as"
                    .into(),
            ));
        }
        Err(e) => return Err(broken(e.to_string())),
    };
    let mut line = serde_json::to_vec(command).map_err(|e| broken(e.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(|e| broken(e.to_string()))?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.map_err(|e| broken(e.to_string()))?;
    match serde_json::from_slice(&reply) {
        Ok(Reply::Done(done)) => Ok(done),
        Ok(Reply::Failed(reason)) => Err(SocketError::Failed(reason)),
        Err(_) => Err(broken("it closed the connection".into())),
    }
}
