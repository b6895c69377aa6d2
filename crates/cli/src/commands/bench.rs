//! `counterfoil bench`: how fast servers are, side by side.

mod bearer;
mod elsewhere;
mod floor;
mod how;
mod ours;
mod refresh;
mod start;

use clap::Subcommand;
use counterfoil_bench::BenchError;
use counterfoil_core::jws::Algorithm;

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Refresh tokens: each answer's refresh token is the next request's
    Refresh(Box<refresh::Arguments>),
    /// Ask for accounts with bearer tokens
    Bearer(Box<bearer::Arguments>),
    /// Start the server again and again on a large store, and ask for one refresh each time
    Start(start::Arguments),
    /// The bare server that others are held against, as a process of its own
    #[command(hide = true)]
    Floor(floor::Arguments),
}

pub(crate) fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::Refresh(arguments) => refresh::run(*arguments),
        Action::Bearer(arguments) => bearer::run(*arguments),
        Action::Start(arguments) => start::run(arguments),
        Action::Floor(arguments) => floor::run(arguments),
    }
}

/// Reads the name of an algorithm.
fn algorithm(text: &str) -> Result<Algorithm, String> {
    let found = Algorithm::ALL.into_iter().find(|alg| alg.name().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("write one of {}", Algorithm::ALL.map(Algorithm::name).join(", ")))
}

/// What went wrong, as a failure of the command.
fn failure(error: BenchError) -> Failure {
    match error {
        BenchError::Plan(message) => Failure::Usage(message),
        error => Failure::failed(error),
    }
}
