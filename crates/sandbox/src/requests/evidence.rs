//! A request with its secrets masked, to be shown.

use counterfoil_report::{Exchange, Mask};
use counterfoil_server::App;

use super::{HUNG_UP, Headers, RequestRecord, leaks};

/// Headers without information, and the reason, which is added masked.
const LEFT_OUT: [&str; 5] =
    ["accept-encoding", "connection", "content-length", "counterfoil-reason", "host"];

/// The request and its answer. `mask` learns the secrets found here and masks them wherever they
/// appear later.
pub fn evidence(app: &App, request: &RequestRecord, note: &str, mask: &mut Mask) -> Exchange {
    // A secret in the wrong place can't be recognized by the name of its field.
    leaks(app, request).iter().for_each(|found| mask.learn(&found.secret));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let request_headers = headers(&request.headers, mask);
    let request_body = mask.form(&text(&request.body));
    let url = mask.url(&request.target);
    let mut answer_headers = headers(&request.answer_headers, mask);
    if let Some(reason) = &request.reason {
        answer_headers.push(("counterfoil-reason".into(), mask.text(reason)));
    }
    let answer_body = mask.body(&text(&request.answer));
    let no_answer = if request.lost {
        Some("the answer was lost on purpose, after what was asked for had been done")
    } else if request.status == HUNG_UP {
        Some("the client hung up before it was answered")
    } else {
        None
    };
    Exchange {
        at: request.at.to_string(),
        note: note.to_owned(),
        method: request.method.to_string(),
        url,
        request_headers,
        request_body,
        status: no_answer.is_none().then_some(request.status.as_u16()),
        answer_headers: if no_answer.is_some() { Vec::new() } else { answer_headers },
        answer_body: no_answer.map_or(answer_body, str::to_owned),
    }
}

fn headers(headers: &Headers, mask: &mut Mask) -> Vec<(String, String)> {
    let shown = headers.iter().filter(|(name, _)| !LEFT_OUT.contains(name));
    shown.map(|(name, value)| (name.to_owned(), mask.header(name, value))).collect()
}
