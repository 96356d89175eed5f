//! A browser that is led otherwise than a person goes who logs in and agrees: it stops at a page, goes on with what another
//! one stopped at, refuses, and changes what forms carry.

use std::net::IpAddr;

use url::Url;

use crate::engine::RunningTrial;
use crate::engine::browser::Browser;
use crate::engine::http::{Request, Response};
use crate::engine::login::{Filled, What};
use crate::engine::page::{Form, Page};
use crate::engine::submission::{self, Document};
use crate::model::conduct::{Conduct, Keep, Stop, Taken};
use crate::model::observation::Outcome;
use crate::target::User;
use crate::wire;

use super::{Journey, Turn};

/// Why a page cannot be opened.
pub(super) const NO_ADDRESS: &str = "the page comes in answer to a form, and has no address of its own";

/// A page at which a browser stopped.
#[derive(Debug, Clone)]
pub struct Paused {
    at: Document,
    /// It came in answer to a form, so its address alone does not bring it again.
    is_posted: bool,
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
            // An address has no other hosts, whatever `Domain` says (RFC 6265 §5.1.3).
            Keep::Shared => cookie.with_subdomains && cookie.host.parse::<IpAddr>().is_err(),
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
            let url = match self.conduct.path_of.as_ref().map(|other| (other, self.trial.paused.get(other))) {
                None => {
                    // Many servers show the same question to whoever opens the address that the form went to.
                    self.of_form = paused.is_posted;
                    Ok(paused.at.url)
                }
                Some((other, None)) => Err((Outcome::NotSent, format!("{other} did not stop at a page"))),
                Some((_, Some(other))) => as_page_of(&paused, other).map_err(|why| (Outcome::Impossible, why)),
            };
            return match url {
                Ok(url) => {
                    self.next = Request { method: "GET".into(), url, ..Request::default() };
                    Ok(())
                }
                Err((outcome, why)) => {
                    self.end(outcome, why);
                    Err(())
                }
            };
        }
        let Some(mut filled) = paused.filled else {
            self.end(Outcome::NotSent, format!("the page at which {step} stopped has no form"));
            return Err(());
        };
        if taken == Taken::BareForm {
            let form = paused.page.forms.get(filled.form);
            let hidden = |name: &str| form.is_some_and(|f| f.fields.iter().any(|field| field.kind == "hidden" && field.name == name));
            let mut brought = paused.brought.clone();
            // Which login a password is for is no secret of its page: the attacker's own form names it, and so does its address.
            if filled.password.is_some() {
                brought.extend(wire::parse_form(wire::query_of(&paused.at.url)).into_iter().map(|(_, value)| value));
            }
            filled.retain(|name, value| !hidden(name) || brought.iter().any(|brought| brought == value) || says_little(value));
        }
        let response = Response { status: paused.status, ..Response::default() };
        self.carries_password = filled.what == What::Password;
        if let Turn::Over = self.submit(&paused.at, &paused.page, filled, &response, user).await {
            return Err(());
        }
        if taken == Taken::Link && self.next.method == "POST" {
            let sent = self.next.body.take().unwrap_or_default();
            let url = wire::with_query(&self.next.url, &String::from_utf8_lossy(&sent));
            self.next = Request { method: "GET".into(), url, ..Request::default() };
        }
        if paused.session != session {
            // As a page of another site sends it.
            self.next.headers.retain(|(name, _)| name != "referer" && name != "origin");
            if self.next.method == "POST" {
                self.next.headers.push(("origin".into(), submission::OTHER_SITE.into()));
                self.is_from_elsewhere = true;
            }
        }
        Ok(())
    }

    /// Loads the images of the page that is left, as far as they are the server's own. What comes says nothing of the request.
    pub(super) async fn load_images(&mut self, browser: &mut Browser) {
        for url in std::mem::take(&mut self.images) {
            let request = Request { method: "GET".into(), url: url.into(), ..Request::default() };
            self.raw.exchanges.push(match browser.navigate(&self.trial.engine.http, request, false).await {
                Ok((request, response)) => (request, Ok(response)),
                Err((request, failure)) => (request, Err(failure)),
            });
        }
    }

    /// Keeps in mind which images of this page are to be loaded.
    pub(super) fn see_images(&mut self, at: &Document, page: &Page) {
        const MOST: usize = 8;
        let http = &self.trial.engine.http;
        let own = page.images.iter().filter_map(|address| at.resolve(address)).filter(|url| http.reaches(url));
        self.images = own.take(if self.conduct.loads_images { MOST } else { 0 }).collect();
    }

    /// Whether the browser stops at this page; `filled`: what it would send.
    pub(super) fn stops(&mut self, at: &Document, page: &Page, response: &Response, filled: Option<&Filled>) -> bool {
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
            at: at.clone(),
            is_posted: self.raw.exchanges.last().is_some_and(|(request, _)| request.method == "POST"),
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
            let mut changed = false;
            let mut change = |name: &str, value: &mut String| {
                // The value itself, or an address that carries it.
                if sent.as_ref() == Some(value) || name == parameter && !value.is_empty() {
                    value.clone_from(other);
                    changed = true;
                } else if let Some(carrying) = sent.as_ref().and_then(|sent| in_address(value, parameter, sent, other)) {
                    *value = carrying;
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

/// The address of a page, as it would be in the login of another one: with the values that the other page has.
///
/// # Errors
/// What of the address nobody can know who sees the other page alone.
fn as_page_of(known: &Paused, other: &Paused) -> Result<String, String> {
    /// Longer parts of a path, and those with digits, stand for something.
    const LONGEST_WORD: usize = 20;
    if other.is_posted {
        return Err(NO_ADDRESS.to_owned());
    }
    let read = |address: &str| Url::parse(address).map_err(|error| format!("the address of the page is no URL: {error}"));
    let (own, mut url) = (read(&known.at.url)?, read(&other.at.url)?);
    let parts: Vec<&str> = own.path().split('/').collect();
    let is_word = |part: &str| part.len() < LONGEST_WORD && !part.bytes().any(|b| b.is_ascii_digit());
    if let Some(part) = url.path().split('/').find(|part| !parts.contains(part) && !is_word(part)) {
        return Err(format!("the address of the page has `{part}` in its path, which belongs to one login"));
    }
    let mut values = wire::parse_form(own.query().unwrap_or_default());
    let fields = known.page.forms.iter().flat_map(|form| &form.fields).filter(|field| field.kind == "hidden");
    values.extend(fields.map(|field| (field.name.clone(), field.value.clone())));
    let mut query = wire::parse_form(url.query().unwrap_or_default());
    for (name, value) in query.iter_mut().filter(|(_, value)| !says_little(value)) {
        match values.iter().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_from(known),
            None => return Err(format!("the address of the page has `{name}`, of which the other page knows nothing")),
        }
    }
    if !query.is_empty() {
        url.set_query(Some(&wire::form(query.iter().map(|(n, v)| (n.as_str(), v.as_str(), false)))));
    }
    Ok(url.into())
}

/// An address, or a query, with another value for a parameter that it carries; None: it does not carry it. Spaces are written as `%20` or, by
/// forms, as `+`.
fn in_address(address: &str, parameter: &str, sent: &str, other: &str) -> Option<String> {
    let encoded = wire::encode(sent);
    let spellings = [format!("{parameter}={encoded}"), format!("{parameter}={}", encoded.replace("%20", "+"))];
    let carried = spellings.iter().find(|carried| address.contains(*carried))?;
    Some(address.replace(carried, &format!("{parameter}={}", wire::encode(other))))
}

/// A hidden value that anybody could guess, such as the name of an action.
fn says_little(value: &str) -> bool {
    value.len() < 12 && !value.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::html;

    #[test]
    fn an_address_in_a_form_is_changed_however_it_is_written() {
        for carried in ["/go?scope=openid%20profile&x=1", "/go?scope=openid+profile&x=1"] {
            let changed = in_address(carried, "scope", "openid profile", "openid email");
            assert_eq!(changed.as_deref(), Some("/go?scope=openid%20email&x=1"));
        }
        assert_eq!(in_address("/go?x=1", "scope", "openid", "email"), None);
    }

    fn paused(here: &str, page: &str) -> Paused {
        let (at, page, session) = (Document::new(here, None), html::read(page.as_bytes()), String::new());
        Paused { at, is_posted: false, status: 200, page, filled: None, brought: Vec::new(), session }
    }

    fn opened(here: &str, page: &str, address: &str) -> Result<String, String> {
        as_page_of(&paused(here, page), &paused(address, ""))
    }

    #[test]
    fn the_page_of_another_login_is_opened_with_the_values_of_this_one() {
        let own = "http://as.example/second-factor?tx=OWN-0123456789&execution=OWN-9876543210";
        for (address, expected) in [
            ("http://as.example/consent?tx=OTHER-123456789", "http://as.example/consent?tx=OWN-0123456789"),
            // The name of a step stays.
            ("http://as.example/consent?execution=OAUTH_GRANT&tx=x1", "http://as.example/consent?execution=OAUTH_GRANT&tx=OWN-0123456789"),
            ("http://as.example/consent?sid=OTHER-1", "http://as.example/consent?sid=HIDDEN-1"),
            ("http://as.example/consent", "http://as.example/consent"),
        ] {
            let page = "<form><input type=hidden name=sid value=HIDDEN-1><input name=code></form>";
            assert_eq!(opened(own, page, address).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_belongs_to_one_login_is_not_made_up() {
        for (address, words) in [
            ("http://as.example/consent?consent_challenge=0123456789abcdef", "`consent_challenge`"),
            ("http://as.example/interaction/XPC6a-LcLoPIMjhfQ7hvz", "`XPC6a-LcLoPIMjhfQ7hvz`"),
        ] {
            let why = opened("http://as.example/code?tx=1", "<form></form>", address).err().unwrap_or_default();
            assert!(why.contains(words), "{address}: {why}");
        }
        let answer_to_form = Paused { is_posted: true, ..paused("http://as.example/login", "") };
        assert!(as_page_of(&paused("http://as.example/code", ""), &answer_to_form).is_err_and(|why| why.contains("no address")));
        let here = "http://as.example/interaction/XPC6a-LcLoPIMjhfQ7hvz/code";
        let address = "http://as.example/interaction/XPC6a-LcLoPIMjhfQ7hvz/consent";
        assert_eq!(opened(here, "", address).as_deref(), Ok(address));
    }
}
