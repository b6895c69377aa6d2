//! Half-done authorizations: what a customer is in the middle of, kept between one request of their
//! browser and the next.

use counterfoil_core::clock::Timestamp;

use crate::error::StoreError;
use crate::pending::Pending;
use crate::store::{Engine, Store, call, read};

/// What a browser was sent on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HalfDone {
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
    /// Keeps a half-done authorization under the hash of what names it in the browser. It is
    /// written once and never changed.
    pub fn keep_half_done(&self, id: [u8; 32], half_done: HalfDone) -> Pending<()> {
        call!(self, keep_half_done(id, half_done))
    }

    /// The half-done authorization under this hash, until it expires. It may be read any number of
    /// times: pages are reloaded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn half_done(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<HalfDone>, StoreError> {
        read!(self, half_done(id, now))
    }
}
