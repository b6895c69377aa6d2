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

A signing key that others may have is dropped at once: the ID tokens that it signed are refused, and clients refresh. The key that is published
ahead takes its place, which relying parties know already.

A slip key alone makes no token: the seal of its grant is needed too, which is in the store. So codes, refresh and access tokens that were made
with one stay good for a while, each code and refresh token once as ever, and what they are redeemed for is made with a new key. Where the store
was stolen too, --refuse-now: then customers of every grant whose refresh token was made with that key must connect anew.";

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List signing and slip keys and what each is used for now
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Replace all keys, or one that others may have
    #[command(after_help = ROTATE_HELP)]
    Rotate {
        /// Replace this key, which others may have, and no other
        #[arg(long, value_name = "KID", allow_hyphen_values = true)]
        compromised: Option<String>,
        /// Of a slip key: for how long tokens that were made with it stay good [default: 90d]
        #[arg(long, value_name = "DURATION", requires = "compromised", value_parser = read_within)]
        within: Option<Seconds>,
        /// Of a slip key: refuse tokens that were made with it at once. Says how many grants that
        /// ends, and asks
        #[arg(long, requires = "compromised", conflicts_with = "within")]
        refuse_now: bool,
        /// Don't ask
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

/// Says what refusing a slip key's tokens at once comes to, and asks.
fn confirm(common: &Common, kid: &str) -> Result<(), Failure> {
    let concerned = common.ask(Command::KeysConcerned { kid: kid.to_owned() })?;
    let what = format!(
        "the refresh tokens or codes of {} grants were made with {kid}; refused, their customers must connect anew",
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
