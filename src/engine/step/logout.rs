//! The logout endpoint through the front channel (OpenID Connect RP-Initiated Logout 1.0): the question whether to log out,
//! and where the browser goes then.

use url::Url;

use crate::engine::button;
use crate::engine::html;
use crate::engine::http::{Request, Response};
use crate::engine::page::{Button, Form, Page};
use crate::engine::submission::Document;
use crate::engine::{RawStep, RunningTrial, answer, delivery, submission};
use crate::model::observation::Outcome;
use crate::wire;

use super::Ready;
use super::authorization_request::led;

/// Where the browser is to go after the logout.
const REDIRECT: &str = "post_logout_redirect_uri";
/// Questions that are answered in one logout.
const MOST_ANSWERS: u32 = 3;

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(endpoint) = trial.known.target.get("end_session_endpoint").cloned() else {
        return RawStep::not_sent("the metadata names no logout endpoint");
    };
    let user = trial.engine.target.user(step.planned.user).clone();
    let mut raw = RawStep::default();
    raw.sent.extend(step.own());
    let query = wire::form(step.parameters.iter().map(|p| (p.name.as_str(), p.value.as_str(), p.raw)));
    // A form is one that a page of another site sends (section 2 of the specification allows both methods).
    let request = if step.planned.transport.method.as_deref() == Some("POST") {
        let mut request = submission::post(&endpoint, &query);
        request.headers.push(("origin".into(), submission::OTHER_SITE.into()));
        request
    } else {
        let url = if query.is_empty() { endpoint } else { wire::with_query(&endpoint, &query) };
        Request { method: "GET".into(), url, ..Request::default() }
    };
    raw.undelivered = delivery::undelivered(step.planned, &step.parameters, &request);
    let own = std::mem::take(trial.browser(&step.planned.session, &user));
    trial.before.insert(step.planned.name.clone(), own.clone());
    let conduct = step.planned.conduct.as_deref().cloned().unwrap_or_default();
    let mut browser = match led(trial, &conduct, own) {
        Ok(browser) => browser,
        Err(why) => return RawStep::not_sent(why),
    };
    // Whoever logs out here leaves the session that his other trials use.
    trial.apart.insert(step.planned.session.clone());
    let asked = step.parameters.iter().find(|p| p.name == REDIRECT).map(|p| p.value.clone());
    let stops = conduct.stops_at.is_some();
    let (outcome, note) = go(trial, &mut browser, request, &mut raw, asked.as_deref(), stops).await;
    (raw.outcome, raw.note) = (Some(outcome), note);
    *trial.browser(&step.planned.session, &user) = browser;
    raw
}

async fn go(
    trial: &RunningTrial<'_>,
    browser: &mut crate::engine::browser::Browser,
    mut next: Request,
    raw: &mut RawStep,
    asked: Option<&str>,
    stops: bool,
) -> (Outcome, String) {
    let http = &trial.engine.http;
    let mut answers = 0;
    // What the address of the server's own page says: there are servers that show every error with 500.
    let mut said = None;
    for _ in 0..http.limits().max_hops {
        let here = next.url.clone();
        let foreign = next.headers.iter().any(|(name, value)| name == "origin" && value == submission::OTHER_SITE);
        let response = match browser.navigate(http, next, foreign).await {
            Ok((request, response)) => {
                raw.exchanges.push((request, Ok(response.clone())));
                response
            }
            Err((request, failure)) => {
                let ended = answer::failed(&failure);
                raw.exchanges.push((request, Err(failure)));
                return ended;
            }
        };
        raw.field("status", Some(response.status.to_string()));
        let page = html::read(&response.body);
        raw.shape = answer::shape_of(&response, Some(&page));
        if let Some(location) = response.header("location").filter(|_| matches!(response.status, 301 | 302 | 303 | 307 | 308)) {
            match leads(trial, &here, location, asked) {
                Leads::Inside(url) => {
                    said = answer::error_in_address(&url);
                    next = get(&url);
                }
                Leads::Out(url, where_to) => return left(raw, &url, where_to, asked),
            }
            continue;
        }
        let links = page.links.iter().any(|link| matches!(leads(trial, &here, link, asked), Leads::Out(_, "asked")));
        raw.field("links_to_asked", links.then_some("true"));
        if let Some((code, why)) = said.take().filter(|(code, _)| !answer::is_fault_of_server(code)) {
            return (Outcome::Refused, format!("{code} ({why}) on a page of the server with the status {}", response.status));
        }
        if let Some(general) = answer::general(&response) {
            return general;
        }
        if answer::refuses(response.status) {
            return (Outcome::Refused, format!("{} {}", response.status, answer::first_words(&response).unwrap_or_default()));
        }
        // Many servers send the browser on from a page that says that the user is logged out.
        let onward = page.refresh.as_deref().or(page.script_redirect.as_deref()).filter(|_| page.forms.is_empty());
        if let Some(onward) = onward {
            match leads(trial, &here, onward, asked) {
                Leads::Inside(url) => next = get(&url),
                Leads::Out(url, where_to) => return left(raw, &url, where_to, asked),
            }
            continue;
        }
        let Some(request) = confirmed(&here, &page) else { return ended(&response, &page) };
        if stops {
            raw.field("stopped_at", Some("page"));
            return (Outcome::Accepted, "stopped at the page that asks whether to log out, as it was told".into());
        }
        if answers == MOST_ANSWERS {
            return (Outcome::Stuck, "the question whether to log out keeps coming back".into());
        }
        answers += 1;
        raw.field("confirmed", Some("true"));
        next = request;
    }
    (Outcome::Unclear, "there was no end to the redirects".into())
}

enum Leads {
    Inside(Url),
    Out(String, &'static str),
}

/// Where an address leads: the one that was asked for, elsewhere outside of the server, or inside.
fn leads(trial: &RunningTrial<'_>, here: &str, location: &str, asked: Option<&str>) -> Leads {
    let url = Url::parse(here).and_then(|base| base.join(location));
    // What is no address for us may be one for a browser.
    let Ok(url) = url else { return Leads::Out(location.to_owned(), "elsewhere") };
    let wanted = asked.is_some_and(|asked| {
        let resolved = Url::parse(here).and_then(|base| base.join(asked)).map_or_else(|_| asked.to_owned(), |url| url.to_string());
        url.as_str().starts_with(&resolved)
    });
    if wanted {
        return Leads::Out(url.to_string(), "asked");
    }
    if trial.engine.http.reaches(&url) { Leads::Inside(url) } else { Leads::Out(url.to_string(), "elsewhere") }
}

/// The browser leaves the server. Where no address was asked for, that is one that the server knows of the client, and the logout has been carried
/// out.
fn left(raw: &mut RawStep, url: &str, where_to: &'static str, asked: Option<&str>) -> (Outcome, String) {
    raw.field("location", Some(url));
    raw.field("delivered_to", Some(where_to));
    let error = || Url::parse(url).ok().and_then(|url| answer::error_in_address(&url));
    if asked.is_none()
        && let Some((code, why)) = error()
    {
        return (Outcome::Refused, format!("{code} ({why}), with which the browser is sent to {url}"));
    }
    let outcome = if where_to == "asked" || asked.is_none() { Outcome::Accepted } else { Outcome::Strayed };
    (outcome, format!("the browser is sent to {url}"))
}

fn get(url: &Url) -> Request {
    Request { method: "GET".into(), url: url.to_string(), ..Request::default() }
}

/// The answer "yes" to a page that asks; None: it asks nothing.
fn confirmed(here: &str, page: &Page) -> Option<Request> {
    let typed = |form: &Form| form.fields.iter().any(|f| matches!(f.kind.as_str(), "text" | "password" | "email" | "tel" | "search"));
    let forms = page.forms.iter().filter(|form| !typed(form));
    let buttons = forms.clone().flat_map(|form| form.buttons.iter().map(move |button| (form, Some(button))));
    let by_script = forms.filter(|form| form.buttons.is_empty() && page.has_script).map(|form| (form, None));
    let stays = |button: &Button| {
        let text = format!("{} {}", button.text, button.value).to_ascii_lowercase();
        ["stay", "back", "no", "cancel"].iter().any(|word| text.split(|c: char| !c.is_ascii_alphabetic()).any(|w| w == *word))
    };
    let leaves = |button: &Button| !stays(button) && button::leaves(button);
    let all: Vec<(&Form, Option<&Button>)> = buttons.chain(by_script).collect();
    let chosen = all.iter().find(|(_, button)| button.is_some_and(leaves));
    let (form, button) = chosen.or_else(|| all.iter().find(|(_, button)| button.is_none_or(|b| !stays(b))))?;
    let mut pairs: Vec<(&str, &str)> = form.fields.iter().map(|f| (f.name.as_str(), f.value.as_str())).collect();
    pairs.extend(button.filter(|b| !b.name.is_empty()).map(|b| (b.name.as_str(), b.value.as_str())));
    let action = button.and_then(|b| b.action.as_deref()).unwrap_or(&form.action);
    Some(submission::request(&form.method, Document::new(here, page.base.as_deref()).action(action)?, &pairs, here))
}

/// A page that asks nothing is the end.
fn ended(response: &Response, page: &Page) -> (Outcome, String) {
    let name = page.name();
    match response.status {
        200..=299 => (Outcome::Accepted, format!("the logout ends on the page “{name}”")),
        status => (Outcome::Unclear, format!("the logout endpoint answers {status}")),
    }
}
