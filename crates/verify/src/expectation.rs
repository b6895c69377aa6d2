//! What a check expects, in one dialect or the other.

/// What a check expects.
#[derive(Clone, Copy, Debug)]
pub enum Expectation {
    /// This status and, key for key, this JSON object: nothing missing, nothing added.
    Body(u16, &'static str),
    /// The same, where `error_description` may be left out.
    Described(u16, &'static str),
    /// One of these, a status and an `error`, with any description and any further members: as the
    /// RFCs let a server answer.
    OneOf(&'static [(u16, &'static str)]),
    /// This status and this JSON object of the FDX API, with or without a `debugMessage`.
    Fdx(u16, &'static str),
    /// This status, whatever the body.
    Status(u16),
    /// This status and a body of no length.
    Empty(u16),
    /// What the case itself looks at.
    Words(&'static str),
}

impl Expectation {
    /// What is expected, as a report says it.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Body(status, body) => format!("{status} {body}"),
            Self::Described(status, body) => {
                format!("{status} {body}, with or without the error_description")
            }
            Self::OneOf(errors) => {
                let each: Vec<String> = errors
                    .iter()
                    .map(|(status, error)| format!("{status} {{\"error\":\"{error}\"}}"))
                    .collect();
                format!("{}, described or not", each.join(" or "))
            }
            Self::Fdx(status, body) => format!("{status} {body}, with or without a debugMessage"),
            Self::Status(status) => status.to_string(),
            Self::Empty(status) => format!("{status} and an empty body"),
            Self::Words(words) => (*words).to_owned(),
        }
    }
}

/// Whose words a plan expects where they differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// The network's.
    Network,
    /// Those that the RFCs let a server use.
    Rfc,
}

/// What is expected of one situation in either dialect.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// In the network's words.
    pub network: Expectation,
    /// As the RFCs let a server answer.
    pub rfc: Expectation,
}

impl Spelling {
    /// The same in both.
    pub const fn of(expected: Expectation) -> Self {
        Self { network: expected, rfc: expected }
    }

    /// What is expected in this dialect.
    pub fn in_dialect(&self, dialect: Dialect) -> &Expectation {
        match dialect {
            Dialect::Network => &self.network,
            Dialect::Rfc => &self.rfc,
        }
    }
}
