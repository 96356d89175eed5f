//! The rules of conduct of a login, whoever carries it out: what is sent how often, and what is counted and remarked.

use crate::engine::MOST_REFUSED_LOGINS;
use crate::engine::http::Response;
use crate::engine::login::{self, What};
use crate::engine::page::{PLANTED, Page};
use crate::model::observation::Outcome;
use crate::target::User;

use super::Journey;
use super::address::{path_of, protected_from_framing};

impl Journey<'_, '_> {
    /// The scope that the authorization request asks for.
    pub(super) fn scope(&self) -> String {
        self.raw.sent.get("scope").cloned().unwrap_or_default()
    }

    /// Whether a form may be sent; false: the journey has ended, and its end says why not.
    pub(super) fn may(&mut self, what: What, response: &Response, page: &Page, user: &User) -> bool {
        let refused_so_far = self.trial.engine.refused_logins(&user.name);
        match what {
            // An error page may carry a search form or a "back" button; a 4xx is an answer unless it asks to log in.
            What::Consent | What::Automatic if response.status >= 400 || self.page_error.is_some() => {
                self.last_page(response, page);
            }
            What::Password if self.passwords_sent > 0 => {
                self.trial.engine.count_login(&user.name, true);
                let watched = self.captcha.map(|maker| format!(", or its CAPTCHA ({maker}) takes grantproof for the program that it is"));
                let watched = watched.unwrap_or_default();
                let note = format!("the login page came back: the name or the password of `{}` is refused{watched}", user.name);
                self.end(Outcome::Stuck, note);
            }
            What::Password if refused_so_far >= MOST_REFUSED_LOGINS => {
                self.end(
                    Outcome::Stuck,
                    format!(
                        "the name or the password of `{}` is refused (tried {refused_so_far} times, and not again, so that the account does not lock)",
                        user.name
                    ),
                );
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
