//! A connection, with the statements that were prepared on it.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient, Row, Statement};

use super::trouble::Trouble;

/// A connection, with the statements that were prepared on it.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) prepared: Prepared,
}

/// Statements by their text.
#[derive(Default)]
pub(super) struct Prepared(HashMap<&'static str, Statement>);

impl Prepared {
    pub(super) async fn statement(
        &mut self,
        client: &impl GenericClient,
        sql: &'static str,
    ) -> Result<Statement, Trouble> {
        if let Some(statement) = self.0.get(sql) {
            return Ok(statement.clone());
        }
        let statement = client.prepare(sql).await?;
        self.0.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Connection {
    /// Asks for rows, outside of any transaction.
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let statement = self.prepared.statement(&self.client, sql).await?;
        Ok(self.client.query(&statement, parameters).await?)
    }
}
