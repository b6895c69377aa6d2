//! A line of an endings log.
//!
//! One JSON object a line: `{"at": ..., "grant": "...", "by": "...", "number": 1}` for a grant,
//! `{"at": ..., "client": "...", "era": 1}` or `{"at": ..., "provider": "...", "customer": "...",
//! "era": 1}` for a removal, `{"bearers_from": ...}` where endings were lost, `{"opened_after":
//! 41}` where the file begins after line 41 of the node; and in each `"store"`, the store's id,
//! `"node"`, the node's, and `"line"`, which of the node's lines it is. The store counts those
//! lines too (`agreement.rs`). A line without that number says again what another has said. Lines
//! of version 1 lack number and store, those before schema 3 node and line. Members that a newer
//! version has added are ignored, and so is a word for how a grant ended that is not known; a line
//! that is none of these is damage, since an ending must not be overlooked.

use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, GrantId};
use serde::{Deserialize, Serialize};

/// What a line says. [`Endings`](crate::Endings) reads them back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Grant {
        at: Timestamp,
        grant: GrantId,
        by: EndedBy,
        /// The number of the ending in the store; version 1 gave none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<i64>,
    },
    Client {
        at: Timestamp,
        client: String,
        era: u32,
    },
    Customer {
        at: Timestamp,
        #[serde(flatten)]
        customer: CustomerId,
        era: u32,
    },
    /// The operator accepted that endings before this moment are lost; bearers issued before it are
    /// refused.
    Lost {
        bearers_from: Timestamp,
    },
    /// What follows are the node's lines after this one. Those up to it are in files that were
    /// rolled, said above without a number, or accepted as lost.
    Opened {
        opened_after: i64,
    },
}

impl Line {
    /// The grant that ended, where it was one alone.
    pub(crate) fn grant(&self) -> Option<GrantId> {
        match self {
            Self::Grant { grant, .. } => Some(*grant),
            Self::Client { .. }
            | Self::Customer { .. }
            | Self::Lost { .. }
            | Self::Opened { .. } => None,
        }
    }

    /// What it says, as text: the same whatever version wrote it.
    pub(crate) fn says(&self) -> String {
        let said = match *self {
            Self::Grant { at, grant, by, .. } => &Self::Grant { at, grant, by, number: None },
            _ => self,
        };
        // These types always serialise.
        serde_json::to_string(said).unwrap_or_default()
    }
}

/// A line as it is written, with what says whose it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Stamped {
    #[serde(flatten)]
    pub(crate) says: Line,
    /// The id of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
    /// The id of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// Which of the node's lines it is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<i64>,
}

impl Stamped {
    /// Up to which of its node's lines the log reaches with this one.
    pub(crate) fn reaches(&self) -> Option<i64> {
        match self.says {
            Line::Opened { opened_after } => Some(opened_after),
            _ => self.line,
        }
    }
}

/// What an ending's line is written with.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Numbered {
    pub(crate) says: Line,
    /// Which of the node's lines it is; `None` where it says again what another has said.
    pub(crate) line: Option<i64>,
}

impl Numbered {
    /// A line that says again what is known.
    pub(crate) fn again(says: Line) -> Self {
        Self { says, line: None }
    }
}
