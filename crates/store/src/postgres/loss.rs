//! Removals, which end many grants at once, and what is done about endings that the database has forgotten.

use super::Postgres;
use super::grants::end;
use super::row::Columns;
use super::shared::{changed, meta, set_meta};
use super::trouble::Trouble;
use super::write::Write;
use crate::error::StoreError;
use crate::journal::Line;
use crate::loss::LossDeclared;
use crate::pending::Pending;
use crate::record::Ending;
use crate::removed::Removed;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use futures_util::FutureExt as _;

/// Removes a client or customer with what hangs on it. Its era is raised, the work of ending its grants one by one is written down, and all checks at all
/// nodes refuse them once this is committed.
pub(super) async fn remove(write: &mut Write<'_>, who: &Removed, now: Timestamp) -> Result<bool, Trouble> {
    let [client, provider, customer] = who.name();
    let era: u32 = if delete(write, who).await? {
        let raise =
            "INSERT INTO era VALUES ($1, $2, $3, 1) ON CONFLICT (client, provider, customer) DO UPDATE SET era = era.era + 1 RETURNING era";
        let Some(raised) = write.row(raise, &[&client, &provider, &customer]).await? else { return Ok(false) };
        let era: i64 = Columns::of(&raised, "era").get(0)?;
        note(write, who, now, era).await?;
        Columns::of(&raised, "era").number(0)?
    } else if write.again {
        // The first try may have been committed after all. Raising nothing and noting what stands is right either way.
        let stands = "SELECT era FROM era WHERE client = $1 AND provider = $2 AND customer = $3";
        match write.row(stands, &[&client, &provider, &customer]).await? {
            Some(row) => Columns::of(&row, "era").number(0)?,
            None => return Ok(false),
        }
    } else {
        return Ok(false);
    };
    write.lines.push(who.line(now, era));
    changed(write).await.map(|()| true)
}

/// Takes a client or customer away with what hangs on it; false where there is none.
async fn delete(write: &mut Write<'_>, who: &Removed) -> Result<bool, Trouble> {
    let gone = match who {
        Removed::Client(id) => {
            let gone = write.execute("DELETE FROM client WHERE client_id = $1", &[id]).await?;
            write.execute("DELETE FROM client_secret WHERE client_id = $1", &[id]).await?;
            gone
        }
        Removed::Customer(CustomerId { provider, customer }) => {
            let gone = write.execute("DELETE FROM customer WHERE provider = $1 AND customer = $2", &[provider, customer]).await?;
            write.execute("DELETE FROM session WHERE provider = $1 AND customer = $2", &[provider, customer]).await?;
            gone
        }
    };
    Ok(gone == 1)
}

/// Writes down that the grants of earlier eras are to be ended one by one.
async fn note(write: &mut Write<'_>, who: &Removed, now: Timestamp, era: i64) -> Result<(), Trouble> {
    let [client, provider, customer] = who.name();
    let note = "INSERT INTO removal (at, client, provider, customer, era, done_up_to, done) VALUES ($1, $2, $3, $4, $5, 0, false)";
    write.execute(note, &[&now.unix(), &client, &provider, &customer, &era]).await.map(drop)
}

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
        Line::Grant { at, grant, by } => {
            return Ok(match end(write, *grant, *by, *at).await? {
                Ending::Ended => Applied::TookEffect,
                Ending::AlreadyEnded => Applied::Known,
                Ending::NotFound => Applied::NoGrant,
            });
        }
        Line::Client { at, client, era } => (Removed::Client(client.clone()), *at, i64::from(*era)),
        Line::Customer { at, customer, era } => (Removed::Customer(customer.clone()), *at, i64::from(*era)),
        Line::Lost { bearers_from } => return refuse_before(write, *bearers_from).await,
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

/// Has bearers refused that were issued before `from`, if those before a later moment are not already.
async fn refuse_before(write: &mut Write<'_>, from: Timestamp) -> Result<Applied, Trouble> {
    let stands = meta(write, "bearers_from").await?.and_then(|text| text.parse().ok()).map(Timestamp::from_unix);
    if stands.is_some_and(|stands| stands >= from) {
        // The first try may have been committed after all.
        write.lines.extend(write.again.then_some(Line::Lost { bearers_from: from }));
        return Ok(Applied::Known);
    }
    set_meta(write, "bearers_from", &from.unix().to_string()).await?;
    write.lines.push(Line::Lost { bearers_from: from });
    changed(write).await.map(|()| Applied::TookEffect)
}

impl Postgres {
    pub(crate) fn apply_endings(&self, lines: Vec<Line>) -> Pending<LossDeclared> {
        self.write(lines, |write, lines| {
            async move {
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

    pub(crate) fn raise_epoch(&self, lost_before: Option<Timestamp>) -> Pending<(u32, Option<Timestamp>)> {
        self.write(lost_before, |write, lost_before| {
            async move {
                write.execute("DELETE FROM session", &[]).await?;
                if let Some(from) = lost_before {
                    refuse_before(write, *from).await?;
                }
                write.execute("UPDATE meta SET value = (value::integer + 1)::text WHERE key = 'epoch'", &[]).await?;
                changed(write).await?;
                let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
                let epoch = number(meta(write, "epoch").await?).and_then(|epoch| u32::try_from(epoch).ok()).unwrap_or(0);
                Ok((epoch, number(meta(write, "bearers_from").await?).map(Timestamp::from_unix)))
            }
            .boxed()
        })
    }

    pub(crate) async fn bearers_from(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.meta("bearers_from").await?.and_then(|text| text.parse().ok()).map(Timestamp::from_unix))
    }
}
