//! What a page offers to a browser, as far as a login needs it.

use std::borrow::Cow;

use crate::target::{Hint, Login};
use crate::wire;

use super::obstacle::Captcha;

/// What a page offers to a browser.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub title: String,
    /// The text of its headings. Like the two below for people only: words on a page prove nothing.
    pub heading: String,
    /// What the page says is wrong: the text of elements that are marked as an error or alert.
    pub message: String,
    /// The beginning of its paragraphs.
    pub paragraph: String,
    pub forms: Vec<Form>,
    /// The URL of a meta refresh.
    pub refresh: Option<String>,
    /// Addresses that it loads from or leads to.
    pub links: Vec<String>,
    /// Those of its images.
    pub images: Vec<String>,
    /// `<meta name="referrer">`.
    pub referrer: Option<String>,
    /// `<base href>`.
    pub base: Option<String>,
    /// A hash of the sequence of tags.
    pub outline: String,
    /// A script may write what the page shows.
    pub has_script: bool,
    /// Markup that a scenario planted in a parameter is markup of the page.
    pub planted: bool,
    /// Where a script sends the browser at once: `location.href = "…"`, `location.replace("…")`.
    pub script_redirect: Option<String>,
    pub captcha: Option<Captcha>,
    /// Something on it speaks of WebAuthn. Pages that merely offer a passkey beside a password do so too.
    pub passkey: bool,
}

impl Page {
    /// What a person would call it: its heading, else its title; empty where it has neither.
    pub fn name(&self) -> &str {
        if self.heading.is_empty() { &self.title } else { &self.heading }
    }

    /// What it says beside its name: what is marked as an error, else its paragraphs.
    pub fn says(&self) -> Cow<'_, str> {
        let text = if self.message.is_empty() { &self.paragraph } else { &self.message };
        // Where the whole page is marked, its heading comes first.
        let text = text.strip_prefix(self.heading.as_str()).unwrap_or(text).trim_start();
        wire::shortened(text, 200)
    }
}

/// The part of a login that a hint of the target file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Form,
    User,
    Password,
    Code,
    Consent,
}

impl Part {
    /// The key of its hint in the target file.
    pub fn key(self) -> &'static str {
        match self {
            Part::Form => "form",
            Part::User => "user_field",
            Part::Password => "password_field",
            Part::Code => "otp_field",
            Part::Consent => "consent_button",
        }
    }
}

/// Where an element stands in the text of the page, and which hints name it by selector.
#[derive(Debug, Clone, Default)]
pub struct Spot {
    pub at: usize,
    pub parts: Vec<Part>,
    /// The number that the snapshot of a live page gave it.
    pub live: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub struct Form {
    pub id: Option<String>,
    pub name: String,
    /// Empty: the page's own address.
    pub action: String,
    pub method: String,
    pub fields: Vec<Field>,
    pub buttons: Vec<Button>,
    pub spot: Spot,
}

#[derive(Debug, Clone, Default)]
pub struct Field {
    pub name: String,
    /// `text`, `password`, `hidden`, `checkbox`, … in small letters.
    pub kind: String,
    pub value: String,
    pub checked: bool,
    pub required: bool,
    pub autocomplete: String,
    pub id: String,
    pub spot: Spot,
}

#[derive(Debug, Clone, Default)]
pub struct Button {
    pub name: String,
    pub value: String,
    pub text: String,
    pub id: String,
    pub action: Option<String>,
    /// A script of its own (`onclick`) may change what is sent, and nobody runs it.
    pub script: bool,
    pub spot: Spot,
}

/// The name of an element, or of a header, that no server sends unless a scenario planted it.
pub const PLANTED: &str = "grantproof-planted";

/// The form of the controls of a live page that belong to none: its id in the snapshot.
pub const PAGE_FORM: &str = "grantproof-page";

/// The form that stands for a link: its id.
pub const LINK_FORM: &str = "grantproof-link";

impl Form {
    /// It stands for a link that answers the question of a page.
    pub fn is_link(&self) -> bool {
        self.id.as_deref() == Some(LINK_FORM)
    }

    /// It stands for the whole of a page that a script made.
    pub fn is_page(&self) -> bool {
        self.id.as_deref() == Some(PAGE_FORM)
    }
}

/// The hints that are given, with what they name.
pub fn parts(hints: &Login) -> impl Iterator<Item = (Part, &Hint)> {
    let all = [
        (Part::Form, &hints.form),
        (Part::User, &hints.user_field),
        (Part::Password, &hints.password_field),
        (Part::Code, &hints.otp_field),
        (Part::Consent, &hints.consent_button),
    ];
    all.into_iter().filter_map(|(part, hint)| Some((part, hint.as_ref()?)))
}

/// What a hint says of an element; None: there is no such hint.
pub fn hinted(hint: Option<&Hint>, part: Part, parts: &[Part], names: &[&str]) -> Option<bool> {
    hint.map(|hint| parts.contains(&part) || names.contains(&hint.text.as_str()))
}

/// Notes the addresses in an element, as far as a page has few of them, and a referrer policy.
pub fn note_links(page: &mut Page, element: &str, attribute: impl Fn(&str) -> Option<String>) {
    const MOST: usize = 200;
    let address = match element {
        "a" | "link" => attribute("href"),
        "img" | "script" | "iframe" | "source" | "video" | "audio" | "embed" => attribute("src"),
        "meta" if attribute("name").is_some_and(|name| name.eq_ignore_ascii_case("referrer")) => {
            page.referrer = attribute("content");
            None
        }
        _ => None,
    };
    if let Some(address) = address.filter(|_| page.links.len() < MOST) {
        if element == "img" {
            page.images.push(address.clone());
        }
        page.links.push(address);
    }
}

/// One line.
pub fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
