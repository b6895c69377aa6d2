//! Endings read back from their journals, for a store that has forgotten some.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::text_file;

use crate::endings_log::KnownLog;
use crate::journal::{Line, Stamped};

/// What endings journals say was ended. Every node has a journal; lines may repeat.
#[derive(Clone, Debug, Default)]
pub struct Endings {
    pub(crate) lines: Vec<Line>,
    torn: Vec<PathBuf>,
    /// Which lines of each node there are, journal by journal: those after the first number and up
    /// to the second.
    spans: BTreeMap<String, Vec<(i64, i64)>>,
    /// The store that the last line of each journal is of which names one.
    stores: Vec<(PathBuf, String)>,
}

impl Endings {
    /// Reads the journals at `paths`.
    ///
    /// # Errors
    /// [`EndingsError`], in words for the operator: half of what was revoked is not enough.
    pub fn read(paths: &[PathBuf]) -> Result<Self, EndingsError> {
        let mut endings = Self::default();
        paths.iter().try_for_each(|path| endings.add(path))?;
        Ok(endings)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The journals whose last line was cut short by a crash, which is no loss: no ending is
    /// acknowledged before its whole line is on disk.
    pub fn torn(&self) -> &[PathBuf] {
        &self.torn
    }

    /// Up to which of its lines the journals of each node reach.
    pub(crate) fn reach(&self) -> BTreeMap<String, i64> {
        let last = |spans: &Vec<(i64, i64)>| spans.iter().map(|(_, last)| *last).max().unwrap_or(0);
        self.spans.iter().map(|(node, spans)| (node.clone(), last(spans))).collect()
    }

    /// Refuses journals of a node that don't go on from where the store, which knows `known`, has
    /// come to: what was ended in between would be good again.
    ///
    /// # Errors
    /// [`EndingsError::Gap`].
    pub(crate) fn must_go_on_from(&self, known: &[KnownLog]) -> Result<(), EndingsError> {
        for (node, last) in self.reach() {
            let mut have = known.iter().find(|row| row.node == node).map_or(0, |row| row.line);
            let spans = self.spans.get(&node).map(Vec::as_slice).unwrap_or_default();
            while let Some((_, further)) =
                spans.iter().find(|(after, last)| *after <= have && *last > have)
            {
                have = *further;
            }
            if have < last {
                return Err(EndingsError::Gap { node, from: have + 1 });
            }
        }
        Ok(())
    }

    /// Refuses journals of another store than the one of this id.
    ///
    /// # Errors
    /// [`EndingsError::OtherStore`].
    pub(crate) fn must_be_of(&self, id: &str) -> Result<(), EndingsError> {
        let other = self.stores.iter().find(|(_, store)| store != id);
        other.map_or(Ok(()), |(path, id)| {
            Err(EndingsError::OtherStore { path: path.clone(), id: id.clone() })
        })
    }

    /// The store that all journals name which name one, if it is the same.
    pub(crate) fn store(&self) -> Option<&str> {
        let (_, first) = self.stores.first()?;
        self.stores.iter().all(|(_, store)| store == first).then_some(first)
    }

    /// Whether any of the endings that a store has is among these, or these tell why none is. True
    /// where it has none.
    pub(crate) fn know_any_of(&self, stored: &[Line]) -> bool {
        let stored: HashSet<String> = stored.iter().map(Line::says).collect();
        stored.is_empty()
            || self
                .lines
                .iter()
                .any(|line| matches!(line, Line::Lost { .. }) || stored.contains(&line.says()))
    }

    /// The same, where no bearers are refused that are issued after `now`: a clock that was wrong
    /// once must not have that done again each time.
    pub(crate) fn not_ahead_of(mut self, now: Timestamp) -> Self {
        for line in &mut self.lines {
            if let Line::Lost { bearers_from } = line
                && bearers_from.since(now) > SKEW
            {
                *bearers_from = now;
            }
        }
        self
    }

    fn add(&mut self, path: &Path) -> Result<(), EndingsError> {
        let unreadable = |e: std::io::Error| EndingsError::Unreadable {
            path: path.to_owned(),
            problem: e.to_string(),
        };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut text = Vec::new();
        let mut store = None;
        let mut spans = BTreeMap::<String, (i64, i64)>::new();
        for line in 1.. {
            text.clear();
            if file.read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
                break;
            }
            // Somebody may have looked at it with an editor that puts a byte order mark in front.
            let ending = if line == 1 { text_file::without_mark(&text) } else { &text };
            match serde_json::from_slice::<Stamped>(ending) {
                Ok(stamped) => {
                    if let (Some(reaches), Some(node)) = (stamped.reaches(), &stamped.node) {
                        let after = stamped.line.map_or(reaches, |line| line - 1);
                        let span = spans.entry(node.clone()).or_insert((after, reaches));
                        // What was opened later goes on from what is above it.
                        *span = (
                            if stamped.line.is_some() { span.0.min(after) } else { span.0 },
                            span.1.max(reaches),
                        );
                    }
                    store = stamped.store.or(store);
                    if !matches!(stamped.says, Line::Opened { .. }) {
                        self.lines.push(stamped.says);
                    }
                }
                Err(_) if !text.ends_with(b"\n") => self.torn.push(path.to_owned()),
                Err(_) => {
                    return Err(EndingsError::Damaged { path: path.to_owned(), line });
                }
            }
        }
        for (node, span) in spans {
            self.spans.entry(node).or_default().push(span);
        }
        self.stores.extend(store.map(|store| (path.to_owned(), store)));
        Ok(())
    }
}

/// Why endings can't be had from a journal.
#[derive(Debug, thiserror::Error)]
pub enum EndingsError {
    /// It is of another store.
    #[error(
        "the endings log {path} is of another store, whose id is {id}: what it says was revoked is not this store's. Name this store's own"
    )]
    OtherStore {
        /// The file.
        path: PathBuf,
        /// The id of its store.
        id: String,
    },
    /// Lines are missing between what the store knows and the journals.
    #[error(
        "the endings logs of the node {node} begin after what the store knows: the line {from} and maybe more are in none of them, and what was revoked in \
         between would be good again. Name the earlier logs too with --endings, those that were rolled away among them; if they are lost, say \
         --accept-lost-endings"
    )]
    Gap {
        /// The node.
        node: String,
        /// The first line that is missing.
        from: i64,
    },
    /// The file can't be opened or read.
    #[error("the endings log {path} can't be read: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// A line is no ending.
    #[error(
        "line {line} of the endings log {path} is no ending: the file is damaged, or another one. What was revoked is not known without that line: \
         take the file from elsewhere, or find out what the line was and then remove it"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
    },
}

#[cfg(test)]
mod tests {
    use counterfoil_core::clock::Timestamp;
    use counterfoil_core::ending::EndedBy;
    use counterfoil_core::grant::{CustomerId, GrantId};

    use super::*;

    fn written() -> String {
        let at = Timestamp::from_unix(1_790_000_000);
        let customer = CustomerId { provider: "bank".into(), customer: "ada".into() };
        let lines = [
            Line::Grant {
                at,
                grant: GrantId::new(at, [1; 4]),
                by: EndedBy::RefreshTokenReplay,
                number: Some(1),
            },
            Line::Client { at, client: "app".into(), era: 2 },
            Line::Customer { at, customer, era: 1 },
            Line::Lost { bearers_from: at },
        ];
        lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect()
    }

    /// What was read, as it is written.
    fn read(texts: &[&[u8]]) -> Result<(String, usize), String> {
        let dir = tempfile::tempdir().unwrap();
        let file = |(n, text): (usize, &&[u8])| {
            let path = dir.path().join(format!("endings-{n}.log"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let files: Vec<PathBuf> = texts.iter().enumerate().map(file).collect();
        let endings = Endings::read(&files).map_err(|e| e.to_string())?;
        Ok((
            endings.lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect(),
            endings.torn().len(),
        ))
    }

    #[test]
    fn every_kind_of_line_comes_back_from_several_files() {
        let text = written();
        assert_eq!(read(&[text.as_bytes(), b"", text.as_bytes()]).unwrap(), (text.repeat(2), 0));
        assert_eq!(read(&[format!("\u{feff}{text}").as_bytes()]).unwrap(), (text, 0));
    }

    #[test]
    fn a_last_line_may_be_torn_anywhere_and_no_other() {
        let text = written();
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        for cut in last + 1..text.len() - 1 {
            assert_eq!(
                read(&[&text.as_bytes()[..cut]]).unwrap(),
                (text[..last].to_owned(), 1),
                "{cut}"
            );
            let error = read(&[
                text.as_bytes(),
                &[&text.as_bytes()[..cut], b"\n", text.as_bytes()].concat(),
            ])
            .unwrap_err();
            assert!(error.contains("line 4") && error.contains("endings-1.log"), "{error}");
        }
        // Whole but for its end is whole.
        assert_eq!(read(&[text.trim_end().as_bytes()]).unwrap(), (text.clone(), 0));
    }

    #[test]
    fn journals_go_on_from_what_the_store_knows() {
        let opened = |after| format!(r#"{{"opened_after":{after},"store":"00ff","node":"a"}}"#);
        let line =
            |line| format!(r#"{{"bearers_from":1,"store":"00ff","node":"a","line":{line}}}"#);
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, lines: &[String]| {
            let path = dir.path().join(name);
            std::fs::write(&path, lines.iter().map(|line| line.clone() + "\n").collect::<String>())
                .unwrap();
            path
        };
        let first = file("1", &[opened(0), line(1), line(2), line(3)]);
        // A crash took the line 5, which was said again.
        let second = file("2", &[opened(3), line(4), line(6), opened(6), line(8), line(7)]);
        let third = file("3", &[opened(8), line(9)]);
        let known = |line| {
            [KnownLog {
                node: "a".into(),
                line,
                written: 0,
                host: String::new(),
                path: String::new(),
            }]
        };
        let gap = |files: &[&PathBuf], knows| {
            let files: Vec<PathBuf> = files.iter().copied().cloned().collect();
            match Endings::read(&files).unwrap().must_go_on_from(&known(knows)) {
                Ok(()) => None,
                Err(EndingsError::Gap { from, .. }) => Some(from),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(gap(&[&third, &first, &second], 0), None);
        assert_eq!(gap(&[&third, &first], 0), Some(4));
        assert_eq!(gap(&[&third, &second], 0), Some(1));
        assert_eq!(gap(&[&third, &second], 5), None);
        assert_eq!(gap(&[&third], 8), None);
        assert_eq!(gap(&[&first], 8), None);
        assert_eq!(Endings::read(&[first, third]).unwrap().reach()["a"], 9);
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for text in ["hello\n", "{}\n", "{\"at\":1}\n", "\n", "\0\0\n", "[1]\n"] {
            assert!(read(&[text.as_bytes()]).unwrap_err().contains("line 1"), "{text:?}");
        }
        assert!(
            Endings::read(&["/nowhere/endings.log".into()])
                .unwrap_err()
                .to_string()
                .contains("/nowhere/endings.log")
        );
    }
}
