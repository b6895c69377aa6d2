//! Processes: what they and their descendants use, where they may run, and how they end.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::End;

/// What the kernel counts CPU time in for everybody on Linux (`USER_HZ`).
const TICKS_A_SECOND: u64 = 100;
/// How long a process that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how long it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How often it is looked at.
const MOMENT: Duration = Duration::from_millis(10);

/// Some processes and their descendants.
#[derive(Debug)]
pub(crate) struct Tree(Vec<Process>);

/// A process, which another of the same number is not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Process {
    pid: u32,
    /// Ticks since boot.
    started: u64,
}

/// What processes hold in memory, in bytes; what they share counts for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) rss: u64,
    /// The peak.
    pub(crate) peak: u64,
}

/// A line of `/proc/PID/stat`.
struct Stat {
    process: Process,
    parent: u32,
    /// Of itself and of the children that it has waited for.
    ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        let line = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(pid, &line).ok_or_else(|| {
            io::Error::new(
                ErrorKind::InvalidData,
                format!("/proc/{pid}/stat can't be read: {line}"),
            )
        })
    }

    /// The fields of proc_pid_stat(5), of which the second, a name in brackets, may hold anything.
    fn parse(pid: u32, line: &str) -> Option<Self> {
        let (_, fields) = line.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // `fields` begins with the third.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
        Some(Self {
            process: Process { pid, started: number(22)? },
            parent: number(4)?.try_into().ok()?,
            ticks,
        })
    }
}

impl Tree {
    /// The processes and all their descendants that there are now.
    ///
    /// # Errors
    /// One of the processes is not there.
    pub(crate) fn of(pids: &[u32]) -> io::Result<Self> {
        let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
        for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended since it was listed.
            if let Ok(stat) = Stat::read(pid) {
                children.entry(stat.parent).or_default().push(stat.process);
            }
        }
        let missing = |pid, error| {
            io::Error::new(ErrorKind::NotFound, format!("there is no process {pid}: {error}"))
        };
        let mut waiting = Vec::new();
        for &pid in pids {
            waiting.push(Stat::read(pid).map_err(|error| missing(pid, error))?.process);
        }
        let (mut seen, mut tree) = (HashSet::new(), Vec::new());
        while let Some(process) = waiting.pop() {
            if seen.insert(process) {
                tree.push(process);
                waiting.extend(children.remove(&process.pid).unwrap_or_default());
            }
        }
        Ok(Self(tree))
    }

    /// This process alone.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub(crate) fn own() -> io::Result<Self> {
        Ok(Self(vec![Stat::read(std::process::id())?.process]))
    }

    /// CPU time, user and system, since they began. Children that ended meanwhile count once their
    /// parent has waited for them.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self.living().map(|stat| stat.ticks).sum();
        Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
    }

    /// What they hold in memory.
    pub(crate) fn memory(&self) -> Memory {
        let statuses = self.living().filter_map(|stat| {
            fs::read_to_string(format!("/proc/{}/status", stat.process.pid)).ok()
        });
        statuses.fold(Memory { rss: 0, peak: 0 }, |sum, status| {
            let bytes = |name: &str| {
                let value = status.lines().find_map(|line| {
                    line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
                });
                value.unwrap_or_default() * 1024
            };
            Memory { rss: sum.rss + bytes("VmRSS:"), peak: sum.peak + bytes("VmHWM:") }
        })
    }

    /// Those that did not end.
    fn living(&self) -> impl Iterator<Item = Stat> {
        self.0.iter().filter_map(|process| {
            Stat::read(process.pid).ok().filter(|stat| stat.process == *process)
        })
    }

    /// Sends all that did not end a signal, such as `KILL`.
    fn signal(&self, name: &str) {
        let pids: Vec<String> = self.living().map(|stat| stat.process.pid.to_string()).collect();
        if !pids.is_empty() {
            // What ended just now can't be told anything, which is nothing to complain about.
            let mut kill = Command::new("sh");
            kill.args(["-c", "kill -s \"$0\" \"$@\" 2>&-", name]).args(pids).stdin(Stdio::null());
            let _ = kill.status();
        }
    }
}

/// Ends a child and its descendants, and waits for it.
pub(crate) fn end(child: &mut Child, how: End) {
    let tree = Tree::of(&[child.id()]);
    if let (End::Terminate, Ok(tree)) = (how, &tree) {
        drop(child.stdin.take());
        tree.signal("TERM");
        let asked = Instant::now();
        let mut again = true;
        while asked.elapsed() < PATIENCE && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(MOMENT);
            // A server may keep serving for a while until it is asked twice.
            if asked.elapsed() > AGAIN_AFTER && std::mem::take(&mut again) {
                tree.signal("TERM");
            }
        }
    }
    if let Ok(tree) = tree {
        tree.signal("KILL");
    }
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends every process that this one has started, and theirs: for a program that is told to
/// stop while they are being started.
pub(crate) fn end_all_children() {
    if let Ok(Tree(mut processes)) = Tree::of(&[std::process::id()]) {
        processes.retain(|process| process.pid != std::process::id());
        Tree(processes).signal("KILL");
    }
}

/// Keeps this process, all its threads and what it starts from now on to some cores, such as `1` or
/// `0-3,6`.
///
/// # Errors
/// There are no such cores, or no `taskset`.
pub(crate) fn keep_to(cores: &str) -> Result<(), String> {
    let mut taskset = Command::new("taskset");
    taskset.args(["-a", "-c", "-p", cores, &std::process::id().to_string()]).stdin(Stdio::null());
    let ran = taskset
        .output()
        .map_err(|error| format!("taskset can't be started: {error}; it is part of util-linux"))?;
    if ran.status.success() {
        Ok(())
    } else {
        Err(format!("cores {cores}: {}", String::from_utf8_lossy(&ran.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    /// A shell with a child of its own, both of which have used some CPU time when this returns,
    /// and the number of the inner one.
    fn busy() -> (Child, u32) {
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        // What a shell starts in the background has no stdin, unless told otherwise.
        let script =
            format!("{work}; exec 3<&0; sh -c '{work}; echo $$; read -r line <&3' & {work}; wait");
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.trim().parse().unwrap())
    }

    /// Waits for the end of another process's child.
    fn gone(pid: u32) {
        let began = Instant::now();
        while alive(pid) {
            assert!(began.elapsed() < Duration::from_secs(30), "{pid} is still there");
            std::thread::sleep(MOMENT);
        }
    }

    fn alive(pid: u32) -> bool {
        // One that ended but was not waited for is as good as gone.
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|line| !line.contains(") Z "))
    }

    #[test]
    fn a_tree_is_watched_and_ended() {
        let (mut child, inner) = busy();
        let tree = Tree::of(&[child.id()]).unwrap();
        let both = Tree::of(&[child.id(), child.id()]).unwrap();
        assert_eq!(both.0.len(), tree.0.len(), "named twice, counted once");
        assert!(tree.cpu() > Duration::ZERO);
        let memory = tree.memory();
        assert!(memory.rss > 0 && memory.peak >= memory.rss, "{memory:?}");
        end(&mut child, End::Kill);
        assert!(!alive(child.id()));
        gone(inner);
        assert!(Tree::of(&[child.id()]).unwrap_err().to_string().contains("there is no process"));
    }

    #[test]
    fn one_is_asked_to_end() {
        let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "ready");
        end(&mut child, End::Terminate);
        assert_eq!(said.next().unwrap().unwrap(), "asked");
    }

    #[test]
    fn a_name_may_hold_anything() {
        let line = "17 (a ) 1 b) S 3 17 17 0 -1 4194560 100 0 0 0 5 6 7 8 20 0 1 0 4242 1000 50 18446744073709551615";
        let stat = Stat::parse(17, line).unwrap();
        assert_eq!(
            (stat.process, stat.parent, stat.ticks),
            (Process { pid: 17, started: 4242 }, 3, 26)
        );
        assert!(Stat::parse(17, "17 (short) S 3").is_none());
    }

    #[test]
    fn cores_that_there_are_not() {
        let refused = keep_to("4000").unwrap_err();
        assert!(refused.starts_with("cores 4000: "), "{refused}");
    }
}
