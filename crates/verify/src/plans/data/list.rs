//! Which accounts are returned.

use std::collections::BTreeSet;

use reqwest::Url;
use serde_json::Value;

use super::NOT_FOUND;
use crate::abort::Abort;
use crate::call::Call;
use crate::case::CaseRun;
use crate::check::Check;
use crate::id_token::part;
use crate::plan::{Case, GrantFate};
use crate::random::random;
use crate::response::Response;
use crate::target::Endpoint;
use crate::tokens::Tokens;

pub(super) const SHAPE: Case = Case {
    id: "accounts-shape",
    title: "Accounts are shaped as FDX says",
    clause: "FDX API: GET /accounts, account descriptors",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("the answer", "200 application/json with a list of accounts"),
        Check::words(
            "each account",
            "one member, its kind, such as depositAccount; in it an accountId",
        ),
        Check::words("all accountIds", "no two are the same"),
    ],
    run: |case| Box::pin(shape(case)),
};

pub(super) const CONSENTED: Case = Case {
    id: "accounts-consented",
    title: "The accounts of the consent are given, and no others",
    clause: "FDX security model: the consent bounds the data; Counterfoil wire contract: GET /accounts",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("the accounts claim of the ID token", "names the accounts that are given"),
        Check::words("a consent to one of several accounts", "200 with this account alone"),
        Check::fdx("an account of the customer that is outside the consent", 404, NOT_FOUND),
    ],
    run: |case| Box::pin(consented(case)),
};

pub(super) const NARROWED: Case = Case {
    id: "accounts-narrowed",
    title: "A request may ask for some of the accounts",
    clause: "FDX API: GET /accounts, query parameter accountIds",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("accountIds with one account", "200 with this account alone"),
        Check::words("accountIds with all accounts", "200 with all of them"),
    ],
    run: |case| Box::pin(narrowed(case)),
};

pub(super) const UNKNOWN: Case = Case {
    id: "account-unknown",
    title: "An account that does not exist",
    clause: "FDX error 701",
    grant: GrantFate::Lives,
    checks: &[
        Check::fdx("accountIds with an account that does not exist", 404, NOT_FOUND),
        Check::fdx("accountIds with one that does and one that does not", 404, NOT_FOUND),
    ],
    run: |case| Box::pin(unknown(case)),
};

pub(super) const OF_ANOTHER: Case = Case {
    id: "account-of-another-customer",
    title: "Another customer's account is as good as none",
    clause: "FDX error 701; OWASP API1:2023 (broken object level authorization)",
    grant: GrantFate::Lives,
    checks: &[
        Check::words("the accounts of another customer", "200 with none of this one's"),
        Check::fdx("accountIds with an account of another customer", 404, NOT_FOUND),
    ],
    run: |case| Box::pin(of_another(case)),
};

pub(super) const EMPTY: Case = Case {
    id: "accounts-empty",
    title: "A customer without accounts",
    clause: "Counterfoil wire contract: GET /accounts",
    grant: GrantFate::Lives,
    checks: &[Check::body("the token of a customer without accounts", 200, r#"{"accounts":[]}"#)],
    run: |case| Box::pin(empty(case)),
};

/// Customers of a sandbox: a different one from the run's, and one without accounts.
const OTHER: &str = "customer_2";
const WITHOUT_ACCOUNTS: &str = "customer_5";

/// The accounts of an answer: each with its kind.
fn entities(answer: &Response) -> Result<Vec<(String, Value)>, String> {
    if !answer.is(200) || !answer.is_json() {
        let (status, content_type) =
            (answer.status.unwrap_or_default(), answer.header("content-type"));
        return Err(format!("the status is {status} and the content type `{content_type}`"));
    }
    let json = answer.json().unwrap_or_default();
    let list = json["accounts"].as_array().ok_or("`accounts` is no list")?;
    list.iter()
        .map(|account| entity(account).ok_or_else(|| format!("an account is {account}")))
        .collect()
}

/// An account: of its one kind or, as FDX 6 has it, flat.
fn entity(account: &Value) -> Option<(String, Value)> {
    let members = account.as_object()?;
    if let (Some(category), true) =
        (account["accountCategory"].as_str(), account["accountId"].is_string())
    {
        return Some((category.to_owned(), account.clone()));
    }
    let (kind, entity) = members.iter().next()?;
    let is_account = members.len() == 1
        && kind.ends_with("Account")
        && entity["accountId"].as_str().is_some_and(|id| !id.is_empty());
    is_account.then(|| (kind.clone(), entity.clone()))
}

/// The ids of an answer's accounts.
fn ids(answer: &Response) -> Result<BTreeSet<String>, String> {
    Ok(entities(answer)?
        .iter()
        .filter_map(|(_, entity)| Some(entity["accountId"].as_str()?.to_owned()))
        .collect())
}

/// Whether these are the accounts given.
fn are(answer: &Response, expected: &BTreeSet<String>) -> Result<(), String> {
    let found = ids(answer)?;
    if found == *expected {
        Ok(())
    } else {
        Err(format!("the accounts are {found:?}, not {expected:?}"))
    }
}

/// Asks for some of the accounts.
async fn some(case: &mut CaseRun<'_>, token: &str, accounts: &[&str]) -> Result<Response, Abort> {
    let url = case.endpoint(Endpoint::Accounts)?;
    let mut url = Url::parse(&url)
        .map_err(|error| Abort::set_up(format!("`{url}` is not a URL: {error}")))?;
    url.query_pairs_mut().append_pair("accountIds", &accounts.join(","));
    Ok(case.send(Call::get(url.as_str()).bearer(token)).await)
}

/// Tokens, and the accounts that they are given; at least one.
async fn with_accounts(case: &mut CaseRun<'_>) -> Result<(Tokens, BTreeSet<String>), Abort> {
    let tokens = case.tokens().await?;
    let answer = case.accounts(&tokens.id_token).await?;
    match ids(&answer) {
        Ok(ids) if ids.is_empty() => Err(Abort::not_run("the customer has no accounts")),
        Ok(ids) => Ok((tokens, ids)),
        Err(problem) => {
            Err(Abort::set_up(format!("the accounts are not given for a good ID token: {problem}")))
        }
    }
}

/// Tokens of a code that a sandbox gives for this.
async fn tokens_with(case: &mut CaseRun<'_>, parameters: &[(&str, &str)]) -> Result<Tokens, Abort> {
    let code = case.code_with(parameters).await?;
    let answer = case.redeem(&code).await;
    case.tokens_of(&answer, "a code was not redeemed")
}

async fn shape(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = case.tokens().await?;
    let answer = case.accounts(&tokens.id_token).await?;
    let json = answer.json().unwrap_or_default();
    let list = if answer.is(200) && answer.is_json() { json["accounts"].as_array() } else { None };
    case.judged(
        0,
        &answer,
        list.map(drop).ok_or_else(|| "there is no list of accounts".to_owned()),
    );
    let Some(list) = list else {
        return Err(Abort::set_up("there is no list of accounts"));
    };
    let wrong: Vec<String> =
        list.iter().filter(|account| entity(account).is_none()).map(Value::to_string).collect();
    case.judged(
        1,
        &answer,
        if wrong.is_empty() { Ok(()) } else { Err(format!("an account is {}", wrong.join(", "))) },
    );
    let known: Vec<String> = list
        .iter()
        .filter_map(|account| Some(entity(account)?.1["accountId"].to_string()))
        .collect();
    let distinct: BTreeSet<&String> = known.iter().collect();
    case.judged(
        2,
        &answer,
        if distinct.len() == known.len() {
            Ok(())
        } else {
            Err(format!("the accountIds are {}", known.join(", ")))
        },
    );
    Ok(())
}

async fn consented(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, all) = with_accounts(case).await?;
    let claim = part(&tokens.id_token, 1).unwrap_or_default()["accounts"].clone();
    match claim.as_array() {
        Some(claimed) => {
            let claimed: BTreeSet<String> =
                claimed.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
            let verdict = if claimed == all {
                Ok(())
            } else {
                Err(format!("the claim is {claimed:?}, the accounts given are {all:?}"))
            };
            case.saw(0, claim.to_string(), verdict);
        }
        None => case.not_run(0, "the ID token has no accounts claim"),
    }
    let mut all = all.into_iter();
    let (Some(one), Some(other)) = (all.next(), all.next()) else {
        return Err(Abort::not_run("the customer has one account alone"));
    };
    let tokens = tokens_with(case, &[("accounts", &one)]).await?;
    let answer = case.accounts(&tokens.id_token).await?;
    case.judged(1, &answer, are(&answer, &BTreeSet::from([one])));
    let answer = some(case, &tokens.id_token, &[&other]).await?;
    case.holds(2, &answer);
    Ok(())
}

async fn narrowed(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, all) = with_accounts(case).await?;
    let one: BTreeSet<String> = all.iter().take(1).cloned().collect();
    for (check, asked) in [&one, &all].into_iter().enumerate() {
        let answer =
            some(case, &tokens.id_token, &asked.iter().map(String::as_str).collect::<Vec<_>>())
                .await?;
        case.judged(check, &answer, are(&answer, asked));
    }
    Ok(())
}

async fn unknown(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, all) = with_accounts(case).await?;
    let unknown = random();
    let answer = some(case, &tokens.id_token, &[&unknown]).await?;
    case.holds(0, &answer);
    let known = all.first().map(String::as_str).unwrap_or_default();
    let answer = some(case, &tokens.id_token, &[known, &unknown]).await?;
    case.holds(1, &answer);
    Ok(())
}

async fn of_another(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let (tokens, all) = with_accounts(case).await?;
    let others = tokens_with(case, &[("customer", OTHER)]).await?;
    let answer = case.accounts(&others.id_token).await?;
    let theirs = ids(&answer).map_err(|problem| {
        Abort::set_up(format!("the accounts of another customer are not given: {problem}"))
    })?;
    let both: Vec<&String> = theirs.intersection(&all).collect();
    case.judged(
        0,
        &answer,
        if both.is_empty() { Ok(()) } else { Err(format!("both are given {both:?}")) },
    );
    let their = theirs.first().map(String::as_str).unwrap_or_default();
    let answer = some(case, &tokens.id_token, &[their]).await?;
    case.holds(1, &answer);
    Ok(())
}

async fn empty(case: &mut CaseRun<'_>) -> Result<(), Abort> {
    let tokens = tokens_with(case, &[("customer", WITHOUT_ACCOUNTS)]).await?;
    let answer = case.accounts(&tokens.id_token).await?;
    case.holds(0, &answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_account_is_of_one_kind_or_flat() {
        for (account, kind) in [
            (json!({ "depositAccount": { "accountId": "a" } }), Some("depositAccount")),
            (
                json!({ "accountCategory": "DEPOSIT_ACCOUNT", "accountId": "a" }),
                Some("DEPOSIT_ACCOUNT"),
            ),
            (json!({ "depositAccount": { "accountId": "" } }), None),
            (json!({ "depositAccount": { "accountId": 7 } }), None),
            (json!({ "deposit": { "accountId": "a" } }), None),
            (json!({ "depositAccount": { "accountId": "a" }, "more": 1 }), None),
            (json!({}), None),
            (json!("a"), None),
        ] {
            let found = entity(&account).map(|(kind, _)| kind);
            assert_eq!(found.as_deref(), kind, "{account}");
        }
    }

    #[test]
    fn the_accounts_are_those_and_no_others() {
        let account = |id: &str| json!({ "loanAccount": { "accountId": id } });
        let answer = |ids: &[&str]| {
            let list: Vec<Value> = ids.iter().map(|id| account(id)).collect();
            Response::json_sample(200, &json!({ "accounts": list }))
        };
        let expected: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        assert_eq!(are(&answer(&["b", "a"]), &expected), Ok(()));
        for ids in [&["a"][..], &["a", "b", "c"], &[]] {
            assert!(are(&answer(ids), &expected).is_err(), "{ids:?}");
        }
        let refused = Response::json_sample(401, &json!({ "code": 602 }));
        assert!(are(&refused, &expected).is_err_and(|why| why.contains("the status is 401")));
        let spoilt = Response::json_sample(200, &json!({ "accounts": [account("a"), {}] }));
        assert!(are(&spoilt, &expected).is_err_and(|why| why.contains("an account is {}")));
    }
}
