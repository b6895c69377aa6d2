//! Why a case ends early.

/// Why a case ends before all of its checks were made.
#[derive(Debug)]
pub enum Abort {
    /// The server did not do what leads to the check: the rest has failed.
    Failed(String),
    /// It can't be done here: the rest is not run.
    NotRun(String),
}

impl Abort {
    /// The server did not do what leads to the check.
    pub fn set_up(why: impl Into<String>) -> Self {
        Self::Failed(format!("set-up: {}", why.into()))
    }

    /// It can't be done here.
    pub fn not_run(why: impl Into<String>) -> Self {
        Self::NotRun(why.into())
    }
}
