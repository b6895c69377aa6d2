//! The admin commands, each through the socket of a running server and, where none runs, on the
//! store itself.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::setting::{BINARY, Live, RECIPIENT, Server, finish, run, wait_until};

const PASSWORD: &str = "alice-password";
const ALICE: (&str, &str) = ("alice", PASSWORD);

/// Two surroundings: one with a server that runs, one without. What is done must look the same from
/// the outside.
fn both() -> [(Live, Option<Server>); 2] {
    let running = Live::new();
    let server = running.serve();
    let still = Live::new();
    // A server made its store, and is gone.
    drop(still.serve());
    [(running, Some(server)), (still, None)]
}

#[test]
fn clients() {
    for (live, _server) in both() {
        live.admin("client list").says(&[]);
        assert_eq!(live.admin("client list --json").json(), json!([]));

        let added =
            live.admin("client add shop redirect_uris=https://shop.example/cb name=Shop id_token_signed_response_alg=ES256 --json").json();
        assert_eq!(
            (&added["client_id"], &added["name"], &added["secrets"][0]["last_used_at"]),
            (&json!("shop"), &json!("Shop"), &Value::Null)
        );
        let secret = added["client_secret"].as_str().unwrap();
        assert!(secret.len() >= 64);
        let plain = live.admin("client add till redirect_uris=https://till.example/cb");
        plain.says(&["client id", "till", "client secret"]);
        assert!(plain.stderr.contains("shown this once"));
        let public = live.admin("client add app redirect_uris=com.example.app:/cb token_endpoint_auth_method=none --json").json();
        assert_eq!((public.get("client_secret"), &public["secrets"]), (None, &json!([])));

        live.admin("client list").says(&["client id", "app", "shop", "till", "ES256"]);
        let list = live.admin("client list --json").json();
        assert_eq!(list.as_array().unwrap().len(), 3);
        for shown in [
            live.admin("client show shop"),
            live.admin("client show shop --json"),
            live.admin("client list --json"),
        ] {
            shown.says(&["shop", "ES256"]);
            assert!(
                !shown.stdout.contains(secret) && !shown.stdout.contains("client_secret\""),
                "{}",
                shown.stdout
            );
        }

        let set = live.admin("client set shop duration_days=30 dialect=rfc --json").json();
        assert_eq!((&set["duration_days"], &set["dialect"]), (&json!(30), &json!("rfc")));
        live.admin("client set shop duration_days=").says(&["duration days"]);
        assert_eq!(live.admin("client show shop --json").json()["duration_days"], Value::Null);

        let comma = "https://shop.example/cb?sizes=1,2";
        let uris = |words: String| live.admin(&words).json()["redirect_uris"].clone();
        assert_eq!(uris(format!("client set shop redirect_uris={comma} --json")), json!([comma]));
        assert_eq!(
            uris(format!(
                "client set shop redirect_uris={comma} redirect_uris=https://shop.example/cb --json"
            )),
            json!([comma, "https://shop.example/cb"])
        );
        assert_eq!(
            uris(
                "client set shop redirect_uris=https://a.example/cb,http://[::1]/cb --json".into()
            )
            .as_array()
            .unwrap()
            .len(),
            2
        );

        live.admin("client remove till").says(&["removed till"]);
        assert_eq!(live.admin("client remove app --json").json(), json!({ "removed": "app" }));
        assert_eq!(live.admin("client list --json").json().as_array().unwrap().len(), 1);
    }
}

#[test]
fn what_can_not_be_done_with_clients() {
    for (live, _server) in both() {
        live.add_client("shop");
        live.admin(
            "client add app redirect_uris=com.example.app:/cb token_endpoint_auth_method=none",
        )
        .says(&[]);
        for (words, message) in [
            (
                "client add shop redirect_uris=https://shop.example/cb",
                "there is a client `shop` already",
            ),
            ("client add till name=Till", "`redirect_uris`: at least one"),
            ("client add till redirect_uris=shop", "`shop` is not an absolute URI"),
            ("client add a:b redirect_uris=https://shop.example/cb", "without `:`, `+` and `%`"),
            ("client add a+b redirect_uris=https://shop.example/cb", "HTTP Basic"),
            (
                "client add till redirect_uris=https://till.example/cb name=Ti\u{202e}ll",
                "`name`: it holds U+202E",
            ),
            (
                "client set shop registered_entity=Shop\u{1b}[2J",
                "`registered_entity`: it holds U+001B",
            ),
            ("client add till redirect_uris=https://till.example/cb dialect=french", "`french`"),
            (
                "client add till redirect_uris=https://till.example/cb id_token_signed_response_alg=none",
                "`none`",
            ),
            ("client set shop duration_days=366", "`duration_days`: from 1 to 365"),
            ("client set shop lookback_days=many", "`many` is not a number"),
            ("client set app require_pkce=false", "must use PKCE"),
            (
                "client set app token_endpoint_auth_method=client_secret_basic",
                "register a client under another id",
            ),
            ("client rotate-secret app", "is a public client"),
            ("client rotate-secret nobody", "there is no client `nobody`"),
            ("client show nobody", "there is no client `nobody`"),
            ("client set nobody name=N", "there is no client `nobody`"),
            ("client remove nobody", "there is no client `nobody`"),
        ] {
            live.admin(words).refused(1, &["counterfoil: ", message]);
            live.admin(&format!("{words} --json")).refused(1, &[message]);
        }
        for (words, message) in [
            ("client add till", "SETTING=VALUE"),
            ("client set shop", "SETTING=VALUE"),
            ("client set shop name", "`name` is not written as name=value"),
            (
                "client set shop colour=red",
                "there is no setting `colour`; those are name, redirect_uris",
            ),
            ("client show", "<ID>"),
            ("client dance", "dance"),
        ] {
            live.admin(words).refused(2, &[message]);
        }
    }
    run(&["client", "list"]).refused(2, &["--config <FILE>"]);
    run(&["client", "list", "--config", "/nowhere.toml"])
        .refused(2, &["/nowhere.toml", "can't be read"]);
}

#[tokio::test]
async fn two_secrets_are_good_at_once_and_their_last_use_is_shown() {
    let live = Live::new();
    let server = live.serve();
    live.add_customer(ALICE.0, ALICE.1);
    let first = live.add_client("shop");
    let tokens = server.consent(("shop", &first), ALICE).await;
    let rotated = live.admin("client rotate-secret shop --json").json();
    let second = rotated["client_secret"].as_str().unwrap();
    let uses = || {
        let shown = live.admin("client show shop --json").json();
        shown["secrets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|secret| secret["last_used_at"].is_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(uses(), [true, false]);
    let tokens = server.refresh(("shop", second), &tokens.refresh_token).await.tokens();
    assert_eq!(uses(), [true, true]);
    live.admin("client show shop").says(&["last used at 20"]);
    let tokens = server.refresh(("shop", &first), &tokens.refresh_token).await.tokens();

    let third = live.admin("client rotate-secret shop --json").json()["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(server.refresh(("shop", &first), &tokens.refresh_token).await.status, 401);
    let tokens = server.refresh(("shop", second), &tokens.refresh_token).await.tokens();
    let tokens = server.refresh(("shop", &third), &tokens.refresh_token).await.tokens();
    let fourth = live.admin("client rotate-secret shop --drop-old --json").json()["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(server.refresh(("shop", &third), &tokens.refresh_token).await.status, 401);
    server.refresh(("shop", &fourth), &tokens.refresh_token).await.tokens();
    server.stop();
    // Written down as the server stopped.
    assert_eq!(uses(), [true]);
}

#[test]
fn customers() {
    for (live, _server) in both() {
        assert_eq!(live.admin("customer list --json").json(), json!([]));
        live.add_customer("alice", PASSWORD);
        let bob = live.admin("customer add bob --provider examplebank --name Bob");
        bob.says(&["customer  bob", "password"]);
        assert!(bob.stderr.contains("shown this once"));
        let carol = live.admin("customer add carol --provider examplebank --json").json();
        assert!(carol["password"].as_str().unwrap().len() >= 16);

        live.admin("customer list").says(&["alice", "bob", "Bob", "carol"]);
        let list = live.admin("customer list --json").json();
        assert_eq!(
            (list[0]["customer"].as_str(), &list[0]["accounts"], list[1]["name"].as_str()),
            (Some("alice"), &json!(2), Some("Bob"))
        );
        let page = live.admin("customer list --after examplebank/alice --limit 1 --json").json();
        assert_eq!(
            (page.as_array().unwrap().len(), page[0]["customer"].as_str()),
            (1, Some("bob"))
        );

        live.admin("customer set-password bob --provider examplebank")
            .says(&["customer  bob", "password"]);
        let set = live
            .admin_with(
                "customer set-password bob --provider examplebank --password-stdin --json",
                "new-password\n",
            )
            .json();
        assert_eq!(set, json!({ "provider": "examplebank", "customer": "bob" }));
        let marked = live.path("marked.json");
        std::fs::write(
            &marked,
            "\u{feff}{\"accounts\": [{\"depositAccount\": {\"accountId\": \"a\"}}]}",
        )
        .unwrap();
        let dora = format!(
            "customer add dora --provider examplebank --accounts {} --password-stdin --json",
            marked.display()
        );
        assert_eq!(live.admin_with(&dora, "\u{feff}a-long-password\n").json()["accounts"], 1);
        live.admin("customer remove dora --provider examplebank").says(&["removed dora"]);
        live.admin("customer remove bob --provider examplebank")
            .says(&["removed bob at examplebank"]);
        live.admin("customer remove carol --provider examplebank --json").json();
        assert_eq!(live.admin("customer list --json").json().as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_customer_is_shown_and_given_other_accounts() {
    for (live, server) in both() {
        live.add_customer("alice", PASSWORD);
        let secret = live.add_client("shop");
        let tokens = match &server {
            Some(server) => Some(server.consent(("shop", &secret), ALICE).await),
            None => None,
        };
        let shown = live.admin("customer show alice --provider examplebank --json").json();
        let living = usize::from(server.is_some());
        assert_eq!((&shown["sessions"], &shown["living_grants"]), (&json!(living), &json!(living)));
        assert_eq!(
            (&shown["closed_until"], &shown["accounts"][1]),
            (&Value::Null, &json!({ "account_id": "a-2", "label": "a-2" }))
        );
        assert!(!shown.to_string().contains("argon2"), "{shown}");
        live.admin("customer show alice --provider examplebank").says(&[
            "customer",
            "alice",
            "living grants",
            "account id a-1, label a-1",
        ]);

        let file = live.path("others.json");
        std::fs::write(&file, r#"{"accounts": [{"depositAccount": {"accountId": "a-2"}}, {"loanAccount": {"accountId": "a-3"}}]}"#)
            .unwrap();
        let words = format!(
            "customer set-accounts alice --provider examplebank --accounts {}",
            file.display()
        );
        let set = live.admin(&format!("{words} --json")).json();
        assert_eq!(
            set,
            json!({ "provider": "examplebank", "customer": "alice", "accounts": 2, "added": 1, "removed": 1 })
        );
        live.admin(&words).says(&["accounts", "2"]);
        if let (Some(server), Some(tokens)) = (&server, &tokens) {
            // The grant is of a-1 and a-2.
            let answered = server.accounts(&tokens.id_token).await;
            assert!(
                answered.text.contains("a-2")
                    && !answered.text.contains("a-1")
                    && !answered.text.contains("a-3"),
                "{}",
                answered.text
            );
            assert_eq!(
                server.bearer("/accounts?accountIds=a-1", &tokens.id_token).await.status,
                404
            );
        }
        std::fs::write(&file, "[]").unwrap();
        live.admin(&words).refused(1, &["FDX JSON"]);
        live.admin(&words.replace("alice", "bob")).refused(1, &["there is no customer bob"]);
        live.admin("customer set-accounts alice --provider examplebank")
            .refused(2, &["--accounts"]);
        live.admin("customer show bob --provider examplebank")
            .refused(1, &["there is no customer bob"]);
    }
}

/// Who were there before case was ignored are told of, by the server too.
#[test]
fn customers_of_the_same_name_are_told_of() {
    let live = Live::new();
    for id in ["bob", "Bob"] {
        live.add_customer(id, PASSWORD);
    }
    let ignored = |live: &Live| {
        let text = std::fs::read_to_string(live.config()).unwrap();
        std::fs::write(live.config(), text + "case_insensitive = true\n").unwrap();
    };
    ignored(&live);
    let list = live.admin("customer list");
    list.says(&["bob", "Bob"]);
    assert!(list.stderr.contains("`Bob` has the same name as `bob`"), "{}", list.stderr);
    live.admin("customer show BOB --provider examplebank").refused(1, &["`Bob` or `bob`"]);
    live.admin("customer add BOB --provider examplebank")
        .refused(1, &["there is a customer bob at examplebank already"]);
    let server = live.serve();
    wait_until("a warning", || server.log().contains("\"customers\":\"Bob, bob\"").then_some(()));
    live.admin("customer remove Bob --provider examplebank").says(&["removed Bob"]);
    live.admin("customer remove BOB --provider examplebank").says(&["removed bob at"]);
}

#[test]
fn what_can_not_be_done_with_customers() {
    for (live, _server) in both() {
        live.add_customer("alice", PASSWORD);
        let file = |name: &str, text: &str| {
            std::fs::write(live.path(name), text).unwrap();
            format!(
                "customer add dave --provider examplebank --accounts {}",
                live.path(name).display()
            )
        };
        let missing = format!(
            "customer add dave --provider examplebank --accounts {}",
            live.path("missing").display()
        );
        let account = r#"{"depositAccount": {"accountId": "a"}}"#;
        for (words, message) in [
            (
                "customer add alice --provider examplebank",
                "there is a customer alice at examplebank already",
            ),
            (
                "customer add dave --provider other",
                "there is no provider `other`; the configuration has examplebank",
            ),
            (
                "customer set-password dave --provider examplebank",
                "there is no customer dave at examplebank",
            ),
            (
                "customer remove dave --provider examplebank",
                "there is no customer dave at examplebank",
            ),
            (
                "customer add dave --provider examplebank --password-stdin",
                "a password must have at least 8 characters",
            ),
            (&missing, "No such file"),
            (&file("text", "hello"), "is not JSON"),
            (&file("list", "[]"), "FDX JSON"),
            (
                &file("bad", r#"{"accounts": [{"depositAccount": {}}]}"#),
                "account 1 must be one FDX entity",
            ),
            (
                &file("twice", &format!(r#"{{"accounts": [{account}, {account}]}}"#)),
                "account 2 has the accountId of an earlier one",
            ),
        ] {
            live.admin(words).refused(1, &[message]);
        }
        live.admin("customer add dave").refused(2, &["--provider"]);
        live.admin("customer list --after alice").refused(2, &["PROVIDER/CUSTOMER"]);
        assert_eq!(live.admin("customer list --json").json().as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_new_password_is_the_one_that_counts() {
    let live = Live::new();
    let server = live.serve();
    live.add_customer(ALICE.0, "old-password");
    live.admin_with(
        "customer set-password alice --provider examplebank --password-stdin",
        &format!("{PASSWORD}\n"),
    )
    .says(&[]);
    let secret = live.add_client("shop");
    server.consent(("shop", &secret), ALICE).await;
}

/// The log says whom it is about, once and not at each try, and an operator lets the customer in
/// again.
#[tokio::test]
async fn who_is_locked_out_is_named_in_the_log_and_let_in_by_an_operator() {
    let live = Live::new();
    let server = live.serve();
    live.add_customer(ALICE.0, ALICE.1);
    live.add_client("shop");
    for tries in 1..=8 {
        let page = server.try_to_sign_in("shop", ("alice", "wrong")).await.err().unwrap();
        assert_eq!((page.status, page.text.contains("closed until")), (403, tries > 5));
        server.try_to_sign_in("shop", ("eve\n\u{202e}", "wrong")).await.err().unwrap();
    }
    assert!(server.try_to_sign_in("shop", ALICE).await.is_err());
    let about = |customer: &str| {
        let lines: Vec<Value> =
            server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let told = lines.iter().filter(|line| line["customer"] == customer);
        told.map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for customer in ["alice", "eve\\n\\u{202e}"] {
        let told = wait_until("two lines", || Some(about(customer)).filter(|told| told.len() > 1));
        assert!(
            told.len() == 2
                && told[0].starts_with("too many tries")
                && told[1].contains("was refused"),
            "{told:?} {}",
            server.log()
        );
    }
    live.admin("customer unlock alice --provider examplebank").says(&["alice", "was closed until"]);
    server.sign_in("shop", ALICE).await;
    let unlocked = live.admin("customer unlock alice --provider examplebank --json").json();
    assert_eq!(
        unlocked,
        json!({ "provider": "examplebank", "customer": "alice", "was_closed_until": null })
    );
    live.admin("customer unlock bob --provider examplebank")
        .refused(1, &["there is no customer bob"]);
}

/// What an operator ends is refused by the very next request, and stays refused without the server
/// that was told.
#[tokio::test]
async fn what_is_ended_is_refused_at_once() {
    let live = Live::new();
    let server = live.serve();
    live.add_customer(ALICE.0, ALICE.1);
    let secret = live.add_client("shop");
    let (shop, other) = (("shop", secret.as_str()), live.add_client("other"));
    let other = ("other", other.as_str());
    let (one, two, three) = (
        server.consent(shop, ALICE).await,
        server.consent(shop, ALICE).await,
        server.consent(other, ALICE).await,
    );
    let dead = async |server: &Server, tokens: &crate::setting::Tokens, client, status| {
        assert_eq!(server.accounts(&tokens.id_token).await.status, 401);
        assert_eq!(server.bearer("/userinfo", &tokens.access_token).await.status, 401);
        assert_eq!(server.refresh(client, &tokens.refresh_token).await.status, status);
    };

    let first =
        run(&["explain", &one.id_token, "--json"]).json()["grant"].as_str().unwrap().to_owned();
    assert_eq!(live.admin("grant list --client shop --json").json().as_array().unwrap().len(), 2);
    live.admin("grant list").says(&["shop", "other", "alice", &first]);
    live.admin(&format!("grant end {first}")).says(&[&first, "is ended", "its tokens are refused"]);
    dead(&server, &one, shop, 400).await;
    assert_eq!(server.accounts(&two.id_token).await.status, 200);
    live.admin(&format!("grant end {first}")).says(&["was ended before"]);
    assert_eq!(
        live.admin(&format!("grant end {first} --json")).json(),
        json!({ "ended": first, "was_living": false })
    );
    live.admin(&format!("grant show {first}")).says(&["ended by", "operator"]);
    let shown = live.admin(&format!("grant show {first} --json")).json();
    assert_eq!((&shown["living"], &shown["ended_by"]), (&json!(false), &json!("operator")));

    live.admin("client remove shop").says(&["removed shop"]);
    dead(&server, &two, shop, 401).await;
    assert_eq!(server.accounts(&three.id_token).await.status, 200);
    live.admin("customer remove alice --provider examplebank").says(&["removed alice"]);
    dead(&server, &three, other, 400).await;
    server.stop();

    // A client of the same name is another one.
    let again = live.add_client("shop");
    let server = live.serve();
    dead(&server, &two, ("shop", &again), 400).await;
    assert_eq!(server.accounts(&three.id_token).await.status, 401);
    assert!(
        live.admin("grant list --json")
            .json()
            .as_array()
            .unwrap()
            .iter()
            .all(|grant| grant["living"] == false)
    );
}

#[test]
fn what_can_not_be_done_with_grants() {
    for (live, _server) in both() {
        assert_eq!(live.admin("grant list --json").json(), json!([]));
        for words in ["grant show 0123456789abcdef", "grant end 0123456789abcdef"] {
            live.admin(words).refused(1, &["there is no grant 0123456789abcdef"]);
        }
        live.admin("grant show 12").refused(2, &["16 hexadecimal digits"]);
        live.admin("grant list --customer alice").refused(2, &["PROVIDER/CUSTOMER"]);
    }
}

#[test]
fn keys() {
    for (live, _server) in both() {
        let kids = |list: &Value, state: &str| {
            let of_state = list.as_array().unwrap().iter().filter(|key| key["state"] == state);
            of_state.map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let before = live.admin("keys list --json").json();
        let current = kids(&before, "current");
        assert_eq!(current.len(), 5);
        live.admin("keys list").says(&["RS256", "ES256", "PS256", "EdDSA", "slip-1", "current"]);
        let rotated = live.admin("keys rotate --json").json();
        assert_eq!(
            (kids(&rotated, "ahead").len(), kids(&rotated, "kept")),
            (4, vec!["slip-1".to_owned()])
        );
        let dropped =
            live.admin(&format!("keys rotate --compromised {} --json", current[0])).json();
        assert!(!dropped.to_string().contains(&current[0]));
        live.admin("keys rotate --compromised slip-2").says(&["slip-3", "retiring"]);
        // No terminal is there to ask at.
        live.admin("keys rotate --compromised slip-3 --refuse-now")
            .refused(2, &["of 0 grants", "slip-3", "Nothing was changed", "--yes"]);
        assert!(live.admin("keys list --json").json().to_string().contains("slip-3"));
        live.admin("keys rotate --compromised slip-2 --within 2h --json").json();
        let dropped =
            live.admin("keys rotate --compromised slip-3 --refuse-now --yes --json").json();
        assert!(
            dropped.to_string().contains("slip-4") && !dropped.to_string().contains("slip-3"),
            "{dropped}"
        );
        live.admin(&format!("keys rotate --compromised {} --within 2h", current[1]))
            .refused(2, &["are of slip keys"]);
        live.admin("keys rotate --compromised slip-4 --within 0s").refused(2, &["--refuse-now"]);
        live.admin("keys rotate --compromised slip-9").refused(1, &["there is no key `slip-9`"]);
        live.admin("keys rotate --compromised nonsense")
            .refused(1, &["there is no key `nonsense`"]);
        live.admin("keys rotate --compromised").refused(2, &["Usage: counterfoil keys rotate"]);
    }
}

#[tokio::test]
async fn a_compromised_key_is_refused_at_once_and_clients_refresh() {
    let live = Live::new();
    let server = live.serve();
    live.add_customer(ALICE.0, ALICE.1);
    let secret = live.add_client("shop");
    let tokens = server.consent(("shop", &secret), ALICE).await;
    live.admin("keys rotate").says(&["ahead"]);
    assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
    let kid =
        run(&["explain", &tokens.id_token, "--json"]).json()["key"].as_str().unwrap().to_owned();
    live.admin(&format!("keys rotate --compromised {kid}")).says(&["RS256"]);
    assert!(!server.get("/jwks").await.text.contains(&kid));
    assert_eq!(server.accounts(&tokens.id_token).await.status, 401);
    let tokens = server.refresh(("shop", &secret), &tokens.refresh_token).await.tokens();
    assert_eq!(server.accounts(&tokens.id_token).await.status, 200);
}

/// Commands wait for one another, and for a server that starts or stops.
#[test]
fn many_commands_at_once() {
    let live = Live::new();
    live.add_client("first");
    std::thread::scope(|scope| {
        let add = |n| {
            scope.spawn({
                let live = &live;
                move || live.add_client(&format!("shop-{n}"))
            })
        };
        let before: Vec<_> = (0..4).map(add).collect();
        let mut server =
            live.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let after: Vec<_> = (4..8).map(add).collect();
        for added in before.into_iter().chain(after) {
            added.join().unwrap();
        }
        let _ = server.kill();
        let _ = server.wait();
    });
    assert_eq!(live.admin("client list --json").json().as_array().unwrap().len(), 9);
}

/// A dead server's socket is no server: the command takes the lock.
#[test]
fn commands_after_a_kill() {
    let live = Live::new();
    live.serve().kill();
    assert!(live.path("counterfoil.db.sock").exists());
    live.add_client("shop");
    let server = live.serve();
    live.admin("client show shop").says(&["shop"]);
    server.stop();
}

#[tokio::test]
async fn explain() {
    let server = Server::sandbox(&[]);
    let callback = server.callback();
    let form =
        [("client_id", RECIPIENT.0), ("redirect_uri", &*callback), ("customer", "customer_1")];
    let code = server.post("/sandbox/codes", &form).await.member("code");
    let tokens = server.tokens().await;
    let grant =
        run(&["explain", &tokens.id_token, "--json"]).json()["grant"].as_str().unwrap().to_owned();
    for (token, kind, said) in [
        (&code, "authorization code", "[masked]"),
        (&tokens.refresh_token, "refresh token", "[masked]"),
        (&tokens.access_token, "access token", "[not checked]"),
        (&tokens.id_token, "ID token", "[not checked]"),
    ] {
        let told = run(&["explain", token]);
        told.says(&[kind, said, "grant", "key"]);
        assert!(
            !told.stdout.contains(token.as_str())
                && !told.stdout.contains(&token[token.len() - 16..]),
            "{}",
            told.stdout
        );
        let told = run(&["explain", token, "--json"]).json();
        assert_eq!(told["kind"], kind);
        assert_eq!(told["grant"] == grant.as_str(), *token != code);
        let from_stdin =
            finish(Command::new(BINARY).args(["explain", "-", "--json"]), &format!("{token}\n"))
                .json();
        assert_eq!(from_stdin, told);
    }
    let next = server.refresh(RECIPIENT, &tokens.refresh_token).await.tokens();
    assert_eq!(run(&["explain", &next.refresh_token, "--json"]).json()["slip"], 2);
    for nothing in ["hello", "cfr_hello", "", "a.b.c"] {
        run(&["explain", nothing]).refused(
            1,
            &["this is not a code, refresh token, access token or ID token of Counterfoil"],
        );
    }
    run(&["explain"]).refused(2, &["<TOKEN>"]);
}

#[test]
fn help_is_there_for_everything() {
    let commands = [
        "sandbox",
        "serve",
        "client",
        "customer",
        "grant",
        "keys",
        "backup",
        "restore",
        "declare-loss",
        "explain",
    ];
    run(&["--help"]).says(&commands);
    run(&[]).refused(2, &["Usage: counterfoil <COMMAND>"]);
    run(&["--version"]).says(&["counterfoil "]);
    for command in commands {
        run(&[command, "--help"]).says(&["Usage: counterfoil"]);
    }
    run(&["serve", "--help"]).says(&["--config <FILE>", "endings_log", "COUNTERFOIL_LISTEN"]);
    run(&["client", "set", "--help"]).says(&[
        "redirect_uris",
        "on_lost_answer",
        "an empty value clears",
    ]);
    run(&["customer", "add", "--help"]).says(&[
        "--accounts <FILE>",
        "--password-stdin",
        "accountId",
    ]);
}

/// A mistyped address must not be answered from a store that was made for the question.
#[test]
fn no_command_but_the_first_ones_makes_a_store_or_fills_a_database() {
    let live = Live::new();
    for words in [
        "client list",
        "customer list",
        "grant list",
        "keys list",
        "keys rotate",
        "declare-loss --accept-lost-endings",
    ] {
        live.admin(words).refused(1, &["there is no store", "counterfoil serve"]);
    }
    assert!(!live.path("counterfoil.db").exists() && !live.path("keys").exists());
    live.add_client("ledger");
    assert!(live.admin("client list").stdout.contains("ledger"));

    let database = Live::on(&counterfoil_testing::fresh_database());
    database.admin("declare-loss --accept-lost-endings").refused(1, &["there is no store"]);
}
