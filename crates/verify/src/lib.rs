//! Certifies an OAuth server over HTTP: runs plans of cases against it, ours or somebody else's,
//! and reports with every request and answer how each check came out.
//!
//! It stands alone: it knows nothing of the server but what comes over the wire. A newcomer starts
//! at `plans/token_management.rs`, which reads like the table that it proves; `case.rs` is what
//! plans are written with.

mod abort;
mod call;
mod case;
mod check;
mod client;
mod clock;
mod codes;
mod error;
mod event;
mod expectation;
mod http;
mod id_token;
mod judge;
mod listener;
mod machine_time;
mod options;
mod plan;
mod plans;
mod random;
mod response;
mod run;
mod session;
mod supply;
mod target;
mod token_file;
mod tokens;

pub use error::VerifyError;
pub use event::{Event, Progress};
pub use options::Options;
pub use plans::names;
pub use run::run;
pub use target::Endpoint;
pub use token_file::TokenFile;
