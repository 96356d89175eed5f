//! The rules of conduct of a login, whoever carries it out: what is sent how often, and what is counted and remarked.

use std::collections::BTreeMap;

use crate::engine::http::Response;
use crate::engine::login::{self, What};
use crate::engine::logins::MOST_REFUSED;
use crate::engine::page::{PLANTED, Page};
use crate::model::observation::Outcome;
use crate::target::User;

use super::Journey;
use super::address::{path_of, protected_from_framing};

impl Journey<'_, '_> {
    /// The scope that the authorization request asks for, itself or as it was pushed.
    pub(super) fn scope(&self) -> String {
        self.raw.sent.get("scope").or_else(|| self.pushed()?.get("scope")).cloned().unwrap_or_default()
    }

    /// What the step sent that was given this request_uri (RFC 9126 §2.2).
    fn pushed(&self) -> Option<&BTreeMap<String, String>> {
        const NAME: &str = "request_uri";
        let (uri, known) = (self.raw.sent.get(NAME)?, &self.trial.known);
        let (step, _) = known.fields.iter().find(|(_, fields)| fields.get(NAME) == Some(uri))?;
        known.sent.get(step)
    }

    /// The client that the login is for, as refusals are counted.
    pub(super) fn counted_client(&self) -> String {
        self.trial.engine.counted(self.raw.sent.get("client_id").map_or("", String::as_str)).to_owned()
    }

    /// What is refused where a login is: the password, as long as none was taken.
    pub(super) fn refused_login(&self, user: &User) -> String {
        if self.trial.engine.logins.is_known(&user.name) {
            let client = self.raw.sent.get("client_id").map_or("this client", String::as_str);
            return format!("the login of `{}` at {client} is refused, although the password was taken before", user.name);
        }
        format!("the name or the password of `{}` is refused", user.name)
    }

    /// Whether a form may be sent; false: the journey has ended, and its end says why not.
    pub(super) fn may(&mut self, what: What, response: &Response, page: &Page, user: &User) -> bool {
        let client = self.counted_client();
        let refused_so_far = self.trial.engine.logins.refusals(&user.name, &client);
        match what {
            // An error page may carry a search form or a "back" button; a 4xx is an answer unless it asks to log in.
            What::Consent | What::Automatic if response.status >= 400 || self.page_error.is_some() => {
                self.last_page(response, page);
            }
            // A form that had become stale was refused, not the password: whoever sees the page again fills it in once more.
            What::Password
                if self.passwords_sent == 1
                    && self.conduct.goes_on.is_some()
                    && self.trial.engine.logins.is_known(&user.name)
                    && refused_so_far < MOST_REFUSED =>
            {
                return true;
            }
            What::Password if self.passwords_sent > 0 => {
                self.trial.engine.logins.refused(&user.name, &client);
                let watched = self.captcha.map(|maker| format!(", or its CAPTCHA ({maker}) takes grantproof for the program that it is"));
                let watched = watched.unwrap_or_default();
                let note = format!("the login page came back: {}{watched}", self.refused_login(user));
                self.end(Outcome::Stuck, note);
            }
            What::Password if refused_so_far >= MOST_REFUSED => {
                let what = self.refused_login(user);
                let note = format!("{what} (tried {refused_so_far} times, and not again, so that the account does not lock)");
                self.end(Outcome::Stuck, note);
            }
            What::Name if self.names_sent > 1 => {
                self.end(Outcome::Stuck, format!("the page that asks for the name of `{}` came back", user.name));
            }
            What::Code if self.codes_sent > 0 => {
                let note = format!("the one-time code of `{}` is refused: look at `totp` and at this machine's clock", user.name);
                self.end(Outcome::Stuck, note);
            }
            _ => return true,
        }
        false
    }

    /// Notes what a scenario planted in a parameter and an answer made something of: a header, the result of a sum.
    pub(super) fn look_for_planted(&mut self, here: &str, response: &Response) {
        /// 7919 times 6101: no answer has it by chance.
        const PRODUCT: &[u8] = b"48313819";
        if response.header(PLANTED).is_some() {
            self.raw.field("planted_header", Some("true"));
        }
        if response.body.windows(PRODUCT.len()).any(|part| part == PRODUCT) {
            self.raw.field("evaluated", Some(path_of(here)));
        }
    }

    pub(super) fn count(&mut self, what: What) {
        match what {
            What::Password => self.passwords_sent += 1,
            What::Name => self.names_sent += 1,
            What::Code => self.codes_sent += 1,
            What::Consent | What::Automatic => {}
        }
    }

    pub(super) fn count_form_page(&mut self, here: &str, response: &Response) {
        self.form_pages += 1;
        if !protected_from_framing(response) {
            self.unframed.push(path_of(here));
        }
    }

    /// Keeps what explains a login that fails.
    pub(super) fn remark(&mut self, page: &Page) {
        self.captcha = page.captcha.map(|c| c.maker).or(self.captcha);
        for remark in login::unmatched(page, &self.trial.engine.target.login) {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }
}
