//! The requests of a client, as the documentation tells them, and what their answers are.

use std::error::Error;
use std::sync::Arc;

use counterfoil_core::slip::{Kind, Slip};
use counterfoil_sandbox::seed::SeedClient;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::history::{Operation, Reply, Successor};

/// A redirect URI that every client of a sandbox has.
const CALLBACK: &str = "http://127.0.0.1/callback";
/// Characters of an answer that a finding shows.
const SHOWN: usize = 200;

/// A request about a grant.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) operation: Operation,
    /// The text of the token that `asked` names.
    pub(crate) token: &'a str,
    pub(crate) client: &'static SeedClient,
}

/// The tokens of one answer.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The number of the refresh token.
    pub(crate) number: u64,
    /// The key of the request that they answer.
    pub(crate) key: Option<u64>,
    pub(crate) refresh_token: Arc<str>,
    pub(crate) id_token: Box<str>,
    pub(crate) access_token: Box<str>,
}

/// Asks a node, and reads the answer to its end.
pub(crate) async fn send(
    http: &Client,
    origin: &str,
    request: &Request<'_>,
) -> (Reply, Option<Issued>) {
    let Request { operation, token, client } = request;
    let post = |path: &str, form: &[(&str, &str)]| {
        http.post(format!("{origin}{path}")).basic_auth(client.id, client.secret).form(form)
    };
    let received = receive(match operation {
        Operation::Redeem { slip: 0, .. } => post(
            "/token",
            &[("grant_type", "authorization_code"), ("code", token), ("redirect_uri", CALLBACK)],
        ),
        Operation::Redeem { key, .. } => {
            let refresh =
                post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]);
            match key {
                Some(key) => refresh.header("Idempotency-Key", format!("torture-{key:016x}")),
                None => refresh,
            }
        }
        Operation::Accounts(_) => http.get(format!("{origin}/accounts")).bearer_auth(token),
        Operation::Introspect(_) => post("/introspect", &[("token", token)]),
        Operation::Revoke(_) => post("/revoke", &[("token", token)]),
    });
    match received.await {
        Err(lost) => (Reply::Lost(lost), None),
        Ok(received) => {
            let (answer, issued) = received.answer(*operation);
            (answer.unwrap_or_else(|| Reply::Wrong(received.in_words())), issued)
        }
    }
}

/// A code of a new grant, without a browser: 201 and a code, an answer that was lost, or one that
/// is wrong.
pub(crate) async fn code(
    http: &Client,
    origin: &str,
    client: &SeedClient,
    customer: &str,
) -> Result<String, Reply> {
    let form = [("client_id", client.id), ("redirect_uri", CALLBACK), ("customer", customer)];
    let received = receive(http.post(format!("{origin}/sandbox/codes")).form(&form))
        .await
        .map_err(Reply::Lost)?;
    match (received.status, received.member("code")) {
        (201, Some(code)) => Ok(code.to_owned()),
        _ => Err(Reply::Wrong(received.in_words())),
    }
}

/// An answer, read to its end.
struct HttpReply {
    status: u16,
    body: Value,
    text: String,
    replayed: bool,
    reason: String,
}

/// # Errors
/// Why there is no answer, or none that says what was done.
async fn receive(request: RequestBuilder) -> Result<HttpReply, String> {
    let lost = |error: reqwest::Error| {
        let mut cause: &dyn Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        cause.to_string()
    };
    let response = request.send().await.map_err(lost)?;
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let (status, replayed, reason) = (
        response.status().as_u16(),
        header("idempotency-replayed") == "true",
        header("counterfoil-reason"),
    );
    let text = response.text().await.map_err(lost)?;
    if status == 503 {
        return Err(format!("503, {reason}"));
    }
    Ok(HttpReply {
        status,
        body: serde_json::from_str(&text).unwrap_or_default(),
        text,
        replayed,
        reason,
    })
}

impl HttpReply {
    fn member(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    /// What the documentation calls this answer; `None` if it is not documented.
    fn answer(&self, operation: Operation) -> (Option<Reply>, Option<Issued>) {
        let no = || Reply::No(self.reason.clone());
        let yes_or_no = match (operation, self.status) {
            (Operation::Redeem { key, .. }, 200) => {
                let Some((successor, issued)) = self.tokens(key) else {
                    return (None, None);
                };
                return (Some(Reply::Tokens { successor, replayed: self.replayed }), Some(issued));
            }
            (Operation::Redeem { slip, .. }, 400) => (self.body == refusal(slip)).then(no),
            (Operation::Accounts(_), 200) => self
                .body
                .get("accounts")
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty())
                .then_some(Reply::Yes),
            (Operation::Accounts(_), 401) => {
                (self.body == json!({"code": 602, "message": "Customer not authorized"})).then(no)
            }
            (Operation::Introspect(_), 200) if self.body == json!({"active": false}) => Some(no()),
            (Operation::Introspect(_), 200) => {
                (self.body.get("active") == Some(&Value::Bool(true))).then_some(Reply::Yes)
            }
            (Operation::Revoke(_), 200) => self.text.is_empty().then_some(Reply::Yes),
            _ => None,
        };
        (yes_or_no, None)
    }

    fn tokens(&self, key: Option<u64>) -> Option<(Successor, Issued)> {
        let refresh_token: Arc<str> = self.member("refresh_token")?.into();
        let slip = Slip::read_unauthenticated(Kind::RefreshToken, &refresh_token)?;
        let (id_token, access_token) =
            (self.member("id_token")?.into(), self.member("access_token")?.into());
        let good = self.member("token_type") == Some("Bearer")
            && self.body.get("expires_in").and_then(Value::as_i64)? > 0;
        let successor =
            Successor { text: refresh_token.clone(), grant: slip.grant, number: slip.number };
        good.then_some((
            successor,
            Issued { number: slip.number, key, refresh_token, id_token, access_token },
        ))
    }

    /// Status and body, without what an answer of 200 or 201 may hold: tokens.
    fn in_words(&self) -> String {
        let shown = match (self.status, self.body.as_object()) {
            (200 | 201, Some(members)) => format!(
                "with {}",
                members.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            ),
            (200 | 201, None) => format!("with a body of {} bytes", self.text.len()),
            _ => self.text.chars().take(SHOWN).collect(),
        };
        let reason =
            if self.reason.is_empty() { String::new() } else { format!(" ({})", self.reason) };
        format!("{} {shown}{reason}", self.status)
    }
}

/// How a code or a refresh token is refused.
fn refusal(slip: u64) -> Value {
    let description = match slip {
        0 => "Invalid or expired code parameter.",
        _ => "Refresh token is invalid or has already been claimed by another client.",
    };
    json!({"error": "invalid_request", "error_description": description})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Token;

    fn received(status: u16, body: &Value) -> HttpReply {
        HttpReply {
            status,
            body: body.clone(),
            text: body.to_string(),
            replayed: false,
            reason: "why".into(),
        }
    }

    #[test]
    fn only_what_is_documented_is_an_answer() {
        let operation = Operation::Redeem { slip: 3, key: None };
        let is_known =
            |operation, status, body: &Value| received(status, body).answer(operation).0.is_some();
        assert!(is_known(operation, 400, &refusal(3)));
        assert!(!is_known(operation, 400, &refusal(0)));
        assert!(!is_known(operation, 400, &json!({"error": "invalid_grant"})));
        assert!(!is_known(operation, 500, &refusal(3)));
        assert!(!is_known(
            operation,
            200,
            &json!({"refresh_token": "cfr_short", "id_token": "i", "access_token": "a"})
        ));
        let accounts = Operation::Accounts(Token::Id(1));
        assert!(is_known(accounts, 200, &json!({"accounts": [{}]})));
        assert!(!is_known(accounts, 200, &json!({"accounts": []})));
        assert!(!is_known(accounts, 401, &json!({"code": 602})));
        assert!(!is_known(Operation::Revoke(Token::Code), 200, &json!({"active": true})));
        assert!(!is_known(Operation::Introspect(Token::Id(1)), 200, &json!({})));
    }

    #[test]
    fn no_token_is_shown() {
        let wrong = received(200, &json!({"refresh_token": "cfr_secret", "id_token": "eyJsecret"}));
        assert_eq!(wrong.in_words(), "200 with id_token, refresh_token (why)");
        assert!(!received(200, &Value::String("cfr_secret".into())).in_words().contains("secret"));
    }
}
