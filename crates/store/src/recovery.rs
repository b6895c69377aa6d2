//! Verbs for backups, and for what follows a loss of data.

use std::path::Path;

use counterfoil_core::clock::Timestamp;

use crate::backup::{Backup, BackupError};
use crate::endings::Endings;
use crate::error::StoreError;
use crate::loss::LossDeclared;
use crate::pending::Pending;
use crate::restore::{RestoreError, Restored};
use crate::store::{Engine, Store, call, read};
use crate::{OpenOptions, StoreAddress};

/// Endings that are applied in one transaction.
const AT_ONCE: usize = 50;

/// Backups, and what follows a loss of data.
impl Store {
    /// Copies the store, while it is used, to a new file at `to`, an absolute path.
    ///
    /// Promise: the copy is what the store was at one moment after the call, so with everything
    /// that was answered before it; whole, checked and on disk once this is answered, and otherwise
    /// not there. No write waits for more than one small step of it at a time.
    ///
    /// # Errors
    /// [`BackupError`], in words for the operator; a store in a database is not copied so.
    pub async fn backup(&self, to: &Path) -> Result<Backup, BackupError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.backup(to).await,
            Engine::Postgres(_) => Err(BackupError::OfDatabase),
        }
    }

    /// Puts the backup `from` in the place of the store at `options.address`, which no process may
    /// have open, and declares the loss of what came after it. Takes a while and blocks.
    ///
    /// Promise: the backup is held against kind, issuer and schema and is checked before anything
    /// is touched; from any moment on there is either the old store or the restored one with the
    /// loss declared, whenever this is cut short; the old one is kept.
    ///
    /// # Errors
    /// [`RestoreError`], in words for the operator.
    pub fn restore(
        options: &OpenOptions,
        from: &Path,
        endings: &Endings,
        accept_lost_endings: bool,
        now: Timestamp,
    ) -> Result<Restored, RestoreError> {
        match &options.address {
            StoreAddress::Sqlite(path) => crate::sqlite::restore::restore(
                path,
                options,
                from,
                endings,
                accept_lost_endings,
                now,
            ),
            StoreAddress::Postgres(_) => Err(RestoreError::OfDatabase),
        }
    }

    /// Declares that data was lost: the store came back from a backup or a standby and has
    /// forgotten what came after. Raises the epoch, so that each grant accepts once a refresh token
    /// that is newer than its counterfoil knows; has `endings` take effect that it has forgotten;
    /// ends all browser sessions.
    ///
    /// Promise: once answered, it is so at every node; doing it again is safe, and needed where it
    /// failed. The epoch is raised last, at once. Grants are ended as the endings say, when and by
    /// whom; a client or customer of an earlier era than a removal made is removed. Where endings
    /// are accepted as lost, [`Store::bearers_from`] is `now`, and is never moved back. The store
    /// agrees from then on with the journals that the endings come from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn declare_loss(
        &self,
        endings: &Endings,
        accept_lost_endings: bool,
        now: Timestamp,
    ) -> Result<LossDeclared, StoreError> {
        endings.must_be_of(&read!(self, id())?)?;
        if !accept_lost_endings {
            endings.must_go_on_from(&read!(self, endings_logs())?)?;
        }
        let mut declared = LossDeclared::default();
        let endings = endings.clone().not_ahead_of(now);
        for lines in endings.lines.chunks(AT_ONCE) {
            declared.count(call!(self, apply_endings(lines.to_vec())).await?);
        }
        (declared.epoch, declared.bearers_from) =
            call!(self, raise_epoch(accept_lost_endings.then_some(now), endings.reach())).await?;
        Ok(declared)
    }

    /// Goes on although the endings journal lacks what the store knows: the operator accepts that
    /// what it said beside that is lost. Does nothing where journal and store agreed when this was
    /// opened.
    ///
    /// Promise: once answered, all that the store knows to have ended is in the journal, and
    /// [`Store::bearers_from`] is `now`, since the store may have forgotten what only the journal
    /// knew.
    pub fn accept_lost_endings(&self, now: Timestamp) -> Pending<()> {
        call!(self, accept_lost_endings(now))
    }

    /// Tells the store up to where its endings journal is on disk, and looks whether that was
    /// rolled. To be called before the store is closed; it is done with [`Store::note_time`] too.
    pub fn settle_endings(&self) -> Pending<()> {
        call!(self, settle_endings())
    }

    /// Before when bearers were issued that must be refused: endings were lost, and any of them may
    /// have been revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bearers_from(&self) -> Result<Option<Timestamp>, StoreError> {
        read!(self, bearers_from())
    }
}
