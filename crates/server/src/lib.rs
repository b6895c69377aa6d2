//! Counterfoil's HTTP server. A newcomer starts at `routes.rs`: one table with every route; a
//! handler is found by its module's name.
//!
//! A refresh, then, is `routes.rs`, `token.rs`, `token/refresh.rs`, `token/issue.rs` and the
//! store's `redeem`.

mod accounts;
pub mod admin;
mod app;
mod around;
mod assets;
mod authorize;
mod bearer;
mod client_auth;
mod clients;
mod connected_apps;
mod connections;
mod consent;
mod continuation;
mod cookies;
mod discovery;
mod follow;
mod health;
mod id_token;
mod introspect;
mod jwks;
pub mod keys;
mod living_grants;
mod lockout;
mod logins;
mod maintenance;
mod observe;
mod openapi;
pub mod pages;
mod passwords;
mod refused;
mod request;
mod respond;
mod revoke;
mod routes;
mod said;
pub mod sandbox;
mod serve;
mod session;

mod sign_in;
mod sweep;
mod ticket;
mod timekeeping;
mod token;
mod unknown_key;
mod userinfo;

pub use app::{App, AppError};
pub use connections::{Bounds, Tls, TlsError};
pub use follow::Unavailable;
pub use observe::LogCounts;
pub use openapi::DESCRIPTION;
pub use routes::{router, table};
pub use serve::{Listeners, METRICS_CONNECTIONS, serve};
