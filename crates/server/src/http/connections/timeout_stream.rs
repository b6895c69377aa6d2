//! A stream that fails when its client stalls. One timer per connection, reset only when it would
//! fire too late or fired too early: a request that arrives in one piece resets none.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Bounds;
use super::connection::Connection;

/// How long to keep reading after the last answer. Otherwise a client still sending an unwanted
/// body would be reset before it reads the answer.
const LINGER: Duration = Duration::from_secs(2);
/// How many of those bytes are discarded.
const LINGER_BYTES: usize = 2 << 20;

/// The stream of one connection.
pub(super) struct TimeoutStream<S> {
    stream: S,
    connection: Arc<Connection>,
    bounds: Bounds,
    timer: Pin<Box<Sleep>>,
    /// Since when the client has read nothing.
    stalled: Option<Instant>,
    linger: Option<Linger>,
}

struct Linger {
    until: Instant,
    bytes: usize,
}

impl<S> TimeoutStream<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>, bounds: Bounds) -> Self {
        let timer = Box::pin(sleep_until(Instant::now() + bounds.head));
        Self { stream, connection, bounds, timer, stalled: None, linger: None }
    }

    /// Whether `deadline` has passed; otherwise wakes the task then.
    fn is_over(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.timer.as_mut().reset(deadline);
        }
        false
    }

    /// Applies the write time-out to the result of a write.
    fn with_timeout<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if self.stalled.take().is_some() {
                self.connection.is_held_up(false);
            }
            return result;
        }
        self.connection.is_held_up(true);
        let since = *self.stalled.get_or_insert_with(Instant::now);
        if self.is_over(cx, since + self.bounds.write) {
            Poll::Ready(Err(ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    this.connection.has_read();
                }
                Poll::Ready(read)
            }
            Poll::Pending => match this.connection.deadline(&this.bounds) {
                Some(deadline) if this.is_over(cx, deadline) => {
                    Poll::Ready(Err(ErrorKind::TimedOut.into()))
                }
                _ => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.connection.has_written();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.with_timeout(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.connection.has_written();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.with_timeout(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        let flushed = ready!(this.with_timeout(cx, flushed));
        this.connection.has_flushed();
        // The next read may already have been polled, before the connection was idle, so nothing
        // else would set the timer.
        if let Some(deadline) = this.connection.deadline(&this.bounds) {
            let _ = this.is_over(cx, deadline);
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.with_timeout(cx, shut))?;
            this.connection.is_ending_now();
            this.linger = Some(Linger { until: Instant::now() + LINGER, bytes: 0 });
        }
        let mut thrown_away = [0; 4096];
        while let Some(Linger { until, bytes }) = &mut this.linger {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *bytes += buffer.filled().len();
                    if *bytes > LINGER_BYTES {
                        break;
                    }
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    let until = *until;
                    if this.is_over(cx, until) {
                        break;
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
