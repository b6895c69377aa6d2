//! `counterfoil migrate`.

use clap::Args;
use counterfoil_store::{OpenError, OpenOptions, Store, StoreKind};
use serde_json::json;

use super::{Common, no_store};
use crate::config::Config;
use crate::process::block_on;
use crate::{Failure, output};

const MIGRATE_HELP: &str =
    "A server does the same at start, so this is only needed before a rolling upgrade: run it once with the new version, then
replace the nodes one by one. The nodes on a PostgreSQL store may keep running; a SQLite store must not be in use. A
schema newer than this version is refused, unless the store says that this version can use it.

Until `migrate --finish`, everything is written so that nodes of the previous version can read it. Run that once every node has
this version. It can't detect older nodes: they could not read what is written from then on, and you can't go back to their
version.";

#[derive(Debug, Args)]
#[command(after_help = MIGRATE_HELP)]
pub(crate) struct Arguments {
    /// Write the store in this version's form, now that every node has this version
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(Arguments { finish, common }: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&common.config).map_err(Failure::Usage)?;
    let store = config.store.to_string();
    let options = OpenOptions {
        address: config.store,
        kind: StoreKind::Live,
        issuer: config.settings.issuer,
        endings_log: None,
        holder: "counterfoil migrate".into(),
    };
    let finish = *finish;
    let migrated = block_on(async move {
        Ok(if finish {
            Store::finish_migration(&options).await
        } else {
            Store::migrate(&options).await
        })
    })?;
    let (from, to) = migrated.map_err(|error| match error {
        OpenError::InUse { .. } if finish => {
            Failure::InUse(format!("{error}. Stop it first, and start it again afterwards"))
        }
        OpenError::InUse { .. } => Failure::InUse(format!(
            "{error}. Stop it first; it brings the schema up to date when it is started again"
        )),
        _ => no_store(error),
    })?;
    if finish {
        common.show(&json!({ "store": store, "from_level": from, "level": to }), |_| {
            output::say(&match from == to {
                true => format!("{store} is written at level {to}, the newest that this version writes; there was nothing to do"),
                false => format!(
                    "{store} is written at level {to} from now on; it was at level {from}. Nodes of the version before must not use it"
                ),
            });
        });
    } else {
        common.show(&json!({ "store": store, "from": from, "to": to }), |_| {
            output::say(&match from == to {
                true => format!("{store} has schema {to}, as this version needs it; there was nothing to do"),
                false => {
                    format!(
                        "{store} has schema {to} now; it had {from}. Once every node is of this version, run `counterfoil migrate --finish`"
                    )
                }
            });
        });
    }
    Ok(())
}
