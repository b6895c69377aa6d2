//! `counterfoil clock`.

use clap::Subcommand;
use counterfoil_server::admin::Command;

use super::Common;
use crate::{Failure, output};

/// What to do about clocks.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show what this machine's clock, the database's and the store say, and what the server
    /// believes
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Say that this machine's clock is right: the server goes by it from now on. With nodes on a
    /// database: that their clocks are, and the database's is not
    Accept {
        #[command(flatten)]
        common: Common,
    },
    /// Mend what was marked while a clock was ahead: grants, sessions, keys and the like that are
    /// dated in the future. This machine's clock must be right
    Repair {
        /// What day it is, as 2026-11-30: with a clock that is behind, everything would look as if
        /// it were dated in the future
        #[arg(long, value_name = "DAY")]
        today: String,
        #[command(flatten)]
        common: Common,
    },
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    let (common, command) = match action {
        Action::Status { common } => (common, Command::ClockStatus),
        Action::Accept { common } => (common, Command::ClockAccept),
        Action::Repair { today, common } => (common, Command::ClockRepair { today }),
    };
    common.show(&common.ask(command)?, output::record);
    Ok(())
}
