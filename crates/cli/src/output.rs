//! Results on stdout, messages on stderr.
//!
//! A result that can't be written makes the command fail once it is done ([`finish`]), but not
//! where the reader went away: `| head` had what it wanted. What can't be had again is told before
//! anything is changed ([`tell_once`]). A server goes on serving where nobody reads what it says
//! ([`announce`]), and so does what must come to its end or mind signals ([`wait_for_no_reader`]).
//! That a message can't be written is no reason to fail.

#[cfg_attr(
    not(any(feature = "sandbox", feature = "torture", feature = "verify")),
    expect(dead_code, reason = "only commands that run for long print from a thread")
)]
mod printer;
#[cfg(any(feature = "bench", feature = "torture", feature = "verify"))]
mod spinner;

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use comfy_table::{Table, presets};
use rustix::fs::{OFlags, fcntl_getfl};
use serde_json::Value;

use crate::process::{Signals, block_on};
use crate::{Failure, log};
#[cfg(any(feature = "bench", feature = "torture", feature = "verify"))]
pub(crate) use spinner::spinner;

/// Why a result could not be written. Nothing is written after that.
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

/// Has results printed from now on by a thread of its own, so that nothing else waits for a reader
/// that stalls.
#[cfg(any(feature = "sandbox", feature = "torture", feature = "verify"))]
pub(crate) fn wait_for_no_reader() -> Result<(), Failure> {
    printer::start().map_err(Failure::failed)
}

/// Whether all results were written that somebody waits for; to be asked once the command is done.
/// Waits for a reader that stalls, as long as nobody says that this process is to stop.
///
/// # Errors
/// What became of them.
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

/// Prints what can't be had again, so that it is with its reader when this returns, or as near as a
/// system tells.
///
/// # Errors
/// Why it is not, as where the reader went away.
pub(crate) fn tell_once(text: &str) -> io::Result<()> {
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if stands_for_closed(&stdout)? {
        return Err(io::Error::other("it is closed"));
    }
    print(text)?;
    // A file system on another machine says only now that it is full. What is no file has nothing
    // to sync (fsync(2)).
    match stdout.sync_all() {
        Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Whether stdout was closed when the process began. Rust opens the null device in its place, for
/// reading too, which a shell's `>/dev/null` is not.
fn stands_for_closed(stdout: &File) -> io::Result<bool> {
    let is_null = std::fs::metadata("/dev/null")
        .is_ok_and(|null| stdout.metadata().is_ok_and(|meta| meta.rdev() == null.rdev()));
    Ok(is_null && fcntl_getfl(stdout)?.contains(OFlags::RDWR))
}

/// Prints what a server says of itself once it is ready. A thread of its own waits where nobody
/// reads it; the server does not.
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

/// Text of somebody else's without control characters: what a server answers must not steer the
/// terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// Prints why a command failed.
pub(crate) fn complain(message: &str) {
    note(&format!("counterfoil: {message}"));
}

/// Prints a message that is no result.
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

/// Prints a list as a table of the columns named.
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

/// What a thing is, told before everything else about it.
const FIRST: [&str; 5] = ["kind", "client_id", "client_secret", "provider", "customer"];

/// Prints one thing, a line a member.
pub(crate) fn record(value: &Value) {
    say(&record_text(value));
}

/// One thing, a line a member.
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
