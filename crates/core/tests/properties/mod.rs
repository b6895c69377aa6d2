//! Properties that hold for any input. The targets in `fuzz/` look for counterexamples; the test in
//! `corpus.rs` checks the inputs that they found interesting. Each function panics where its
//! property fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use counterfoil_core::access_token::AccessToken;
use counterfoil_core::basic as basic_header;
use counterfoil_core::clock::Timestamp;
use counterfoil_core::explain::explain;
use counterfoil_core::form::{self, Form, FormError, MOST_PARAMETERS};
use counterfoil_core::grant::{GrantId, Seal};
use counterfoil_core::id_token::IdToken;
use counterfoil_core::jws::{Algorithm, Compact, SigningKey};
use counterfoil_core::mac::MacKey;
use counterfoil_core::redirect_uri::{LONGEST, check, matches, with_query};
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::{Kind, Slip};
use counterfoil_core::slip_keys::{SlipKeyId, SlipKeys};
use percent_encoding::percent_decode;
use serde_json::Value;
use url::{Url, form_urlencoded};

/// Input to take numbers from. It ends in infinite zeros, so every input means something.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let length = N.min(self.0.len());
        taken[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        taken
    }

    fn byte(&mut self) -> u8 {
        u8::from_be_bytes(self.take())
    }

    fn grant(&mut self) -> GrantId {
        GrantId::from_number(i64::from_be_bytes(self.take()) & i64::MAX).unwrap()
    }

    fn timestamp(&mut self) -> Timestamp {
        Timestamp::from_unix(i64::from_be_bytes(self.take()))
    }

    /// `text`, which is ASCII, changed in one place.
    fn change(&mut self, text: &str) -> String {
        let (how, character) = (self.byte(), char::from(self.byte() & 127));
        let at = usize::from(u16::from_be_bytes(self.take())) % text.len();
        let (before, after) = text.split_at(at);
        let changed = match how % 6 {
            0 => format!("{before}{character}{}", &after[1..]),
            1 => format!("{before}{character}{after}"),
            2 => format!("{before}{}", &after[1..]),
            3 => before.to_owned(),
            4 => format!("{text}{character}"),
            // Flips the lowest bit, as in the next base64 digit.
            _ => format!("{before}{}{}", char::from(after.as_bytes()[0] ^ 1), &after[1..]),
        };
        // Makes sure that something changes.
        if changed == text { format!("{text}=") } else { changed }
    }
}

const ISSUER: &str = "https://issuer.example";

/// The MAC keys of all slip keys.
static MAC_KEYS: LazyLock<[MacKey; 2]> =
    LazyLock::new(|| [MacKey::new(&[1; 32]), MacKey::new(&[2; 32])]);

static SLIP_KEYS: LazyLock<SlipKeys> = LazyLock::new(|| slip_keys(ISSUER));

/// The same keys, but of another issuer.
static OTHER_ISSUER: LazyLock<SlipKeys> = LazyLock::new(|| slip_keys("https://other.example"));

fn slip_keys(issuer: &str) -> SlipKeys {
    let [one, two] = MAC_KEYS.clone();
    SlipKeys::new(issuer.into(), SlipKeyId(2), vec![(SlipKeyId(1), one), (SlipKeyId(2), two)])
}

const SEAL: Seal = Seal::from_bytes(*b"sixteen bytes...");

const KINDS: [Kind; 2] = [Kind::Code, Kind::RefreshToken];

/// See `fuzz/fuzz_targets/slip.rs`.
pub fn slip(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        read_as_token(text);
        for prefix in ["cfc_", "cfr_", "cfa_"] {
            read_as_token(&format!("{prefix}{text}"));
        }
    }
    let mut input = Input(data);
    // One key in four is unknown.
    let key = SlipKeyId(u16::from(input.byte() % 4).max(1));
    written_slip(key, &mut input);
    written_access_token(key, &mut Input(data.get(1..).unwrap_or_default()));
    authentic_nonsense(&mut Input(data));
}

/// What is accepted is what we would have written.
fn read_as_token(text: &str) {
    for kind in KINDS {
        if let Ok(slip) = Slip::read(kind, text, &SLIP_KEYS) {
            assert_eq!(slip.write(&SLIP_KEYS).unwrap().expose(), text);
            assert_eq!(Slip::read_unauthenticated(kind, text), Some(slip));
            assert!(Slip::read(kind, text, &OTHER_ISSUER).is_err());
        }
    }
    if let Some(token) = AccessToken::read(text).and_then(|token| token.verify(&SEAL, &SLIP_KEYS)) {
        assert_eq!(token.write(&SEAL, &SLIP_KEYS).unwrap().expose(), text);
    }
    if let Some(told) = explain(text) {
        assert!(told["kind"].is_string());
    }
}

fn written_slip(key: SlipKeyId, input: &mut Input<'_>) {
    let slip = Slip {
        key,
        grant: input.grant(),
        number: u64::from_be_bytes(input.take()),
        issued_at: input.timestamp(),
        seal: Seal::from_bytes(input.take()),
    };
    let Some(written) = slip.write(&SLIP_KEYS) else {
        return assert_eq!(key, SlipKeyId(3));
    };
    let text = written.expose();
    let (kind, other_kind) =
        if slip.number == 0 { (KINDS[0], KINDS[1]) } else { (KINDS[1], KINDS[0]) };
    assert_eq!(Slip::read(kind, text, &SLIP_KEYS), Ok(slip));
    assert!(Slip::read(other_kind, text, &SLIP_KEYS).is_err());
    assert!(
        Slip::read(other_kind, &text.replacen(kind.prefix(), other_kind.prefix(), 1), &SLIP_KEYS)
            .is_err()
    );
    assert!(Slip::read(kind, text, &OTHER_ISSUER).is_err());
    let changed = input.change(text);
    for kind in KINDS {
        assert!(Slip::read(kind, &changed, &SLIP_KEYS).is_err());
    }
    explain(&changed);
    let told = explain(text).unwrap();
    assert_eq!(told["grant"], slip.grant.to_string());
    assert_eq!(told["slip"], slip.number);
    assert_eq!(told["issued_at"], slip.issued_at.to_string());
    assert_eq!((&told["seal"], &told["mac"]), (&"[masked]".into(), &"[not checked]".into()));
    // The last 40 characters hold only the MAC.
    assert!(!told.to_string().contains(&text[text.len() - 40..]));
}

fn written_access_token(key: SlipKeyId, input: &mut Input<'_>) {
    let token = AccessToken {
        key,
        grant: input.grant(),
        issued_at: input.timestamp(),
        expires_at: input.timestamp(),
        scopes: Scopes::from_bits(input.byte() % 8).unwrap(),
    };
    let seal = Seal::from_bytes(input.take());
    let Some(written) = token.write(&seal, &SLIP_KEYS) else {
        return assert_eq!(key, SlipKeyId(3));
    };
    let text = written.expose();
    let read = || AccessToken::read(text).unwrap();
    assert_eq!((read().grant(), read().unauthenticated()), (token.grant, token));
    assert_eq!(read().verify(&seal, &SLIP_KEYS), Some(token));
    assert_eq!(read().verify(&seal, &OTHER_ISSUER), None);
    let mut other_seal = *seal.expose();
    other_seal[0] ^= 1;
    assert_eq!(read().verify(&Seal::from_bytes(other_seal), &SLIP_KEYS), None);
    let changed = input.change(text);
    assert_eq!(AccessToken::read(&changed).and_then(|token| token.verify(&seal, &SLIP_KEYS)), None);
    explain(&changed);
    let told = explain(text).unwrap();
    assert_eq!(told["grant"], token.grant.to_string());
    assert_eq!(told["scope"], token.scopes.to_string());
    assert!(!told.to_string().contains(&text[text.len() - 40..]));
}

/// A right MAC over arbitrary bytes makes no slip unless we would have written the same: versions,
/// kinds and ids are checked too.
fn authentic_nonsense(input: &mut Input<'_>) {
    let key = &MAC_KEYS[usize::from(input.byte() % 2)];
    let token = |prefix: &str, payload: &[u8], seal: &[u8]| {
        let mac = key.mac(&[prefix.as_bytes(), ISSUER.as_bytes(), payload, seal]);
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode([payload, &mac].concat()))
    };
    let (mut of_slip, mut of_access_token) = (input.take::<43>(), [0; 28]);
    of_access_token.copy_from_slice(&of_slip[..28]);
    // Mostly gets past the checks of version and key.
    if input.byte() < 192 {
        for payload in [&mut of_slip[..], &mut of_access_token] {
            (payload[0], payload[1]) = (1, 0);
        }
    }
    for kind in KINDS {
        read_as_token(&token(kind.prefix(), &of_slip, &[]));
    }
    read_as_token(&token("cfa_", &of_access_token, SEAL.expose()));
}

type Pairs = Vec<(String, String)>;

/// The parameters of a form in the order sent, as its public methods show them.
fn pairs(form: &Form<'_>) -> Pairs {
    let mut values = HashMap::new();
    let next = |name| {
        let value = values.entry(name).or_insert_with(|| form.all(name)).next();
        (name.to_owned(), value.unwrap().to_owned())
    };
    form.names().map(next).collect()
}

/// See `fuzz/fuzz_targets/form.rs`.
pub fn form(data: &[u8]) {
    let utf8 = percent_decode(data).decode_utf8().is_ok();
    let repaired: Pairs = form_urlencoded::parse(data).into_owned().collect();
    let parsed = match Form::parse(data) {
        Ok(form) => pairs(&form),
        Err(error) => {
            let nul =
                repaired.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'));
            assert!(if error == FormError::Nul {
                nul
            } else {
                error == FormError::NotUtf8 && !utf8
            });
            assert!(Form::parse_oauth(data).is_err());
            return;
        }
    };
    // The separators are ASCII, so the whole is UTF-8 where each part is.
    assert!(utf8);
    assert_eq!(parsed, repaired);
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&parsed).finish();
    assert_eq!(pairs(&Form::parse(encoded.as_bytes()).unwrap()), parsed);
    let unique = parsed.iter().map(|(name, _)| name).collect::<HashSet<_>>().len() == parsed.len();
    match Form::parse_oauth(data) {
        Ok(form) => {
            assert!(unique && parsed.len() <= MOST_PARAMETERS);
            assert_eq!(pairs(&form), parsed);
            for (name, value) in &parsed {
                assert_eq!(form.get(name), Some(value.as_str()).filter(|value| !value.is_empty()));
            }
        }
        Err(FormError::Repeated) => assert!(!unique),
        Err(FormError::TooMany) => {
            assert!(data.iter().filter(|b| **b == b'&').count() >= MOST_PARAMETERS)
        }
        Err(FormError::NotUtf8 | FormError::Nul) => {
            panic!("one reader takes it and the other does not")
        }
    }
}

fn header_of(id: &str, secret: &str) -> Vec<u8> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))))
        .into_bytes()
}

/// See `fuzz/fuzz_targets/basic.rs`.
pub fn basic(data: &[u8]) {
    let comes_through = |id: &str, secret: &Secret| {
        let read = basic_header::parse(&header_of(id, secret.expose())).unwrap();
        assert_eq!((read.id.as_str(), &read.secret), (id, secret));
    };
    if let Ok(basic) = basic_header::parse(data) {
        assert!(data[..6].eq_ignore_ascii_case(b"basic "));
        comes_through(&basic.id, &basic.secret);
    }
    let read = basic_header::parse(&[b"Basic ", STANDARD.encode(data).as_bytes()].concat());
    let mut parts = data.splitn(2, |b| *b == b':').map(form::decode);
    match (parts.next(), parts.next()) {
        (Some(Ok(id)), Some(Ok(secret))) => {
            let read = read.unwrap();
            assert_eq!((read.id.as_str(), read.secret.expose()), (id.as_ref(), secret.as_ref()));
            comes_through(&id, &read.secret);
        }
        _ => assert!(read.is_err()),
    }
    if let Some(text) = std::str::from_utf8(data).ok().filter(|text| !text.contains('\0')) {
        let (id, secret) = text.split_once('\n').unwrap_or((text, ""));
        comes_through(id, &Secret::new(secret));
    }
}

const SCALAR: [u8; 32] = [7; 32];

/// The key of the second of [`SIGNING_KEYS`], which signs any header.
static SIGNS_ANYTHING: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&SCALAR).unwrap());

/// One key of each kind from a known scalar, so that failures can be reproduced: PKCS#8 with only
/// the private key.
static SIGNING_KEYS: LazyLock<[SigningKey; 2]> = LazyLock::new(|| {
    let p256 = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
    let ed25519 = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let key = |alg, der: &[u8]| SigningKey::from_pkcs8(alg, &[der, &SCALAR].concat()).unwrap();
    [key(Algorithm::Es256, p256), key(Algorithm::EdDsa, ed25519)]
});

/// See `fuzz/fuzz_targets/jwt.rs`.
pub fn jwt(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        arbitrary_token(text);
        explain(text);
        if text.bytes().filter(|b| *b == b'.').count() == 1 {
            // A payload and a signature, under headers that name a key.
            for key in &*SIGNING_KEYS {
                let signed = key.sign(b"").unwrap();
                arbitrary_token(&format!("{}.{text}", signed.split_once('.').unwrap().0));
            }
            // A header and a payload with a right signature.
            arbitrary_token(&format!(
                "{text}.{}",
                URL_SAFE_NO_PAD.encode(SIGNS_ANYTHING.sign(text.as_bytes()))
            ));
        }
    }
    read_claims(data);
    let mut input = Input(data);
    let [es256, eddsa] = &*SIGNING_KEYS;
    let (key, other) = if input.byte() % 2 == 0 { (es256, eddsa) } else { (eddsa, es256) };
    let change = input.take::<4>();
    signed_token(key, other, &change, input.0);
}

/// Ed25519 is deterministic, so what verifies is what signing again gives. ES256 is not, and no
/// fuzzer finds a signature.
fn arbitrary_token(text: &str) {
    let Some(token) = Compact::parse(text) else {
        return;
    };
    for key in &*SIGNING_KEYS {
        if let Some(payload) = key.verify(&token) {
            assert_eq!(key.alg, Algorithm::EdDsa);
            assert_eq!(key.sign(&payload).unwrap(), text);
        }
    }
    if let Some((_, payload)) = token.unauthenticated() {
        read_claims(&payload);
    }
}

fn read_claims(payload: &[u8]) {
    if let Ok(claims) = serde_json::from_slice::<IdToken>(payload) {
        assert_eq!(
            serde_json::from_slice::<IdToken>(&serde_json::to_vec(&claims).unwrap()).unwrap(),
            claims
        );
    }
}

fn signed_token(key: &SigningKey, other: &SigningKey, change: &[u8], payload: &[u8]) {
    let text = key.sign(payload).unwrap();
    let token = Compact::parse(&text).unwrap();
    assert_eq!(key.verify(&token).as_deref(), Some(payload));
    assert_eq!(other.verify(&token), None);
    let changed = Input(change).change(&text);
    assert_eq!(Compact::parse(&changed).and_then(|token| key.verify(&token)), None);
    explain(&changed);
    let told = explain(&text);
    let Ok(mut claims) = serde_json::from_slice::<Value>(payload) else {
        return assert_eq!(told, None);
    };
    let mut told = told.unwrap();
    assert_eq!((&told["key"], &told["alg"]), (&key.kid.as_str().into(), &key.alg.name().into()));
    for time in ["iat", "exp", "auth_time"] {
        // Only these are worded differently.
        if claims.get(time).is_some_and(Value::is_i64) {
            assert!(told["claims"][time].is_string());
            (claims[time], told["claims"][time]) = (Value::Null, Value::Null);
        }
    }
    assert_eq!(told["claims"], claims);
}

/// See `fuzz/fuzz_targets/redirect_uri.rs`. The input is the registered URI, a line feed, and the
/// requested one.
pub fn redirect_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (registered, requested) = text.split_once('\n').unwrap_or((text, text));
    compare(registered, requested);
    for uri in [registered, requested] {
        assert!(matches(uri, uri));
        redirect_to(uri, text);
    }
    any_loopback_port(registered, u16::from_le_bytes(Input(data).take()));
}

fn compare(registered: &str, requested: &str) {
    let matched = matches(registered, requested);
    if registered.len().max(requested.len()) <= LONGEST {
        assert_eq!(matches(requested, registered), matched);
    }
    if registered == requested || !matched {
        return assert_eq!(matched, registered == requested);
    }
    let host = ["http://127.0.0.1", "http://[::1]"]
        .into_iter()
        .find(|host| registered.starts_with(host))
        .unwrap();
    assert!(requested.starts_with(host) && requested.len() <= LONGEST);
    // What may be registered has only ports that may be registered.
    assert_eq!(check(registered).is_ok(), check(requested).is_ok() && registered.len() <= LONGEST);
    let (Ok(a), Ok(b)) = (Url::parse(registered), Url::parse(requested)) else {
        panic!("{registered:?} and {requested:?} do not parse")
    };
    assert!(matches!(b.host_str(), Some("127.0.0.1" | "[::1]")));
    assert_eq!((b.username(), b.password()), ("", None));
    assert_eq!(
        (a.scheme(), a.host_str(), a.path(), a.query(), a.fragment()),
        (b.scheme(), b.host_str(), b.path(), b.query(), b.fragment())
    );
}

/// What the server does with a registered URI: it sends an answer there.
fn redirect_to(uri: &str, state: &str) {
    let registrable = check(uri).is_ok();
    let parameters = [("code", "cfc_x"), ("state", state)];
    let answer = with_query(uri, &parameters);
    if !registrable {
        return;
    }
    let (uri, answer) = (Url::parse(uri).unwrap(), answer.unwrap());
    assert!(
        !uri.host_str().unwrap_or_default().contains(['*', '\'', ';', ',']),
        "{uri} is at no host that a browser knows"
    );
    assert!(answer.bytes().all(|b| b.is_ascii_graphic()));
    let answer = Url::parse(&answer).unwrap();
    assert_eq!(
        (answer.scheme(), answer.host(), answer.port()),
        (uri.scheme(), uri.host(), uri.port())
    );
    assert_eq!(answer.origin().is_tuple(), uri.origin().is_tuple());
    assert_eq!((answer.path(), answer.fragment()), (uri.path(), None));
    let expected: Vec<_> = uri
        .query_pairs()
        .chain(parameters.map(|(name, value)| (name.into(), value.into())))
        .collect();
    assert_eq!(answer.query_pairs().collect::<Vec<_>>(), expected);
}

/// RFC 8252 section 7.3: any port must be allowed.
fn any_loopback_port(registered: &str, port: u16) {
    for host in ["http://127.0.0.1", "http://[::1]"] {
        if let Some(path) = registered.strip_prefix(host).filter(|path| path.starts_with('/')) {
            let requested = format!("{host}:{port}{path}");
            assert_eq!(matches(registered, &requested), requested.len() <= LONGEST);
            let [long, requested] =
                [registered, &requested].map(|uri| format!("{uri}{}", "/".repeat(LONGEST)));
            assert!(!matches(&long, &requested));
        }
    }
}
