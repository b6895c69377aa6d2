//! Endings read back from their journals, for a store that has forgotten some.

use crate::journal::Line;
use counterfoil_core::clock::{SKEW, Timestamp};
use counterfoil_core::text_file;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What endings journals say was ended. Every node has a journal; lines may repeat.
#[derive(Clone, Debug, Default)]
pub struct Endings {
    pub(crate) lines: Vec<Line>,
    torn: Vec<PathBuf>,
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

    /// The journals whose last line was cut short by a crash, which is no loss: no ending is acknowledged before its whole line is on disk.
    pub fn torn(&self) -> &[PathBuf] {
        &self.torn
    }

    /// Whether any of the endings that a store has is among these, or these tell why none is. True where it has none.
    pub(crate) fn know_any_of(&self, stored: &[Line]) -> bool {
        let stored: HashSet<String> = stored.iter().map(Line::says).collect();
        stored.is_empty() || self.lines.iter().any(|line| matches!(line, Line::Lost { .. }) || stored.contains(&line.says()))
    }

    /// The same, where no bearers are refused that are issued after `now`: a clock that was wrong once must not have that done again each time.
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
        let unreadable = |e: std::io::Error| EndingsError::Unreadable { path: path.to_owned(), problem: e.to_string() };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            if file.read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
                break;
            }
            // Somebody may have looked at it with an editor that puts a byte order mark in front.
            let ending = if line == 1 { text_file::without_mark(&text) } else { &text };
            match serde_json::from_slice(ending) {
                Ok(ending) => self.lines.push(ending),
                Err(_) if !text.ends_with(b"\n") => self.torn.push(path.to_owned()),
                Err(_) => return Err(EndingsError::Damaged { path: path.to_owned(), line }),
            }
        }
        Ok(())
    }
}

/// Why endings can't be had from a journal.
#[derive(Debug, thiserror::Error)]
pub enum EndingsError {
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
    use super::*;
    use counterfoil_core::clock::Timestamp;
    use counterfoil_core::ending::EndedBy;
    use counterfoil_core::grant::{CustomerId, GrantId};

    fn written() -> String {
        let at = Timestamp::from_unix(1_790_000_000);
        let customer = CustomerId { provider: "bank".into(), customer: "ada".into() };
        let lines = [
            Line::Grant { at, grant: GrantId::new(at, [1; 4]), by: EndedBy::RefreshTokenReplay, number: Some(1) },
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
        Ok((endings.lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect(), endings.torn().len()))
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
            assert_eq!(read(&[&text.as_bytes()[..cut]]).unwrap(), (text[..last].to_owned(), 1), "{cut}");
            let error = read(&[text.as_bytes(), &[&text.as_bytes()[..cut], b"\n", text.as_bytes()].concat()]).unwrap_err();
            assert!(error.contains("line 4") && error.contains("endings-1.log"), "{error}");
        }
        // Whole but for its end is whole.
        assert_eq!(read(&[text.trim_end().as_bytes()]).unwrap(), (text.clone(), 0));
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for text in ["hello\n", "{}\n", "{\"at\":1}\n", "\n", "\0\0\n", "[1]\n"] {
            assert!(read(&[text.as_bytes()]).unwrap_err().contains("line 1"), "{text:?}");
        }
        assert!(Endings::read(&["/nowhere/endings.log".into()]).unwrap_err().to_string().contains("/nowhere/endings.log"));
    }
}
