//! The part of a journey that needs scripts, in Chromium: which page is meant by the same rules as without, and what is
//! waited for are conditions of the page, never mere time. The authorization request itself has been sent, byte for byte;
//! here its page is opened again, with the same cookies, and driven until the browser leaves the server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use url::Url;

use crate::engine::browser::Browser;
use crate::engine::chromium::traffic::{Hop, Traffic};
use crate::engine::chromium::{Chromium, ENTER, Snapshot, Trouble};
use crate::engine::html;
use crate::engine::http::{Failure, Request, Response};
use crate::engine::login::{self, Action, Entry, Touch, What};
use crate::engine::page::Page;
use crate::engine::submission::Document;
use crate::engine::{answer, evidence, told};
use crate::model::observation::Outcome;
use crate::target::{LoginDriver, User};
use crate::wire;

use super::address::path_of;
use super::{Journey, Leads};

/// Between two looks at the page.
const GLANCE: Duration = Duration::from_millis(50);

/// A page that is loaded, waits for no answer and has not changed for so long is ready to be filled in.
const SETTLED: Duration = Duration::from_millis(300);

/// One that has not for so long does nothing more by itself: what is not there will not come.
const QUIET: Duration = Duration::from_secs(3);

/// Pages filled in and buttons pressed in one journey.
const MOST_ACTS: u32 = 12;

/// Controls that went away under our hands.
const MOST_MISSES: u32 = 20;

/// The headers of an answer that are kept: what is judged, and nothing that a script could have put a secret into.
const KEPT_HEADERS: &[&str] = &["location", "content-type", "x-frame-options", "content-security-policy", "cache-control"];

/// The time of one journey in Chromium.
struct Visit<'c> {
    chromium: &'c Chromium,
    traffic: Traffic,
    /// Documents whose address has been looked at.
    looked_at: usize,
    /// Documents whose forms have been counted.
    counted: usize,
    /// What was done last, on which page, and how many documents there were then.
    last: Option<(What, String, usize)>,
    acts: u32,
    misses: u32,
    /// What was typed and must not be seen.
    typed: Vec<String>,
    /// Pages as they were filled in or left, by the number of their document.
    pages: BTreeMap<usize, String>,
    /// The browser that it began with.
    begun: Browser,
}

impl Journey<'_, '_> {
    /// Whether a page is one for Chromium: it has scripts, and is neither an answer nor a redirect by other means.
    pub(super) fn needs_scripts(&self, here: &str, response: &Response, page: &Page, user: &User) -> bool {
        let login = &self.trial.engine.target.login;
        let asked_for = self.raw.exchanges.last().is_some_and(|(request, _)| request.method == "GET");
        let is_page = login.driver == LoginDriver::Browser && page.has_script && response.status < 400 && asked_for;
        if !is_page || self.page_error.is_some() || self.posted_callback(&Document::new(here, page.base.as_deref()), page).is_some() {
            return false;
        }
        let redirects = page.forms.is_empty() && page.script_redirect.is_some();
        let action = login::act(page, user, login, self.passwords_sent > 0, &self.scope());
        !redirects && !matches!(action, Action::Submit(filled) if filled.what == What::Automatic)
    }

    /// Opens a page in Chromium and goes on there to the end of the journey. `status`: what the page answered before.
    pub(super) async fn in_chromium(&mut self, browser: &mut Browser, user: &User, here: &str, status: u16) {
        let engine = self.trial.engine;
        if !Url::parse(here).is_ok_and(|url| url.as_str() == here) {
            let why = "a script makes the page that answers, and Chromium would write this address in another way than the attack does";
            return self.end(Outcome::Unclear, why.into());
        }
        if engine.http.allows(&self.registered) {
            let why = "the redirect_uri is on an origin of the target, where Chromium would call it: register another one, or use another login driver";
            return self.end(Outcome::Stuck, why.into());
        }
        let mut slot = engine.chromium.lock().await;
        let started = match slot.take() {
            Some(chromium) => Ok(chromium),
            None => Chromium::start(&engine.http, &engine.target).await,
        };
        let chromium = match started {
            Ok(chromium) => chromium,
            Err(why) => return self.end(Outcome::Stuck, why),
        };
        let mut visit = Visit {
            traffic: Traffic::of(&chromium.frame),
            chromium: &chromium,
            looked_at: 0,
            counted: 0,
            last: None,
            acts: 0,
            misses: 0,
            typed: Vec::new(),
            pages: BTreeMap::new(),
            begun: browser.clone(),
        };
        let result = self.visit(&mut visit, browser, user, here, status).await;
        engine.http.also_sent(visit.traffic.requests);
        match result {
            Ok(()) => *slot = Some(chromium),
            // The next journey that needs one starts another.
            Err(trouble) => self.end(Outcome::Unclear, format!("Chromium is lost: {trouble}")),
        }
    }

    async fn visit(&mut self, visit: &mut Visit<'_>, browser: &mut Browser, user: &User, here: &str, status: u16) -> Result<(), Trouble> {
        let chromium = visit.chromium;
        chromium.become_browser(browser, &self.trial.engine.http).await?;
        chromium.session.open(here).await?;
        self.drive(visit, user).await?;
        // What a server answers to a page that is fetched twice is the answer to that, unless the page came again.
        let again = visit.traffic.documents().next().and_then(|hop| hop.status);
        if again != Some(status) && !self.raw.outcome.is_some_and(Outcome::granted) {
            let now = again.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
            self.raw.outcome = Some(Outcome::Unclear);
            self.raw.note = format!(
                "the page answered {status} and, opened again in Chromium, {now}: what came of that says nothing ({})",
                self.raw.note
            );
        }
        let lost = matches!(self.raw.outcome, Some(Outcome::Stuck | Outcome::Unclear));
        let picture = if lost { chromium.picture(&visit.typed).await.ok() } else { None };
        chromium.hand_back(browser).await?;
        let page = visit.pages.last_key_value().map(|(_, html)| html.clone()).unwrap_or_default();
        self.keep_traffic(visit);
        if let Some(picture) = picture
            && let Some(where_to) = evidence::keep(self.trial, browser, &page, &picture)
        {
            self.raw.note = format!("{}; picture and page: {where_to}", self.raw.note);
        }
        Ok(())
    }

    /// Looks at the page until the journey has an end.
    async fn drive(&mut self, visit: &mut Visit<'_>, user: &User) -> Result<(), Trouble> {
        let patience = self.trial.engine.http.limits().timeout * 3;
        let mut deadline = Instant::now() + patience;
        let mut acts = (0, 0);
        let (mut known, mut since) = (String::new(), Instant::now());
        loop {
            visit.traffic.read(&visit.chromium.session.network_log().await?);
            if self.leaves(visit, user) {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.end(Outcome::Unclear, format!("the login in Chromium has no end after {} seconds", patience.as_secs()));
                return Ok(());
            }
            let snapshot = visit.chromium.snapshot().await?;
            match snapshot.filter(|s| s.ready && visit.traffic.is_idle()) {
                Some(snapshot) if snapshot.html == known => {
                    let calm = since.elapsed();
                    if calm >= SETTLED && self.decide(visit, &snapshot, calm, user).await? {
                        return Ok(());
                    }
                }
                Some(snapshot) => (known, since) = (snapshot.html, Instant::now()),
                None => known.clear(),
            }
            if acts != (visit.acts, visit.misses) {
                // What was done changes the page, or will: its rest begins anew.
                acts = (visit.acts, visit.misses);
                deadline = Instant::now() + patience;
                known.clear();
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Whether the window was sent out of the server, or cannot be loaded. The callback is read off the request that the
    /// relay refuses.
    fn leaves(&mut self, visit: &mut Visit<'_>, user: &User) -> bool {
        let password = user.password.as_ref().map_or("", |p| p.reveal());
        let documents: Vec<&Hop> = visit.traffic.documents().collect();
        let carrier = visit.traffic.hops.iter().rfind(|h| carries(&h.posted, password));
        self.raw.field("post_status", carrier.and_then(|h| h.status).map(|s| s.to_string()));
        for hop in documents.iter().skip(visit.looked_at) {
            let Ok(url) = Url::parse(&hop.url) else { continue };
            let where_to = match self.leads(&url) {
                Leads::Inside => continue,
                Leads::Callback(where_to) => where_to,
                Leads::Elsewhere => "elsewhere",
            };
            self.forwarded |= hop.method == "POST" && (carries(&hop.posted, password) || carrier.is_some_and(|c| c.is_same_request(hop)));
            let posted = (hop.method == "POST").then(|| wire::parse_form(&hop.posted));
            self.callback(&url, where_to, posted);
            return true;
        }
        visit.looked_at = documents.len();
        match documents.last().and_then(|hop| Some((hop, hop.error.as_deref()?))) {
            // The window was sent elsewhere before it came, or is given a file.
            None | Some((_, "net::ERR_ABORTED")) => false,
            Some((hop, error)) => {
                let cure = if error.contains("CERT") { "; Chromium does not know `tls.ca`: add it to its own certificates" } else { "" };
                let place = Url::parse(&hop.url).map(|url| super::address::without_query(&url)).unwrap_or_default();
                self.end(Outcome::Unreachable, format!("Chromium cannot load {place}: {error}{cure}"));
                true
            }
        }
    }

    /// Does what the page asks for; true: the journey has ended. `calm`: for how long the page has not changed.
    async fn decide(&mut self, visit: &mut Visit<'_>, snapshot: &Snapshot, calm: Duration, user: &User) -> Result<bool, Trouble> {
        let documents = visit.traffic.documents().count();
        let Some(document) = visit.traffic.documents().filter(|h| h.status.is_some()).last() else { return Ok(false) };
        let response = Response {
            status: document.status.unwrap_or_default(),
            headers: document.headers.clone(),
            body: snapshot.html.clone().into_bytes(),
            ..Response::default()
        };
        let page = html::read_for(&response.body, &self.trial.engine.target.login);
        self.raw.field("status", Some(response.status.to_string()));
        // What a script writes may look the same whatever it says.
        self.raw.shape = format!("{} live script", response.status);
        visit.pages.insert(documents, without(&snapshot.html, &visit.typed));
        if visit.counted < documents && page.forms.iter().any(|f| !f.fields.is_empty() || !f.buttons.is_empty()) {
            visit.counted = documents;
            self.count_form_page(&snapshot.url, &response);
        }
        if page.planted {
            self.raw.field("planted_markup", Some(path_of(&snapshot.url)));
        }
        if let Some((outcome, note)) = answer::general(&response) {
            self.end(outcome, note);
            return Ok(true);
        }
        let password = user.password.as_ref().map_or("", |p| p.reveal());
        if (400..500).contains(&response.status) && carries(&document.posted, password) && self.refuses_login(&response, user) {
            return Ok(true);
        }
        self.page_error = Url::parse(&snapshot.url).ok().as_ref().and_then(answer::error_in_address);
        self.remark(&page);
        let action = login::act(&page, user, &self.trial.engine.target.login, self.passwords_sent > 0, &self.scope());
        let is_new = visit.last.as_ref().is_none_or(|(_, _, before)| *before < documents);
        match action {
            // A live page submits and redirects by itself.
            Action::Beyond(_) | Action::Refresh(_) | Action::Nothing if calm < QUIET => Ok(false),
            Action::Submit(filled) if filled.what == What::Automatic && calm < QUIET => Ok(false),
            Action::Beyond(why) if response.status < 400 => {
                self.end(Outcome::Stuck, why);
                Ok(true)
            }
            Action::Submit(filled) if filled.what != What::Automatic => {
                let what = filled.what;
                let this = (what, page.outline.clone(), documents);
                let same = visit.last.as_ref() == Some(&this);
                // Whether something comes of what was done is not known before the page is quiet.
                let again = what == What::Password && self.passwords_sent > 0 || what == What::Code && self.codes_sent > 0;
                let pending = same || again && !is_new;
                if pending && calm < QUIET {
                    return Ok(false);
                }
                if same && what == What::Consent || visit.acts >= MOST_ACTS {
                    self.end(Outcome::Stuck, format!("nothing comes of pressing the buttons of the page{}", login::titled(&page)));
                    return Ok(true);
                }
                if !self.may(what, &response, &page, user) {
                    return Ok(true);
                }
                if what == What::Password {
                    let mut before = visit.begun.clone();
                    visit.chromium.hand_back(&mut before).await?;
                    self.before_login = Some(before);
                }
                let code = if filled.code.is_some() { self.trial.engine.one_time_code(user).await } else { String::new() };
                match touch_page(visit, snapshot, &filled.touch, user, &code).await {
                    Ok(()) => {
                        self.count(what);
                        self.told.push(told::page(&page, &filled, user));
                        visit.acts += 1;
                        visit.last = Some(this);
                        Ok(false)
                    }
                    Err(Trouble::Refused { .. }) if visit.misses < MOST_MISSES => {
                        // The page made its controls anew in the meantime.
                        visit.misses += 1;
                        Ok(false)
                    }
                    Err(Trouble::Refused { error, message }) => {
                        let why = Trouble::Refused { error, message };
                        self.end(Outcome::Stuck, format!("the page{} cannot be filled in: {why}", login::titled(&page)));
                        Ok(true)
                    }
                    Err(gone) => Err(gone),
                }
            }
            _ => {
                self.last_page(&response, &page);
                Ok(true)
            }
        }
    }

    /// Puts what went over the network into the record. What scripts sent is left out: it may hold secrets under any name.
    fn keep_traffic(&mut self, visit: &Visit<'_>) {
        let mut documents = 0;
        for hop in &visit.traffic.hops {
            documents += usize::from(hop.is_document);
            if !self.trial.engine.http.allows(&hop.url) {
                continue;
            }
            let request = Request { method: hop.method.clone(), url: hop.url.clone(), ..Request::default() };
            let headers = hop.headers.iter().filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str())).cloned().collect();
            let body = if hop.is_document { visit.pages.get(&documents).cloned().unwrap_or_default() } else { String::new() };
            let answer = match hop.status {
                Some(status) => Ok(Response { status, headers, body: body.into_bytes(), ..Response::default() }),
                None => Err(Failure::Broken(hop.error.clone().unwrap_or_else(|| "the page was left before the answer came".into()))),
            };
            self.raw.exchanges.push((request, answer));
        }
    }
}

/// Fills in and presses as a person would.
async fn touch_page(visit: &mut Visit<'_>, snapshot: &Snapshot, touch: &Touch, user: &User, code: &str) -> Result<(), Trouble> {
    let session = &visit.chromium.session;
    let gone = || Trouble::Refused { error: "no such element".into(), message: String::new() };
    for (live, entry) in &touch.typed {
        let control = snapshot.control(*live).ok_or_else(gone)?;
        let text = match entry {
            Entry::Name => user.name.as_str(),
            Entry::Password => user.password.as_ref().map_or("", |p| p.reveal()),
            Entry::Code => code,
        };
        session.clear(control).await?;
        session.send_keys(control, text).await?;
        if *entry != Entry::Name && !visit.typed.iter().any(|known| known == text) {
            visit.typed.push(text.to_owned());
        }
    }
    for live in &touch.ticked {
        session.click(snapshot.control(*live).ok_or_else(gone)?).await?;
    }
    match (touch.pressed, touch.typed.last()) {
        (Some(live), _) => session.click(snapshot.control(live).ok_or_else(gone)?).await,
        (None, Some((live, _))) => session.send_keys(snapshot.control(*live).ok_or_else(gone)?, ENTER).await,
        (None, None) => Ok(()),
    }
}

/// Whether a body carries a password, as a form or as JSON.
fn carries(posted: &str, password: &str) -> bool {
    let quoted = serde_json::Value::from(password).to_string();
    !password.is_empty() && (posted.contains(&quoted) || wire::parse_form(posted).iter().any(|(_, value)| value == password))
}

/// A page without what was typed into fields that show it.
fn without(html: &str, typed: &[String]) -> String {
    typed.iter().fold(html.to_owned(), |page, text| {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        page.replace(&format!("value=\"{escaped}\""), "value=\"\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_in_forms_and_in_json() {
        assert!(carries("user=a&password=p%26w+x", "p&w x") && carries(r#"{"a":"b","pw":"p\"w"}"#, "p\"w"));
        assert!(!carries("user=a&password=other", "p&w x") && !carries("", "") && !carries("user=passw", "pass"));
    }

    #[test]
    fn what_was_typed_is_not_kept() {
        assert_eq!(without("<input value=\"12&amp;3\"><p>12&amp;3", &["12&3".into()]), "<input value=\"\"><p>12&amp;3");
    }
}
