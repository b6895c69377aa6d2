//! The commands, one file each.

pub(crate) mod backup;
#[cfg(feature = "bench")]
pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod copy;
pub(crate) mod customer;
pub(crate) mod declare_loss;
mod endings;
pub(crate) mod explain;
pub(crate) mod grant;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod restore;
#[cfg(feature = "sandbox")]
pub(crate) mod sandbox;
#[cfg(feature = "sandbox")]
pub(crate) mod sandbox_ctl;
pub(crate) mod serve;
#[cfg(feature = "torture")]
pub(crate) mod torture;
#[cfg(feature = "verify")]
pub(crate) mod verify;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use counterfoil_server::admin::{self, Command, Preview, SocketError};
use counterfoil_store::{OnDifference, OpenError, Store, StoreAddress};
use serde_json::Value;

use crate::Failure;
use crate::config::Config;
use crate::output;
use crate::process::block_on;
use serve::{ClockCheck, open_app};

/// How long to wait before trying again when a process holds the store but does not listen.
const MOMENT: Duration = Duration::from_millis(50);
/// How many times to try again.
const PATIENCE: u32 = 60;

/// The failure where a store that must exist can't be opened.
pub(crate) fn no_store(error: OpenError) -> Failure {
    match error {
        OpenError::NoStore(_) => Failure::failed(format!("{error}; `counterfoil serve` makes one")),
        error => Failure::failed(error),
    }
}

/// The options of every admin command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The configuration file of the server
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Common {
    /// Sends a command to the running server or, if none runs, takes the store's lock and executes it
    /// here. A database has no single owner, so there it is always executed here.
    fn ask(&self, command: Command) -> Result<Value, Failure> {
        let config = Config::load(&self.config).map_err(Failure::Usage)?;
        block_on(async move {
            let mut patience = PATIENCE;
            loop {
                if let StoreAddress::Sqlite(path) = &config.store {
                    match admin::ask(&admin::path_beside(path), &command).await {
                        Err(SocketError::NotRunning(_)) => {}
                        answer => return answer.map_err(Failure::failed),
                    }
                }
                if !command.may_make_a_store() {
                    Store::must_exist(&config.store).await.map_err(no_store)?;
                }
                let clock = if command.is_about_the_clock() {
                    ClockCheck::Unchecked
                } else {
                    ClockCheck::Checked
                };
                let endings = if command.is_about_what_was_lost() {
                    OnDifference::DeclareLoss
                } else {
                    OnDifference::Refuse
                };
                match open_app(
                    &config,
                    "counterfoil, an admin command",
                    clock,
                    endings,
                    command.only_client(),
                )
                .await
                {
                    // A server that is starting or stopping, or another command: it will answer or be
                    // gone soon.
                    Err(Failure::InUse(_)) if patience > 0 => {
                        patience -= 1;
                        tokio::time::sleep(MOMENT).await;
                    }
                    app => {
                        let app = app?;
                        let done = admin::execute(&app, command).await.map_err(Failure::Failed);
                        // If that fails, the next start catches up with the endings log, as after a
                        // crash.
                        let _ = app.store.settle_endings().await;
                        return done;
                    }
                }
            }
        })
    }

    fn show(&self, value: &Value, plain: impl FnOnce(&Value)) {
        if self.json { output::json(value) } else { plain(value) }
    }

    /// Dry run of a command whose result holds a secret.
    fn check(&self, command: Command) -> Result<Preview, Failure> {
        serde_json::from_value(self.ask(Command::Check { of: Box::new(command) })?)
            .map_err(Failure::failed)
    }

    /// Shows a result that holds a one-time `secret`, and only then executes the command that puts it
    /// in use. So if the result can't be written, nothing is changed. In the other order, an unread
    /// secret would have replaced the previous one.
    fn show_and_ask(&self, secret: &str, result: &Value, command: Command) -> Result<(), Failure> {
        let text = if self.json { output::json_text(result) } else { output::record_text(result) };
        output::tell_once(&text).map_err(|error| {
            Failure::failed(format!("nothing was changed: the {secret} is shown this once, and standard output can't be written: {error}"))
        })?;
        let void = |message| {
            format!(
                "{message}. The {secret} that was shown is void: don't use it, and run the command again"
            )
        };
        match self.ask(command) {
            Ok(_) => Ok(()),
            Err(Failure::Failed(message)) => Err(Failure::Failed(void(message))),
            Err(Failure::InUse(message)) => Err(Failure::InUse(void(message))),
            Err(usage) => Err(usage),
        }
    }
}
