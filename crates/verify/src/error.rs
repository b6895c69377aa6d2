//! Why a run could not begin, or not end.

use counterfoil_report::Report;

/// Why a run could not begin, or not end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something is missing or wrong in what was asked.
    #[error("{0}")]
    Usage(String),
    /// The server does not answer.
    #[error("{url} does not answer: {why}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why there is no answer.
        why: String,
    },
    /// The server says that it is another one.
    #[error("the server at {asked} says that its issuer is `{says}`: ask for that one")]
    Issuer {
        /// The issuer asked for.
        asked: String,
        /// The issuer of its discovery document.
        says: String,
    },
    /// It was told to stop.
    #[error("interrupted; what was moved is put back")]
    Interrupted,
    /// The sandbox's clock is still where the run moved it.
    #[error(
        "the sandbox's clock was moved and could not be put back ({why}). Its offset was {offset} seconds: \
         `counterfoil sandbox-ctl {issuer} clock reset`, then `clock advance {offset}s`"
    )]
    Clock {
        /// The sandbox.
        issuer: String,
        /// The offset that the clock had before, in seconds.
        offset: i64,
        /// What was answered instead.
        why: String,
        /// How the checks came out, where the run came to its end.
        report: Option<Box<Report>>,
    },
}
