//! Filling a new file: rows in the order of their keys, no log beside them, and the index at the
//! end.

use tokio::sync::mpsc::Receiver;

use super::copy::File;
use super::meta::set_meta;
use crate::copy::error::CopyError;
use crate::copy::pieces::Piece;
use crate::copy::tables;
use crate::level::{NEWEST_LEVEL, OLDEST_READER};

/// What fills a file quickly. A process that dies meanwhile leaves a file that nobody opens: it
/// says that it is unfinished.
const QUICK: &str =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144";
/// How a store is kept.
const SAFE: &str = "PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL";

impl File {
    /// Writes the rows of both tables that a grant has.
    pub(crate) async fn fill(
        &self,
        terms: Receiver<Piece>,
        counterfoils: Receiver<Piece>,
    ) -> Result<(), CopyError> {
        let indexes: Vec<String> = self
            .aside(|db, _| {
                let found = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'terms' AND sql IS NOT NULL";
                let indexes = db.prepare(found)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<_>, _>>()?;
                for (name, _) in &indexes {
                    let name: &String = name;
                    db.execute(&format!("DROP INDEX {name}"), [])?;
                }
                db.execute_batch(QUICK)?;
                Ok(indexes.into_iter().map(|(_, sql)| sql).collect())
            })
            .await?;
        self.write(&tables::TERMS, terms).await?;
        self.write(&tables::COUNTERFOIL, counterfoils).await?;
        self.aside(move |db, _| {
            for index in &indexes {
                db.execute(index, [])?;
            }
            // As a store that is made now.
            set_meta(db, "level", &NEWEST_LEVEL.to_string())?;
            set_meta(db, "oldest_reader", &OLDEST_READER.to_string())?;
            db.execute_batch(SAFE)?;
            Ok(())
        })
        .await
    }
}
