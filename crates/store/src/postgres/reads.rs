//! The reads of the token path, in batches: requests that wait together share a round trip, and
//! none joins one that was sent before it asked.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use counterfoil_core::clock::Database;
use counterfoil_core::grant::{GrantId, Terms};
use counterfoil_core::verdict::Counterfoil;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::batch::{Batched, Lost, enqueue, in_time};
use super::connection::Connection;
use super::endings_log::Past;
use super::row::Columns;
use super::trouble::Trouble;
use super::{Inner, Postgres};
use crate::columns::{COUNTERFOIL_COLUMNS, counterfoil_columns};
use crate::error::StoreError;
use crate::level::Level;
use crate::record::Changes;
use crate::terms;

/// The most reads in one round trip.
const MOST: usize = 256;
/// How long a read waits for a connection that can't be made.
const PATIENCE: Duration = Duration::from_secs(5);

/// By primary key alone.
pub(super) static READ_TERMS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM terms WHERE grant_id = ANY($1)", *terms::NAMES));
/// By primary key alone.
pub(super) const READ_COUNTERFOILS: &str = concat!(
    "SELECT ",
    counterfoil_columns!(),
    ", grant_id FROM counterfoil WHERE grant_id = ANY($1)"
);
/// Those that are neither ended nor of an earlier era than their client or customer, and hang on no
/// consent that is ended. By primary keys alone.
pub(super) const READ_LIVING: &str = concat!(
    "SELECT ",
    counterfoil_columns!(),
    ", asked.place FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) WITH ORDINALITY \
        AS asked (grant_id, client, client_era, provider, customer, customer_era, parent, place) \
     JOIN counterfoil ON counterfoil.grant_id = asked.grant_id \
     WHERE NOT counterfoil.ended \
        AND NOT EXISTS (SELECT FROM era WHERE era.client = asked.client AND era.provider = '' AND era.customer = '' \
            AND era.era <> asked.client_era) \
        AND NOT EXISTS (SELECT FROM era WHERE era.client = '' AND era.provider = asked.provider AND era.customer = asked.customer \
            AND era.era <> asked.customer_era) \
        AND (asked.parent IS NULL OR (SELECT NOT above.ended FROM counterfoil AS above WHERE above.grant_id = asked.parent))"
);

/// The number of changes, whether the store was moved away or has forgotten something, its level,
/// and what the database's clock shows.
const READ_CHANGES: &str = "SELECT key, value FROM meta WHERE key IN ('changes', 'moved_to', 'level', 'clock_accepted', 'epoch', 'forgot') \
    UNION ALL SELECT 'clock', ((extract(epoch FROM clock_timestamp()) * 1000)::bigint)::text \
    UNION ALL SELECT 'lines', coalesce(sum(line), 0)::text FROM endings_log";

/// A read that waits, and until when it may.
pub(super) struct Read {
    asks: Asks,
    until: Instant,
}

enum Asks {
    Terms(GrantId, Answer<Arc<Terms>>),
    Counterfoil(GrantId, Answer<Counterfoil>),
    Living(Arc<Terms>, Answer<Counterfoil>),
    /// Here too, since a node that can't learn of changes must stop: what keeps the pool busy must
    /// not keep it from looking.
    Changes(Answer<Changes>),
}

type Answer<T> = oneshot::Sender<Result<Option<T>, StoreError>>;

impl Postgres {
    pub(crate) async fn terms(&self, grant: GrantId) -> Result<Option<Arc<Terms>>, StoreError> {
        self.read(|answer| Asks::Terms(grant, answer)).await
    }

    pub(crate) async fn counterfoil(
        &self,
        grant: GrantId,
    ) -> Result<Option<Counterfoil>, StoreError> {
        self.read(|answer| Asks::Counterfoil(grant, answer)).await
    }

    pub(crate) async fn living(
        &self,
        terms: &Arc<Terms>,
    ) -> Result<Option<Counterfoil>, StoreError> {
        self.read(|answer| Asks::Living(terms.clone(), answer)).await
    }

    pub(crate) async fn changes(&self) -> Result<Changes, StoreError> {
        Ok(self.read(Asks::Changes).await?.unwrap_or(Changes { number: 0, database: None }))
    }

    async fn read<T>(&self, asks: impl FnOnce(Answer<T>) -> Asks) -> Result<Option<T>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let read = Read { asks: asks(answer), until: Instant::now() + PATIENCE };
        enqueue(&self.reader, read).map_err(|(_, error)| error)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Batched for Read {
    fn choose(_: &Inner, waiting: &mut Vec<Self>) -> Vec<Self> {
        let later = waiting.split_off(waiting.len().min(MOST));
        std::mem::replace(waiting, later)
    }

    fn send<'a>(
        inner: &'a Arc<Inner>,
        connection: &'a mut Connection,
        batch: Vec<Self>,
    ) -> BoxFuture<'a, Result<(), Lost<Self>>> {
        async move {
            inner.counts.read_batches.add(1);
            inner.counts.reads.add(batch.len());
            let mut found = loop {
                match in_time(Found::read(connection, &batch)).await {
                    Ok(found) => break found,
                    Err(trouble) if trouble.is_conflict() => inner.counts.retries.add(1),
                    Err(trouble) => {
                        return Err(Lost { jobs: batch, trouble, sent: true });
                    }
                }
            };
            if found.changes.is_some() {
                found.forgot = (found.forgot && !inner.connector.declares_loss)
                    || inner.connector.weigh(found.past).is_err();
                inner.set_level(Level::of(found.level.as_deref()));
            }
            found.answer(batch);
            Ok(())
        }
        .boxed()
    }

    /// A read changes nothing, so it is asked again, for as long as it may wait.
    fn after_loss(_: &Arc<Inner>, lost: Lost<Self>) -> Vec<Self> {
        let may_pass = !matches!(lost.trouble, Trouble::Forgot);
        let (again, late): (Vec<_>, Vec<_>) =
            lost.jobs.into_iter().partition(|read| may_pass && Instant::now() < read.until);
        late.into_iter().for_each(|read| read.fail(&lost.trouble));
        again
    }
}

impl Read {
    fn fail(self, trouble: &Trouble) {
        let error = StoreError::from(trouble);
        // The caller may have gone away.
        match self.asks {
            Asks::Terms(_, answer) => drop(answer.send(Err(error))),
            Asks::Counterfoil(_, answer) | Asks::Living(_, answer) => drop(answer.send(Err(error))),
            Asks::Changes(answer) => drop(answer.send(Err(error))),
        }
    }
}

/// What a batch of reads found. A row that holds what can't be fails nobody but those who asked for
/// it.
#[derive(Default)]
struct Found {
    terms: HashMap<i64, Result<Arc<Terms>, Trouble>>,
    counterfoils: HashMap<i64, Result<Counterfoil, Trouble>>,
    /// By their place among those asked for.
    living: HashMap<i64, Result<Counterfoil, Trouble>>,
    changes: Option<i64>,
    /// The database's clock, in milliseconds since 1970, and how far the operator accepted it to be
    /// behind.
    clock: i64,
    accepted: i64,
    moved_to: Option<String>,
    level: Option<String>,
    past: Past,
    /// Whether a node says, or the store shows, that it was put back to an earlier state.
    forgot: bool,
}

impl Found {
    /// Up to four statements, sent at once.
    async fn read(connection: &mut Connection, batch: &[Read]) -> Result<Self, Trouble> {
        let (mut terms, mut counterfoils, mut living, mut changes) =
            (Vec::new(), Vec::new(), Vec::new(), false);
        for read in batch {
            match &read.asks {
                Asks::Terms(grant, _) => terms.push(grant.number()),
                Asks::Counterfoil(grant, _) => counterfoils.push(grant.number()),
                Asks::Living(asked, _) => living.push(asked),
                Asks::Changes(_) => changes = true,
            }
        }
        let grants: Vec<i64> = living.iter().map(|asked| asked.grant.number()).collect();
        let clients: Vec<&str> = living.iter().map(|asked| &*asked.client).collect();
        let client_eras: Vec<i64> = living.iter().map(|asked| asked.client_era.into()).collect();
        let providers: Vec<&str> =
            living.iter().map(|asked| asked.customer.provider.as_str()).collect();
        let customers: Vec<&str> =
            living.iter().map(|asked| asked.customer.customer.as_str()).collect();
        let customer_eras: Vec<i64> =
            living.iter().map(|asked| asked.customer_era.into()).collect();
        let parents: Vec<Option<i64>> =
            living.iter().map(|asked| asked.parent.map(GrantId::number)).collect();
        let of_living: [&(dyn ToSql + Sync); 7] =
            [&grants, &clients, &client_eras, &providers, &customers, &customer_eras, &parents];
        let (of_terms, of_counterfoils): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) =
            ([&terms], [&counterfoils]);
        let Connection { client, prepared } = connection;
        let mut statements = Vec::with_capacity(4);
        for sql in [READ_TERMS.as_str(), READ_COUNTERFOILS, READ_LIVING, READ_CHANGES] {
            statements.push(prepared.statement(client, sql).await?);
        }
        let (terms, counterfoils, living, changes) = tokio::try_join!(
            query(client, &statements[0], &of_terms, !terms.is_empty()),
            query(client, &statements[1], &of_counterfoils, !counterfoils.is_empty()),
            query(client, &statements[2], &of_living, !grants.is_empty()),
            query(client, &statements[3], &[], changes),
        )?;
        let mut found = Self::default();
        for row in &terms {
            let columns = Columns::of(row, "terms");
            found.terms.insert(columns.get(0)?, columns.terms().map(Arc::new));
        }
        for row in &counterfoils {
            let columns = Columns::of(row, "counterfoil");
            found.counterfoils.insert(columns.get(COUNTERFOIL_COLUMNS)?, columns.counterfoil(0));
        }
        for row in &living {
            let columns = Columns::of(row, "counterfoil");
            found.living.insert(columns.get(COUNTERFOIL_COLUMNS)?, columns.counterfoil(0));
        }
        for row in &changes {
            let columns = Columns::of(row, "meta");
            let number = || columns.make(1, |text: &str| text.parse().ok());
            match columns.get(0)? {
                "moved_to" => found.moved_to = Some(columns.get(1)?),
                "level" => found.level = Some(columns.get(1)?),
                "clock" => found.clock = number()?,
                "clock_accepted" => found.accepted = number()?,
                "epoch" => found.past.epoch = number()?,
                "lines" => found.past.lines = number()?,
                "forgot" => found.forgot = true,
                _ => found.changes = Some(number()?),
            }
        }
        Ok(found)
    }

    fn answer(mut self, batch: Vec<Read>) {
        let mut place = 0;
        for read in batch {
            // The callers may have gone away.
            match read.asks {
                Asks::Terms(grant, answer) => {
                    let found = self.terms.get(&grant.number());
                    drop(
                        answer.send(
                            found
                                .map(|found| {
                                    found.as_ref().map(Arc::clone).map_err(StoreError::from)
                                })
                                .transpose(),
                        ),
                    );
                }
                Asks::Counterfoil(grant, answer) => {
                    let found = self.counterfoils.get(&grant.number());
                    drop(
                        answer.send(
                            found
                                .map(|found| {
                                    found.as_ref().map(|row| *row).map_err(StoreError::from)
                                })
                                .transpose(),
                        ),
                    );
                }
                Asks::Changes(answer) => drop(answer.send(match &self.moved_to {
                    Some(to) => Err(StoreError::Moved(to.clone())),
                    None if self.forgot => Err(StoreError::Forgot),
                    None => {
                        let database = Database { wall: self.clock, accepted: self.accepted };
                        Ok(self.changes.map(|number| Changes { number, database: Some(database) }))
                    }
                })),
                Asks::Living(_, answer) => {
                    place += 1;
                    drop(
                        answer.send(
                            self.living
                                .remove(&place)
                                .transpose()
                                .map_err(|trouble| StoreError::from(&trouble)),
                        ),
                    );
                }
            }
        }
    }
}

/// Asks, if there is anything to ask for.
async fn query(
    client: &Client,
    statement: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
    asked: bool,
) -> Result<Vec<Row>, Trouble> {
    if asked { Ok(client.query(statement, parameters).await?) } else { Ok(Vec::new()) }
}
