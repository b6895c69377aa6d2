//! A sandbox behind a proxy that spoils answers, what `verify` says of it, and a customer with a
//! browser.

pub mod browser;

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use counterfoil_report::{CheckResult, Report};
use counterfoil_verify::{Event, Options, VerifyError};
use serde_json::Value;

use crate::setting::{Server, counterfoil};

/// A request, as far as a spoiler can tell it from others.
#[derive(Debug)]
pub struct Asked {
    /// The case that it belongs to, as the User-Agent says.
    pub case: String,
    pub path: String,
    pub form: BTreeMap<String, String>,
    /// Which of the requests of its case with this path and `grant_type` it is, from 1.
    pub nth: usize,
}

impl Asked {
    pub fn grant_type(&self) -> &str {
        self.form.get("grant_type").map_or("", String::as_str)
    }
}

/// An answer on its way to the client.
#[derive(Clone, Debug)]
pub struct Given {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Given {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn with(mut self, status: u16, body: &Value) -> Self {
        (self.status, self.body) = (status, body.to_string());
        self.headers.insert("content-type", HeaderValue::from_static("application/json"));
        self
    }

    /// The same with another JSON body.
    pub fn edited(self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut json = self.json();
        edit(&mut json);
        let status = self.status;
        self.with(status, &json)
    }
}

/// Turns answers into others.
pub type Spoiler = Arc<dyn Fn(&Asked, Given) -> Given + Send + Sync>;

/// A sandbox that is reached by a proxy alone, and believes that it is the proxy.
pub struct Certified {
    pub server: Server,
    pub issuer: String,
    front: Arc<Front>,
}

struct Front {
    upstream: String,
    http: reqwest::Client,
    spoiler: Mutex<Spoiler>,
    counts: Mutex<HashMap<(String, String, String), usize>>,
    asked: Mutex<Vec<(String, String)>>,
}

impl Certified {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let issuer = format!("http://127.0.0.1:{port}");
        // The same port of another loopback address: nobody else took it, since that of 127.0.0.1
        // was free.
        let upstream = format!("127.0.0.2:{port}");
        let front = Arc::new(Front {
            upstream: format!("http://{upstream}"),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            spoiler: Mutex::new(Arc::new(|_, given| given)),
            counts: Mutex::default(),
            asked: Mutex::default(),
        });
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let router = Router::new().fallback(forward).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let server = Server::spawn(counterfoil(&[
            "sandbox", "--listen", &upstream, "--issuer", &issuer, "--log", "error",
        ]));
        Self { server, issuer, front }
    }

    /// From now on answers are spoiled so.
    pub fn spoil(&self, spoiler: impl Fn(&Asked, Given) -> Given + Send + Sync + 'static) {
        *self.front.spoiler.lock().unwrap() = Arc::new(spoiler);
        self.front.counts.lock().unwrap().clear();
        self.front.asked.lock().unwrap().clear();
    }

    /// What was asked since the last spoiler: case and path, in order.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.front.asked.lock().unwrap().clone()
    }

    pub fn options(&self) -> Options {
        Options::new(&self.issuer)
    }

    pub async fn verify(&self) -> Report {
        verify(self.options()).await.unwrap()
    }

    /// By how much the sandbox's clock is off.
    pub async fn clock_offset(&self) -> i64 {
        self.server.get("/sandbox/clock").await.json()["offset_seconds"].as_i64().unwrap()
    }
}

/// As servers are that are no sandbox.
pub fn no_sandbox(asked: &Asked, given: Given) -> Given {
    if asked.path.starts_with("/.well-known/") {
        return given
            .edited(|json| drop(json.as_object_mut().unwrap().remove("counterfoil_sandbox")));
    }
    given
}

/// As servers are that tell nothing about themselves.
pub fn no_discovery(asked: &Asked, given: Given) -> Given {
    if asked.path.starts_with("/.well-known/") { Given { status: 404, ..given } } else { given }
}

async fn forward(
    State(front): State<Arc<Front>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<String> {
    let agent = headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let case = agent
        .split(['(', ')'])
        .nth(1)
        .unwrap_or_default()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let mut asked = Asked { case, path: uri.path().to_owned(), form, nth: 0 };
    front.asked.lock().unwrap().push((asked.case.clone(), asked.path.clone()));
    let key = (asked.case.clone(), asked.path.clone(), asked.grant_type().to_owned());
    asked.nth = {
        let mut counts = front.counts.lock().unwrap();
        let count = counts.entry(key).or_default();
        *count += 1;
        *count
    };
    let mut request = front
        .http
        .request(method, format!("{}{}", front.upstream, uri.path_and_query().unwrap()))
        .body(body);
    for (name, value) in
        headers.iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length"))
    {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    let (status, mut headers) = (answer.status().as_u16(), answer.headers().clone());
    for hop in ["content-length", "transfer-encoding", "connection"] {
        headers.remove(hop);
    }
    let given = Given { status, headers, body: answer.text().await.unwrap() };
    let spoiler = front.spoiler.lock().unwrap().clone();
    let given = spoiler(&asked, given);
    let mut response = Response::new(given.body);
    *response.status_mut() = StatusCode::from_u16(given.status).unwrap();
    *response.headers_mut() = given.headers;
    response
}

pub async fn verify(options: Options) -> Result<Report, VerifyError> {
    counterfoil_verify::run(options, std::future::pending(), Box::new(drop)).await
}

/// The same, with what happened meanwhile.
pub async fn verify_with_events(
    options: Options,
    mut react: impl FnMut(&Event) + Send + 'static,
) -> (Report, Vec<Event>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let kept = events.clone();
    let progress = Box::new(move |event| {
        react(&event);
        kept.lock().unwrap().push(event);
    });
    let report = counterfoil_verify::run(options, std::future::pending(), progress).await.unwrap();
    let events = std::mem::take(&mut *events.lock().unwrap());
    (report, events)
}

/// The checks that came out so: case and index.
pub fn checks(report: &Report, outcome: CheckResult) -> Vec<(String, usize)> {
    let cases = report.plans.iter().flat_map(|plan| &plan.cases);
    let all = cases.flat_map(|case| {
        case.checks.iter().enumerate().map(|(index, check)| (case.id.clone(), index, check))
    });
    all.filter(|(_, _, check)| check.result == outcome).map(|(id, index, _)| (id, index)).collect()
}

/// A check of a report.
#[track_caller]
pub fn check<'r>(report: &'r Report, case: &str, index: usize) -> &'r counterfoil_report::Check {
    let case =
        report.plans.iter().flat_map(|plan| &plan.cases).find(|found| found.id == case).unwrap();
    &case.checks[index]
}
