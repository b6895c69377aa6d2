//! What can go wrong: faults as requested, and their effects.

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
    /// `/token` does its work, and the connection ends without an answer.
    LoseAnswer,
    /// A request waits before it is handled.
    Delay,
    /// 503 with `Retry-After`; nothing is done.
    Unavailable,
    /// 429 with `Retry-After`; nothing is done.
    TooManyRequests,
    /// New signing keys sign at once, before clients have seen them.
    RotateKeys,
    /// The customer revokes the consent at the bank.
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
    /// All kinds, in the order of the contract.
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

    /// Its name on the wire.
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

    /// Parses the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A fault as requested.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FaultSpec {
    /// What goes wrong.
    pub fault: Kind,
    /// Only for this client.
    pub client_id: Option<String>,
    /// Only for this customer's data or grants.
    pub customer: Option<String>,
    /// Only at this path, one of [`PATHS`].
    pub path: Option<String>,
    /// A duration, an error code, a customer and so on, depending on the kind.
    pub value: Option<String>,
}

/// The paths that faults strike; `/accounts` includes `/accounts/{version}/{provider}`.
pub const PATHS: [&str; 5] = ["/token", "/revoke", "/introspect", "/userinfo", "/accounts"];

/// What a fault does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Drops the next successful answer of `/token`.
    LoseAnswer,
    /// Delays a request.
    Delay(Duration),
    /// Answers a request with 503, and `Retry-After` in seconds.
    Unavailable(Seconds),
    /// Answers a request with 429, and `Retry-After` in seconds.
    TooManyRequests(Seconds),
    /// Rotates the signing keys, at once.
    RotateKeys,
    /// Revokes the grants of the client or customer, at once.
    RevokeGrant,
    /// Expires codes or refresh tokens of the client or customer, or a single one, at once.
    ExpireNow(slip::Kind),
    /// Expires the next one that the client redeems, right before.
    ExpireNext(slip::Kind),
    /// Shifts the times in an ID token, in seconds.
    Skew(Seconds),
    /// Answers a request for data with an FDX error.
    Fdx(FdxError),
}

/// The longest delay: every request is answered within 30 seconds.
const LONGEST_DELAY: Duration = Duration::from_secs(25);
/// The longest `Retry-After`, in seconds.
const LONGEST_RETRY_AFTER: Seconds = 3600;
/// The default `Retry-After`, in seconds.
const RETRY_AFTER: Seconds = 5;

impl FaultSpec {
    /// The effect of this fault.
    ///
    /// # Errors
    /// What is wrong with the request.
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
            // Only a bearer token tells whose data a request is about.
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

    /// Whose grants, codes or refresh tokens it is about, if given.
    pub fn customer(&self) -> Option<&str> {
        let named_by_value =
            matches!(self.fault, Kind::RevokeGrant | Kind::ExpireCode | Kind::ExpireRefreshToken)
                && self.slip().is_none();
        self.customer.as_deref().or(self.value.as_deref().filter(|_| named_by_value))
    }

    /// The code or refresh token it is about, if the value is one.
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
    /// Whether it happens at once rather than to later requests.
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

    fn spec(fault: Kind, value: Option<&str>) -> FaultSpec {
        FaultSpec {
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
            spec(Kind::Delay, Some("250ms")).effect(),
            Ok(Effect::Delay(Duration::from_millis(250)))
        );
        assert_eq!(spec(Kind::Unavailable, None).effect(), Ok(Effect::Unavailable(5)));
        assert_eq!(
            spec(Kind::TooManyRequests, Some("30s")).effect(),
            Ok(Effect::TooManyRequests(30))
        );
        assert_eq!(spec(Kind::Skew, Some("-10m")).effect(), Ok(Effect::Skew(-600)));
        assert_eq!(
            spec(Kind::FdxError, Some("705")).effect(),
            Ok(Effect::Fdx(FdxError::AccountClosed))
        );
        assert_eq!(spec(Kind::ExpireCode, None).effect(), Ok(Effect::ExpireNext(slip::Kind::Code)));
        assert_eq!(
            spec(Kind::ExpireRefreshToken, Some("customer_1")).effect(),
            Ok(Effect::ExpireNow(slip::Kind::RefreshToken))
        );
    }

    #[test]
    fn what_is_wrong_with_wishes() {
        for bad in [
            spec(Kind::Delay, None),
            spec(Kind::Delay, Some("26s")),
            spec(Kind::Delay, Some("-1s")),
            spec(Kind::LoseAnswer, Some("1s")),
            spec(Kind::Unavailable, Some("2h")),
            spec(Kind::Skew, None),
            spec(Kind::FdxError, Some("999")),
            spec(Kind::FdxError, None),
            spec(Kind::RotateKeys, None),
            FaultSpec { client_id: None, ..spec(Kind::RevokeGrant, None) },
            spec(Kind::RevokeGrant, Some("cfr_x")),
            FaultSpec { customer: Some("customer_1".into()), ..spec(Kind::LoseAnswer, None) },
            FaultSpec { path: Some("/nowhere".into()), ..spec(Kind::Unavailable, None) },
            FaultSpec { path: Some("/token".into()), ..spec(Kind::FdxError, Some("705")) },
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
