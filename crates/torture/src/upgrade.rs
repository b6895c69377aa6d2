//! Servers of one version are replaced one by one by those of another under load, and the
//! store's level is raised in between.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use counterfoil_store::{OpenOptions, Store, StoreAddress, StoreKind};

/// What is done to a server or to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The server at this place goes, and the program at that one takes its place.
    Replace { node: usize, program: usize },
    /// The store's level is raised: no server runs the first program any more.
    Finish,
}

/// The steps that are left, each with its time from the beginning.
#[derive(Debug)]
pub(crate) struct Upgrade {
    programs: Vec<PathBuf>,
    steps: VecDeque<(Duration, Step)>,
    options: OpenOptions,
}

impl Upgrade {
    /// Plans to have every program run at every server in turn, within `time`. `None` where there
    /// is one program.
    pub(crate) fn plan(
        programs: &[PathBuf],
        nodes: usize,
        time: Duration,
        address: StoreAddress,
        issuer: String,
    ) -> Option<Self> {
        let mut steps = Vec::new();
        for program in 1..programs.len() {
            steps.extend((0..nodes).map(|node| Step::Replace { node, program }));
            steps.extend((program == 1).then_some(Step::Finish));
        }
        let pause = time / u32::try_from(steps.len() + 1).unwrap_or(u32::MAX);
        let steps: VecDeque<_> = (1..).map(|n| pause * n).zip(steps).collect();
        let holder = "counterfoil torture".into();
        let options =
            OpenOptions { address, kind: StoreKind::Sandbox, issuer, endings_log: None, holder };
        (!steps.is_empty()).then(|| Self { programs: programs.to_vec(), steps, options })
    }

    /// The next step, if it is due at `now`.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Step> {
        self.steps.front().filter(|(at, _)| *at <= now)?;
        self.steps.pop_front().map(|(_, step)| step)
    }

    /// When the next step is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.steps.front().map(|(at, _)| *at)
    }

    /// The program at this place.
    pub(crate) fn program(&self, at: usize) -> PathBuf {
        self.programs[at].clone()
    }

    /// Raises the store's level; says from which to which.
    ///
    /// # Errors
    /// Why it can't be raised.
    pub(crate) async fn finish(&self) -> Result<String, String> {
        let raised = Store::finish_migration(&self.options).await;
        raised
            .map(|(from, to)| format!("the store's level is {to} now; it was {from}"))
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_runs_every_program_in_turn() {
        let store = StoreAddress::parse("postgres://a@127.0.0.1/b").expect("an address");
        let programs = ["old", "new", "new"].map(PathBuf::from);
        let plan = |programs: &[PathBuf]| {
            Upgrade::plan(
                programs,
                2,
                Duration::from_secs(60),
                store.clone(),
                "http://127.0.0.1:1".into(),
            )
        };
        assert!(plan(&programs[..1]).is_none());
        let mut upgrade = plan(&programs).expect("a plan");
        assert_eq!(
            (upgrade.due(Duration::from_secs(9)), upgrade.next()),
            (None, Some(Duration::from_secs(10)))
        );
        let steps: Vec<_> = std::iter::from_fn(|| upgrade.due(Duration::from_secs(59))).collect();
        let replace = |node, program| Step::Replace { node, program };
        assert_eq!(
            steps,
            [replace(0, 1), replace(1, 1), Step::Finish, replace(0, 2), replace(1, 2)]
        );
        assert_eq!(upgrade.next(), None);
    }
}
