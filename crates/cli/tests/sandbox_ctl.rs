//! `counterfoil sandbox-ctl` as a process, against a sandbox and against what is none.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::setting::{Done, Live, OTHER, RECIPIENT, Server, run};

/// `sandbox-ctl` with what is written in one line and separated by blanks.
fn ctl(server: &Server, words: &str) -> Done {
    let words: Vec<&str> = words.split(' ').collect();
    run(&[&["sandbox-ctl", &server.origin], &*words].concat())
}

#[tokio::test]
async fn the_clock() {
    let sandbox = Server::sandbox(&[]);
    ctl(&sandbox, "clock").says(&["Z, the machine's time\n"]);
    ctl(&sandbox, "clock advance 25h").says(&["Z, 25 hours ahead of the machine's time\n"]);
    assert_eq!(ctl(&sandbox, "clock advance -1h --json").json()["offset_seconds"], 86_400);
    ctl(&sandbox, "clock advance -3d").says(&["2 days behind the machine's time"]);
    ctl(&sandbox, "clock set 2030-12-01T00:00:00Z").says(&["2030-12-01T00:00:0"]);
    assert!(sandbox.get("/sandbox/clock").await.member("now").starts_with("2030-12-01T00:00:"));
    ctl(&sandbox, "clock reset").says(&["the machine's time"]);
    assert_eq!(ctl(&sandbox, "--json clock show").json()["offset_seconds"], 0);

    ctl(&sandbox, "clock advance soon").refused(1, &["`soon` is not a duration"]);
    ctl(&sandbox, "clock set tomorrow").refused(1, &["`tomorrow` is not an RFC 3339 time"]);
    ctl(&sandbox, "clock advance 101000d").refused(1, &["a century at the most"]);
    assert_eq!(ctl(&sandbox, "clock --json").json()["offset_seconds"], 0);
}

#[tokio::test]
async fn faults() {
    let sandbox = Server::sandbox(&[]);
    let tokens = sandbox.tokens().await;
    let none = ctl(&sandbox, "fault list");
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (Some(0), "", "none\n"));
    ctl(&sandbox, "fault set lose_answer").says(&["fault 1 is set: lose_answer, once\n"]);
    let set = ctl(&sandbox, "fault set skew --client-id sandbox-other --count 3 --value -5m");
    set.says(&["fault 2 is set: skew, 3 times\n"]);
    let narrow = ctl(
        &sandbox,
        "fault set unavailable --customer customer_1 --path /accounts --value 9s --json",
    )
    .json();
    let expected = json!({
        "id": "3", "fault": "unavailable", "client_id": null, "customer": "customer_1", "path": "/accounts", "value": "9s", "remaining": 1
    });
    assert_eq!(narrow, expected);
    assert_eq!(sandbox.accounts(&tokens.id_token).await.header("retry-after"), "9");
    ctl(&sandbox, "fault list").says(&["client id", "lose_answer", OTHER.0, "-5m", "3"]);
    assert_eq!(ctl(&sandbox, "fault list --json").json()["faults"].as_array().unwrap().len(), 2);
    ctl(&sandbox, "fault clear 1").says(&["the fault is cleared"]);
    ctl(&sandbox, "fault clear 1").refused(1, &["no fault of this id waits"]);
    run(&["sandbox-ctl", &sandbox.origin, "fault", "clear", ""]).refused(2, &["[ID]"]);
    ctl(&sandbox, "fault clear").says(&["all faults are cleared"]);
    assert_eq!(ctl(&sandbox, "fault clear --json").json(), json!({ "faults": [] }));

    ctl(&sandbox, "fault set rotate_keys").says(&["rotate_keys has happened\n"]);
    ctl(&sandbox, &format!("fault set revoke_grant --client-id {}", RECIPIENT.0))
        .says(&["revoke_grant has happened\n"]);
    assert_eq!(sandbox.accounts(&tokens.id_token).await.status, 401);

    ctl(&sandbox, "fault set delay").refused(1, &["delay wants a value: how long, such as 2s"]);
    ctl(&sandbox, "fault set fdx_error --value 999").refused(1, &["999", "none of the FDX codes"]);
    ctl(&sandbox, "fault set lose_answer --client-id nobody")
        .refused(1, &["there is no client `nobody`"]);
}

#[test]
fn wrong_usage() {
    let sandbox = "http://127.0.0.1:8080";
    for (words, named) in [
        (&["sandbox-ctl"][..], "ISSUER"),
        (&["sandbox-ctl", sandbox], "clock"),
        (&["sandbox-ctl", "clock", "show"], "<ISSUER>"),
        (&["sandbox-ctl", "127.0.0.1:8080", "clock"], "an issuer is a URL"),
        (&["sandbox-ctl", "file:///tmp", "clock"], "an issuer is a URL"),
        (&["sandbox-ctl", sandbox, "weather"], "weather"),
        (&["sandbox-ctl", sandbox, "clock", "advance"], "<BY>"),
        (&["sandbox-ctl", sandbox, "fault", "set", "explode"], "lose_answer"),
        (&["sandbox-ctl", sandbox, "fault", "set", "delay", "--count", "often"], "often"),
        (&["sandbox-ctl", sandbox, "fault", "set", "delay", "--path", "/jwks"], "/userinfo"),
    ] {
        run(words).refused(2, &[named]);
    }
}

/// A server that answers every request with this.
fn stranger(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    origin
}

#[test]
fn what_is_no_sandbox_is_said_to_be_none() {
    let live = Live::new().serve();
    ctl(&live, "clock").refused(1, &["is no sandbox"]);
    ctl(&live, "fault set lose_answer").refused(1, &["is no sandbox"]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    run(&["sandbox-ctl", &gone, "clock"]).refused(1, &[&gone, "can't be reached", "refused"]);
    let web = stranger("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi");
    run(&["sandbox-ctl", &web, "clock"]).refused(1, &["answered 200", "a sandbox does not"]);
    let moved = stranger(
        "HTTP/1.1 302 Found\r\nlocation: /\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    );
    run(&["sandbox-ctl", &format!("{moved}/"), "clock"]).refused(1, &["answered 302"]);
}
