//! What can go wrong, as it is asked for and as it is done.

use std::time::Duration;

use counterfoil_core::clock::{Seconds, parse_duration, parse_wait};
use counterfoil_core::fdx::FdxError;
use counterfoil_core::slip;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `/token` does what it is asked, and the connection ends without an answer.
    LoseAnswer,
    /// A request waits before it is looked at.
    Delay,
    /// 503 with `Retry-After`; nothing is done.
    Unavailable,
    /// 429 with `Retry-After`; nothing is done.
    TooManyRequests,
    /// New signing keys, used at once: nobody has seen them.
    RotateKeys,
    /// The customer takes the consent back at the bank.
    RevokeGrant,
    /// A code expires.
    ExpireCode,
    /// A refresh token expires.
    ExpireRefreshToken,
    /// The times in issued ID tokens are off.
    Skew,
    /// A data path answers with an FDX error.
    FdxError,
}

impl Kind {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 10] = [
        Self::LoseAnswer,
        Self::Delay,
        Self::Unavailable,
        Self::TooManyRequests,
        Self::RotateKeys,
        Self::RevokeGrant,
        Self::ExpireCode,
        Self::ExpireRefreshToken,
        Self::Skew,
        Self::FdxError,
    ];

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoseAnswer => "lose_answer",
            Self::Delay => "delay",
            Self::Unavailable => "unavailable",
            Self::TooManyRequests => "too_many_requests",
            Self::RotateKeys => "rotate_keys",
            Self::RevokeGrant => "revoke_grant",
            Self::ExpireCode => "expire_code",
            Self::ExpireRefreshToken => "expire_refresh_token",
            Self::Skew => "skew",
            Self::FdxError => "fdx_error",
        }
    }

    /// Reads the word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A fault as it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Wish {
    /// What shall go wrong.
    pub fault: Kind,
    /// For this client alone.
    pub client_id: Option<String>,
    /// For this customer's data or grants alone.
    pub customer: Option<String>,
    /// At this path alone, one of [`PATHS`].
    pub path: Option<String>,
    /// How long, which code, whose: as the kind wants it.
    pub value: Option<String>,
}

/// The paths that faults strike; `/accounts` stands for `/accounts/{version}/{provider}` too.
pub const PATHS: [&str; 5] = ["/token", "/revoke", "/introspect", "/userinfo", "/accounts"];

/// What a fault does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// To the answer of `/token` that says that something was done.
    LoseAnswer,
    /// To a request.
    Delay(Duration),
    /// To a request: 503, to be repeated after so many seconds.
    Unavailable(Seconds),
    /// To a request: 429, to be repeated after so many seconds.
    TooManyRequests(Seconds),
    /// To the keys, at once.
    RotateKeys,
    /// To the grants of the client or customer, at once.
    RevokeGrant,
    /// To the codes or refresh tokens of the client or customer, or to one of them, at once.
    ExpireNow(slip::Kind),
    /// To the next one that the client redeems, before it is looked at.
    ExpireNext(slip::Kind),
    /// To the times in an ID token, in seconds.
    Skew(Seconds),
    /// To a request at a data path.
    Fdx(FdxError),
}

/// The longest delay: every request is answered within 30 seconds.
const LONGEST_DELAY: Duration = Duration::from_secs(25);
/// The longest `Retry-After`, in seconds.
const LONGEST_RETRY_AFTER: Seconds = 3600;
/// The `Retry-After` where none is asked for, in seconds.
const RETRY_AFTER: Seconds = 5;

impl Wish {
    /// What is to be done.
    ///
    /// # Errors
    /// Says what is wrong with the wish.
    pub fn effect(&self) -> Result<Effect, String> {
        if let Some(path) = self.path.as_deref().filter(|path| !PATHS.contains(path)) {
            return Err(format!("faults strike at {}, not at `{path}`", PATHS.join(", ")));
        }
        let value = self.value.as_deref();
        let name = self.fault.name();
        let wants = |what: &str| value.ok_or_else(|| format!("{name} wants a value: {what}"));
        let effect = match self.fault {
            Kind::LoseAnswer => Effect::LoseAnswer,
            Kind::Delay => Effect::Delay(parse_wait(wants("how long, such as 2s")?)?),
            Kind::Unavailable => Effect::Unavailable(retry_after(value)?),
            Kind::TooManyRequests => Effect::TooManyRequests(retry_after(value)?),
            Kind::RotateKeys => Effect::RotateKeys,
            Kind::RevokeGrant => Effect::RevokeGrant,
            Kind::ExpireCode => expire(slip::Kind::Code, value.or(self.customer.as_deref())),
            Kind::ExpireRefreshToken => {
                expire(slip::Kind::RefreshToken, value.or(self.customer.as_deref()))
            }
            Kind::Skew => Effect::Skew(parse_duration(wants("by how much, such as 5m or -5m")?)?),
            Kind::FdxError => Effect::Fdx(fdx_error(wants("the code, such as 705")?)?),
        };
        match effect {
            Effect::Delay(delay) if delay > LONGEST_DELAY => {
                Err("a delay is 25s at the most".into())
            }
            Effect::Skew(by) if by.abs() > 365 * counterfoil_core::clock::DAY => {
                Err("a skew is 365d at the most".into())
            }
            Effect::LoseAnswer | Effect::RotateKeys if value.is_some() => {
                Err(format!("{name} takes no value"))
            }
            Effect::RotateKeys if self.client_id.is_some() => {
                Err("keys are every client's: rotate_keys takes no client_id".into())
            }
            Effect::LoseAnswer | Effect::RotateKeys | Effect::Skew(_)
                if self.customer.is_some() =>
            {
                Err(format!("{name} takes no customer"))
            }
            Effect::RevokeGrant if self.slip().is_some() => {
                Err("revoke_grant takes a customer as its value, not a code or token".into())
            }
            Effect::RevokeGrant if self.client_id.is_none() && self.customer().is_none() => {
                Err("revoke_grant wants a client_id, or a customer as its value".into())
            }
            Effect::ExpireNow(_)
            | Effect::RevokeGrant
            | Effect::RotateKeys
            | Effect::LoseAnswer
            | Effect::ExpireNext(_)
            | Effect::Skew(_)
                if self.path.is_some() =>
            {
                Err(format!("{name} takes no path"))
            }
            // Whose data a request is about is known from its bearer token alone.
            _ if self.customer.is_some()
                && self
                    .path
                    .as_deref()
                    .is_some_and(|path| !["/userinfo", "/accounts"].contains(&path)) =>
            {
                Err("for one customer, faults strike at /userinfo and /accounts alone".into())
            }
            Effect::Fdx(_) if self.path.as_deref().is_some_and(|path| path != "/accounts") => {
                Err("fdx_error strikes at /accounts alone".into())
            }
            effect => Ok(effect),
        }
    }

    /// Whose grants, codes or refresh tokens are meant, where that is said.
    pub fn customer(&self) -> Option<&str> {
        let named_by_value =
            matches!(self.fault, Kind::RevokeGrant | Kind::ExpireCode | Kind::ExpireRefreshToken)
                && self.slip().is_none();
        self.customer.as_deref().or(self.value.as_deref().filter(|_| named_by_value))
    }

    /// The code or refresh token that is meant, where the value is one.
    pub fn slip(&self) -> Option<&str> {
        let is_slip = |value: &&str| {
            [slip::Kind::Code, slip::Kind::RefreshToken]
                .iter()
                .any(|kind| value.starts_with(kind.prefix()))
        };
        self.value.as_deref().filter(is_slip)
    }
}

impl Effect {
    /// Whether it happens at once, and not to requests to come.
    pub const fn is_at_once(self) -> bool {
        matches!(self, Self::RotateKeys | Self::RevokeGrant | Self::ExpireNow(_))
    }
}

const fn expire(kind: slip::Kind, which: Option<&str>) -> Effect {
    match which {
        Some(_) => Effect::ExpireNow(kind),
        None => Effect::ExpireNext(kind),
    }
}

fn retry_after(value: Option<&str>) -> Result<Seconds, String> {
    let after = value.map_or(Ok(RETRY_AFTER), parse_duration)?;
    if (0..=LONGEST_RETRY_AFTER).contains(&after) {
        Ok(after)
    } else {
        Err("a Retry-After is from 0s to 1h".into())
    }
}

fn fdx_error(code: &str) -> Result<FdxError, String> {
    let known = code.parse().ok().and_then(FdxError::from_code);
    known.ok_or_else(|| {
        let codes: Vec<String> =
            FdxError::CODED.iter().map(|error| error.on_wire().1.to_string()).collect();
        format!("`{code}` is none of the FDX codes {}", codes.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(fault: Kind, value: Option<&str>) -> Wish {
        Wish {
            fault,
            client_id: Some("app".into()),
            customer: None,
            path: None,
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn what_wishes_do() {
        assert_eq!(
            wish(Kind::Delay, Some("250ms")).effect(),
            Ok(Effect::Delay(Duration::from_millis(250)))
        );
        assert_eq!(wish(Kind::Unavailable, None).effect(), Ok(Effect::Unavailable(5)));
        assert_eq!(
            wish(Kind::TooManyRequests, Some("30s")).effect(),
            Ok(Effect::TooManyRequests(30))
        );
        assert_eq!(wish(Kind::Skew, Some("-10m")).effect(), Ok(Effect::Skew(-600)));
        assert_eq!(
            wish(Kind::FdxError, Some("705")).effect(),
            Ok(Effect::Fdx(FdxError::AccountClosed))
        );
        assert_eq!(wish(Kind::ExpireCode, None).effect(), Ok(Effect::ExpireNext(slip::Kind::Code)));
        assert_eq!(
            wish(Kind::ExpireRefreshToken, Some("customer_1")).effect(),
            Ok(Effect::ExpireNow(slip::Kind::RefreshToken))
        );
    }

    #[test]
    fn what_is_wrong_with_wishes() {
        for bad in [
            wish(Kind::Delay, None),
            wish(Kind::Delay, Some("26s")),
            wish(Kind::Delay, Some("-1s")),
            wish(Kind::LoseAnswer, Some("1s")),
            wish(Kind::Unavailable, Some("2h")),
            wish(Kind::Skew, None),
            wish(Kind::FdxError, Some("999")),
            wish(Kind::FdxError, None),
            wish(Kind::RotateKeys, None),
            Wish { client_id: None, ..wish(Kind::RevokeGrant, None) },
            wish(Kind::RevokeGrant, Some("cfr_x")),
            Wish { customer: Some("customer_1".into()), ..wish(Kind::LoseAnswer, None) },
            Wish { path: Some("/nowhere".into()), ..wish(Kind::Unavailable, None) },
            Wish { path: Some("/token".into()), ..wish(Kind::FdxError, Some("705")) },
        ] {
            assert!(bad.effect().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_kind_has_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
