//! Parses an authorization request: what is wrong with it, and whether the browser may be
//! redirected with the error.

use counterfoil_core::authorization_error::AuthorizationError;
use counterfoil_core::client::{Client, GrantType, LONGEST_ID};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::form::Form;
use counterfoil_core::grant::GrantId;
use counterfoil_core::id_token::{LONGEST_NONCE, LONGEST_TOKEN, nonce_fits};
use counterfoil_core::pkce::Challenge;
use counterfoil_core::random;
use counterfoil_core::scope::Scopes;

use crate::authorization::answer::can_give_back;
use crate::authorization::request::AuthorizationRequest;
use crate::http::operation::{Field, optional, required};
use crate::node::app::App;

/// The longest `login_hint` that is prefilled, in bytes.
const LONGEST_HINT: usize = 256;

/// Why a request is not put to the customer.
#[derive(Debug)]
pub enum RequestError {
    /// The browser must not be redirected: the name of the page's message, and the private reason.
    Page(&'static str, &'static str),
    /// The browser goes back to the client with an error.
    Redirect(Box<AuthorizationRequest>, AuthorizationError),
}

/// Reads a request, and whether it has `prompt=none`.
///
/// # Errors
/// [`RequestError`]. Client, redirect URI and connector come first: until they are known, nothing
/// else may be answered by redirect.
pub fn read(
    app: &App,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<(AuthorizationRequest, bool), RequestError> {
    let page = |message, reason| Err(RequestError::Page(message, reason));
    if ["client_id", "redirect_uri", "connector"].into_iter().any(|name| is_repeated(form, name)) {
        return page("malformed", "the client_id, redirect_uri or connector was sent twice");
    }
    let Some(client) = form.get("client_id").and_then(|id| app.client(id)) else {
        return page("unknown-client", "the client_id is missing or unknown");
    };
    let Some(redirect_uri) =
        form.get("redirect_uri").filter(|uri| client.settings.may_redirect_to(uri))
    else {
        return page("redirect-uri", "the redirect_uri is missing or not registered");
    };
    let connector = form.get("connector");
    if connector.is_some_and(|id| app.settings.provider(id).is_none()) {
        return page("unknown-connector", "there is no such connector");
    }
    let form_post =
        form.get("response_mode") == Some("form_post") && !is_repeated(form, "response_mode");
    // Without its state an error would mean nothing to the client. Of two states, the right one is
    // unknown.
    let state = form.get("state").filter(|_| !is_repeated(form, "state"));
    if state.is_some_and(|state| !can_give_back(app, redirect_uri, form_post, state)) {
        return page("state", "the state is too long to be given back");
    }
    let mut request = AuthorizationRequest {
        grant: GrantId::new(now, random::bytes()),
        client: client.id.to_string(),
        redirect_uri: redirect_uri.to_owned(),
        form_post,
        state: state.map(str::to_owned),
        nonce: form.get("nonce").map(str::to_owned),
        scopes: Scopes::NONE,
        challenge: None,
        connector: connector.map(str::to_owned),
        login_hint: form
            .get("login_hint")
            .filter(|hint| hint.len() <= LONGEST_HINT)
            .map(str::to_owned),
        subject: None,
        not_before: None,
    };
    match fill(&mut request, form, &client, now) {
        Ok(prompt_none) => Ok((request, prompt_none)),
        Err(error) => Err(RequestError::Redirect(Box::new(request), error)),
    }
}

fn is_repeated(form: &Form<'_>, name: &str) -> bool {
    form.all(name).nth(1).is_some()
}

/// Checks what may be answered by redirect, and fills in the rest of the request. True if it has
/// `prompt=none`.
fn fill(
    request: &mut AuthorizationRequest,
    form: &Form<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<bool, AuthorizationError> {
    if form.names().any(|name| is_repeated(form, name)) {
        return Err(AuthorizationError::ParameterRepeated);
    }
    if form.get("request").is_some() {
        return Err(AuthorizationError::RequestObject);
    }
    if form.get("request_uri").is_some() {
        return Err(AuthorizationError::RequestUri);
    }
    match form.get("response_type") {
        None => return Err(AuthorizationError::ResponseTypeMissing),
        Some("code") => {}
        Some(_) => return Err(AuthorizationError::ResponseTypeNotSupported),
    }
    if !client.settings.grant_types.contains(&GrantType::AuthorizationCode) {
        return Err(AuthorizationError::NotRegisteredForCodes);
    }
    if !matches!(form.get("response_mode"), None | Some("query" | "form_post")) {
        return Err(AuthorizationError::ResponseModeNotSupported);
    }
    if request.nonce.as_ref().is_some_and(|nonce| !nonce_fits(nonce)) {
        return Err(AuthorizationError::NonceTooLong);
    }
    let asked = Scopes::known_in(form.get("scope").unwrap_or_default());
    if !asked.contains(Scopes::OPENID) {
        return Err(AuthorizationError::OpenidNotRequested);
    }
    request.scopes = asked.and(client.settings.scopes);
    request.challenge = challenge(form, client)?;
    let prompt: Vec<&str> =
        form.get("prompt").map(|prompt| prompt.split(' ').collect()).unwrap_or_default();
    let none = prompt.contains(&"none");
    if none && prompt.len() > 1 {
        return Err(AuthorizationError::PromptNoneWithAnother);
    }
    if prompt.iter().any(|prompt| matches!(*prompt, "login" | "select_account")) {
        request.not_before = Some(now);
    }
    if let Some(max_age) = form.get("max_age") {
        let Some(seconds) = max_age.parse::<u32>().ok() else {
            return Err(AuthorizationError::MaxAgeMalformed);
        };
        request.not_before = request.not_before.max(Some(now.plus(-i64::from(seconds))));
    }
    Ok(none)
}

/// RFC 7636 section 4.3, S256 only.
fn challenge(form: &Form<'_>, client: &Client) -> Result<Option<Challenge>, AuthorizationError> {
    match (form.get("code_challenge"), form.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) => {
            Challenge::parse(challenge).map(Some).ok_or(AuthorizationError::CodeChallengeMalformed)
        }
        (Some(_), _) => Err(AuthorizationError::CodeChallengeMethodNotSupported),
        (None, Some(_)) => Err(AuthorizationError::CodeChallengeMethodAlone),
        (None, None) if client.settings.require_pkce => Err(AuthorizationError::PkceRequired),
        (None, None) => Ok(None),
    }
}

/// The parameters of a request, as the OpenAPI document has them.
pub fn fields() -> [Field; 14] {
    [
        required("response_type", 64, "`code`").such_as("code"),
        required("client_id", LONGEST_ID, "The client.").such_as("sandbox-recipient"),
        required("redirect_uri", 2048, "One that the client registered."),
        required("scope", 256, "Must hold `openid`; `offline_access` asks for a refresh token.")
            .such_as("openid profile offline_access"),
        optional(
            "state",
            4096,
            "Given back as it came: as long as the redirect back stays within 3,600 bytes, or 4,096 bytes with `form_post`.",
        ),
        optional("nonce", LONGEST_NONCE, "Put into the first ID token."),
        optional("code_challenge", 43, "PKCE (RFC 7636)."),
        optional("code_challenge_method", 16, "`S256`"),
        optional("connector", 64, "The provider to sign in at."),
        optional("prompt", 64, "`none`, `login`, `consent`, `select_account`"),
        optional("max_age", 10, "Seconds since the customer last signed in, at the most."),
        optional("login_hint", LONGEST_HINT, "The name to fill in."),
        optional("response_mode", 16, "`query` or `form_post`"),
        optional(
            "id_token_hint",
            LONGEST_TOKEN,
            "An ID token of the customer who is to be asked, for the same client; it may have expired.",
        ),
    ]
}
