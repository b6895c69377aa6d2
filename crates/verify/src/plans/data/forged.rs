//! Forged tokens, made from a real one.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::id_token::part;

/// The three parts of a JWS.
fn parts(token: &str) -> Option<[&str; 3]> {
    let mut parts = token.split('.');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// With one character changed in the middle, where every bit has a meaning.
pub(super) fn one_character_changed(token: &str) -> String {
    let middle = token.len() / 2;
    let change = |(at, character): (usize, char)| match character {
        'A' if at == middle => 'B',
        _ if at == middle => 'A',
        other => other,
    };
    token.char_indices().map(change).collect()
}

/// With one character of its signature changed.
pub(super) fn other_signature(token: &str) -> Option<String> {
    let [header, claims, signature] = parts(token)?;
    Some(format!("{header}.{claims}.{}", one_character_changed(signature)))
}

/// With another person's `sub` under the same signature.
pub(super) fn other_claims(token: &str) -> Option<String> {
    let [header, _, signature] = parts(token)?;
    let mut claims = part(token, 1)?;
    claims["sub"] = format!("{}-of-another", claims["sub"].as_str().unwrap_or_default()).into();
    Some(format!("{header}.{}.{signature}", encoded(&claims)))
}

/// Marked as unsigned (RFC 7519 section 6): without a signature, and with the original one.
pub(super) fn unsigned(token: &str) -> Option<[String; 2]> {
    let [_, claims, signature] = parts(token)?;
    let header = encoded(&json!({ "alg": "none", "typ": "JWT" }));
    Some([format!("{header}.{claims}."), format!("{header}.{claims}.{signature}")])
}

/// A stranger's key.
pub(super) struct Stranger(Ed25519KeyPair);

impl Stranger {
    /// A new one.
    pub(super) fn new() -> Option<Self> {
        Ed25519KeyPair::generate().ok().map(Self)
    }

    /// The claims of a token with changes, signed with this key under a header with these members.
    pub(super) fn signs(&self, token: &str, header: &Value, changes: &Value) -> Option<String> {
        let mut claims = part(token, 1)?;
        for (name, value) in changes.as_object()? {
            claims[name] = value.clone();
        }
        let input = format!("{}.{}", encoded(header), encoded(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(input.as_bytes()));
        Some(format!("{input}.{signature}"))
    }

    /// A header with the name of a published key.
    pub(super) fn under_the_name_of(token: &str) -> Option<Value> {
        Some(json!({ "alg": "EdDSA", "typ": "JWT", "kid": part(token, 0)?["kid"] }))
    }

    /// A header that brings this key along (RFC 7515 section 4.1.3), as if that were a reason to
    /// trust it.
    pub(super) fn with_its_key(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        json!({ "alg": "EdDSA", "typ": "JWT", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": x } })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// A forgery must be good except for the forged part, or it would be refused for another reason.
    #[test]
    fn forgeries_are_good_but_for_one_thing() {
        let token = format!(
            "{}.{}.c2lnbmF0dXJl",
            encoded(&json!({ "alg": "RS256", "kid": "k1" })),
            encoded(&json!({ "sub": "s", "iss": "i" }))
        );
        assert_eq!(one_character_changed("abcd"), "abAd");
        let changed = other_signature(&token).unwrap();
        assert_eq!(changed.chars().zip(token.chars()).filter(|(a, b)| a != b).count(), 1);
        assert_eq!(
            part(&other_claims(&token).unwrap(), 1).unwrap(),
            json!({ "sub": "s-of-another", "iss": "i" })
        );
        for unsigned in unsigned(&token).unwrap() {
            assert_eq!(
                (part(&unsigned, 0).unwrap()["alg"].as_str(), part(&unsigned, 1)),
                (Some("none"), part(&token, 1))
            );
        }
        let stranger = Stranger::new().unwrap();
        assert_eq!(Stranger::under_the_name_of(&token).unwrap()["kid"], "k1");
        let signed =
            stranger.signs(&token, &stranger.with_its_key(), &json!({ "iss": "another" })).unwrap();
        assert_eq!(part(&signed, 1).unwrap(), json!({ "sub": "s", "iss": "another" }));
        let (input, signature) = signed.rsplit_once('.').unwrap();
        let key = part(&signed, 0).unwrap()["jwk"]["x"]
            .as_str()
            .map(|x| URL_SAFE_NO_PAD.decode(x).unwrap())
            .unwrap();
        UnparsedPublicKey::new(&ED25519, key)
            .verify(input.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        assert!(
            other_signature("no-jws").is_none()
                && super::unsigned("no-jws").is_none()
                && other_claims("a.b").is_none()
        );
    }
}
