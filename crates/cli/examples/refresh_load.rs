//! Chains of refreshes against a sandbox: each answer's token feeds the next request.
//!
//! `cargo run --release -p counterfoil --example refresh_load [address] [client] [secret] [connections] [seconds]`
//!
//! Prints refreshes a second and percentiles of the time from request to answer. Start the sandbox with `--log error`, and give server and
//! load a core each (`taskset`), or they measure each other.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |at: usize, default: &str| args.get(at).cloned().unwrap_or_else(|| default.to_owned());
    let address = arg(0, "127.0.0.1:8080");
    let (client, secret) = (arg(1, "sandbox-other"), arg(2, "sandbox-other-secret-for-local-use"));
    let (connections, seconds): (usize, u64) = (arg(3, "64").parse().unwrap(), arg(4, "10").parse().unwrap());

    let warm_up = Duration::from_secs(2);
    let start = Instant::now();
    let chains: Vec<_> = (0..connections)
        .map(|_| {
            tokio::spawn(chain(
                address.clone(),
                client.clone(),
                secret.clone(),
                start + warm_up,
                start + warm_up + Duration::from_secs(seconds),
            ))
        })
        .collect();
    let mut times = Vec::new();
    for chain in chains {
        times.extend(chain.await.unwrap());
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{} refreshes/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
        times.len() as u64 / seconds,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// One chain; gives the times of its refreshes between `from` and `to`.
async fn chain(address: String, client: String, secret: String, from: Instant, to: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let callback = format!("http://{address}/sandbox/callback");
    let answer =
        post(&mut stream, &address, "/sandbox/codes", &format!("client_id={client}&customer=customer_1&redirect_uri={callback}")).await;
    let code = member(&answer, "code");
    let credentials = format!("client_id={client}&client_secret={secret}");
    let body = format!("{credentials}&grant_type=authorization_code&redirect_uri={callback}&code={code}");
    let mut token = member(&post(&mut stream, &address, "/token", &body).await, "refresh_token");
    let mut times = Vec::new();
    loop {
        let began = Instant::now();
        if began >= to {
            return times;
        }
        let answer = post(&mut stream, &address, "/token", &format!("{credentials}&grant_type=refresh_token&refresh_token={token}")).await;
        if began >= from {
            times.push(began.elapsed());
        }
        token = member(&answer, "refresh_token");
    }
}

async fn post(stream: &mut TcpStream, address: &str, path: &str, body: &str) -> String {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(4096);
    loop {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the server closed the connection");
        let text = std::str::from_utf8(&answer).unwrap();
        if let Some(head) = text.find("\r\n\r\n") {
            let length: usize = text[..head].split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
            if answer.len() >= head + 4 + length {
                return text[head + 4..].to_owned();
            }
        }
    }
}

fn member(json: &str, name: &str) -> String {
    let value = json.split(&format!("\"{name}\":\"")).nth(1).unwrap_or_else(|| panic!("no {name} in {json}"));
    value.split('"').next().unwrap().to_owned()
}
