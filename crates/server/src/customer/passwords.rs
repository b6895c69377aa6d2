//! Passwords of local customers: Argon2id, with bounded concurrency, and the same work for unknown
//! customers.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login::{self, LoginMatch};
use counterfoil_core::random;
use counterfoil_core::secret::Secret;
use counterfoil_store::{Customer, SignIn, StoreError};

use crate::customer::logins;
use crate::node::app::App;
use crate::node::lockout;

/// The longest password, in bytes.
pub const LONGEST_PASSWORD: usize = 1024;

/// A password could not be hashed: the library refused, or the server is stopping.
#[derive(Debug, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct PasswordError(pub String);

/// The Argon2id hash of a password, in PHC string format. Slow: not for the threads that serve
/// requests.
///
/// # Errors
/// [`PasswordError`].
pub fn hash(password: &Secret) -> Result<Secret, PasswordError> {
    let salt = random::bytes::<16>();
    let hash = Argon2::default().hash_password_with_salt(password.expose().as_bytes(), &salt);
    hash.map(|hash| Secret::new(hash.to_string())).map_err(|e| PasswordError(e.to_string()))
}

/// A hash that matches no password, as costly as a real one.
static NOBODY: std::sync::LazyLock<Secret> = std::sync::LazyLock::new(|| {
    hash(&Secret::new(format!("{:?}", random::bytes::<32>()))).unwrap_or_else(|_| Secret::new(""))
});

fn verify(password: &Secret, hash: &Secret) -> bool {
    PasswordHash::new(hash.expose()).is_ok_and(|parsed| {
        Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok()
    })
}

/// An authenticated customer.
pub struct Authentication {
    /// The customer.
    pub customer: Customer,
    /// Their era at that time.
    pub era: u32,
}

/// Why a sign-in attempt failed.
#[derive(Debug)]
pub enum SignInError {
    /// Unknown name or wrong password; which one is for the log only.
    Wrong {
        /// The reason, for the log.
        reason: &'static str,
    },
    /// Too many recent failures; the password was not checked. The same answer for right and wrong
    /// passwords and for unknown names.
    Closed {
        /// When passwords are checked again.
        until: Timestamp,
    },
    /// The store can't answer.
    Store(StoreError),
    /// The password could not be hashed.
    Hash(String),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The forms in which a password may have been hashed.
struct PasswordForms {
    normal: Secret,
    /// The bytes as sent, if they differ: hashes made before passwords were normalised used them.
    as_it_came: Option<Secret>,
}

impl PasswordForms {
    fn of(password: Secret) -> Self {
        let normal = login::password(&password);
        let as_it_came = (normal.expose() != password.expose()).then_some(password);
        Self { normal, as_it_came }
    }

    fn fits(&self, hash: &Secret) -> bool {
        let fits = |password: &Secret| {
            verify(password, hash) && password.expose().len() <= LONGEST_PASSWORD
        };
        fits(&self.normal) || self.as_it_came.as_ref().is_some_and(fits)
    }
}

/// Authenticates a customer by name and password, unless too many attempts failed recently. A
/// sandbox never locks anyone out: its users are there to experiment.
///
/// # Errors
/// [`SignInError`].
pub async fn sign_in(
    app: &App,
    typed: CustomerId,
    password: Secret,
    now: Timestamp,
) -> Result<Authentication, SignInError> {
    let key = lockout::key_of(&app.keys.ring().tickets, &typed);
    let mut turn = app.limits.sign_in(&key).lock().await;
    let mut counted = None;
    if !app.is_sandbox() {
        match app.store.begin_sign_in(key, now).await? {
            SignIn::Try { number, closes_until } => counted = Some((number, closes_until)),
            SignIn::Closed { until } => {
                turn.log_refusal(key, &typed, until, now);
                return Err(SignInError::Closed { until });
            }
        }
    }
    let (known, era, unknown) = look_up(app, &typed).await?;
    let permit = app
        .limits
        .passwords
        .clone()
        .acquire_owned()
        .await
        .map_err(|e| SignInError::Hash(e.to_string()))?;
    // Customers without a password sign in elsewhere, and are refused with as much work.
    let hash = known.as_ref().and_then(|customer| customer.password.clone());
    let right = tokio::task::spawn_blocking(move || {
        // Held until the hash is done: a client that disconnects must not make room for another
        // hash.
        let _permit = permit;
        PasswordForms::of(password).fits(hash.as_ref().unwrap_or(&NOBODY)) && hash.is_some()
    })
    .await
    .map_err(|e| SignInError::Hash(e.to_string()))?;
    match known {
        Some(customer) if right => {
            if let Some((number, _)) = counted {
                app.store.sign_in_succeeded(number).await?;
            }
            Ok(Authentication { customer, era })
        }
        known => {
            if let Some((_, Some(until))) = counted {
                lockout::log_lockout(&typed, known.is_some(), until);
            }
            Err(SignInError::Wrong {
                reason: if known.is_some() { "the password is wrong" } else { unknown },
            })
        }
    }
}

/// The customer that a name refers to and their era, or why there is none. Both cases do the same
/// reads.
async fn look_up(
    app: &App,
    typed: &CustomerId,
) -> Result<(Option<Customer>, u32, &'static str), StoreError> {
    let nobody = CustomerId { provider: typed.provider.clone(), customer: String::new() };
    // A database rejects some strings that can't be names.
    let asked = if login::can_be(&typed.customer) { typed } else { &nobody };
    let (id, unknown) = match logins::meant(app, asked).await? {
        LoginMatch::One(customer) => (Some(customer.id), ""),
        LoginMatch::Nobody => (None, "there is no such customer"),
        LoginMatch::Several(_) => {
            (None, "several customers have this name, and it is written as that of none of them")
        }
    };
    let somebody = id.is_some();
    let id = id.as_ref().unwrap_or(&nobody);
    // Read before the customer: a later removal then invalidates this authentication.
    let era = app.store.customer_era(id).await?;
    let customer = app.store.customer(id).await?;
    Ok((customer.filter(|_| somebody), era, unknown))
}
