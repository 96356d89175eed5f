//! The `form` login driver: which form of a page to fill in, with what, and which button to press, as a person would.

use crate::target::{Login, User};

use super::html::{Button, Field, Form, Page};

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
}

/// What a form is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Words on buttons that refuse, and words that agree.
const DENIES: &[&str] = &[
    "cancel", "deny", "denied", "reject", "decline", "abort", "no", "refuse", "logout", "signout", "logoff", "signoff", "back", "disagree",
    "false",
];
const AGREES: &[&str] = &[
    "allow",
    "accept",
    "authorize",
    "authorise",
    "approve",
    "agree",
    "consent",
    "yes",
    "continue",
    "grant",
    "confirm",
    "ok",
    "next",
    "login",
    "signin",
    "submit",
    "true",
];
const USER_NAMES: &[&str] = &["username", "user", "login", "email", "identifier", "userid", "loginid", "account", "name"];

/// Chooses what to do with a page; `scope` is what the authorization request asks for. Once a password was sent, a page that asks for something else is not ours to fill in:
/// it may change the account (a profile, a new password) or spend a one-time code.
pub fn act(page: &Page, user: &User, hints: &Login, password_sent: bool, scope: &str) -> Action {
    let forms = || page.forms.iter().enumerate();
    let passwords = |form: &Form| form.fields.iter().filter(|f| is_password(f, hints)).count();
    if let Some((index, form)) = forms().find(|(_, f)| passwords(f) == 1) {
        return fill(index, form, user, hints, What::Password, scope);
    }
    if page.forms.iter().any(|f| passwords(f) > 1) {
        return Action::Beyond(beyond(page, "a new password"));
    }
    if let Some((index, form)) =
        forms().find(|(_, f)| f.fields.iter().filter(|field| is_code(field)).count() == 1 && visible(f).count() == 1)
        && user.totp.is_some()
    {
        return fill(index, form, user, hints, What::Code, scope);
    }
    let name_only = |form: &Form| visible(form).count() == 1 && form.fields.iter().any(|field| is_user_name(field, hints));
    if let Some((index, form)) = forms().find(|(_, f)| !password_sent && name_only(f)) {
        return fill(index, form, user, hints, What::Name, scope);
    }
    // Forms of which one denies: the best button of all of them decides.
    let best = forms()
        .filter(|(_, form)| visible(form).next().is_none())
        .flat_map(|(index, form)| form.buttons.iter().map(move |button| (index, form, button)))
        .map(|(index, form, button)| (score(form, button, hints), index, form, button))
        .filter(|(score, ..)| *score >= 0)
        .max_by_key(|(score, index, ..)| (*score, std::cmp::Reverse(*index)));
    if let Some((_, index, form, button)) = best {
        return submit(index, Some(button), values(form, true), What::Consent);
    }
    if let Some((index, form)) = forms().find(|(_, f)| !f.fields.is_empty() && f.fields.iter().all(|field| field.kind == "hidden")) {
        return submit(index, None, values(form, true), What::Automatic);
    }
    if let Some(url) = &page.refresh {
        return Action::Refresh(url.clone());
    }
    match page.forms.iter().find_map(|f| visible(f).next()) {
        Some(field) if is_code(field) => Action::Beyond(format!(
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
fn is_code(field: &Field) -> bool {
    const NAMES: &[&str] = &["otp", "code", "mfa", "passcode", "verification", "twofactor", "authenticator", "token"];
    let typed = matches!(field.kind.as_str(), "text" | "tel" | "number");
    let says = |text: &str| NAMES.iter().any(|name| plain(text).contains(name));
    typed && (field.autocomplete.contains("one-time-code") || says(&field.name) || says(&field.id))
}

fn is_password(field: &Field, hints: &Login) -> bool {
    match &hints.password_field {
        Some(name) => field.name == *name,
        None => field.kind == "password",
    }
}

fn is_user_name(field: &Field, hints: &Login) -> bool {
    if let Some(name) = &hints.user_field {
        return field.name == *name;
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

fn words(text: &str) -> Vec<String> {
    text.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// A form whose address ends the session is never what leads to the callback.
fn denies_by_address(form: &Form) -> bool {
    let words = words(form.action.split(['?', '#']).next().unwrap_or_default());
    words.iter().any(|w| matches!(w.as_str(), "logout" | "signout" | "logoff" | "signoff"))
}

/// How much a button agrees; negative: it refuses.
fn score(form: &Form, button: &Button, hints: &Login) -> i32 {
    if let Some(hint) = &hints.consent_button {
        return if [&button.name, &button.value, &button.id].contains(&hint) || button.text.trim() == hint { 100 } else { -1 };
    }
    // Hidden values such as decision=deny speak for the whole form, where the button itself says nothing.
    let hidden: Vec<String> =
        form.fields.iter().filter(|f| f.kind == "hidden" && f.value.len() < 20).flat_map(|f| words(&f.value)).collect();
    let mut own = words(&button.text);
    own.extend(words(&button.value));
    own.extend(words(&button.name));
    own.extend(words(&button.id));
    // "Log out", "sign off": two words that end a session.
    let leaves = |list: &[String]| list.windows(2).any(|w| matches!((w[0].as_str(), w[1].as_str()), ("log" | "sign", "out" | "off")));
    let denies = |list: &[String]| list.iter().any(|w| DENIES.contains(&w.as_str())) || leaves(list);
    let agrees = |list: &[String]| list.iter().any(|w| AGREES.contains(&w.as_str()) || w == "log" || w == "sign");
    if denies_by_address(form) {
        return -1;
    }
    match (denies(&own), agrees(&own)) {
        (true, _) => -1,
        (false, true) => 10,
        (false, false) if denies(&hidden) => -1,
        (false, false) => 1,
    }
}

/// What the form would send as it stands: hidden fields unchanged, half-filled fields too, boxes ticked where asked.
fn values(form: &Form, tick: bool) -> Vec<(String, String)> {
    form.fields
        .iter()
        .filter(|f| !f.name.is_empty())
        .filter(|f| match f.kind.as_str() {
            "checkbox" => f.checked || tick,
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
    let mut pairs = Vec::new();
    let (mut password, mut code) = (None, None);
    for (at, field) in form.fields.iter().enumerate().filter(|(_, f)| !f.name.is_empty()) {
        let value = if is_password(field, hints) {
            password = Some(pairs.len());
            user.password.as_ref().map(|p| p.reveal().to_owned()).unwrap_or_default()
        } else if Some(at) != user_at && is_code(field) && user.totp.is_some() {
            code = Some(pairs.len());
            String::new()
        } else if Some(at) == user_at && field.value.is_empty() {
            user.name.clone()
        } else {
            match field.kind.as_str() {
                // A box for a scope that was asked for is a consent; any other ("remember me") stays as it is.
                "checkbox" if !field.checked && !is_scope(field, scope) => continue,
                "radio" if !field.checked => continue,
                _ => field.value.clone(),
            }
        };
        pairs.push((field.name.clone(), value));
    }
    let button = form
        .buttons
        .iter()
        .map(|b| (score(form, b, &Login::default()), b))
        .filter(|(s, _)| *s >= 0)
        .max_by_key(|(s, _)| *s)
        .map(|(_, b)| b);
    match submit(index, button.or(form.buttons.first()), pairs, what) {
        Action::Submit(filled) => Action::Submit(Filled { password, code, ..filled }),
        other => other,
    }
}

fn submit(form: usize, button: Option<&Button>, mut pairs: Vec<(String, String)>, what: What) -> Action {
    if let Some(button) = button.filter(|b| !b.name.is_empty()) {
        pairs.push((button.name.clone(), button.value.clone()));
    }
    let pressed = button.map(|b| [b.text.trim(), &b.value, &b.name, &b.id].into_iter().find(|t| !t.is_empty()).unwrap_or("").to_owned());
    Action::Submit(Filled { form, pairs, action: button.and_then(|b| b.action.clone()), what, password: None, code: None, pressed })
}

#[cfg(test)]
mod tests {
    use super::super::html;
    use super::*;
    use crate::target::Secret;

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
    }

    #[test]
    fn forms_that_a_script_would_submit() {
        assert_eq!(pairs("<form method=post action=https://rp/cb><input type=hidden name=code value=1></form>").1, What::Automatic);
        assert_eq!(act(&html::read(b"<p>An error"), &alice(), &Login::default(), false, "openid profile"), Action::Nothing);
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
        let one_page = filled("<form><input name=login><input type=password name=pw><input name=totp><button>Go</button></form>", false);
        assert_eq!((one_page.what, one_page.password, one_page.code), (What::Password, Some(1), Some(2)));
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
