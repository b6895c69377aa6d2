//! What a database is: whose store, for what, of which schema. Several nodes may find it empty at once.

use super::connection::Connection;
use super::trouble::Trouble;
use crate::OpenOptions;
use crate::error::OpenError;
use refinery::embed_migrations;
use std::time::Duration;
use tokio::time::sleep;
use tokio_postgres::Client;

embed_migrations!("src/migrations/postgres");

/// How often a migration is tried again that another node's was in the way of.
const TRIES: usize = 40;
/// How long to wait between two.
const PAUSE: Duration = Duration::from_millis(250);

/// Brings the schema up to date and makes sure that the database is what it should be, or writes down what it is where it is new.
pub(super) async fn take(connection: &mut Connection, store: &str, options: &OpenOptions) -> Result<(), OpenError> {
    let failed = |trouble: Trouble| OpenError::Unreachable { store: store.to_owned(), problem: trouble.to_string() };
    let client = &mut connection.client;
    let found = schema(client).await.map_err(failed)?;
    match found {
        None if has_table(client, "meta").await.map_err(failed)? => return Err(foreign(store)),
        // Before anything of it is changed.
        Some(found) => {
            refuse_newer(found, store)?;
            check(client, store, options).await?;
        }
        None => {}
    }
    migrate(client, store).await?;
    let write = async {
        for (key, value) in [("kind", options.kind.name()), ("issuer", options.issuer.as_str()), ("epoch", "0"), ("changes", "0")] {
            client.execute("INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO NOTHING", &[&key, &value]).await?;
        }
        Ok(())
    };
    write.await.map_err(failed)?;
    // Another node may have written it first, and other things.
    check(client, store, options).await
}

/// The newest schema that this program knows.
pub(super) fn known_schema() -> u32 {
    let newest = migrations::runner().get_migrations().iter().map(|migration| migration.version()).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or(0)
}

/// The schema of a store that must be there already.
pub(super) async fn found_schema(client: &Client, store: &str) -> Result<u32, OpenError> {
    let found = schema(client).await.map_err(|trouble| trouble.at_start(store))?;
    let found = found.ok_or_else(|| OpenError::NoStore(store.to_owned()))?;
    refuse_newer(found, store).map(|()| found)
}

/// Makes the tables in a database where there are none, and brings those up to date that are.
pub(super) async fn make_tables(client: &mut Client, store: &str) -> Result<(), OpenError> {
    let failed = |trouble: Trouble| trouble.at_start(store);
    match schema(client).await.map_err(failed)? {
        None if has_table(client, "meta").await.map_err(failed)? => return Err(foreign(store)),
        found => refuse_newer(found.unwrap_or(0), store)?,
    }
    migrate(client, store).await
}

fn foreign(store: &str) -> OpenError {
    let problem = "there are tables of another program in it; give Counterfoil a database of its own".into();
    OpenError::Foreign { store: store.to_owned(), problem }
}

fn refuse_newer(found: u32, store: &str) -> Result<(), OpenError> {
    let known = known_schema();
    if found > known { Err(OpenError::Newer { store: store.to_owned(), found, known }) } else { Ok(()) }
}

async fn has_table(client: &Client, name: &str) -> Result<bool, Trouble> {
    Ok(client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]).await?.try_get(0)?)
}

/// The version of the schema; `None` where there is none yet.
async fn schema(client: &Client) -> Result<Option<u32>, Trouble> {
    if !has_table(client, "refinery_schema_history").await? {
        return Ok(None);
    }
    let version: Option<i32> = client.query_one("SELECT max(version) FROM refinery_schema_history", &[]).await?.try_get(0)?;
    Ok(version.and_then(|version| u32::try_from(version).ok()))
}

/// Runs what migrations are missing, all in one transaction. The library takes no lock: of two nodes that start at once one fails on what the
/// other has made, looks again, and finds it done.
pub(super) async fn migrate(client: &mut Client, store: &str) -> Result<(), OpenError> {
    let failed = |problem: String| OpenError::NotWritable {
        store: store.to_owned(),
        problem: format!(
            "its schema could not be brought up to date: {problem}; the role must own the database, or have CREATE in its schema"
        ),
    };
    let mut tries = 0;
    loop {
        let problem = match schema(client).await {
            Ok(Some(found)) if found >= known_schema() => return refuse_newer(found, store),
            Ok(_) => match migrations::runner().set_grouped(true).run_async(client).await {
                Ok(_) => return Ok(()),
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

/// What was at the bottom of an error: the database's own words, where there are some.
fn last_word(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Compares what the store is with what is wanted.
pub(super) async fn check(client: &Client, store: &str, options: &OpenOptions) -> Result<(), OpenError> {
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
        read.await.map_err(|trouble: Trouble| OpenError::Unreachable { store: store.to_owned(), problem: trouble.to_string() })?;
    if copying.is_some() {
        return Err(OpenError::Unfinished(store.to_owned()));
    }
    if let Some(found) = kind.filter(|found| found != options.kind.name()) {
        let (wanted, holder) = (options.kind.name(), options.holder.clone());
        return Err(OpenError::WrongKind { store: store.to_owned(), found, wanted, holder });
    }
    // A sandbox's too: other nodes may be serving it under that name.
    if let Some(found) = issuer.filter(|found| *found != options.issuer) {
        return Err(OpenError::OtherIssuer { store: store.to_owned(), found, wanted: options.issuer.clone() });
    }
    moved_to.map_or(Ok(()), |to| Err(OpenError::Moved { store: store.to_owned(), to }))
}
