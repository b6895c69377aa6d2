//! What the store knows of the endings logs of its nodes.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_postgres::Row;

use super::connection::Connection;
use super::row::Columns;
use super::trouble::Trouble;
use super::write::Write;
use super::{Inner, Postgres};
use crate::agreement::{Held, OnDifference, around, look};
use crate::endings_log::{KnownLog, Place};
use crate::error::{OpenError, StoreError};
use crate::journal::Numbered;
use crate::pending::Pending;

/// The key in `meta` under which a node says that the store went back in time, by its own log. A
/// declared loss takes it away.
pub(super) const FORGOT: &str = "forgot";

/// The node that this process is, and where its endings log lies.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) place: Place,
}

const KNOWN: &str = "SELECT node, line, written, host, path FROM endings_log ORDER BY node";

/// The logs that the store knows.
pub(super) async fn known(connection: &mut Connection) -> Result<Vec<KnownLog>, Trouble> {
    connection.rows(KNOWN, &[]).await?.iter().map(row).collect()
}

fn row(row: &Row) -> Result<KnownLog, Trouble> {
    let columns = Columns::of(row, "endings_log");
    Ok(KnownLog {
        node: columns.get(0)?,
        line: columns.get(1)?,
        written: columns.get(2)?,
        host: columns.get(3)?,
        path: columns.get(4)?,
    })
}

/// Holds the log at `path` against the store.
pub(super) async fn hold(
    connection: &mut Connection,
    path: &Path,
    (store, id): (&str, &str),
    on_difference: OnDifference,
) -> Result<Held, OpenError> {
    let failed = |trouble: Trouble| trouble.at_start(store);
    let before = known(connection).await.map_err(failed)?;
    let found = look(path)?;
    let known = around(&before, known(connection).await.map_err(failed)?);
    let is_said =
        connection.rows("SELECT FROM meta WHERE key = $1", &[&FORGOT]).await.map_err(failed)?;
    let is_said = !is_said.is_empty();
    let held = Held::against((path, &found), (store, id, &known), on_difference, true);
    if is_said && on_difference != OnDifference::DeclareLoss {
        return Err(OpenError::StoreIsSaidToForget { store: store.to_owned() });
    }
    held
}

/// Notes where a node's log lies now.
pub(super) async fn note_place(
    connection: &mut Connection,
    Node { id, place }: &Node,
) -> Result<(), Trouble> {
    let note = "UPDATE endings_log SET host = $2, path = $3 WHERE node = $1 AND (host <> $2 OR path <> $3)";
    connection.client.execute(note, &[id, &place.host, &place.path()]).await?;
    Ok(())
}

/// Says that the store went back in time, for all nodes to refuse it; whether or not that can be
/// written.
pub(super) async fn say_that_it_forgot(connection: &Connection, node: &str) {
    let say = "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
    if let Err(error) = connection.client.execute(say, &[&FORGOT, &node]).await {
        tracing::warn!(%error, "the other nodes could not be told that the store has forgotten endings");
    }
}

/// Gives lines their numbers in the log of `node`, in the transaction of what they say: as its last
/// statement, since the row is locked until the commit, and another ending of this node waits.
/// Those that a write says again get none.
pub(super) async fn number(
    write: &mut Write<'_>,
    node: Option<&Node>,
    written: i64,
) -> Result<Vec<Numbered>, Trouble> {
    let (lines, says_again) = (std::mem::take(&mut write.lines), write.says_again);
    let Some(Node { id, place }) = node.filter(|_| !(lines.is_empty() || says_again)) else {
        return Ok(lines.into_iter().map(Numbered::again).collect());
    };
    let count = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    let number = "INSERT INTO endings_log VALUES ($1, $2, $3, $4, $5) ON CONFLICT (node) DO UPDATE \
        SET line = endings_log.line + excluded.line, written = greatest(endings_log.written, excluded.written) RETURNING line";
    let row = write.row(number, &[id, &count, &written, &place.host, &place.path()]).await?;
    let last: i64 =
        row.map_or(Err(Trouble::Late), |row| Columns::of(&row, "endings_log").get(0))?;
    Ok((last - count + 1..)
        .zip(lines)
        .map(|(line, says)| Numbered { says, line: Some(line) })
        .collect())
}

/// Has the store know of all lines of a node up to `line`: they were applied.
pub(super) async fn reaches(write: &mut Write<'_>, node: &str, line: i64) -> Result<(), Trouble> {
    let reach = "INSERT INTO endings_log VALUES ($1, $2, $2, '', '') ON CONFLICT (node) DO UPDATE \
        SET line = greatest(endings_log.line, excluded.line), written = greatest(endings_log.written, excluded.written)";
    write.execute(reach, &[&node, &line]).await.map(drop)
}

/// The last number that was given to a line of a node.
pub(super) async fn last(write: &mut Write<'_>, node: &str) -> Result<i64, Trouble> {
    let row = write.row("SELECT line FROM endings_log WHERE node = $1", &[&node]).await?;
    row.map_or(Ok(0), |row| Columns::of(&row, "endings_log").get(0))
}

/// Notes up to where a node's lines are on disk.
pub(super) async fn note_written(
    write: &mut Write<'_>,
    node: &str,
    written: i64,
) -> Result<(), Trouble> {
    write
        .execute(
            "UPDATE endings_log SET written = $2 WHERE node = $1 AND written < $2",
            &[&node, &written],
        )
        .await
        .map(drop)
}

/// What a node has seen of the store's past: a store that says less has forgotten something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Past {
    /// How often a loss was declared.
    pub(super) epoch: i64,
    /// The lines of all logs that the store knows.
    pub(super) lines: i64,
}

/// What the store says of its past.
pub(super) const READ_PAST: &str = "SELECT (SELECT value::bigint FROM meta WHERE key = 'epoch'), (SELECT coalesce(sum(line), 0)::bigint FROM endings_log)";

impl Past {
    /// What the store says now; nothing where it is being made.
    pub(super) async fn read(connection: &mut Connection) -> Result<Option<Self>, Trouble> {
        let rows = connection.rows(READ_PAST, &[]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let columns = Columns::of(row, "endings_log");
        Ok(columns
            .get::<Option<i64>>(0)?
            .zip(columns.get(1)?)
            .map(|(epoch, lines)| Self { epoch, lines }))
    }
}

impl Inner {
    /// Writes what waits in the journal, and looks whether the file was rolled; gives up to where
    /// lines are on disk.
    pub(super) async fn settle_journal(self: &Arc<Self>) -> Result<i64, StoreError> {
        self.with_journal(|journal| {
            journal.write()?;
            journal.look_for_others_lines()?;
            Ok(journal.written())
        })
        .await
    }

    /// Says in the journal that it has all that the store knows, up to `line`.
    pub(super) async fn journal_reaches(self: &Arc<Self>, line: i64) -> Result<(), StoreError> {
        self.with_journal(move |journal| {
            journal.reaches(line);
            journal.flush()
        })
        .await
    }

    pub(super) fn node(&self) -> Option<&Node> {
        self.connector.node.get()
    }
}

impl Postgres {
    pub(crate) async fn id(&self) -> Result<String, StoreError> {
        Ok(self.meta("id").await?.unwrap_or_default())
    }

    pub(crate) async fn endings_logs(&self) -> Result<Vec<KnownLog>, StoreError> {
        let rows = self.rows(KNOWN, &[]).await?;
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }

    pub(crate) fn settle_endings(&self) -> Pending<()> {
        let inner = self.inner.clone();
        self.begin(async move {
            let Some(node) = inner.node().cloned() else {
                return Ok(());
            };
            let written = inner.settle_journal().await?;
            let arguments = (node.id, written);
            inner
                .write(
                    &arguments,
                    |write, (node, written)| note_written(write, node, *written).boxed(),
                    false,
                )
                .await
        })
    }
}
