//! `counterfoil verify` as a process: exit codes, what it prints, what it writes, and that no
//! secret is in any of it.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::certified::{Certified, Given, no_sandbox};
use crate::setting::{BINARY, Done, Live, RECIPIENT, Server, counterfoil, finish, run};

/// Runs the command while the proxy of this process serves it.
async fn verify(issuer: &str, arguments: &[&str]) -> Done {
    let arguments: Vec<String> =
        ["verify", issuer].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn exit_codes_and_lines() {
    let certified = Certified::start().await;
    let good = verify(&certified.issuer, &[]).await;
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""), "{}", good.stdout);
    assert!(good.stdout.contains("16 passed, 0 failed, 0 not run"), "{}", good.stdout);
    assert!(!good.stdout.contains('\u{1b}'), "there is no colour where there is no terminal");

    certified.spoil(|asked, given| match asked.case.as_str() {
        "refresh-token-missing" => given.edited(|json| json["error"] = "invalid_grant".into()),
        _ => given,
    });
    let bad = verify(&certified.issuer, &[]).await;
    assert_eq!(bad.code, Some(1), "{}", bad.stdout);
    assert!(bad.stderr.contains("1 check failed"), "{}", bad.stderr);
    for word in ["15 passed, 1 failed, 0 not run", "`error` is \"invalid_grant\""] {
        assert!(bad.stdout.contains(word), "no {word:?} in {}", bad.stdout);
    }
    let bad = verify(&certified.issuer, &["--json"]).await;
    let json: Value = serde_json::from_str(&bad.stdout).unwrap();
    assert_eq!(
        (bad.code, &json["passed"], &json["failed"], &json["not_run"]),
        (Some(1), &15.into(), &1.into(), &0.into())
    );

    certified.spoil(no_sandbox);
    verify(&certified.issuer, &[]).await.refused(2, &["--client-id"]);
}

#[test]
fn wrong_usage() {
    run(&["verify"]).refused(2, &["ISSUER"]);
    run(&["verify", "http://127.0.0.1:9"]).refused(2, &["does not answer"]);
    run(&["verify", "http://127.0.0.1:9", "--plan", "no-such"])
        .refused(2, &["no-such", "token-management"]);
    run(&["verify", "http://127.0.0.1:9", "--report", "pdf=/dev/null"])
        .refused(2, &["pdf", "html"]);
    run(&["verify", "http://127.0.0.1:9", "--report", "json=/no/such/place"])
        .refused(2, &["/no/such/place"]);
    run(&["verify", "http://127.0.0.1:9", "--aged-token", "/no/such/file"])
        .refused(2, &["/no/such/file"]);
    run(&["verify", "http://127.0.0.1:9", "--authorize-param", "connector"])
        .refused(2, &["NAME=VALUE"]);
}

/// Every token and code that came over the wire, and the secret of the client.
#[tokio::test]
async fn reports_are_written_and_hold_no_secret() {
    let certified = Certified::start().await;
    let secrets = Arc::new(Mutex::new(vec![RECIPIENT.1.to_owned()]));
    let seen = secrets.clone();
    certified.spoil(move |asked, given| {
        if let Ok(json) = serde_json::from_str::<Value>(&given.body) {
            let members = ["id_token", "access_token", "refresh_token", "code"]
                .iter()
                .filter_map(|name| json[*name].as_str());
            seen.lock().unwrap().extend(members.map(str::to_owned));
        }
        // A server that tells secrets in its errors.
        match asked.case.as_str() {
            "refresh-used" if given.status == 400 => {
                let told = format!("{} of {} is used", asked.form["refresh_token"], RECIPIENT.1);
                given.edited(|json| json["error_description"] = told.into())
            }
            _ => given,
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let report = |format: &str| format!("{format}={}", path(format));
    let arguments =
        ["--report", &report("html"), "--report", &report("junit"), "--report", &report("json")];
    let done = verify(&certified.issuer, &arguments).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let read = |format: &str| std::fs::read_to_string(path(format)).unwrap();
    let json: Value = serde_json::from_str(&read("json")).unwrap();
    assert_eq!(
        (&json["issuer"], &json["passed"], &json["failed"]),
        (&certified.issuer.as_str().into(), &15.into(), &1.into())
    );
    assert_eq!(json["plans"][0]["cases"].as_array().unwrap().len(), 11);
    assert!(read("html").contains("<html") && read("junit").contains("<testsuites"));
    let secrets = secrets.lock().unwrap();
    assert!(secrets.len() > 30, "{}", secrets.len());
    for (what, text) in [
        ("html", read("html")),
        ("junit", read("junit")),
        ("json", read("json")),
        ("stdout", done.stdout + &done.stderr),
    ] {
        for secret in secrets.iter() {
            assert!(!text.contains(secret.as_str()), "{what} tells {secret}");
        }
    }
}

/// What is asked of a report before anything runs; a run that does not begin leaves no file.
#[tokio::test]
async fn reports_that_come_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report").to_str().unwrap().to_owned();
    let (html, json) = (format!("html={path}"), format!("json={path}"));
    run(&["verify", "http://127.0.0.1:9", "--report", &html, "--report", &json])
        .refused(2, &["one file", &path]);
    run(&["verify", "http://127.0.0.1:9", "--report", &html]).refused(2, &["does not answer"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The report is there all the same, and the exit code does not say that all is well.
#[tokio::test]
async fn a_clock_that_can_not_be_put_back() {
    let certified = Certified::start().await;
    certified.server.post("/sandbox/clock", &[("advance", "-90s")]).await;
    certified.spoil(|asked, given| {
        let back = asked.path == "/sandbox/clock"
            && asked.form.get("advance").is_some_and(|by| by.starts_with('-'));
        if back { Given { status: 503, ..given } } else { given }
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.json").to_str().unwrap().to_owned();
    // The proxy lets the clock be moved back, and says that it was not: what is read of it
    // afterwards tells better.
    let done = verify(&certified.issuer, &["--report", &format!("json={path}")]).await;
    assert_eq!((done.code, certified.clock_offset().await), (Some(0), -90), "{}", done.stderr);
    assert!(done.stderr.contains("could not be put back yet"), "{}", done.stderr);

    certified.spoil(|asked, given| {
        let read = asked.path == "/sandbox/clock" && asked.form.is_empty();
        let first = asked.case == "discovery"
            || (asked.case == "refresh-expired-id-token" && asked.nth == 1);
        if read && !first { Given { status: 503, ..given } } else { given }
    });
    let done = verify(&certified.issuer, &["--report", &format!("json={path}")]).await;
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    for word in [
        "could not be put back (503",
        "offset was -90 seconds",
        "clock reset",
        "clock advance -90s",
    ] {
        assert!(done.stderr.contains(word), "no {word:?} in {}", done.stderr);
    }
    assert!(done.stdout.contains("0 not run"), "{}", done.stdout);
    assert!(std::fs::read_to_string(path).unwrap().contains("\"passed\""));
}

#[tokio::test]
async fn an_interrupt_puts_the_clock_back() {
    for signal in ["INT", "TERM", "HUP"] {
        interrupted_by(signal).await;
    }
}

async fn interrupted_by(signal: &'static str) {
    let certified = Certified::start().await;
    // Whoever runs the tests may ignore a closed terminal, which would be handed down.
    let mut command = std::process::Command::new("env");
    command.args(["--default-signal=HUP", BINARY, "verify", &certified.issuer]);
    let agent = Arc::new(Mutex::new(None::<u32>));
    let interrupted = agent.clone();
    certified.spoil(move |asked, given| {
        if asked.case == "refresh-expired-id-token" && asked.path == "/accounts" {
            let process = interrupted.lock().unwrap().unwrap().to_string();
            assert!(
                std::process::Command::new("kill")
                    .args(["-s", signal, &process])
                    .status()
                    .unwrap()
                    .success()
            );
        }
        given
    });
    let child = {
        let mut process = agent.lock().unwrap();
        let child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        *process = Some(child.id());
        child
    };
    let output =
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{signal}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"), "{signal}");
    assert_eq!(certified.clock_offset().await, 0);
}

/// The secret may come from the environment, where the list of processes does not show it.
#[tokio::test]
async fn a_secret_from_the_environment() {
    let certified = Certified::start().await;
    let mut command = counterfoil(&["verify", &certified.issuer, "--client-id", RECIPIENT.0]);
    command.env("OIDC_CLIENT_SECRET", RECIPIENT.1);
    let done = tokio::task::spawn_blocking(move || finish(&mut command, "")).await.unwrap();
    done.says(&["16 passed, 0 failed, 0 not run"]);
    // Empty, they count as not set: a sandbox's own client is taken.
    let mut command = counterfoil(&["verify", &certified.issuer, "--plan", "discovery"]);
    command.envs([("OIDC_CLIENT_ID", ""), ("OIDC_CLIENT_SECRET", "")]);
    let done = tokio::task::spawn_blocking(move || finish(&mut command, "")).await.unwrap();
    done.says(&["0 failed, 0 not run"]);
    assert!(!run(&["verify", "--help"]).stdout.contains(RECIPIENT.1));
}

/// A live server over TLS, whose certificate is trusted where the system's are.
#[tokio::test]
async fn a_live_server_over_tls() {
    let live = Live::new();
    // Nobody else has this port here: it is held at another loopback address.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("127.0.0.4:{}", held.local_addr().unwrap().port());
    let issuer = format!("https://{address}");
    let made = rcgen::generate_simple_self_signed(["127.0.0.4".to_owned()]).unwrap();
    std::fs::write(live.path("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(live.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let file = |name: &str| live.path(name).display().to_string();
    live.configure(&format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"",
        file("certificate.pem"),
        file("key.pem")
    ));
    let text = std::fs::read_to_string(live.config()).unwrap();
    let text = text.replace("http://127.0.0.1:8080", &issuer).replace("127.0.0.1:0", &address);
    std::fs::write(live.config(), text).unwrap();
    let secret = live.add_client("app");
    let _server = Server::spawn(live.command());

    let verify = || {
        let mut command = counterfoil(&[
            "verify",
            &issuer,
            "--plan",
            "discovery",
            "--client-id",
            "app",
            "--code",
            "none",
            "--redirect-uri",
            "http://127.0.0.1/callback",
        ]);
        command.env("OIDC_CLIENT_SECRET", &secret);
        command
    };
    let stranger = finish(&mut verify(), "");
    stranger.refused(2, &[&issuer, "certificate"]);
    let trusted = finish(verify().env("SSL_CERT_FILE", live.path("certificate.pem")), "");
    // What needs a grant has failed, since the code that was given is none.
    assert_eq!(trusted.code, Some(1), "{}", trusted.stderr);
    assert!(trusted.stdout.contains("37 passed"), "{}", trusted.stdout);
    // A refresh token that is none is no way to certify anything.
    let mut dead =
        counterfoil(&["verify", &issuer, "--client-id", "app", "--refresh-token", "none"]);
    dead.envs([
        ("OIDC_CLIENT_SECRET", secret.as_str()),
        ("SSL_CERT_FILE", live.path("certificate.pem").to_str().unwrap()),
    ]);
    finish(&mut dead, "")
        .refused(2, &["the refresh token that was given is no good", "already been claimed"]);
}
