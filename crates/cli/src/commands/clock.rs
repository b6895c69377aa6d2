//! `counterfoil clock`.

use clap::Subcommand;
use counterfoil_server::admin::Command;

use super::Common;
use crate::{Failure, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show the time by this machine's clock, the database's and the store, and the one the server
    /// trusts
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Declare this machine's clock right: the server trusts it from now on. With nodes on a database,
    /// declare the nodes' clocks right, and the database's wrong
    Accept {
        #[command(flatten)]
        common: Common,
    },
    /// Repair what was dated in the future while a clock was ahead: grants, sessions, keys and so on.
    /// This machine's clock must be right
    Repair {
        /// Today's date, such as 2026-11-30, to confirm the clock: with one that is behind, everything
        /// would seem dated in the future
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
