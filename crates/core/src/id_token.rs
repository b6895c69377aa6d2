//! ID tokens (OpenID Connect Core section 2): the claims of ours, and who they are about.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::fdx::DataClusters;
use crate::grant::{CustomerId, GrantId, Terms};
use crate::jws::{self, Algorithm};
use crate::mac::MacKey;
use crate::secret::Secret;

/// The most accounts that the `accounts` claim lists; with more it is left out.
pub const MOST_ACCOUNTS: usize = 100;

/// The longest ID token, in bytes: it is sent as a bearer, and proxies take 8 KiB of a header and
/// often less.
pub const LONGEST_TOKEN: usize = 6000;
/// The longest `nonce`, in bytes of JSON. Every ID token of a grant leaves room for it, so that
/// either all of them list its accounts or none does.
pub const LONGEST_NONCE: usize = 512;
/// Room for `at_hash`, whose length depends on the algorithm, and some to spare.
const ROOM: usize = 178;

/// Most claims are shorter, so no buffer has to grow.
const USUAL_LENGTH: usize = 1024;
/// The longest claims that fit into [`LONGEST_TOKEN`] with any algorithm: base64url takes a third
/// more.
const LONGEST_CLAIMS: usize =
    (LONGEST_TOKEN - jws::LONGEST_HEADER - jws::LONGEST_SIGNATURE - 2) / 4 * 3;

/// Whether a `nonce` is no longer than [`LONGEST_NONCE`].
pub fn nonce_fits(nonce: &str) -> bool {
    json_length(nonce) <= LONGEST_NONCE
}

/// The bytes that `text` takes inside a JSON string, where some characters are escaped.
fn json_length(text: &str) -> usize {
    let escaped = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c.is_ascii_control() => 6,
        c => c.len_utf8(),
    };
    text.chars().map(escaped).sum()
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    auth_time: Timestamp,
    grant_id: GrantId,
    #[serde(rename = "connectorId")]
    connector_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<&'a [String]>,
    products: DataClusters,
    name: &'a str,
    exp: Timestamp,
    iat: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    at_hash: &'a str,
    jti: &'a str,
}

/// Identifies an ID token: the SHA-256 of all of it, signature included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `token`.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }
}

/// What an ID token of ours says. To be read only after its signature was verified.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdToken {
    /// The issuer.
    pub iss: String,
    /// The client.
    pub aud: String,
    /// When it expires.
    pub exp: Timestamp,
    /// When it was issued.
    pub iat: Timestamp,
    /// The grant that it belongs to.
    pub grant_id: GrantId,
}

/// What goes into a new ID token besides the terms of its grant.
#[derive(Debug)]
pub struct NewIdToken<'a> {
    /// The key that subjects are made with.
    pub subjects: &'a MacKey,
    /// The issuer.
    pub issuer: &'a str,
    /// When it is issued.
    pub now: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The nonce of the authorization request; only for the first ID token of a grant.
    pub nonce: Option<&'a str>,
    /// The access token issued with it.
    pub access_token: &'a Secret,
    /// How it will be signed, which decides the hash of `at_hash`.
    pub alg: Algorithm,
    /// 128 random bits for its `jti`.
    pub random: [u8; 16],
}

/// The claims of an ID token, as JSON.
///
/// # Errors
/// Where they can't be serialised, which none of our values makes happen.
pub fn claims(terms: &Terms, new: &NewIdToken<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let at_hash = at_hash(new.access_token, new.alg);
    let claims = Claims {
        iss: new.issuer,
        sub: &subject(&terms.customer, new.subjects),
        aud: &terms.client,
        auth_time: terms.authenticated_at,
        grant_id: terms.grant,
        connector_id: &terms.customer.provider,
        accounts: (terms.accounts.len() <= MOST_ACCOUNTS).then_some(&terms.accounts),
        products: terms.clusters,
        name: &terms.name,
        exp: new.expires_at,
        iat: new.now,
        nonce: new.nonce,
        at_hash: &at_hash,
        jti: &URL_SAFE_NO_PAD.encode(new.random),
    };
    let mut json = Vec::with_capacity(USUAL_LENGTH);
    serde_json::to_writer(&mut json, &claims)?;
    // Without what differs between the ID tokens of a grant, so that all decide alike.
    let nonce = new.nonce.map_or(0, |nonce| r#","nonce":"""#.len() + json_length(nonce));
    if json.len() - nonce - at_hash.len() + LONGEST_NONCE + ROOM > LONGEST_CLAIMS {
        return serde_json::to_vec(&Claims { accounts: None, ..claims });
    }
    Ok(json)
}

/// The `sub` of a customer at a provider, stable for ever. Without `key`, which only the server
/// has, neither it nor the name that the customer signs in with leads to the other.
pub fn subject(customer: &CustomerId, key: &MacKey) -> String {
    let mac = key.mac(&[b"sub", customer.provider.as_bytes(), customer.customer.as_bytes()]);
    URL_SAFE_NO_PAD.encode(&mac[..16])
}

/// OpenID Connect Core section 3.1.3.6: half of the access token's hash, by the hash of the
/// signature. Ed25519's is SHA-512.
fn at_hash(access_token: &Secret, alg: Algorithm) -> String {
    let algorithm = if alg == Algorithm::EdDsa { &digest::SHA512 } else { &digest::SHA256 };
    let hash = digest::digest(algorithm, access_token.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Seconds;
    use crate::jws::SigningKey;
    use crate::scope::Scopes;

    const ISSUER: &str = "https://auth.bank.example";

    fn terms(accounts: usize) -> Terms {
        let at = Timestamp::from_unix(1_790_000_000);
        Terms {
            grant: GrantId::new(at, [1; 4]),
            client: "budget-planner".into(),
            customer: CustomerId { provider: "sandbank".into(), customer: "customer_1".into() },
            name: "Alex \"Al\" Example".into(),
            scopes: Scopes::ALL,
            clusters: DataClusters::from_names(["BALANCES"]).unwrap(),
            accounts: (0..accounts).map(|n| format!("account-{n}")).collect(),
            lookback_days: None,
            created_at: at,
            expires_at: at,
            authenticated_at: at,
            client_era: 0,
            customer_era: 0,
            parent: None,
        }
    }

    /// The claims of one that is issued `seconds` after consent.
    fn claims_after(seconds: Seconds, terms: &Terms) -> Value {
        let now = terms.created_at.plus(seconds);
        let new = NewIdToken {
            subjects: &MacKey::new(&[1; 32]),
            issuer: ISSUER,
            now,
            expires_at: now.plus(60),
            nonce: (seconds == 0).then_some("n-1"),
            access_token: &Secret::new("cat_x"),
            alg: Algorithm::Es256,
            random: [2; 16],
        };
        serde_json::from_slice(&claims(terms, &new).unwrap()).unwrap()
    }

    #[test]
    fn the_first_has_a_nonce_and_the_next_has_not() {
        let terms = terms(2);
        let mut wanted = json!({
            "iss": "https://auth.bank.example", "sub": subject(&terms.customer, &MacKey::new(&[1; 32])), "aud": "budget-planner",
            "auth_time": 1_790_000_000, "grant_id": terms.grant, "connectorId": "sandbank", "accounts": ["account-0", "account-1"],
            "products": ["BALANCES"], "name": "Alex \"Al\" Example", "exp": 1_790_000_060, "iat": 1_790_000_000, "nonce": "n-1",
            "at_hash": at_hash(&Secret::new("cat_x"), Algorithm::Es256), "jti": "AgICAgICAgICAgICAgICAg",
        });
        assert_eq!(claims_after(0, &terms), wanted);
        wanted["exp"] = 1_790_000_160.into();
        wanted["iat"] = 1_790_000_100.into();
        wanted.as_object_mut().unwrap().remove("nonce");
        assert_eq!(claims_after(100, &terms), wanted);
    }

    #[test]
    fn accounts_are_named_while_they_are_few() {
        assert!(claims_after(0, &terms(MOST_ACCOUNTS)).get("accounts").is_some());
        assert!(claims_after(0, &terms(MOST_ACCOUNTS + 1)).get("accounts").is_none());
    }

    #[test]
    fn accounts_are_left_out_of_tokens_that_would_be_too_long() {
        for alg in Algorithm::ALL {
            let key = SigningKey::from_pkcs8(alg, &jws::generate(alg).unwrap()).unwrap();
            let mut named = 0;
            for bytes in 1..=64 {
                let mut terms = terms(0);
                terms.accounts = (0..MOST_ACCOUNTS).map(|n| format!("{n:0bytes$}")).collect();
                let token = |nonce: Option<&str>| {
                    let random = [2; 16];
                    let (subjects, access_token) = (MacKey::new(&[1; 32]), Secret::new("cat_x"));
                    let (now, expires_at) = (terms.created_at, terms.created_at.plus(60));
                    let new = NewIdToken {
                        subjects: &subjects,
                        issuer: ISSUER,
                        now,
                        expires_at,
                        nonce,
                        access_token: &access_token,
                        alg,
                        random,
                    };
                    let claims = claims(&terms, &new).unwrap();
                    (
                        serde_json::from_slice::<Value>(&claims).unwrap()["accounts"].is_array(),
                        key.sign(&claims).unwrap().len(),
                    )
                };
                let (with_nonce, length) = token(Some(&"n".repeat(LONGEST_NONCE)));
                assert!(length <= LONGEST_TOKEN, "{alg}, ids of {bytes} bytes: {length}");
                assert_eq!(token(None).0, with_nonce);
                named += usize::from(with_nonce);
            }
            assert!((24..64).contains(&named), "{alg}: {named}");
        }
    }

    #[test]
    fn a_nonce_is_measured_as_json() {
        for (nonce, longest) in [("n", 512), ("\"", 256), ("\u{1}", 85), ("\u{7f}", 85), ("€", 170)]
        {
            let longest = nonce.repeat(longest);
            assert!(serde_json::to_string(&longest).unwrap().len() - 2 <= LONGEST_NONCE);
            assert!(nonce_fits(&longest) && !nonce_fits(&format!("{longest}{nonce}")));
        }
    }

    #[test]
    fn subjects_are_stable_and_kept_apart() {
        let key = MacKey::new(&[1; 32]);
        let at = |provider: &str, customer: &str| {
            subject(&CustomerId { provider: provider.into(), customer: customer.into() }, &key)
        };
        assert_eq!(at("sandbank", "customer_1"), at("sandbank", "customer_1"));
        assert_ne!(at("a", "bc"), at("ab", "c"));
    }
}
