//! `counterfoil backup`.

use std::path::PathBuf;

use clap::Args;
use counterfoil_server::admin::Command;
use counterfoil_store::{BackupError, StoreAddress};

use super::Common;
use super::restore::open_existing_keys;
use crate::config::Config;
use crate::{Failure, output};

const BACKUP_HELP: &str =
    "The server may be running: writes continue and are delayed by milliseconds. The file appears once it is complete,
checked and on disk. It does not hold the keys: back them up apart, since it takes both to make tokens. Keep the endings
log too, which tells `counterfoil restore` what was revoked after the backup. Back up a store in PostgreSQL with the
tools of the database.";

#[derive(Debug, Args)]
#[command(after_help = BACKUP_HELP)]
pub(crate) struct Arguments {
    /// The file to make; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(Arguments { to, common }: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&common.config).map_err(Failure::Usage)?;
    let StoreAddress::Sqlite(store) = &config.store else {
        return Err(Failure::failed(BackupError::OfDatabase));
    };
    // Otherwise an empty store would be made, and backed up.
    if !store.exists() {
        return Err(Failure::failed(format!("there is no store at {}", store.display())));
    }
    open_existing_keys(&config)?;
    // The server may have another working directory.
    let to =
        std::path::absolute(to).map_err(|e| Failure::failed(format!("{}: {e}", to.display())))?;
    let made = common.ask(Command::Backup { to })?;
    output::note(&format!(
        "The keys are not in it. They lie in {}: back them up apart from it; without them it is worth nothing.",
        config.keys.display()
    ));
    common.show(&made, |made| {
        let number = |name: &str| made[name].as_f64().unwrap_or_default();
        output::say(&format!(
            "backed up to {}: {:.1} MB in {:.1} s; no write waited for more than {:.1} ms",
            made["to"].as_str().unwrap_or_default(),
            number("bytes") / 1e6,
            number("seconds"),
            number("longest_stall_ms"),
        ));
    });
    Ok(())
}
