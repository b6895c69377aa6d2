//! The machine that something was measured on.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// The machine that something was measured on, as far as it says.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Its cores.
    pub cores: usize,
    /// The kernel's version.
    pub kernel: String,
    /// What kind of file system SQLite stores were made on, such as `ext4`; none where there were
    /// none.
    pub file_system: Option<String>,
}

impl Machine {
    /// This one. `stores` is the directory of SQLite stores.
    pub(crate) fn this(stores: Option<&Path>) -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // Those of the machine, and not those that this process keeps to.
        let cores = processor.lines().filter(|line| line.starts_with("processor")).count();
        let processor = processor
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map(|(_, name)| name.to_owned());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores,
            kernel: format!("Linux {}", kernel.trim()),
            file_system: stores.and_then(file_system),
        }
    }
}

/// The type of the file system that a directory is on: that of the mount with the longest path
/// above it.
fn file_system(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?)).filter(|(path, _)| directory.starts_with(path))
    });
    // The last of several on the same path is the one to be seen.
    mounts.max_by_key(|(path, _)| path.len()).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        let machine = Machine::this(Some(Path::new("/proc/self")));
        assert_eq!(machine.file_system.as_deref(), Some("proc"));
        assert!(
            machine.cores > 0
                && !machine.processor.is_empty()
                && machine.kernel.len() > "Linux ".len(),
            "{machine:?}"
        );
        assert_eq!(Machine::this(None).file_system, None);
    }
}
