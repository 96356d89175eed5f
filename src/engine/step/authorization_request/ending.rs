//! Where the browser ends: at the callback, on a page of the server, or with a document; and what that is called.

use std::collections::BTreeMap;

use url::Url;

use crate::engine::http::Response;
use crate::engine::page::Page;
use crate::engine::submission::resolve;
use crate::engine::{answer, login};
use crate::model::observation::Outcome;
use crate::target::LoginDriver;
use crate::wire;

use super::address::{carries_asked, same_page, same_place, without_query};
use super::{Journey, Leads, led, signed};

/// Where in a callback the answer stands.
fn answer_in(url: &Url, posted: bool) -> &'static str {
    let answers = |text: &str| {
        let names = ["code", "access_token", "id_token", "error", "response"];
        wire::parse_form(text).iter().any(|(name, _)| names.contains(&name.as_str()))
    };
    match (posted, answers(url.query().unwrap_or_default())) {
        (true, _) => "form_post",
        (_, true) => "query",
        (_, false) => "fragment",
    }
}

/// What a client asks for at the authorization endpoint (RFC 6749 §4.1.2, §4.2.2; OpenID Connect Core §3.2.2.5).
const GIVEN: [&str; 3] = ["code", "access_token", "id_token"];

/// Whether an address carries an answer to a request with this state: a code or a token beside it.
fn is_answer(url: &Url, state: &str) -> bool {
    let parts = [url.query(), url.fragment()].into_iter().flatten();
    let pairs: Vec<(String, String)> = parts.flat_map(wire::parse_form).filter(|(_, value)| !value.is_empty()).collect();
    let is_given = pairs.iter().any(|(name, _)| GIVEN.contains(&name.as_str()));
    // With what only a request has, it is the request once more, as a login page may be given it.
    let is_request = pairs.iter().any(|(name, _)| name == "response_type");
    is_given && !is_request && pairs.iter().any(|(name, value)| name == "state" && value == state)
}

/// How Keycloak describes the `temporarily_unavailable` with which it sends a browser back to the client whose login has expired, or has begun in
/// another browser: the client may begin anew.
const LOGIN_IS_OVER: &str = "authentication_expired";

/// What to do where a page needs its scripts.
pub(super) const WITH_SCRIPTS: &str = "which the login driver `form` does not run: use `login.driver: browser`, or `session` or `command`";

impl Journey<'_, '_> {
    /// An answer that is neither a redirect nor a page.
    pub(super) fn document(&mut self, response: &Response) {
        if self.page_error.is_some() {
            return self.error_page(response);
        }
        for name in ["error", "error_description"] {
            self.raw.field(name, answer::member(response, name));
        }
        let error = self.raw.fields.get("error").filter(|code| !code.is_empty());
        let error = error.map(|code| (answer::outcome_of(code), format!("{code}{}", self.description())));
        if answer::refuses(response.status) {
            let words = error.map(|(_, words)| words).or_else(|| answer::first_words(response).map(|w| format!("“{w}”")));
            self.end(Outcome::Refused, format!("{} {}", response.status, words.unwrap_or_default()).trim().to_owned());
        } else if let (200..=299, Some((outcome, words))) = (response.status, error) {
            // No browser goes on from it.
            self.end(outcome, format!("{} with {}: {words}", response.status, response.media()));
        } else if let Some(why) = answer::says_no(response) {
            self.end(Outcome::Refused, format!("{} with {}: {why}", response.status, response.media()));
        } else {
            self.end(Outcome::Unclear, format!("the authorization endpoint answers {} with {}", response.status, response.media()));
        }
    }

    /// The end is a page of the server whose address says what is wrong. The address decides, whatever the status is:
    /// there are servers that show every error with 500.
    pub(super) fn error_page(&mut self, response: &Response) {
        let Some((code, description)) = self.page_error.take() else { return };
        let outcome = answer::outcome_of(&code);
        let why = if description.is_empty() { String::new() } else { format!(" ({description})") };
        self.raw.field("error", Some(code.as_str()));
        self.raw.field("error_description", Some(description).filter(|d| !d.is_empty()));
        self.end(outcome, format!("{code}{why} on a page of the server with the status {}", response.status));
    }

    pub(super) fn last_page(&mut self, response: &Response, page: &Page) {
        if self.page_error.is_some() {
            return self.error_page(response);
        }
        // An OAuth error that is called a page.
        if answer::refuses(response.status) && answer::member(response, "error").is_some() {
            return self.document(response);
        }
        let title = login::titled(page);
        if answer::refuses(response.status) {
            self.end(Outcome::Refused, format!("an error page{title} with the status {}, no redirect", response.status));
        } else if self.trial.engine.target.login.driver == LoginDriver::Form && login::made_by_script(page) {
            self.end(Outcome::Unclear, format!("a script makes the page{title}, {WITH_SCRIPTS}"));
        } else {
            self.end(Outcome::Unclear, format!("the browser ends on a page{title} with the status {}", response.status));
        }
    }

    /// The browser leaves the server.
    pub(super) fn callback(&mut self, url: &Url, where_to: &'static str, posted: Option<Vec<(String, String)>>) {
        if self.passwords_sent > 0 {
            self.trial.engine.logins.took(&self.user, &self.counted_client());
        }
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        self.raw.field("answer_in", Some(answer_in(url, posted.is_some())));
        let pairs = posted.unwrap_or_else(|| {
            let mut pairs = wire::parse_form(url.query().unwrap_or_default());
            let fragment = url.fragment().unwrap_or_default();
            pairs.extend(wire::parse_form(fragment));
            // A careless server appends its answer behind the fragment that was asked for: `#x?code=…`.
            pairs.extend(wire::parse_form(fragment.split_once('?').map_or("", |(_, after)| after)));
            pairs
        });
        // A parameter that the asked-for redirect_uri carried itself is not the server's; of two, the server's is last.
        for (name, value) in pairs {
            values.insert(name, value);
        }
        let unreadable = signed::open(&mut self.raw, &mut values);
        self.raw.field("location", Some(url.as_str()));
        self.raw.field("delivered_to", Some(where_to));
        let lands = Url::parse(&self.registered).is_ok_and(|registered| same_page(url, &registered));
        self.raw.field("lands_on", Some(if lands { "registered" } else { "elsewhere" }));
        self.raw.field("scheme", Some(url.scheme()));
        for name in ["code", "access_token", "id_token", "error"] {
            self.raw.field(name, values.get(name).filter(|v| !v.is_empty()));
        }
        // A parameter without a value is one that was left out (RFC 6749 §3.1).
        for name in ["state", "iss", "error_description"] {
            self.raw.field(name, values.get(name).filter(|v| !v.is_empty()));
        }
        let given = GIVEN.iter().any(|name| self.raw.fields.contains_key(*name));
        let error = self.raw.fields.get("error").cloned();
        self.raw.shape = format!("callback {where_to} {}", error.as_deref().unwrap_or(if given { "granted" } else { "empty" }));
        let (outcome, note) = match (given, error, where_to) {
            (true, _, "elsewhere") => (Outcome::Strayed, format!("redirected to {url}, which nobody asked for")),
            (true, _, _) => (Outcome::Issued, String::new()),
            (false, Some(error), "registered") => {
                let why = self.description();
                // A server that stumbled has refused nothing; one that says so of a login which another browser began has.
                let is_others = self.conduct.goes_on.is_some() && why.contains(LOGIN_IS_OVER);
                let outcome = if is_others { Outcome::Refused } else { answer::outcome_of(&error) };
                (outcome, format!("{error}{why} at the registered redirect_uri"))
            }
            (false, Some(error), _) => (Outcome::Strayed, format!("{error}, sent to {url}")),
            (false, None, "elsewhere") => {
                let origin = crate::target::origin(url.as_str());
                let hint = origin.map(|o| format!("; if it belongs to the target, add `hosts: [{o}]`")).unwrap_or_default();
                (Outcome::Strayed, format!("the browser is sent to {}{hint}", without_query(url)))
            }
            (false, None, _) if unreadable => (Outcome::Unclear, "the callback carries a JWT that cannot be read here".into()),
            (false, None, _) => (Outcome::Unclear, "the callback carries neither a code nor an error".into()),
        };
        self.end(outcome, note);
    }

    /// What the answer says of its error, behind it.
    fn description(&self) -> String {
        self.raw.fields.get("error_description").map(|d| format!(" ({d})")).unwrap_or_default()
    }

    pub(super) fn end(&mut self, outcome: Outcome, note: String) {
        let (outcome, note) = match outcome {
            Outcome::Issued | Outcome::Strayed => (outcome, note),
            _ if self.of_form => (Outcome::Impossible, led::NO_ADDRESS.to_owned()),
            _ => (outcome, note),
        };
        self.raw.outcome = Some(outcome);
        let remarks = std::mem::take(&mut self.remarks);
        self.raw.note = std::iter::once(note).chain(remarks).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        // A password that nobody answered is not known to have stayed here.
        let is_answered = self.raw.exchanges.last().is_none_or(|(_, answer)| answer.is_ok());
        if self.passwords_sent > 0 && is_answered {
            self.raw.field("password_forwarded", Some(self.forwarded.to_string()));
        }
        self.raw.field("form_pages", Some(self.form_pages.to_string()));
        if !self.told.is_empty() {
            self.raw.field("pages", Some(self.told.join("\n")));
        }
        if !self.unframed.is_empty() {
            self.unframed.dedup();
            self.raw.field("unframed_pages", Some(self.unframed.join(" ")));
        }
    }

    /// Where a URL leads: to the callback (compared by scheme, user information, host, port and path, as a browser
    /// resolved them), inside the target's hosts, or elsewhere: so does what a server that answers sends to a page of its own.
    pub(super) fn leads(&self, url: &Url) -> Leads {
        let registered = Url::parse(&self.registered).ok();
        let asked = self.asked.as_deref().and_then(|a| resolve(&self.registered, a));
        if let Some(asked) = &asked
            && same_place(url, asked)
            && registered.as_ref().is_none_or(|r| !same_place(asked, r) || asked.as_str() != r.as_str() && carries_asked(url, asked, r))
        {
            return Leads::Callback("asked");
        }
        if registered.as_ref().is_some_and(|r| same_place(url, r)) {
            return Leads::Callback("registered");
        }
        let is_answered = self.state.as_deref().is_some_and(|state| is_answer(url, state));
        if self.trial.engine.http.reaches(url) && !is_answered { Leads::Inside } else { Leads::Elsewhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_what_was_asked_for_and_the_state_that_was_sent() {
        let is = |address: &str| is_answer(&Url::parse(address).expect("a URL"), "s t");
        assert!(is("https://as.example/authorize?code=c&state=s+t") && is("https://as.example/x#access_token=a&state=s%20t"));
        for other in [
            "?response_type=code&code=c&state=s+t",
            "?code=c&state=other",
            "?code=c",
            "?state=s+t",
            "?code=&state=s+t",
            "?error=access_denied&state=s+t",
        ] {
            assert!(!is(&format!("https://as.example/login{other}")), "{other}");
        }
    }
}
