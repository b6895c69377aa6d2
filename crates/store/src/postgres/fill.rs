//! Filling a new database: with COPY, and the index at the end.

use tokio::sync::mpsc::Receiver;

use super::copy::Database;
use crate::copy::error::CopyError;
use crate::copy::pieces::Piece;
use crate::copy::tables;
use crate::level::{NEWEST_LEVEL, OLDEST_READER};

impl Database {
    /// Writes the rows of both tables that a grant has, all or none.
    pub(crate) async fn fill(
        &self,
        terms: Receiver<Piece>,
        counterfoils: Receiver<Piece>,
    ) -> Result<(), CopyError> {
        let index =
            self.text("SELECT indexdef FROM pg_indexes WHERE indexname = 'consent_by_customer' AND schemaname = current_schema()").await?;
        self.obey("BEGIN; DROP INDEX consent_by_customer").await?;
        self.write(&tables::TERMS, terms).await?;
        self.write(&tables::COUNTERFOIL, counterfoils).await?;
        // As in a store that is made now.
        let level = format!(
            "INSERT INTO meta VALUES ('level', '{NEWEST_LEVEL}'), ('oldest_reader', '{OLDEST_READER}')"
        );
        self.obey(&format!("{index}; {level}; COMMIT")).await?;
        // As the database would by itself, some time in the first minutes of being measured.
        self.obey("VACUUM (ANALYZE)").await
    }
}
