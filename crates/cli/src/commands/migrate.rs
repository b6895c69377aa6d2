//! `counterfoil migrate`.

use super::{Common, no_store};
use crate::config::Config;
use crate::process::block_on;
use crate::{Failure, output};
use clap::Args;
use counterfoil_store::{OpenError, OpenOptions, Store, StoreKind};
use serde_json::json;

const MIGRATE_HELP: &str =
    "A server does the same at its start, so this is needed before a rolling upgrade alone: run it once with the new version, then
replace the nodes one by one. The nodes on a PostgreSQL store may go on meanwhile; a SQLite store must not be in use. A
schema newer than this version knows is refused.";

#[derive(Debug, Args)]
#[command(after_help = MIGRATE_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(Arguments { common }: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&common.config).map_err(Failure::Usage)?;
    let store = config.store.to_string();
    let options = OpenOptions {
        address: config.store,
        kind: StoreKind::Live,
        issuer: config.settings.issuer,
        endings_log: None,
        holder: "counterfoil migrate".into(),
    };
    let migrated = block_on(async move { Ok(Store::migrate(&options).await) })?;
    let (from, to) = migrated.map_err(|error| match error {
        OpenError::InUse { .. } => {
            Failure::InUse(format!("{error}. Stop it first; it brings the schema up to date when it is started again"))
        }
        _ => no_store(error),
    })?;
    common.show(&json!({ "store": store, "from": from, "to": to }), |_| {
        output::say(&match from == to {
            true => format!("{store} has schema {to}, the newest that this version knows; there was nothing to do"),
            false => format!("{store} has schema {to} now; it had {from}"),
        });
    });
    Ok(())
}
