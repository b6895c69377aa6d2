//! What a token is, told offline and without keys: kind, grant, number, times. Secrets are masked;
//! nothing is verified.

use serde_json::{Value, json};

use crate::access_token::{self, AccessToken};
use crate::jws::Compact;
use crate::slip::{Kind, Slip};

/// What is known of `token`; `None` where it is nothing of ours.
pub fn explain(token: &str) -> Option<Value> {
    let token = token.trim();
    for kind in [Kind::Code, Kind::RefreshToken] {
        if token.starts_with(kind.prefix()) {
            return Slip::read_unauthenticated(kind, token).map(|slip| slip_in_words(kind, &slip));
        }
    }
    if token.starts_with(access_token::PREFIX) {
        let says = AccessToken::read(token)?.unauthenticated();
        return Some(json!({
            "kind": "access token",
            "key": says.key.to_string(),
            "grant": says.grant,
            "issued_at": says.issued_at.to_string(),
            "expires_at": says.expires_at.to_string(),
            "scope": says.scopes,
            "mac": "[not checked]",
        }));
    }
    let (header, payload) = Compact::parse(token)?.unauthenticated()?;
    let (header, mut payload): (Value, Value) =
        (serde_json::from_slice(&header).ok()?, serde_json::from_slice(&payload).ok()?);
    for time in ["iat", "exp", "auth_time"] {
        if let Some(seconds) = payload.get(time).and_then(Value::as_i64) {
            payload[time] = json!(crate::clock::Timestamp::from_unix(seconds).to_string());
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

fn slip_in_words(kind: Kind, slip: &Slip) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
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
