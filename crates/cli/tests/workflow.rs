//! The workflow of `contrib/github`, run as GitHub runs it: each `run` in order, in a copy of what
//! it is about. Its steps install nothing, for all is there already: the binary on the PATH, and
//! the sample client's libraries in a virtual environment.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::setting::{BINARY, wait_for};

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(400);

type Environment = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Workflow {
    env: Environment,
    defaults: Defaults,
    jobs: BTreeMap<String, Job>,
}

#[derive(Deserialize)]
struct Defaults {
    run: Run,
}

#[derive(Deserialize)]
struct Run {
    shell: String,
}

#[derive(Deserialize)]
struct Job {
    #[serde(default)]
    env: Environment,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    run: Option<String>,
    uses: Option<String>,
    #[serde(default)]
    env: Environment,
    #[serde(default)]
    with: Environment,
    #[serde(rename = "if")]
    condition: Option<String>,
}

/// A step under way. What is left of it is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ =
            Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// A repository with the sample clients in it.
fn checked_out(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(
        root.join("examples/clients/.venv/installed.txt").exists(),
        "scripts/install-test-tools makes it"
    );
    let copied =
        Command::new("cp").arg("-R").arg(root.join("examples")).arg(into).status().unwrap();
    assert!(copied.success());
}

/// Runs a step as `shell: bash` is run:
/// https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax.
fn run(script: &str, environment: &Environment, workspace: &Path, log: &Path) {
    let file = log.with_extension("sh");
    fs::write(&file, script).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["--noprofile", "--norc", "-eo", "pipefail"])
        .arg(&file)
        .current_dir(workspace)
        .process_group(0);
    for other in ["MISTAKES", "TOKEN_FILE", "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"] {
        command.env_remove(other);
    }
    let out = File::create(log).unwrap();
    command.envs(environment).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut running = Running(command.spawn().unwrap());
    let status = wait_for("the end of a step", PATIENCE, || running.0.try_wait().unwrap());
    assert!(status.success(), "{status}\n{script}\n{}", fs::read_to_string(log).unwrap());
}

/// What a report in JSON and its JUnit sibling count.
fn counts(reports: &Path, name: &str) -> [u64; 3] {
    let json: Value =
        serde_json::from_str(&fs::read_to_string(reports.join(format!("{name}.json"))).unwrap())
            .unwrap();
    let junit = fs::read_to_string(reports.join(format!("{name}.xml"))).unwrap();
    assert!(junit.contains("failures=\"0\"") && junit.contains("errors=\"0\""), "{junit}");
    assert!(fs::read_to_string(reports.join(format!("{name}.html"))).unwrap().contains("</html>"));
    ["passed", "failed", "not_run"].map(|count| json[count].as_u64().unwrap())
}

#[test]
fn the_workflow_certifies_the_bank_and_grades_the_app() {
    let text = include_str!("../../../contrib/github/certify.yml");
    let Workflow { env, defaults, jobs } = crate::yaml::read(text);
    assert_eq!((defaults.run.shell.as_str(), jobs.len()), ("bash", 1));
    let job = &jobs["certify"];
    let dir = tempfile::tempdir().unwrap();
    let (workspace, told) = (dir.path().join("workspace"), dir.path().join("told"));
    fs::create_dir(&workspace).unwrap();
    checked_out(&workspace);

    // The one thing that can't be as it is on a machine of its own: the port.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let path = format!(
        "{}:{}",
        Path::new(BINARY).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut environment: Environment = env.into_iter().chain(job.env.clone()).collect();
    assert!(environment.insert("SANDBOX".into(), address.clone()).is_some());
    environment.extend([("PATH".into(), path), ("GITHUB_ENV".into(), told.display().to_string())]);

    for (number, step) in job.steps.iter().enumerate() {
        let Some(script) = &step.run else { continue };
        assert!(!script.contains("${{"), "GitHub would put something in there:\n{script}");
        File::create(&told).unwrap();
        let environment_of_step = environment.clone().into_iter().chain(step.env.clone()).collect();
        run(
            script,
            &environment_of_step,
            &workspace,
            &dir.path().join(format!("step-{number}.log")),
        );
        let lines = fs::read_to_string(&told).unwrap();
        environment.extend(
            lines
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.into(), value.into())),
        );
        assert!(TcpStream::connect(&address).is_err(), "what was started goes on after\n{script}");
    }

    let reports = workspace.join("reports");
    assert_eq!((counts(&reports, "bank"), counts(&reports, "app")), ([16, 0, 0], [12, 0, 0]));
    let kept = job.steps.last().unwrap();
    assert!(
        kept.uses.as_ref().is_some_and(|action| action.starts_with("actions/upload-artifact@"))
    );
    assert_eq!(
        (kept.condition.as_deref(), kept.with["path"].as_str()),
        (Some("always()"), "reports/")
    );
}
