//! The answer of `/token` with tokens (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).

use crate::clock::Seconds;
use crate::scope::Scopes;

/// Tokens as the client gets them. None has a character that JSON would escape.
pub struct TokenAnswer<'a> {
    /// The access token.
    pub access_token: &'a str,
    /// The ID token.
    pub id_token: &'a str,
    /// The next slip, where the client may refresh.
    pub refresh_token: Option<&'a str>,
    /// How long the access token lives, in seconds.
    pub expires_in: Seconds,
    /// What it allows.
    pub scope: Scopes,
}

impl TokenAnswer<'_> {
    /// The body, concatenated by hand: every refresh needs one, and serde takes five times as many
    /// instructions.
    pub fn to_json(&self) -> Vec<u8> {
        debug_assert!(
            [self.access_token, self.id_token, self.refresh_token.unwrap_or_default()]
                .into_iter()
                .all(needs_no_escape)
        );
        let (expires_in, scope) = (self.expires_in.to_string(), self.scope.to_string());
        let (before, refresh_token) =
            self.refresh_token.map_or(("", ""), |token| (r#"","refresh_token":""#, token));
        let parts = [
            r#"{"access_token":""#,
            self.access_token,
            r#"","token_type":"Bearer","expires_in":"#,
            &expires_in,
            r#","id_token":""#,
            self.id_token,
            before,
            refresh_token,
            r#"","scope":""#,
            &scope,
            r#""}"#,
        ];
        parts.concat().into_bytes()
    }
}

fn needs_no_escape(token: &str) -> bool {
    token.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_their_order() {
        let mut answer = TokenAnswer {
            access_token: "cfa_x",
            id_token: "a.b-c.d_e",
            refresh_token: Some("cfr_y"),
            expires_in: 86400,
            scope: Scopes::ALL,
        };
        let start = r#"{"access_token":"cfa_x","token_type":"Bearer","expires_in":86400,"id_token":"a.b-c.d_e","#;
        let end = r#""refresh_token":"cfr_y","scope":"openid profile offline_access"}"#;
        assert_eq!(answer.to_json(), [start, end].concat().as_bytes());
        answer.refresh_token = None;
        answer.scope = Scopes::OPENID;
        assert_eq!(answer.to_json(), [start, r#""scope":"openid"}"#].concat().as_bytes());
    }
}
