//! Data that is given to the wrong one, or refused in the wrong words.

use serde_json::json;

use super::{each_is_found, with_header, without_header};
use crate::certified::{Asked, Given};

/// As if the token had been good.
fn accounts(given: Given) -> Given {
    given.with(200, &json!({ "accounts": [] }))
}

fn given_accounts(asked: &Asked, given: &Given) -> bool {
    asked.path == "/accounts" && given.status == 200
}

#[tokio::test]
async fn spoiled_bearers() {
    each_is_found(
        "data",
        &[
            (
                "a code that is a text",
                |asked, given| asked.path.starts_with("/accounts") && given.status == 401,
                |given| given.edited(|json| json["code"] = "602".into()),
                "bearer-missing 0 1 2, bearer-garbage 0 1 2, bearer-expired 0 1, bearer-of-another-kind 0 1, bearer-tampered 0 1 2, \
                 bearer-unsigned 0 1, bearer-of-a-stranger 0 1 2, bearer-in-query 0, bearer-revoked 0 1 2, version 2",
            ),
            ("no challenge", |_, given| given.status == 401, |given| without_header(given, "www-authenticate"), "bearer-challenged 0 1"),
            (
                "a challenge that does not tell why",
                |_, given| given.status == 401,
                |given| with_header(given, "www-authenticate", "Bearer"),
                "bearer-challenged 1",
            ),
            (
                "a challenge that blames nobody's token",
                |_, given| given.status == 401,
                |given| with_header(given, "www-authenticate", "Bearer error=\"invalid_token\""),
                "bearer-challenged 0",
            ),
            ("no token is needed", |asked, given| asked.case == "bearer-missing" && given.status == 401, accounts, "bearer-missing 0 1 2"),
            ("any text is taken", |asked, given| asked.case == "bearer-garbage" && given.status == 401, accounts, "bearer-garbage 0 1 2"),
            (
                "an expired token is taken",
                |asked, given| asked.case == "bearer-expired" && given.status == 401,
                accounts,
                "bearer-expired 0 1",
            ),
            (
                "any kind is taken",
                |asked, given| asked.case == "bearer-of-another-kind" && given.status == 401,
                accounts,
                "bearer-of-another-kind 0 1",
            ),
            (
                "signatures don't matter",
                |asked, given| asked.case == "bearer-tampered" && given.status == 401,
                accounts,
                "bearer-tampered 0 1 2",
            ),
            ("alg none is taken", |asked, given| asked.case == "bearer-unsigned" && given.status == 401, accounts, "bearer-unsigned 0 1"),
            (
                "anybody may sign",
                |asked, given| asked.case == "bearer-of-a-stranger" && given.status == 401,
                accounts,
                "bearer-of-a-stranger 0 1 2",
            ),
            ("a token in the query", |asked, given| asked.case == "bearer-in-query" && given.status == 401, accounts, "bearer-in-query 0"),
            (
                "a revocation that does not bite",
                |asked, given| asked.case == "bearer-revoked" && given.status == 401,
                accounts,
                "bearer-revoked 0 1 2",
            ),
            (
                "access tokens are refused",
                |asked, _| asked.case == "bearer-access-token" && asked.path == "/accounts" && asked.nth == 2,
                |given| given.with(401, &json!({ "code": 602, "message": "Customer not authorized" })),
                "bearer-access-token 1",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn spoiled_accounts() {
    each_is_found(
        "data",
        &[
            (
                "a 404 without a code of FDX",
                |asked, given| asked.path.starts_with("/accounts") && given.status == 404,
                |given| given.with(404, &json!({ "error": "not_found" })),
                "accounts-consented 2, account-unknown 0 1, account-of-another-customer 1",
            ),
            (
                "an account of two kinds",
                |asked, given| asked.case == "accounts-shape" && given_accounts(asked, given),
                |given| {
                    given.edited(|json| {
                        json["accounts"][0]["loanAccount"] = json!({ "accountId": "two" })
                    })
                },
                "accounts-shape 1",
            ),
            (
                "an account twice",
                |asked, given| asked.case == "accounts-shape" && given_accounts(asked, given),
                |given| given.edited(|json| json["accounts"][1] = json["accounts"][0].clone()),
                "accounts-shape 2",
            ),
            (
                "accounts outside the consent",
                |asked, given| {
                    asked.case == "accounts-consented"
                        && given_accounts(asked, given)
                        && asked.nth == 2
                },
                |given| {
                    given.edited(|json| {
                        json["accounts"][1] = json!({ "depositAccount": { "accountId": "other" } })
                    })
                },
                "accounts-consented 1",
            ),
            (
                "accountIds does not narrow",
                |asked, given| {
                    asked.case == "accounts-narrowed"
                        && given_accounts(asked, given)
                        && asked.nth == 2
                },
                |given| {
                    given.edited(|json| {
                        json["accounts"][1] = json!({ "depositAccount": { "accountId": "other" } })
                    })
                },
                "accounts-narrowed 0",
            ),
            (
                "unknown accounts are left out",
                |asked, given| asked.case == "account-unknown" && given.status == 404,
                accounts,
                "account-unknown 0 1",
            ),
            (
                "another customer's account is given",
                |asked, given| asked.case == "account-of-another-customer" && given.status == 404,
                accounts,
                "account-of-another-customer 1",
            ),
            (
                "no accounts is no list",
                |asked, _| asked.case == "accounts-empty" && asked.path == "/accounts",
                |given| given.with(200, &json!({})),
                "accounts-empty 0",
            ),
            (
                "other words for the version",
                |_, given| given.status == 501,
                |given| given.edited(|json| json["message"] = "No".into()),
                "version 1",
            ),
            (
                "any provider",
                |asked, given| asked.case == "provider" && given.status == 403,
                accounts,
                "provider 0",
            ),
            (
                "no interaction id",
                |_, _| true,
                |given| without_header(given, "x-fapi-interaction-id"),
                "interaction-id 0 1 2 3",
            ),
            (
                "the same interaction id for all",
                |asked, _| {
                    asked.case == "interaction-id" && asked.path == "/accounts" && asked.nth > 2
                },
                |given| {
                    with_header(
                        given,
                        "x-fapi-interaction-id",
                        "3b241101-e2bb-4255-8caf-4136c566a962",
                    )
                },
                "interaction-id 3",
            ),
            (
                "no Cache-Control",
                |asked, _| asked.path == "/accounts",
                |given| without_header(given, "cache-control"),
                "not-stored 0 1",
            ),
            (
                "no Allow",
                |_, given| given.status == 405,
                |given| without_header(given, "allow"),
                "method 0 1",
            ),
            (
                "a 405 that is no error of FDX",
                |_, given| given.status == 405,
                |given| Given { body: "no".into(), ..given },
                "method 0 1",
            ),
        ],
    )
    .await;
}
