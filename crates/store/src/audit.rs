//! What the audit trail records, in both engines.

/// What the audit trail records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    GrantEnded,
    CodeReplayed,
    RefreshTokenReplayed,
    RefreshRepeated,
    AcceptedAfterLoss,
    SlipForged,
    SlipAhead,
}

impl Event {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GrantEnded => "grant_ended",
            Self::CodeReplayed => "code_replayed",
            Self::RefreshTokenReplayed => "refresh_token_replayed",
            Self::RefreshRepeated => "refresh_repeated",
            Self::AcceptedAfterLoss => "accepted_after_loss",
            Self::SlipForged => "slip_forged",
            Self::SlipAhead => "slip_ahead",
        }
    }
}
