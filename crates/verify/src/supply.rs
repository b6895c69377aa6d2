//! Where codes and grants come from: as many as wanted from a sandbox, at most two consents
//! elsewhere, or what was given.

use crate::listener::Listener;
use crate::response::Response;
use crate::target::Endpoint;
use crate::tokens::{Code, Tokens};

/// The customer whose codes a sandbox gives.
pub(crate) const CUSTOMER: &str = "customer_1";
/// How many consents the user is asked for in a run, at most.
pub(crate) const CONSENTS: u32 = 2;

/// Where codes come from.
pub(crate) enum Source {
    /// From the sandbox at this URL.
    Sandbox(String),
    /// From the user, who consents in a browser.
    Ask(Listener),
    /// There are those that were given, and no others.
    Given,
}

/// What is left of codes and grants.
pub(crate) struct Supply {
    pub(crate) source: Source,
    pub(crate) codes: Vec<Code>,
    /// Grants by their newest tokens, and whether each may have ended unseen.
    pub(crate) grants: Vec<(Tokens, bool)>,
    /// How many consents the user was asked for.
    pub(crate) asked: u32,
    /// Why there are no more.
    pub(crate) exhausted: String,
}

impl Supply {
    pub(crate) fn new(source: Source, code: Option<Code>, refresh_token: Option<String>) -> Self {
        let exhausted = match &source {
            Source::Given => "there is no further code or grant than the one given".to_owned(),
            _ => format!("it needs a further consent, and no more than {CONSENTS} are asked for"),
        };
        let grant = refresh_token.map(|refresh_token| {
            (Tokens { id_token: String::new(), access_token: None, refresh_token }, true)
        });
        Self {
            source,
            codes: code.into_iter().collect(),
            grants: grant.into_iter().collect(),
            asked: 0,
            exhausted,
        }
    }

    /// Whether every case can have a grant of its own.
    pub(crate) fn is_plentiful(&self) -> bool {
        matches!(self.source, Source::Sandbox(_))
    }

    /// From now on the user is left alone.
    pub(crate) fn ask_no_more(&mut self) {
        self.asked = CONSENTS;
    }

    /// From now on no grant is trusted to be alive.
    pub(crate) fn doubt(&mut self) {
        self.grants.iter_mut().for_each(|(_, doubtful)| *doubtful = true);
    }

    /// Follows what a request did to codes and grants.
    pub(crate) fn saw(&mut self, endpoint: Endpoint, form: &[(&str, &str)], answer: &Response) {
        let sent =
            |name: &str| form.iter().find(|(sent, _)| *sent == name).map(|(_, value)| *value);
        match endpoint {
            Endpoint::Token => {
                let code = sent("code")
                    .and_then(|sent| self.codes.iter().position(|code| code.value == sent));
                if let Some(code) = code {
                    if !answer.is(200) {
                        self.codes[code].tried = true;
                        return;
                    }
                    self.codes.remove(code);
                    self.grants.extend(Tokens::of(answer).ok().map(|tokens| (tokens, false)));
                } else if let Some(sent) = sent("refresh_token").filter(|_| answer.is(200))
                    && let Some((tokens, _)) =
                        self.grants.iter_mut().find(|(tokens, _)| tokens.refresh_token == sent)
                {
                    for (token, name) in [
                        (&mut tokens.id_token, "id_token"),
                        (&mut tokens.refresh_token, "refresh_token"),
                    ] {
                        if let Some(newer) = answer.text(name) {
                            *token = newer;
                        }
                    }
                    tokens.access_token = answer.text("access_token");
                }
            }
            Endpoint::Revocation if answer.is(200) => {
                if let Some(token) = sent("token") {
                    self.grants.retain(|(tokens, _)| !tokens.has(token));
                }
            }
            _ => {}
        }
    }
}
