//! A sandbox: a server with a bank, customers, a movable clock and fault injection, to build and test
//! clients against.
//!
//! It serves the server's routes and its own (`routes.rs`), wrapped in a middleware that records
//! requests (`requests/watch.rs`); what it does to the server's requests is in `guest.rs`.

mod approval;
mod authorize;
mod callback;
mod clock;
mod codes;
mod dashboard;
pub mod faults;
pub mod grade;
mod guard;
mod guest;
mod pages;
pub mod requests;
mod routes;
pub mod seed;
pub mod walkthrough;

pub use routes::{router, routes};

use std::sync::Arc;

use counterfoil_core::clock::Clock;
use counterfoil_core::settings::Settings;
use counterfoil_server::keys::Keys;
use counterfoil_server::pages::Locale;
use counterfoil_server::{App, AppError};
use counterfoil_store::Store;
use url::Host;

use crate::faults::Faults;
use crate::grade::Grading;
use crate::requests::Requests;

/// The provider of a sandbox.
pub const PROVIDER: &str = "sandbank";
/// Where the sandbox's own clients receive codes.
pub const CALLBACK: &str = "/sandbox/callback";

/// The state of a sandbox, in addition to the server's.
pub struct Sandbox {
    /// The faults that are set.
    pub faults: Faults,
    /// The last requests.
    pub requests: Requests,
    /// The grading of a client.
    pub grading: Grading,
    /// Hosts of `/sandbox/*` in addition to the issuer's and loopback ones.
    hosts: Vec<Host>,
    /// The messages of its pages.
    locale: Locale,
}

/// Makes a sandbox, and the server that it is the guest of.
///
/// # Errors
/// As for [`App::new`].
pub async fn open(
    settings: Settings,
    store: Store,
    keys: Keys,
    clock: Clock,
    hosts: Vec<Host>,
) -> Result<(Arc<App>, Arc<Sandbox>), AppError> {
    let sandbox = Arc::new(Sandbox {
        faults: Faults::default(),
        requests: Requests::default(),
        grading: Grading::default(),
        hosts,
        locale: pages::english().map_err(AppError::Locale)?,
    });
    let app = App::with_guest(sandbox.clone(), settings, store, keys, clock).await?;
    Ok((Arc::new(app), sandbox))
}
