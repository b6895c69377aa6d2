//! The server's clock: a sandbox's can be moved, and is left as it was found.

use jiff::Timestamp;

use crate::call::Call;
use crate::http::Http;
use crate::machine_time;

/// How far this machine's clock may be from the server's.
const LEEWAY: i64 = 60;

/// The server's clock, as far as it is known.
#[derive(Default)]
pub(crate) struct Clock {
    /// Where a sandbox shows and moves it.
    url: Option<String>,
    /// By how many seconds it is ahead of this machine's.
    ahead: i64,
    /// The offset that it had before this run moved it.
    found: Option<i64>,
}

impl Clock {
    pub(crate) fn new(sandbox: Option<&str>) -> Self {
        Self { url: sandbox.map(|sandbox| format!("{sandbox}/clock")), ..Self::default() }
    }

    /// The offset to be put back, where it was moved.
    pub(crate) fn found(&self) -> Option<i64> {
        self.found
    }

    /// Whether it can be moved.
    pub(crate) fn is_movable(&self) -> bool {
        self.url.is_some()
    }

    /// The server's time in unix seconds, as far as it is known.
    pub(crate) fn now(&self) -> i64 {
        machine_time::now().as_second().saturating_add(self.ahead)
    }

    /// By how much the server's time may differ from `now`.
    pub(crate) fn leeway(&self) -> i64 {
        if self.is_movable() { 2 } else { LEEWAY }
    }

    /// Reads what time it is, and gives the offset.
    ///
    /// # Errors
    /// What was answered instead.
    pub(crate) async fn read(&mut self, http: &mut Http) -> Result<i64, String> {
        match self.url.clone() {
            Some(url) => self.ask(http, Call::get(&url)).await,
            None => Ok(0),
        }
    }

    /// Moves it.
    ///
    /// # Errors
    /// What was answered instead.
    pub(crate) async fn advance(&mut self, http: &mut Http, seconds: i64) -> Result<(), String> {
        if self.found.is_none() {
            self.found = Some(self.read(http).await?);
        }
        self.post(http, seconds).await.map(drop)
    }

    /// Puts it back to where it was before this run moved it, by the difference: someone else may
    /// have moved it before us.
    ///
    /// # Errors
    /// What was answered instead.
    pub(crate) async fn restore(&mut self, http: &mut Http) -> Result<(), String> {
        let Some(found) = self.found else {
            return Ok(());
        };
        let offset = self.read(http).await?;
        if offset != found {
            self.post(http, found.saturating_sub(offset)).await?;
        }
        self.found = None;
        Ok(())
    }

    async fn post(&mut self, http: &mut Http, seconds: i64) -> Result<i64, String> {
        match self.url.clone() {
            Some(url) => {
                self.ask(http, Call::post(&url).form(&[("advance", &format!("{seconds}s"))])).await
            }
            None => Ok(0),
        }
    }

    async fn ask(&mut self, http: &mut Http, call: Call) -> Result<i64, String> {
        let answer = http.send(&call).await;
        http.note(&answer, "clock");
        let told = answer.json().filter(|_| answer.is(200)).and_then(|clock| {
            let now: Timestamp = clock["now"].as_str()?.parse().ok()?;
            Some((now, clock["offset_seconds"].as_i64()?))
        });
        let (now, offset) = told.ok_or_else(|| http.seen(&answer))?;
        self.ahead = now.as_second().saturating_sub(machine_time::now().as_second());
        Ok(offset)
    }
}
