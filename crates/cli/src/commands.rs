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
use serve::{AtStart, open_app};

/// How long to wait before a server is asked again that has the store but does not listen.
const MOMENT: Duration = Duration::from_millis(50);
/// How often it is asked again.
const PATIENCE: u32 = 60;

/// Why a store that must be there can't be used.
pub(crate) fn no_store(error: OpenError) -> Failure {
    match error {
        OpenError::NoStore(_) => Failure::failed(format!("{error}; `counterfoil serve` makes one")),
        error => Failure::failed(error),
    }
}

/// What every admin command takes.
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
    /// Has the running server carry a command out or, where none runs, takes the store's lock and
    /// does it here. A database is everybody's: there it is always done here.
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
                    AtStart::Unchecked
                } else {
                    AtStart::Checked
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
                    // A server that starts or stops, or another command: it will answer, or be
                    // gone, in a moment.
                    Err(Failure::InUse(_)) if patience > 0 => {
                        patience -= 1;
                        tokio::time::sleep(MOMENT).await;
                    }
                    app => {
                        let app = app?;
                        let done = admin::execute(&app, command).await.map_err(Failure::Failed);
                        // Where that fails, the next start catches up with the endings log as after
                        // a crash.
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

    /// What would come of a command whose result holds a secret.
    fn check(&self, command: Command) -> Result<Preview, Failure> {
        serde_json::from_value(self.ask(Command::Check { of: Box::new(command) })?)
            .map_err(Failure::failed)
    }

    /// Shows a result, with a `secret` in it that is shown this once, and only then has the command
    /// carried out that puts it in use: where the result can't be written, nothing is changed. The
    /// other way round a secret would be in use that nobody knows, and the one before it be gone.
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
