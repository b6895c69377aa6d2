//! What a write works with: a transaction.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Transaction};

use super::connection::{Connection, Prepared};
use super::trouble::Trouble;
use crate::journal::Line;

/// What a write works with: a transaction.
pub(super) struct Write<'a> {
    transaction: Transaction<'a>,
    prepared: &'a mut Prepared,
    /// Whether an earlier try may have taken effect: the verb must come to the answer that it had
    /// then.
    pub(super) again: bool,
    /// Endings, for the journal and to be remembered before the answer.
    pub(super) lines: Vec<Line>,
    /// Whether these were said before, maybe in another node's journal.
    pub(super) says_again: bool,
}

impl<'a> Write<'a> {
    pub(super) async fn begin(
        connection: &'a mut Connection,
        again: bool,
    ) -> Result<Self, Trouble> {
        let Connection { client, prepared } = connection;
        Ok(Self {
            transaction: client.transaction().await?,
            prepared,
            again,
            lines: Vec::new(),
            says_again: false,
        })
    }

    pub(super) async fn commit(self) -> Result<(), Trouble> {
        Ok(self.transaction.commit().await?)
    }

    /// Changes rows, and gives how many.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Trouble> {
        let statement = self.prepared.statement(&self.transaction, sql).await?;
        Ok(self.transaction.execute(&statement, parameters).await?)
    }

    /// Asks for rows.
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let statement = self.prepared.statement(&self.transaction, sql).await?;
        Ok(self.transaction.query(&statement, parameters).await?)
    }

    /// Asks for a row that may be there.
    pub(super) async fn row(
        &mut self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Trouble> {
        let statement = self.prepared.statement(&self.transaction, sql).await?;
        Ok(self.transaction.query_opt(&statement, parameters).await?)
    }
}
