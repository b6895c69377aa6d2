use std::io::{Read, pipe};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

/// A disk with so much room.
#[derive(Clone, Default)]
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    room: Arc<Mutex<usize>>,
}

impl Disk {
    fn make_room(&self, bytes: usize) {
        *self.room.lock().unwrap() = bytes;
    }

    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        let fits = bytes.len().min(*room);
        if fits == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        *room -= fits;
        self.written.lock().unwrap().extend(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(ErrorKind::StorageFull.into())
    }
}

/// A reader that takes a line when it is told to.
struct Stalled(SyncSender<()>);

impl Stalled {
    fn new() -> (Self, Receiver<()>) {
        let (written, take) = sync_channel(0);
        (Self(written), take)
    }
}

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(()).map(|()| bytes.len()).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For what the thread does not write.
fn nowhere() -> File {
    File::options().write(true).open("/dev/null").unwrap()
}

#[test]
fn lines_that_do_not_fit_are_counted_and_the_next_ones_are_whole() {
    let disk = Disk::default();
    let log = Log::to(disk.clone(), nowhere()).unwrap();
    disk.make_room(10);
    for line in ["first\n", "second\n", "third\n"] {
        log.queue(line.as_bytes());
    }
    log.flush();
    assert_eq!(
        (disk.text().as_str(), log.counts()),
        ("first\nseco", LogCounts { dropped: 0, write_errors: 2 })
    );
    disk.make_room(100);
    log.queue(b"fourth\n");
    log.queue(b"fifth\n");
    log.flush();
    assert_eq!(
        (disk.text().as_str(), log.counts().write_errors),
        ("first\nseco\nfourth\nfifth\n", 2)
    );
}

#[test]
fn where_nobody_reads_lines_are_dropped_and_counted() {
    let (writer, take) = Stalled::new();
    let log = Log::to(writer, nowhere()).unwrap();
    let given = 2 * LONGEST_QUEUE;
    for _ in 0..given {
        log.queue(b"line\n");
    }
    let LogCounts { dropped, write_errors } = log.counts();
    // The thread may or may not have one in its hands.
    let held = given as u64 - dropped;
    assert!((LONGEST_QUEUE as u64..=LONGEST_QUEUE as u64 + 1).contains(&held), "{held}");
    assert_eq!((write_errors, log.waiting()), (0, held));
    // It does not wait for ever; that all is written once somebody reads shows that it was not
    // waiting for nothing.
    log.flush();
    assert_eq!(log.waiting(), held);
    for _ in 0..held {
        take.recv().unwrap();
    }
    log.flush();
    assert_eq!((log.waiting(), log.counts()), (0, LogCounts { dropped, write_errors: 0 }));
    // Gone for good.
    drop(take);
    log.queue(b"line\n");
    log.flush();
    assert_eq!(log.counts(), LogCounts { dropped, write_errors: 1 });
}

/// Also where the thread has its hands full. What does not fit into the pipe is given up, or this
/// would not end.
#[test]
fn what_is_fatal_is_written_at_once_or_not_at_all() {
    let (mut reader, writer) = pipe().unwrap();
    let (stalled, _take) = Stalled::new();
    let log: &'static Log =
        Box::leak(Box::new(Log::to(stalled, File::from(OwnedFd::from(writer))).unwrap()));
    log.queue(b"line\n");
    let page = [b'.'; 4096];
    for _ in 0..4096 {
        Line { log, is_fatal: true }.write_all(&page).unwrap();
    }
    let mut read = vec![0; page.len()];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(read, page);
}

#[test]
fn a_panic_is_told_where_it_can_be() {
    let mut told = Vec::new();
    tell_panic(&mut told, &"panicked at here", None);
    assert_eq!(String::from_utf8(told).unwrap(), "counterfoil: this is a bug: panicked at here\n");
    tell_panic(&mut Disk::default(), &"panicked at here", Some(&Backtrace::force_capture()));
}
