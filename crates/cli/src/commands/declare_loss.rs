//! `counterfoil declare-loss`.

use clap::Args;
use counterfoil_server::admin::Command;

use super::Common;
use super::endings::Remembered;
use super::restore::tell;
use crate::config::Config;
use crate::{Failure, output};

const LOSS_HELP: &str =
    "For a store that came back in an earlier state by other means than `counterfoil restore`: a file or database put back
from a snapshot, a standby promoted that had missed writes. From then on each grant accepts once a refresh token newer
than the store knows, so clients go on; what the endings logs say was revoked is revoked again; customers sign in anew.
The server may run. It can be done again without harm.";

#[derive(Debug, Args)]
#[command(after_help = LOSS_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remembered: Remembered,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(Arguments { remembered, common }: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&common.config).map_err(Failure::Usage)?;
    let endings = remembered.files(&config)?;
    let declared = common.ask(Command::DeclareLoss {
        endings,
        accept_lost_endings: remembered.accept_lost_endings,
    })?;
    common.show(&declared, |declared| {
        output::say(&format!("declared; the store's epoch is {}", declared["epoch"]));
        tell(declared);
    });
    Ok(())
}
