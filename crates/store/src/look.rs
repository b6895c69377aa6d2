//! What a start would find at a store, found out without starting: nothing is made, changed or
//! locked, and a server may have it meanwhile.

use counterfoil_core::clock::StoreTime;

use crate::error::OpenError;
use crate::record::StoredKeys;
use crate::store::Store;
use crate::{OpenOptions, StoreAddress, postgres, sqlite};

/// A store that is there.
#[derive(Debug, Default)]
pub struct Found {
    /// Who has it, where one process owns it and one does.
    pub holder: Option<String>,
    /// What it holds that was made with keys, if anything.
    pub made_with_keys: Option<&'static str>,
    /// Its keys, where they are in it.
    pub keys: Option<StoredKeys>,
    /// What it knows of time.
    pub time: StoreTime,
    /// What is not as it should be, and does not hinder a start.
    pub warnings: Vec<String>,
}

impl Store {
    /// Looks at what [`Store::open`] would find; `None` where it would make a store.
    ///
    /// # Errors
    /// [`OpenError`]: why it would not be opened.
    pub async fn look(options: &OpenOptions) -> Result<Option<Found>, OpenError> {
        match &options.address {
            StoreAddress::Sqlite(path) => sqlite::look::look(path, options),
            StoreAddress::Postgres(address) => {
                postgres::look::look((**address).clone(), options).await
            }
        }
    }
}
