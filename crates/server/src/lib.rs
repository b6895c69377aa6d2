//! Counterfoil's HTTP server. Start at `routes.rs`: one table with every route; a handler is found
//! by its module's name.
//!
//! A refresh, for example, is `routes.rs`, `oauth/token.rs`, `token/refresh.rs`, `token/issue.rs`
//! and the store's `redeem`.

pub mod admin;
pub mod authorization;
pub mod customer;
pub mod data;
pub mod grants;
pub mod http;
pub mod node;
pub mod oauth;
pub mod openapi;
pub mod pages;
pub mod routes;
mod serve;
pub mod tokens;

pub use http::connections::{Bounds, End, Listener, Tls, TlsError};
pub use node::app::{App, AppError};
pub use node::keys;
pub use node::metrics::LogCounts;
pub use node::poll::Unavailable;
pub use serve::{Server, serve};
