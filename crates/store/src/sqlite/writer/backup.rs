//! Copying the store between two transactions.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};

use super::{BATCH, Work};
use crate::backup::BackupError;
use crate::sqlite::backup::{Copied, Copying, MOMENT};

/// Pages that are copied at once while writes wait.
const STEP: i32 = 256;

impl Work {
    /// Copies the store a few pages at a time, and after each step writes what is queued.
    pub(super) fn copy(&mut self, copying: Copying) {
        let Copying { mut into, mut flusher, reply } = copying;
        let db = match self.connection() {
            Ok(db) => db,
            Err(error) => return drop(reply.send(Err(error.into()))),
        };
        let (mut jobs, mut failure) = (Vec::with_capacity(BATCH), None);
        let mut longest_stall = Duration::ZERO;
        let copied = Backup::new(&db, &mut into).map_err(BackupError::from).and_then(|backup| {
            loop {
                let behind = flusher.is_behind();
                if !behind {
                    let began = Instant::now();
                    let step = backup.step(STEP)?;
                    longest_stall = longest_stall.max(began.elapsed());
                    if step == StepResult::Done {
                        return Ok(());
                    }
                    flusher.wrote(STEP);
                }
                // One that nobody waits for any more is given up.
                if reply.is_closed() {
                    return Err(BackupError::Closed);
                }
                match self.tasks.recv_timeout(if behind { MOMENT } else { Duration::ZERO }) {
                    Ok(first) => {
                        if let Some(another) = self.gather(first, &mut jobs) {
                            let _ = another.reply.send(Err(BackupError::UnderWay));
                        }
                        if jobs.is_empty() {
                            continue;
                        }
                        match self.commit(&db, &mut jobs, false) {
                            Ok(done) => {
                                self.answer_all(&mut jobs, done);
                                self.log.begin_anew_where_due(&db);
                            }
                            Err(error) => {
                                let problem = error.to_string();
                                failure = Some(error);
                                return Err(BackupError::Interrupted(problem));
                            }
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Err(BackupError::Closed),
                }
            }
        });
        match failure {
            None => self.db = Some(db),
            Some(error) => {
                drop(db);
                self.after_failure(&mut jobs, &error);
            }
        }
        let _ = reply.send(copied.map(|()| Copied { into, flusher, longest_stall }));
    }
}
