//! What to certify, as whom and how.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::target::Endpoint;
use crate::token_file::TokenFile;

/// What to certify, as whom and how.
#[derive(Clone)]
pub struct Options {
    /// The server's issuer.
    pub issuer: String,
    /// The plans to run, by name; the first one, where none is named.
    pub plans: Vec<String>,
    /// The client; against a sandbox it has a default.
    pub client_id: Option<String>,
    /// The client's secret; a public client has none.
    pub client_secret: Option<String>,
    /// Whether the secret goes into the body (`client_secret_post`) or not; as discovery says,
    /// where it is not said.
    pub secret_in_body: Option<bool>,
    /// The redirect URI; a loopback one is listened on.
    pub redirect_uri: Option<String>,
    /// Endpoints that discovery does not name, or names wrongly.
    pub endpoints: BTreeMap<Endpoint, String>,
    /// The scope to ask for.
    pub scope: String,
    /// Further parameters of the authorization request.
    pub authorize_parameters: Vec<(String, String)>,
    /// A code that was obtained elsewhere, instead of asking for consents.
    pub code: Option<String>,
    /// Its PKCE verifier, if it has one.
    pub code_verifier: Option<String>,
    /// A refresh token that was obtained elsewhere, instead of asking for consents.
    pub refresh_token: Option<String>,
    /// Tokens that an earlier run kept, for what needs an expired ID token where no clock can be
    /// moved.
    pub aged_token: Option<TokenFile>,
    /// Where to keep tokens of a grant that still lives when the run ends.
    pub keep_token: Option<PathBuf>,
}

impl Options {
    /// The defaults, for a server.
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            plans: Vec::new(),
            client_id: None,
            client_secret: None,
            secret_in_body: None,
            redirect_uri: None,
            endpoints: BTreeMap::new(),
            scope: "openid offline_access".to_owned(),
            authorize_parameters: Vec::new(),
            code: None,
            code_verifier: None,
            refresh_token: None,
            aged_token: None,
            keep_token: None,
        }
    }
}
