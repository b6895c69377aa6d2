//! What a presented token is, by its shape.

use crate::access_token::{self, AccessToken, UnverifiedAccessToken};
use crate::jws::Compact;
use crate::slip::Kind;

/// A token as it was presented; nothing about it is verified yet.
#[derive(Debug)]
pub enum Token<'a> {
    /// An authorization code or a refresh token, by its prefix.
    Slip(Kind, &'a str),
    /// An access token.
    AccessToken(UnverifiedAccessToken),
    /// A JSON web token, such as an ID token.
    IdToken(Compact<'a>),
    /// Nothing that we issue.
    Unknown,
}

impl<'a> Token<'a> {
    /// Recognises a token of any kind.
    pub fn parse(text: &'a str) -> Self {
        for kind in [Kind::RefreshToken, Kind::Code] {
            if text.starts_with(kind.prefix()) {
                return Self::Slip(kind, text);
            }
        }
        if text.starts_with(access_token::PREFIX) {
            return AccessToken::read(text).map_or(Self::Unknown, Self::AccessToken);
        }
        Compact::parse(text).map_or(Self::Unknown, Self::IdToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::grant::{GrantId, Seal};
    use crate::scope::Scopes;
    use crate::slip_keys::{SlipKeyId, test_keys};

    #[test]
    fn kinds_of_tokens() {
        let access_token = AccessToken {
            key: SlipKeyId(1),
            grant: GrantId::from_number(7).unwrap(),
            issued_at: Timestamp::from_unix(1_790_000_000),
            expires_at: Timestamp::from_unix(1_790_086_400),
            scopes: Scopes::ALL,
        };
        let access_token = access_token
            .write(&Seal::from_bytes([9; 16]), &test_keys("https://a.example"))
            .unwrap();
        assert!(matches!(Token::parse("cfc_x"), Token::Slip(Kind::Code, "cfc_x")));
        assert!(matches!(Token::parse("cfr_x"), Token::Slip(Kind::RefreshToken, "cfr_x")));
        assert!(matches!(Token::parse(access_token.expose()), Token::AccessToken(_)));
        assert!(matches!(Token::parse("a.b.c"), Token::IdToken(_)));
        for unknown in ["", "hello", "cfa_x", "cfa_a.b.c", "a.b"] {
            assert!(matches!(Token::parse(unknown), Token::Unknown), "{unknown}");
        }
    }
}
