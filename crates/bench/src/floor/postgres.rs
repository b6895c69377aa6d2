//! The floor's way with PostgreSQL: one connection, one statement at a time, and what waits
//! meanwhile goes in the next one.

use std::collections::HashSet;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_postgres::{Client, Error, NoTls, Statement};

use super::refresh::Tear;
use crate::error::BenchError;

/// The most rows in one statement.
const MOST: usize = 128;

/// Moves counterfoils on, by their primary keys.
const TEAR: &str = "UPDATE counterfoil SET next_slip = slip.number + 1, expires_at = slip.expires_at, claim = slip.claim, \
    redeemed_at = slip.now, slip_key = 1, epoch = 0 \
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[]) AS slip (grant_id, number, expires_at, claim, now) \
    WHERE counterfoil.grant_id = slip.grant_id AND counterfoil.next_slip = slip.number RETURNING counterfoil.grant_id";
/// Reads counterfoils, by their primary keys.
const READ: &str = "SELECT grant_id, seal, next_slip, expires_at, claim, redeemed_at, slip_key, epoch FROM counterfoil \
    WHERE grant_id = ANY($1) AND NOT ended";

/// Reads of the database.
#[derive(Debug)]
pub(super) struct Reader(UnboundedSender<Read>);

#[derive(Debug)]
struct Read {
    grant: i64,
    reply: oneshot::Sender<bool>,
}

/// Starts the task that writes.
pub(super) async fn start_tearing(
    address: &str,
    mut tears: UnboundedReceiver<Tear>,
) -> Result<(), BenchError> {
    let (client, statement) = connect(address, TEAR).await?;
    tokio::spawn(async move {
        let mut jobs = Vec::with_capacity(MOST);
        while tears.recv_many(&mut jobs, MOST).await > 0 {
            // In one order, as at every node.
            jobs.sort_unstable_by_key(|job| job.grant);
            match tear(&client, &statement, &jobs).await {
                Ok(torn) => {
                    jobs.drain(..).for_each(|job| _ = job.reply.send(torn.contains(&job.grant)))
                }
                // The waiting task sees that the channel is closed.
                Err(_) => jobs.clear(),
            }
        }
    });
    Ok(())
}

async fn tear(
    client: &Client,
    statement: &Statement,
    jobs: &[Tear],
) -> Result<HashSet<i64>, Error> {
    let grants: Vec<i64> = jobs.iter().map(|job| job.grant).collect();
    let numbers: Vec<i64> = jobs.iter().map(|job| job.number).collect();
    let expiries: Vec<i64> = jobs.iter().map(|job| job.expires_at).collect();
    let claims: Vec<&[u8]> = jobs.iter().map(|job| job.claim.as_slice()).collect();
    let nows: Vec<i64> = jobs.iter().map(|job| job.now).collect();
    let rows = client.query(statement, &[&grants, &numbers, &expiries, &claims, &nows]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Starts the task that reads.
pub(super) async fn start_reading(address: &str) -> Result<Reader, BenchError> {
    let (client, statement) = connect(address, READ).await?;
    let (reads, mut queue) = unbounded_channel::<Read>();
    tokio::spawn(async move {
        let mut jobs = Vec::with_capacity(MOST);
        while queue.recv_many(&mut jobs, MOST).await > 0 {
            match read(&client, &statement, &jobs).await {
                Ok(living) => {
                    jobs.drain(..).for_each(|job| _ = job.reply.send(living.contains(&job.grant)))
                }
                // The waiting task sees that the channel is closed.
                Err(_) => jobs.clear(),
            }
        }
    });
    Ok(Reader(reads))
}

async fn read(
    client: &Client,
    statement: &Statement,
    jobs: &[Read],
) -> Result<HashSet<i64>, Error> {
    let grants: Vec<i64> = jobs.iter().map(|job| job.grant).collect();
    let rows = client.query(statement, &[&grants]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

impl Reader {
    /// Whether there is a living counterfoil of this grant; `None` where the database does not
    /// answer.
    pub(super) async fn is_living(&self, grant: i64) -> Option<bool> {
        let (reply, living) = oneshot::channel();
        self.0.send(Read { grant, reply }).ok()?;
        living.await.ok()
    }
}

async fn connect(address: &str, sql: &str) -> Result<(Client, Statement), BenchError> {
    let failed = |e: Error| BenchError::System(format!("the floor's database: {e}"));
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.map_err(failed)?;
    tokio::spawn(connection);
    let statement = client.prepare(sql).await.map_err(failed)?;
    Ok((client, statement))
}
