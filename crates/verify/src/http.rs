//! The one client that sends requests, and the evidence that it keeps of them.

use std::error::Error;
use std::time::Duration;

use counterfoil_report::{Case, Exchange, Mask};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Request};
use url::form_urlencoded::byte_serialize;

use crate::call::Call;
use crate::machine_time;
use crate::response::Response;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest body that is read.
const LONGEST_BODY: usize = 1 << 20;
/// How much of a body fits in a line.
const LONGEST_LINE: usize = 400;

/// Sends requests and keeps, secrets masked, what was sent and answered.
pub(crate) struct Http {
    client: Client,
    mask: Mask,
    agent: String,
    exchanges: Vec<Exchange>,
}

impl Http {
    /// A client that follows no redirects: an answer is what the server said, not what it led to.
    ///
    /// # Errors
    /// Where TLS can't be set up.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let builder = || Client::builder().redirect(Policy::none()).timeout(TIMEOUT);
        // A container may have no certificates at all, which does not matter on loopback; https then
        // trusts no server.
        let client = builder().build().or_else(|_| builder().tls_certs_only([]).build())?;
        Ok(Self { client, mask: Mask::default(), agent: String::new(), exchanges: Vec::new() })
    }

    /// Begins the evidence of a case, whose name the server's operators find in their logs. What
    /// came before any case is evidence of the first one.
    pub(crate) fn begin(&mut self, case: &str) {
        self.agent = format!("counterfoil-verify/{} ({case})", env!("CARGO_PKG_VERSION"));
        for exchange in self.exchanges.iter_mut().filter(|exchange| exchange.note.is_empty()) {
            exchange.note = "discovery".to_owned();
        }
    }

    /// Gives a case that has ended its evidence. Secrets that came to light late are masked in what
    /// came before, too.
    pub(crate) fn with_evidence(&mut self, mut case: Case) -> Case {
        case.exchanges = std::mem::take(&mut self.exchanges);
        self.mask.again(&mut case);
        case
    }

    /// Masks this secret from now on.
    pub(crate) fn learn(&mut self, secret: &str) {
        self.mask.learn(secret);
        self.mask.learn(&byte_serialize(secret.as_bytes()).collect::<String>());
    }

    /// Any text, without secrets.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.mask.text(text)
    }

    /// An answer in a line, without secrets.
    pub(crate) fn seen(&mut self, answer: &Response) -> String {
        let Some(status) = answer.status else {
            return format!("no answer: {}", self.mask.text(&answer.body));
        };
        let body = self.mask.body(&answer.body);
        match body.char_indices().nth(LONGEST_LINE) {
            _ if body.is_empty() => format!("{status} and an empty body"),
            Some((end, _)) => format!("{status} {}…", &body[..end]),
            None => format!("{status} {body}"),
        }
    }

    /// Says what an exchange is about.
    pub(crate) fn note(&mut self, answer: &Response, note: &str) {
        if let Some(exchange) = self.exchanges.get_mut(answer.exchange) {
            exchange.note = note.to_owned();
        }
    }

    /// Sends a request and keeps it with its answer.
    pub(crate) async fn send(&mut self, call: &Call) -> Response {
        let at = machine_time::now()
            .round(jiff::Unit::Millisecond)
            .unwrap_or_else(|_| machine_time::now())
            .to_string();
        let mut request_headers = Vec::new();
        let received = match call.build(&self.agent) {
            Ok(request) => {
                request_headers = self.headers(request.headers());
                self.receive(request).await
            }
            Err(problem) => Err(problem),
        };
        let (status, headers, body) = match received {
            Ok((status, headers, body)) => (Some(status), headers, body),
            Err(problem) => (None, HeaderMap::new(), problem),
        };
        let request_body =
            call.body.as_deref().map(|body| self.mask.form(body)).unwrap_or_default();
        let exchange = Exchange {
            at,
            note: String::new(),
            method: call.method.to_string(),
            url: self.mask.url(&call.url),
            request_headers,
            request_body,
            status,
            answer_headers: self.headers(&headers),
            answer_body: self.mask.body(&body),
        };
        self.exchanges.push(exchange);
        Response { status, headers, body, exchange: self.exchanges.len() - 1 }
    }

    async fn receive(&self, request: Request) -> Result<(u16, HeaderMap, String), String> {
        let mut response = self.client.execute(request).await.map_err(in_words)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(in_words)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_BODY {
                return Err(format!("the body of a {status} is longer than {LONGEST_BODY} bytes"));
            }
        }
        Ok((status, headers, String::from_utf8_lossy(&body).into_owned()))
    }

    fn headers(&mut self, headers: &HeaderMap) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), self.mask.header(name.as_str(), &text(value))))
            .collect()
    }
}

/// Why there was no answer, down to the cause: the outermost error says little.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(http: &mut Http) -> Vec<Exchange> {
        let case = Case {
            id: String::new(),
            title: String::new(),
            clause: String::new(),
            checks: Vec::new(),
            exchanges: Vec::new(),
        };
        http.with_evidence(case).exchanges
    }

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that answers each connection with a text, and with nothing when there are no more.
    async fn server(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut answers = answers.iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ =
                    stream.write_all(answers.next().map_or(b"", |answer| answer.as_bytes())).await;
            }
        });
        origin
    }

    #[tokio::test]
    async fn what_comes_back_is_taken_as_it_is() {
        const REDIRECT: &str = "HTTP/1.1 302 Found\r\nLocation: /elsewhere?code=c0de-c0de\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let origin = server(&[REDIRECT]).await;
        let mut http = Http::new().unwrap();
        http.begin("plan/case");
        let redirected = http.send(&Call::get(&origin)).await;
        assert!(redirected.is(302), "{:?}", redirected.status);
        let dropped = http
            .send(
                &Call::post(&origin)
                    .form(&[("client_secret", "a secret/of mine")])
                    .bearer("a-bearer-of-40-characters-or-even-more-than-that"),
            )
            .await;
        assert_eq!(dropped.status, None);
        assert!(http.seen(&dropped).starts_with("no answer: "), "{}", dropped.body);
        let impossible = http.send(&Call::get(&origin).bearer("two\nlines")).await;
        assert!(
            impossible.status.is_none() && impossible.body.contains("can't be sent"),
            "{}",
            impossible.body
        );
        let evidence = taken(&mut http);
        assert_eq!(
            evidence.iter().map(|exchange| exchange.status).collect::<Vec<_>>(),
            [Some(302), None, None]
        );
        let header = |name: &str| {
            &evidence[1].request_headers.iter().find(|(found, _)| found == name).unwrap().1
        };
        assert!(header("user-agent").ends_with("(plan/case)"));
        let told = format!("{evidence:?}");
        for secret in ["c0de-c0de", "secret/of", "secret%2Fof", "bearer-of-40"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
        assert!(taken(&mut http).is_empty());
    }

    #[tokio::test]
    async fn what_went_before_is_evidence_of_the_first_case() {
        const OK: &str =
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nl4te-s3cret";
        let origin = server(&[OK, OK, OK, OK]).await;
        let mut http = Http::new().unwrap();
        http.begin("discovery");
        http.send(&Call::get(&origin)).await;
        let clock = http.send(&Call::get(&origin)).await;
        http.note(&clock, "clock");
        http.begin("plan/one");
        let one = http.send(&Call::get(&origin)).await;
        http.note(&one, "check 1");
        http.learn("l4te-s3cret");
        let evidence = taken(&mut http);
        let notes: Vec<_> = evidence
            .iter()
            .map(|exchange| (exchange.note.as_str(), exchange.answer_body.as_str()))
            .collect();
        assert_eq!(
            notes,
            [("discovery", "[masked]"), ("clock", "[masked]"), ("check 1", "[masked]")]
        );
        http.begin("plan/two");
        http.send(&Call::get(&origin)).await;
        let evidence = taken(&mut http);
        assert_eq!(
            evidence.iter().map(|exchange| exchange.note.as_str()).collect::<Vec<_>>(),
            [""]
        );
    }
}
