//! `counterfoil keys`.

use std::io::{IsTerminal, Write};

use clap::Subcommand;
use counterfoil_core::clock::{Seconds, parse_duration};
use counterfoil_server::admin::Command;
use counterfoil_server::keys::COMPROMISED_SLIP_KEY_GOOD_FOR;
use serde_json::Value;

use super::Common;
use crate::{Failure, output};

const ROTATE_HELP: &str = "Without --compromised no token is lost: new signing keys are published now and sign an hour later.

A compromised signing key is dropped at once: ID tokens that it signed are refused, and clients refresh. The next key replaces it, which is
published ahead, so relying parties know it already.

A slip key alone makes no token: that takes the grant's seal too, which is in the store. So codes, refresh tokens and access tokens made with a
compromised one stay valid for a while, codes and refresh tokens once as always, and their successors are made with a new key. If the store was
stolen too, use --refuse-now: then the customers of all grants whose refresh token was made with that key must connect again.";

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List signing and slip keys with their current use
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Replace all keys, or a compromised one
    #[command(after_help = ROTATE_HELP)]
    Rotate {
        /// Replace only this key, which is compromised
        #[arg(long, value_name = "KID", allow_hyphen_values = true)]
        compromised: Option<String>,
        /// For a slip key: how long tokens made with it stay valid [default: 90d]
        #[arg(long, value_name = "DURATION", requires = "compromised", value_parser = read_within)]
        within: Option<Seconds>,
        /// For a slip key: refuse tokens made with it at once. Says how many grants that ends, and asks
        /// for confirmation
        #[arg(long, requires = "compromised", conflicts_with = "within")]
        refuse_now: bool,
        /// Don't ask for confirmation
        #[arg(long, requires = "refuse_now")]
        yes: bool,
        #[command(flatten)]
        common: Common,
    },
}

fn read_within(text: &str) -> Result<Seconds, String> {
    match parse_duration(text)? {
        within if within > 0 => Ok(within),
        _ => Err("it must be more than nothing; --refuse-now refuses at once".into()),
    }
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    let (common, command) = match action {
        Action::List { common } => (common, Command::KeysList),
        Action::Rotate { compromised: Some(kid), within, refuse_now, yes, common }
            if kid.starts_with("slip-") =>
        {
            let within =
                if refuse_now { 0 } else { within.unwrap_or(COMPROMISED_SLIP_KEY_GOOD_FOR) };
            if refuse_now && !yes {
                confirm(&common, &kid)?;
            }
            (common, Command::KeysRetire { kid, within })
        }
        Action::Rotate { within, refuse_now, .. } if within.is_some() || refuse_now => {
            return Err(Failure::usage(
                "--within and --refuse-now are of slip keys, such as slip-1; what a signing key signed is refused at once",
            ));
        }
        Action::Rotate { compromised, common, .. } => (common, Command::KeysRotate { compromised }),
    };
    let keys = common.ask(command)?;
    common.show(&keys, |keys: &Value| {
        output::table(keys, &["kid", "alg", "state", "created_at", "signs_from", "good_until"])
    });
    Ok(())
}

/// Says what it means to refuse a slip key's tokens at once, and asks for confirmation.
fn confirm(common: &Common, kid: &str) -> Result<(), Failure> {
    let concerned = common.ask(Command::KeysConcerned { kid: kid.to_owned() })?;
    let what = format!(
        "the refresh tokens or codes of {} grants were made with {kid}; if they are refused, their customers must connect again",
        concerned["grants"]
    );
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{what}. Nothing was changed: say --yes, since there is no terminal to ask at"
        )));
    }
    output::note(&what);
    let mut stderr = std::io::stderr();
    let mut answer = String::new();
    let asked = write!(stderr, "Refuse them now? Type yes: ")
        .and_then(|()| stderr.flush())
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    match asked {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was changed")),
    }
}
