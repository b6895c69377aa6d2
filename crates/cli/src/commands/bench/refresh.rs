//! `counterfoil bench refresh`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use counterfoil_bench::{Client, ClientAuth, Mode, Workload};

use super::elsewhere::Elsewhere;
use super::how::{How, Who};
use super::ours::Ours;
use crate::Failure;

/// Chains, where there are as many grants and nothing else is said.
const CHAINS: u64 = 100_000;

const HELP: &str =
    "Servers are started side by side on stores of their own: this program as `counterfoil serve`; the floor, a bare server that reads
the form, does one durable write, makes one signature and checks nothing, which is what the machine allows; and whatever --compare
and --peer name. Then everybody is loaded in turn, round by round. The load is a closed loop: each connection always has one request
under way, whose time goes from its first byte to the last of the answer. SQLite stores want a disk: on tmpfs nothing is durable.

A peer is a command for the shell. It finds BENCH_ALG, BENCH_CHAINS, BENCH_PORT and BENCH_DIR in its environment, starts its server,
and prints one line once that is ready: {\"name\": ..., \"note\": ..., \"token_endpoint\": ..., \"client_id\": ..., \"client_secret\": ...,
\"auth\": \"post\" | \"basic\" | \"none\", \"refresh_tokens\": FILE, \"pids\": [...]}. It runs until its standard input ends or SIGTERM comes.

With --url nothing is started, and the tokens of the file are used up: --keep-tokens keeps those that came in their place.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    ours: Ours,
    /// Refresh tokens in use, spread evenly over the connections [default: 100000, or as many as
    /// there are grants]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "url")]
    chains: Option<u64>,
    /// A shell command that starts a server of others, see below; may be repeated
    #[arg(long, value_name = "COMMAND", conflicts_with = "url")]
    peer: Vec<String>,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Who refreshes there
    #[arg(long, value_name = "ID", env = "OIDC_CLIENT_ID")]
    client_id: Option<String>,
    /// Its secret; a public client has none. The list of processes shows arguments: the environment
    /// variable is more discreet
    #[arg(long, value_name = "SECRET", env = "OIDC_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// How the secret is sent [default: post, or none without one]
    #[arg(long, value_name = "METHOD", requires = "url")]
    auth: Option<Method>,
    /// Write the tokens that came in place of those in --tokens, for another run; only you can read
    /// the file
    #[arg(long, value_name = "FILE", requires = "url")]
    keep_tokens: Option<PathBuf>,
}

/// How a client proves itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Method {
    Post,
    Basic,
    None,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        how,
        ours,
        chains,
        peer,
        elsewhere,
        client_id,
        client_secret,
        auth,
        keep_tokens,
    } = arguments;
    let Some(url) = elsewhere.url.clone() else {
        let chains = chains.unwrap_or_else(|| ours.grants.iter().copied().fold(CHAINS, u64::min));
        let chains = usize::try_from(chains).map_err(Failure::usage)?;
        return how
            .measure(Who::Started(ours.field(Mode::Refresh, chains, peer)?), false)
            .map(drop);
    };
    let id = client_id
        .ok_or_else(|| Failure::usage("--client-id is missing: who refreshes at --url"))?;
    let auth = match (auth, &client_secret) {
        (Some(Method::Post), Some(_)) | (None, Some(_)) => ClientAuth::Post,
        (Some(Method::Basic), Some(_)) => ClientAuth::Basic,
        (Some(Method::None) | None, _) => ClientAuth::None,
        (Some(Method::Post | Method::Basic), None) => {
            return Err(Failure::usage("--client-secret is missing: --auth says how it is sent"));
        }
    };
    // Before the tokens that there are get used up.
    let keep = keep_tokens.map(|path| private(&path).map(|file| (path, file))).transpose()?;
    let ca = elsewhere.ca.clone();
    let entrant = elsewhere.entrant(url, |tokens| Workload::Refresh {
        client: Client { id, secret: client_secret, auth },
        tokens,
    })?;
    let left = how.measure(Who::Running(Box::new(entrant), ca), false)?;
    match keep {
        None => Ok(()),
        Some((path, file)) => {
            write(file, &left.concat()).map_err(|error| unwritable(&path, &error))
        }
    }
}

/// A file that only its owner can read.
fn private(path: &Path) -> Result<File, Failure> {
    let made = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    made.map_err(|error| unwritable(path, &error))
}

fn write(file: File, tokens: &[String]) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    for token in tokens {
        writeln!(file, "{token}")?;
    }
    file.flush()
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
