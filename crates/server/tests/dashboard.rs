//! The page at `/sandbox`: it shows clock, faults, grants and the last requests, and every form on
//! it does what its button says.

use reqwest::Method;
use serde_json::json;

use crate::setting::{Answer, OTHER, RECIPIENT, Sandbox, plain, send};
use crate::visitor::{Fields, Visitor, assert_page, attribute, between, unescaped};

const TITLE: &str = "Sandbox controls";

/// What the form with this button posts, as a browser would: its fields as they stand on the page,
/// and the button.
fn form_of(page: &Answer, button: &str) -> Fields {
    let form = between(&page.text, "<form", "</form>")
        .find(|form| between(form, "<button", "</button>").any(|text| text.contains(button)))
        .unwrap_or_else(|| panic!("no form with the button {button}: {}", page.text));
    assert!(attribute(form, "action").unwrap().starts_with("/sandbox#"), "{form}");
    let value = |tag: &str| unescaped(attribute(tag, "value").unwrap_or_default());
    let inputs = between(form, "<input", ">")
        .map(|tag| (attribute(tag, "name").unwrap().to_owned(), value(tag)));
    let mut fields: Fields = inputs.collect();
    for select in between(form, "<select", "</select>") {
        let options: Vec<&str> = between(select, "<option", ">").collect();
        let chosen =
            options.iter().find(|option| option.ends_with(" selected")).unwrap_or(&options[0]);
        fields.insert(attribute(select, "name").unwrap().to_owned(), value(chosen));
    }
    let pressed = between(form, "<button", "</button>").find(|text| text.contains(button)).unwrap();
    if let Some(name) = attribute(pressed, "name") {
        fields.insert(name.to_owned(), value(pressed));
    }
    fields
}

/// A browser on the page of controls.
struct Developer<'s>(Visitor<'s>);

impl<'s> Developer<'s> {
    fn of(sandbox: &'s Sandbox) -> Self {
        Self(Visitor::new(sandbox))
    }

    async fn page(&mut self) -> Answer {
        let page = self.0.get("/sandbox").await;
        assert_page(&page, 200, TITLE);
        page
    }

    /// Presses a button on the page, with these fields filled in.
    async fn press(&mut self, button: &str, filled: &[(&str, &str)]) -> Answer {
        let mut fields = form_of(&self.page().await, button);
        for (name, value) in filled {
            assert!(
                fields.insert((*name).to_owned(), (*value).to_owned()).is_some(),
                "there is no field {name}"
            );
        }
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.0.post("/sandbox", &fields).await
    }

    /// The same, and goes where it leads: to the page, which says this.
    async fn does(&mut self, button: &str, filled: &[(&str, &str)], says: &str) -> Answer {
        let answer = self.press(button, filled).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let page = self.0.get(answer.header("location")).await;
        assert_page(&page, 200, TITLE);
        assert_eq!(between(&page.text, "role=\"status\">", "<").collect::<Vec<_>>(), [says]);
        page
    }
}

#[tokio::test]
async fn the_clock_by_hand() {
    let sandbox = Sandbox::start().await;
    let mut developer = Developer::of(&sandbox);
    assert!(!developer.page().await.text.contains("machine_time"));
    let page = developer.does("Move the clock", &[("advance", "25h")], "The clock is moved.").await;
    assert!(page.text.contains("<code>+1d 1h</code>"), "{}", page.text);
    developer.does("+5m1s", &[], "The clock is moved.").await;
    assert_eq!(sandbox.get("/sandbox/clock").await.json()["offset_seconds"], 25 * 3600 + 301);
    developer.does("Back to the machine", &[], "The clock shows the machine’s time again.").await;
    developer.does("+25h", &[], "The clock is moved.").await;
    developer.does("+91d", &[], "The clock is moved.").await;
    assert_eq!(
        sandbox.get("/sandbox/clock").await.json()["offset_seconds"],
        25 * 3600 + 91 * 86_400
    );
}

#[tokio::test]
async fn what_is_refused_is_said_on_the_page_and_what_was_typed_is_kept() {
    let sandbox = Sandbox::start().await;
    let mut developer = Developer::of(&sandbox);
    let page = developer.press("Move the clock", &[("advance", "\"soon\"")]).await;
    assert_page(&page, 400, TITLE);
    assert!(
        page.text.contains("role=\"alert\">`&#34;soon&#34;` is not a duration"),
        "{}",
        page.text
    );
    assert_eq!(form_of(&page, "Move the clock")["advance"], "\"soon\"");
    assert_eq!(
        (
            page.header("counterfoil-reason").contains("is not a duration"),
            page.header("referrer-policy")
        ),
        (true, "same-origin")
    );

    let filled = [
        ("fault", "delay"),
        ("client_id", OTHER.0),
        ("value", "an hour"),
        ("path", "/token"),
        ("count", "2"),
    ];
    let page = developer.press("Set the fault", &filled).await;
    assert_page(&page, 400, TITLE);
    let typed = form_of(&page, "Set the fault");
    for (name, value) in filled {
        assert_eq!(typed[name], value);
    }
    assert_eq!(sandbox.get("/sandbox/faults").await.json(), json!({ "faults": [] }));

    let foreign = sandbox.code(OTHER.0).await;
    let filled =
        [("fault", "expire_code"), ("client_id", RECIPIENT.0), ("value", foreign.as_str())];
    let page = developer.press("Set the fault", &filled).await;
    assert_page(&page, 400, TITLE);
    assert!(
        page.text.contains("is another client") && !page.text.contains(&foreign),
        "{}",
        page.text
    );

    for form in
        [&[("action", "nonsense")][..], &[], &[("action", "grade"), ("client_id", "nobody")]]
    {
        assert_page(&developer.0.post("/sandbox", form).await, 400, TITLE);
    }
    for form in [
        [("action", "clear_fault"), ("id", "7")],
        [("action", "revoke_grant"), ("grant", "0123456789abcdef")],
    ] {
        assert_page(&developer.0.post("/sandbox", &form).await, 404, TITLE);
    }
}

#[tokio::test]
async fn faults_by_hand() {
    let sandbox = Sandbox::start().await;
    let mut developer = Developer::of(&sandbox);
    assert!(developer.page().await.text.contains("No fault waits."));
    let filled = [
        ("fault", "delay"),
        ("client_id", OTHER.0),
        ("value", "2s"),
        ("path", "/token"),
        ("count", "3"),
    ];
    let page = developer.does("Set the fault", &filled, "The fault is set.").await;
    for shown in [OTHER.0, "2s", "/token", "<dd>3</dd>", "Clear fault 1"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    developer.does("Set the fault", &[("fault", "lose_answer")], "The fault is set.").await;
    developer
        .does("Set the fault", &[("fault", "skew"), ("value", "5m")], "The fault is set.")
        .await;
    let ids = async || {
        let listed = sandbox.get("/sandbox/faults").await.json();
        listed["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids().await, ["1", "2", "3"]);
    developer.does("Clear fault 2", &[], "The fault is cleared.").await;
    assert_eq!(ids().await, ["1", "3"]);
    developer.does("Clear all", &[], "All faults are cleared.").await;
    assert!(ids().await.is_empty());

    let tokens = sandbox.tokens(RECIPIENT).await;
    developer.does("Set the fault", &[("fault", "rotate_keys")], "Done: it has happened.").await;
    developer
        .does(
            "Set the fault",
            &[("fault", "revoke_grant"), ("value", "customer_1")],
            "Done: it has happened.",
        )
        .await;
    sandbox.assert_dead(&tokens).await;
}

#[tokio::test]
async fn grants_can_be_revoked_as_at_the_bank() {
    let sandbox = Sandbox::start().await;
    let mut developer = Developer::of(&sandbox);
    let kept = sandbox.tokens(OTHER).await;
    // Grants of one second are in no order.
    sandbox.advance("2s").await;
    let tokens = sandbox.tokens(RECIPIENT).await;
    let page = developer.page().await;
    assert_eq!(page.text.matches("Revoke at the bank").count(), 2);
    assert!(page.text.contains("<dd>refresh token 1</dd>"), "{}", page.text);
    // The newest comes first.
    let page = developer
        .does("Revoke at the bank", &[], "The grant has ended: everything of it is refused.")
        .await;
    assert!(page.text.contains("Ended by the customer"));
    let living = form_of(&page, "Revoke at the bank");
    assert_eq!(living["grant"], kept.grant());
    sandbox.assert_dead(&tokens).await;
    sandbox.assert_good(&kept).await;
    assert_eq!(sandbox.grant(&tokens).await["ended_by"], "customer");
    sandbox.advance("91d").await;
    let page = developer.page().await;
    assert!(page.text.contains("refresh token 1, which has expired"), "{}", page.text);
    sandbox.advance("365d").await;
    let page = developer.page().await;
    assert!(
        page.text.contains(">Expired<") && !page.text.contains("Revoke at the bank"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn the_last_requests_are_shown_without_their_secrets() {
    let sandbox = Sandbox::start().await;
    let mut developer = Developer::of(&sandbox);
    assert!(developer.page().await.text.contains("No app has sent a request"));
    let code =
        sandbox.code_with(RECIPIENT.0, &[("nonce", "a-nonce-of-mine"), ("state", "s")]).await;
    let first = sandbox.exchange(RECIPIENT, &code).await.tokens();
    sandbox.post("/sandbox/faults", &[("fault", "lose_answer"), ("client_id", RECIPIENT.0)]).await;
    let key = "00000000-1111-2222-3333-444444444444";
    let lost = sandbox
        .http
        .post(sandbox.url("/token"))
        .basic_auth(RECIPIENT.0, Some(RECIPIENT.1))
        .header("idempotency-key", key);
    assert!(
        lost.form(&[("grant_type", "refresh_token"), ("refresh_token", &first.refresh_token)])
            .send()
            .await
            .is_err()
    );
    let second = sandbox.refresh_with_key(RECIPIENT, &first.refresh_token, key).await.tokens();
    sandbox.assert_good(&second).await;
    sandbox.refresh(RECIPIENT, &first.refresh_token).await;
    sandbox.refresh((RECIPIENT.0, "my-other-secret"), &second.refresh_token).await;
    sandbox.set_client(RECIPIENT.0, &[("resource_server", "true")]).await;
    sandbox.introspect(RECIPIENT, &second.access_token).await;
    sandbox.revoke(RECIPIENT, &second.refresh_token).await;
    let hostile = "/accounts/<script>?x=%3Cscript%3E";
    sandbox.bearer(&hostile.replace('<', "%3C").replace('>', "%3E"), "a.hostile.token").await;

    let page = developer.page().await;
    let shown: Vec<String> =
        between(&page.text, "<code class=\"what\">", "</code>").map(unescaped).collect();
    let paths = [
        "GET /accounts/%3Cscript%3E",
        "POST /revoke",
        "POST /introspect",
        "POST /token",
        "POST /token",
    ];
    assert_eq!(shown[..5], paths, "the newest come first");
    assert_eq!(page.text.matches("answer lost").count(), 1);
    assert!(
        page.text.contains("<bdi>sandbox-recipient</bdi>: slip 1 was claimed"),
        "{}",
        page.text
    );
    assert!(
        page.text.contains("refresh_token=cfr_")
            && page.text.contains("authorization: Basic [masked]")
    );
    let text = unescaped(&page.text);
    let seal = |token: &str| token[token.len() - 20..].to_owned();
    for secret in [
        RECIPIENT.1.to_owned(),
        "my-other-secret".to_owned(),
        code.clone(),
        seal(&code),
        first.refresh_token.clone(),
        seal(&first.refresh_token),
        seal(&second.refresh_token),
        seal(&first.id_token),
        seal(&second.id_token),
        seal(&first.access_token),
        seal(&second.access_token),
        "a.hostile.token".to_owned(),
    ] {
        assert!(!text.contains(&secret), "{secret} is on the page: {text}");
    }
    assert!(!page.text.contains("<script"), "{}", page.text);
}

#[tokio::test]
async fn the_page_tells_nothing_of_the_customers_pages() {
    let sandbox = Sandbox::start().await;
    let mut developer = Developer::of(&sandbox);
    let mut visitor = Visitor::new(&sandbox);
    let consent = visitor.consent(&[]).await;
    let page = developer.page().await;
    assert!(
        page.text.contains("GET /authorize") && page.text.contains("a page, which is not shown"),
        "{}",
        page.text
    );
    for ticket in
        crate::visitor::forms(&consent).iter().filter_map(|(_, fields)| fields.get("ticket"))
    {
        assert!(!page.text.contains(ticket.as_str()));
    }
}

#[tokio::test]
async fn fifty_requests_are_shown() {
    let sandbox = Sandbox::start().await;
    for _ in 0..60 {
        sandbox.accounts("x").await;
    }
    let page = Developer::of(&sandbox).page().await;
    assert_eq!(page.text.matches("<code class=\"what\">").count(), 50);
}

#[tokio::test]
async fn hostile_names_stay_text() {
    let sandbox = Sandbox::start().await;
    sandbox.set_client(RECIPIENT.0, &[("name", "<img src=x onerror=alert(1)>\"'")]).await;
    let mut developer = Developer::of(&sandbox);
    let page = developer.page().await;
    assert!(
        page.text.contains("(&#60;img src=x onerror=alert(1)&#62;&#34;&#39;)")
            && !page.text.contains("<img"),
        "{}",
        page.text
    );
    let page = developer.0.post("/sandbox", &[("action", "fault"), ("fault", "<script>")]).await;
    assert_page(&page, 400, TITLE);
    assert!(!page.text.contains("<script>"));
    // Anybody can write a link: it may only choose among what the page says of itself.
    let page = developer.0.get("/sandbox?done=%3Cscript%3E").await;
    assert!(!page.text.contains("role=\"status\""));
}

#[tokio::test]
async fn a_client_is_graded_by_a_button() {
    let sandbox = Sandbox::start().await;
    let mut developer = Developer::of(&sandbox);
    let page = developer
        .does(
            "Grade this client",
            &[("client_id", OTHER.0)],
            "Grading has begun. Have your app start.",
        )
        .await;
    assert!(
        page.text.contains("Rainy Day is being graded.")
            && page.text.contains("href=\"/sandbox/grade\""),
        "{}",
        page.text
    );
    let scorecard = sandbox.get("/sandbox/grade").await.json();
    assert_eq!(
        (&scorecard["state"], &scorecard["client_id"]),
        (&"playing".into(), &OTHER.0.into())
    );
    let page = developer
        .does("Stop grading", &[], "Grading has stopped. What was found stays in the scorecard.")
        .await;
    assert!(page.text.contains("Grade this client"));
    assert_eq!(sandbox.get("/sandbox/grade").await.json()["state"], "stopped");
}

#[tokio::test]
async fn nobody_from_elsewhere_can_use_it() {
    let sandbox = Sandbox::start().await;
    for method in [Method::GET, Method::POST] {
        for (name, value) in
            [("host", "evil.example"), ("origin", "https://evil.example"), ("origin", "null")]
        {
            let request =
                sandbox.http.request(method.clone(), sandbox.url("/sandbox")).header(name, value);
            send(request.form(&[("action", "advance"), ("advance", "1h")]))
                .await
                .is(403, plain("access_denied"));
        }
    }
    assert_eq!(sandbox.get("/sandbox/clock").await.json()["offset_seconds"], 0);
    let front = sandbox.get("/").await;
    assert!(front.text.contains("href=\"/sandbox\""));
    assert!(Developer::of(&sandbox).page().await.text.contains("href=\"/\""));
}
