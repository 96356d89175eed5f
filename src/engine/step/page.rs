//! A page that a user opens in his browser: the verification page of the device flow (RFC 8628 §3.3). He types the code, logs
//! in where he is asked to, and confirms, refuses, or goes no further.

use url::Url;

use crate::engine::browser::Browser;
use crate::engine::html;
use crate::engine::http::{Failure, Request, Response};
use crate::engine::login::{self, Action, Filled, What};
use crate::engine::logins::MOST_REFUSED;
use crate::engine::page::{Button, Form, Page};
use crate::engine::submission::Document;
use crate::engine::{RawStep, RunningTrial, answer, button, submission, told};
use crate::model::observation::Outcome;
use crate::model::step::Place;
use crate::target::{self, User};
use crate::wire;

use super::Ready;

/// What the user does where he is asked to confirm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Allow,
    Deny,
    /// He goes no further.
    None,
}

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let given = |name: &str| step.parameters.iter().rfind(|p| p.name == name).map(|p| p.value.clone());
    let Some(address) = given("address") else { return RawStep::not_sent("the page has no address") };
    if !trial.engine.http.allows(&address) {
        return RawStep::not_sent(format!("{address} is outside the target's hosts; add it to `hosts` if it belongs to the target"));
    }
    let decision = match given("decision").as_deref() {
        Some("deny") => Decision::Deny,
        Some("none") => Decision::None,
        _ => Decision::Allow,
    };
    let user = trial.engine.target.user(step.planned.user).clone();
    let session = &step.planned.session;
    let mut browser = if step.planned.logged_out { Browser::empty(session) } else { std::mem::take(trial.browser(session, &user)) };
    let mut raw = RawStep::default();
    raw.sent.extend(step.own());
    let has_sent = given("body").is_some();
    let first = match given("body") {
        Some(body) => submission::post(&address, &body),
        None => Request { method: "GET".into(), url: address, ..Request::default() },
    };
    let headers = step.parameters.iter().filter(|p| p.place == Some(Place::Header)).map(|p| (p.name.clone(), p.value.clone())).collect();
    let mut visit = Visit {
        trial,
        raw,
        next: first,
        headers,
        decision,
        code: given("user_code"),
        has_typed: false,
        passwords_sent: 0,
        others_sent: 0,
        told: Vec::new(),
        has_sent,
    };
    visit.go(&mut browser, &user).await;
    let (mut raw, told) = (visit.raw, visit.told);
    raw.field("pages", (!told.is_empty()).then(|| told.join("\n")));
    if !step.planned.logged_out {
        trial.engine.keep_session(&user.name, &browser);
    }
    *trial.browser(session, &user) = browser;
    raw
}

struct Visit<'t, 'e> {
    trial: &'t RunningTrial<'e>,
    raw: RawStep,
    next: Request,
    /// Of the first request.
    headers: Vec<(String, String)>,
    decision: Decision,
    /// The code that is still to be typed.
    code: Option<String>,
    /// It was.
    has_typed: bool,
    passwords_sent: u32,
    /// Names and one-time codes.
    others_sent: u32,
    told: Vec<String>,
    /// A form went out: what comes after it is its answer, whatever makes the page.
    has_sent: bool,
}

impl Visit<'_, '_> {
    async fn go(&mut self, browser: &mut Browser, user: &User) {
        let http = &self.trial.engine.http;
        for _ in 0..http.limits().max_hops {
            let mut request = std::mem::take(&mut self.next);
            let here = request.url.clone();
            let own = std::mem::take(&mut self.headers);
            let foreign = own.iter().any(|(name, value)| name == "origin" && Some(value) != submission::origin(&here).as_ref());
            request.headers.extend(own);
            let response = match browser.navigate(http, request, foreign).await {
                Ok((request, response)) => {
                    self.raw.exchanges.push((request, Ok(response.clone())));
                    response
                }
                Err((request, failure)) => {
                    let (outcome, mut note) = answer::failed(&failure);
                    if matches!(failure, Failure::Outside(_)) {
                        note = format!("{note}; add it to `hosts` if it belongs to the target");
                    }
                    self.raw.exchanges.push((request, Err(failure)));
                    return self.end(outcome, note);
                }
            };
            self.raw.field("status", Some(response.status.to_string()));
            if matches!(response.status, 301 | 302 | 303 | 307 | 308)
                && let Some(location) = response.header("location")
            {
                match Url::parse(&here).and_then(|base| base.join(location)) {
                    Ok(url) if http.reaches(&url) => self.follow(&url),
                    Ok(url) => return self.end(Outcome::Strayed, format!("the browser is sent to {}", url.origin().ascii_serialization())),
                    Err(_) => return self.end(Outcome::Strayed, "the Location header is no URL".into()),
                }
                continue;
            }
            self.raw.shape = answer::shape(&response);
            if let Some((outcome, note)) = answer::general(&response) {
                return self.end(outcome, note);
            }
            if !self.page(&here, &response, user).await {
                return;
            }
        }
        self.end(Outcome::Unclear, "the pages have no end".into());
    }

    /// Decides on a page; false: the visit is over.
    async fn page(&mut self, here: &str, response: &Response, user: &User) -> bool {
        let engine = self.trial.engine;
        let page = html::read_for(&response.body, &engine.target.login);
        let at = Document::new(here, page.base.as_deref());
        let asks_for_password = page.forms.iter().any(|f| f.fields.iter().any(|field| field.kind == "password"));
        let code_field = page.forms.iter().enumerate().find_map(|(at, form)| Some((at, code_field(form)?))).filter(|_| !asks_for_password);
        if let (Some((index, field)), true) = (code_field, response.status < 400) {
            let Some(form) = page.forms.get(index) else { return self.last(response, &page) };
            let shown = form.fields.get(field).map(|field| field.value.clone()).filter(|shown| !shown.is_empty() && !self.has_sent);
            let asks = button::decides(form);
            let typed_now = self.code.take().inspect(|_| self.has_typed = true);
            let Some(code) = typed_now.or(shown.filter(|_| asks)) else {
                return match self.decision {
                    // A page that wants the code typed, or sent on, has not approved anything. Where it was typed, the user was not asked.
                    Decision::None if !self.has_typed => self.stop(&at, &page, None),
                    _ => self.over(Outcome::Refused, format!("the page{} asks for the code again", login::titled(&page))),
                };
            };
            let agreeing = form.buttons.iter().max_by_key(|b| button::score(form, b, &target::Login::default()));
            let filled = typed(index, form, field, &code, agreeing);
            return match self.decision {
                _ if !asks => self.submit(&at, &page, filled, user).await,
                Decision::Allow => self.answer("allow", &at, &page, filled, user).await,
                Decision::None => self.stop(&at, &page, Some(filled)),
                Decision::Deny => match button::refusing_of(form) {
                    Some(button) => self.deny(&at, &page, typed(index, form, field, &code, Some(button)), button, user).await,
                    None => self.over(Outcome::Unclear, format!("the page{} has no button that refuses", login::titled(&page))),
                },
            };
        }
        let action = login::act(&page, user, &engine.target.login, self.passwords_sent > 0, "");
        match action {
            Action::Submit(filled) if matches!(filled.what, What::Password | What::Name | What::Code) => {
                let refused = engine.logins.refusals(&user.name, "");
                if filled.what == What::Password && (self.passwords_sent > 0 || refused >= MOST_REFUSED) || self.others_sent > 2 {
                    engine.logins.refused(&user.name, "");
                    return self.over(Outcome::Stuck, format!("the login of `{}` is refused", user.name));
                }
                if filled.what == What::Password {
                    self.passwords_sent += 1
                } else {
                    self.others_sent += 1
                }
                self.submit(&at, &page, filled, user).await
            }
            Action::Submit(_) | Action::Refresh(_) if response.status >= 400 => self.last(response, &page),
            Action::Submit(filled) if filled.what == What::Consent => {
                self.logged_in(user);
                match self.decision {
                    Decision::Allow => self.answer("allow", &at, &page, filled, user).await,
                    Decision::None => self.stop(&at, &page, Some(filled)),
                    Decision::Deny => match button::refusing(&page) {
                        Some((index, form, button)) => {
                            self.deny(&at, &page, login::pressed(index, form, Some(button), false), button, user).await
                        }
                        None => self.over(Outcome::Unclear, format!("the page{} has no button that refuses", login::titled(&page))),
                    },
                }
            }
            Action::Submit(filled) => self.submit(&at, &page, filled, user).await,
            Action::Refresh(to) => match at.resolve(&to) {
                Some(url) if engine.http.reaches(&url) => {
                    self.follow(&url);
                    true
                }
                _ => self.over(Outcome::Strayed, "the page sends the browser elsewhere".into()),
            },
            Action::Beyond(why) if response.status < 400 => self.over(Outcome::Stuck, why),
            _ => self.last(response, &page),
        }
    }

    /// Nothing is left to do on this page.
    fn last(&mut self, response: &Response, page: &Page) -> bool {
        let title = login::titled(page);
        if response.status >= 400 {
            self.over(Outcome::Refused, format!("an error page{title} with the status {}", response.status))
        } else if login::made_by_script(page) && !self.has_sent {
            self.over(Outcome::Unclear, format!("a script makes the page{title}, which is not run here"))
        } else {
            // What it says in words proves nothing: the poll shows what was decided.
            self.over(Outcome::Accepted, format!("the browser ends on the page{title}"))
        }
    }

    /// Stops where the user is asked; what he would send is kept.
    fn stop(&mut self, at: &Document, page: &Page, filled: Option<Filled>) -> bool {
        self.raw.field("asked", Some("true"));
        if let Some(request) = filled.and_then(|filled| request(at, page, &filled)).filter(|r| r.method == "POST") {
            self.raw.field("form_action", Some(request.url));
            self.raw.field("form_body", request.body.map(|body| wire::text(&body).into_owned()));
        }
        self.over(Outcome::Accepted, format!("the page{} asks the user, who goes no further", login::titled(page)))
    }

    /// Presses what the user decided.
    async fn answer(&mut self, decided: &str, at: &Document, page: &Page, filled: Filled, user: &User) -> bool {
        self.raw.field("answered", Some(decided));
        self.submit(at, page, filled, user).await
    }

    /// Presses the button that refuses.
    async fn deny(&mut self, at: &Document, page: &Page, filled: Filled, button: &Button, user: &User) -> bool {
        self.raw.field("by_script", button.script.then_some("true"));
        self.answer("deny", at, page, filled, user).await
    }

    async fn submit(&mut self, at: &Document, page: &Page, mut filled: Filled, user: &User) -> bool {
        self.told.push(told::page(page, &filled, user));
        self.has_sent = true;
        if let Some(pair) = filled.code.and_then(|at| filled.pairs.get_mut(at)) {
            pair.1 = self.trial.engine.one_time_code(user).await;
            self.raw.secret_names.push((pair.0.clone(), "otp"));
        }
        if let Some(pair) = filled.password.and_then(|at| filled.pairs.get(at)) {
            self.raw.secret_names.push((pair.0.clone(), "password"));
        }
        match request(at, page, &filled) {
            Some(request) => {
                self.next = request;
                true
            }
            None => self.over(Outcome::Unclear, "the form's action is no URL".into()),
        }
    }

    fn follow(&mut self, url: &Url) {
        self.next = Request { method: "GET".into(), url: url.to_string(), ..Request::default() };
    }

    fn logged_in(&self, user: &User) {
        if self.passwords_sent > 0 {
            self.trial.engine.logins.took(&user.name, "");
        }
    }

    fn over(&mut self, outcome: Outcome, note: String) -> bool {
        self.end(outcome, note);
        false
    }

    fn end(&mut self, outcome: Outcome, note: String) {
        (self.raw.outcome, self.raw.note) = (Some(outcome), note);
    }
}

/// The request that a filled-in form is.
fn request(at: &Document, page: &Page, filled: &Filled) -> Option<Request> {
    let form = page.forms.get(filled.form)?;
    let url = at.action(filled.action.as_ref().unwrap_or(&form.action))?;
    Some(submission::request(&form.method, url, &filled.pairs, &at.url))
}

/// The field of a form that takes the user code: the only one that a person types into, called so.
fn code_field(form: &Form) -> Option<usize> {
    let mut typed = form.fields.iter().enumerate().filter(|(_, f)| matches!(f.kind.as_str(), "text" | "tel" | "search" | "number"));
    let (at, field) = typed.next()?;
    let says = |text: &str| {
        let plain: String = text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        plain.contains("usercode") || plain.contains("devicecode") || plain == "code"
    };
    (typed.next().is_none() && (says(&field.name) || says(&field.id))).then_some(at)
}

/// The form with the code in its field.
fn typed(at: usize, form: &Form, field: usize, code: &str, button: Option<&Button>) -> Filled {
    let mut filled = login::pressed(at, form, button, true);
    let name = form.fields.get(field).map(|field| &field.name);
    filled.pairs.iter_mut().filter(|(n, _)| Some(n) == name).for_each(|pair| code.clone_into(&mut pair.1));
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        html::read(text.as_bytes()).forms.remove(0)
    }

    /// Keycloak, oidc-provider, and pages on which a person types something else.
    #[test]
    fn the_field_of_a_user_code() {
        for (page, expected) in [
            (
                "<form method=post><input type=hidden name=xsrf value=1><input type=text name=user_code><button>Continue</button></form>",
                Some(1),
            ),
            ("<form><input id=device-user-code name=device_user_code><input type=submit></form>", Some(0)),
            ("<form><input name=username><input type=password name=password></form>", None),
            ("<form><input name=user_code><input name=other></form>", None),
            ("<form><input name=q></form>", None),
        ] {
            assert_eq!(code_field(&form(page)), expected, "{page}");
        }
    }

    /// Where code and question are on one form, who refuses must not have sent it by the button that allows.
    #[test]
    fn a_form_that_takes_the_code_may_be_the_question() {
        for (buttons, expected) in [
            ("<button name=allowed value=1>Allow</button><button name=allowed value=0>Deny</button>", true),
            ("<button>Authorize this device</button>", true),
            ("<button>Continue</button>", false),
            ("<button>Confirm</button><button>Deny</button>", true),
            ("<button>Next</button><button name=cancel>Cancel</button>", false),
            ("<input type=submit value=Submit>", false),
            ("<input type=submit name=approve value=Submit>", false),
            ("<button name=authorize><img src=ok.svg></button>", false),
            ("<button value=approve><img src=ok.svg></button>", true),
        ] {
            assert_eq!(button::decides(&form(&format!("<form method=post><input name=user_code>{buttons}</form>"))), expected, "{buttons}");
        }
    }

    #[test]
    fn a_code_is_typed_and_sent_with_what_the_form_hides() {
        let page = html::read(b"<form method=post action=/d><input type=hidden name=xsrf value=1><input name=user_code value=OLD><button name=go value=1>Continue</button></form>");
        assert!(!button::decides(&page.forms[0]));
        let filled = typed(0, &page.forms[0], 1, "WDJB-MJHT", page.forms[0].buttons.first());
        let at = Document::new("http://as.example/device?user_code=OLD", None);
        let sent = request(&at, &page, &filled).expect("a request");
        let body = sent.body.map(|body| wire::text(&body).into_owned());
        assert_eq!((sent.url.as_str(), body.as_deref()), ("http://as.example/d", Some("xsrf=1&user_code=WDJB-MJHT&go=1")));
        assert!(sent.headers.contains(&("origin".into(), "http://as.example".into())));
    }
}
