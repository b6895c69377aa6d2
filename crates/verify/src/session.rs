//! What a run has at hand: the server, the client, and what is left of codes and grants.

use crate::abort::Abort;
use crate::call::Call;
use crate::client::Client;
use crate::clock::Clock;
use crate::error::VerifyError;
use crate::event::Progress;
use crate::http::Http;
use crate::listener::Listener;
use crate::options::Options;
use crate::random::random;
use crate::response::Response;
use crate::supply::{Source, Supply};
use crate::target::{Endpoint, Target};
use crate::tokens::Code;

/// The client that the requests are made with.
pub(crate) struct Recipient {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) basic: bool,
}

/// What a run has at hand.
pub(crate) struct Session {
    pub(crate) options: Options,
    pub(crate) target: Target,
    pub(crate) recipient: Recipient,
    pub(crate) redirect_uri: String,
    pub(crate) http: Http,
    pub(crate) clock: Clock,
    pub(crate) supply: Supply,
    pub(crate) progress: Progress,
}

/// The sandbox's client that needs no introduction.
const SANDBOX_CLIENT: (&str, &str) =
    ("sandbox-recipient", "sandbox-recipient-secret-for-local-use");

impl Session {
    /// Looks at the server and at what was given. Each of the `needs` is a plan and an endpoint
    /// without which it can't begin.
    ///
    /// # Errors
    /// Where it can't run.
    pub(crate) async fn open(
        options: Options,
        needs: impl IntoIterator<Item = (&'static str, Endpoint)>,
        progress: Progress,
    ) -> Result<Self, VerifyError> {
        let mut http = Http::new().map_err(|error| VerifyError::Usage(error.to_string()))?;
        http.begin("discovery");
        let target = Target::discover(&mut http, &options.issuer, &options.endpoints).await?;
        for (plan, endpoint) in needs {
            target.require(endpoint, &format!("the plan {plan}"))?;
        }
        let recipient = recipient(&options, &target)?;
        if let Some(secret) = &recipient.secret {
            http.learn(secret);
        }
        let given =
            [&options.code, &options.code_verifier, &options.refresh_token].into_iter().flatten();
        let aged = options.aged_token.iter().flat_map(|aged| [&aged.id_token, &aged.refresh_token]);
        given.chain(aged).for_each(|secret| http.learn(secret));
        let (source, redirect_uri) = source(&options, &target).await?;
        let code = options
            .code
            .clone()
            .map(|code| Code::given(code, redirect_uri.clone(), options.code_verifier.clone()));
        let supply = Supply::new(source, code, options.refresh_token.clone());
        let mut clock = Clock::new(target.sandbox.as_deref());
        if let Err(why) = clock.read(&mut http).await {
            return Err(VerifyError::Unreachable {
                url: format!("{}/clock", target.sandbox.unwrap_or_default()),
                why,
            });
        }
        let mut session =
            Self { options, target, recipient, redirect_uri, http, clock, supply, progress };
        // A token that is good for nothing would leave nearly everything not run, and the run
        // green.
        if session.options.refresh_token.is_some()
            && session.target.endpoint(Endpoint::Token).is_some()
            && let Err(Abort::Failed(why) | Abort::NotRun(why)) = session.tokens().await
        {
            return Err(VerifyError::Usage(format!(
                "the refresh token that was given is no good: {}",
                session.http.masked(&why)
            )));
        }
        Ok(session)
    }

    pub(crate) fn endpoint(&self, endpoint: Endpoint) -> Result<String, Abort> {
        let unknown = || {
            Abort::not_run(format!(
                "it needs an endpoint that discovery does not tell: give it with {}",
                endpoint.option()
            ))
        };
        self.target.endpoint(endpoint).map(str::to_owned).ok_or_else(unknown)
    }

    /// Posts a form to an endpoint as the client.
    pub(crate) async fn post(&mut self, endpoint: Endpoint, form: &[(&str, &str)]) -> Response {
        let answer = self.post_as(Client::Ours, endpoint, form).await;
        self.http.note(&answer, "set-up");
        answer
    }

    /// Posts a form to an endpoint as somebody.
    pub(crate) async fn post_as(
        &mut self,
        client: Client,
        endpoint: Endpoint,
        form: &[(&str, &str)],
    ) -> Response {
        let url = self.target.endpoint(endpoint).unwrap_or_default();
        let Recipient { id, secret, basic } = &self.recipient;
        let (unknown, wrong) = (random(), random());
        let (id, secret) = match (client, secret) {
            (Client::Ours, secret) => (Some(id), secret.as_ref()),
            (Client::WrongSecret, _) => (Some(id), Some(&wrong)),
            (Client::NoSecret, _) => (Some(id), None),
            (Client::Unknown, secret) => (Some(&unknown), secret.as_ref()),
            (Client::Nobody, _) => (None, None),
        };
        let mut form = form.to_vec();
        let mut call = Call::post(url);
        match (id, secret) {
            (Some(id), Some(secret)) if *basic => call = call.basic(id, secret),
            (id, secret) => {
                form.extend(id.map(|id| ("client_id", id.as_str())));
                form.extend(secret.map(|secret| ("client_secret", secret.as_str())));
            }
        }
        let answer = self.http.send(&call.form(&form)).await;
        if !self.supply.is_plentiful() {
            self.supply.saw(endpoint, &form, &answer);
        }
        answer
    }

    /// Leaves the clock as it was found.
    ///
    /// # Errors
    /// Why it stays moved.
    pub(crate) async fn put_clock_back(&mut self) -> Result<(), String> {
        self.clock.restore(&mut self.http).await
    }
}

fn recipient(options: &Options, target: &Target) -> Result<Recipient, VerifyError> {
    let (id, secret) = match (&options.client_id, &target.sandbox) {
        (Some(id), _) => (id.clone(), options.client_secret.clone()),
        (None, _) if options.client_secret.is_some() => {
            return Err(VerifyError::Usage(
                "there is a client secret, and no client that it is of: give it with --client-id"
                    .into(),
            ));
        }
        (None, Some(_)) => (SANDBOX_CLIENT.0.to_owned(), Some(SANDBOX_CLIENT.1.to_owned())),
        (None, None) => {
            return Err(VerifyError::Usage(
                "the server is no sandbox, so it needs a client: give it with --client-id".into(),
            ));
        }
    };
    // RFC 8414 section 2: where nothing is listed it is Basic, which every server takes from
    // clients with a password.
    let listed = target
        .lists("token_endpoint_auth_methods_supported", "client_secret_basic")
        .unwrap_or(true);
    Ok(Recipient { id, secret, basic: options.secret_in_body.map_or(listed, |in_body| !in_body) })
}

/// Where codes come from, and the redirect URI of their requests.
async fn source(options: &Options, target: &Target) -> Result<(Source, String), VerifyError> {
    let redirect_uri = options.redirect_uri.clone();
    let missing = || {
        VerifyError::Usage(
            "the authorization request needs a redirect URI: give it with --redirect-uri".into(),
        )
    };
    if options.code.is_some() {
        return Ok((Source::Given, redirect_uri.ok_or_else(missing)?));
    }
    if options.refresh_token.is_some() {
        return Ok((
            Source::Given,
            redirect_uri.unwrap_or_else(|| "http://127.0.0.1/callback".to_owned()),
        ));
    }
    if let Some(sandbox) = &target.sandbox {
        return Ok((
            Source::Sandbox(sandbox.clone()),
            redirect_uri.unwrap_or_else(|| format!("{sandbox}/callback")),
        ));
    }
    target.require(Endpoint::Authorization, "asking for a consent")?;
    let redirect_uri = redirect_uri.ok_or_else(|| {
        let how =
            "a loopback one to be listened on, such as http://127.0.0.1:8765/callback, with --redirect-uri; or a --code or --refresh-token";
        VerifyError::Usage(format!("the server is no sandbox, so codes come by a redirect URI: give {how}"))
    })?;
    let listener = Listener::bind(&redirect_uri).await?;
    let redirect_uri = listener.redirect_uri.clone();
    Ok((Source::Ask(listener), redirect_uri))
}
