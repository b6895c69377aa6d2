//! Stands between a store and its database, and cuts connections where a commit is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where a connection is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The database never sees it.
    BeforeCommit,
    /// The database carries it out, and its answer is lost.
    AfterCommit,
}

/// The proxy.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    before: AtomicUsize,
    after: AtomicUsize,
    cuts: AtomicUsize,
}

impl Proxy {
    /// Listens before the database at `to`.
    pub async fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let proxy = Self { address, shared: shared.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(to).await.unwrap();
                    relay(client, server, &shared).await;
                });
            }
        });
        proxy
    }

    /// `url` with the proxy's address in the place of the database's.
    pub fn url(&self, url: &str, to: SocketAddr) -> String {
        url.replace(&to.to_string(), &self.address.to_string())
    }

    /// Cuts the next commits, so many.
    pub fn cut(&self, cut: Cut, times: usize) {
        match cut {
            Cut::BeforeCommit => self.shared.before.fetch_add(times, Ordering::SeqCst),
            Cut::AfterCommit => self.shared.after.fetch_add(times, Ordering::SeqCst),
        };
    }

    /// How many commits were cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Whether the commit that is about to be sent shall be cut, and where.
    fn take(&self) -> Option<Cut> {
        let take = |count: &AtomicUsize| {
            count
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
        };
        let cut = if take(&self.after) {
            Some(Cut::AfterCommit)
        } else if take(&self.before) {
            Some(Cut::BeforeCommit)
        } else {
            None
        };
        self.cuts.fetch_add(usize::from(cut.is_some()), Ordering::SeqCst);
        cut
    }
}

async fn relay(client: TcpStream, server: TcpStream, shared: &Shared) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back =
        tokio::spawn(async move { drop(tokio::io::copy(&mut from_server, &mut to_client).await) });
    let forth = async {
        // The first message has a length and no type.
        let length = from_client.read_u32().await?;
        let mut rest = vec![0; length as usize - 4];
        from_client.read_exact(&mut rest).await?;
        to_server.write_all(&[length.to_be_bytes().as_slice(), &rest].concat()).await?;
        // Statements that move counterfoils commit by themselves, with the Sync that ends them.
        let (mut moving, mut commits) = (Vec::<Vec<u8>>::new(), false);
        loop {
            let kind = from_client.read_u8().await?;
            let length = from_client.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            from_client.read_exact(&mut body).await?;
            let mut texts = body.split(|byte| *byte == 0);
            match kind {
                b'P' => {
                    let (name, sql) =
                        (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
                    if sql.starts_with(b"UPDATE counterfoil") && sql.ends_with(b"slip.place") {
                        moving.push(name.to_vec());
                    }
                }
                b'B' => {
                    let (_portal, statement) = (texts.next(), texts.next().unwrap_or_default());
                    commits = moving.iter().any(|name| name == statement);
                }
                b'Q' => commits = body.starts_with(b"COMMIT"),
                _ => {}
            }
            let cut = if commits && matches!(kind, b'S' | b'Q') { shared.take() } else { None };
            if matches!(kind, b'S' | b'Q') {
                commits = false;
            }
            if cut == Some(Cut::BeforeCommit) {
                return Ok(());
            }
            let mut message = vec![kind];
            message.extend(length.to_be_bytes());
            message.extend(body);
            to_server.write_all(&message).await?;
            if cut.is_some() {
                return Ok::<_, std::io::Error>(());
            }
        }
    };
    let _ = forth.await;
    back.abort();
}
