//! `counterfoil`: the token authority for open finance, on the command line.
//!
//! Exit codes: 0 done, 1 the answer is no or it failed, 2 used wrongly.

mod commands;
mod config;
mod log;
mod output;
mod process;
#[cfg(any(feature = "sandbox", feature = "verify"))]
mod reports;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[cfg(feature = "bench")]
use commands::bench;
#[cfg(feature = "torture")]
use commands::torture;
#[cfg(feature = "verify")]
use commands::verify;
use commands::{
    backup, client, clock, copy, customer, declare_loss, explain, grant, keys, migrate, restore,
    serve,
};
#[cfg(feature = "sandbox")]
use commands::{sandbox, sandbox_ctl};

/// Measured: 6% of a refresh (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The token authority for open finance: issues, refreshes and revokes the tokens that apps read
/// account data with.
#[derive(Parser)]
#[command(name = "counterfoil", version, arg_required_else_help = true, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// There may be a secret among the arguments, so they are not to be printed.
#[derive(Subcommand)]
enum Command {
    /// Run a sandbox: the server itself with a bank, customers, clients and a clock that can be
    /// moved
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::Arguments),
    /// Move a running sandbox's clock, and make things go wrong in it
    #[cfg(feature = "sandbox")]
    SandboxCtl(sandbox_ctl::Arguments),
    /// Run the server
    Serve(serve::Arguments),
    /// Certify a server: run test plans against it, ours or somebody else's, and report how each
    /// check came out
    #[cfg(feature = "verify")]
    Verify(Box<verify::Arguments>),
    /// Register, look at and change clients
    #[command(subcommand)]
    Client(client::Action),
    /// Add, look at and remove local customers
    #[command(subcommand)]
    Customer(customer::Action),
    /// Look at and end grants
    #[command(subcommand)]
    Grant(grant::Action),
    /// Look at and rotate keys
    #[command(subcommand)]
    Keys(keys::Action),
    /// Look at clocks that disagree, say which one is right, and mend what a wrong one has left
    /// behind
    #[command(subcommand)]
    Clock(clock::Action),
    /// Copy the store to a file, also while the server runs
    Backup(backup::Arguments),
    /// Put a backup in the place of the store; what was revoked since stays revoked, and clients go
    /// on
    Restore(restore::Arguments),
    /// Bring the store's schema up to date, and do nothing else
    Migrate(migrate::Arguments),
    /// Copy the store from SQLite to PostgreSQL, or back
    Copy(copy::Arguments),
    /// Say that the store has forgotten what came last, after it was restored by other means or a
    /// standby was promoted
    DeclareLoss(declare_loss::Arguments),
    /// Kill servers of a store without pause while clients use them, and hold every answer against
    /// what the system says afterwards
    #[cfg(feature = "torture")]
    Torture(torture::Arguments),
    /// Measure how fast servers are, side by side: this one, the least that a server can do, and
    /// others
    #[cfg(feature = "bench")]
    #[command(subcommand)]
    Bench(bench::Action),
    /// Say what a token is, offline: kind, grant, number, times; secrets are masked and nothing is
    /// verified
    Explain(explain::Arguments),
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Used wrongly: exit code 2.
    Usage(String),
    /// It failed, or the answer is no: exit code 1.
    Failed(String),
    /// Another process has the store: exit code 1.
    InUse(String),
}

impl Failure {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// What went wrong, in words.
    pub(crate) fn message(self) -> String {
        match self {
            Self::Usage(message) | Self::Failed(message) | Self::InUse(message) => message,
        }
    }

    pub(crate) fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

fn main() -> ExitCode {
    log::watch_panics();
    let code = match arguments() {
        Ok(cli) => {
            let done = run(cli.command);
            tell(done, output::finish())
        }
        Err(told) => tell_usage(&told),
    };
    log::flush();
    ExitCode::from(code)
}

/// The arguments; those that are left out may come from the environment.
fn arguments() -> Result<Cli, clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// An empty variable counts as not set, here as for the settings of a server: an `env:` of a
/// workflow or of a compose file can't leave one out.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|argument| match argument.get_env() {
            Some(name) if is_empty(name) => argument.env(Resettable::Reset),
            _ => argument,
        })
        .mut_subcommands(without_empty_variables)
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        #[cfg(feature = "sandbox")]
        Command::Sandbox(arguments) => sandbox::run(arguments),
        #[cfg(feature = "sandbox")]
        Command::SandboxCtl(arguments) => sandbox_ctl::run(arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        #[cfg(feature = "verify")]
        Command::Verify(arguments) => verify::run(*arguments),
        Command::Client(action) => client::run(action),
        Command::Customer(action) => customer::run(action),
        Command::Grant(action) => grant::run(action),
        Command::Keys(action) => keys::run(action),
        Command::Clock(action) => clock::run(action),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Copy(arguments) => copy::run(&arguments),
        Command::DeclareLoss(arguments) => declare_loss::run(&arguments),
        #[cfg(feature = "torture")]
        Command::Torture(arguments) => torture::run(arguments),
        #[cfg(feature = "bench")]
        Command::Bench(action) => bench::run(action),
        Command::Explain(arguments) => explain::run(&arguments),
    }
}

/// Says what went wrong, of the command or of writing its results, and gives the exit code.
fn tell(done: Result<(), Failure>, written: Result<(), String>) -> u8 {
    let (code, complaints) = match (done, written) {
        (Ok(()), Ok(())) => (0, vec![]),
        (Ok(()), Err(problem)) => (1, vec![format!("it was done, but {problem}")]),
        (Err(failure), written) => {
            let (code, message) = match failure {
                Failure::Failed(message) | Failure::InUse(message) => (1, message),
                Failure::Usage(message) => (2, message),
            };
            (code, [Some(message), written.err()].into_iter().flatten().collect())
        }
    };
    for complaint in complaints {
        output::complain(&complaint);
    }
    code
}

/// Prints help, the version, or what is wrong with the arguments, and gives the exit code.
fn tell_usage(told: &clap::Error) -> u8 {
    let printed = told.print();
    match (told.exit_code(), printed) {
        (0, Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
            output::complain(&format!("this could not be written to standard output: {error}"));
            1
        }
        (0, _) => 0,
        _ => 2,
    }
}
