//! What lies in an endings log, looked at without touching it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use counterfoil_core::text_file;

use super::TAIL;
use super::line::Stamped;

/// What was found in a log.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Found {
    /// The store that its last line is of which names one.
    pub(crate) store: Option<String>,
    /// The node that its last line is of which names one.
    pub(crate) node: Option<String>,
    /// Whether there is no line in it at all.
    pub(crate) is_empty: bool,
    /// Up to which line of its node it reaches.
    pub(crate) line: i64,
    /// Which of the node's lines were seen at its end.
    pub(crate) seen: BTreeSet<i64>,
    /// Up to which line all are vouched for.
    pub(crate) opened_after: i64,
}

impl Found {
    /// Those of a node's lines that were seen.
    pub(super) fn reached_by(self, node: &str) -> BTreeSet<i64> {
        if self.node.as_deref() == Some(node) { self.seen } else { BTreeSet::new() }
    }

    /// Whether all lines after `after` and up to `line` were seen, or are vouched for.
    pub(crate) fn has_all(&self, after: i64, line: i64) -> bool {
        (after + 1..=line).all(|line| line <= self.opened_after || self.seen.contains(&line))
    }

    fn add(&mut self, line: &Stamped) {
        self.is_empty = false;
        if line.store.is_some() {
            self.store.clone_from(&line.store);
        }
        if line.node.is_some() && line.node != self.node {
            let store = self.store.take();
            *self = Self { store, node: line.node.clone(), ..Self::default() };
        }
        if let Some(reaches) = line.reaches() {
            self.line = self.line.max(reaches);
            match line.line {
                Some(line) => drop(self.seen.insert(line)),
                None => self.opened_after = self.opened_after.max(reaches),
            }
        }
    }
}

/// Looks at the end of the log at `path`; at all of it where no line at the end names a node, as
/// before schema 3. One that is not there is empty.
pub(crate) fn look_at(path: &Path) -> std::io::Result<Found> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Ok(Found { is_empty: true, ..Found::default() });
        }
        Err(e) => return Err(e),
    };
    must_be_ours(&mut file)?;
    let length = file.metadata()?.len();
    let found = found_from(&mut file, length.saturating_sub(TAIL))?;
    if found.node.is_none() && length > TAIL { found_from(&mut file, 0) } else { Ok(found) }
}

/// What our lines begin with, as all versions write them.
const BEGINNINGS: [&[u8]; 3] = [br#"{"at":"#, br#"{"bearers_from":"#, br#"{"opened_after":"#];

/// Refuses a file whose first line is none of ours, or the beginning of one that a crash cut short:
/// it is another one, named by mistake, and what is appended to it would destroy it.
fn must_be_ours(file: &mut File) -> std::io::Result<()> {
    let mut lines = BufReader::new(file.take(TAIL));
    let mut text = Vec::new();
    while matches!(*text, [] | [b'\n']) {
        text.clear();
        if lines.read_until(b'\n', &mut text)? == 0 {
            return Ok(());
        }
    }
    let first = text_file::without_mark(&text);
    let is_ours = match first.ends_with(b"\n") {
        true => serde_json::from_slice::<Stamped>(first).is_ok(),
        false => BEGINNINGS
            .iter()
            .any(|beginning| first.starts_with(beginning) || beginning.starts_with(first)),
    };
    if is_ours {
        Ok(())
    } else {
        Err(std::io::Error::other("it is another file: its first line is none of an endings log"))
    }
}

fn found_from(file: &mut File, from: u64) -> std::io::Result<Found> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut text)?;
    let mut found = Found { is_empty: true, ..Found::default() };
    // A line that was cut short counts for nothing; what is no line of ours is there all the same.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &text[..end]);
    let whole = if from == 0 { text_file::without_mark(whole) } else { whole };
    for text in whole.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
        found.is_empty = false;
        if let Ok(line) = serde_json::from_slice::<Stamped>(text) {
            found.add(&line);
        }
    }
    Ok(found)
}

/// Looks at the logs that were rolled away from `path`, as logrotate does: files beside it whose
/// names begin with its own. The one that reaches farthest of those of `node`.
pub(crate) fn look_at_rolled(path: &Path, node: &str) -> Option<Found> {
    let name = path.file_name()?.to_str()?;
    let is_rolled = |beside: &PathBuf| {
        let rest = beside.file_name().and_then(|beside| beside.to_str()?.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['.', '-']))
    };
    let beside = std::fs::read_dir(crate::files::directory_of(path))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()));
    let found = beside.filter(is_rolled).filter_map(|rolled| look_at(&rolled).ok());
    found.filter(|found| found.node.as_deref() == Some(node)).max_by_key(|found| found.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_none_of_ours_and_half_a_line_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("endings.log");
        let looked_at = |text: &str| {
            std::fs::write(&path, text).unwrap();
            look_at(&path)
        };
        for ours in [
            "",
            "\n",
            "{",
            r#"{"opened_af"#,
            r#"{"at":1790000000,"gra"#,
            "\u{feff}{\"opened_after\":0}\r\n",
            "{\"opened_after\":0}\nhello\n",
        ] {
            assert!(looked_at(ours).is_ok(), "{ours:?}");
        }
        for other in [
            "hello",
            "hello\n",
            "{}\n",
            r#"{"keys":[]}"#,
            "{\n  \"opened_after\": 0\n}\n",
            "SQLite format 3\0",
            "\n\nhello",
        ] {
            assert!(looked_at(other).is_err(), "{other:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        }
    }
}
