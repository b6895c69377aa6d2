//! `counterfoil copy`.

use clap::Args;
use counterfoil_server::keys::{can_travel, travel};
use counterfoil_store::{CopyError, CopyProgress, OpenError, StoreAddress, StoreCopy};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use super::Common;
use crate::config::Config;
use crate::process::block_on;
use crate::{Failure, output};

const COPY_HELP: &str =
    "Copies a live store from SQLite to PostgreSQL, or back, with everything in it. The configuration says whose store it is, and where
the keys are: they travel too, into the database, sealed under the key in `store.key` (made where there is none), or out of
it into `keys.json`. No server may use either store. The new store must be a new place: a file that does not exist, or an
empty database. Both sides are read again and compared before the copy counts.

The old store is kept, but records where it was moved to and is no longer served. An interrupted copy is not served
either; run the same command again to start over. To move back later, copy to a new place again.

A password that is not in the address of a database is taken from PGPASSWORD in the environment.";

#[derive(Args)]
#[command(after_help = COPY_HELP)]
pub(crate) struct Arguments {
    /// The store to copy: sqlite:PATH or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "STORE")]
    from: String,
    /// Where to copy it: a new store of the other kind
    #[arg(long, value_name = "STORE")]
    to: String,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(Arguments { from, to, common }: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&common.config).map_err(Failure::Usage)?;
    // Parsed here and not by clap, which echoes wrong values, passwords included.
    let address = |option: &str, text: &str| {
        StoreAddress::parse(text).map_err(|problem| Failure::usage(format!("{option}: {problem}")))
    };
    let (from, to) = (&address("--from", from)?, &address("--to", to)?);
    let (keys, issuer) = (&config.keys, &config.settings.issuer);
    let bar = bar();
    let copied = block_on(async {
        let copy = StoreCopy::begin(from, to, issuer).await.map_err(|error| match &error {
            CopyError::Files | CopyError::Databases => Failure::usage(error),
            CopyError::Store(OpenError::InUse { .. }) => {
                Failure::InUse(format!("{error}. Stop it first"))
            }
            _ => Failure::failed(error),
        })?;
        let into_database = copy.is_into_database();
        can_travel(&copy, keys, issuer)
            .await
            .map_err(|error| Failure::failed(CopyError::Keys(error.to_string())))?;
        let mut tell = |progress| show(&bar, progress);
        let carry_keys = async |copy: &StoreCopy| {
            travel(copy, keys, issuer).await.map_err(|error| error.to_string())
        };
        let counts = copy.run(&mut tell, carry_keys).await.map_err(Failure::failed)?;
        Ok((into_database, counts))
    });
    bar.finish_and_clear();
    let (into_database, counts) = copied?;
    let tables: Map<String, Value> =
        counts.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
    let rows: u64 = counts.iter().map(|(_, rows)| rows).sum();
    common.show(
        &json!({ "from": from.to_string(), "to": to.to_string(), "rows": rows, "tables": tables }),
        |_| {
            let list: Value = counts
                .iter()
                .map(|(table, rows)| json!({ "table": table, "rows": rows }))
                .collect();
            output::table(&list, &["table", "rows"]);
            output::say(&format!(
                "copied and compared {rows} rows from {from} to {to}; the keys have travelled too"
            ));
        },
    );
    let about_keys = match into_database {
        true => format!(
            "The keys are in the database now, sealed under {0}/store.key: give that file to every node, and back it up apart from the \
             database. {0}/keys.json is used no more; keep it with the old store, or destroy it.",
            keys.display()
        ),
        false => format!(
            "The keys are in {}/keys.json now: back them up apart from the store.",
            keys.display()
        ),
    };
    output::note(&format!(
        "Next: set `store` in {} to the store that you copied to, and start the server. {from} stays as it is, and is served no more. \
         {about_keys}",
        common.config.display()
    ));
    Ok(())
}

/// A progress bar on stderr, hidden unless that is a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len} rows")
    {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, CopyProgress { comparing, rows, of }: CopyProgress) {
    bar.set_length(of);
    bar.set_message(if comparing { "comparing" } else { "copying" });
    bar.set_position(rows);
}
