//! `counterfoil verify`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use counterfoil_report::{Report, Tally, text};
use counterfoil_verify::{Endpoint, Event, Options, Progress, TokenFile, VerifyError};
use indicatif::ProgressBar;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::process::{Signals, block_on};
use crate::reports::{self, ReportFile};
use crate::{Failure, output};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The server's issuer, such as https://auth.bank.example
    #[arg(value_name = "ISSUER")]
    issuer: String,
    /// The client to make requests with; against a sandbox, unless told otherwise,
    /// sandbox-recipient
    #[arg(long, value_name = "ID", env = "OIDC_CLIENT_ID")]
    client_id: Option<String>,
    /// Its secret; a public client has none. The list of processes shows arguments: the environment
    /// variable is more discreet
    #[arg(long, value_name = "SECRET", env = "OIDC_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// How the secret is sent; as discovery says, unless told otherwise
    #[arg(long, value_name = "METHOD", value_parser = ["client_secret_basic", "client_secret_post"])]
    auth_method: Option<String>,
    /// The redirect URI of the client. Where consents are asked for, a loopback one that is
    /// listened on; port 0 picks a free one
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// A plan to run; may be repeated [default: token-management]
    #[arg(long = "plan", value_name = "NAME", value_parser = PossibleValuesParser::new(counterfoil_verify::names()))]
    plans: Vec<String>,
    /// Write a report: html=FILE, junit=FILE or json=FILE; may be repeated
    #[arg(long = "report", value_name = "FORMAT=FILE", value_parser = reports::report_file)]
    reports: Vec<ReportFile>,
    /// Print the report as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// An authorization code obtained elsewhere, for --redirect-uri; nobody is asked to consent
    /// then
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// The PKCE verifier of --code, if its request had a challenge
    #[arg(long, value_name = "VERIFIER", requires = "code")]
    code_verifier: Option<String>,
    /// A refresh token obtained elsewhere; nobody is asked to consent then
    #[arg(long, value_name = "TOKEN")]
    refresh_token: Option<String>,
    /// Tokens that --keep-token kept more than a day ago: where no clock can be moved, the refresh
    /// of an expired ID token needs them, and uses them up
    #[arg(long, value_name = "FILE")]
    aged_token: Option<PathBuf>,
    /// Keep tokens of a grant that still lives when the run ends, for --aged-token on another day;
    /// only you can read the file
    #[arg(long, value_name = "FILE")]
    keep_token: Option<PathBuf>,
    /// The scope to ask for
    #[arg(long, value_name = "SCOPE", default_value = "openid offline_access")]
    scope: String,
    /// A further parameter of the authorization request, such as connector=examplebank; may be
    /// repeated
    #[arg(long = "authorize-param", value_name = "NAME=VALUE", value_parser = parameter)]
    authorize_parameters: Vec<(String, String)>,
    #[command(flatten)]
    endpoints: Endpoints,
}

/// Where the server's endpoints are, if discovery does not tell, or not rightly.
#[derive(Args)]
#[command(next_help_heading = "Endpoints, where discovery does not tell them")]
struct Endpoints {
    /// The token endpoint
    #[arg(long, value_name = "URL")]
    token_endpoint: Option<String>,
    /// The revocation endpoint
    #[arg(long, value_name = "URL")]
    revocation_endpoint: Option<String>,
    /// The authorization endpoint
    #[arg(long, value_name = "URL")]
    authorization_endpoint: Option<String>,
    /// Where the keys are published
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// The userinfo endpoint
    #[arg(long, value_name = "URL")]
    userinfo_endpoint: Option<String>,
    /// The introspection endpoint
    #[arg(long, value_name = "URL")]
    introspection_endpoint: Option<String>,
    /// The accounts of the data API; <issuer>/accounts, unless told otherwise
    #[arg(long, value_name = "URL")]
    accounts_url: Option<String>,
}

impl Endpoints {
    fn given(self) -> impl Iterator<Item = (Endpoint, String)> {
        [
            (Endpoint::Token, self.token_endpoint),
            (Endpoint::Revocation, self.revocation_endpoint),
            (Endpoint::Authorization, self.authorization_endpoint),
            (Endpoint::Jwks, self.jwks_uri),
            (Endpoint::Userinfo, self.userinfo_endpoint),
            (Endpoint::Introspection, self.introspection_endpoint),
            (Endpoint::Accounts, self.accounts_url),
        ]
        .into_iter()
        .filter_map(|(endpoint, url)| Some((endpoint, url?)))
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let (reports, json) = (arguments.reports.clone(), arguments.json);
    let options = options(arguments)?;
    reports::prepare(&reports)?;
    output::wait_for_no_reader()?;
    let spinner = output::spinner("{spinner} {msg}");
    let ran = block_on(async {
        let (told, hangup) = (Signals::watch()?.stop(), hangup()?);
        let stop = async {
            tokio::select! {
                () = told => {}
                () = closed(hangup) => {}
            }
        };
        Ok(counterfoil_verify::run(options, stop, progress(spinner.clone(), json)).await)
    });
    spinner.finish_and_clear();
    // The files are written even if stdout can't be.
    let tell = |report: &Report| reports::write(&reports, report).and(show(report, json));
    let report = match ran? {
        Ok(report) => report,
        Err(error) => {
            if let VerifyError::Clock { report: Some(report), .. } = &error {
                tell(report).inspect_err(|_| output::complain(&error.to_string()))?;
            }
            return Err(Failure::usage(error));
        }
    };
    tell(&report)?;
    match report.tally() {
        Tally { failed: 0, passed: 0, .. } => Err(Failure::usage("no check could be run")),
        Tally { failed: 0, .. } => Ok(()),
        Tally { failed: 1, .. } => Err(Failure::failed("1 check failed")),
        Tally { failed, .. } => Err(Failure::failed(format!("{failed} checks failed"))),
    }
}

/// Watches for a terminal that is closed, which must not leave the sandbox's clock moved; not where
/// that is ignored, as below nohup.
fn hangup() -> Result<Option<Signal>, Failure> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let is_ignored = ignored.is_some_and(|signals| signals & 1 == 1);
    if is_ignored {
        Ok(None)
    } else {
        signal(SignalKind::hangup()).map(Some).map_err(Failure::failed)
    }
}

/// Waits until the terminal is closed.
async fn closed(hangup: Option<Signal>) {
    match hangup {
        Some(mut hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

fn options(arguments: Arguments) -> Result<Options, Failure> {
    let unreadable = |path: &Path, error: io::Error| {
        Failure::usage(format!("{} holds no aged tokens: {error}", path.display()))
    };
    let aged_token = arguments
        .aged_token
        .map(|path| TokenFile::read(&path).map_err(|error| unreadable(&path, error)))
        .transpose()?;
    Ok(Options {
        plans: arguments.plans,
        client_id: arguments.client_id,
        client_secret: arguments.client_secret,
        secret_in_body: arguments.auth_method.map(|method| method == "client_secret_post"),
        redirect_uri: arguments.redirect_uri,
        endpoints: arguments.endpoints.given().collect(),
        scope: arguments.scope,
        authorize_parameters: arguments.authorize_parameters,
        code: arguments.code,
        code_verifier: arguments.code_verifier,
        refresh_token: arguments.refresh_token,
        aged_token,
        keep_token: arguments.keep_token,
        ..Options::new(&arguments.issuer)
    })
}

/// Tells what happens while it runs: results on stdout, all else on stderr.
fn progress(spinner: ProgressBar, json: bool) -> Progress {
    let colour = output::colour();
    Box::new(move |event| match event {
        Event::Begins { plan, case } => spinner.set_message(format!("{plan}/{case}")),
        Event::Ended(case) if !json => {
            spinner.suspend(|| output::say(text::case(&case, colour).trim_end_matches('\n')))
        }
        Event::Ended(_) => {}
        Event::Consent { number, of, url } => {
            spinner.set_message("waiting for a consent");
            let ask = format!(
                "\nConsent {number} of {of} at the most. Open this in a browser, sign in and allow:\n\n{url}\n"
            );
            spinner.suspend(|| output::note(&ask));
        }
        Event::Note(note) => spinner.suspend(|| output::note(&note)),
    })
}

fn show(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        output::json(&report.to_json().map_err(Failure::failed)?);
    } else {
        output::say(&format!(
            "\n{}",
            text::summary(report, output::colour()).trim_end_matches('\n')
        ));
    }
    Ok(())
}
