//! The body of a request, and whether it was read to its end. An answer to an unfinished body is
//! the last of its connection and must say so, or a proxy sends its next request into a dead
//! connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};

use super::connection::Connection;

/// The body of a request, tied to its connection.
pub(super) struct RequestBody {
    incoming: Incoming,
    connection: Arc<Connection>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, connection: &Arc<Connection>) -> Self {
        connection.has_unread(!incoming.is_end_stream());
        Self { incoming, connection: connection.clone() }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            self.connection.is_held_up(true);
            return Poll::Pending;
        };
        if frame.is_none() || self.incoming.is_end_stream() {
            self.connection.has_unread(false);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
