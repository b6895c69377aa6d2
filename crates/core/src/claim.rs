//! Claims: which request redeemed a slip. A counterfoil keeps the last one, which tells a retry of
//! that request from a replay.

use crate::mac::MacKey;
use crate::secret::same;

/// Seconds for which a refresh may be repeated with the `Idempotency-Key` of its first try.
pub const KEYED_RETRY_WINDOW: crate::clock::Seconds = 10 * 60;
/// Seconds for which a client with `on_lost_answer = "repeat"` may repeat a refresh without a key.
pub const KEYLESS_RETRY_WINDOW: crate::clock::Seconds = 60;

/// What two requests to `/token` have in common if one is a retry of the other.
#[derive(Clone, Copy)]
pub struct RequestIdentity<'a> {
    /// The client id.
    pub client: &'a str,
    /// The slip as sent.
    pub slip: &'a str,
    /// The `scope` parameter as sent, where one was.
    pub scope: Option<&'a str>,
}

/// The request that redeemed a slip: a byte that says whether it had an `Idempotency-Key`, then 16
/// bytes. With a key they are a MAC of key and request; without, 8 random bytes and 8 bytes of a
/// MAC of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim([u8; Claim::LENGTH]);

impl Claim {
    /// Bytes in a stored claim.
    pub const LENGTH: usize = 17;

    /// The claim of a request that carried an `Idempotency-Key`.
    pub fn keyed(mac_key: &MacKey, idempotency_key: &str, request: RequestIdentity<'_>) -> Self {
        let mac = request.mac(mac_key, b"keyed", idempotency_key);
        let mut bytes = [1; Self::LENGTH];
        bytes[1..].copy_from_slice(&mac[..16]);
        Self(bytes)
    }

    /// The claim of a request without an `Idempotency-Key`. `random` makes every attempt unique.
    pub fn keyless(mac_key: &MacKey, random: [u8; 8], request: RequestIdentity<'_>) -> Self {
        let mac = request.mac(mac_key, b"keyless", "");
        let mut bytes = [0; Self::LENGTH];
        bytes[1..9].copy_from_slice(&random);
        bytes[9..].copy_from_slice(&mac[..8]);
        Self(bytes)
    }

    /// Reads a stored claim.
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Whether the request had an `Idempotency-Key`.
    pub const fn is_keyed(&self) -> bool {
        self.0[0] == 1
    }

    /// Whether this request is a retry of `first`: the same request, with the same key or both
    /// without one.
    pub fn repeats(&self, first: &Claim) -> bool {
        match (self.is_keyed(), first.is_keyed()) {
            (true, true) => same(&self.0, &first.0),
            (false, false) => same(&self.0[9..], &first.0[9..]),
            _ => false,
        }
    }
}

impl RequestIdentity<'_> {
    fn mac(&self, key: &MacKey, kind: &[u8], idempotency_key: &str) -> [u8; 32] {
        let (has_scope, scope): (&[u8], _) = self.scope.map_or((b"0", ""), |scope| (b"1", scope));
        key.mac(&[
            kind,
            idempotency_key.as_bytes(),
            self.client.as_bytes(),
            self.slip.as_bytes(),
            has_scope,
            scope.as_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries() {
        let key = MacKey::new(&[3; 32]);
        let request = RequestIdentity { client: "a", slip: "cfr_x", scope: None };
        let narrower = RequestIdentity { scope: Some("openid"), ..request };
        let (k1, k2) = (Claim::keyed(&key, "key-1", request), Claim::keyed(&key, "key-2", request));
        let (n1, n2) =
            (Claim::keyless(&key, [1; 8], request), Claim::keyless(&key, [2; 8], request));
        assert!(k1.repeats(&Claim::keyed(&key, "key-1", request)));
        assert!(!k1.repeats(&k2));
        assert!(!k1.repeats(&Claim::keyed(&key, "key-1", narrower)));
        assert!(n1.repeats(&n2) && n1 != n2);
        assert!(!n1.repeats(&Claim::keyless(&key, [1; 8], narrower)));
        assert!(!n1.repeats(&k1) && !k1.repeats(&n1));
    }
}
