//! The `form` login driver: which form of a page to fill in, with what, and which button to press, as a person would.

use crate::target::{Login, User};

use super::button::{AGREEING, denies_by_address, score};
use super::obstacle;
use super::page::{self, Button, Field, Form, Page, Part, hinted};

/// What to do with a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Submit these pairs to this address.
    Submit(Filled),
    /// Follow a meta refresh.
    Refresh(String),
    /// The page asks for what this driver cannot give.
    Beyond(String),
    /// Nothing to do here: the page is an answer.
    Nothing,
}

/// A form as it would be submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// Its index on the page.
    pub form: usize,
    pub pairs: Vec<(String, String)>,
    /// The address of the button, where that is not the form's.
    pub action: Option<String>,
    pub what: What,
    /// The pair that takes the password, and the one that takes a one-time code, which is made when the form is sent.
    pub password: Option<usize>,
    pub code: Option<usize>,
    /// What stands on the button.
    pub pressed: Option<String>,
    pub touch: Touch,
}

impl Filled {
    /// Leaves out the pairs that are not wanted; the password and the code stay.
    pub fn retain(&mut self, wanted: impl Fn(&str, &str) -> bool) {
        let typed = [self.password, self.code];
        let stays: Vec<bool> =
            self.pairs.iter().enumerate().map(|(at, (name, value))| typed.contains(&Some(at)) || wanted(name, value)).collect();
        let moved = |at: usize| stays.iter().take(at).filter(|stays| **stays).count();
        (self.password, self.code) = (self.password.map(moved), self.code.map(moved));
        let mut stay = stays.iter();
        self.pairs.retain(|_| stay.next().is_none_or(|stays| *stays));
    }
}

/// What a person would do with the controls of a live page, by the numbers that its snapshot gave them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Touch {
    pub typed: Vec<(usize, Entry)>,
    pub ticked: Vec<usize>,
    /// The button that says what is wanted, or the only one; None: the Enter key has to do.
    pub pressed: Option<usize>,
}

/// What goes into a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Name,
    Password,
    Code,
}

/// What a form is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It takes a password.
    Password,
    /// It takes a user name, and the password comes on the next page.
    Name,
    /// It takes a one-time code.
    Code,
    /// It asks for consent, or merely to go on.
    Consent,
    /// It has hidden fields only, and a script would submit it.
    Automatic,
}

const USER_NAMES: &[&str] = &["username", "user", "login", "email", "identifier", "userid", "loginid", "account", "name"];

/// Chooses what to do with a page; `scope` is what the authorization request asks for. Once a password was sent, a page
/// that asks for something else is not ours to fill in: it may change the account (a profile, a new password) or spend a
/// one-time code.
pub fn act(page: &Page, user: &User, hints: &Login, password_sent: bool, scope: &str) -> Action {
    let action = choose(page, user, hints, password_sent, scope);
    let asks_to_log_in = match &action {
        Action::Submit(filled) => matches!(filled.what, What::Password | What::Name),
        other => matches!(other, Action::Beyond(_)),
    };
    match page.captcha {
        // What only a script of it stands for may watch silently: the login is tried, and its failure is explained.
        Some(captcha) if captcha.shown && asks_to_log_in => Action::Beyond(obstacle::captcha_words(&titled(page), captcha)),
        _ if page.passkey && matches!(action, Action::Beyond(_) | Action::Nothing) => {
            Action::Beyond(obstacle::passkey_words(&titled(page)))
        }
        _ => action,
    }
}

/// What a page is called, and what it says, for people.
pub fn titled(page: &Page) -> String {
    let says = page.says();
    let words: Vec<&str> = [page.name(), &says].into_iter().filter(|w| !w.is_empty()).collect();
    if words.is_empty() { String::new() } else { format!(" “{}”", words.join(" — ")) }
}

/// Whether a script makes what a person sees of this page: there is nothing to fill in and nothing to press.
pub fn made_by_script(page: &Page) -> bool {
    page.has_script && page.forms.iter().all(|form| visible(form).next().is_none() && form.buttons.is_empty())
}

/// Hints that match nothing on a page that asks for a password, in words.
pub fn unmatched(page: &Page, hints: &Login) -> Vec<String> {
    let asking: Vec<&Form> = page.forms.iter().filter(|form| form.fields.iter().any(|f| f.kind == "password")).collect();
    let known = |part: Part| match part {
        Part::Form => page.forms.iter().any(|form| is_form(form, hints)),
        Part::Password => asking.iter().any(|form| form.fields.iter().any(|f| is_password(f, hints))),
        // A page that asks for the password alone has had the name before.
        Part::User => asking.iter().any(|form| visible(form).next().is_none() || form.fields.iter().any(|f| is_user_name(f, hints))),
        Part::Code | Part::Consent => true,
    };
    let missed = page::parts(hints).filter(|(part, _)| !asking.is_empty() && !known(*part));
    missed.map(|(part, hint)| format!("`login.{}: {}` matches nothing on the page{}", part.key(), hint.text, titled(page))).collect()
}

fn choose(page: &Page, user: &User, hints: &Login, password_sent: bool, scope: &str) -> Action {
    let only = page.forms.iter().any(|form| hints.form.is_some() && is_form(form, hints));
    let forms = || page.forms.iter().enumerate().filter(|(_, form)| !only || is_form(form, hints));
    let passwords = |form: &Form| form.fields.iter().filter(|f| is_password(f, hints)).count();
    if let Some((index, form)) = forms().find(|(_, f)| passwords(f) == 1) {
        return fill(index, form, user, hints, What::Password, scope);
    }
    if forms().any(|(_, f)| passwords(f) > 1) {
        return Action::Beyond(beyond(page, "a new password"));
    }
    if let Some((index, form)) =
        forms().find(|(_, f)| f.fields.iter().filter(|field| is_code(field, hints)).count() == 1 && visible(f).count() == 1)
        && user.totp.is_some()
    {
        return fill(index, form, user, hints, What::Code, scope);
    }
    // What can be left empty beside the name does not ask for anything.
    let asking = |form: &Form| visible(form).filter(|field| field.kind != "textarea" || field.required).count();
    let name_only = |form: &Form| asking(form) == 1 && form.fields.iter().any(|field| is_user_name(field, hints));
    if let Some((index, form)) = forms().find(|(_, f)| !password_sent && name_only(f)) {
        return fill(index, form, user, hints, What::Name, scope);
    }
    // Forms of which one denies: the best button of all of them decides.
    let best = forms()
        .filter(|(_, form)| visible(form).next().is_none())
        .flat_map(|(index, form)| form.buttons.iter().map(move |button| (index, form, button)))
        .map(|(index, form, button)| (score(form, button, hints), index, form, button))
        // What else a page made by a script lets one press (a menu, a language) is no consent.
        .filter(|(score, _, form, _)| *score >= if form.is_page() { AGREEING } else { 0 })
        .max_by_key(|(score, index, ..)| (*score, std::cmp::Reverse(*index)));
    if let Some((_, index, form, button)) = best {
        let ticked = form.fields.iter().filter(|f| f.kind == "checkbox" && !f.checked).filter_map(|f| f.spot.live).collect();
        let touch = Touch { ticked, pressed: button.spot.live, ..Touch::default() };
        return submit(index, Some(button), values(form, true), What::Consent, touch);
    }
    let sends_itself = |form: &Form| !form.fields.is_empty() && form.fields.iter().all(|f| f.kind == "hidden") && !denies_by_address(form);
    if let Some((index, form)) = forms().find(|(_, form)| sends_itself(form)) {
        return submit(index, None, values(form, true), What::Automatic, Touch::default());
    }
    if let Some(url) = &page.refresh {
        return Action::Refresh(url.clone());
    }
    match forms().find_map(|(_, f)| visible(f).next()) {
        Some(field) if is_code(field, hints) => Action::Beyond(format!(
            "the page{} asks `{}` for a one-time code: add `totp` to the user in the target file",
            named(page),
            user.name
        )),
        Some(field) => Action::Beyond(beyond(page, &format!("`{}`", field.name))),
        None => Action::Nothing,
    }
}

/// Fields that a person would type into.
fn visible(form: &Form) -> impl Iterator<Item = &Field> {
    form.fields.iter().filter(|f| matches!(f.kind.as_str(), "text" | "email" | "tel" | "number" | "url" | "date" | "search" | "textarea"))
}

fn beyond(page: &Page, what: &str) -> String {
    format!("the page{} asks for {what}, which a test must not fill in: finish it by hand once, or use another user", named(page))
}

/// What a page is called, for people.
fn named(page: &Page) -> String {
    let name = page.name();
    if name.is_empty() { String::new() } else { format!(" “{name}”") }
}

/// A box that stands for one of the scopes that were asked for.
fn is_scope(field: &Field, scope: &str) -> bool {
    scope.split(' ').any(|word| !word.is_empty() && (field.value == word || field.name == word))
}

/// A field for a one-time code.
fn is_code(field: &Field, hints: &Login) -> bool {
    if let Some(said) = hinted(hints.otp_field.as_ref(), Part::Code, &field.spot.parts, &[&field.name]) {
        return said;
    }
    const NAMES: &[&str] = &["otp", "code", "mfa", "passcode", "verification", "twofactor", "authenticator", "token"];
    let typed = matches!(field.kind.as_str(), "text" | "tel" | "number");
    let says = |text: &str| NAMES.iter().any(|name| plain(text).contains(name));
    typed && (field.autocomplete.contains("one-time-code") || says(&field.name) || says(&field.id))
}

fn is_form(form: &Form, hints: &Login) -> bool {
    let names = [form.id.as_deref().unwrap_or_default(), &form.name];
    hinted(hints.form.as_ref(), Part::Form, &form.spot.parts, &names) == Some(true)
}

fn is_password(field: &Field, hints: &Login) -> bool {
    let hinted = hinted(hints.password_field.as_ref(), Part::Password, &field.spot.parts, &[&field.name]);
    // There are pages that show what is typed.
    let by_name = || field.kind == "text" && matches!(plain(&field.name).as_str(), "password" | "passwd" | "pwd");
    hinted.unwrap_or_else(|| field.kind == "password" || by_name())
}

fn is_user_name(field: &Field, hints: &Login) -> bool {
    if let Some(said) = hinted(hints.user_field.as_ref(), Part::User, &field.spot.parts, &[&field.name]) {
        return said;
    }
    let name = plain(&field.name);
    matches!(field.kind.as_str(), "text" | "email" | "tel")
        && (field.autocomplete.contains("username")
            || USER_NAMES.iter().any(|known| name.contains(known))
            || plain(&field.id).contains("user"))
}

/// Letters only, so that `user_name`, `userName` and `user-name` are one.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

/// Values of a choice by which a user refuses.
const REFUSING: &[&str] = &["false", "no", "deny", "denied", "refuse", "reject", "decline", "cancel", "off", "0"];

/// Of the choices of this name the one that a user makes who agrees: what is chosen already, unless that refuses and another one does not.
fn agreed<'f>(form: &'f Form, name: &str) -> Option<&'f Field> {
    let refuses = |field: &&Field| REFUSING.contains(&field.value.trim().to_ascii_lowercase().as_str());
    let group = || form.fields.iter().filter(|field| field.kind == "radio" && field.name == name);
    let chosen = group().find(|field| field.checked);
    let is_asked = group().any(|field| refuses(&field)) && chosen.is_none_or(|field| refuses(&field));
    group().find(|field| is_asked && !refuses(field)).or(chosen)
}

/// What the form would send as it stands: hidden fields unchanged, half-filled fields too; where its user agrees, with boxes ticked, and choices made
/// that do not refuse.
fn values(form: &Form, agrees: bool) -> Vec<(String, String)> {
    form.fields
        .iter()
        .filter(|f| !f.name.is_empty())
        .filter(|f| match f.kind.as_str() {
            "checkbox" => f.checked || agrees,
            "radio" if agrees => agreed(form, &f.name).is_some_and(|chosen| std::ptr::eq(chosen, *f)),
            "radio" => f.checked,
            _ => true,
        })
        .map(|f| (f.name.clone(), f.value.clone()))
        .collect()
}

fn fill(index: usize, form: &Form, user: &User, hints: &Login, what: What, scope: &str) -> Action {
    let user_at = form.fields.iter().position(|f| is_user_name(f, hints)).or_else(|| {
        // The text field before the password, whatever it is called.
        let password = form.fields.iter().position(|f| is_password(f, hints))?;
        form.fields[..password].iter().rposition(|f| matches!(f.kind.as_str(), "text" | "email" | "tel"))
    });
    let (mut pairs, mut touch) = (Vec::new(), Touch::default());
    let (mut password, mut code) = (None, None);
    for (at, field) in form.fields.iter().enumerate() {
        let entry = if is_password(field, hints) {
            Some(Entry::Password)
        } else if Some(at) != user_at && is_code(field, hints) && user.totp.is_some() {
            Some(Entry::Code)
        } else {
            (Some(at) == user_at && field.value.is_empty()).then_some(Entry::Name)
        };
        if let (Some(live), Some(entry)) = (field.spot.live, entry) {
            touch.typed.push((live, entry));
        }
        // A box for a scope that was asked for is a consent; any other ("remember me") stays as it is.
        let ticked = field.kind == "checkbox" && !field.checked && is_scope(field, scope);
        touch.ticked.extend(field.spot.live.filter(|_| ticked));
        let left_out = matches!(field.kind.as_str(), "checkbox" | "radio") && !field.checked && !ticked;
        if field.name.is_empty() || entry.is_none() && left_out {
            continue;
        }
        let value = match entry {
            Some(Entry::Password) => {
                password = Some(pairs.len());
                user.password.as_ref().map(|p| p.reveal().to_owned()).unwrap_or_default()
            }
            Some(Entry::Code) => {
                code = Some(pairs.len());
                String::new()
            }
            Some(Entry::Name) => user.name.clone(),
            None => field.value.clone(),
        };
        pairs.push((field.name.clone(), value));
    }
    let best = form.buttons.iter().map(|b| (score(form, b, &Login::default()), b)).filter(|(s, _)| *s >= 0).max_by_key(|(s, _)| *s);
    let says_so = |score: i32| score >= AGREEING || form.buttons.len() == 1;
    touch.pressed = best.filter(|(score, _)| says_so(*score)).and_then(|(_, b)| b.spot.live);
    match submit(index, best.map(|(_, b)| b).or(form.buttons.first()), pairs, what, touch) {
        Action::Submit(filled) => Action::Submit(Filled { password, code, ..filled }),
        other => other,
    }
}

/// A form sent as it stands, by one of its buttons; `agrees`: with every box ticked.
pub fn pressed(at: usize, form: &Form, button: Option<&Button>, agrees: bool) -> Filled {
    filled(at, button, values(form, agrees), What::Consent, Touch::default())
}

fn submit(form: usize, button: Option<&Button>, pairs: Vec<(String, String)>, what: What, touch: Touch) -> Action {
    Action::Submit(filled(form, button, pairs, what, touch))
}

fn filled(form: usize, button: Option<&Button>, mut pairs: Vec<(String, String)>, what: What, touch: Touch) -> Filled {
    if let Some(button) = button.filter(|b| !b.name.is_empty()) {
        pairs.push((button.name.clone(), button.value.clone()));
    }
    let pressed = button.map(|b| [b.text.trim(), &b.value, &b.name, &b.id].into_iter().find(|t| !t.is_empty()).unwrap_or("").to_owned());
    Filled { form, pairs, action: button.and_then(|b| b.action.clone()), what, password: None, code: None, pressed, touch }
}

#[cfg(test)]
mod tests {
    use super::super::html;
    use super::*;
    use crate::target::{Hint, Secret};

    fn alice() -> User {
        User::new("alice", Secret::new("wonder land"))
    }

    fn pairs(html_text: &str) -> (Vec<(String, String)>, What) {
        match act(&html::read(html_text.as_bytes()), &alice(), &Login::default(), false, "openid profile") {
            Action::Submit(filled) => (filled.pairs, filled.what),
            other => panic!("nothing to submit: {other:?}"),
        }
    }

    fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
        pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The page that an old server of many installations shows by itself: whoever agrees chooses so, scope by scope.
    #[test]
    fn choices_that_refuse_are_not_those_of_a_user_who_agrees() {
        let page = html::read(
            br#"<form method="post" action="/authorize"><input type="hidden" name="user_oauth_approval" value="true">
                <input type="radio" name="scope.openid" value="true">Approve <input type="radio" name="scope.openid" value="false" checked>Deny
                <input type="radio" name="scope.email" value="true" checked> <input type="radio" name="scope.email" value="false">
                <input type="radio" name="language" value="de"> <input type="radio" name="language" value="en" checked>
                <input type="radio" name="theme" value="dark"> <button>Authorize</button></form>"#,
        );
        let sent = |agrees: bool| pressed(0, &page.forms[0], None, agrees).pairs;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let own = pair("user_oauth_approval", "true");
        assert_eq!(sent(true), [own.clone(), pair("scope.openid", "true"), pair("scope.email", "true"), pair("language", "en")]);
        assert_eq!(sent(false), [own, pair("scope.openid", "false"), pair("scope.email", "true"), pair("language", "en")]);
    }

    #[test]
    fn one_page_logins() {
        let (sent, what) = pairs(
            "<form method=post><input type=hidden name=csrf value=1><input name=login><input type=password name=pw><input type=checkbox name=remember><button name=a value=b>Sign in</button></form>",
        );
        assert_eq!(what, What::Password);
        assert_eq!((value(&sent, "login"), value(&sent, "pw"), value(&sent, "csrf")), (Some("alice"), Some("wonder land"), Some("1")));
        assert_eq!((value(&sent, "remember"), value(&sent, "a")), (None, Some("b")));
    }

    #[test]
    fn two_page_logins_keep_the_name_that_the_second_page_carries() {
        let (sent, what) = pairs("<form><input name=identifier><button>Next</button></form>");
        assert_eq!((what, value(&sent, "identifier")), (What::Name, Some("alice")));
        let (sent, _) = pairs("<form><input name=identifier value=alice@example.com><input type=password name=p></form>");
        assert_eq!(value(&sent, "identifier"), Some("alice@example.com"));
    }

    #[test]
    fn the_button_that_consents_is_pressed_wherever_it_stands() {
        let (sent, what) =
            pairs("<form><button name=decision value=deny>Cancel</button><button name=decision value=allow>Allow</button></form>");
        assert_eq!((what, value(&sent, "decision")), (What::Consent, Some("allow")));
        // Glewlwyd's page has both, and goes on without what was not granted.
        let (sent, _) = pairs(
            "<form><input type=checkbox name=s><button name=do value=g>Grant access</button><button name=do value=c>Continue</button></form>",
        );
        assert_eq!(value(&sent, "do"), Some("g"));
        let (sent, _) = pairs(
            "<form action=/deny><input type=hidden name=d value=no><button>Deny</button></form><form action=/ok><input type=hidden name=d value=yes><button>Grant</button></form>",
        );
        assert_eq!(value(&sent, "d"), Some("yes"));
        let (sent, _) = pairs(
            "<form><input type=checkbox name=scope value=openid><input type=hidden name=prompt value=consent><button type=submit>Continue</button></form>",
        );
        assert_eq!((value(&sent, "scope"), value(&sent, "prompt")), (Some("openid"), Some("consent")));
    }

    #[test]
    fn scopes_beside_the_password_are_ticked() {
        let (sent, what) = pairs(
            "<form><input name=user><input type=password name=pw><input type=checkbox name=scopes value=openid><input type=checkbox name=scopes value=admin><input type=checkbox name=remember value=1><button>Log in</button></form>",
        );
        let ticked: Vec<&str> = sent.iter().filter(|(n, _)| n == "scopes" || n == "remember").map(|(_, v)| v.as_str()).collect();
        assert_eq!((what, ticked), (What::Password, vec!["openid"]));
    }

    #[test]
    fn nobody_logs_out_on_the_way() {
        let pages = [
            "<form action=/admin/logout/ method=post><input type=hidden name=csrf value=1><button type=submit>Go on</button></form>",
            "<form method=post><button>Log out</button></form>",
            "<form method=post><input type=submit value='Sign off'></form>",
        ];
        for page in pages {
            let action = act(&html::read(page.as_bytes()), &alice(), &Login::default(), true, "openid profile");
            assert!(!matches!(&action, Action::Submit(filled) if filled.what == What::Consent), "{page}: {action:?}");
        }
        // One that a script of the page's own menu would send.
        let hidden = "<form id=out action=/oic/logout method=post><input type=hidden name=csrf value=1></form>";
        let action = act(&html::read(hidden.as_bytes()), &alice(), &Login::default(), true, "openid profile");
        assert!(matches!(action, Action::Nothing), "{action:?}");
    }

    #[test]
    fn forms_that_a_script_would_submit() {
        assert_eq!(pairs("<form method=post action=https://rp/cb><input type=hidden name=code value=1></form>").1, What::Automatic);
        assert_eq!(act(&html::read(b"<p>An error"), &alice(), &Login::default(), false, "openid profile"), Action::Nothing);
    }

    #[test]
    fn a_form_without_its_hidden_values_still_has_its_password() {
        let page = "<form><input type=hidden name=csrf value=1><input name=user><input type=hidden name=tx value=2><input type=password name=p></form>";
        let Action::Submit(mut filled) = act(&html::read(page.as_bytes()), &alice(), &Login::default(), false, "openid") else {
            panic!("not submitted");
        };
        filled.retain(|name, _| name == "user");
        let names: Vec<&str> = filled.pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, filled.password, filled.code), (vec!["user", "p"], Some(1), None));
    }

    #[test]
    fn one_time_codes_are_made_for_whoever_has_an_authenticator() {
        let user = User { totp: Some(Secret::new("GEZDGNBVGY3TQOJQ")), ..alice() };
        let filled = |page: &str, sent: bool| match act(&html::read(page.as_bytes()), &user, &Login::default(), sent, "openid profile") {
            Action::Submit(filled) => filled,
            other => panic!("{page}: {other:?}"),
        };
        let own_page = filled(
            "<form><input type=hidden name=selected value=1><input name=otp autocomplete=one-time-code><button>Sign in</button></form>",
            true,
        );
        assert_eq!((own_page.what, own_page.code), (What::Code, Some(1)));
        let hints = Login { otp_field: hint("input.six"), ..Login::default() };
        let named = "<form><input name=x class=six><input type=hidden name=code value=1><button>Go on</button></form>";
        match act(&html::read_for(named.as_bytes(), &hints), &user, &hints, true, "openid profile") {
            Action::Submit(filled) => assert_eq!((filled.what, filled.code), (What::Code, Some(0))),
            other => panic!("{other:?}"),
        }
        let one_page = filled("<form><input name=login><input type=password name=pw><input name=totp><button>Go</button></form>", false);
        assert_eq!((one_page.what, one_page.password, one_page.code), (What::Password, Some(1), Some(2)));
    }

    fn hint(text: &str) -> Option<Hint> {
        Some(Hint { text: text.into(), selector: crate::selector::Selector::parse(text).ok() })
    }

    #[test]
    fn hints_by_name_and_by_selector() {
        let text = "<form id=search><input name=q><input type=password name=x></form>
            <form class=login><input name=who><input name=trap type=password style=display:none><div class=real><input type=password name=pw></div>
            <button name=a value=1>Weiter</button></form>";
        let hints = Login { form: hint("form.login"), user_field: hint("who"), password_field: hint(".real > input"), ..Login::default() };
        let page = html::read_for(text.as_bytes(), &hints);
        let Action::Submit(Filled { form, pairs, what, .. }) = act(&page, &alice(), &hints, false, "openid profile") else {
            panic!("nothing to submit")
        };
        assert_eq!((form, what), (1, What::Password));
        assert_eq!((value(&pairs, "who"), value(&pairs, "pw"), value(&pairs, "trap")), (Some("alice"), Some("wonder land"), Some("")));
        assert_eq!(unmatched(&page, &hints), Vec::<String>::new());

        let consent = "<form><button class=no>Weg</button><button class=yes name=go>Gut so</button><button>Allow</button></form>";
        for by in ["button.yes", "go", "Gut so"] {
            let hints = Login { consent_button: hint(by), ..Login::default() };
            match act(&html::read_for(consent.as_bytes(), &hints), &alice(), &hints, false, "openid profile") {
                Action::Submit(filled) => assert_eq!(value(&filled.pairs, "go"), Some(""), "{by}"),
                other => panic!("{by}: {other:?}"),
            }
        }
    }

    #[test]
    fn hints_that_match_nothing_are_named() {
        let text = "<title>Sign in</title><form><input name=u><input type=password name=p></form>";
        let hints = Login { form: hint("#other"), user_field: hint("login"), password_field: hint("input#pw"), ..Login::default() };
        let page = html::read_for(text.as_bytes(), &hints);
        let words = unmatched(&page, &hints);
        assert_eq!(words.len(), 3, "{words:?}");
        assert_eq!(words[2], "`login.password_field: input#pw` matches nothing on the page “Sign in”");
        let no_password = html::read_for(b"<form><input name=q></form>", &hints);
        assert_eq!(unmatched(&no_password, &hints), Vec::<String>::new());
    }

    #[test]
    fn what_no_program_passes_is_said() {
        let says = |text: &str, words: &str| match act(&html::read(text.as_bytes()), &alice(), &Login::default(), false, "openid profile") {
            Action::Beyond(why) => assert!(why.contains(words) && why.contains("`session`"), "{why}"),
            other => panic!("{text}: {other:?}"),
        };
        let form =
            "<form><input name=user><input type=password name=p><div class=h-captcha data-sitekey=1></div><button>Log in</button></form>";
        says(form, "a CAPTCHA (hCaptcha)");
        says("<title>Hello</title><script>navigator.credentials.get({publicKey: o})</script>", "the page “Hello” asks for a passkey");
        // What only might be asked for does not keep from trying.
        let silent = "<script src=https://www.google.com/recaptcha/api.js></script><script src=/webauthn.js></script>
            <form><input name=user><input type=password name=p></form>";
        assert_eq!(pairs(silent).1, What::Password);
    }

    #[test]
    fn pages_that_a_script_makes_are_known() {
        let page = |text: &str| made_by_script(&html::read(text.as_bytes()));
        assert!(page("<title>Glewlwyd login</title><body><div id=root>Loading...</div><script src=login.js></script>"));
        assert!(!page("<p>An error") && !page("<script></script><form><input name=user></form>"));
    }

    /// What real servers put between the password and the callback; filled in, it changed accounts and spent codes.
    #[test]
    fn pages_that_a_test_must_not_fill_in() {
        let after_password = |html_text: &str| act(&html::read(html_text.as_bytes()), &alice(), &Login::default(), true, "openid profile");
        let profile =
            "<h1>Update account</h1><form><input name=email value=old@home.example><input name=firstName><button>Submit</button></form>";
        let code = "<form><input name=otp autocomplete=one-time-code><button>Sign in</button></form>";
        let password =
            "<h1>Update password</h1><form><input type=password name=new><input type=password name=confirm><button>Submit</button></form>";
        for (page, words) in [(profile, "Update account"), (code, "a one-time code: add `totp`"), (password, "a new password")] {
            match after_password(page) {
                Action::Beyond(why) => assert!(why.contains(words), "{why}"),
                other => panic!("{page}: {other:?}"),
            }
        }
        let email_only = "<form><input name=email value=old@home.example><button>Submit</button></form>";
        assert!(matches!(after_password(email_only), Action::Beyond(_)));
    }
}
