//! Redeeming slips in batches. One statement is the gate for all of a batch, by primary key alone;
//! what does not pass is settled one by one, on its own row, under its lock.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_core::clock::SKEW;
use counterfoil_core::grant::GrantId;
use counterfoil_core::verdict::Presentation;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_postgres::types::ToSql;

use super::batch::{Batched, Lost, enqueue, in_time};
use super::connection::Connection;
use super::grants::{audit, end};
use super::row::Columns;
use super::trouble::Trouble;
use super::write::Write;
use super::{Inner, Postgres};
use crate::audit::Event;
use crate::columns::{COUNTERFOIL_COLUMNS, counterfoil_columns};
use crate::error::StoreError;
use crate::pending::Pending;
use crate::redeem::{Aftermath, Redeem, Redeemed, Settled, Tearing};

/// How often a batch that met a conflict is sent again as a whole, before each of it is settled
/// alone.
const TRIES: usize = 3;

/// The gate: passes for the next slips of living grants, in time, and for no others. The arrays are
/// ordered by grant, so that the rows are locked in one order at every node as a rule; where the
/// database chooses another, a deadlock is one more conflict. No grant is in them twice, since such
/// a row would be updated once and the other slip vanish.
pub(super) const GATE: &str = "UPDATE counterfoil SET next_slip = slip.number + 1, expires_at = slip.expires_at, claim = slip.claim, \
    redeemed_at = slip.now, slip_key = slip.slip_key, epoch = (SELECT value::integer FROM meta WHERE key = 'epoch') \
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[], $7::integer[], \
        $8::text[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[]) WITH ORDINALITY \
        AS slip (grant_id, seal, number, expires_at, claim, now, slip_key, client, client_era, provider, customer, customer_era, parent, place) \
    WHERE counterfoil.grant_id = slip.grant_id AND counterfoil.seal = slip.seal AND counterfoil.next_slip = slip.number \
        AND NOT counterfoil.ended AND counterfoil.expires_at > slip.now \
        AND NOT EXISTS (SELECT FROM era WHERE era.client = slip.client AND era.provider = '' AND era.customer = '' \
            AND era.era <> slip.client_era) \
        AND NOT EXISTS (SELECT FROM era WHERE era.client = '' AND era.provider = slip.provider AND era.customer = slip.customer \
            AND era.era <> slip.customer_era) \
        AND (slip.parent IS NULL OR (SELECT NOT above.ended FROM counterfoil AS above WHERE above.grant_id = slip.parent)) \
    RETURNING slip.place";

/// The row that a verdict is taken on, under its lock, with the store's epoch, the eras of its
/// client and customer, and whether what it hangs on lives.
const LOCK: &str = concat!(
    "SELECT ",
    counterfoil_columns!(),
    ", (SELECT value::integer FROM meta WHERE key = 'epoch'), \
     coalesce((SELECT era FROM era WHERE client = $2 AND provider = '' AND customer = ''), 0), \
     coalesce((SELECT era FROM era WHERE client = '' AND provider = $3 AND customer = $4), 0), \
     $5::bigint IS NULL OR coalesce((SELECT NOT above.ended FROM counterfoil AS above WHERE above.grant_id = $5), false) \
     FROM counterfoil WHERE grant_id = $1 FOR UPDATE"
);

/// Moves a row on whose lock is held and whose verdict was taken.
const MOVE_ON: &str = "UPDATE counterfoil SET next_slip = $2, expires_at = $3, claim = $4, redeemed_at = $5, slip_key = $6, epoch = $7 \
    WHERE grant_id = $1";

/// A slip that waits to be redeemed.
pub(super) struct Job {
    redeem: Redeem,
    reply: oneshot::Sender<Result<Redeemed, StoreError>>,
}

impl Postgres {
    pub(crate) fn redeem(&self, redeem: Redeem) -> Pending<Redeemed> {
        if !self.inner.let_in() {
            return Pending::refused(StoreError::Overloaded);
        }
        let (reply, pending) = Pending::open();
        if let Err((_, error)) = enqueue(&self.redeemer, Job { redeem, reply }) {
            self.inner.waiting.fetch_sub(1, Ordering::Relaxed);
            return Pending::refused(error);
        }
        pending
    }
}

impl Job {
    fn answer(self, inner: &Inner, answer: Result<Redeemed, StoreError>) {
        inner.waiting.fetch_sub(1, Ordering::Relaxed);
        // The caller may have gone away; the write stands all the same.
        let _ = self.reply.send(answer);
    }

    /// Finds out what becomes of it by itself, on a connection of the pool.
    fn settle(self, inner: &Arc<Inner>, again: bool) {
        let inner = inner.clone();
        tokio::spawn(async move {
            // A flood of replays must leave connections to others. The turns are never closed, so
            // this gives one.
            let _turn = inner.settling.acquire().await;
            let answer = inner
                .write(&self.redeem, |write, redeem| settle(write, redeem).boxed(), again)
                .await;
            self.answer(&inner, answer);
        });
    }
}

impl Batched for Job {
    fn choose(inner: &Inner, waiting: &mut Vec<Self>) -> Vec<Self> {
        let most = inner.connector.address().batch;
        let mut grants = HashSet::with_capacity(waiting.len().min(most));
        let (mut batch, mut later) = (Vec::with_capacity(waiting.len().min(most)), Vec::new());
        for job in waiting.drain(..) {
            match batch.len() < most && grants.insert(job.redeem.presented.slip.grant) {
                true => batch.push(job),
                false => later.push(job),
            }
        }
        *waiting = later;
        batch.sort_unstable_by_key(|job| job.redeem.presented.slip.grant);
        batch
    }

    fn send<'a>(
        inner: &'a Arc<Inner>,
        connection: &'a mut Connection,
        batch: Vec<Self>,
    ) -> BoxFuture<'a, Result<(), Lost<Self>>> {
        async move {
            inner.counts.redeem_batches.add(1);
            inner.counts.redeem_batched.add(batch.len());
            let mut tries = 0;
            let passed = loop {
                tries += 1;
                match in_time(pass(connection, &batch)).await {
                    Ok(passed) => break passed,
                    Err(trouble) if trouble.is_conflict() && tries < TRIES => {
                        inner.counts.retries.add(1)
                    }
                    // Each by itself, then, so that only those wait who must.
                    Err(trouble) if trouble.is_conflict() || trouble.is_locked() => {
                        break HashSet::new();
                    }
                    Err(trouble) => {
                        return Err(Lost { jobs: batch, trouble, sent: true });
                    }
                }
            };
            inner.counts.commits.add(1);
            for (place, job) in batch.into_iter().enumerate() {
                match passed.contains(&place) {
                    true => {
                        let torn = Redeemed::Torn(job.redeem.torn(Tearing::InTurn));
                        job.answer(inner, Ok(torn));
                    }
                    false => job.settle(inner, false),
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn after_loss(inner: &Arc<Inner>, lost: Lost<Self>) -> Vec<Self> {
        if lost.sent && lost.trouble.leaves_in_doubt() {
            inner.counts.unknown_outcomes.add(lost.jobs.len());
        }
        for job in lost.jobs {
            job.settle(inner, lost.sent);
        }
        Vec::new()
    }
}

/// Sends a batch through the gate. Gives the places of those that passed.
async fn pass(connection: &mut Connection, batch: &[Job]) -> Result<HashSet<usize>, Trouble> {
    let of = || batch.iter().map(|job| &job.redeem);
    let grants: Vec<i64> = of().map(|redeem| redeem.presented.slip.grant.number()).collect();
    let seals: Vec<&[u8]> =
        of().map(|redeem| redeem.presented.slip.seal.expose().as_slice()).collect();
    let numbers: Vec<i64> = of().map(number).collect();
    let expiries: Vec<i64> = of().map(|redeem| redeem.successor_expires_at.unix()).collect();
    let claims: Vec<&[u8]> =
        of().map(|redeem| redeem.presented.claim.as_bytes().as_slice()).collect();
    let nows: Vec<i64> = of().map(|redeem| redeem.presented.now.unix()).collect();
    let keys: Vec<i32> = of().map(|redeem| redeem.slip_key.0.into()).collect();
    let clients: Vec<&str> = of().map(|redeem| &*redeem.terms.client).collect();
    let client_eras: Vec<i64> = of().map(|redeem| redeem.terms.client_era.into()).collect();
    let providers: Vec<&str> = of().map(|redeem| redeem.terms.customer.provider.as_str()).collect();
    let customers: Vec<&str> = of().map(|redeem| redeem.terms.customer.customer.as_str()).collect();
    let customer_eras: Vec<i64> = of().map(|redeem| redeem.terms.customer_era.into()).collect();
    let parents: Vec<Option<i64>> =
        of().map(|redeem| redeem.terms.parent.map(GrantId::number)).collect();
    let parameters: [&(dyn ToSql + Sync); 13] = [
        &grants,
        &seals,
        &numbers,
        &expiries,
        &claims,
        &nows,
        &keys,
        &clients,
        &client_eras,
        &providers,
        &customers,
        &customer_eras,
        &parents,
    ];
    let mut passed = HashSet::with_capacity(batch.len());
    for row in connection.rows(GATE, &parameters).await? {
        let place: i64 = row.try_get(0)?;
        passed.extend(usize::try_from(place - 1));
    }
    Ok(passed)
}

/// No counterfoil ever stands as high as the largest number that the database holds.
fn number(redeem: &Redeem) -> i64 {
    i64::try_from(redeem.presented.slip.number).unwrap_or(i64::MAX - 1)
}

/// Takes the verdict on the row, under its lock, and does what it says.
async fn settle(write: &mut Write<'_>, redeem: &Redeem) -> Result<Redeemed, Trouble> {
    let Presentation { slip, claim, now, .. } = redeem.presented;
    let terms = &redeem.terms;
    let grant = slip.grant.number();
    let parent = terms.parent.map(GrantId::number);
    let found = write
        .row(
            LOCK,
            &[&grant, &&*terms.client, &terms.customer.provider, &terms.customer.customer, &parent],
        )
        .await?;
    let Some(found) = found else {
        return Ok(Redeemed::not_known());
    };
    let columns = Columns::of(&found, "counterfoil");
    let (row, epoch) = (columns.counterfoil(0)?, columns.small(COUNTERFOIL_COLUMNS)?);
    let eras: (u32, u32) =
        (columns.number(COUNTERFOIL_COLUMNS + 1)?, columns.number(COUNTERFOIL_COLUMNS + 2)?);
    if eras != (terms.client_era, terms.customer_era) {
        return Ok(Redeemed::removed());
    }
    if !columns.get::<bool>(COUNTERFOIL_COLUMNS + 3)? {
        return Ok(Redeemed::without_parent());
    }
    match redeem.settle(&row, epoch, write.again, SKEW) {
        Settled::Done(torn) => Ok(Redeemed::Torn(torn)),
        Settled::Repeated(torn, detail) => {
            audit(write, slip.grant, Event::RefreshRepeated, now, &detail).await?;
            Ok(Redeemed::Torn(torn))
        }
        Settled::Pass(how) => {
            let epoch = i32::try_from(epoch).unwrap_or(i32::MAX);
            let (next, expires_at) = (number(redeem) + 1, redeem.successor_expires_at.unix());
            let key = i32::from(redeem.slip_key.0);
            write
                .execute(
                    MOVE_ON,
                    &[
                        &grant,
                        &next,
                        &expires_at,
                        &claim.as_bytes().as_slice(),
                        &now.unix(),
                        &key,
                        &epoch,
                    ],
                )
                .await?;
            if how == Tearing::AfterLoss {
                audit(write, slip.grant, Event::AcceptedAfterLoss, now, &redeem.after_loss(&row))
                    .await?;
            }
            Ok(Redeemed::Torn(redeem.torn(how)))
        }
        Settled::Refused(refused, reason, Aftermath { recorded_as, ends_grant }) => {
            if let Some(event) = recorded_as {
                audit(write, slip.grant, event, now, &reason).await?;
            }
            if let Some(by) = ends_grant {
                end(write, slip.grant, by, now).await?;
            }
            Ok(Redeemed::Refused { refused: Some(refused), reason })
        }
    }
}
