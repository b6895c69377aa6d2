//! A running case, and the calls that plans are written with.

use counterfoil_report::CheckResult;
use serde_json::Value;

use crate::abort::Abort;
use crate::call::Call;
use crate::check::Check;
use crate::client::Client;
use crate::event::Event;
use crate::expectation::Dialect;
use crate::id_token;
use crate::judge::judge;
use crate::response::Response;
use crate::session::Session;
use crate::target::{Endpoint, Target};
use crate::tokens::{Code, Tokens};

/// A running case.
pub struct CaseRun<'s> {
    pub(crate) session: &'s mut Session,
    declared: &'static [Check],
    dialect: Dialect,
    checks: Vec<counterfoil_report::Check>,
    made: Vec<bool>,
}

impl<'s> CaseRun<'s> {
    /// Begins a case, which servers see as `name` in their logs.
    pub(crate) fn begin(
        session: &'s mut Session,
        name: &str,
        declared: &'static [Check],
        dialect: Dialect,
    ) -> Self {
        session.http.begin(name);
        Self {
            session,
            declared,
            dialect,
            checks: declared.iter().map(|check| check.not_run(dialect)).collect(),
            made: vec![false; declared.len()],
        }
    }

    // What a check says.

    /// Judges an answer by what the check expects.
    pub fn holds(&mut self, check: usize, answer: &Response) {
        let verdict = match self.declared.get(check) {
            Some(declared) => judge(declared.expected.in_dialect(self.dialect), answer),
            None => Err("the plan declares no such check: please report this".to_owned()),
        };
        self.judged(check, answer, verdict);
    }

    /// Concludes a check that the case judges itself.
    pub fn judged(&mut self, check: usize, answer: &Response, verdict: Result<(), String>) {
        let seen = self.session.http.seen(answer);
        self.session.http.note(answer, &format!("check {}", check + 1));
        self.saw(check, seen, verdict);
    }

    /// The same for more than a single answer; `seen` describes what was seen.
    pub fn saw(&mut self, check: usize, seen: impl Into<String>, verdict: Result<(), String>) {
        let (result, reason) = match verdict {
            Ok(()) => (CheckResult::Passed, String::new()),
            Err(reason) => (CheckResult::Failed, reason),
        };
        let seen = seen.into();
        self.conclude(check, result, &seen, &reason);
    }

    /// Says why a check can't be made here; those after it go on.
    pub fn not_run(&mut self, check: usize, reason: &str) {
        self.conclude(check, CheckResult::NotRun, "", reason);
    }

    /// An answer in one line, for a reason.
    pub fn line(&mut self, answer: &Response) -> String {
        self.session.http.seen(answer)
    }

    fn conclude(&mut self, check: usize, result: CheckResult, seen: &str, reason: &str) {
        let (seen, reason) = (self.session.http.masked(seen), self.session.http.masked(reason));
        if check >= self.checks.len() {
            // A plan with a mistake must not pass.
            let given = format!("check {}, which the plan does not declare", check + 1);
            let result = CheckResult::Failed;
            let expected = String::new();
            self.checks.push(counterfoil_report::Check { given, result, expected, seen, reason });
            self.made.push(true);
            return;
        }
        let concluded = &mut self.checks[check];
        (concluded.result, concluded.seen, concluded.reason) = (result, seen, reason);
        self.made[check] = true;
    }

    /// Ends the case: puts the clock back, says of the checks that were not made why, and fills in
    /// its report.
    pub(crate) async fn end(
        mut self,
        done: Result<(), Abort>,
        report: counterfoil_report::Case,
    ) -> counterfoil_report::Case {
        let (result, reason) = match done {
            Ok(()) => {
                (CheckResult::NotRun, "the plan did not come to it: please report this".to_owned())
            }
            Err(Abort::Failed(reason)) => (CheckResult::Failed, reason),
            Err(Abort::NotRun(reason)) => (CheckResult::NotRun, reason),
        };
        for check in 0..self.checks.len() {
            if !self.made[check] {
                self.conclude(check, result, "", &reason);
            }
        }
        if let Err(seen) = self.session.put_clock_back().await {
            (self.session.progress)(Event::Note(format!(
                "the sandbox's clock could not be put back yet: {seen}"
            )));
        }
        self.session.http.with_evidence(counterfoil_report::Case { checks: self.checks, ..report })
    }

    // What is certified, and as whom.

    /// Whether the plan expects the RFCs' dialect, and not the network's.
    pub fn is_rfc(&self) -> bool {
        self.dialect == Dialect::Rfc
    }

    /// The server.
    pub fn target(&self) -> &Target {
        &self.session.target
    }

    /// The client's id.
    pub fn client_id(&self) -> &str {
        &self.session.recipient.id
    }

    /// The redirect URI of the client.
    pub fn redirect_uri(&self) -> &str {
        &self.session.redirect_uri
    }

    /// The URL of an endpoint, or the case is not run.
    ///
    /// # Errors
    /// Where it is not known.
    pub fn endpoint(&self, endpoint: Endpoint) -> Result<String, Abort> {
        self.session.endpoint(endpoint)
    }

    /// The client's secret, or the case is not run.
    ///
    /// # Errors
    /// Where the client is a public one.
    pub fn secret(&self) -> Result<String, Abort> {
        let public = || Abort::not_run("the client has no secret, so none can be missing or wrong");
        self.session.recipient.secret.clone().ok_or_else(public)
    }

    // Codes and tokens.

    /// A good code, not redeemed yet.
    ///
    /// # Errors
    /// There is none.
    pub async fn code(&mut self) -> Result<Code, Abort> {
        self.session.code(&[]).await
    }

    /// A good code of an authorization request with these parameters; an empty value leaves one
    /// out. Only a sandbox gives such codes.
    ///
    /// # Errors
    /// There is none.
    pub async fn code_with(&mut self, parameters: &[(&str, &str)]) -> Result<Code, Abort> {
        self.session.code(parameters).await
    }

    /// A good code if there is one without asking the user, otherwise a made-up one: for requests
    /// that must be refused before their code is looked at.
    ///
    /// # Errors
    /// Where the sandbox gives none.
    pub async fn any_code(&mut self) -> Result<Code, Abort> {
        self.session.any_code().await
    }

    /// The newest tokens of a grant that lives.
    ///
    /// # Errors
    /// There is none.
    pub async fn tokens(&mut self) -> Result<Tokens, Abort> {
        self.session.tokens().await
    }

    /// The tokens of an answer that leads to a check.
    ///
    /// # Errors
    /// Where it has none.
    pub fn tokens_of(&mut self, answer: &Response, what: &str) -> Result<Tokens, Abort> {
        let seen = self.session.http.seen(answer);
        Tokens::of(answer).map_err(|problem| Abort::set_up(format!("{what}: {problem} ({seen})")))
    }

    /// The tokens that a client holds after a refresh that leads to a check.
    ///
    /// # Errors
    /// Where it was refused.
    pub fn renewed_by(&mut self, answer: &Response, before: &Tokens) -> Result<Tokens, Abort> {
        let seen = self.session.http.seen(answer);
        let refused = |problem| {
            Abort::set_up(format!("a current refresh_token was not redeemed: {problem} ({seen})"))
        };
        before.renewed_by(answer).map_err(refused)
    }

    /// Redeems a code.
    pub async fn redeem(&mut self, code: &Code) -> Response {
        self.session.post(Endpoint::Token, &code.form()).await
    }

    /// Redeems a refresh token.
    pub async fn refresh(&mut self, refresh_token: &str) -> Response {
        self.session
            .post(
                Endpoint::Token,
                &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)],
            )
            .await
    }

    // Requests.

    /// Sends any request.
    pub async fn send(&mut self, call: Call) -> Response {
        self.session.http.send(&call).await
    }

    /// Posts a form to an endpoint of OAuth as `client`.
    pub async fn post_as(
        &mut self,
        client: Client,
        endpoint: Endpoint,
        form: &[(&str, &str)],
    ) -> Response {
        self.session.post_as(client, endpoint, form).await
    }

    /// Asks for the accounts with a bearer.
    ///
    /// # Errors
    /// Where it is not known how.
    pub async fn accounts(&mut self, token: &str) -> Result<Response, Abort> {
        let url = self.endpoint(Endpoint::Accounts)?;
        let answer = self.send(Call::get(&url).bearer(token)).await;
        let is_fdx = answer.json().is_some_and(|body| body["code"].is_number());
        if answer.is(404)
            && !is_fdx
            && !self.target().accounts_given
            && self.target().sandbox.is_none()
        {
            return Err(Abort::not_run(format!(
                "there are no accounts at {url}: say where they are with --accounts-url"
            )));
        }
        Ok(answer)
    }

    /// Makes sure that a bearer is given the accounts, which leads to a check.
    ///
    /// # Errors
    /// Where they are not.
    pub async fn accounts_accept(&mut self, token: &str) -> Result<(), Abort> {
        let answer = self.accounts(token).await?;
        if answer.is(200) {
            return Ok(());
        }
        let seen = self.session.http.seen(&answer);
        Err(Abort::set_up(format!("the accounts are not given for a good ID token: {seen}")))
    }

    /// Verifies the ID token of an answer against the keys that the server publishes now, and
    /// against the one before it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub async fn verify(&mut self, tokens: &Tokens, before: Option<&str>) -> Result<Value, String> {
        let url = self
            .endpoint(Endpoint::Jwks)
            .map_err(|_| "it is not known where the keys are published".to_owned())?;
        let answer = self.send(Call::get(&url)).await;
        let Some(keys) = answer.json().filter(|_| answer.is(200)) else {
            return Err(format!("the keys are not published: {}", self.session.http.seen(&answer)));
        };
        let supported = self.target().metadata["id_token_signing_alg_values_supported"].as_array();
        let expected = id_token::Expected {
            issuer: &self.target().issuer,
            client_id: self.client_id(),
            algorithms: supported.into_iter().flatten().filter_map(Value::as_str).collect(),
            now: self.session.clock.now(),
            leeway: self.session.clock.leeway(),
            access_token: tokens.access_token.as_deref(),
            before,
        };
        id_token::verify(&tokens.id_token, &keys, &expected)
    }

    // Time.

    /// Moves the sandbox's clock; it is put back when the case ends.
    ///
    /// # Errors
    /// There is no clock that can be moved.
    pub async fn advance(&mut self, seconds: i64) -> Result<(), Abort> {
        if !self.session.clock.is_movable() {
            return Err(Abort::not_run(
                "it needs a clock that can be moved, and the server has none",
            ));
        }
        let Session { clock, http, .. } = &mut *self.session;
        let moved = clock.advance(http, seconds).await;
        moved.map_err(|seen| Abort::set_up(format!("the sandbox's clock was not moved: {seen}")))
    }

    /// Whether the server's clock can be moved.
    pub fn has_clock(&self) -> bool {
        self.session.clock.is_movable()
    }

    /// The server's time in unix seconds; this machine's, where the server has no clock to ask.
    pub fn now(&self) -> i64 {
        self.session.clock.now()
    }

    /// Tokens that were kept for a day, where they were given.
    pub(crate) fn aged(&self) -> Option<&crate::token_file::TokenFile> {
        self.session.options.aged_token.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    const CHECKS: &[Check] = &[Check::empty("one", 200), Check::words("two", "something")];

    /// A session with a server that publishes nothing.
    async fn session() -> Session {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, axum::Router::new()).await });
        let options = Options {
            client_id: Some("client".into()),
            code: Some("code".into()),
            redirect_uri: Some("http://127.0.0.1/callback".into()),
            ..Options::new(&issuer)
        };
        Session::open(options, [], Box::new(drop)).await.unwrap_or_else(|e| panic!("{e}"))
    }

    fn blank() -> counterfoil_report::Case {
        counterfoil_report::Case {
            id: "case".into(),
            title: String::new(),
            clause: String::new(),
            checks: Vec::new(),
            exchanges: Vec::new(),
        }
    }

    fn results(case: &counterfoil_report::Case) -> Vec<CheckResult> {
        case.checks.iter().map(|check| check.result).collect()
    }

    #[tokio::test]
    async fn a_check_that_the_plan_does_not_declare_fails() {
        let mut session = session().await;
        let mut case = CaseRun::begin(&mut session, "plan/case", CHECKS, Dialect::Network);
        let answer = Response::sample(200, &[], "");
        case.holds(0, &answer);
        case.saw(1, "something", Ok(()));
        case.holds(2, &answer);
        case.saw(7, "something", Ok(()));
        let ended = case.end(Ok(()), blank()).await;
        use CheckResult::{Failed, Passed};
        assert_eq!(results(&ended), [Passed, Passed, Failed, Failed]);
        assert_eq!(ended.checks[3].given, "check 8, which the plan does not declare");
    }

    #[tokio::test]
    async fn what_was_not_come_to_does_not_pass() {
        use CheckResult::{Failed, NotRun, Passed};
        let mut session = session().await;
        for (done, result, reason) in [
            (Ok(()), NotRun, "the plan did not come to it: please report this"),
            (Err(Abort::set_up("no code")), Failed, "set-up: no code"),
            (Err(Abort::not_run("no clock")), NotRun, "no clock"),
        ] {
            let mut case = CaseRun::begin(&mut session, "plan/case", CHECKS, Dialect::Network);
            case.holds(0, &Response::sample(200, &[], ""));
            let ended = case.end(done, blank()).await;
            assert_eq!(results(&ended), [Passed, result]);
            assert_eq!(ended.checks[1].reason, reason);
        }
    }
}
