//! What can go wrong at any path, and how it is answered: one table for OAuth and FDX.

use crate::fdx::FdxError;
use crate::oauth_error::{ErrorCode, OAuthError};

/// An error that no dialect has its own spelling for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The request makes no sense, such as one without a proper `Host`.
    Malformed,
    /// There is no such path, or nothing there.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body took too long to come in.
    BodyTooSlow,
    /// The body is larger than any that is read.
    BodyTooLarge,
    /// The head is larger than any that is read.
    HeadTooLarge,
    /// More requests than are let through. OAuth has no code for it.
    TooManyRequests,
    /// A bug.
    Internal,
    /// The store can't answer, or this node may not.
    Unavailable,
}

impl Failure {
    /// As OAuth spells it. Its status is also that of a page.
    pub const fn oauth(self) -> OAuthError {
        let (status, code) = match self {
            Self::Malformed => (400, ErrorCode::InvalidRequest),
            Self::NotFound => (404, ErrorCode::NotFound),
            Self::MethodNotAllowed => (405, ErrorCode::MethodNotAllowed),
            Self::BodyTooSlow => (408, ErrorCode::InvalidRequest),
            Self::BodyTooLarge => (413, ErrorCode::InvalidRequest),
            Self::HeadTooLarge => (431, ErrorCode::InvalidRequest),
            Self::TooManyRequests => (429, ErrorCode::TemporarilyUnavailable),
            Self::Internal => (500, ErrorCode::ServerError),
            Self::Unavailable => (503, ErrorCode::TemporarilyUnavailable),
        };
        OAuthError::plain(status, code)
    }

    /// As FDX spells it.
    pub const fn fdx(self) -> FdxError {
        match self {
            Self::Malformed | Self::BodyTooSlow | Self::HeadTooLarge => FdxError::InvalidInput,
            Self::NotFound => FdxError::NotFound,
            Self::MethodNotAllowed => FdxError::MethodNotAllowed,
            Self::BodyTooLarge => FdxError::PayloadTooLarge,
            Self::TooManyRequests => FdxError::TooManyRequests,
            Self::Internal => FdxError::InternalServerError,
            Self::Unavailable => FdxError::SubsystemUnavailable,
        }
    }
}
