//! Locks sign-in for a customer after too many recent failures: the key that failures are counted
//! under, and what is logged.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::grant::CustomerId;
use counterfoil_core::login;
use counterfoil_core::mac::MacKey;

/// The longest typed name in a log line, in characters.
const LONGEST_IN_LOG: usize = 200;
/// The most logged lockouts that a turn remembers.
const MOST_LOGGED: usize = 64;

/// The key that sign-in attempts for a customer are counted under. It hides the name, so that a
/// stolen store does not tell who tried. Unknown names are counted too: a lockout must not reveal
/// that a customer exists. All spellings of a name share a key, or each would allow five more
/// guesses.
pub fn key_of(tickets: &MacKey, CustomerId { provider, customer }: &CustomerId) -> [u8; 32] {
    tickets.mac(&[b"sign-in", provider.as_bytes(), login::common(customer).as_bytes()])
}

/// Held during a sign-in attempt, so that attempts for one customer are serial. Remembers which
/// lockouts were logged, so that a flood of attempts is one line.
#[derive(Debug, Default)]
pub struct Turn {
    logged: Vec<([u8; 32], Timestamp)>,
}

impl Turn {
    /// Logs that an attempt was refused, once per lockout.
    pub(crate) fn log_refusal(
        &mut self,
        key: [u8; 32],
        id: &CustomerId,
        until: Timestamp,
        now: Timestamp,
    ) {
        if self.is_news(key, until, now) {
            let CustomerId { provider, customer } = id;
            tracing::info!(provider, customer = in_log(customer), %until, "a try to sign in was refused, as further ones are until then");
        }
    }

    fn is_news(&mut self, key: [u8; 32], until: Timestamp, now: Timestamp) -> bool {
        if self.logged.contains(&(key, until)) {
            return false;
        }
        self.logged.retain(|(of, over)| *of != key && *over > now);
        if self.logged.len() == MOST_LOGGED {
            self.logged.remove(0);
        }
        self.logged.push((key, until));
        true
    }
}

/// Logs that the last allowed attempt failed and, if the customer exists, what to do about it.
pub(crate) fn log_lockout(
    CustomerId { provider, customer }: &CustomerId,
    is_known: bool,
    until: Timestamp,
) {
    let advice = if is_known {
        "`counterfoil customer unlock` lets the customer try again"
    } else {
        "nobody has that name"
    };
    tracing::warn!(
        provider,
        customer = in_log(customer),
        %until,
        "too many tries to sign in have failed: none is let through until then; {advice}"
    );
}

/// Typed text, made safe for a log line.
fn in_log(name: &str) -> String {
    let mut shown: String =
        name.chars().take(LONGEST_IN_LOG).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST_IN_LOG).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_closing_is_told_once_and_few_are_remembered() {
        let now = Timestamp::from_unix(1000);
        let mut turn = Turn::default();
        assert!(turn.is_news([1; 32], now.plus(60), now));
        assert!(!turn.is_news([1; 32], now.plus(60), now));
        assert!(turn.is_news([2; 32], now.plus(60), now));
        assert!(!turn.is_news([1; 32], now.plus(60), now.plus(59)));
        assert!(turn.is_news([1; 32], now.plus(120), now.plus(60)), "it closed anew");
        assert_eq!(turn.logged.len(), 1, "what is over is forgotten");
        for n in 0..=255 {
            turn.is_news([n; 32], now.plus(300), now.plus(60));
        }
        assert_eq!(turn.logged.len(), MOST_LOGGED);
    }

    #[test]
    fn a_name_can_not_forge_a_line_or_fill_the_disk() {
        assert_eq!(in_log("M\u{fc}ller"), "M\u{fc}ller");
        assert_eq!(in_log("a\nb\u{202e}\u{1b}[2J"), "a\\nb\\u{202e}\\u{1b}[2J");
        assert_eq!(in_log(&"x".repeat(60_000)).len(), LONGEST_IN_LOG + 3);
    }
}
