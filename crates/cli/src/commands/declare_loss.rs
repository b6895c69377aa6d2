//! `counterfoil declare-loss`.

use clap::Args;
use counterfoil_server::admin::Command;

use super::Common;
use super::endings::EndingsLogs;
use super::restore::tell;
use crate::config::Config;
use crate::{Failure, output};

const LOSS_HELP: &str =
    "For a store that returned to an earlier state other than by `counterfoil restore`: a file or database restored from a
snapshot, or a promoted standby that had missed writes. From then on each grant accepts, once, a refresh token newer
than the store knows, so clients go on; what the endings logs say was revoked is revoked again; customers sign in again.
The server may be running. Repeating this does no harm.";

#[derive(Debug, Args)]
#[command(after_help = LOSS_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    logs: EndingsLogs,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(Arguments { logs, common }: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&common.config).map_err(Failure::Usage)?;
    let endings = logs.files(&config)?;
    let declared = common
        .ask(Command::DeclareLoss { endings, accept_lost_endings: logs.accept_lost_endings })?;
    common.show(&declared, |declared| {
        output::say(&format!("declared; the store's epoch is {}", declared["epoch"]));
        tell(declared);
    });
    Ok(())
}
