//! The endings journal: every acknowledged ending, apart from the store, so that a restored backup can be told what was revoked.
//!
//! One JSON object a line: `{"at": ..., "grant": "...", "by": "...", "number": 1}` for a grant, `{"at": ..., "client": "...", "era": 1}` or
//! `{"at": ..., "provider": "...", "customer": "...", "era": 1}` for a removal, `{"bearers_from": ...}` where endings were lost; and in each `"store"`, the
//! store's id. Lines of version 1 lack number and store. Members that a newer version has added are ignored, and so is a word for how a grant ended that
//! is not known; a line that is none of these is damage, since an ending must not be overlooked.
//!
//! Appended with fsync after the commit and before the answer. Lines may repeat; applying one twice does nothing.

use crate::error::OpenError;
use crate::files::{create_private, sync_directory_of};
use counterfoil_core::clock::Timestamp;
use counterfoil_core::ending::EndedBy;
use counterfoil_core::grant::{CustomerId, GrantId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One ending. [`Endings`](crate::Endings) reads them back.
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
    /// The operator accepted that endings before this moment are lost; bearers issued before it are refused.
    Lost {
        bearers_from: Timestamp,
    },
}

impl Line {
    /// The grant that ended, where it was one alone.
    pub(crate) fn grant(&self) -> Option<GrantId> {
        match self {
            Self::Grant { grant, .. } => Some(*grant),
            Self::Client { .. } | Self::Customer { .. } | Self::Lost { .. } => None,
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

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    line: &'a Line,
    store: &'a str,
}

/// The journal, with the lines that could not be written yet.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    file: Option<(PathBuf, File)>,
    /// The id of the store whose endings these are.
    store: String,
    pending: Vec<u8>,
}

/// Opens the file for appending; a new one is for its owner alone.
fn open_private(path: &Path) -> std::io::Result<File> {
    match create_private(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let file = File::options().append(true).read(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    // A new file's name must be on disk too. Where the directory can't be read, the file system sees to it in its time.
    let _ = sync_directory_of(path);
    Ok(file)
}

/// Whether `file` is still what lies at `path`, and was not moved away or removed: lines must be found there after a loss.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |(ours, there): (Metadata, Metadata)| (ours.dev(), ours.ino()) == (there.dev(), there.ino());
    file.metadata().and_then(|ours| Ok((ours, std::fs::metadata(path)?))).is_ok_and(same)
}

/// How much of the journal's end is searched for endings that a crash kept out of it, in bytes: far more than one batch writes.
const TAIL: u64 = 1 << 20;

impl Journal {
    /// Opens the journal, making it where it is missing. Without a path nothing is ever written.
    pub(crate) fn open(path: Option<PathBuf>) -> Result<Self, OpenError> {
        let Some(path) = path else { return Ok(Self::default()) };
        match open_private(&path) {
            Ok(file) => Ok(Self { file: Some((path, file)), ..Self::default() }),
            Err(e) => Err(OpenError::EndingsLog { path, problem: e.to_string() }),
        }
    }

    /// Names the store whose endings follow.
    pub(crate) fn is_of(&mut self, store: String) {
        self.store = store;
    }

    /// Adds lines to what must be written before the next ending is acknowledged.
    pub(crate) fn add(&mut self, lines: impl IntoIterator<Item = Line>) {
        if self.file.is_some() {
            for line in lines {
                // These types always serialise.
                if serde_json::to_writer(&mut self.pending, &Written { line: &line, store: &self.store }).is_ok() {
                    self.pending.push(b'\n');
                }
            }
        }
    }

    /// Writes what is pending and waits until it is on disk.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        let Some((path, file)) = self.file.as_mut().filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        if !is_at(file, path) {
            *file = open_private(path)?;
        }
        // An admin command beside a node on PostgreSQL writes to the same file.
        file.lock()?;
        let written = append(file, &self.pending);
        // It is freed with the file at the latest.
        let _ = file.unlock();
        if written.is_ok() {
            self.pending.clear();
        }
        written
    }

    /// Adds those of `recent` endings that the journal's end does not hold: a crash came between their commit and their line.
    pub(crate) fn catch_up(&mut self, recent: Vec<Line>) -> Result<(), OpenError> {
        let Some((path, file)) = self.file.as_mut() else { return Ok(()) };
        let path = path.clone();
        let failed = |e: std::io::Error| OpenError::EndingsLog { path: path.clone(), problem: e.to_string() };
        let tail = file.lock().and_then(|()| mend(file)).and_then(|()| tail(file));
        let _ = file.unlock();
        let mut known = tail.map_err(failed)?;
        known.extend(&self.pending);
        let known: HashSet<String> =
            known.split(|byte| *byte == b'\n').filter_map(|text| serde_json::from_slice(text).ok()).map(|line: Line| line.says()).collect();
        let missing: Vec<Line> = recent.into_iter().filter(|line| !known.contains(&line.says())).collect();
        self.add(missing);
        self.flush().map_err(failed)
    }
}

/// Appends whole lines, or nothing.
fn append(file: &mut File, lines: &[u8]) -> std::io::Result<()> {
    mend(file)?;
    let before = file.metadata()?.len();
    let written = file.write_all(lines).and_then(|()| file.sync_data());
    if written.is_err() {
        // Half a line must not be left behind for the next attempt to be appended to.
        let _ = file.set_len(before);
    }
    written
}

/// Cuts off what a crash left of a line: it is of no ending that was acknowledged, and must not look like damage among those that follow. What is
/// nothing of ours is kept, as a line of its own, for the operator to look at.
fn mend(file: &mut File) -> std::io::Result<()> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last == [b'\n'] {
        return Ok(());
    }
    let tail = tail(file)?;
    let torn = &tail[tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)..];
    match torn.starts_with(b"{") {
        true => file.set_len(length.saturating_sub(u64::try_from(torn.len()).unwrap_or(0))),
        false => file.write_all(b"\n"),
    }
}

/// The end of the file, as far as it is searched.
fn tail(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(TAIL)))?;
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 read the log with.
    #[derive(PartialEq, Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "read, and compared by its kind")]
    enum AsVersion1 {
        Grant {
            at: Timestamp,
            grant: GrantId,
            by: EndedBy,
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
        Lost {
            bearers_from: Timestamp,
        },
    }

    #[test]
    fn version_1_reads_what_is_written_and_what_it_wrote_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("endings.log");
        let mut journal = Journal::open(Some(path.clone())).unwrap();
        journal.is_of("00ff".into());
        let at = Timestamp::from_unix(1_790_000_000);
        let (grant, by) = (GrantId::new(at, [1; 4]), EndedBy::CodeReplay);
        let customer = CustomerId { provider: "bank".into(), customer: "ada".into() };
        let lines = [
            Line::Grant { at, grant, by, number: Some(7) },
            Line::Client { at, client: "app".into(), era: 2 },
            Line::Customer { at, customer: customer.clone(), era: 1 },
            Line::Lost { bearers_from: at },
        ];
        journal.add(lines.clone());
        journal.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<AsVersion1> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let as_version_1 = [
            AsVersion1::Grant { at, grant, by },
            AsVersion1::Client { at, client: "app".into(), era: 2 },
            AsVersion1::Customer { at, customer, era: 1 },
            AsVersion1::Lost { bearers_from: at },
        ];
        assert_eq!(read, as_version_1);
        assert!(text.lines().all(|line| line.ends_with(",\"store\":\"00ff\"}")) && text.contains("\"number\":7"), "{text}");
        let again: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(again, lines);

        // What version 1 wrote is not missing, and what a newer one adds is passed over.
        let old = format!("{{\"at\":{},\"grant\":\"{grant}\",\"by\":\"code_replay\"}}\n", at.unix());
        std::fs::write(&path, &old).unwrap();
        journal.catch_up(vec![lines[0].clone()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), old);
        let newer = r#"{"at":1,"grant":"0000000000000001","by":"a_law","number":8,"store":"00ff","because":["x"]}"#;
        let Line::Grant { by, number, .. } = serde_json::from_str(newer).unwrap() else { panic!("{newer}") };
        assert_eq!((by, number), (EndedBy::Unknown, Some(8)));
    }
}
