//! `counterfoil sandbox --grade`: plays the script to a live client, prints the result of each event,
//! and then the scorecard.

use std::sync::Arc;

use counterfoil_report::text;
use counterfoil_sandbox::Sandbox;
use counterfoil_sandbox::grade::{self, Outcome, Progress};
use counterfoil_server::{App, Server, serve};
use tokio::sync::oneshot;

use crate::reports::{self, ReportFile};
use crate::{Failure, output};

/// Serves until the script has been played, no client came, or a signal came.
pub(super) async fn run(
    app: Arc<App>,
    sandbox: Arc<Sandbox>,
    server: Server,
    (told, at_once): (impl Future<Output = ()>, impl Future<Output = ()>),
    client: &str,
    wanted: &[ReportFile],
) -> Result<(), Failure> {
    if app.client(client).is_none() {
        return Err(Failure::usage(format!("there is no client `{client}` to grade")));
    }
    output::wait_for_no_reader()?;
    // The address is announced only once grading has begun, so the client's first request counts.
    grade::start(&app, &sandbox, client)
        .await
        .map_err(|_| Failure::failed("the grading could not be started"))?;
    introduce(&app.settings.issuer, client);
    let (finished, stop) = oneshot::channel::<()>();
    let watching = {
        let (app, sandbox) = (app.clone(), sandbox.clone());
        tokio::spawn(async move { watch(&app, &sandbox, finished).await })
    };
    let stop = async {
        tokio::select! {
            () = told => {}
            _ = stop => {}
        }
    };
    serve(app.clone(), server, stop, at_once).await.map_err(Failure::failed)?;
    grade::stop(&sandbox);
    watching.abort();
    let Some(Progress { outcome, report, .. }) = progress(&app, &sandbox) else {
        return Err(Failure::failed("nothing was graded"));
    };
    let written = reports::write(wanted, &report);
    output::say(&text::summary(&report, output::colour()));
    written?;
    let tally = report.tally();
    match outcome {
        Some(Outcome::NobodyCame) => Err(Failure::usage(format!(
            "no client came within 10 minutes: start yours against {}",
            report.issuer
        ))),
        Some(Outcome::Finished) if tally.failed == 0 && tally.not_run == 0 => Ok(()),
        Some(Outcome::Finished) => Err(Failure::failed(format!(
            "{} failed, {} could not be played",
            tally.failed, tally.not_run
        ))),
        Some(Outcome::Stopped) | None => {
            Err(Failure::failed("stopped before the script was at its end"))
        }
    }
}

fn introduce(issuer: &str, client: &str) {
    output::say(&format!("ready {issuer}"));
    output::say(&format!(
        "\nGrading {client}. Start it against {issuer}, and let it read {issuer}/accounts about once a second, for one customer."
    ));
    output::say(
        "Its customer says yes at once: /authorize answers without a page. Its ID tokens live 20 seconds.\n",
    );
}

fn progress(app: &App, sandbox: &Sandbox) -> Option<Progress> {
    sandbox.grading.progress(&app.settings.issuer)
}

/// Prints each event and its result until the grading ends.
async fn watch(app: &App, sandbox: &Sandbox, finished: oneshot::Sender<()>) {
    let mut changes = sandbox.grading.changes();
    let (mut told, mut announced) = (0, "");
    loop {
        let Some(Progress { under_way, outcome, report }) = progress(app, sandbox) else {
            return;
        };
        let cases = report.plans.first().map(|plan| plan.cases.as_slice()).unwrap_or_default();
        for case in cases.iter().skip(told) {
            output::say(text::case(case, output::colour()).trim_end());
        }
        told = cases.len();
        if let Some(event) = under_way.filter(|event| event.id != announced) {
            output::note(&format!("… {}: {}", event.title, event.expected));
            announced = event.id;
        }
        if outcome.is_some() {
            let _ = finished.send(());
            return;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
