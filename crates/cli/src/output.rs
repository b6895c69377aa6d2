//! Results on stdout, messages on stderr.
//!
//! A result that can't be written makes the command fail once it is done ([`finish`]), unless the
//! reader closed the pipe: `| head` has what it wants. One-time results are printed before anything
//! is changed ([`tell_once`]). A server does not block on a reader ([`announce`]), nor do commands
//! that must finish or handle signals ([`wait_for_no_reader`]). A message that can't be written is no
//! reason to fail.

#[cfg_attr(
    not(any(feature = "sandbox", feature = "torture", feature = "verify")),
    expect(dead_code, reason = "only commands that run for long print from a thread")
)]
mod printer;
#[cfg(any(feature = "bench", feature = "torture", feature = "verify"))]
mod spinner;

use std::fs::File;
#[cfg(any(feature = "sandbox", feature = "verify"))]
use std::io::IsTerminal;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use comfy_table::{Table, presets};
use rustix::fs::{OFlags, fcntl_getfl};
use serde_json::Value;

use crate::log;
use crate::process::{Signals, block_on};
#[cfg(any(feature = "bench", feature = "torture", feature = "verify"))]
pub(crate) use spinner::spinner;

/// The first error of writing a result. Nothing is written after it.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints a line of result.
pub(crate) fn say(text: &str) {
    match printer::started() {
        Some(printer) => printer.say(text),
        None => say_now(text),
    }
}

fn say_now(text: &str) {
    if UNWRITTEN.get().is_none()
        && let Err(error) = print(text)
    {
        let _ = UNWRITTEN.set(error);
    }
}

/// From now on prints results from a separate thread, so that nothing else waits for a stalled
/// reader.
#[cfg(any(feature = "sandbox", feature = "torture", feature = "verify"))]
pub(crate) fn wait_for_no_reader() -> Result<(), crate::Failure> {
    printer::start().map_err(crate::Failure::failed)
}

/// Waits until all results are written. Called once the command is done. A stalled reader is waited
/// for until this process is told to stop.
///
/// # Errors
/// A result could not be written; a closed pipe does not count.
pub(crate) fn finish() -> Result<(), String> {
    if let Some(printer) = printer::started() {
        let read = block_on(async { Ok(printer.finish(Signals::watch()?).await) });
        if !matches!(read, Ok(true)) {
            return Err("the result was not read before this was told to stop".into());
        }
    }
    match UNWRITTEN.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("the result could not be written to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Prints a one-time result. When this returns, the reader has it, as far as the system can tell.
///
/// # Errors
/// It could not be written; here a closed pipe counts too.
pub(crate) fn tell_once(text: &str) -> io::Result<()> {
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if stands_for_closed(&stdout)? {
        return Err(io::Error::other("it is closed"));
    }
    print(text)?;
    // A network file system reports only now that it is full. Pipes and terminals can't be synced
    // (fsync(2)).
    match stdout.sync_all() {
        Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Whether stdout was closed when the process began. Rust then opens /dev/null in its place, for
/// reading and writing; a shell's `>/dev/null` is for writing only.
fn stands_for_closed(stdout: &File) -> io::Result<bool> {
    let is_null = std::fs::metadata("/dev/null")
        .is_ok_and(|null| stdout.metadata().is_ok_and(|meta| meta.rdev() == null.rdev()));
    Ok(is_null && fcntl_getfl(stdout)?.contains(OFlags::RDWR))
}

/// Prints a server's ready line, from a separate thread: the server must not wait for a reader.
pub(crate) fn announce(text: String) {
    let printing = move || {
        if let Err(error) = print(&text) {
            tracing::warn!(%error, "the ready line could not be written to standard output");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("ready".into()).spawn(printing) {
        tracing::warn!(%error, "the ready line could not be written to standard output");
    }
}

/// Whether results may be coloured: to a terminal, unless `NO_COLOR` says no (no-color.org).
#[cfg(any(feature = "sandbox", feature = "verify"))]
pub(crate) fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Foreign text without control characters: what a server answers must not control the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// Prints why a command failed.
pub(crate) fn complain(message: &str) {
    note(&format!("counterfoil: {message}"));
}

/// Prints a message on stderr.
pub(crate) fn note(message: &str) {
    let message = printable(message);
    if !log::tell(&message) {
        let _ = writeln!(io::stderr().lock(), "{message}");
    }
}

/// Prints a result as JSON.
pub(crate) fn json(value: &Value) {
    say(&json_text(value));
}

/// A result as JSON.
pub(crate) fn json_text(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Prints a list as a table with these columns.
pub(crate) fn table(rows: &Value, columns: &[&str]) {
    let Some(rows) = rows.as_array().filter(|rows| !rows.is_empty()) else {
        return note("none");
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(columns.iter().map(|column| column.replace('_', " ")));
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(row.get(*column).unwrap_or(&Value::Null))));
    }
    say(&table.to_string());
}

/// Members that identify a thing and come first.
const FIRST: [&str; 5] = ["kind", "client_id", "client_secret", "provider", "customer"];

/// Prints an object, one line for each member.
pub(crate) fn record(value: &Value) {
    say(&record_text(value));
}

/// An object as text, one line for each member.
pub(crate) fn record_text(value: &Value) -> String {
    let Some(members) = value.as_object() else {
        return json_text(value);
    };
    let width = members.keys().map(String::len).max().unwrap_or(0);
    let leading = FIRST.iter().filter_map(|name| members.get_key_value(*name));
    let mut lines = Vec::new();
    for (name, member) in
        leading.chain(members.iter().filter(|(name, _)| !FIRST.contains(&name.as_str())))
    {
        match member {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                lines.push(format!("{}:", name.replace('_', " ")));
                for item in items {
                    let parts =
                        item.as_object().into_iter().flatten().map(|(name, value)| {
                            format!("{} {}", name.replace('_', " "), cell(value))
                        });
                    lines.push(format!("  {}", parts.collect::<Vec<_>>().join(", ")));
                }
            }
            Value::Object(inner) => {
                lines.push(format!("{}:", name.replace('_', " ")));
                let width = inner.keys().map(String::len).max().unwrap_or(0);
                for (name, value) in inner {
                    lines.push(format!("  {name:<width$}  {}", cell(value)));
                }
            }
            _ => lines.push(format!("{:<width$}  {}", name.replace('_', " "), cell(member))),
        }
    }
    lines.join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) if items.iter().all(Value::is_object) => items.len().to_string(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
