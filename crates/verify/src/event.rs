//! What happens while plans run.

/// What happens while it runs.
#[derive(Debug)]
pub enum Event {
    /// A case begins.
    Begins {
        /// Its plan.
        plan: &'static str,
        /// Its id.
        case: &'static str,
    },
    /// A case has ended.
    Ended(counterfoil_report::Case),
    /// The user is asked to consent in a browser.
    Consent {
        /// Which consent it is, from 1.
        number: u32,
        /// How many there are at most.
        of: u32,
        /// The authorization request.
        url: String,
    },
    /// Something that the user should know.
    Note(String),
}

/// Receives events.
pub type Progress = Box<dyn FnMut(Event) + Send>;
