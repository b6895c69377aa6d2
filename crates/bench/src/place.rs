//! Where a server that is measured keeps its things, until it is dropped.

use std::path::Path;

use counterfoil_core::random;
use tempfile::TempDir;
use tokio_postgres::NoTls;
use url::Url;

use crate::error::BenchError;

/// A directory of its own and, where asked for, a database of its own. Both are gone once this is
/// dropped.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    database: Option<Database>,
}

/// A database that was made for a measurement.
#[derive(Debug)]
struct Database {
    /// The server's own database, from which others are made and dropped.
    server: Url,
    name: String,
}

impl Place {
    /// Makes a directory in `parent`.
    ///
    /// # Errors
    /// [`BenchError::File`].
    pub fn new(parent: &Path) -> Result<Self, BenchError> {
        let directory = tempfile::Builder::new()
            .prefix("counterfoil-bench-")
            .tempdir_in(parent)
            .map_err(BenchError::file(parent))?;
        Ok(Self { directory, database: None })
    }

    /// Makes a directory among the system's temporary ones, and an empty database on the server at
    /// `address`.
    ///
    /// # Errors
    /// [`BenchError::File`], or [`BenchError::Plan`] where no database can be made there.
    pub(crate) async fn with_database(address: &str) -> Result<Self, BenchError> {
        let mut place = Self::new(&std::env::temp_dir())?;
        let server = Url::parse(address)
            .map_err(|e| BenchError::Plan(format!("the address of the database is no URL: {e}")))?;
        let name = format!("counterfoil_bench_{:016x}", u64::from_be_bytes(random::bytes()));
        run(&server, &format!("CREATE DATABASE {name}")).await.map_err(|problem| {
            BenchError::Plan(format!("no database can be made on the server: {problem}"))
        })?;
        place.database = Some(Database { server, name });
        Ok(place)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The address of the database.
    pub(crate) fn database(&self) -> Option<String> {
        let database = self.database.as_ref()?;
        let mut address = database.server.clone();
        address.set_path(&database.name);
        Some(address.into())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, drop) =
            (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // On a thread of its own, since this may be dropped within a runtime. Where it can't be
        // dropped, its name says whose it was.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map(|runtime| runtime.block_on(run(&server, &drop)))
        });
        let _ = dropping.join();
    }
}

async fn run(server: &Url, sql: &str) -> Result<(), String> {
    let words = |e: tokio_postgres::Error| {
        e.as_db_error().map_or_else(|| e.to_string(), |e| e.message().to_owned())
    };
    let (client, connection) =
        tokio_postgres::connect(server.as_str(), NoTls).await.map_err(words)?;
    let driving = tokio::spawn(connection);
    let done = client.batch_execute(sql).await.map_err(words);
    driving.abort();
    done
}
