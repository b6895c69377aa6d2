//! What the store knows of time, and rows that a wrong clock has dated ahead.

use counterfoil_core::clock::{Database, HOUR, SKEW, Seconds, StoreTime, Timestamp};
use counterfoil_core::grant::GrantId;
use futures_util::FutureExt as _;

use super::Postgres;
use super::endings_log::note_written;
use super::row::Columns;
use super::shared::{changed, meta, set_meta};
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::limits::SURVEYED_AT_ONCE;
use crate::pending::Pending;
use crate::record::SweepTime;
use crate::times::Repaired;

/// Where the moment is kept that was last noted.
const NEWEST: &str = "newest_moment";
/// Where it is kept how far the database's clock was behind when the operator accepted that.
const ACCEPTED: &str = "clock_accepted";
/// What the database's clock shows, in milliseconds since 1970.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Forgets what was accepted, once the database's clock agrees with the present moment again.
const FORGET_ACCEPTED: &str = "DELETE FROM meta WHERE key = 'clock_accepted' AND abs(extract(epoch FROM clock_timestamp())::bigint - $1) <= $2";

/// What the store knows of time, in one row. A sandbox's grants are dated by a clock that was
/// moved, and say nothing.
pub(super) const KNOWN: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
    (SELECT value::bigint FROM meta WHERE key = 'clock_accepted'), (SELECT value::bigint FROM meta WHERE key = 'newest_moment'), \
    CASE kind.value WHEN 'live' THEN (SELECT max(grant_id) FROM terms) END, CASE kind.value WHEN 'live' THEN (SELECT max(hour) FROM audit) END, \
    CASE kind.value WHEN 'live' THEN greatest((SELECT max(created_at) FROM client), (SELECT max(last_used_at) FROM client_secret)) END \
    FROM meta AS kind WHERE kind.key = 'kind'";

/// (S) The latest moment that may be swept by: the present one, if the database has it too.
pub(super) async fn sweep_by(write: &mut Write<'_>, time: SweepTime) -> Result<Timestamp, Trouble> {
    let database = clock(write).await?;
    let accepted: i64 =
        meta(write, ACCEPTED).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(latest(Database { wall: database, accepted }, time))
}

/// The same, of a clock that was read.
pub(super) fn latest(database: Database, time: SweepTime) -> Timestamp {
    let shown =
        Timestamp::from_unix(database.wall.saturating_add(database.accepted).div_euclid(1000));
    shown.plus(time.ahead).min(time.now)
}

async fn clock(write: &mut Write<'_>) -> Result<i64, Trouble> {
    let row = write.row(CLOCK, &[]).await?;
    row.map_or(Err(Trouble::Late), |row| Columns::of(&row, "clock").get(0))
}

/// Reads the row of [`KNOWN`].
pub(super) fn known(columns: &Columns<'_>) -> Result<StoreTime, Trouble> {
    let number = |at| columns.get::<Option<i64>>(at);
    let of_grant = number(3)?.and_then(GrantId::from_number).map(GrantId::made_at);
    // Of a store that was last used by a version that noted nothing.
    let of_rows =
        of_grant.max(number(4)?.map(|hour| Timestamp::from_unix(hour.saturating_mul(HOUR))));
    let of_rows = of_rows.max(number(5)?.map(Timestamp::from_unix));
    let database = Database { wall: columns.get(0)?, accepted: number(1)?.unwrap_or(0) };
    Ok(StoreTime {
        newest: number(2)?.map(Timestamp::from_unix).or(of_rows),
        database: Some(database),
    })
}

/// Notes what time it is, and up to where a node's endings are on disk.
async fn note(
    write: &mut Write<'_>,
    now: Timestamp,
    written: Option<&(String, i64)>,
) -> Result<(), Trouble> {
    set_meta(write, NEWEST, &now.unix().to_string()).await?;
    if let Some((node, written)) = written {
        note_written(write, node, *written).await?;
    }
    // What was accepted while the database's clock was wrong must not stand for another difference
    // later.
    write.execute(FORGET_ACCEPTED, &[&now.unix(), &SKEW]).await.map(drop)
}

impl Postgres {
    pub(crate) async fn known_time(&self) -> Result<StoreTime, StoreError> {
        let rows = self.rows(KNOWN, &[]).await?;
        rows.first().map_or(Ok(StoreTime::default()), |row| {
            known(&Columns::of(row, "meta")).map_err(StoreError::from)
        })
    }

    pub(crate) fn note_time(&self, now: Timestamp) -> Pending<()> {
        let inner = self.inner.clone();
        self.begin(async move {
            let written = match inner.node() {
                Some(node) => Some((node.id.clone(), inner.settle_journal().await?)),
                None => None,
            };
            let arguments = (now, written);
            inner
                .write(
                    &arguments,
                    |write, (now, written)| note(write, *now, written.as_ref()).boxed(),
                    false,
                )
                .await
        })
    }

    pub(crate) fn accept_clock(&self, wall: i64) -> Pending<()> {
        self.write(wall, |write, wall| {
            async move {
                let behind = wall.saturating_sub(clock(write).await?);
                set_meta(write, ACCEPTED, &behind.to_string()).await?;
                set_meta(write, NEWEST, &wall.div_euclid(1000).to_string()).await
            }
            .boxed()
        })
    }

    pub(crate) fn repair_counterfoils(
        &self,
        after: i64,
        now: Timestamp,
    ) -> Pending<(u64, Option<i64>)> {
        self.write((after, now), |write, (after, now)| {
            async move {
                let end = "SELECT grant_id FROM counterfoil WHERE grant_id > $1 ORDER BY grant_id LIMIT 1 OFFSET $2";
                let last = write.row(end, &[after, &i64::from(SURVEYED_AT_ONCE)]).await?;
                let last: Option<i64> = last.map(|row| Columns::of(&row, "counterfoil").get(0)).transpose()?;
                let repair = "UPDATE counterfoil SET expires_at = expires_at - (redeemed_at - $3), redeemed_at = $3 \
                    WHERE grant_id > $1 AND grant_id <= $2 AND redeemed_at > $4";
                let (until, now, ahead) = (last.unwrap_or(i64::MAX), now.unix(), now.plus(SKEW).unix());
                Ok((write.execute(repair, &[after, &until, &now, &ahead]).await?, last))
            }
            .boxed()
        })
    }

    pub(crate) fn repair_dates(&self, now: Timestamp) -> Pending<Repaired> {
        self.write(now, |write, now| repair_dates(write, *now).boxed())
    }
}

async fn repair_dates(write: &mut Write<'_>, at: Timestamp) -> Result<Repaired, Trouble> {
    let (now, ahead) = (at.unix(), at.plus(SKEW).unix());
    let mut changed_rows = [0; 8];
    for (count, sql) in changed_rows.iter_mut().zip([
        "UPDATE ending SET at = $1 WHERE at > $2",
        "UPDATE client SET created_at = $1 WHERE created_at > $2",
        "UPDATE client_secret SET created_at = least(created_at, $1), last_used_at = least(last_used_at, $1) \
            WHERE created_at > $2 OR last_used_at > $2",
        "UPDATE customer SET created_at = $1 WHERE created_at > $2",
        "UPDATE removal SET at = $1 WHERE at > $2",
        "DELETE FROM session WHERE authenticated_at > $2 AND $1::bigint > 0",
        "DELETE FROM sign_in_failure WHERE at > $2 AND $1::bigint > 0",
        "DELETE FROM sign_in_turn WHERE at > $2 AND $1::bigint > 0",
    ]) {
        *count = write.execute(sql, &[&now, &ahead]).await?;
    }
    let [ended, clients, secrets, customers, removals, sessions, sign_in_failures, _] =
        changed_rows;
    // A grant that was given ahead of time has an id that says so, and no index is needed to find
    // it.
    let terms = "UPDATE terms SET expires_at = expires_at - (created_at - $1), authenticated_at = least(authenticated_at, $1), created_at = $1 \
        WHERE grant_id > $3 AND created_at > $2";
    let given = write.execute(terms, &[&now, &ahead, &GrantId::new(at, [0; 4]).number()]).await?;
    let from = meta(write, "bearers_from").await?.and_then(|text| text.parse::<Seconds>().ok());
    let bearers_from = from.is_some_and(|from| from > ahead);
    if bearers_from {
        set_meta(write, "bearers_from", &now.to_string()).await?;
    }
    set_meta(write, NEWEST, &now.to_string()).await?;
    changed(write).await?;
    Ok(Repaired {
        grants: given + ended,
        clients: clients + secrets,
        customers: customers + removals,
        sessions,
        sign_in_failures,
        bearers_from,
    })
}
