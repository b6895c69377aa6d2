//! `counterfoil grant`.

use clap::Subcommand;
use counterfoil_core::grant::{CustomerId, GrantId};
use counterfoil_server::admin::Command;

use super::Common;
use super::customer::{PAGE, customer_id};
use crate::{Failure, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List grants, newest first
    List {
        /// Only this client's
        #[arg(long)]
        client: Option<String>,
        /// Only this customer's, written as PROVIDER/CUSTOMER
        #[arg(long, value_parser = customer_id)]
        customer: Option<CustomerId>,
        /// Continue with grants older than this one
        #[arg(long, value_parser = grant_id)]
        before: Option<GrantId>,
        /// How many at most
        #[arg(long, default_value_t = PAGE)]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Show a grant and its history
    Show {
        /// The grant's id: the `grant_id` of its ID tokens
        #[arg(value_parser = grant_id)]
        grant: GrantId,
        #[command(flatten)]
        common: Common,
    },
    /// End a grant; its tokens are refused everywhere before this returns
    End {
        /// The grant's id
        #[arg(value_parser = grant_id)]
        grant: GrantId,
        #[command(flatten)]
        common: Common,
    },
    /// Remove grants that ended or expired more than 13 months ago
    #[command(after_help = SWEEP_HELP)]
    Sweep {
        /// Without the safety bound
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
}

const SWEEP_HELP: &str =
    "A server does this once an hour, within a safety bound: if more grants seem to have expired than is plausible, because its
clock is wrong for instance, it removes none and logs ALARM. Check `counterfoil clock status` before you use --all.";

fn grant_id(text: &str) -> Result<GrantId, String> {
    GrantId::parse(text).ok_or_else(|| "a grant id has 16 hexadecimal digits".into())
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::List { client, customer, before, limit, common } => {
            let list = common.ask(Command::GrantList { client, customer, before, limit })?;
            common.show(&list, |list| {
                output::table(
                    list,
                    &[
                        "grant",
                        "client",
                        "provider",
                        "customer",
                        "living",
                        "created_at",
                        "next_slip",
                        "ended_by",
                        "parent",
                    ],
                );
            });
        }
        Action::Show { grant, common } => {
            common.show(&common.ask(Command::GrantShow { grant })?, output::record)
        }
        Action::End { grant, common } => {
            let ended = common.ask(Command::GrantEnd { grant })?;
            common.show(&ended, |ended| {
                let before =
                    if ended["was_living"] == true { "is ended" } else { "was ended before" };
                output::say(&format!("grant {grant} {before}; its tokens are refused"));
            });
        }
        Action::Sweep { all, common } => {
            let swept = common.ask(Command::GrantSweep { all })?;
            common.show(&swept, output::record);
            if swept["stopped"] == true {
                return Err(Failure::failed(
                    "more grants have expired than can have by right, and none was removed; --all removes them",
                ));
            }
        }
    }
    Ok(())
}
