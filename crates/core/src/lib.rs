//! The rules of Counterfoil, as pure Rust: no I/O, no async, no SQL.
//!
//! Start with [`slip`] (what a code or refresh token is) and [`verdict`] (what becomes of one that
//! is presented).

pub mod access_token;
pub mod authorization_error;
pub mod basic;
pub mod claim;
pub mod client;
pub mod clock;
pub mod dialect;
pub mod display_name;
pub mod ending;
pub mod explain;
pub mod failure;
pub mod fdx;
pub mod form;
pub mod grant;
pub mod id_token;
pub mod jws;
pub mod login;
pub mod mac;
pub mod oauth_error;
pub mod pkce;
pub mod random;
pub mod redirect_uri;
pub mod scope;
pub mod sealing;
pub mod secret;
pub mod settings;
pub mod slip;
pub mod slip_keys;
pub mod text_file;
pub mod token;
pub mod token_answer;
pub mod verdict;
