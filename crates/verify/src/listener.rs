//! Listens on a loopback redirect URI for the answer of an authorization request (RFC 8252 section 7.3).

use crate::VerifyError;
use reqwest::Url;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Host;

/// The longest head of a request that is read, and how long it may take.
const LONGEST_HEAD: usize = 16 << 10;
const SLOWEST_HEAD: Duration = Duration::from_secs(10);

/// A loopback redirect URI that is listened on.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    /// The redirect URI with its real port.
    pub(crate) redirect_uri: String,
    path: String,
}

impl Listener {
    /// Listens where a redirect URI leads; port 0 picks a free one.
    ///
    /// # Errors
    /// Where that is not a loopback one, or it can't be listened on.
    pub(crate) async fn bind(redirect_uri: &str) -> Result<Self, VerifyError> {
        let unfit = |why: String| VerifyError::Usage(format!("the redirect URI `{redirect_uri}` {why}"));
        let url = Url::parse(redirect_uri).map_err(|_| unfit("is not a URL".into()))?;
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) if ip.is_loopback() => ip.into(),
            Some(Host::Ipv6(ip)) if ip.is_loopback() => ip.into(),
            Some(Host::Domain("localhost")) => std::net::IpAddr::from([127, 0, 0, 1]),
            _ => return Err(unfit("is not on this machine: give a loopback one, or a code with --code, or --refresh-token".into())),
        };
        if url.scheme() != "http" {
            return Err(unfit("is not http: only that can be listened on here".into()));
        }
        let port = url.port_or_known_default().unwrap_or(80);
        let bound = TcpListener::bind((ip, port)).await;
        let listener = bound.map_err(|error| unfit(format!("can't be listened on: {error}")))?;
        let path = url.path().to_owned();
        let mut redirect_uri = redirect_uri.to_owned();
        if port == 0 {
            let port = listener.local_addr().map_err(|error| unfit(error.to_string()))?.port();
            redirect_uri = redirect_uri.replacen(":0", &format!(":{port}"), 1);
        }
        Ok(Self { listener, redirect_uri, path })
    }

    /// Waits for the answer that carries this `state`; anything else is turned away, whoever sent it.
    pub(crate) async fn answer(&self, state: &str) -> BTreeMap<String, String> {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else { continue };
            let Ok(Some(target)) = tokio::time::timeout(SLOWEST_HEAD, target(&mut stream)).await else { continue };
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let answer: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let is_ours = path == self.path && answer.get("state").is_some_and(|seen| seen == state);
            let (status, words) = match (is_ours, answer.contains_key("error")) {
                (false, _) => ("404 Not Found", "This is not the answer that counterfoil verify waits for."),
                (true, true) => ("200 OK", "The bank did not give access. counterfoil verify goes on without it."),
                (true, false) => ("200 OK", "Thank you. counterfoil verify has what it needs; this page can be closed."),
            };
            // The one who waits is the program: a browser that went away has delivered its answer all the same.
            let _ = stream.write_all(page(status, words).as_bytes()).await;
            let _ = stream.shutdown().await;
            if is_ours {
                return answer;
            }
        }
    }
}

/// The target of a request line.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.lines().next()?.split(' ');
    (words.next()? == "GET").then(|| words.next().map(str::to_owned))?
}

fn page(status: &str, words: &str) -> String {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>counterfoil verify</title>\
         <body style=\"font:1.1rem system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem\"><p>{words}</p></body></html>\n"
    );
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{html}",
        html.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn browse(url: &str) -> (u16, String) {
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn only_the_answer_with_the_right_state_is_taken() {
        let listener = Listener::bind("http://127.0.0.1:0/callback").await.unwrap();
        let at = listener.redirect_uri.clone();
        assert!(at.starts_with("http://127.0.0.1:") && at.ends_with("/callback") && !at.contains(":0/"), "{at}");
        let waiting = tokio::spawn(async move { listener.answer("right").await });
        assert_eq!(browse(&at.replace("callback", "favicon.ico")).await.0, 404);
        assert_eq!(browse(&format!("{at}?code=theirs&state=wrong")).await.0, 404);
        assert_eq!(browse(&format!("{at}?code=theirs")).await.0, 404);
        assert_eq!(
            reqwest::Client::new().post(format!("{at}?code=theirs&state=right")).send().await.ok().map(|a| a.status().as_u16()),
            None
        );
        let (status, page) = browse(&format!("{at}?code=a%26b&state=right")).await;
        assert!(status == 200 && page.contains("Thank you"), "{page}");
        assert_eq!(waiting.await.unwrap()["code"], "a&b");
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        for (redirect_uri, word) in [
            ("https://app.example/cb", "not on this machine"),
            ("http://192.0.2.1/cb", "not on this machine"),
            ("https://127.0.0.1:0/cb", "not http"),
            ("callback", "not a URL"),
        ] {
            let refused = Listener::bind(redirect_uri).await.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(word) && refused.contains(redirect_uri), "{refused}");
        }
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = format!("http://localhost:{}/", other.local_addr().unwrap().port());
        assert!(Listener::bind(&taken).await.is_err_and(|error| error.to_string().contains("can't be listened on")));
    }
}
