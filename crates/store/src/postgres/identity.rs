//! What a database is: whose store, for what, of which schema. Several nodes may find it empty at
//! once.

use std::time::Duration;

use counterfoil_core::random;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::connection::Connection;
use super::indexes;
use super::trouble::Trouble;
use crate::OpenOptions;
use crate::error::OpenError;
use crate::level::{Level, NEWEST_LEVEL, OLDEST_READER, oldest_reader};
use crate::migrations;

/// How often a migration is tried again that another node's was in the way of.
const TRIES: usize = 40;
/// How long to wait between two.
const PAUSE: Duration = Duration::from_millis(250);

/// Brings the schema up to date and makes sure that the database is what it should be, or writes
/// down what it is where it is new. A store that has no id yet gets the one that its endings log
/// has, if that knows one: it was put back from a dump of version 1.
pub(super) async fn take(
    connection: &mut Connection,
    store: &str,
    options: &OpenOptions,
    by_log: Option<&str>,
) -> Result<(), OpenError> {
    let failed = |trouble: Trouble| trouble.at_start(store);
    let client = &mut connection.client;
    let found = schema_of_ours(client, store).await?;
    // Before anything of it is changed.
    if let Some(found) = found {
        refuse_unreadable(client, found, store).await?;
        check(client, store, options).await?;
    }
    migrate(client, store).await?;
    let write = async {
        // Copies of a store have its id.
        let id = by_log.filter(|_| found.is_some()).map_or_else(
            || format!("{:032x}", u128::from_be_bytes(random::bytes())),
            str::to_owned,
        );
        let (kind, issuer) = (options.kind.name(), options.issuer.as_str());
        for (key, value) in
            [("kind", kind), ("issuer", issuer), ("epoch", "0"), ("changes", "0"), ("id", &id)]
        {
            client
                .execute(
                    "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
                    &[&key, &value],
                )
                .await?;
        }
        Ok(())
    };
    write.await.map_err(failed)?;
    // Another node may have written it first, and other things.
    check(client, store, options).await
}

/// Whether there is a store, one that [`take`] would go on with; changes nothing.
pub(super) async fn is_there(
    client: &Client,
    store: &str,
    options: &OpenOptions,
) -> Result<bool, OpenError> {
    match schema_of_ours(client, store).await? {
        None => Ok(false),
        Some(found) => {
            refuse_unreadable(client, found, store).await?;
            check(client, store, options).await.map(|()| true)
        }
    }
}

/// The schema of a store that must be there already.
pub(super) async fn found_schema(client: &Client, store: &str) -> Result<u32, OpenError> {
    let found = schema(client).await.map_err(|trouble| trouble.at_start(store))?;
    let found = found.ok_or_else(|| OpenError::NoStore(store.to_owned()))?;
    refuse_unreadable(client, found, store).await.map(|()| found)
}

/// Makes the tables in a database where there are none, and brings those up to date that are.
pub(super) async fn make_tables(client: &mut Client, store: &str) -> Result<(), OpenError> {
    refuse_unknown(schema_of_ours(client, store).await?.unwrap_or(0), store)?;
    migrate(client, store).await
}

/// The schema of the store; `None` where there is none yet, and no other program's table either
/// that has the name of one of ours.
async fn schema_of_ours(client: &Client, store: &str) -> Result<Option<u32>, OpenError> {
    let failed = |trouble: Trouble| trouble.at_start(store);
    // In this order: another node may be making the tables just now, and its table must not be
    // taken for another program's.
    let has_meta = has_table(client, "meta").await.map_err(failed)?;
    let found = schema(client).await.map_err(failed)?;
    if found.is_none() && has_meta {
        let problem =
            "there are tables of another program in it; give Counterfoil a database of its own"
                .into();
        return Err(OpenError::Foreign { store: store.to_owned(), problem });
    }
    Ok(found)
}

/// Refuses a newer schema than ours, whatever the store says of who can read it: there may be
/// tables that we know nothing of.
pub(super) fn refuse_unknown(found: u32, store: &str) -> Result<(), OpenError> {
    let known = migrations::NEWEST;
    if found > known {
        Err(OpenError::Newer { store: store.to_owned(), found, oldest_reader: found, known })
    } else {
        Ok(())
    }
}

/// Refuses a newer schema than ours, unless the store says that we can read it.
async fn refuse_unreadable(client: &Client, found: u32, store: &str) -> Result<(), OpenError> {
    let known = migrations::NEWEST;
    if found <= known {
        return Ok(());
    }
    let says = stands(client, "oldest_reader").await.map_err(|trouble| trouble.at_start(store))?;
    let oldest_reader = oldest_reader(found, says.as_deref());
    if oldest_reader > known {
        Err(OpenError::Newer { store: store.to_owned(), found, oldest_reader, known })
    } else {
        Ok(())
    }
}

/// What `meta` says under a key.
async fn stands(client: &Client, key: &str) -> Result<Option<String>, Trouble> {
    Ok(client
        .query_opt("SELECT value FROM meta WHERE key = $1", &[&key])
        .await?
        .map(|row| row.try_get(0))
        .transpose()?)
}

/// The store's level and id.
pub(super) async fn level_and_id(client: &Client) -> Result<(Level, String), Trouble> {
    let level = stands(client, "level").await?;
    Ok((Level::of(level.as_deref()), stands(client, "id").await?.unwrap_or_default()))
}

/// Raises the level to the newest; gives it as it was, and as it is.
pub(super) async fn finish(client: &mut Client, store: &str) -> Result<(u32, u32), OpenError> {
    let failed = |trouble: Trouble| trouble.at_start(store);
    let found = found_schema(client, store).await?;
    if found < migrations::NEWEST {
        return Err(OpenError::Older { store: store.to_owned(), found, known: migrations::NEWEST });
    }
    let raising = async {
        let transaction = client.transaction().await?;
        let level =
            transaction.query_opt("SELECT value FROM meta WHERE key = 'level'", &[]).await?;
        let before = level
            .map(|row| row.try_get::<_, String>(0))
            .transpose()?
            .and_then(|text| text.parse().ok())
            .unwrap_or(1);
        if before < NEWEST_LEVEL {
            let raise = "INSERT INTO meta VALUES ('level', $1), ('oldest_reader', $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            transaction
                .execute(raise, &[&NEWEST_LEVEL.to_string(), &OLDEST_READER.to_string()])
                .await?;
            // Of version 1, and never delivered.
            transaction.batch_execute("TRUNCATE event").await?;
        }
        transaction.commit().await?;
        indexes::make(client, Level::Two).await?;
        Ok(before)
    };
    raising.await.map(|before| (before, before.max(NEWEST_LEVEL))).map_err(failed)
}

async fn has_table(client: &Client, name: &str) -> Result<bool, Trouble> {
    Ok(client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]).await?.try_get(0)?)
}

/// The version of the schema; `None` where there is none yet.
async fn schema(client: &Client) -> Result<Option<u32>, Trouble> {
    if !has_table(client, "refinery_schema_history").await? {
        return Ok(None);
    }
    let version: Option<i32> = client
        .query_one("SELECT max(version) FROM refinery_schema_history", &[])
        .await?
        .try_get(0)?;
    Ok(version.and_then(|version| u32::try_from(version).ok()))
}

/// Brings the schema up to date, and makes the indexes that are missing.
pub(super) async fn migrate(client: &mut Client, store: &str) -> Result<(), OpenError> {
    change_tables(client, store).await?;
    let making = async {
        let level = stands(client, "level").await?;
        indexes::make(client, Level::of(level.as_deref())).await
    };
    making.await.map_err(|trouble: Trouble| trouble.at_start(store))
}

/// Runs what migrations are missing, all in one transaction. No lock is taken: of two nodes that
/// start at once one fails on what the other has made, looks again, and finds it done.
async fn change_tables(client: &mut Client, store: &str) -> Result<(), OpenError> {
    let failed = |problem: String| OpenError::NotWritable {
        store: store.to_owned(),
        problem: format!(
            "its schema could not be brought up to date: {problem}; the role must own the database, or have CREATE in its schema"
        ),
    };
    let mut tries = 0;
    loop {
        let problem = match schema(client).await {
            // A newer one was looked at before.
            Ok(Some(found)) if found >= migrations::NEWEST => return Ok(()),
            Ok(found) => match run_missing(client, found.unwrap_or(0)).await {
                Ok(()) => return Ok(()),
                Err(error) => last_word(&error),
            },
            Err(trouble) => trouble.to_string(),
        };
        tries += 1;
        if tries == TRIES {
            return Err(failed(problem));
        }
        tracing::debug!(problem, "a migration did not come about; looking again");
        sleep(PAUSE).await;
    }
}

async fn run_missing(client: &mut Client, found: u32) -> Result<(), tokio_postgres::Error> {
    const NOW: &str = "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let transaction = client.transaction().await?;
    for script in migrations::missing(&migrations::POSTGRES, found, NOW) {
        transaction.batch_execute(&script).await?;
    }
    transaction.commit().await
}

/// What was at the bottom of an error: the database's own words, where there are some.
fn last_word(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Compares what the store is with what is wanted.
pub(super) async fn check(
    client: &Client,
    store: &str,
    options: &OpenOptions,
) -> Result<(), OpenError> {
    let read = async {
        let (mut kind, mut issuer, mut copying, mut moved_to) = (None, None, None, None);
        for row in client.query("SELECT key, value FROM meta WHERE key IN ('kind', 'issuer', 'copying', 'moved_to')", &[]).await? {
            let value: String = row.try_get(1)?;
            match row.try_get::<_, &str>(0)? {
                "kind" => kind = Some(value),
                "copying" => copying = Some(value),
                "moved_to" => moved_to = Some(value),
                _ => issuer = Some(value),
            }
        }
        Ok((kind, issuer, copying, moved_to))
    };
    let (kind, issuer, copying, moved_to) =
        read.await.map_err(|trouble: Trouble| trouble.at_start(store))?;
    if copying.is_some() {
        return Err(OpenError::Unfinished(store.to_owned()));
    }
    if let Some(found) = kind.filter(|found| found != options.kind.name()) {
        let (wanted, holder) = (options.kind.name(), options.holder.clone());
        return Err(OpenError::WrongKind { store: store.to_owned(), found, wanted, holder });
    }
    // A sandbox's too: other nodes may be serving it under that name.
    if let Some(found) = issuer.filter(|found| *found != options.issuer) {
        return Err(OpenError::OtherIssuer {
            store: store.to_owned(),
            found,
            wanted: options.issuer.clone(),
        });
    }
    moved_to.map_or(Ok(()), |to| Err(OpenError::Moved { store: store.to_owned(), to }))
}
