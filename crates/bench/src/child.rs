//! A server's process, started on its cores.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::contender::{End, ProcessGuard};
use crate::error::BenchError;

/// Characters of a server's log that a message shows.
const SHOWN: usize = 2_000;

/// A server that accepts connections.
#[derive(Debug)]
pub(crate) struct RunningServer {
    pub(crate) process: ProcessGuard,
    /// Where it listens.
    pub(crate) address: String,
}

/// Starts `program` and waits until it prints a line `ready ADDRESS`. What it says on stderr goes
/// to a file without a name in `directory`.
///
/// # Errors
/// [`BenchError::Start`], or [`BenchError::NotReady`] where it ends before it is ready.
pub(crate) fn start(
    name: &str,
    program: &Path,
    arguments: &[OsString],
    cores: Option<&str>,
    directory: &Path,
) -> Result<RunningServer, BenchError> {
    let failed = BenchError::file(directory);
    let log = tempfile::tempfile_in(directory).and_then(|log| Ok((log.try_clone()?, log)));
    let (mut log, for_it) = log.map_err(failed)?;
    let mut command = match cores {
        // It becomes the program, and keeps its process id.
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores]).arg(program);
            command
        }
        None => Command::new(program),
    };
    for (variable, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COUNTERFOIL_"))
    {
        command.env_remove(variable);
    }
    let spawned =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(for_it).spawn();
    let spawned = spawned.map_err(|error| BenchError::Start {
        program: command.get_program().display().to_string(),
        error,
    })?;
    let mut process = ProcessGuard(spawned, End::Kill);
    match ready(&mut process.0) {
        Some(address) => Ok(RunningServer { process, address }),
        None => {
            let mut said = String::new();
            // What can't be read is left out.
            let _ = log.rewind().and_then(|()| log.read_to_string(&mut said));
            let from = said.trim_end().char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
            let problem = if said.trim().is_empty() {
                "it ended and said nothing".into()
            } else {
                said[from..].trim().to_owned()
            };
            Err(BenchError::NotReady { name: name.to_owned(), problem })
        }
    }
}

/// The address of a server that says that it is ready.
fn ready(process: &mut Child) -> Option<String> {
    let mut stdout = BufReader::new(process.stdout.take()?);
    let mut line = String::new();
    let read = stdout.read_line(&mut line);
    // Kept open: a server that prints more must not die of a closed pipe.
    process.stdout = Some(stdout.into_inner());
    read.ok()?;
    line.strip_prefix("ready ")?.split_whitespace().next().map(str::to_owned)
}
