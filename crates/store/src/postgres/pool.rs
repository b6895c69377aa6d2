//! Connections for everything but the token path, lent for one transaction or read each.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Metrics, PoolError, RecycleError, RecycleResult};

use super::connection::Connection;
use super::connector::Connector;
use super::trouble::Trouble;

/// Connections that a node holds for them at the most.
pub(crate) const SIZE: usize = 8;
/// How long to wait for one.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Manager(Arc<Connector>);

pub(super) type Pool = managed::Pool<Manager>;
pub(super) type Lent = managed::Object<Manager>;

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = Trouble;

    async fn create(&self) -> Result<Connection, Trouble> {
        self.0.connect().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Trouble> {
        if connection.client.is_closed() {
            Err(RecycleError::message("it is closed"))
        } else {
            Ok(())
        }
    }
}

pub(super) fn new(connector: Arc<Connector>) -> Pool {
    let builder = managed::Pool::builder(Manager(connector))
        .max_size(SIZE)
        .runtime(deadpool::Runtime::Tokio1);
    // Fails only where a time-out is set and no runtime is.
    builder
        .wait_timeout(Some(PATIENCE))
        .build()
        .unwrap_or_else(|_| unreachable!("the runtime is set"))
}

/// Lends a connection.
pub(super) async fn lend(pool: &Pool) -> Result<Lent, Trouble> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(trouble) => trouble,
        PoolError::Timeout(_) => {
            Trouble::Unready("all connections to the database are in use".into())
        }
        error => Trouble::Unready(error.to_string()),
    })
}
