//! `counterfoil`: the token authority for open finance, on the command line.
//!
//! Exit codes: 0 success, 1 failure or a negative answer, 2 wrong usage.

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

/// No `Debug`: arguments may hold secrets.
#[derive(Subcommand)]
enum Command {
    /// Run a sandbox: the real server with a sample bank, customers, clients and a movable clock
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::Arguments),
    /// Move a running sandbox's clock, or make things go wrong in it
    #[cfg(feature = "sandbox")]
    SandboxCtl(sandbox_ctl::Arguments),
    /// Run the server
    Serve(serve::Arguments),
    /// Certify a server, Counterfoil or another: run test plans against it and report each result
    #[cfg(feature = "verify")]
    Verify(Box<verify::Arguments>),
    /// Register, show and change clients
    #[command(subcommand)]
    Client(client::Action),
    /// Add, show and remove local customers
    #[command(subcommand)]
    Customer(customer::Action),
    /// Show and end grants
    #[command(subcommand)]
    Grant(grant::Action),
    /// Show and rotate keys
    #[command(subcommand)]
    Keys(keys::Action),
    /// Compare clocks that disagree, say which is right, and repair what a wrong one left behind
    #[command(subcommand)]
    Clock(clock::Action),
    /// Copy the store to a file; the server may be running
    Backup(backup::Arguments),
    /// Replace the store with a backup; what was revoked since stays revoked, and clients go on
    Restore(restore::Arguments),
    /// Migrate the store's schema to this version, and do nothing else
    Migrate(migrate::Arguments),
    /// Copy the store from SQLite to PostgreSQL, or back
    Copy(copy::Arguments),
    /// Declare that the store lost its latest changes, after a restore by other means or the
    /// promotion of a standby
    DeclareLoss(declare_loss::Arguments),
    /// Keep killing a store's servers while clients use them, and check every answer against later
    /// ones
    #[cfg(feature = "torture")]
    Torture(torture::Arguments),
    /// Measure how fast servers are, side by side: this one, the least that a server can do, and
    /// others
    #[cfg(feature = "bench")]
    #[command(subcommand)]
    Bench(bench::Action),
    /// Explain a token offline: kind, grant, number, times; secrets are masked and nothing is
    /// verified
    Explain(explain::Arguments),
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// Failure, or a negative answer: exit code 1.
    Failed(String),
    /// Another process holds the store: exit code 1.
    InUse(String),
}

impl Failure {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

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

/// The arguments; some may come from the environment instead.
fn arguments() -> Result<Cli, clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Treats an empty variable as unset, as the server's settings do: `env:` in a workflow or a compose
/// file can't leave a variable out.
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

/// Reports errors of the command and of writing its results, and returns the exit code.
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

/// Prints help, the version, or what is wrong with the arguments, and returns the exit code.
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
