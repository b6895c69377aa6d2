//! The answer to a write that is under way.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::error::StoreError;

/// The answer to a queued write. It is under way whether or not it is awaited.
#[derive(Debug)]
pub struct Pending<T>(Result<oneshot::Receiver<Result<T, StoreError>>, Option<StoreError>>);

impl<T> Pending<T> {
    /// An answer that will come, and where it is to be sent.
    pub(crate) fn open() -> (oneshot::Sender<Result<T, StoreError>>, Self) {
        let (reply, answer) = oneshot::channel();
        (reply, Self(Ok(answer)))
    }

    /// A write that was not even begun.
    pub(crate) fn refused(error: StoreError) -> Self {
        Self(Err(Some(error)))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(StoreError::Closed))),
            Err(refused) => Poll::Ready(Err(refused.take().unwrap_or(StoreError::Closed))),
        }
    }
}
