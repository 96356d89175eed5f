//! Which button of a page agrees, by its words.

use crate::target::Login;

use crate::wire;

use super::page::{Button, Field, Form, LINK_FORM, Page, Part, hinted};

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
    "verify",
    "ok",
    "next",
    "login",
    "signin",
    "submit",
    "true",
];
/// Of these, the words that give what was asked for, and do not merely go on.
const GRANTS: &[&str] = &["allow", "accept", "authorize", "authorise", "approve", "agree", "consent", "grant"];

/// The score of a button that agrees in words, and what it has more where it grants.
pub const AGREEING: i32 = 10;
const GRANTING: i32 = 2;

fn words(text: &str) -> Vec<String> {
    text.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// Words on the button that refuses consent. "Back" and "log out" leave without an answer.
const REFUSES: &[&str] = &["cancel", "deny", "denied", "reject", "decline", "abort", "no", "refuse", "disagree"];

/// Whether a button refuses in words of its own.
fn refuses(form: &Form, button: &Button) -> bool {
    let says = |text: &str| words(text).iter().any(|w| REFUSES.contains(&w.as_str()));
    !denies_by_address(form) && [&button.text, &button.value, &button.name, &button.id].into_iter().any(|text| says(text))
}

/// Whether a button ends the session in words of its own.
pub fn leaves(button: &Button) -> bool {
    let own: Vec<String> = [&button.text, &button.value, &button.name, &button.id].into_iter().flat_map(|text| words(text)).collect();
    own.iter().any(|w| matches!(w.as_str(), "logout" | "signout" | "logoff" | "signoff" | "yes" | "confirm"))
        || own.windows(2).any(|w| matches!((w[0].as_str(), w[1].as_str()), ("log" | "sign", "out" | "off")))
}

/// A form whose address ends the session is never what leads to the callback.
pub fn denies_by_address(form: &Form) -> bool {
    let words = words(form.action.split(['?', '#']).next().unwrap_or_default());
    words.iter().any(|w| matches!(w.as_str(), "logout" | "signout" | "logoff" | "signoff"))
}

/// The button of a page that refuses, and the form that it stands in.
pub fn refusing(page: &Page) -> Option<(usize, &Form, &Button)> {
    page.forms.iter().enumerate().find_map(|(at, form)| Some((at, form, refusing_of(form)?)))
}

/// Whether a form asks for a decision: a button of it gives what was asked for and does not merely go on, or refuses and does not merely
/// leave.
pub fn decides(form: &Form) -> bool {
    // What a person reads on it: a name that only programs see may be that of every button of a server.
    let read = |button: &Button| words(if button.text.trim().is_empty() { &button.value } else { &button.text });
    let grants = |button: &Button| {
        score(form, button, &Login::default()) > AGREEING && read(button).iter().any(|word| GRANTS.contains(&word.as_str()))
    };
    let leaves = |button: &Button| words(&button.text).iter().any(|word| matches!(word.as_str(), "cancel" | "abort"));
    form.buttons.iter().any(|button| grants(button) || refuses(form, button) && !leaves(button))
}

/// Whether the hint of the target file names this link.
fn is_hinted(button: &Button, hints: &Login) -> bool {
    let names = [button.id.as_str(), button.text.trim()];
    hinted(hints.consent_button.as_ref(), Part::Consent, &button.spot.parts, &names) == Some(true)
}

/// The links by which a page without a form lets its question be answered, as forms that are sent by GET: one that grants and one that
/// refuses, in words of their own, or the one that the target file names.
pub fn answers(page: &Page, links: &[Button], hints: &Login) -> Vec<Form> {
    let typed = |form: &Form| !form.buttons.is_empty() || form.fields.iter().any(|field| field.kind != "hidden");
    if page.forms.iter().any(typed) {
        return Vec::new();
    }
    // A link to a place on the page, or to a script, answers no server.
    let leads = |link: &&Button| {
        let address = link.action.as_deref().unwrap_or_default().trim_start().to_ascii_lowercase();
        !address.is_empty() && !address.starts_with('#') && !address.starts_with("javascript:")
    };
    let links = || links.iter().filter(leads);
    let says = |link: &Button, list: &[&str]| {
        [link.text.as_str(), &link.id].into_iter().any(|text| words(text).iter().any(|word| list.contains(&word.as_str())))
    };
    let granting = links().find(|link| is_hinted(link, hints)).or_else(|| links().find(|l| says(l, GRANTS) && !says(l, DENIES)));
    let refusing = links().find(|link| says(link, REFUSES));
    let is_question = granting.is_some_and(|link| is_hinted(link, hints)) || granting.is_some() && refusing.is_some();
    granting.into_iter().chain(refusing).filter(|_| is_question).map(as_form).collect()
}

/// A link as a form: what its address asks for is hidden in it.
fn as_form(link: &Button) -> Form {
    let address = link.action.as_deref().unwrap_or_default();
    let address = address.split('#').next().unwrap_or_default();
    let (action, query) = address.split_once('?').unwrap_or((address, ""));
    let hidden = |(name, value)| Field { name, value, kind: "hidden".into(), ..Field::default() };
    Form {
        id: Some(LINK_FORM.into()),
        action: action.to_owned(),
        method: "GET".into(),
        fields: wire::parse_form(query).into_iter().map(hidden).collect(),
        buttons: vec![Button { action: None, ..link.clone() }],
        ..Form::default()
    }
}

/// The button of a form that refuses.
pub fn refusing_of(form: &Form) -> Option<&Button> {
    form.buttons.iter().find(|button| refuses(form, button))
}

/// How much a button agrees; negative: it refuses.
pub fn score(form: &Form, button: &Button, hints: &Login) -> i32 {
    let names = [button.name.as_str(), &button.value, &button.id, button.text.trim()];
    if let Some(said) = hinted(hints.consent_button.as_ref(), Part::Consent, &button.spot.parts, &names) {
        return if said { 100 } else { -1 };
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
        (false, true) if own.iter().any(|w| GRANTS.contains(&w.as_str())) => AGREEING + GRANTING,
        (false, true) => AGREEING,
        (false, false) if denies(&hidden) => -1,
        (false, false) => 1,
    }
}
