//! The endings journal: every acknowledged ending, apart from the store, so that a restored backup
//! can be told what was revoked.
//!
//! Appended with fsync after the commit and before the answer. Lines may repeat; applying one twice
//! does nothing.

mod line;
mod look;

pub(crate) use line::{Line, Numbered, Stamped};
pub(crate) use look::{Found, look_at, look_at_rolled};

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use counterfoil_core::random;

use crate::endings_log::Place;
use crate::files::{create_private, sync_directory_of};

/// The journal, with the lines that could not be written yet.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    log: Option<Log>,
    /// The id of the store whose endings these are.
    store: String,
    pending: Vec<u8>,
    /// The numbers of the lines that are pending.
    numbers: Vec<i64>,
    /// Up to which number all lines are on disk.
    written: i64,
    /// Numbers beyond those that are too: on PostgreSQL lines are written as their transactions
    /// come to an end.
    beyond: BTreeSet<i64>,
    /// Up to which number all are vouched for by what is pending.
    vouched_for: i64,
}

/// The file.
#[derive(Debug)]
struct Log {
    place: Place,
    node: String,
    file: File,
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
    // A new file's name must be on disk too. Where the directory can't be read, the file system
    // sees to it in its time.
    let _ = sync_directory_of(path);
    Ok(file)
}

/// Whether `file` is still what lies at `path`, and was not moved away or removed: lines must be
/// found there after a loss.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |(ours, there): (Metadata, Metadata)| {
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    };
    file.metadata().and_then(|ours| Ok((ours, std::fs::metadata(path)?))).is_ok_and(same)
}

/// How much of the journal's end is searched for endings that a crash kept out of it, in bytes: far
/// more than one batch writes.
const TAIL: u64 = 1 << 20;

impl Journal {
    /// Opens the journal of `node` at `place`, making it where it is missing, for the endings of
    /// `store`; all lines up to `written` are on disk. Without a `node` it is a new one's. A
    /// journal that is not opened writes nothing.
    pub(crate) fn open(
        place: Place,
        node: Option<String>,
        store: String,
        written: i64,
    ) -> std::io::Result<Self> {
        let mut file = open_private(&place.path)?;
        let node = match node {
            Some(node) => node,
            None => begin(&mut file, &place.path, &store)?,
        };
        Ok(Self { log: Some(Log { place, node, file }), store, written, ..Self::default() })
    }

    /// The node, and where its log lies; nothing where nothing is written.
    pub(crate) fn node(&self) -> Option<(&str, &Place)> {
        self.log.as_ref().map(|log| (log.node.as_str(), &log.place))
    }

    /// Up to which number all lines are known to be on disk.
    pub(crate) fn written(&self) -> i64 {
        self.written
    }

    /// Adds lines to what must be written before the next ending is acknowledged.
    pub(crate) fn add(&mut self, lines: impl IntoIterator<Item = Numbered>) {
        for Numbered { says, line } in lines {
            self.numbers.extend(line);
            self.append(says, line);
        }
    }

    fn append(&mut self, says: Line, line: Option<i64>) {
        let Some(log) = &self.log else { return };
        let stamped =
            Stamped { says, store: Some(self.store.clone()), node: Some(log.node.clone()), line };
        // These types always serialise.
        if serde_json::to_writer(&mut self.pending, &stamped).is_ok() {
            self.pending.push(b'\n');
        }
    }

    /// Says that all lines up to `line` are in the journal, or accepted as lost: to be called once
    /// what is known of them was added.
    pub(crate) fn reaches(&mut self, line: i64) {
        if line > self.written {
            self.append(Line::Opened { opened_after: line }, None);
            self.vouched_for = line;
        }
    }

    /// Writes what is pending and waits until it is on disk.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        if self.pending.is_empty() { Ok(()) } else { self.write() }
    }

    /// Writes what is pending, and sees to it that a file which was begun anew, since the one
    /// before it was rolled, says where it begins.
    pub(crate) fn write(&mut self) -> std::io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        if !is_at(&log.file, &log.place.path) {
            log.file = open_private(&log.place.path)?;
        }
        let opening = Stamped {
            says: Line::Opened { opened_after: self.written },
            store: Some(self.store.clone()),
            node: Some(log.node.clone()),
            line: None,
        };
        // An admin command beside a node on PostgreSQL writes to the same file.
        log.file.lock()?;
        let written = append(&mut log.file, &opening, &self.pending);
        // It is freed with the file at the latest.
        let _ = log.file.unlock();
        written?;
        self.pending.clear();
        self.written = self.written.max(self.vouched_for);
        self.beyond.extend(self.numbers.drain(..));
        self.count_written();
        Ok(())
    }

    /// Looks whether the lines are on disk by now that an admin command wrote beside this node.
    pub(crate) fn look_for_others_lines(&mut self) -> std::io::Result<()> {
        let Some(log) = self.log.as_ref().filter(|_| !self.beyond.is_empty()) else {
            return Ok(());
        };
        self.beyond.extend(look_at(&log.place.path)?.reached_by(&log.node));
        self.count_written();
        Ok(())
    }

    fn count_written(&mut self) {
        while let Some(next) = self.beyond.first().copied().filter(|next| *next <= self.written + 1)
        {
            self.beyond.pop_first();
            self.written = self.written.max(next);
        }
    }

    /// Adds those of `recent` endings that the journal's end does not hold: a crash came between
    /// their commit and their line.
    pub(crate) fn catch_up(&mut self, recent: Vec<Line>) -> std::io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        log.file.lock()?;
        let tail = mend(&mut log.file).and_then(|()| tail(&mut log.file));
        let _ = log.file.unlock();
        let mut known = tail?;
        known.extend(&self.pending);
        let known: HashSet<String> = known
            .split(|byte| *byte == b'\n')
            .filter_map(|text| serde_json::from_slice(text).ok())
            .map(|line: Line| line.says())
            .collect();
        self.add(
            recent.into_iter().filter(|line| !known.contains(&line.says())).map(Numbered::again),
        );
        self.flush()
    }
}

/// Has a new journal say whose it is; gives the node. Of processes that do so at once, all go on
/// with the node of the first.
fn begin(file: &mut File, path: &Path, store: &str) -> std::io::Result<String> {
    file.lock()?;
    let begun = look_at(path).and_then(|found| match found.node {
        Some(node) => Ok(node),
        None => {
            let node = format!("{:016x}", u64::from_be_bytes(random::bytes()));
            let opening = Stamped {
                says: Line::Opened { opened_after: 0 },
                store: Some(store.to_owned()),
                node: Some(node.clone()),
                line: None,
            };
            let mut text = serde_json::to_vec(&opening)?;
            text.push(b'\n');
            mend(file)?;
            file.write_all(&text)?;
            file.sync_data()?;
            Ok(node)
        }
    });
    let _ = file.unlock();
    begun
}

/// Appends whole lines, or nothing; before all others in an empty file the one that says where it
/// begins.
fn append(file: &mut File, opening: &Stamped, lines: &[u8]) -> std::io::Result<()> {
    mend(file)?;
    let before = file.metadata()?.len();
    let mut bytes = Vec::new();
    if before == 0 {
        serde_json::to_writer(&mut bytes, opening)?;
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(lines);
    if bytes.is_empty() {
        return Ok(());
    }
    let written = file.write_all(&bytes).and_then(|()| file.sync_data());
    if written.is_err() {
        // Half a line must not be left behind for the next attempt to be appended to.
        let _ = file.set_len(before);
    }
    written
}

/// Cuts off what a crash left of a line: it is of no ending that was acknowledged, and must not
/// look like damage among those that follow. What is nothing of ours is kept, as a line of its own,
/// for the operator to look at.
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
    use counterfoil_core::clock::Timestamp;
    use counterfoil_core::ending::EndedBy;
    use counterfoil_core::grant::{CustomerId, GrantId};
    use serde::Deserialize;

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
        let mut journal =
            Journal::open(Place::of(&path), Some("0a".into()), "00ff".into(), 0).unwrap();
        let at = Timestamp::from_unix(1_790_000_000);
        let (grant, by) = (GrantId::new(at, [1; 4]), EndedBy::CodeReplay);
        let customer = CustomerId { provider: "bank".into(), customer: "ada".into() };
        let lines = [
            Line::Grant { at, grant, by, number: Some(7) },
            Line::Client { at, client: "app".into(), era: 2 },
            Line::Customer { at, customer: customer.clone(), era: 1 },
            Line::Lost { bearers_from: at },
        ];
        journal.add(
            lines.iter().cloned().zip(1..).map(|(says, line)| Numbered { says, line: Some(line) }),
        );
        journal.flush().unwrap();
        assert_eq!(journal.written(), 4);
        let text = std::fs::read_to_string(&path).unwrap();
        let (opening, text) = text.split_once('\n').unwrap();
        assert_eq!(opening, r#"{"opened_after":0,"store":"00ff","node":"0a"}"#);
        let read: Vec<AsVersion1> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let as_version_1 = [
            AsVersion1::Grant { at, grant, by },
            AsVersion1::Client { at, client: "app".into(), era: 2 },
            AsVersion1::Customer { at, customer, era: 1 },
            AsVersion1::Lost { bearers_from: at },
        ];
        assert_eq!(read, as_version_1);
        let stamp = |line| format!(",\"store\":\"00ff\",\"node\":\"0a\",\"line\":{line}}}");
        assert!(
            text.lines().zip(1..).all(|(text, line)| text.ends_with(&stamp(line)))
                && text.contains("\"number\":7"),
            "{text}"
        );
        let again: Vec<Stamped> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(again.iter().map(|stamped| stamped.says.clone()).collect::<Vec<_>>(), lines);
        assert_eq!(look_at(&path).unwrap().line, 4);

        // What version 1 wrote is not missing, and what a newer one adds is passed over.
        let old =
            format!("{{\"at\":{},\"grant\":\"{grant}\",\"by\":\"code_replay\"}}\n", at.unix());
        std::fs::write(&path, &old).unwrap();
        journal.catch_up(vec![lines[0].clone()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), old);
        let newer = r#"{"at":1,"grant":"0000000000000001","by":"a_law","number":8,"store":"00ff","because":["x"]}"#;
        let Line::Grant { by, number, .. } = serde_json::from_str(newer).unwrap() else {
            panic!("{newer}")
        };
        assert_eq!((by, number), (EndedBy::Unknown, Some(8)));
    }
}
