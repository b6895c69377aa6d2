//! `/authorize`: what is answered by a page, what by redirect, and the parameters that change what
//! is asked.

use counterfoil_core::grant::GrantId;

use crate::setting::{APP, Answer, CHALLENGE, OTHER, RECIPIENT, Sandbox, Tokens, claims, send};
use crate::visitor::{
    Visitor, assert_error, assert_page, forms, heading, offered, redirected, two_banks,
};

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_known() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let callback = sandbox.callback();
    let (app, uri, bank) =
        ("This app is not known here", "This app can’t be answered", "This bank is not known here");
    for (changes, title) in [
        (&[("client_id", "")][..], app),
        (&[("client_id", "nobody")], app),
        (&[("client_id", "nobody"), ("redirect_uri", "")], app),
        (&[("redirect_uri", "")], uri),
        (&[("redirect_uri", "https://evil.example/")], uri),
        (&[("redirect_uri", &format!("{callback}/"))], uri),
        (&[("redirect_uri", &format!("{callback}?x=1"))], uri),
        (&[("redirect_uri", "http://localhost:3001/callback")], uri),
        (&[("redirect_uri", "http://127.0.0.1.evil.example/callback")], uri),
        (&[("connector", "nowhere")], bank),
        (&[("connector", "nowhere"), ("prompt", "none"), ("response_type", "")], bank),
        (&[("client_id", RECIPIENT.0), ("client_id", OTHER.0)], "This request can’t be read"),
        (&[("redirect_uri", &callback), ("redirect_uri", &callback)], "This request can’t be read"),
    ] {
        assert_page(&visitor.authorize(changes).await, 400, title);
    }
    assert_page(&visitor.get("/authorize?client_id=%ff").await, 400, "This request can’t be read");
    let json = sandbox
        .http
        .post(sandbox.url("/authorize"))
        .header("content-type", "application/json")
        .body("{}");
    assert_page(&visitor.send(json).await, 400, "This request can’t be read");
    let large = "x".repeat(65 * 1024);
    assert_page(
        &visitor.post("/authorize", &[("state", &large)]).await,
        413,
        "This request is too large",
    );
    let wrong_method = visitor.send(sandbox.http.put(sandbox.url("/authorize"))).await;
    assert_page(&wrong_method, 405, "This page can’t be used in this way");
    assert_eq!(wrong_method.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn every_other_error_goes_back_to_the_client() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let long = "n".repeat(513);
    for (changes, error) in [
        (&[("response_type", "")][..], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("scope", "")], "invalid_scope"),
        (&[("scope", "profile offline_access")], "invalid_scope"),
        (&[("code_challenge", CHALLENGE)], "invalid_request"),
        (&[("code_challenge", CHALLENGE), ("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge", "short"), ("code_challenge_method", "S256")], "invalid_request"),
        (&[("code_challenge_method", "S256")], "invalid_request"),
        (&[("client_id", APP)], "invalid_request"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("request", "e30.e30.")], "request_not_supported"),
        (&[("request_uri", "https://app.example/request")], "request_uri_not_supported"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("max_age", "soon")], "invalid_request"),
        (&[("max_age", "-1")], "invalid_request"),
        (&[("nonce", &long)], "invalid_request"),
        (&[("scope", "openid"), ("scope", "openid")], "invalid_request"),
        (&[("prompt", "none")], "login_required"),
    ] {
        assert_error(&sandbox, &visitor.authorize(changes).await, error);
    }
    sandbox.set_client(OTHER.0, &[("grant_types", "refresh_token")]).await;
    assert_error(
        &sandbox,
        &visitor.authorize(&[("client_id", OTHER.0)]).await,
        "unauthorized_client",
    );
    sandbox.set_client(RECIPIENT.0, &[("require_pkce", "true")]).await;
    assert_error(&sandbox, &visitor.authorize(&[]).await, "invalid_request");

    // Of two states, nobody knows which.
    let fields = redirected(&visitor.authorize(&[("state", "one"), ("state", "two")]).await);
    assert_eq!(
        (fields["error"].as_str(), fields["iss"].as_str(), fields.get("state")),
        ("invalid_request", sandbox.issuer.as_str(), None)
    );
}

/// nginx takes 4 KiB of headers with an answer, unless it is told otherwise.
#[tokio::test]
async fn a_state_is_given_back_whole_through_any_proxy_or_not_taken() {
    let sandbox = Sandbox::start().await;
    let head = |answer: &Answer| {
        answer
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
    };
    let posted = ("response_mode", "form_post");
    for (state, mode, is_taken) in [
        ("s".repeat(3000), None, true),
        ("\u{1f98a}".repeat(250), None, true),
        ("s".repeat(3600), None, false),
        ("\u{1f98a}".repeat(300), None, false),
        ("s".repeat(4097), None, false),
        ("\u{1f98a}".repeat(1024), Some(posted), true),
        ("s".repeat(4097), Some(posted), false),
    ] {
        let mut visitor = Visitor::new(&sandbox);
        let changes: Vec<_> = [("state", state.as_str())].into_iter().chain(mode).collect();
        let page = visitor.authorize(&changes).await;
        if !is_taken {
            assert_page(&page, 400, "This app can’t be answered");
            // Not even an error is sent without it.
            let with_error: Vec<_> =
                changes.iter().copied().chain([("response_type", "token")]).collect();
            assert_page(&visitor.authorize(&with_error).await, 400, "This app can’t be answered");
            continue;
        }
        let signed_in = visitor
            .post_form(&page, &[("username", "customer_1"), ("password", "customer_1")])
            .await;
        assert!(signed_in.status == 303 && head(&signed_in) < 1000, "{:?}", signed_in.headers);
        let consent = visitor.follow(signed_in).await;
        let answer = visitor.allow(&consent, &["c1-card"]).await;
        assert!(head(&answer) < 4000, "{:?}", answer.headers);
        let fields =
            if mode.is_some() { forms(&answer).pop().unwrap().1 } else { redirected(&answer) };
        assert_eq!(fields["state"], state);
        let refused = visitor
            .authorize(
                &[&changes[..], &[("scope", "offline_access"), ("prompt", "none login")]].concat(),
            )
            .await;
        assert!(head(&refused) < 4000, "{:?}", refused.headers);
    }
}

#[tokio::test]
async fn what_is_not_known_is_ignored() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let changes = [
        ("display", "popup"),
        ("ui_locales", "fr"),
        ("claims", "{}"),
        ("scope", "openid accounts:read"),
        ("state", ""),
    ];
    let consent = visitor.consent(&changes).await;
    assert!(!consent.text.contains("can fetch new information"), "no offline access was asked for");
    let mut fields = redirected(&visitor.allow(&consent, &["c1-card"]).await);
    let answer = sandbox.exchange(RECIPIENT, &fields.remove("code").unwrap()).await;
    assert_eq!(
        (answer.member("scope").as_str(), answer.json().get("refresh_token")),
        ("openid", None)
    );
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["iss"]);
}

#[tokio::test]
async fn without_a_prompt_the_earlier_consent_counts() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let quiet = ("prompt", "none");
    assert_error(&sandbox, &visitor.authorize(&[quiet]).await, "login_required");
    sandbox.set_client(RECIPIENT.0, &[("lookback_days", "30")]).await;
    let consent = visitor.consent(&[("scope", "openid offline_access")]).await;
    assert_error(&sandbox, &visitor.authorize(&[quiet]).await, "consent_required");
    let code = redirected(&visitor.allow(&consent, &["c1-savings"]).await)["code"].clone();
    assert_error(
        &sandbox,
        &visitor.authorize(&[quiet, ("scope", "openid")]).await,
        "consent_required",
    );
    let first = sandbox.exchange(RECIPIENT, &code).await.tokens();

    sandbox.advance("10m").await;
    sandbox.set_client(RECIPIENT.0, &[("lookback_days", "")]).await;
    for (changes, error) in [
        (&[quiet][..], "consent_required"),
        (&[quiet, ("scope", "openid profile")], "consent_required"),
        (&[quiet, ("scope", "openid"), ("client_id", OTHER.0)], "consent_required"),
        (&[quiet, ("scope", "openid"), ("max_age", "560")], "login_required"),
    ] {
        assert_error(&sandbox, &visitor.authorize(changes).await, error);
    }
    let fields = redirected(
        &visitor
            .authorize(&[quiet, ("scope", "openid offline_access"), ("connector", "sandbank")])
            .await,
    );
    assert_eq!(
        (fields["state"].as_str(), fields["iss"].as_str()),
        ("a&b=\"c\" d", sandbox.issuer.as_str())
    );
    let second = sandbox.exchange(RECIPIENT, &fields["code"]).await.tokens();
    assert_eq!(second.refresh_token, "");
    let (old, new) = (claims(&first.id_token), claims(&second.id_token));
    assert_ne!(old["grant_id"], new["grant_id"]);
    for claim in ["sub", "accounts", "products", "auth_time", "connectorId"] {
        assert_eq!(old[claim], new[claim], "{claim}");
    }
    let terms = async |tokens: &Tokens| {
        sandbox.app.store.terms(GrantId::parse(&tokens.grant()).unwrap()).await.unwrap().unwrap()
    };
    let (before, after) = (terms(&first).await, terms(&second).await);
    // It can't be refreshed, so it ends with its one ID token, which is issued while the code is
    // good.
    assert_eq!(after.expires_at, after.created_at.plus(24 * 3600 + 300));
    assert_eq!((before.lookback_days, after.lookback_days), (Some(30), Some(30)));

    // The first grant and the one made from it: none living, none to go by.
    for tokens in [&first, &second] {
        assert_eq!(sandbox.revoke(RECIPIENT, &tokens.id_token).await.status, 200);
    }
    assert_error(
        &sandbox,
        &visitor.authorize(&[quiet, ("scope", "openid")]).await,
        "consent_required",
    );
}

#[tokio::test]
async fn a_client_may_ask_for_a_fresh_sign_in() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    visitor.consent(&[]).await;
    sandbox.advance("1m").await;
    for changes in [("max_age", "120"), ("prompt", "consent")] {
        assert!(heading(&visitor.authorize(&[changes]).await).starts_with("Give "), "{changes:?}");
    }
    for changes in [
        ("prompt", "login"),
        ("prompt", "select_account"),
        ("prompt", "login consent"),
        ("max_age", "59"),
        ("max_age", "0"),
    ] {
        let mut visitor = Visitor { sandbox: &sandbox, cookies: visitor.cookies.clone() };
        let page = visitor.authorize(&[changes, ("login_hint", "customer_2")]).await;
        assert_page(&page, 200, "Sign in to Sandbank");
        assert!(
            page.text.contains("name=\"username\" type=\"text\" value=\"customer_2\""),
            "{}",
            page.text
        );
        // The old session does not get past it with the new ticket.
        let ticket = forms(&page).pop().unwrap().1["ticket"].clone();
        assert_page(
            &visitor.get(&format!("/consent?ticket={ticket}")).await,
            200,
            "Sign in to Sandbank",
        );
        assert!(heading(&visitor.sign_in(&page, "customer_1").await).starts_with("Give "));
    }
}

#[tokio::test]
async fn answers_may_be_posted() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[("response_mode", "form_post")]).await;
    let page = visitor.allow(&consent, &["c1-card"]).await;
    assert_page(&page, 200, "Going back to Pocket Ledger");
    let (action, fields) = forms(&page).pop().unwrap();
    assert_eq!(action, sandbox.callback());
    assert_eq!(
        (fields["state"].as_str(), fields["iss"].as_str(), fields.len()),
        ("a&b=\"c\" d", sandbox.issuer.as_str(), 3)
    );
    let shown = send(sandbox.http.post(&action).form(&fields)).await;
    assert!(heading(&shown) == "The code has arrived" && shown.text.contains(&fields["code"]));
    sandbox.exchange(RECIPIENT, &fields["code"]).await.tokens();

    let error = visitor.authorize(&[("response_mode", "form_post"), ("scope", "profile")]).await;
    let (_, fields) = forms(&error).pop().unwrap();
    assert_eq!(
        (error.status, fields["error"].as_str(), fields["state"].as_str()),
        (200, "invalid_scope", "a&b=\"c\" d")
    );
}

#[tokio::test]
async fn a_native_app_may_listen_on_any_port() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let uri = "http://127.0.0.1:49152/callback";
    let consent = visitor.consent(&[("redirect_uri", uri)]).await;
    let answer = visitor.allow(&consent, &["c1-card"]).await;
    assert!(answer.header("location").starts_with(&format!("{uri}?code=")));
    let code = &redirected(&answer)["code"];
    for (uri, status) in
        [("http://127.0.0.1/callback", 400), ("http://127.0.0.1:49153/callback", 400), (uri, 200)]
    {
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", uri)];
        assert_eq!(sandbox.post_as(RECIPIENT, "/token", &form).await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn the_customer_chooses_the_bank_unless_the_client_does() {
    let sandbox = two_banks().await;
    let mut visitor = Visitor::new(&sandbox);
    let page = visitor.authorize(&[]).await;
    assert_page(&page, 200, "Choose your bank and sign in");
    assert_eq!(page.text.matches("type=\"radio\" name=\"connector\"").count(), 2);
    let coral = [("username", "coral"), ("password", "coral")];
    assert_page(&visitor.submit(&page, &coral).await, 403, "Choose your bank and sign in");
    assert_page(
        &visitor.submit(&page, &[&coral[..], &[("connector", "sandbank")]].concat()).await,
        403,
        "Choose your bank and sign in",
    );
    let consent = visitor.submit(&page, &[&coral[..], &[("connector", "reef")]].concat()).await;
    assert!(
        consent.text.contains("Reef &#38; Sons") && offered(&consent) == ["reef-1"],
        "{}",
        consent.text
    );
    let code = redirected(&visitor.allow(&consent, &["reef-1"]).await)["code"].clone();
    let tokens = sandbox.exchange(RECIPIENT, &code).await.tokens();
    assert_eq!(claims(&tokens.id_token)["connectorId"], "reef");
    assert_eq!(sandbox.bearer("/accounts/v2/reef", &tokens.id_token).await.status, 200);
    assert_eq!(sandbox.bearer("/accounts/v2/sandbank", &tokens.id_token).await.status, 403);

    // The client's choice outweighs the session and whatever the form says.
    let sandbank = ("connector", "sandbank");
    assert_error(
        &sandbox,
        &visitor.authorize(&[sandbank, ("prompt", "none")]).await,
        "login_required",
    );
    let page = visitor.authorize(&[sandbank]).await;
    assert_page(&page, 200, "Sign in to Sandbank");
    assert_page(
        &visitor.submit(&page, &[&[("connector", "reef")], &coral[..]].concat()).await,
        403,
        "Sign in to Sandbank",
    );
    assert_page(
        &visitor.authorize(&[("connector", "reef")]).await,
        200,
        "Give Pocket Ledger access to your accounts?",
    );
}

/// RFC 8252 section 8.6: another program may listen on the port of a native app.
#[tokio::test]
async fn an_app_that_anybody_could_be_is_never_answered_without_asking() {
    let sandbox = Sandbox::start().await;
    let mut visitor = Visitor::new(&sandbox);
    let proof =
        [("client_id", APP), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let consent = visitor.consent(&proof).await;
    let code = redirected(&visitor.allow(&consent, &["c1-savings"]).await)["code"].clone();
    sandbox.public_exchange(&code).await;
    let quiet = [&proof[..], &[("prompt", "none"), ("scope", "openid")]].concat();
    assert_error(&sandbox, &visitor.authorize(&quiet).await, "interaction_required");
}
