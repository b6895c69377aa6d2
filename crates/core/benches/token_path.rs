//! How many instructions the pure parts of a refresh take. `scripts/instructions` counts them under
//! valgrind and compares the counts with those in `instructions.txt`.
//!
//! Each step runs twice and the second run is counted, including the drop of its result: by then
//! everything that a server prepares once, such as keys and the seed of random numbers, is there.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counterfoil_core::access_token::AccessToken;
use counterfoil_core::basic;
use counterfoil_core::claim::{Claim, RequestIdentity};
use counterfoil_core::client::SecretDigest;
use counterfoil_core::clock::{DAY, HOUR, Timestamp};
use counterfoil_core::fdx::DataClusters;
use counterfoil_core::form::Form;
use counterfoil_core::grant::{CustomerId, GrantId, Seal, Terms};
use counterfoil_core::id_token;
use counterfoil_core::jws::{Algorithm, Compact, SigningKey};
use counterfoil_core::mac::MacKey;
use counterfoil_core::scope::Scopes;
use counterfoil_core::secret::Secret;
use counterfoil_core::slip::{Kind, Slip};
use counterfoil_core::slip_keys::{SlipKeyId, SlipKeys};
use counterfoil_core::token_answer::TokenAnswer;
use counterfoil_core::verdict::{Counterfoil, OnLostAnswer, OnReplay, Presentation, judge};

const ISSUER: &str = "https://auth.bank.example";
const CLIENT: &str = "budget-planner";
const CLIENT_SECRET: &str = "Xk3r0mTq8hYv2LwZp5sNc7dGf9aBj1eUoR4iKxW6tQy";
const RETRY_KEY: &str = "6f1c9a52-8d0e-4a43-9a3b-0d8a5a3f2b11";
const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
const SEAL: Seal = Seal::from_bytes([5; 16]);
const SLIP_KEY: SlipKeyId = SlipKeyId(2);

/// A refresh: what the server knows, what the client sends, and what it gets.
struct Refresh {
    slip_keys: SlipKeys,
    claims: MacKey,
    pepper: MacKey,
    subjects: MacKey,
    signing_key: SigningKey,
    terms: Terms,
    counterfoil: Counterfoil,
    presented: Presentation,
    successor: Slip,
    says: AccessToken,
    client_secret: Secret,
    refresh_token: Secret,
    next_refresh_token: Secret,
    access_token: Secret,
    id_token: String,
    form: String,
    basic: String,
}

impl Refresh {
    /// Signed with the key for `alg`. The keys were made for this benchmark.
    fn signed_with(alg: Algorithm) -> Self {
        let pkcs8: &[u8] = match alg {
            Algorithm::Es256 => include_bytes!("keys/es256.pkcs8"),
            Algorithm::EdDsa => include_bytes!("keys/eddsa.pkcs8"),
            Algorithm::Rs256 | Algorithm::Ps256 => include_bytes!("keys/rs256.pkcs8"),
        };
        let slip_keys = [(SlipKeyId(1), MacKey::new(&[1; 32])), (SLIP_KEY, MacKey::new(&[2; 32]))];
        let slip_keys = SlipKeys::new(ISSUER.into(), SLIP_KEY, slip_keys.to_vec());
        let consent = NOW.plus(-30 * DAY);
        let grant = GrantId::new(consent, [9, 4, 7, 1]);
        let slip = Slip { key: SLIP_KEY, grant, number: 30, issued_at: NOW.plus(-DAY), seal: SEAL };
        let successor = Slip { number: 31, issued_at: NOW, ..slip };
        let says = AccessToken {
            key: SLIP_KEY,
            grant,
            issued_at: NOW,
            expires_at: NOW.plus(24 * HOUR),
            scopes: Scopes::ALL,
        };
        let refresh_token = slip.write(&slip_keys).unwrap();
        let claims = MacKey::new(&[3; 32]);
        let claim = Claim::keyed(
            &claims,
            RETRY_KEY,
            RequestIdentity { client: CLIENT, slip: refresh_token.expose(), scope: None },
        );
        let mut refresh = Self {
            claims,
            pepper: MacKey::new(&[4; 32]),
            subjects: MacKey::new(&[5; 32]),
            signing_key: SigningKey::from_pkcs8(alg, pkcs8).unwrap(),
            terms: Terms {
                grant,
                client: CLIENT.into(),
                customer: CustomerId { provider: "sandbank".into(), customer: "customer_1".into() },
                name: "Alex Example".into(),
                scopes: Scopes::ALL,
                clusters: DataClusters::from_names(["ACCOUNT_BASIC", "BALANCES", "TRANSACTIONS"])
                    .unwrap(),
                accounts: ["checking-1001", "savings-1002", "card-1003"].map(String::from).to_vec(),
                lookback_days: None,
                created_at: consent,
                expires_at: consent.plus(365 * DAY),
                authenticated_at: consent,
                client_era: 0,
                customer_era: 0,
                parent: None,
            },
            counterfoil: Counterfoil {
                seal: SEAL,
                next_slip: slip.number,
                expires_at: NOW.plus(89 * DAY),
                claim: None,
                redeemed_at: slip.issued_at,
                slip_key: SLIP_KEY,
                epoch: 1,
                ended: false,
            },
            presented: Presentation {
                slip,
                claim,
                now: NOW,
                on_replay: OnReplay::Revoke,
                on_lost_answer: OnLostAnswer::Strict,
            },
            successor,
            says,
            client_secret: Secret::new(CLIENT_SECRET),
            form: format!(
                "grant_type=refresh_token&refresh_token={}&client_id={CLIENT}&client_secret={CLIENT_SECRET}",
                refresh_token.expose()
            ),
            refresh_token,
            next_refresh_token: successor.write(&slip_keys).unwrap(),
            access_token: says.write(&SEAL, &slip_keys).unwrap(),
            id_token: String::new(),
            basic: format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}"))),
            slip_keys,
        };
        refresh.id_token = refresh.sign();
        refresh
    }

    fn request(&self) -> RequestIdentity<'_> {
        RequestIdentity { client: CLIENT, slip: self.refresh_token.expose(), scope: None }
    }

    fn claims(&self) -> Vec<u8> {
        let new = id_token::NewIdToken {
            subjects: &self.subjects,
            issuer: ISSUER,
            now: NOW,
            expires_at: self.says.expires_at,
            nonce: None,
            access_token: &self.access_token,
            alg: self.signing_key.alg,
            random: [7; 16],
        };
        id_token::claims(&self.terms, &new).unwrap()
    }

    fn sign(&self) -> String {
        self.signing_key.sign(&self.claims()).unwrap()
    }
}

fn parse_form(refresh: &Refresh) {
    black_box(Form::parse_oauth(refresh.form.as_bytes()).unwrap());
}

fn parse_basic(refresh: &Refresh) {
    black_box(basic::parse(refresh.basic.as_bytes()).unwrap());
}

fn digest_client_secret(refresh: &Refresh) {
    black_box(SecretDigest::of(&refresh.client_secret, &refresh.pepper));
}

fn read_slip(refresh: &Refresh) {
    black_box(
        Slip::read(Kind::RefreshToken, refresh.refresh_token.expose(), &refresh.slip_keys).unwrap(),
    );
}

fn prove_access_token(refresh: &Refresh) {
    black_box(
        AccessToken::read(refresh.access_token.expose())
            .unwrap()
            .verify(&SEAL, &refresh.slip_keys)
            .unwrap(),
    );
}

fn parse_id_token(refresh: &Refresh) {
    black_box(Compact::parse(&refresh.id_token).unwrap());
}

fn claim_keyed(refresh: &Refresh) {
    black_box(Claim::keyed(&refresh.claims, RETRY_KEY, refresh.request()));
}

fn claim_keyless(refresh: &Refresh) {
    black_box(Claim::keyless(&refresh.claims, [6; 8], refresh.request()));
}

fn judge_redeem(refresh: &Refresh) {
    black_box(judge(&refresh.counterfoil, &refresh.presented, 1, 0));
}

/// A retry of the request that redeemed the slip.
fn judge_repeat(refresh: &Refresh) {
    let (before, claim) = (refresh.counterfoil, refresh.presented.claim);
    let after = Counterfoil {
        next_slip: before.next_slip + 1,
        claim: Some(claim),
        redeemed_at: NOW.plus(-1),
        ..before
    };
    black_box(judge(black_box(&after), &refresh.presented, 1, 0));
}

/// A slip whose successor was redeemed too.
fn judge_replay(refresh: &Refresh) {
    let before = refresh.counterfoil;
    let later = Counterfoil {
        next_slip: before.next_slip + 2,
        claim: Some(refresh.presented.claim),
        redeemed_at: NOW.plus(-1),
        ..before
    };
    black_box(judge(black_box(&later), &refresh.presented, 1, 0));
}

fn write_access_token(refresh: &Refresh) {
    black_box(refresh.says.write(&SEAL, &refresh.slip_keys).unwrap());
}

fn write_slip(refresh: &Refresh) {
    black_box(refresh.successor.write(&refresh.slip_keys).unwrap());
}

fn write_claims(refresh: &Refresh) {
    black_box(refresh.claims());
}

/// Includes the claims, which every signature needs.
fn sign(refresh: &Refresh) {
    black_box(refresh.sign());
}

fn verify(refresh: &Refresh) {
    black_box(refresh.signing_key.verify(&Compact::parse(&refresh.id_token).unwrap()).unwrap());
}

fn answer(refresh: &Refresh) {
    let answer = TokenAnswer {
        access_token: refresh.access_token.expose(),
        id_token: &refresh.id_token,
        refresh_token: Some(refresh.next_refresh_token.expose()),
        expires_in: 24 * HOUR,
        scope: Scopes::ALL,
    };
    black_box(answer.to_json());
}

/// Name, algorithm of the keys, and what is counted.
type Step = (&'static str, Algorithm, fn(&Refresh));

/// EdDSA where nothing is signed: it draws no random numbers, and under valgrind the generator takes
/// a second to seed itself.
const STEPS: [Step; 20] = [
    ("parse_form", Algorithm::EdDsa, parse_form),
    ("parse_basic", Algorithm::EdDsa, parse_basic),
    ("digest_client_secret", Algorithm::EdDsa, digest_client_secret),
    ("read_slip", Algorithm::EdDsa, read_slip),
    ("prove_access_token", Algorithm::EdDsa, prove_access_token),
    ("parse_id_token", Algorithm::EdDsa, parse_id_token),
    ("claim_keyed", Algorithm::EdDsa, claim_keyed),
    ("claim_keyless", Algorithm::EdDsa, claim_keyless),
    ("judge_redeem", Algorithm::EdDsa, judge_redeem),
    ("judge_repeat", Algorithm::EdDsa, judge_repeat),
    ("judge_replay", Algorithm::EdDsa, judge_replay),
    ("write_access_token", Algorithm::EdDsa, write_access_token),
    ("write_slip", Algorithm::EdDsa, write_slip),
    ("write_claims", Algorithm::EdDsa, write_claims),
    ("sign_eddsa", Algorithm::EdDsa, sign),
    ("sign_es256", Algorithm::Es256, sign),
    ("sign_rs256", Algorithm::Rs256, sign),
    ("verify_es256", Algorithm::Es256, verify),
    ("verify_rs256", Algorithm::Rs256, verify),
    ("answer", Algorithm::EdDsa, answer),
];

/// Valgrind counts the instructions inside this function, so it must be a symbol of its own.
#[inline(never)]
fn counted(step: fn(&Refresh), refresh: &Refresh) {
    step(refresh);
}

/// Runs the step that is named, or lists them all.
fn main() {
    let name = std::env::args().nth(1);
    match STEPS.iter().find(|(step, ..)| Some(*step) == name.as_deref()) {
        None => STEPS.iter().for_each(|(step, ..)| println!("{step}")),
        Some((_, alg, step)) => {
            let refresh = Refresh::signed_with(*alg);
            step(&refresh);
            counted(*step, &refresh);
        }
    }
}
