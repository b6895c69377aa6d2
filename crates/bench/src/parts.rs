//! What a refresh on one connection can't do without, each measured alone.

use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_core::jws::{self, Algorithm, SigningKey};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::contender::Contender;
use crate::error::BenchError;

/// How often each is measured; the median counts.
const TIMES: usize = 2_000;
/// What is written before each `fdatasync`.
const PAGE: [u8; 4096] = [7; 4096];
/// How long an answer may be.
const LONGEST: usize = 4096;

/// Medians, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Parts {
    /// An `fdatasync` of 4 KiB that were written over others of a file in the directory of the
    /// stores, as SQLite's log does most of the time.
    pub fdatasync_us: f64,
    /// A signature over the claims of an ID token.
    pub signature_us: f64,
    /// A `GET` whose answer is `{}`, by the HTTP library of the server.
    pub exchange_us: f64,
}

impl Parts {
    /// Measures them: in `directory`, with `alg`, and at the bare server `floor`. To be called
    /// where nothing else runs.
    ///
    /// # Errors
    /// [`BenchError`].
    pub async fn measure(
        directory: &Path,
        alg: Algorithm,
        floor: &Contender,
    ) -> Result<Self, BenchError> {
        Ok(Self {
            fdatasync_us: fdatasync(directory).map_err(BenchError::file(directory))?,
            signature_us: signature(alg)?,
            exchange_us: exchange(floor).await?,
        })
    }

    /// The time of all three, one after the other.
    pub fn sum_us(&self) -> f64 {
        self.fdatasync_us + self.signature_us + self.exchange_us
    }
}

fn fdatasync(directory: &Path) -> io::Result<f64> {
    let mut file = tempfile::tempfile_in(directory)?;
    for _ in 0..TIMES {
        file.write_all(&PAGE)?;
    }
    file.sync_all()?;
    file.rewind()?;
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        file.write_all(&PAGE)?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(median(times))
}

fn signature(alg: Algorithm) -> Result<f64, BenchError> {
    let failed = |e: jws::KeyError| BenchError::System(e.to_string());
    let key = SigningKey::from_pkcs8(alg, &jws::generate(alg).map_err(failed)?).map_err(failed)?;
    let claims = [b'c'; 450];
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        key.sign(&claims).map_err(failed)?;
        times.push(began.elapsed());
    }
    Ok(median(times))
}

async fn exchange(floor: &Contender) -> Result<f64, BenchError> {
    let wrong = |problem: String| BenchError::Answers { name: floor.name.clone(), problem };
    let url = floor.urls.first().and_then(|url| Url::parse(url).ok());
    let authority = url
        .as_ref()
        .map(|url| url.authority().to_owned())
        .ok_or_else(|| wrong("it has no URL".into()))?;
    let request = format!("GET /bare HTTP/1.1\r\nhost: {authority}\r\n\r\n");
    let mut times = Vec::with_capacity(TIMES);
    let exchanging = async {
        let mut stream = TcpStream::connect(&authority).await?;
        stream.set_nodelay(true)?;
        let mut answer = Vec::with_capacity(LONGEST);
        for _ in 0..TIMES {
            let began = Instant::now();
            stream.write_all(request.as_bytes()).await?;
            answer.clear();
            while !answer.ends_with(b"{}") {
                if answer.len() == LONGEST || stream.read_buf(&mut answer).await? == 0 {
                    return Err(io::Error::other("it does not answer /bare"));
                }
            }
            times.push(began.elapsed());
        }
        Ok(())
    };
    exchanging.await.map_err(|e: io::Error| wrong(e.to_string()))?;
    Ok(median(times))
}

/// In microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
