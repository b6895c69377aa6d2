//! The endings logs, which tell the commands that follow a loss of data what was revoked.

use std::path::PathBuf;

use clap::Args;
use counterfoil_store::Endings;

use crate::Failure;
use crate::config::Config;

#[derive(Debug, Args)]
pub(crate) struct EndingsLogs {
    /// An endings log in addition to the configured one: every node has its own; may be repeated
    #[arg(long, value_name = "FILE")]
    endings: Vec<PathBuf>,
    /// Continue although endings logs were lost: all ID and access tokens issued until now are
    /// refused, and clients refresh
    #[arg(long)]
    pub(crate) accept_lost_endings: bool,
}

impl EndingsLogs {
    /// The logs to read: the configured one, if it exists, and those given as options.
    ///
    /// # Errors
    /// There is none, or only an empty one, and that was not accepted.
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
                // A server makes an empty log when it starts without one.
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
