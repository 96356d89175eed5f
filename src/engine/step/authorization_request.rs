//! The authorization endpoint through the front channel: login, consent, and where the browser ends (RFC 6749 §4.1).

mod address;
mod ending;
mod exposed;
mod in_chromium;
mod led;
mod repeated;
mod rules;
mod signed;
mod watched;

use url::Url;

use crate::engine::browser::Browser;
use crate::engine::delivery::Sent;
use crate::engine::html;
use crate::engine::http::{Failure, Request, Response};
use crate::engine::login::{self, Action, Filled, What};
use crate::engine::outside::{self, Answer};
use crate::engine::page::{Form, Page};
use crate::engine::submission::Document;
use crate::engine::{RawStep, RunningTrial, answer, delivery, submission, told};
use crate::model::conduct::Conduct;
use crate::model::observation::Outcome;
use crate::model::step::Place;
use crate::target::{LoginDriver, User};
use crate::wire;

use super::Ready;
use address::{path_of, without_query};
pub use led::{Paused, browser as led};
pub use repeated::drive;

/// Sends the browser on its way, with what it takes there; `raw`: the step so far.
async fn travel(trial: &mut RunningTrial<'_>, step: &Ready<'_>, endpoint: &str, carried: &[Sent], raw: RawStep) -> RawStep {
    let user = trial.engine.target.user(step.planned.user).clone();
    let pushed = !raw.exchanges.is_empty();
    let planned = step.planned;
    let conduct = planned.conduct.as_deref().cloned().unwrap_or_default();
    let tampers = match trial.known.members(&conduct.tampers, &step.actor) {
        Ok(tampers) => tampers,
        Err(missing) => return RawStep::missing(&missing),
    };
    let own = match (planned.logged_out, planned.before_login) {
        (true, _) => Browser::empty(&planned.session),
        (_, true) => match trial.before_login.get(&planned.session) {
            Some(browser) => browser.clone(),
            None => return RawStep::not_sent("nobody has logged in with this browser before"),
        },
        _ => trial.browser(&planned.session, &user).clone(),
    };
    trial.before.insert(planned.name.clone(), own.clone());
    if conduct.is_apart(planned.logged_out) {
        trial.apart.insert(planned.session.clone());
    }
    let mut browser = match led::browser(trial, &conduct, own) {
        Ok(browser) => browser,
        Err(why) => return RawStep::not_sent(why),
    };
    let mut journey = Journey::new(trial, step, endpoint, carried, raw);
    (journey.tampers, journey.conduct) = (tampers, conduct);
    if !pushed && journey.conduct.goes_on.is_none() {
        journey.raw.undelivered = delivery::undelivered(step.planned, &step.parameters, &journey.next);
    }
    if journey.take_over(&planned.session, &user).await.is_ok() {
        journey.go(&mut browser, &user).await;
    }
    let (mut raw, before_login, paused) = (journey.raw, journey.before_login, journey.paused);
    if let Some(before) = before_login {
        trial.before_login.insert(planned.session.clone(), before);
    }
    if let Some(paused) = paused {
        trial.paused.insert(planned.name.clone(), paused);
    }
    // As in a person's browser, the cookies of the last answer are those of the next request: servers renew a session
    // at login and at consent, and an older copy of it would be refused.
    if !planned.logged_out && !planned.before_login && !trial.apart.contains(&planned.session) {
        trial.engine.keep_session(&user.name, &browser);
    }
    *trial.browser(&step.planned.session, &user) = browser;
    signed::look(trial, &mut raw).await;
    raw
}

struct Journey<'t, 'e> {
    trial: &'t RunningTrial<'e>,
    raw: RawStep,
    next: Request,
    registered: String,
    /// The changed redirect_uri, where the attack changes it.
    asked: Option<String>,
    /// The state that was sent.
    state: Option<String>,
    passwords_sent: u32,
    /// The request that is answered has the password in its body.
    carries_password: bool,
    /// A redirect made the browser send the password on to the client.
    forwarded: bool,
    /// What made it send it on within the server: the status, and the path that it goes to.
    sent_on: Option<(u16, String)>,
    names_sent: u32,
    codes_sent: u32,
    /// The authorization request itself, for a login that somebody else does.
    begun: Request,
    /// Who logs in.
    user: String,
    asked_outside: bool,
    /// The authorization request was sent once more, after a login that led elsewhere.
    asked_again: bool,
    /// It opens the address of a page that came in answer to a form: only a code shows that this was the page.
    of_form: bool,
    form_pages: u32,
    unframed: Vec<String>,
    /// The error that the address of the server's own page carries: code and description.
    page_error: Option<(String, String)>,
    /// What was done with each page, for people.
    told: Vec<String>,
    /// Pages seen so far, by path, outline and status; and how many came again.
    pages: std::collections::BTreeSet<(String, String, u16)>,
    repeats: u32,
    /// Hints that matched nothing where a password was asked for.
    remarks: Vec<String>,
    /// The browser before the password was sent.
    before_login: Option<Browser>,
    /// The maker of a CAPTCHA whose script a login page loaded.
    captcha: Option<&'static str>,
    conduct: Conduct,
    /// What forms are to carry in place of parameters of the request.
    tampers: Vec<(String, String)>,
    session: String,
    /// The page at which it stopped, as it was told.
    paused: Option<Paused>,
    /// A page of another site sends what is sent next.
    is_from_elsewhere: bool,
    /// Images of the page before, which are loaded before the next request.
    images: Vec<Url>,
    seen: watched::Seen,
    /// What was pushed for it, by parameter, and must not come back.
    pushed: std::collections::BTreeMap<String, String>,
}

/// What comes after a page.
enum Turn {
    /// The next request is ready; what was filled in.
    Go(What),
    /// The journey is at its end.
    Over,
    /// The page wants a login that somebody else does.
    Outside,
}

/// Where a URL leads.
enum Leads {
    Callback(&'static str),
    Inside,
    Elsewhere,
}

impl<'t, 'e> Journey<'t, 'e> {
    /// `carried`: what the browser takes to the authorization endpoint.
    fn new(trial: &'t RunningTrial<'e>, step: &Ready<'_>, endpoint: &str, carried: &[Sent], raw: RawStep) -> Self {
        let transport = &step.planned.transport;
        let joined =
            wire::form(carried.iter().filter(|p| p.place != Some(Place::Header)).map(|p| (p.name.as_str(), p.value.as_str(), p.raw)));
        let endpoint = delivery::with_suffix(endpoint, transport.path_suffix.as_deref());
        let post = transport.method.as_deref() == Some("POST");
        let next = if post {
            submission::post(&endpoint, &joined)
        } else {
            Request {
                method: transport.method.clone().unwrap_or_else(|| "GET".into()),
                url: wire::with_query(&endpoint, &joined),
                ..Request::default()
            }
        };
        let mut next = next;
        let headers = carried.iter().filter(|p| p.place == Some(Place::Header));
        next.headers.extend(headers.map(|p| (p.name.clone(), p.value.clone())));
        let changed = step.parameters.iter().rfind(|p| p.name == "redirect_uri" && p.value != step.client.redirect_uri);
        let asked = changed.map(|p| p.value.clone());
        if post {
            // A form on a page of who is to get the answer: of the client, or of an attacker.
            let page = submission::origin(asked.as_ref().unwrap_or(&step.client.redirect_uri));
            next.headers.push(("origin".into(), page.unwrap_or_else(|| "null".into())));
        }
        Journey {
            trial,
            raw,
            begun: next.clone(),
            user: trial.engine.target.user(step.planned.user).name.clone(),
            next,
            registered: step.client.redirect_uri.clone(),
            asked,
            state: step.parameters.iter().rfind(|p| p.name == "state").map(|p| p.value.clone()),
            passwords_sent: 0,
            carries_password: false,
            forwarded: false,
            sent_on: None,
            names_sent: 0,
            codes_sent: 0,
            asked_outside: false,
            asked_again: false,
            of_form: false,
            form_pages: 0,
            unframed: Vec::new(),
            page_error: None,
            told: Vec::new(),
            pages: std::collections::BTreeSet::new(),
            repeats: 0,
            remarks: Vec::new(),
            before_login: None,
            captcha: None,
            conduct: Conduct::default(),
            tampers: Vec::new(),
            session: step.planned.session.clone(),
            paused: None,
            is_from_elsewhere: post,
            images: Vec::new(),
            seen: watched::Seen::default(),
            pushed: exposed::pushed(trial, carried.iter().find(|p| p.name == "request_uri").map(|p| p.value.as_str())),
        }
    }

    /// Navigates until the browser leaves the server or a page is the end.
    async fn go(&mut self, browser: &mut Browser, user: &User) {
        let hops = self.trial.engine.http.limits().max_hops;
        for _ in 0..hops {
            let request = std::mem::take(&mut self.next);
            let here = request.url.clone();
            let is_from_elsewhere = std::mem::take(&mut self.is_from_elsewhere);
            self.load_images(browser).await;
            let response = match browser.navigate(&self.trial.engine.http, request, is_from_elsewhere).await {
                Ok((request, response)) => {
                    self.raw.exchanges.push((request, Ok(response.clone())));
                    response
                }
                Err((request, failure)) => {
                    let (outcome, note) = answer::failed(&failure);
                    self.raw.exchanges.push((request, Err(failure.clone())));
                    let note = if matches!(failure, Failure::Outside(_)) {
                        format!("{note}; add it to `hosts` if it belongs to the target")
                    } else {
                        note
                    };
                    return self.end(outcome, note);
                }
            };
            self.raw.field("status", Some(response.status.to_string()));
            self.look_for_planted(&here, &response);
            self.watch(&response);
            self.look_for_exposed(&here, &response);
            let carried = std::mem::take(&mut self.carries_password);
            if carried {
                self.raw.field("post_status", Some(response.status.to_string()));
            }
            // A 400 with a Location header is no redirect.
            if matches!(response.status, 301 | 302 | 303 | 307 | 308)
                && let Some(location) = response.header("location")
            {
                let Some(url) = submission::resolve(&here, location) else {
                    self.raw.field("location", Some(location));
                    self.raw.field("delivered_to", Some("elsewhere"));
                    return self.end(Outcome::Strayed, "the Location header is no URL".into());
                };
                let keeps_method = matches!(response.status, 307 | 308);
                self.forwarded = carried && keeps_method;
                match self.leads(&url) {
                    Leads::Callback(where_to) => return self.callback(&url, where_to, None),
                    Leads::Elsewhere => return self.callback(&url, "elsewhere", None),
                    Leads::Inside => {
                        self.page_error = answer::error_in_address(&url);
                        // Within the server it is no leak, but the password is still on its way.
                        self.carries_password = std::mem::take(&mut self.forwarded);
                        self.sent_on = self.carries_password.then(|| (response.status, url.path().to_owned()));
                        let previous = self.raw.exchanges.last().map(|(r, _)| (r.method.clone(), r.body.clone()));
                        self.next = match previous {
                            Some((method, Some(body))) if keeps_method && method == "POST" => {
                                submission::post(url.as_str(), &String::from_utf8_lossy(&body))
                            }
                            _ => Request { method: "GET".into(), url: url.to_string(), ..Request::default() },
                        };
                        continue;
                    }
                }
            }
            if carried && (400..500).contains(&response.status) && self.refuses_login(&response, user) {
                return;
            }
            let media = response.media();
            let hints = &self.trial.engine.target.login;
            let page = (media.is_empty() || media.contains("html")).then(|| html::read_for(&response.body, hints));
            if page.as_ref().is_some_and(|page| page.planted) {
                self.raw.field("planted_markup", Some(path_of(&here)));
            }
            self.raw.shape = answer::shape_of(&response, page.as_ref().filter(|_| !media.is_empty()));
            if let Some((code, _)) = &self.page_error {
                // Two pages that look alike are of one kind only where they say the same.
                self.raw.shape = format!("{} for {code}", self.raw.shape);
            }
            if let Some((outcome, note)) = answer::general(&response) {
                return match outcome {
                    Outcome::Crashed if self.page_error.is_some() => self.error_page(&response),
                    _ => self.end(outcome, note),
                };
            }
            let Some(page) = page else { return self.document(&response) };
            if self.needs_scripts(&here, &response, &page, user) {
                if self.conduct.meddles() {
                    let why = "a script makes this page, and only forms without scripts are stopped at, refused or changed";
                    return self.end(Outcome::Impossible, why.into());
                }
                return self.in_chromium(browser, user, &here, response.status).await;
            }
            match self.page(&here, &response, page, user).await {
                Turn::Go(what) => {
                    self.carries_password = what == What::Password;
                    if self.carries_password {
                        self.before_login = Some(browser.clone());
                    }
                }
                Turn::Over => return,
                Turn::Outside => {
                    self.outside(browser, user).await;
                    if self.raw.outcome.is_some() {
                        return;
                    }
                }
            }
        }
        self.end(Outcome::Unclear, format!("after {hops} redirects and pages there was no end"));
    }

    /// A 4xx in answer to the very first password of a user speaks of the password; once one was taken, it speaks of the
    /// request. Another login page is left to the reader of pages.
    fn refuses_login(&mut self, response: &Response, user: &User) -> bool {
        let engine = self.trial.engine;
        let asks_again = || html::read(&response.body).forms.iter().any(|f| f.fields.iter().any(|field| field.kind == "password"));
        if engine.logins.is_known(&user.name) || asks_again() {
            return false;
        }
        let words = answer::first_words(response).map(|w| format!(" “{w}”")).unwrap_or_default();
        if let Some((status, path)) = self.sent_on.take() {
            let why = format!(
                "the login is answered with {status}, which has the browser send the password on to {path}, and that answers {}{words}",
                response.status
            );
            self.end(Outcome::Stuck, why);
            return true;
        }
        engine.logins.refused(&user.name, &self.counted_client());
        self.end(
            Outcome::Stuck,
            format!("the login is answered with {}{words}: the name or the password of `{}` is refused", response.status, user.name),
        );
        true
    }

    /// Decides on a page; where the journey goes on, the next request is ready.
    async fn page(&mut self, here: &str, response: &Response, page: Page, user: &User) -> Turn {
        let at = Document::new(here, page.base.as_deref());
        self.see_images(&at, &page);
        if let Some((url, form)) = self.posted_callback(&at, &page) {
            let pairs: Vec<(String, String)> = form.fields.iter().map(|f| (f.name.clone(), f.value.clone())).collect();
            let where_to = match self.leads(&url) {
                Leads::Callback(where_to) => where_to,
                _ => "elsewhere",
            };
            self.callback(&url, where_to, Some(pairs));
            return Turn::Over;
        }
        if page.forms.iter().any(|f| !f.fields.is_empty() || !f.buttons.is_empty()) {
            self.count_form_page(here, response);
            self.watch_form_page(here, response, &page);
        }
        if !self.pages.insert((here.split('?').next().unwrap_or(here).to_owned(), page.outline.clone(), response.status)) {
            self.repeats += 1;
        }
        if self.repeats > 2 {
            return self.over(Outcome::Stuck, format!("the page{} keeps coming back", login::titled(&page)));
        }
        // A page without forms whose script goes elsewhere is a redirect by other means.
        if let (true, true, Some(url)) =
            (page.forms.is_empty(), response.status < 400, page.script_redirect.as_deref().and_then(|to| at.resolve(to)))
        {
            return self.follow(&url);
        }
        self.remark(&page);
        let login = &self.trial.engine.target.login;
        let action = login::act(&page, user, login, self.passwords_sent > 0, &self.scope());
        // Somebody else logs in: what grantproof would fill in, and what it could not, is theirs.
        let asks = match &action {
            Action::Submit(filled) => matches!(filled.what, What::Password | What::Name | What::Code),
            Action::Beyond(_) => response.status < 400,
            // Where the server went there to say what is wrong, no login is asked for.
            Action::Nothing => page.has_script && response.status < 400 && self.page_error.is_none(),
            Action::Refresh(_) => false,
        };
        if asks && !matches!(login.driver, LoginDriver::Form | LoginDriver::Browser) {
            return Turn::Outside;
        }
        let filled = match &action {
            Action::Submit(filled) => Some(filled),
            _ => None,
        };
        if self.stops(&at, &page, response, filled) {
            return Turn::Over;
        }
        match action {
            Action::Submit(filled) => {
                let filled = self.as_denied(&page, filled);
                let told = told::page(&page, &filled, user);
                self.trial.engine.learned.walked(filled.what, &self.raw.shape);
                let turn = self.submit(&at, &page, filled, response, user).await;
                if matches!(turn, Turn::Go(_)) {
                    self.told.push(told);
                }
                turn
            }
            Action::Refresh(url) if response.status < 400 => match at.resolve(&url) {
                Some(url) => self.follow(&url),
                None => self.over(Outcome::Unclear, "the page refreshes to what is no URL".into()),
            },
            Action::Beyond(why) if response.status < 400 => self.over(Outcome::Stuck, why),
            _ if self.was_led_astray(response) => {
                self.asked_again = true;
                self.next = self.begun.clone();
                Turn::Go(What::Automatic)
            }
            _ => {
                self.last_page(response, &page);
                Turn::Over
            }
        }
    }

    /// Whether a login has ended on a page of the server that is no part of the request, as where it forgets what the login was for: whoever has logged in
    /// follows the link of the client once more.
    fn was_led_astray(&self, response: &Response) -> bool {
        let plain = Conduct { loads_images: self.conduct.loads_images, ..Conduct::default() };
        let is_plain = self.conduct == plain && self.begun.method == "GET";
        let has_logged_in = self.passwords_sent > 0 && self.trial.engine.target.login.driver == LoginDriver::Form;
        is_plain && has_logged_in && !self.asked_again && self.page_error.is_none() && (200..300).contains(&response.status)
    }

    /// Ends the journey.
    fn over(&mut self, outcome: Outcome, note: String) -> Turn {
        self.end(outcome, note);
        Turn::Over
    }

    /// Lets a program, a person or a session that was handed in do the login.
    async fn outside(&mut self, browser: &mut Browser, user: &User) {
        let engine = self.trial.engine;
        let login = &engine.target.login;
        if self.asked_outside {
            return self.end(Outcome::Stuck, format!("the login page came back, although `{}` was logged in", user.name));
        }
        self.asked_outside = true;
        let url = self.begun.url.clone();
        let answer = match login.driver {
            LoginDriver::Form | LoginDriver::Browser => return,
            LoginDriver::Session => {
                let why = if browser.is_empty() {
                    "nobody is logged in here, and a session that is handed in cannot log in"
                } else {
                    "the session that was handed in is over, or is for another host"
                };
                return self.end(Outcome::Stuck, format!("the server asks `{}` to log in: {why} (`cookie` of the user)", user.name));
            }
            LoginDriver::Command if self.begun.method != "GET" => {
                return self.end(Outcome::Unclear, "a login command is given an address, and this request is no GET".into());
            }
            LoginDriver::Command => {
                let code = match &user.totp {
                    Some(_) => Some(engine.one_time_code(user).await),
                    None => None,
                };
                outside::command(login, user, code.as_deref(), &url).await
            }
            LoginDriver::Manual => outside::person(user, &url).await,
        };
        match answer {
            Ok(Answer::Callback(url)) => match self.leads(&url) {
                Leads::Inside => self.end(Outcome::Unclear, format!("the login ended on {}, which is no callback", without_query(&url))),
                Leads::Callback(where_to) => self.callback(&url, where_to, None),
                Leads::Elsewhere => self.callback(&url, "elsewhere", None),
            },
            Ok(Answer::Cookies(cookies)) => {
                browser.hand_in(&cookies, engine.target.origins.iter());
                self.next = self.begun.clone();
            }
            Err(why) => self.end(Outcome::Stuck, why),
        }
    }

    /// Submits a form as it was filled in.
    async fn submit(&mut self, at: &Document, page: &Page, mut filled: Filled, response: &Response, user: &User) -> Turn {
        if !self.may(filled.what, response, page, user) {
            return Turn::Over;
        }
        let Some(form) = page.forms.get(filled.form) else {
            return self.over(Outcome::Unclear, "the form is gone".into());
        };
        let Some(mut url) = at.action(filled.action.as_ref().unwrap_or(&form.action)) else {
            return self.over(Outcome::Unclear, "the form's action is no URL".into());
        };
        if url.scheme() == "javascript" {
            let title = login::titled(page);
            let why = match self.trial.engine.target.login.driver {
                LoginDriver::Browser => {
                    format!("a script sends the form of the page{title}, which came in answer to a form and is not opened in Chromium")
                }
                _ => format!("a script sends the form of the page{title}, {}", ending::WITH_SCRIPTS),
            };
            return self.over(Outcome::Unclear, why);
        }
        self.count(filled.what);
        if let Some(pair) = filled.code.and_then(|at| filled.pairs.get_mut(at)) {
            pair.1 = self.trial.engine.one_time_code(user).await;
            self.raw.secret_names.push((pair.0.clone(), "otp"));
        }
        if let Some(pair) = filled.password.and_then(|at| filled.pairs.get(at)) {
            self.raw.secret_names.push((pair.0.clone(), "password"));
        }
        let (mut pairs, what) = (filled.pairs, filled.what);
        (self.page_error, self.sent_on) = (None, None);
        self.tamper(form, &mut pairs, &mut url);
        if form.is_link() {
            // It may lead to the client at once.
            let request = submission::request("GET", url, &pairs, &at.url);
            return match Url::parse(&request.url) {
                Ok(url) => self.follow(&url),
                Err(_) => self.over(Outcome::Unclear, "the link is no URL".into()),
            };
        }
        self.next = submission::request(&form.method, url, &pairs, &at.url);
        Turn::Go(what)
    }

    /// Goes where a page sends the browser by itself.
    fn follow(&mut self, url: &Url) -> Turn {
        match self.leads(url) {
            Leads::Inside => {
                self.page_error = answer::error_in_address(url);
                self.next = Request { method: "GET".into(), url: url.to_string(), ..Request::default() };
                return Turn::Go(What::Automatic);
            }
            Leads::Callback(where_to) => self.callback(url, where_to, None),
            Leads::Elsewhere => self.callback(url, "elsewhere", None),
        }
        Turn::Over
    }

    /// A form_post answer (OAuth 2.0 Form Post Response Mode): a form whose address is outside of the server and whose
    /// fields are those of a callback.
    fn posted_callback<'p>(&self, at: &Document, page: &'p Page) -> Option<(Url, &'p Form)> {
        page.forms.iter().filter(|form| !form.is_link()).find_map(|form| {
            let url = at.resolve(&form.action)?;
            let carries =
                form.fields.iter().any(|f| matches!(f.name.as_str(), "code" | "error" | "access_token" | "id_token" | "response"));
            (carries && !matches!(self.leads(&url), Leads::Inside)).then_some((url, form))
        })
    }
}
