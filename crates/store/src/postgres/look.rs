//! A look at a database that a start would find.

use std::sync::Arc;

use super::PostgresAddress;
use super::connector::Connector;
use super::row::Columns;
use super::trouble::Trouble;
use super::{durability, identity, times};
use crate::OpenOptions;
use crate::error::OpenError;
use crate::look::Found;
use crate::record::StoredKeys;

pub(crate) async fn look(
    address: PostgresAddress,
    options: &OpenOptions,
) -> Result<Option<Found>, OpenError> {
    let store = address.to_string();
    let connector = Connector::new(address, options.kind, Arc::default())?;
    let client = connector.connect().await.map_err(|trouble| trouble.at_start(&store))?.client;
    let failed = |trouble: Trouble| trouble.at_start(&store);
    let warnings =
        durability::check(&client).await.map_err(failed)?.iter().map(ToString::to_string).collect();
    if !identity::is_there(&client, &store, options).await? {
        return Ok(None);
    }
    let read = async {
        let row = client
            .query_one("SELECT EXISTS (SELECT FROM terms), EXISTS (SELECT FROM client_secret)", &[])
            .await?;
        let made_with_keys = match (row.try_get(0)?, row.try_get(1)?) {
            (true, _) => Some("grants"),
            (false, true) => Some("client secrets"),
            (false, false) => None,
        };
        let keys = client.query_opt("SELECT version, document FROM keys WHERE id = 1", &[]).await?;
        let keys = keys
            .map(|row| {
                Ok::<_, Trouble>(StoredKeys { version: row.try_get(0)?, document: row.try_get(1)? })
            })
            .transpose()?;
        let time = match client.query_opt(times::KNOWN, &[]).await? {
            Some(row) => times::known(&Columns::of(&row, "meta"))?,
            None => counterfoil_core::clock::StoreTime::default(),
        };
        Ok(Found { holder: None, made_with_keys, keys, time, warnings })
    };
    read.await.map(Some).map_err(failed)
}
