//! The indexes that take long to make where there are many grants. They are made apart from the
//! migration, `CONCURRENTLY`: nodes read and write meanwhile, those of the version before too.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;

use super::trouble::Trouble;
use crate::level::Level;

/// An index, by its name, and how it is made.
const INDEXES: [(&str, &str); 4] = [
    // Lists are of grants that hang on no other.
    (
        "consent_by_customer",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS consent_by_customer ON terms (provider, customer, grant_id) WHERE parent IS NULL",
    ),
    (
        "ending_by_number",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ending_by_number ON ending (number) WHERE number IS NOT NULL",
    ),
    (
        "customer_by_login",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS customer_by_login ON customer (provider, login)",
    ),
    (
        "customer_without_login",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS customer_without_login ON customer (id) WHERE login IS NULL",
    ),
];
/// What nodes of version 1 list grants by.
const OF_VERSION_1: &str = "terms_by_customer";

/// Whether an index of this name is whole.
const IS_VALID: &str = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)";
/// Whether somebody is making it.
const IS_BEING_MADE: &str =
    "SELECT FROM pg_stat_progress_create_index WHERE index_relid = to_regclass($1)";
/// How often to look how somebody else gets on with it.
const MOMENT: Duration = Duration::from_millis(250);
/// How often to try to make one.
const TRIES: usize = 40;

/// Makes the indexes that are missing, however long it takes, and drops from level 2 on what only
/// version 1 used. Any number of nodes may do so at once.
pub(super) async fn make(client: &Client, level: Level) -> Result<(), Trouble> {
    let mut missing = Vec::new();
    for (name, make) in INDEXES {
        if is_valid(client, name).await? != Some(true) {
            missing.push((name, make));
        }
    }
    let superfluous = level >= Level::Two && is_valid(client, OF_VERSION_1).await?.is_some();
    if missing.is_empty() && !superfluous {
        return Ok(());
    }
    // It waits for transactions that began before it, and is in nobody's way meanwhile.
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    for (name, sql) in missing {
        let mut tries = 0;
        while let Err(trouble) = make_one(client, name, sql).await {
            tries += 1;
            if trouble.is_loss() || tries == TRIES {
                return Err(trouble);
            }
            // Of two that make one on the same table, the database may end one as a deadlock.
            tracing::debug!(%trouble, index = name, "an index was not made; looking again");
            sleep(MOMENT).await;
        }
    }
    if superfluous {
        client.batch_execute("DROP INDEX CONCURRENTLY IF EXISTS terms_by_customer").await?;
    }
    client.batch_execute("RESET statement_timeout; RESET lock_timeout").await?;
    Ok(())
}

/// Makes an index, or waits for whoever does.
async fn make_one(client: &Client, name: &str, sql: &str) -> Result<(), Trouble> {
    let mut left_behind = false;
    loop {
        match is_valid(client, name).await? {
            Some(true) => return Ok(()),
            None => {
                tracing::info!(
                    index = name,
                    "making an index; where there are many grants this takes a while"
                );
                // Where another node has begun just now, this does nothing.
                client.batch_execute(sql).await?;
                left_behind = false;
            }
            Some(false) if client.query_opt(IS_BEING_MADE, &[&name]).await?.is_some() => {
                left_behind = false;
                sleep(MOMENT).await;
            }
            // What became of one that was being made is known a moment after nobody is seen making
            // it.
            Some(false) if !left_behind => {
                left_behind = true;
                sleep(MOMENT).await;
            }
            Some(false) => {
                tracing::warn!(
                    index = name,
                    "the making of an index was cut short; it is made once more"
                );
                client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
                left_behind = false;
            }
        }
    }
}

/// Whether the index is whole; `None` where there is none.
async fn is_valid(client: &Client, name: &str) -> Result<Option<bool>, Trouble> {
    Ok(client.query_opt(IS_VALID, &[&name]).await?.map(|row| row.try_get(0)).transpose()?)
}
