//! `counterfoil keys`.

use super::Common;
use crate::{Failure, output};
use clap::Subcommand;
use counterfoil_server::admin::Command;
use serde_json::Value;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List signing and slip keys and what each is used for now
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Replace all keys: new signing keys are published now and sign an hour later, so no token is lost
    Rotate {
        /// Drop this key at once instead: what it signed is refused, clients refresh
        #[arg(long, value_name = "KID", allow_hyphen_values = true)]
        compromised: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    let (common, command) = match action {
        Action::List { common } => (common, Command::KeysList),
        Action::Rotate { compromised, common } => (common, Command::KeysRotate { compromised }),
    };
    let keys = common.ask(command)?;
    common.show(&keys, |keys: &Value| output::table(keys, &["kid", "alg", "state", "created_at", "signs_from"]));
    Ok(())
}
