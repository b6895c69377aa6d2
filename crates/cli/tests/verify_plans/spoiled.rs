//! The judge is real: behind a proxy that spoils answers exactly those checks fail, by name, that
//! are about these answers.

mod data;
mod discovery;
mod oauth;

use std::collections::BTreeSet;

use counterfoil_report::CheckResult;
use serde_json::Value;

use super::{came_out, plan, reasons};
use crate::certified::{Asked, Certified, Given, verify};

/// A spoiling: what it is, which answers, how, and the checks that must fail.
type Spoiling = (&'static str, fn(&Asked, &Given) -> bool, fn(Given) -> Given, &'static str);

/// Holds that of each spoiling exactly what is about it fails. Those that are about different cases
/// share a run: what one of them wrongly leads to, in whichever case, is seen all the same.
async fn each_is_found(name: &str, spoilings: &[Spoiling]) {
    let certified = Certified::start().await;
    let mut missed = String::new();
    for together in apart(spoilings) {
        let spoiled = together.clone();
        certified.spoil(move |asked, given| {
            // What comes first is no case: the run would end there.
            let spoiled = spoiled.iter().filter(|_| asked.case != "discovery");
            spoiled.fold(
                given,
                |given, (_, about, spoil, _)| {
                    if about(asked, &given) { spoil(given) } else { given }
                },
            )
        });
        let report = verify(plan(name, certified.options())).await.unwrap();
        let (failed, not_run) =
            (came_out(&report, CheckResult::Failed), came_out(&report, CheckResult::NotRun));
        let expected: BTreeSet<&str> =
            together.iter().flat_map(|(_, _, _, failed)| failed.split(", ")).collect();
        if failed.split(", ").collect::<BTreeSet<_>>() != expected || !not_run.is_empty() {
            let what: Vec<&str> = together.iter().map(|(what, ..)| *what).collect();
            missed +=
                &format!("\n{}: not {expected:?}, but{}\n", what.join("; "), reasons(&report));
        }
    }
    assert!(missed.is_empty(), "{missed}");
    assert_eq!(certified.clock_offset().await, 0);
}

/// As few groups as are easily found in which no two are about the same case.
fn apart(spoilings: &[Spoiling]) -> Vec<Vec<Spoiling>> {
    let cases = |spoiling: &Spoiling| {
        spoiling.3.split(", ").filter_map(|part| part.split(' ').next()).collect::<BTreeSet<_>>()
    };
    let mut groups: Vec<Vec<Spoiling>> = Vec::new();
    for spoiling in spoilings {
        let fits = |group: &&mut Vec<Spoiling>| {
            group.iter().all(|other| cases(other).is_disjoint(&cases(spoiling)))
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(*spoiling),
            None => groups.push(vec![*spoiling]),
        }
    }
    groups
}

fn without_header(mut given: Given, name: &str) -> Given {
    given.headers.remove(name);
    given
}

fn with_header(mut given: Given, name: &'static str, value: &str) -> Given {
    given.headers.insert(name, value.parse().unwrap());
    given
}

fn in_location(given: Given, from: &str, to: &str) -> Given {
    let location = given.headers["location"].to_str().unwrap().to_owned();
    assert!(location.contains(from), "{location}");
    with_header(given, "location", &location.replace(from, to))
}

fn drop_member(json: &mut Value, name: &str) {
    json.as_object_mut().unwrap().remove(name).unwrap();
}
