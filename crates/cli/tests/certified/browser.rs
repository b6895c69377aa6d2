//! A customer who walks the pages of an authorization request to its end.

use counterfoil_verify::Event;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

/// Consents, as `customer_1`, to whatever is asked.
pub fn consent_in_background(event: &Event) {
    if let Event::Consent { url, .. } = event {
        tokio::spawn(consent(url.clone()));
    }
}

async fn consent(url: String) {
    let http = Client::builder().redirect(Policy::none()).build().unwrap();
    let (mut at, mut form, mut cookies) =
        (Url::parse(&url).unwrap(), None::<Vec<(String, String)>>, Vec::<String>::new());
    let server = at.origin();
    while at.origin() == server {
        let request = match form.take() {
            Some(form) => http.post(at.clone()).form(&form),
            None => http.get(at.clone()),
        };
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        cookies.extend(
            answer
                .headers()
                .get_all(SET_COOKIE)
                .iter()
                .filter_map(|cookie| cookie.to_str().unwrap().split(';').next())
                .map(str::to_owned),
        );
        if let Some(location) = answer.headers().get(LOCATION) {
            at = at.join(location.to_str().unwrap()).unwrap();
            continue;
        }
        let page = answer.text().await.unwrap();
        let (action, inputs) = last_form(&page);
        at = at.join(&action).unwrap();
        form = Some(inputs);
    }
    let page = http.get(at).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("counterfoil verify"), "{page}");
}

/// The last form of a page, filled in: where it goes, and what it holds.
fn last_form(page: &str) -> (String, Vec<(String, String)>) {
    let form = page
        .rsplit("<form")
        .next()
        .filter(|_| page.contains("<form"))
        .unwrap_or_else(|| panic!("no form in {page}"));
    let mut inputs = vec![("decision".to_owned(), "allow".to_owned())];
    for tag in
        form.split("<input").skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag)
    {
        let value = match attribute(tag, "name").as_deref() {
            Some("username" | "password") => Some("customer_1".to_owned()),
            _ => attribute(tag, "value"),
        };
        inputs.extend(attribute(tag, "name").zip(value));
    }
    (attribute(form, "action").unwrap(), inputs)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
    Some(
        [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
            .iter()
            .fold(value.into(), |text: String, (a, b)| text.replace(a, b)),
    )
}
