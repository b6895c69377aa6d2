//! `counterfoil sandbox-ctl`: a running sandbox's clock and faults, over HTTP.

use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Args, Subcommand};
use counterfoil_core::clock::duration_in_words;
use counterfoil_sandbox::faults::{Kind, PATHS};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::process::block_on;
use crate::{Failure, output};

/// The timeout of a request: a sandbox answers within 30 seconds.
const PATIENCE: Duration = Duration::from_secs(35);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The sandbox: its issuer, such as http://127.0.0.1:8080
    #[arg(value_name = "ISSUER", value_parser = issuer)]
    issuer: String,
    #[command(subcommand)]
    what: What,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show or move the clock
    Clock {
        #[command(subcommand)]
        action: Option<Clock>,
    },
    /// Make things go wrong
    #[command(subcommand)]
    Fault(Fault),
}

#[derive(Debug, Subcommand)]
enum Clock {
    /// Show the time; so does `clock` alone
    Show,
    /// Move the clock by a duration
    Advance {
        /// Such as 25h, 90d or 5m1s; with a minus sign it goes back
        #[arg(allow_hyphen_values = true)]
        by: String,
    },
    /// Set the clock
    Set {
        /// An RFC 3339 time, such as 2026-12-01T00:00:00Z
        time: String,
    },
    /// Go back to the machine's time
    Reset,
}

#[derive(Debug, Subcommand)]
enum Fault {
    /// List the faults that are set
    List,
    /// Set a fault, or make it happen at once
    Set {
        /// What goes wrong
        #[arg(value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name)))]
        kind: String,
        /// Only for this client
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// How many requests it strikes
        #[arg(long, value_name = "N")]
        count: Option<u32>,
        /// A duration, an offset, a customer or an error code, depending on the fault
        #[arg(long, value_name = "V", allow_hyphen_values = true)]
        value: Option<String>,
        /// Only for this customer
        #[arg(long, value_name = "C")]
        customer: Option<String>,
        /// Only at this path
        #[arg(long, value_name = "P", value_parser = PossibleValuesParser::new(PATHS))]
        path: Option<String>,
    },
    /// Clear a fault, or all
    Clear {
        /// The fault's id; without it, all faults are cleared
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: Option<String>,
    },
}

fn issuer(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(|_| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| "an issuer is a URL, such as http://127.0.0.1:8080".into())
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { issuer, what, json } = arguments;
    let asked = |method, path, form| block_on(ask(&issuer, method, path, form));
    let (answer, tell): (Value, fn(&Value)) = match what {
        What::Clock { action: None | Some(Clock::Show) } => {
            (asked(Method::GET, "/sandbox/clock", vec![])?, tell_time)
        }
        What::Clock { action: Some(Clock::Advance { by }) } => {
            (asked(Method::POST, "/sandbox/clock", vec![("advance", by)])?, tell_time)
        }
        What::Clock { action: Some(Clock::Set { time }) } => {
            (asked(Method::POST, "/sandbox/clock", vec![("set", time)])?, tell_time)
        }
        What::Clock { action: Some(Clock::Reset) } => {
            (asked(Method::DELETE, "/sandbox/clock", vec![])?, tell_time)
        }
        What::Fault(Fault::List) => (asked(Method::GET, "/sandbox/faults", vec![])?, tell_faults),
        What::Fault(Fault::Set { kind, client_id, count, value, customer, path }) => {
            let count = count.map(|count| count.to_string());
            let named = [
                ("client_id", client_id),
                ("count", count),
                ("value", value),
                ("customer", customer),
                ("path", path),
            ];
            let mut form = vec![("fault", kind)];
            form.extend(named.into_iter().filter_map(|(name, value)| Some((name, value?))));
            (asked(Method::POST, "/sandbox/faults", form)?, tell_fault)
        }
        What::Fault(Fault::Clear { id: None }) => {
            (asked(Method::DELETE, "/sandbox/faults", vec![])?, |_| {
                output::say("all faults are cleared")
            })
        }
        What::Fault(Fault::Clear { id: Some(id) }) => {
            (asked(Method::DELETE, "/sandbox/faults", vec![("id", id)])?, |_| {
                output::say("the fault is cleared");
            })
        }
    };
    if json {
        output::json(&answer)
    } else {
        tell(&answer)
    }
    Ok(())
}

/// Sends a request to the sandbox, with a form or, for DELETE, a query.
async fn ask(
    issuer: &str,
    method: Method,
    path: &str,
    form: Vec<(&str, String)>,
) -> Result<Value, Failure> {
    let http = Client::builder()
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(Failure::failed)?;
    let request = http.request(method.clone(), format!("{issuer}{path}"));
    let request = match method {
        Method::POST => request.form(&form),
        _ => request.query(&form),
    };
    let answer = request.send().await.map_err(|error| {
        Failure::failed(format!("{issuer} can't be reached: {}", innermost(&error)))
    })?;
    let status = answer.status();
    let reason = answer
        .headers()
        .get("counterfoil-reason")
        .map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
    let body = answer.json().await;
    match (status, reason, body) {
        (_, _, Ok(body)) if status.is_success() => Ok(body),
        (_, Some(reason), _) => Err(Failure::Failed(reason)),
        (StatusCode::NOT_FOUND, ..) => {
            Err(Failure::failed(format!("{issuer} is no sandbox: it has no {path}")))
        }
        _ => Err(Failure::failed(format!("{issuer} answered {status}, which a sandbox does not"))),
    }
}

/// The root cause of an error: "connection refused" rather than that a request could not be sent.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

fn text(value: &Value, name: &str) -> String {
    output::printable(value[name].as_str().unwrap_or_default())
}

fn tell_time(clock: &Value) {
    let moved = match clock["offset_seconds"].as_i64().unwrap_or(0) {
        0 => "the machine's time".to_owned(),
        offset => format!(
            "{} {} the machine's time",
            duration_in_words(offset),
            if offset > 0 { "ahead of" } else { "behind" }
        ),
    };
    output::say(&format!("{}, {moved}", text(clock, "now")));
}

fn tell_fault(fault: &Value) {
    let (id, kind) = (text(fault, "id"), text(fault, "fault"));
    output::say(&match fault["remaining"].as_u64() {
        Some(0) => format!("{kind} has happened"),
        Some(1) => format!("fault {id} is set: {kind}, once"),
        remaining => format!("fault {id} is set: {kind}, {} times", remaining.unwrap_or_default()),
    });
}

fn tell_faults(list: &Value) {
    output::table(
        &list["faults"],
        &["id", "fault", "client_id", "customer", "path", "value", "remaining"],
    );
}
