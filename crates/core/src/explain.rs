//! Explains a token offline and without keys: kind, grant, number, times. Secrets are masked;
//! nothing is verified.

use serde_json::{Value, json};

use crate::access_token::AccessToken;
use crate::clock::Timestamp;
use crate::jws::Compact;
use crate::slip::{Kind, Slip};
use crate::token::Token;

/// What `token` says; `None` where we issue no such token.
pub fn explain(token: &str) -> Option<Value> {
    match Token::parse(token.trim()) {
        Token::Slip(kind, text) => Some(slip(kind, &Slip::read_unauthenticated(kind, text)?)),
        Token::AccessToken(token) => Some(access_token(&token.unauthenticated())),
        Token::IdToken(compact) => id_token(&compact),
        Token::Unknown => None,
    }
}

fn slip(kind: Kind, slip: &Slip) -> Value {
    json!({
        "kind": match kind { Kind::Code => "authorization code", Kind::RefreshToken => "refresh token" },
        "key": slip.key.to_string(),
        "grant": slip.grant,
        "slip": slip.number,
        "issued_at": slip.issued_at.to_string(),
        "seal": "[masked]",
        "mac": "[not checked]",
    })
}

fn access_token(token: &AccessToken) -> Value {
    json!({
        "kind": "access token",
        "key": token.key.to_string(),
        "grant": token.grant,
        "issued_at": token.issued_at.to_string(),
        "expires_at": token.expires_at.to_string(),
        "scope": token.scopes,
        "mac": "[not checked]",
    })
}

fn id_token(compact: &Compact<'_>) -> Option<Value> {
    let (header, payload) = compact.unauthenticated()?;
    let (header, mut payload): (Value, Value) =
        (serde_json::from_slice(&header).ok()?, serde_json::from_slice(&payload).ok()?);
    for time in ["iat", "exp", "auth_time"] {
        if let Some(seconds) = payload.get(time).and_then(Value::as_i64) {
            payload[time] = json!(Timestamp::from_unix(seconds).to_string());
        }
    }
    Some(json!({
        "kind": "ID token",
        "key": header.get("kid"),
        "alg": header.get("alg"),
        "grant": payload.get("grant_id"),
        "claims": payload,
        "signature": "[not checked]",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::{GrantId, Seal};
    use crate::slip_keys::{SlipKeyId, test_keys};

    #[test]
    fn a_slip_is_told_without_its_seal() {
        let slip = Slip {
            key: SlipKeyId(1),
            grant: GrantId::from_number(0xabc).unwrap(),
            number: 4,
            issued_at: Timestamp::from_unix(1_790_000_000),
            seal: Seal::from_bytes(*b"sealsealsealseal"),
        };
        let told = explain(slip.write(&test_keys("https://a.example")).unwrap().expose()).unwrap();
        assert_eq!(told["kind"], "refresh token");
        assert_eq!(told["slip"], 4);
        assert_eq!(told["grant"], "0000000000000abc");
        assert!(!told.to_string().contains("7365616c"));
        assert_eq!(told["seal"], "[masked]");
    }

    #[test]
    fn what_is_not_ours() {
        for text in ["", "hello", "cfr_", "a.b.c", "cfa_x"] {
            assert_eq!(explain(text), None, "{text}");
        }
    }
}
