//! Whether an endings log and its store agree. Each node numbers the lines of its log, and the
//! store counts with it in the transaction of the ending; so where either went back in time, the
//! other knows.
//!
//! A crash between the commit and the line leaves the log behind by what was not acknowledged. To
//! tell that from a log that was put back from a copy, the store also knows up to which line the
//! log was on disk at some time: it is told with the next ending, once a minute, and when the store
//! is closed.

use std::path::Path;

use crate::endings_log::{KnownLog, Place};
use crate::error::OpenError;
use crate::files::beside;
use crate::journal::{Found, Journal, Line, look_at, look_at_rolled};

/// The first schema in which a store knows of endings logs.
pub(crate) const FIRST_WITH_LOGS: u32 = 3;

/// What is done where an endings log and its store don't agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDifference {
    /// The store is not opened.
    Refuse,
    /// It is opened where the log lacks what the store knows, for
    /// [`Store::accept_lost_endings`](crate::Store::accept_lost_endings).
    AcceptLostEndings,
    /// It is opened, for [`Store::declare_loss`](crate::Store::declare_loss).
    DeclareLoss,
}

impl OnDifference {
    fn lets_pass(self, difference: &Difference) -> bool {
        match (self, difference) {
            (_, Difference::OtherStore(_)) | (Self::Refuse, _) => false,
            (Self::AcceptLostEndings, difference) => !matches!(difference, Difference::Ahead(_)),
            (Self::DeclareLoss, _) => true,
        }
    }
}

/// The node that a log is of, and how it goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// `None` where it is a new one.
    pub(crate) node: Option<String>,
    /// The last number that the store has given.
    pub(crate) line: i64,
    /// Up to which line the log is whole.
    pub(crate) written: i64,
}

/// How they differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Difference {
    /// The log is of the store of this id.
    OtherStore(String),
    /// The log has this many lines that the store does not know.
    Ahead(i64),
    /// The store knows this many lines that the log lacks.
    Behind(i64),
    /// The store knows this many lines, and there is no log.
    Missing(i64),
}

/// Holds a log against its store. `rolled` looks for the log that was rolled away of a node;
/// `shared` says that other nodes have logs too.
pub(crate) fn compare(
    place: &Place,
    store: &str,
    log: &Found,
    known: &[KnownLog],
    rolled: impl Fn(&str) -> Option<Found>,
    shared: bool,
) -> (Standing, Option<Difference>) {
    let row_of = |node: &str| known.iter().find(|row| row.node == node);
    let standing = |node: &str| match row_of(node) {
        Some(row) => {
            Standing { node: Some(row.node.clone()), line: row.line, written: row.written }
        }
        None => Standing { node: Some(node.to_owned()), line: 0, written: 0 },
    };
    let new = Standing { node: None, line: 0, written: 0 };
    if let Some(other) = log.store.as_ref().filter(|of| *of != store) {
        return (new, Some(Difference::OtherStore(other.clone())));
    }
    let (node, log) = match &log.node {
        Some(node) => (node.as_str(), log.clone()),
        // It is new, of a version that numbered no lines, or missing.
        None => {
            let of_this_place = known.iter().find(|row| row.is_at(place));
            let candidates: Vec<&KnownLog> =
                of_this_place.into_iter().chain(known.iter().filter(|_| !shared)).collect();
            match candidates
                .iter()
                .find_map(|row| rolled(&row.node).map(|log| (row.node.as_str(), log)))
            {
                Some(found) => found,
                None => {
                    let Some(missed) = candidates.first() else {
                        return (new, None);
                    };
                    let standing = Standing { written: 0, ..standing(&missed.node) };
                    let difference = (missed.line > 0).then_some(Difference::Missing(missed.line));
                    return (standing, difference);
                }
            }
        }
    };
    let standing = standing(node);
    let difference = if log.line > standing.line {
        Some(Difference::Ahead(log.line - standing.line))
    } else if log.line < standing.written {
        Some(Difference::Behind(standing.line - log.line))
    } else {
        None
    };
    let written = match difference {
        Some(_) => log.line,
        // What is there beyond what the store was told of needs no catching up.
        None => (standing.written..=standing.line)
            .take_while(|line| log.has_all(standing.written, *line))
            .last()
            .unwrap_or(standing.written),
    };
    (Standing { written, ..standing }, difference)
}

/// A log that was looked at, and held against its store.
#[derive(Debug)]
pub(crate) struct Held {
    place: Place,
    pub(crate) standing: Standing,
    pub(crate) difference: Option<Difference>,
}

impl Held {
    /// Looks at the log at `path`, and holds it against the store of id `id`, which is called
    /// `store` and knows `known`.
    ///
    /// # Errors
    /// [`OpenError`], where the log can't be read, or where they differ and `on_difference` is to
    /// refuse that.
    pub(crate) fn against(
        (path, log): (&Path, &Found),
        (store, id, known): (&str, &str, &[KnownLog]),
        on_difference: OnDifference,
        shared: bool,
    ) -> Result<Self, OpenError> {
        let place = Place::of(path);
        let (standing, difference) =
            compare(&place, id, log, known, |node| look_at_rolled(path, node), shared);
        match difference {
            Some(difference) if !on_difference.lets_pass(&difference) => {
                Err(difference.refusal(&place, store.to_owned()))
            }
            difference => Ok(Self { place, standing, difference }),
        }
    }

    /// Opens the log for the endings of the store of id `id`. Where it agrees with the store, those
    /// of `recent` endings are added that a crash kept out of it.
    ///
    /// # Errors
    /// [`OpenError::EndingsLog`].
    pub(crate) fn open(self, id: String, recent: Vec<Line>) -> Result<Journal, OpenError> {
        let Self { place, standing, difference } = self;
        let path = place.path.clone();
        let open = || {
            let mut journal = Journal::open(place, standing.node, id, standing.written)?;
            if difference.is_none() {
                journal.catch_up(recent)?;
                journal.reaches(standing.line);
                journal.write()?;
            }
            Ok(journal)
        };
        open().map_err(|e: std::io::Error| OpenError::EndingsLog { path, problem: e.to_string() })
    }
}

/// What the store knows of logs, where another process may write to the same log while that is
/// looked at: what it knew `before` to be on disk must be in the log, and what is in the log it
/// must know `after`.
pub(crate) fn around(before: &[KnownLog], mut after: Vec<KnownLog>) -> Vec<KnownLog> {
    for row in &mut after {
        row.written =
            before.iter().find(|before| before.node == row.node).map_or(0, |before| before.written);
    }
    after
}

/// Refuses a log that would be written into the file of the store at `store`, or one beside it.
///
/// # Errors
/// [`OpenError::EndingsLog`].
pub(crate) fn must_be_apart(log: &Path, store: &Path) -> Result<(), OpenError> {
    let place = |path: &Path| {
        path.canonicalize()
            .or_else(|_| std::path::absolute(path))
            .unwrap_or_else(|_| path.to_owned())
    };
    if ["", "-wal", "-shm", ".lock"]
        .iter()
        .any(|suffix| place(&beside(store, suffix)) == place(log))
    {
        return Err(OpenError::EndingsLog {
            path: log.to_owned(),
            problem: "it is the store's own file; name one of its own".into(),
        });
    }
    Ok(())
}

/// Looks at the log at `path`.
///
/// # Errors
/// [`OpenError::EndingsLog`].
pub(crate) fn look(path: &Path) -> Result<Found, OpenError> {
    look_at(path)
        .map_err(|e| OpenError::EndingsLog { path: path.to_owned(), problem: e.to_string() })
}

impl Difference {
    /// Why a server doesn't serve.
    pub(crate) fn refusal(self, place: &Place, store: String) -> OpenError {
        let log = place.path.clone();
        match self {
            Self::OtherStore(id) => OpenError::OtherStoresEndings { log, id },
            Self::Ahead(lines) => OpenError::StoreForgot { store, log, lines },
            Self::Behind(lines) => OpenError::EndingsBehind { log, lines },
            Self::Missing(lines) => OpenError::EndingsMissing { log, lines },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::journal::{Line, Stamped};

    const STORE: &str = "00ff";

    fn place() -> Place {
        Place { host: "one".into(), path: "/logs/endings.log".into() }
    }

    fn known(node: &str, line: i64, written: i64) -> KnownLog {
        KnownLog {
            node: node.into(),
            line,
            written,
            host: "one".into(),
            path: "/logs/endings.log".into(),
        }
    }

    fn found(node: &str, line: i64) -> Found {
        let seen: BTreeSet<i64> = (1..=line).collect();
        Found {
            store: Some(STORE.into()),
            node: Some(node.into()),
            is_empty: false,
            line,
            seen,
            opened_after: 0,
        }
    }

    fn empty() -> Found {
        Found { is_empty: true, ..Found::default() }
    }

    fn differ(
        log: &Found,
        rows: &[KnownLog],
        rolled: Option<Found>,
        shared: bool,
    ) -> Option<Difference> {
        compare(
            &place(),
            STORE,
            log,
            rows,
            |node| rolled.clone().filter(|log| log.node.as_deref() == Some(node)),
            shared,
        )
        .1
    }

    #[test]
    fn a_log_is_as_far_as_its_store_or_by_what_a_crash_took() {
        for shared in [false, true] {
            let differ = |log: &Found, row: KnownLog| differ(log, &[row], None, shared);
            assert_eq!(differ(&found("a", 5), known("a", 5, 5)), None);
            assert_eq!(differ(&found("a", 5), known("a", 7, 5)), None, "two were not acknowledged");
            assert_eq!(differ(&found("a", 4), known("a", 7, 5)), Some(Difference::Behind(3)));
            assert_eq!(differ(&found("a", 8), known("a", 7, 5)), Some(Difference::Ahead(1)));
            assert_eq!(
                differ(&found("b", 8), known("a", 7, 5)),
                Some(Difference::Ahead(8)),
                "the store is older than the node"
            );
            assert_eq!(differ(&empty(), known("a", 7, 5)), Some(Difference::Missing(7)));
            let other = Found { store: Some("11".into()), ..found("a", 7) };
            assert_eq!(differ(&other, known("a", 7, 5)), Some(Difference::OtherStore("11".into())));
        }
    }

    #[test]
    fn a_new_node_is_none_that_lost_its_log() {
        let elsewhere = KnownLog { host: "two".into(), ..known("a", 7, 7) };
        assert_eq!(differ(&empty(), std::slice::from_ref(&elsewhere), None, true), None);
        assert_eq!(
            differ(&empty(), &[elsewhere], None, false),
            Some(Difference::Missing(7)),
            "there is one node alone"
        );
        assert_eq!(differ(&empty(), &[], None, true), None);
        // Of a version that numbered nothing.
        let old = Found { store: Some(STORE.into()), ..Found::default() };
        assert_eq!(differ(&old, &[], None, true), None);
        assert_eq!(differ(&old, &[known("a", 7, 7)], None, true), Some(Difference::Missing(7)));
    }

    #[test]
    fn a_log_that_was_rolled_away_is_not_missing() {
        let rows = [known("a", 7, 7)];
        assert_eq!(differ(&empty(), &rows, Some(found("a", 7)), true), None);
        assert_eq!(differ(&empty(), &rows, Some(found("a", 6)), true), Some(Difference::Behind(1)));
        assert_eq!(differ(&empty(), &rows, Some(found("a", 8)), true), Some(Difference::Ahead(1)));
        assert_eq!(
            differ(&empty(), &rows, Some(found("b", 7)), true),
            Some(Difference::Missing(7))
        );
    }

    #[test]
    fn what_is_on_disk_is_known_from_the_log() {
        let written = |log: &Found, row: KnownLog| {
            compare(&place(), STORE, log, &[row], |_| None, true).0.written
        };
        assert_eq!(written(&found("a", 7), known("a", 7, 2)), 7);
        let mut gap = found("a", 7);
        gap.seen.remove(&5);
        assert_eq!(written(&gap, known("a", 7, 2)), 4);
        let opened = Found { seen: BTreeSet::from([7]), opened_after: 6, ..found("a", 7) };
        assert_eq!(written(&opened, known("a", 7, 2)), 7);
        let line =
            Stamped { says: Line::Opened { opened_after: 3 }, store: None, node: None, line: None };
        assert_eq!(line.reaches(), Some(3));
    }
}
