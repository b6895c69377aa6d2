//! A client of a running server: requests as apps make them, and answers read to their end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

/// A client's id and secret.
pub type Credentials<'a> = (&'a str, &'a str);

/// Speaks HTTP to one server.
pub struct Client {
    /// Where the server is reached, without a slash at the end.
    pub origin: String,
    /// Follows no redirect.
    pub http: reqwest::Client,
}

impl Client {
    pub fn new(origin: String) -> Self {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Self { origin, http: builder.build().expect("there is a TLS backend") }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.http.get(self.url(path))).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        send(self.http.post(self.url(path)).form(form)).await
    }

    /// Posts a form with Basic credentials.
    pub async fn post_as(
        &self,
        (id, secret): Credentials<'_>,
        path: &str,
        form: &[(&str, &str)],
    ) -> Answer {
        send(self.http.post(self.url(path)).basic_auth(id, Some(secret)).form(form)).await
    }

    pub async fn bearer(&self, path: &str, token: &str) -> Answer {
        send(self.http.get(self.url(path)).header(AUTHORIZATION, format!("Bearer {token}"))).await
    }

    pub async fn accounts(&self, token: &str) -> Answer {
        self.bearer("/accounts", token).await
    }

    pub async fn exchange(
        &self,
        client: Credentials<'_>,
        code: &str,
        redirect_uri: &str,
    ) -> Answer {
        let form =
            [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri)];
        self.post_as(client, "/token", &form).await
    }

    pub async fn refresh(&self, client: Credentials<'_>, token: &str) -> Answer {
        self.post_as(client, "/token", &[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    pub async fn revoke(&self, client: Credentials<'_>, token: &str) -> Answer {
        self.post_as(client, "/revoke", &[("token", token)]).await
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// # Panics
/// Where the server is gone before it has answered.
pub async fn send(request: RequestBuilder) -> Answer {
    try_send(request).await.unwrap_or_else(|e| panic!("no answer: {e:?}"))
}

/// Like [`send`], for a server that may be gone before it has answered.
///
/// # Errors
/// Where it is.
pub async fn try_send(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("{e}: {} {:?}", self.status, self.text))
    }

    /// A text member of the body.
    #[track_caller]
    pub fn member(&self, name: &str) -> String {
        self.json()[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {} {}", self.status, self.text))
            .to_owned()
    }

    /// The value of a header; empty where it is absent.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    /// Asserts status and whole body.
    #[track_caller]
    pub fn is(&self, status: u16, body: Value) {
        assert_eq!((self.status, self.json()), (status, body), "{:?}", self.headers);
    }

    /// Asserts that `/token` gave tokens.
    #[track_caller]
    pub fn tokens(&self) -> Tokens {
        assert_eq!(self.status, 200, "{}", self.text);
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        Tokens {
            id_token: text("id_token"),
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
        }
    }
}

/// What `/token` gave; empty where it gave none of that kind.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub id_token: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl Tokens {
    /// The id of the grant that they belong to.
    #[track_caller]
    pub fn grant(&self) -> String {
        let grant = claims(&self.id_token)["grant_id"].as_str().map(str::to_owned);
        grant.unwrap_or_else(|| panic!("no grant_id in {}", self.id_token))
    }
}

/// The claims of an ID token, not verified.
#[track_caller]
pub fn claims(id_token: &str) -> Value {
    let payload = id_token.split('.').nth(1).expect("it is a JWT");
    let json = URL_SAFE_NO_PAD.decode(payload).expect("it is base64url");
    serde_json::from_slice(&json).expect("it is JSON")
}
