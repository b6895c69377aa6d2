use super::*;

fn grant() -> GrantId {
    GrantId::from_number(1 << 40).unwrap()
}

fn at(milliseconds: u64, what: ActionKind) -> Action {
    let came = Duration::from_millis(milliseconds);
    Action { came, answered: came + Duration::from_millis(5), kind: what }
}

fn refresh(number: u64, status: u16) -> ActionKind {
    let issued = (status == 200).then(|| IssuedTokens {
        id_token: Fingerprint::of(&format!("id {}", number + 1)),
        access_token: Fingerprint::of(&format!("access {}", number + 1)),
    });
    ActionKind::Refresh {
        slip: Some((grant(), number)),
        retry_key: None,
        status,
        lost: false,
        issued,
    }
}

fn lost(number: u64, key: Option<&str>) -> ActionKind {
    ActionKind::Refresh {
        slip: Some((grant(), number)),
        retry_key: key.map(str::to_owned),
        status: 200,
        lost: true,
        issued: None,
    }
}

fn keyed(number: u64, key: &str, status: u16) -> ActionKind {
    match refresh(number, status) {
        ActionKind::Refresh { slip, status, lost, issued, .. } => {
            ActionKind::Refresh { slip, retry_key: Some(key.into()), status, lost, issued }
        }
        other => other,
    }
}

fn data(token: &str, status: u16) -> ActionKind {
    ActionKind::Data { token: Fingerprint::of(token), status }
}

#[track_caller]
fn is(verdict: &Verdict, result: CheckResult) {
    assert_eq!(verdict.result, result, "{verdict:?}");
    assert_eq!(verdict.reason.is_empty(), result == CheckResult::Passed, "{verdict:?}");
}

#[test]
fn one_refresh_an_expiry() {
    is(&expiry(&[at(0, refresh(1, 200))], true), CheckResult::Passed);
    is(&expiry(&[at(0, refresh(1, 200)), at(20_000, refresh(2, 200))], true), CheckResult::Passed);
    is(&expiry(&[at(0, refresh(1, 200)), at(10, refresh(1, 400))], true), CheckResult::Failed);
    // One that was given up, and made again, is no second one beside it.
    is(
        &expiry(&[at(0, refresh(1, HUNG_UP)), at(1500, refresh(1, 200))], true),
        CheckResult::Passed,
    );
    // Repeated with its key it is one.
    is(
        &expiry(&[at(0, keyed(1, "k", 200)), at(1500, keyed(1, "k", 200))], true),
        CheckResult::Passed,
    );
    is(
        &expiry(&[at(0, keyed(1, "k", 200)), at(1500, keyed(1, "other", 400))], true),
        CheckResult::Failed,
    );
    is(&expiry(&[at(0, refresh(1, 200)), at(3000, refresh(2, 200))], true), CheckResult::Failed);
    is(&expiry(&[at(0, refresh(1, 200))], false), CheckResult::Failed);
    is(&expiry(&[at(0, data("id 1", 401))], false), CheckResult::Failed);
}

#[test]
fn a_lost_answer_is_fetched_with_its_key_or_asked_for_anew() {
    is(
        &lost_answer(&[at(0, lost(1, Some("k"))), at(500, keyed(1, "k", 200))]),
        CheckResult::Passed,
    );
    is(
        &lost_answer(&[
            at(0, lost(1, None)),
            at(500, refresh(1, 400)),
            at(900, ActionKind::Authorize),
        ]),
        CheckResult::Passed,
    );
    is(&lost_answer(&[at(0, lost(1, None)), at(900, ActionKind::Authorize)]), CheckResult::Passed);
    let (first, second, third) =
        (at(500, refresh(1, 400)), at(900, refresh(1, 400)), at(999, ActionKind::Authorize));
    is(
        &lost_answer(&[at(0, lost(1, None)), first.clone(), second, third.clone()]),
        CheckResult::Failed,
    );
    is(&lost_answer(&[at(0, lost(1, None)), first.clone()]), CheckResult::Failed);
    is(
        &lost_answer(&[
            at(0, lost(1, None)),
            first,
            third.clone(),
            at(1500, ActionKind::Authorize),
        ]),
        CheckResult::Failed,
    );
    is(&lost_answer(&[third]), CheckResult::NotRun);
}

#[test]
fn three_requests_after_a_401_are_enough() {
    let mut actions = vec![
        at(0, data("id 1", 401)),
        at(10, refresh(1, 200)),
        at(20, data("id 2", 401)),
        at(30, ActionKind::Keys),
    ];
    is(&unauthorized(&actions), CheckResult::Passed);
    actions.extend([
        at(5000, data("id 2", 401)),
        at(5010, data("access 2", 200)),
        at(6000, refresh(2, 200)),
    ]);
    is(&unauthorized(&actions), CheckResult::Passed);
    is(
        &unauthorized(&[&actions[..], &[at(9000, data("id 3", 401))]].concat()),
        CheckResult::Failed,
    );
    is(&unauthorized(&[&actions[..], &[at(9000, refresh(3, 200))]].concat()), CheckResult::Failed);
}

#[test]
fn workers_that_read_side_by_side_are_no_storm() {
    let together = |ms| Action { answered: Duration::from_millis(20), ..at(ms, data("id 1", 401)) };
    let side_by_side = [
        together(0),
        together(2),
        together(4),
        together(6),
        at(900, refresh(1, 200)),
        at(910, data("id 2", 401)),
    ];
    is(&unauthorized(&side_by_side), CheckResult::Passed);
    let revoked = [
        together(0),
        together(2),
        together(4),
        together(6),
        at(900, refresh(1, 400)),
        at(2000, ActionKind::Authorize),
    ];
    is(&revocation(&revoked), CheckResult::Passed);
}

#[test]
fn a_code_that_is_not_the_customers() {
    is(&spoiled_answer(Some(false), "state"), CheckResult::Passed);
    is(&spoiled_answer(Some(true), "state"), CheckResult::Failed);
    // Nor is it right to give up.
    is(&spoiled_answer(None, "iss"), CheckResult::Failed);
}

#[test]
fn who_is_told_to_come_back_later_comes_back_later() {
    let told = Duration::from_secs(10);
    for (next, result) in [
        (Some(15_000), CheckResult::Passed),
        (Some(14_850), CheckResult::Passed),
        (Some(12_000), CheckResult::Failed),
        (None, CheckResult::Failed),
    ] {
        is(&retry_after(told, next.map(Duration::from_millis)), result);
    }
}

#[test]
fn new_keys_are_fetched_and_the_token_used() {
    let all = [at(0, refresh(1, 200)), at(10, ActionKind::Keys), at(20, data("id 2", 200))];
    is(&new_keys(&all), CheckResult::Passed);
    is(&new_keys(&[all[0].clone(), all[2].clone()]), CheckResult::Failed);
    is(&new_keys(&all[..2]), CheckResult::Failed);
    is(&new_keys(&all[..1]), CheckResult::Failed);
    is(&new_keys(&all[1..]), CheckResult::NotRun);
    // A token from before is no sign of going on.
    is(
        &new_keys(&[all[0].clone(), all[1].clone(), at(20, data("id 1", 200))]),
        CheckResult::Failed,
    );
}

#[test]
fn a_revocation_is_heeded() {
    let all = [at(0, data("id 1", 401)), at(10, refresh(1, 400)), at(2000, ActionKind::Authorize)];
    is(&revocation(&all), CheckResult::Passed);
    is(&revocation(&all[..2]), CheckResult::Failed);
    let on_and_on: Vec<Action> = (0..5)
        .map(|n| at(n * 100, data("id 1", 401)))
        .chain([at(2000, ActionKind::Authorize)])
        .collect();
    is(&revocation(&on_and_on), CheckResult::Failed);
    let twice: Vec<Action> = all.iter().cloned().chain([at(2500, ActionKind::Authorize)]).collect();
    is(&revocation(&twice), CheckResult::Failed);
}

#[test]
fn the_newest_refresh_token_alone() {
    is(&newest_token(&[at(0, refresh(1, 200)), at(20_000, refresh(2, 200))]), CheckResult::Passed);
    // A race is not this mistake: the answer had not come yet.
    is(&newest_token(&[at(0, refresh(1, 200)), at(100, refresh(1, 400))]), CheckResult::Passed);
    // Nor is the repeat of one whose answer was lost.
    is(
        &newest_token(&[
            at(0, lost(1, Some("k"))),
            at(900, keyed(1, "k", 200)),
            at(20_000, refresh(2, 200)),
        ]),
        CheckResult::Passed,
    );
    is(&newest_token(&[at(0, refresh(1, 200)), at(20_000, refresh(1, 400))]), CheckResult::Failed);
    // Nor one that was answered, and crashed before it was kept.
    is(
        &newest_token(&[
            at(0, keyed(1, "k", 200)),
            at(9000, keyed(1, "k", 200)),
            at(20_000, refresh(2, 200)),
        ]),
        CheckResult::Passed,
    );
    is(&newest_token(&[]), CheckResult::NotRun);
}
