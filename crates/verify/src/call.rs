//! A request to be sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Method, Request, Url};
use url::form_urlencoded::{Serializer, byte_serialize};

/// A request to be sent.
#[derive(Clone)]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

impl Call {
    /// A request of any method.
    pub fn new(method: Method, url: &str) -> Self {
        Self { method, url: url.to_owned(), headers: Vec::new(), body: None }
    }

    /// A GET.
    pub fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST.
    pub fn post(url: &str) -> Self {
        Self::new(Method::POST, url)
    }

    /// With a header; a second one of the same name is sent as well.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With an access token or an ID token as bearer (RFC 6750 section 2.1).
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// With Basic credentials, each encoded as a form would be (RFC 6749 section 2.3.1).
    #[must_use]
    pub fn basic(self, id: &str, secret: &str) -> Self {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(id), encoded(secret));
        self.header(AUTHORIZATION.as_str(), &format!("Basic {}", STANDARD.encode(pair)))
    }

    /// With a form as its body.
    #[must_use]
    pub fn form(self, form: &[(&str, &str)]) -> Self {
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        self.body("application/x-www-form-urlencoded", &body)
    }

    /// With any body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// The request of the HTTP client.
    ///
    /// # Errors
    /// What can't be sent.
    pub(crate) fn build(&self, agent: &str) -> Result<Request, String> {
        let url = Url::parse(&self.url)
            .map_err(|error| format!("`{}` is not a URL: {error}", self.url))?;
        let mut request = Request::new(self.method.clone(), url);
        let own = [(ACCEPT.as_str(), "application/json"), (USER_AGENT.as_str(), agent)];
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.into_iter().chain(headers) {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let value = HeaderValue::try_from(value)
                .map_err(|_| format!("the value of {name} can't be sent in a header"))?;
            request.headers_mut().append(name, value);
        }
        *request.body_mut() = self.body.clone().map(Into::into);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_encoded_as_forms_are() {
        let call = Call::get("http://x").basic("a b", "c:d%");
        assert_eq!(
            call.headers,
            [("authorization".to_owned(), format!("Basic {}", STANDARD.encode("a+b:c%3Ad%25")))]
        );
    }
}
