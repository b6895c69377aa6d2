//! `counterfoil restore`.

use std::path::PathBuf;

use clap::Args;
use counterfoil_core::clock::Clock;
use counterfoil_server::keys::Keys;
use counterfoil_store::{
    Endings, OpenError, OpenOptions, RestoreError, Restored, Store, StoreAddress, StoreKind,
};
use serde_json::{Value, json};

use super::Common;
use super::endings::EndingsLogs;
use crate::config::Config;
use crate::{Failure, output};

const RESTORE_HELP: &str =
    "No server may be running. The backup is checked before anything changes, and the previous store is kept next to the
restored one. Clients go on with the tokens they hold. What was revoked after the backup stays revoked, thanks to the
endings log; later consents, clients and customers are lost, and so are later changes of client settings, secrets and
passwords. Customers sign in again. The keys must be in their directory.";

#[derive(Debug, Args)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct Arguments {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    logs: EndingsLogs,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(Arguments { from, logs, common }: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&common.config).map_err(Failure::Usage)?;
    let StoreAddress::Sqlite(store) = &config.store else {
        return Err(Failure::failed(RestoreError::OfDatabase));
    };
    let files = logs.files(&config)?;
    open_existing_keys(&config)?;
    let endings = Endings::read(&files).map_err(Failure::failed)?;
    let options = OpenOptions {
        address: config.store.clone(),
        kind: StoreKind::Live,
        issuer: config.settings.issuer.clone(),
        endings_log: config.endings_log.clone(),
        holder: "counterfoil restore".into(),
    };
    let now = Clock::live().now();
    let Restored { loss, old } =
        Store::restore(&options, from, &endings, logs.accept_lost_endings, now).map_err(
            |error| match &error {
                RestoreError::Store(OpenError::InUse { .. }) => {
                    Failure::InUse(format!("{error}. Stop it first"))
                }
                _ => Failure::failed(error),
            },
        )?;
    let restored = json!({
        "from": from,
        "store": store,
        "epoch": loss.epoch,
        "endings_applied": loss.applied,
        "endings_known": loss.known,
        "endings_unknown": loss.unknown,
        "bearers_from": loss.bearers_from.map(|from| from.to_string()),
        "torn": endings.torn(),
        "old_store": old,
    });
    common.show(&restored, |restored| {
        output::say(&format!(
            "restored {} from {}; its epoch is {}",
            store.display(),
            from.display(),
            loss.epoch
        ));
        tell(restored);
        if let Some(old) = restored["old_store"].as_str() {
            output::say(&format!("the store before it is kept at {old}"));
        }
    });
    Ok(())
}

/// Prints what was done about endings.
pub(super) fn tell(loss: &Value) {
    output::say(&format!(
        "of the endings that are remembered, {} were applied, {} were known, and {} are of grants that the store does not have",
        loss["endings_applied"], loss["endings_known"], loss["endings_unknown"]
    ));
    if let Some(from) = loss["bearers_from"].as_str() {
        output::say(&format!(
            "ID and access tokens issued before {from} are refused; clients refresh"
        ));
    }
    for log in loss["torn"].as_array().into_iter().flatten() {
        output::note(&format!(
            "the last line of the endings log {log} was cut short by a crash, before that ending was acknowledged; it does not count"
        ));
    }
}

/// Opens the keys, without which a backup is useless, and never makes new ones.
pub(super) fn open_existing_keys(config: &Config) -> Result<(), Failure> {
    let directory = &config.keys;
    if !Keys::are_at(directory) {
        return Err(Failure::failed(format!(
            "there are no keys in {}, and without those that the store was made with, all its tokens and client secrets are worthless; put them there first",
            directory.display()
        )));
    }
    Keys::open(directory, &config.settings.issuer, Clock::live().now())
        .map(drop)
        .map_err(Failure::failed)
}
