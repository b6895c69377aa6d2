//! One connection, with one request under way at a time.
//!
//! By hand and not with an HTTP library, so that a request's time is that from its first byte to
//! the answer's last, and nothing else.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::response::Response;
use super::target::Target;

/// An answer that is longer is not read.
const LONGEST: usize = 16 * 1024 * 1024;

/// A connection to a server.
pub(super) struct Connection {
    stream: Stream,
    read: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        }
    }
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    /// It accepts no connection, or its certificate is not trusted.
    pub(super) async fn open(target: &Target) -> io::Result<Self> {
        let plain = TcpStream::connect((target.host.as_str(), target.port)).await?;
        plain.set_nodelay(true)?;
        let stream = match &target.tls {
            None => Stream::Plain(plain),
            Some((connector, name)) => {
                Stream::Tls(Box::new(connector.connect(name.clone(), plain).await?))
            }
        };
        Ok(Self { stream, read: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads the whole answer. After an error, or an answer that does not keep
    /// it, the connection is no good.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>, String> {
        self.read.clear();
        self.stream.write(request).await.map_err(|error| error.to_string())?;
        let mut closed = false;
        // Twice, because the borrow checker does not see that an answer which is returned ends the
        // loop.
        while !closed && Response::find(&self.read, closed)?.is_none() {
            if self.read.len() > LONGEST {
                return Err(format!("its answer is longer than {LONGEST} bytes"));
            }
            closed =
                self.stream.read(&mut self.read).await.map_err(|error| error.to_string())? == 0;
        }
        let whole = Response::find(&self.read, closed)?;
        whole.ok_or_else(|| "it closed the connection before its answer was whole".to_owned())
    }
}
