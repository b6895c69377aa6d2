//! The endpoints of OAuth and OpenID Connect.

pub mod authorize;
pub mod client_auth;
pub mod client_request;
pub mod discovery;
pub mod introspect;
pub mod jwks;
pub mod revoke;
pub mod token;
pub mod userinfo;
