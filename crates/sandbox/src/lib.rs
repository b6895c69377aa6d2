//! A sandbox: a server with a bank, customers, a clock that moves and faults that strike, to build
//! and test clients against.
//!
//! It is the server's routes, its own next to them (`routes.rs`), and around all of them a watch on
//! requests (`requests/watch.rs`); what it does to a request in between is in `guest.rs`.

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

/// The provider that a sandbox has.
pub const PROVIDER: &str = "sandbank";
/// Where the sandbox's own clients receive codes.
pub const CALLBACK: &str = "/sandbox/callback";

/// What a sandbox has that no other server has.
pub struct Sandbox {
    /// What is asked to go wrong.
    pub faults: Faults,
    /// The last requests, for people to look at.
    pub requests: Requests,
    /// The client that is graded, if one is.
    pub grading: Grading,
    /// Hosts that `/sandbox/*` may be asked for besides the issuer's and loopback ones.
    hosts: Vec<Host>,
    /// The texts of its pages.
    locale: Locale,
}

/// Puts a sandbox together, and the server that it is the guest of.
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
