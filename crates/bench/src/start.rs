//! From the start of a server to its first answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::error::BenchError;
use crate::own::{Fixture, Schema};
use crate::plan::Plan;
use crate::process;
use crate::stop::stop_signal;

/// How long one start took, in milliseconds from when its process was asked for.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Start {
    /// Until the server said that it accepts connections.
    pub ready_ms: f64,
    /// Until it had answered a refresh.
    pub answered_ms: f64,
}

/// Receives each start as it is measured.
pub type Tell = Box<dyn FnMut(Start) + Send>;

/// Makes a store as `plan` says, and starts `binary serve` on it as often as there are chains, each
/// time with a refresh; a start ends with SIGKILL, so that the next one has a log to recover. To be
/// called in a runtime. However it ends, also by Ctrl-C or SIGTERM, all that was started ends too.
///
/// # Errors
/// A store or server fails, or this process was told to stop.
pub async fn measure(binary: PathBuf, plan: Plan, tell: Tell) -> Result<Vec<Start>, BenchError> {
    let mut measuring =
        tokio::task::spawn_blocking(move || start_again_and_again(&binary, &plan, tell));
    let measured = tokio::select! {
        measured = &mut measuring => measured,
        told = stop_signal() => {
            // Whatever waits for a child gets an error now, and drops what it made.
            process::end_all_children();
            drop(measuring.await);
            return Err(told);
        }
    };
    measured.map_err(|error| BenchError::System(error.to_string()))?
}

fn start_again_and_again(
    binary: &Path,
    plan: &Plan,
    mut tell: Tell,
) -> Result<Vec<Start>, BenchError> {
    let furnished = Fixture::new(plan, Schema::Newest)?;
    let mut starts = Vec::with_capacity(plan.chains);
    for body in furnished.refreshes() {
        let began = Instant::now();
        let started = furnished.start(binary, plan, 0)?;
        let ready_ms = began.elapsed().as_secs_f64() * 1e3;
        let wrong = |problem: String| BenchError::Answers { name: plan.name.clone(), problem };
        let status = refresh(&started.address, &body).map_err(|e| wrong(e.to_string()))?;
        let start = Start { ready_ms, answered_ms: began.elapsed().as_secs_f64() * 1e3 };
        if status != "200" {
            return Err(wrong(format!("its first answer is a {status}")));
        }
        tell(start);
        starts.push(start);
    }
    Ok(starts)
}

/// The status of the answer to a refresh.
fn refresh(address: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let head = "content-type: application/x-www-form-urlencoded\r\nconnection: close";
    write!(
        stream,
        "POST /token HTTP/1.1\r\nhost: {address}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}
