//! A browser that is led otherwise than a person goes who logs in and agrees: it stops at a page, goes on with what another
//! one stopped at, refuses, and changes what forms carry.

use url::Url;

use crate::engine::RunningTrial;
use crate::engine::browser::Browser;
use crate::engine::http::{Request, Response};
use crate::engine::login::{Filled, What};
use crate::engine::page::{Form, Page};
use crate::model::conduct::{Conduct, Keep, Stop, Taken};
use crate::model::observation::Outcome;
use crate::target::User;
use crate::wire;

use super::{Journey, Turn};

/// What a form says that another site sends.
const OTHER_SITE: &str = "https://evil.example";

/// A page at which a browser stopped.
#[derive(Debug, Clone)]
pub struct Paused {
    /// Its address, and what its links are relative to.
    here: String,
    base: String,
    status: u16,
    page: Page,
    /// Its form, filled in; None where there is nothing that could be sent.
    filled: Option<Filled>,
    /// The values that the authorization request brought.
    brought: Vec<String>,
    session: String,
}

/// The browser with which a led step begins.
///
/// # Errors
/// The step whose cookies it should have has not begun.
pub fn browser(trial: &RunningTrial<'_>, conduct: &Conduct, own: Browser) -> Result<Browser, String> {
    let before = match &conduct.as_before {
        Some(step) => trial.before.get(step).cloned().ok_or_else(|| format!("{step} has not begun"))?,
        None => own,
    };
    Ok(match conduct.keeps {
        None => before,
        Some(keep) => before.with_cookies(|cookie| match keep {
            Keep::Readable => !cookie.http_only,
            Keep::Insecure => !cookie.secure,
            Keep::Shared => cookie.with_subdomains,
        }),
    })
}

impl Journey<'_, '_> {
    /// The first request is ready, where the step goes on with what another one stopped at.
    pub(super) async fn take_over(&mut self, session: &str, user: &User) -> Result<(), ()> {
        let Some((step, taken)) = self.conduct.goes_on.clone() else { return Ok(()) };
        let Some(paused) = self.trial.paused.get(&step).cloned() else {
            self.end(Outcome::NotSent, format!("{step} did not stop at a page"));
            return Err(());
        };
        if taken == Taken::Page {
            self.next = Request { method: "GET".into(), url: paused.here, ..Request::default() };
            return Ok(());
        }
        let Some(mut filled) = paused.filled else {
            self.end(Outcome::NotSent, format!("the page at which {step} stopped has no form"));
            return Err(());
        };
        if taken == Taken::BareForm {
            let form = paused.page.forms.get(filled.form);
            let hidden = |name: &str| form.is_some_and(|f| f.fields.iter().any(|field| field.kind == "hidden" && field.name == name));
            let brought = &paused.brought;
            // Indices of password and code would no longer fit.
            if filled.password.is_some() || filled.code.is_some() {
                self.end(Outcome::NotSent, "a form with a password is sent whole".into());
                return Err(());
            }
            filled.pairs.retain(|(name, value)| !hidden(name) || brought.contains(value) || says_little(value));
        }
        let response = Response { status: paused.status, ..Response::default() };
        self.carries_password = filled.what == What::Password;
        if let Turn::Over = self.submit(&paused.base, &paused.page, filled, &response, user).await {
            return Err(());
        }
        if paused.session != session {
            // As a page of another site sends it.
            self.next.headers.retain(|(name, _)| name != "referer" && name != "origin");
            if self.next.method == "POST" {
                self.next.headers.push(("origin".into(), OTHER_SITE.into()));
            }
        }
        Ok(())
    }

    /// Whether the browser stops at this page; `filled`: what it would send.
    pub(super) fn stops(&mut self, here: &str, base: &str, page: &Page, response: &Response, filled: Option<&Filled>) -> bool {
        let Some(stop) = self.conduct.stops_at else { return false };
        let asks = filled.map(|filled| match filled.what {
            What::Password | What::Name => Stop::Login,
            What::Code => Stop::Code,
            What::Consent => Stop::Consent,
            What::Automatic => Stop::Page,
        });
        // A page that says what is wrong is an end, not a stop.
        let is_end = response.status >= 400 && !matches!(asks, Some(Stop::Login));
        let wanted = match asks {
            Some(Stop::Page) | None => false,
            Some(Stop::Login | Stop::Code) if stop == Stop::Credentials => true,
            Some(asks) => stop == Stop::Page || stop == asks,
        };
        if is_end || !wanted {
            return false;
        }
        let name = asks.map_or("page", Stop::name);
        self.raw.field("stopped_at", Some(name));
        self.paused = Some(Paused {
            here: here.to_owned(),
            base: base.to_owned(),
            status: response.status,
            page: page.clone(),
            filled: filled.cloned(),
            brought: self.raw.sent.values().cloned().collect(),
            session: self.session.clone(),
        });
        self.end(Outcome::Accepted, format!("stopped at the {name} page, as it was told"));
        true
    }

    /// Puts other values in the place of those that a form, or its address, carries for parameters of the request.
    pub(super) fn tamper(&mut self, form: &Form, pairs: &mut [(String, String)], url: &mut Url) {
        for (parameter, other) in &self.tampers {
            // Of a request that was pushed by a step of its own only the name is known here.
            let sent = self.raw.sent.get(parameter).filter(|sent| !sent.is_empty()).cloned();
            let encoded = sent.as_ref().map(|sent| format!("{parameter}={}", wire::encode(sent)));
            let mut changed = false;
            let mut change = |name: &str, value: &mut String| {
                // The value itself, or an address that carries it.
                if sent.as_ref() == Some(value) || name == parameter && !value.is_empty() {
                    value.clone_from(other);
                    changed = true;
                } else if let Some(encoded) = encoded.as_ref().filter(|encoded| value.contains(*encoded)) {
                    *value = value.replace(encoded, &format!("{parameter}={}", wire::encode(other)));
                    changed = true;
                }
            };
            let hidden = |name: &str| form.fields.iter().any(|f| f.kind == "hidden" && f.name == name);
            pairs.iter_mut().filter(|(name, _)| hidden(name)).for_each(|(name, value)| change(name, value));
            let mut query = wire::parse_form(url.query().unwrap_or_default());
            query.iter_mut().for_each(|(name, value)| change(name, value));
            if changed {
                if !query.is_empty() {
                    url.set_query(Some(&wire::form(query.iter().map(|(n, v)| (n.as_str(), v.as_str(), false)))));
                }
                let known = self.raw.fields.get("tampered").cloned().unwrap_or_default();
                if !known.split(' ').any(|name| name == parameter) {
                    self.raw.field("tampered", Some(format!("{known} {parameter}").trim()));
                }
            }
        }
    }
}

/// A hidden value that anybody could guess, such as the name of an action.
fn says_little(value: &str) -> bool {
    value.len() < 12 && !value.bytes().any(|b| b.is_ascii_digit())
}
