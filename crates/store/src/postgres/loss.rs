//! What is done about endings that the database has forgotten, and about a loss that is declared.

use std::collections::BTreeMap;

use counterfoil_core::clock::Timestamp;
use futures_util::FutureExt as _;

use super::Postgres;
use super::endings::all_endings;
use super::endings_log;
use super::era::{delete, note};
use super::grants::end;
use super::shared::{changed, meta, set_meta};
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::journal::{Line, Numbered};
use crate::loss::LossDeclared;
use crate::pending::Pending;
use crate::record::Ending;
use crate::removed::Removed;

/// What became of an ending that is applied again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Applied {
    /// The store had forgotten it.
    TookEffect,
    /// The store knows it.
    Known,
    /// The store knows no such grant.
    NoGrant,
}

impl Applied {
    pub(super) fn took_effect(self) -> bool {
        self == Self::TookEffect
    }
}

/// Applies an ending that was acknowledged. Applying it twice does nothing.
pub(super) async fn apply(write: &mut Write<'_>, line: &Line) -> Result<Applied, Trouble> {
    let (who, at, era) = match line {
        Line::Grant { at, grant, by, .. } => {
            return Ok(match end(write, *grant, *by, *at).await? {
                Ending::Ended => Applied::TookEffect,
                Ending::AlreadyEnded => Applied::Known,
                Ending::NotFound => Applied::NoGrant,
            });
        }
        Line::Client { at, client, era } => (Removed::Client(client.clone()), *at, i64::from(*era)),
        Line::Customer { at, customer, era } => {
            (Removed::Customer(customer.clone()), *at, i64::from(*era))
        }
        Line::Lost { bearers_from } => return refuse_before(write, *bearers_from).await,
        Line::Opened { .. } => return Ok(Applied::Known),
    };
    let [client, provider, customer] = who.name();
    let raise = "INSERT INTO era VALUES ($1, $2, $3, $4) ON CONFLICT (client, provider, customer) DO UPDATE SET era = excluded.era \
        WHERE era.era < excluded.era";
    if write.execute(raise, &[&client, &provider, &customer, &era]).await? == 0 {
        return Ok(Applied::Known);
    }
    delete(write, &who).await?;
    note(write, &who, at, era).await?;
    write.lines.push(line.clone());
    changed(write).await.map(|()| Applied::TookEffect)
}

/// Has bearers refused that were issued before `from`, if those before a later moment are not
/// already.
pub(super) async fn refuse_before(
    write: &mut Write<'_>,
    from: Timestamp,
) -> Result<Applied, Trouble> {
    let stands = meta(write, "bearers_from")
        .await?
        .and_then(|text| text.parse().ok())
        .map(Timestamp::from_unix);
    if stands.is_some_and(|stands| stands >= from) {
        // The first try may have been committed after all.
        write.lines.extend(write.again.then_some(Line::Lost { bearers_from: from }));
        return Ok(Applied::Known);
    }
    set_meta(write, "bearers_from", &from.unix().to_string()).await?;
    write.lines.push(Line::Lost { bearers_from: from });
    changed(write).await.map(|()| Applied::TookEffect)
}

/// Raises the epoch; gives it, before when bearers are refused, and the last line of this node's
/// journal. All lines of the nodes' journals up to where they `reach` were applied.
async fn raise(
    write: &mut Write<'_>,
    lost_before: Option<Timestamp>,
    reach: &BTreeMap<String, i64>,
    node: Option<&str>,
) -> Result<((u32, Option<Timestamp>), i64), Trouble> {
    write.says_again = true;
    write.execute("DELETE FROM session", &[]).await?;
    if let Some(from) = lost_before {
        refuse_before(write, from).await?;
    }
    for (node, line) in reach {
        endings_log::reaches(write, node, *line).await?;
    }
    write.execute("DELETE FROM meta WHERE key = $1", &[&endings_log::FORGOT]).await?;
    write
        .execute("UPDATE meta SET value = (value::integer + 1)::text WHERE key = 'epoch'", &[])
        .await?;
    changed(write).await?;
    let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
    let epoch = number(meta(write, "epoch").await?)
        .and_then(|epoch| u32::try_from(epoch).ok())
        .unwrap_or(0);
    let bearers_from = number(meta(write, "bearers_from").await?).map(Timestamp::from_unix);
    let last = match node {
        Some(node) => endings_log::last(write, node).await?,
        None => 0,
    };
    Ok(((epoch, bearers_from), last))
}

/// Has bearers refused that were issued until now; gives the last line of a node's log.
async fn accept(write: &mut Write<'_>, now: Timestamp, node: &str) -> Result<i64, Trouble> {
    write.says_again = true;
    refuse_before(write, now).await?;
    endings_log::last(write, node).await
}

impl Postgres {
    pub(crate) fn apply_endings(&self, lines: Vec<Line>) -> Pending<LossDeclared> {
        self.write(lines, |write, lines| {
            async move {
                write.says_again = true;
                let mut counted = LossDeclared::default();
                for line in lines {
                    *match apply(write, line).await? {
                        Applied::TookEffect => &mut counted.applied,
                        Applied::Known => &mut counted.known,
                        Applied::NoGrant => &mut counted.unknown,
                    } += 1;
                }
                Ok(counted)
            }
            .boxed()
        })
    }

    pub(crate) fn raise_epoch(
        &self,
        lost_before: Option<Timestamp>,
        reach: BTreeMap<String, i64>,
    ) -> Pending<(u32, Option<Timestamp>)> {
        let inner = self.inner.clone();
        let node = self.inner.node().map(|node| node.id.clone());
        self.begin(async move {
            let arguments = (lost_before, reach, node);
            let (raised, last) = inner
                .write(
                    &arguments,
                    |write, (lost_before, reach, node)| {
                        raise(write, *lost_before, reach, node.as_deref()).boxed()
                    },
                    false,
                )
                .await?;
            inner.journal_reaches(last).await.map(|()| raised)
        })
    }

    pub(crate) fn accept_lost_endings(&self, now: Timestamp) -> Pending<()> {
        let inner = self.inner.clone();
        let node = self.inner.node().cloned().filter(|_| self.endings_differ);
        self.begin(async move {
            let Some(node) = node else { return Ok(()) };
            let last = inner
                .write(
                    &(now, node.id),
                    |write, (now, node)| accept(write, *now, node).boxed(),
                    false,
                )
                .await?;
            let mut connection = inner.connector.connect().await?;
            let endings: Vec<Line> = all_endings(&mut connection).await?;
            inner.flush_journal(endings.into_iter().map(Numbered::again).collect()).await?;
            inner.journal_reaches(last).await
        })
    }

    pub(crate) async fn bearers_from(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self
            .meta("bearers_from")
            .await?
            .and_then(|text| text.parse().ok())
            .map(Timestamp::from_unix))
    }
}
