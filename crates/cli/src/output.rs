//! Results on stdout, messages on stderr. That nobody reads them any more is no reason to fail.

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Prints a line of result.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Whether results may be coloured: to a terminal, unless `NO_COLOR` says no (no-color.org).
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Text of somebody else's without control characters: what a server answers must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// Prints why a command failed.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "counterfoil: {}", printable(message));
}

/// Prints a message that is no result.
pub(crate) fn note(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(message));
}

/// A spinner on stderr; a hidden one where that is no terminal.
pub(crate) fn spinner(template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template(template) {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Prints a result as JSON.
pub(crate) fn json(value: &Value) {
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
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
    let Some(members) = value.as_object() else { return json(value) };
    let width = members.keys().map(String::len).max().unwrap_or(0);
    let leading = FIRST.iter().filter_map(|name| members.get_key_value(*name));
    for (name, member) in leading.chain(members.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()))) {
        match member {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                say(&format!("{}:", name.replace('_', " ")));
                for item in items {
                    let parts =
                        item.as_object().into_iter().flatten().map(|(name, value)| format!("{} {}", name.replace('_', " "), cell(value)));
                    say(&format!("  {}", parts.collect::<Vec<_>>().join(", ")));
                }
            }
            Value::Object(inner) => {
                say(&format!("{}:", name.replace('_', " ")));
                let width = inner.keys().map(String::len).max().unwrap_or(0);
                for (name, value) in inner {
                    say(&format!("  {name:<width$}  {}", cell(value)));
                }
            }
            _ => say(&format!("{:<width$}  {}", name.replace('_', " "), cell(member))),
        }
    }
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
