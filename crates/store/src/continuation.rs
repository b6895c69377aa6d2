//! Verbs for continuations: what a page of an authorization needs to go on, kept between one request
//! of the customer's browser and the next. The table is called `authorization`.

use counterfoil_core::clock::Timestamp;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::store::{Engine, Store, call, read};

/// What a browser was sent on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Continuation {
    /// The hash of what names the browser that may go on with it; `None` where any may.
    pub browser: Option<[u8; 32]>,
    /// Which page goes on with it.
    pub kind: String,
    /// What that page needs.
    pub document: String,
    /// When it is swept.
    pub expires_at: Timestamp,
}

impl Store {
    /// Keeps a continuation under the hash of what names it in the browser. It is written once and
    /// never changed.
    pub fn keep_continuation(&self, id: [u8; 32], continuation: Continuation) -> Pending<()> {
        call!(self, keep_continuation(id, continuation))
    }

    /// The continuation under this hash, until it expires. It may be read any number of times: pages
    /// are reloaded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn continuation(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Continuation>, StoreError> {
        read!(self, continuation(id, now))
    }
}
