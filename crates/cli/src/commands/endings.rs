//! What the commands that follow a loss of data must know: what was revoked.

use std::path::PathBuf;

use clap::Args;
use counterfoil_store::Endings;

use crate::Failure;
use crate::config::Config;

/// Where endings are remembered.
#[derive(Debug, Args)]
pub(crate) struct Remembered {
    /// An endings log beside the configured one; of many nodes, each has one
    #[arg(long, value_name = "FILE")]
    endings: Vec<PathBuf>,
    /// Go on although endings logs were lost: all ID and access tokens issued until now are
    /// refused, and clients refresh
    #[arg(long)]
    pub(crate) accept_lost_endings: bool,
}

impl Remembered {
    /// The logs to read: the configured one, where it is there, and those named.
    ///
    /// # Errors
    /// Where there is none, or one that says nothing, and that was not accepted.
    pub(crate) fn files(&self, config: &Config) -> Result<Vec<PathBuf>, Failure> {
        const WITHOUT: &str = "so what was revoked is not known and would be good again. Name the endings logs of all nodes with --endings. If they are lost, say \
            --accept-lost-endings: then all ID and access tokens issued until now are refused, and clients refresh";
        let absolute = |path: &PathBuf| {
            std::path::absolute(path)
                .map_err(|e| Failure::failed(format!("{}: {e}", path.display())))
        };
        let own =
            config.endings_log.as_ref().filter(|path| path.exists()).map(absolute).transpose()?;
        if self.endings.is_empty() && !self.accept_lost_endings {
            match &own {
                None => {
                    return Err(Failure::failed(format!("there is no endings log, {WITHOUT}")));
                }
                // A server that is started anew makes one.
                Some(own)
                    if Endings::read(std::slice::from_ref(own))
                        .is_ok_and(|endings| endings.is_empty()) =>
                {
                    return Err(Failure::failed(format!(
                        "the endings log {} holds no ending, as a new one, {WITHOUT}. If nothing was ever revoked, name it with --endings",
                        own.display()
                    )));
                }
                Some(_) => {}
            }
        }
        let mut files: Vec<PathBuf> = own.into_iter().collect();
        for named in &self.endings {
            let named = absolute(named)?;
            if !files.contains(&named) {
                files.push(named);
            }
        }
        Ok(files)
    }
}
