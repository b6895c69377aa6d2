//! No answer leaves before what it says is on disk: seen from outside, by what the process asks of
//! the system.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::setting::{RECIPIENT, Server, wait_until};

const REFRESHES: usize = 20;

/// What a line of strace tells of a thread.
#[derive(PartialEq, Eq, Debug)]
enum Seen {
    /// It wrote to the write-ahead log.
    Wrote,
    /// The disk has what it wrote there.
    Synced,
    /// It answered a request with 200.
    Answered,
}

/// Reads `TID call(FD<PATH>, ...) = RESULT`, where a call may be cut in two by those of other
/// threads.
fn read(line: &str, unfinished: &mut HashMap<String, String>) -> Option<(String, Seen)> {
    let (thread, call) = line.split_once(' ')?;
    let (thread, mut call) = (thread.to_owned(), call.trim_start().to_owned());
    if let Some(begun) = call.strip_suffix("<unfinished ...>") {
        unfinished.insert(thread, begun.to_owned());
        return None;
    }
    if let Some((_, rest)) =
        call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
    {
        call = unfinished.remove(&thread)? + rest;
    }
    let of_log = call.split_once('>').is_some_and(|(file, _)| file.ends_with("-wal"));
    let seen = match call.split('(').next()? {
        "pwrite64" | "write" if of_log => Seen::Wrote,
        "fsync" | "fdatasync" if of_log && call.trim_end().ends_with("= 0") => Seen::Synced,
        "write" | "writev" | "sendto" | "sendmsg" if call.contains("HTTP/1.1 200 OK") => {
            Seen::Answered
        }
        _ => return None,
    };
    Some((thread, seen))
}

#[tokio::test]
async fn no_answer_leaves_before_the_disk_has_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::sandbox_in(dir.path());
    let mut tokens = server.tokens().await;
    let trace = dir.path().join("trace");
    let calls = "trace=pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync";
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-s", "16", "-e", calls, "-o"])
        .arg(&trace)
        .args(["-p", &server.id().to_string()]);
    let mut strace = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let traced = || std::fs::read_to_string(&trace).unwrap_or_default();
    // Its threads are traced once what they do is seen.
    loop {
        assert_eq!(server.get("/health/ready").await.status, 200);
        if traced().contains("HTTP/1.1 200 OK") {
            break;
        }
    }
    for _ in 0..REFRESHES {
        tokens = server.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
    }
    assert_eq!(server.revoke(RECIPIENT, &tokens.refresh_token).await.status, 200);
    server.kill();
    wait_until("the end of the trace", || strace.try_wait().unwrap());

    let trace = traced();
    let (mut unfinished, mut unsynced, mut wrote, mut durable) = (HashMap::new(), None, false, 0);
    for line in trace.lines() {
        match read(line, &mut unfinished) {
            Some((thread, Seen::Wrote)) => (unsynced, wrote) = (Some(thread), true),
            Some((thread, Seen::Synced)) if unsynced.as_ref() == Some(&thread) => unsynced = None,
            Some((_, Seen::Answered)) => {
                assert_eq!(unsynced, None, "an answer left before its fsync:\n{trace}");
                durable += usize::from(std::mem::replace(&mut wrote, false));
            }
            _ => {}
        }
    }
    assert!(durable > REFRESHES, "{durable} answers after a write were seen:\n{trace}");
}
