//! What is certified: a server's endpoints, from its discovery document and from options.

use std::collections::BTreeMap;

use reqwest::Url;
use serde_json::Value;

use crate::call::Call;
use crate::error::VerifyError;
use crate::http::Http;
use crate::response::Response;

/// An endpoint of the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Endpoint {
    /// RFC 6749 section 3.1.
    Authorization,
    /// RFC 6749 section 3.2.
    Token,
    /// RFC 7009 section 2.
    Revocation,
    /// RFC 7662 section 2.
    Introspection,
    /// OpenID Connect Core section 5.3.
    Userinfo,
    /// The published keys: RFC 7517 section 5.
    Jwks,
    /// The accounts of the data API.
    Accounts,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Authorization,
        Self::Token,
        Self::Revocation,
        Self::Introspection,
        Self::Userinfo,
        Self::Jwks,
        Self::Accounts,
    ];

    /// Its member of the discovery document, if that has one.
    pub fn member(self) -> Option<&'static str> {
        match self {
            Self::Authorization => Some("authorization_endpoint"),
            Self::Token => Some("token_endpoint"),
            Self::Revocation => Some("revocation_endpoint"),
            Self::Introspection => Some("introspection_endpoint"),
            Self::Userinfo => Some("userinfo_endpoint"),
            Self::Jwks => Some("jwks_uri"),
            Self::Accounts => None,
        }
    }

    /// The option that gives it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Authorization => "--authorization-endpoint",
            Self::Token => "--token-endpoint",
            Self::Revocation => "--revocation-endpoint",
            Self::Introspection => "--introspection-endpoint",
            Self::Userinfo => "--userinfo-endpoint",
            Self::Jwks => "--jwks-uri",
            Self::Accounts => "--accounts-url",
        }
    }
}

/// The server to be certified.
#[derive(Debug)]
pub struct Target {
    /// Its issuer.
    pub issuer: String,
    /// Its discovery document; null where it has none.
    pub metadata: Value,
    /// Where the paths of a sandbox start, where it is one.
    pub sandbox: Option<String>,
    /// Whether it was said where the accounts are, and not only supposed.
    pub accounts_given: bool,
    endpoints: BTreeMap<Endpoint, String>,
}

impl Target {
    /// Looks a server up. Endpoints that are given win over those that it publishes.
    ///
    /// # Errors
    /// Where it can't be reached, or says that it is another one.
    pub(crate) async fn discover(
        http: &mut Http,
        asked: &str,
        given: &BTreeMap<Endpoint, String>,
    ) -> Result<Self, VerifyError> {
        let asked = asked.trim_end_matches('/');
        let wrong = |why: String| VerifyError::Usage(format!("the issuer `{asked}` {why}"));
        let url = Url::parse(asked)
            .map_err(|_| wrong("is not a URL, such as https://auth.bank.example".into()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(VerifyError::Usage(
                "an issuer has no user and no password: give the client with --client-id and --client-secret".into(),
            ));
        }
        if !matches!(url.scheme(), "https" | "http")
            || !url.has_host()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(wrong("must be an https URL without query and fragment".into()));
        }
        let metadata = metadata(http, asked, &url).await?;
        let issuer = match &metadata {
            Value::Null => asked.to_owned(),
            metadata => {
                let says = metadata["issuer"].as_str().unwrap_or_default();
                if says.trim_end_matches('/') != asked {
                    return Err(VerifyError::Issuer {
                        asked: asked.to_owned(),
                        says: says.to_owned(),
                    });
                }
                says.to_owned()
            }
        };
        let mut endpoints = BTreeMap::from([(Endpoint::Accounts, format!("{asked}/accounts"))]);
        for endpoint in Endpoint::ALL {
            let published =
                endpoint.member().and_then(|member| metadata[member].as_str()).map(str::to_owned);
            if let Some(url) = given.get(&endpoint).cloned().or(published) {
                endpoints.insert(endpoint, url);
            }
        }
        // Any other URL would have us move the clock of somebody else.
        let sandbox = Some(format!("{issuer}/sandbox"))
            .filter(|sandbox| metadata["counterfoil_sandbox"] == **sandbox);
        Ok(Self {
            issuer,
            metadata,
            sandbox,
            accounts_given: given.contains_key(&Endpoint::Accounts),
            endpoints,
        })
    }

    /// The URL of an endpoint, where it is known.
    pub fn endpoint(&self, endpoint: Endpoint) -> Option<&str> {
        self.endpoints.get(&endpoint).map(String::as_str)
    }

    /// Holds that an endpoint is known.
    pub(crate) fn require(&self, endpoint: Endpoint, plan: &str) -> Result<(), VerifyError> {
        if self.endpoints.contains_key(&endpoint) {
            return Ok(());
        }
        let (member, option) = (endpoint.member().unwrap_or_default(), endpoint.option());
        Err(VerifyError::Usage(format!(
            "{plan} needs the server's {member}, which its discovery does not tell: give it with {option} URL"
        )))
    }

    /// Whether a list of the discovery document holds `value`; `None` where there is no such list.
    pub fn lists(&self, member: &str, value: &str) -> Option<bool> {
        let list = self.metadata[member].as_array()?;
        Some(list.iter().any(|listed| listed == value))
    }
}

/// The discovery document: OpenID's, else RFC 8414's, else null.
async fn metadata(http: &mut Http, asked: &str, url: &Url) -> Result<Value, VerifyError> {
    // RFC 8414 section 3.1 puts the path of an issuer behind the well-known one, OpenID before it.
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    for document in [
        format!("{asked}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
    ] {
        let answer = http.send(&Call::get(&document)).await;
        match answer {
            Response { status: None, body, .. } => {
                return Err(VerifyError::Unreachable { url: document, why: body });
            }
            answer if answer.is(200) => {
                if let Some(metadata @ Value::Object(_)) = answer.json() {
                    return Ok(metadata);
                }
            }
            _ => {}
        }
    }
    Ok(Value::Null)
}
