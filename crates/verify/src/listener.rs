//! Listens on a loopback redirect URI for the answer of an authorization request (RFC 8252 section
//! 7.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Host;

use crate::error::VerifyError;

/// A listener on a loopback redirect URI.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: std::net::TcpListener,
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
        let unfit =
            |why: String| VerifyError::Usage(format!("the redirect URI `{redirect_uri}` {why}"));
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
        let listener = bound
            .and_then(TcpListener::into_std)
            .map_err(|error| unfit(format!("can't be listened on: {error}")))?;
        let path = url.path().to_owned();
        let mut redirect_uri = redirect_uri.to_owned();
        if port == 0 {
            let port = listener.local_addr().map_err(|error| unfit(error.to_string()))?.port();
            redirect_uri = redirect_uri.replacen(":0", &format!(":{port}"), 1);
        }
        Ok(Self { listener, redirect_uri, path })
    }

    /// Waits for the answer that carries this `state`, and refuses anything else.
    ///
    /// # Errors
    /// Where it can't be listened any more.
    pub(crate) async fn answer(&self, state: &str) -> std::io::Result<BTreeMap<String, String>> {
        let (answers, mut answer) = mpsc::channel(1);
        let expected =
            Arc::new(Expected { path: self.path.clone(), state: state.to_owned(), answers });
        let service = Router::new().fallback(get(receive)).with_state(expected);
        let ended = || std::io::Error::other("the listening has ended");
        tokio::select! {
            // The connection that brought the answer is a task of its own: the browser gets its
            // page all the same.
            taken = answer.recv() => taken.ok_or_else(ended),
            served = axum::serve(TcpListener::from_std(self.listener.try_clone()?)?, service) => Err(served.err().unwrap_or_else(ended)),
        }
    }
}

/// The answer that is waited for.
struct Expected {
    path: String,
    state: String,
    answers: mpsc::Sender<BTreeMap<String, String>>,
}

async fn receive(
    State(expected): State<Arc<Expected>>,
    uri: Uri,
    Query(answer): Query<BTreeMap<String, String>>,
) -> Response {
    let is_ours = uri.path() == expected.path && answer.get("state") == Some(&expected.state);
    let (status, words) = match (is_ours, answer.contains_key("error")) {
        (false, _) => {
            (StatusCode::NOT_FOUND, "This is not the answer that counterfoil verify waits for.")
        }
        (true, true) => {
            (StatusCode::OK, "The bank did not give access. counterfoil verify goes on without it.")
        }
        (true, false) => (
            StatusCode::OK,
            "Thank you. counterfoil verify has what it needs; this page can be closed.",
        ),
    };
    if is_ours {
        // A second one is a repetition by the browser; the first was taken.
        let _ = expected.answers.try_send(answer);
    }
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>counterfoil verify</title>\
         <body style=\"font:1.1rem system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem\"><p>{words}</p></body></html>\n"
    );
    (status, [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")], Html(page))
        .into_response()
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
        assert!(
            at.starts_with("http://127.0.0.1:") && at.ends_with("/callback") && !at.contains(":0/"),
            "{at}"
        );
        let waiting = tokio::spawn(async move { listener.answer("right").await });
        assert_eq!(browse(&at.replace("callback", "favicon.ico")).await.0, 404);
        assert_eq!(browse(&format!("{at}?code=theirs&state=wrong")).await.0, 404);
        assert_eq!(browse(&format!("{at}?code=theirs")).await.0, 404);
        let posted = reqwest::Client::new()
            .post(format!("{at}?code=theirs&state=right"))
            .send()
            .await
            .unwrap();
        assert_eq!(posted.status(), 405);
        let (status, page) = browse(&format!("{at}?code=a%26b&state=right")).await;
        assert!(status == 200 && page.contains("Thank you"), "{page}");
        assert_eq!(waiting.await.unwrap().unwrap()["code"], "a&b");
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        for (redirect_uri, word) in [
            ("https://app.example/cb", "not on this machine"),
            ("http://192.0.2.1/cb", "not on this machine"),
            ("https://127.0.0.1:0/cb", "not http"),
            ("callback", "not a URL"),
        ] {
            let refused = Listener::bind(redirect_uri)
                .await
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(refused.contains(word) && refused.contains(redirect_uri), "{refused}");
        }
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = format!("http://localhost:{}/", other.local_addr().unwrap().port());
        assert!(
            Listener::bind(&taken)
                .await
                .is_err_and(|error| error.to_string().contains("can't be listened on"))
        );
    }
}
