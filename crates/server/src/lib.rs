//! Counterfoil's HTTP server. A newcomer starts at `routes.rs`: one table with every route; a
//! handler is found by its module's name.
//!
//! A refresh, then, is `routes.rs`, `token.rs`, `token/refresh.rs`, `token/issue.rs` and the
//! store's `redeem`.

pub mod admin;
mod authorization;
mod customer;
mod data;
mod grants;
mod http;
mod node;
mod oauth;
mod openapi;
pub mod pages;
mod routes;
pub mod sandbox;
mod serve;
mod tokens;

pub use http::connections::{Bounds, Tls, TlsError};
pub use http::metrics::LogCounts;
pub use node::app::{App, AppError};
pub use node::follow::Unavailable;
pub use node::keys;
pub use openapi::DESCRIPTION;
pub use routes::{router, table};
pub use serve::{Listeners, METRICS_CONNECTIONS, serve};
