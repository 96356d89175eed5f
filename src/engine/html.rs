//! HTML as far as a login needs it: forms, their fields and buttons, meta refresh, and an outline by which two pages of
//! one kind are recognised. Linear time and bounded memory, whatever a hostile page holds.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use lol_html::html_content::{Element, TextChunk};
use lol_html::{ElementContentHandlers, HandlerResult, HtmlRewriter, MemorySettings, Selector, Settings};
use sha2::{Digest, Sha256};

use crate::target::Login;

use super::button;
use super::obstacle::{self, Captcha};
use super::page::{self, Button, Field, Form, PLANTED, Page, Part, Spot, joined, parts};

#[derive(Default)]
struct Collected {
    page: Page,
    /// The form that is open, as an index.
    open: Option<usize>,
    tags: String,
    /// The button whose text is being read.
    button: Option<OpenButton>,
    /// Links outside of forms that could be answers to a question, and whether the last one is open.
    links: Vec<Button>,
    in_link: bool,
    /// What a selector of a hint matched, by its place in the text.
    hinted: Vec<(usize, Part)>,
    script: String,
    /// Controls that name their form by id, with the index of the control's form when it is found.
    owned: Vec<(String, Control)>,
}

#[derive(Clone, Copy)]
enum OpenButton {
    OfForm(usize),
    Owned,
}

enum Control {
    Field(Field),
    Button(Button),
}

/// Collects the text of a page, up to a sentence or two.
fn add_text(to: &mut String, piece: &str) {
    if to.len() < 300 {
        to.push_str(&unescape(piece));
        to.push(' ');
    }
}

/// Bytes of script that are searched for a redirect; one that redirects is short.
const MAX_SCRIPT: usize = 16 << 10;

/// The address that a script assigns to `location`, as far as it is a literal.
fn script_redirect(script: &str) -> Option<String> {
    script.match_indices("location").find_map(|(at, _)| {
        let rest = &script[at + "location".len()..];
        let rest = [".href", ".replace", ".assign"].iter().find_map(|m| rest.strip_prefix(m)).unwrap_or(rest).trim_start();
        let rest = rest.strip_prefix('=').or_else(|| rest.strip_prefix('('))?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let address = rest[1..].split(quote).next()?;
        let plain = address.replace("\\/", "/").replace("\\u0026", "&").replace("\\x26", "&").replace("\\u003d", "=");
        (plain.contains("://") || plain.starts_with('/')).then(|| unescape(&plain))
    })
}

thread_local! {
    /// The selectors that pages were searched for on this thread: reading them costs more than most pages do.
    static SELECTORS: RefCell<HashMap<String, Selector>> = RefCell::default();
}

/// A selector of this file, or of a target file, which was checked when that was read.
fn selector(text: &str) -> Selector {
    SELECTORS.with_borrow_mut(|known| match known.get(text) {
        Some(selector) => selector.clone(),
        None => {
            let selector: Selector = text.parse().unwrap_or_else(|e| panic!("`{text}` was no selector: {e}"));
            known.entry(text.to_owned()).or_insert(selector).clone()
        }
    })
}

type On<'h> = (Cow<'static, Selector>, ElementContentHandlers<'h>);

/// What is to be done with the elements that a selector matches.
fn elements<'h>(of: &str, handler: impl FnMut(&mut Element<'_, '_>) -> HandlerResult + 'h) -> On<'h> {
    (Cow::Owned(selector(of)), ElementContentHandlers::default().element(handler))
}

/// What is to be done with the text in elements that a selector matches, piece by piece.
fn texts<'h>(of: &str, handler: impl FnMut(&mut TextChunk<'_>) -> HandlerResult + 'h) -> On<'h> {
    (Cow::Owned(selector(of)), ElementContentHandlers::default().text(handler))
}

/// A page that asks a question has few links.
const MOST_LINKS: usize = 60;

/// Tags beyond this many do not change the outline.
const OUTLINE_TAGS: usize = 400;

/// Reads a page. Broken HTML gives what could be read until it broke.
pub fn read(body: &[u8]) -> Page {
    read_for(body, &Login::default())
}

/// Reads a page, and marks what the hints name by selector.
pub fn read_for(body: &[u8], hints: &Login) -> Page {
    let collected = Rc::new(RefCell::new(Collected::default()));
    {
        // Few selectors: they are put together anew for each page.
        let mut handlers = vec![elements("*", {
            let c = collected.clone();
            move |e| {
                element(e, &c);
                Ok(())
            }
        })];
        let mut text = |of: &str, take: fn(&mut Collected, &str)| {
            let c = collected.clone();
            handlers.push(texts(of, move |t| {
                take(&mut c.borrow_mut(), t.as_str());
                Ok(())
            }));
        };
        text("button", |c, piece| {
            if let Some(button) = open_button(c)
                && button.text.len() < 200
            {
                button.text.push_str(&unescape(piece));
            }
        });
        text("a", |c, piece| {
            if let Some(link) = c.links.last_mut().filter(|link| c.in_link && link.text.len() < 200) {
                link.text.push_str(&unescape(piece));
            }
        });
        text("[id*=error], [class*=error], [role=alert]", |c, piece| add_text(&mut c.page.message, piece));
        text("script", |c, piece| {
            if c.script.len() < MAX_SCRIPT {
                c.script.push_str(piece);
            }
        });
        text("h1, h2, h3", |c, piece| add_text(&mut c.page.heading, piece));
        text("p, pre, dd", |c, piece| add_text(&mut c.page.paragraph, piece));
        text("title", |c, piece| {
            if c.page.title.len() < 200 {
                c.page.title.push_str(&unescape(piece));
            }
        });
        for (part, selector) in parts(hints).filter_map(|(part, hint)| Some((part, hint.selector.as_ref()?))) {
            let inner = collected.clone();
            handlers.push(elements(selector.as_str(), move |e| {
                inner.borrow_mut().hinted.push((place(e), part));
                Ok(())
            }));
        }
        let memory = MemorySettings::new().with_preallocated_parsing_buffer_size(1024).with_max_allowed_memory_usage(4 << 20);
        let settings = handlers
            .into_iter()
            .fold(Settings::new(), |settings, handler| settings.append_element_content_handler(handler))
            .with_memory_settings(memory)
            .with_strict(false);
        let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
        // A page that breaks the parser's limits has given all it will give.
        if rewriter.write(body).is_ok() {
            let _ = rewriter.end();
        }
    }
    let mut collected = Rc::try_unwrap(collected).map(RefCell::into_inner).unwrap_or_default();
    for (owner, control) in std::mem::take(&mut collected.owned) {
        if let Some(form) = collected.page.forms.iter_mut().find(|f| f.id.as_deref() == Some(&owner)) {
            match control {
                Control::Field(field) => form.fields.push(field),
                Control::Button(button) => form.buttons.push(button),
            }
        }
    }
    let hinted = std::mem::take(&mut collected.hinted);
    let mark = |spot: &mut Spot| spot.parts = hinted.iter().filter(|(at, _)| *at == spot.at).map(|(_, part)| *part).collect();
    for form in &mut collected.page.forms {
        let fields = form.fields.iter_mut().map(|f| &mut f.spot);
        fields.chain(form.buttons.iter_mut().map(|b| &mut b.spot)).chain([&mut form.spot]).for_each(mark);
    }
    collected.links.iter_mut().for_each(|link| mark(&mut link.spot));
    let answers = button::answers(&collected.page, &collected.links, hints);
    collected.page.forms.extend(answers);
    collected.page.passkey |= obstacle::speaks_of_passkeys(&collected.script);
    let digest = Sha256::digest(collected.tags.as_bytes());
    collected.page.outline = format!("{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
    collected.page.title = joined(&collected.page.title);
    collected.page.script_redirect = script_redirect(&collected.script);
    collected.page.message = joined(&collected.page.message);
    collected.page.heading = joined(&collected.page.heading);
    collected.page.paragraph = joined(&collected.page.paragraph);
    collected.page
}

/// Takes what an element says when it begins.
fn element(e: &mut Element<'_, '_>, collected: &Rc<RefCell<Collected>>) {
    let mut c = collected.borrow_mut();
    let name = e.tag_name();
    // Also behind the tags that count for the outline: scripts stand at the end of long pages.
    c.page.has_script |= name == "script";
    c.page.planted |= name == PLANTED;
    page::note_links(&mut c.page, &name, |attribute| e.get_attribute(attribute));
    if c.tags.len() < OUTLINE_TAGS * 8 {
        c.tags.push_str(&name);
        c.tags.push(' ');
    }
    captcha(e, &name, &mut c.page);
    match name.as_str() {
        "form" => {
            c.page.forms.push(Form {
                id: e.get_attribute("id"),
                action: attribute(e, "action"),
                method: attribute(e, "method").to_ascii_uppercase(),
                name: attribute(e, "name"),
                spot: spot(e),
                ..Form::default()
            });
            c.open = Some(c.page.forms.len() - 1);
            at_end(e, collected, |c| c.open = None);
        }
        "input" | "select" | "textarea" | "option" => control(e, &mut c),
        "a" if c.open.is_none() && c.links.len() < MOST_LINKS && e.has_attribute("href") => {
            c.links.push(Button { id: attribute(e, "id"), action: Some(attribute(e, "href")), spot: spot(e), ..Button::default() });
            c.in_link = true;
            at_end(e, collected, |c| c.in_link = false);
        }
        "button" => {
            control(e, &mut c);
            at_end(e, collected, |c| c.button = None);
        }
        "meta" if attribute(e, "http-equiv").eq_ignore_ascii_case("refresh") => {
            let content = attribute(e, "content");
            if let Some(at) = content.to_ascii_lowercase().find("url=") {
                let url = content[at + 4..].trim().trim_matches(['\'', '"']);
                c.page.refresh = Some(url.to_owned());
            }
        }
        "base" => {
            let href = attribute(e, "href");
            if !href.is_empty() {
                c.page.base = Some(href);
            }
        }
        _ => {}
    }
}

/// Has something done when the element ends.
fn at_end(e: &mut Element<'_, '_>, collected: &Rc<RefCell<Collected>>, then: fn(&mut Collected)) {
    if let Some(handlers) = e.end_tag_handlers() {
        let inner = collected.clone();
        handlers.push(Box::new(move |_| {
            then(&mut inner.borrow_mut());
            Ok(())
        }));
    }
}

/// Notes the marks of CAPTCHAs and passkeys: scripts and frames of their makers, and the elements that those fill.
fn captcha(e: &Element<'_, '_>, name: &str, page: &mut Page) {
    if matches!(name, "iframe" | "script") && e.has_attribute("src") {
        let address = attribute(e, "src");
        if let Some(maker) = obstacle::captcha_maker(&address) {
            found(page, Captcha { maker, shown: name == "iframe" });
        }
        page.passkey |= obstacle::speaks_of_passkeys(&address);
    }
    let class = attribute(e, "class");
    if e.has_attribute("data-sitekey")
        || class.split_ascii_whitespace().any(|class| matches!(class, "g-recaptcha" | "h-captcha" | "cf-turnstile"))
    {
        let maker = obstacle::captcha_maker(&class).unwrap_or("CAPTCHA");
        found(page, Captcha { maker, shown: attribute(e, "data-size") != "invisible" });
    }
}

/// Of two marks of CAPTCHAs, the one that a person would see.
fn found(page: &mut Page, captcha: Captcha) {
    if page.captcha.is_none_or(|known| captcha.shown && !known.shown) {
        page.captcha = Some(captcha);
    }
}

fn place(e: &Element) -> usize {
    e.source_location().bytes().start
}

fn spot(e: &Element) -> Spot {
    Spot { at: place(e), parts: Vec::new(), live: e.get_attribute("data-grantproof").and_then(|n| n.parse().ok()) }
}

fn control(e: &Element, c: &mut Collected) {
    let tag = e.tag_name();
    let kind = attribute(e, "type").to_ascii_lowercase();
    if e.has_attribute("disabled") {
        return;
    }
    if tag == "option" {
        if let Some(field) = c.open.and_then(|i| c.page.forms[i].fields.last_mut()).filter(|f| f.kind == "select")
            && (e.has_attribute("selected") || !field.checked)
        {
            field.value = attribute(e, "value");
            field.checked = true;
        }
        return;
    }
    let is_button =
        tag == "button" && (kind.is_empty() || kind == "submit") || tag == "input" && matches!(kind.as_str(), "submit" | "image");
    if tag == "button" && !is_button || tag == "input" && matches!(kind.as_str(), "reset" | "button" | "file") {
        return;
    }
    let control = if is_button {
        let value = attribute(e, "value");
        Control::Button(Button {
            name: attribute(e, "name"),
            text: if tag == "input" { value.clone() } else { String::new() },
            value,
            id: attribute(e, "id"),
            action: e.get_attribute("formaction").map(|a| unescape(&a)),
            // The snapshot of a live page has none: there the browser runs it.
            script: e.has_attribute("onclick"),
            spot: spot(e),
        })
    } else {
        let kind = match tag.as_str() {
            "input" if kind.is_empty() => "text".to_owned(),
            "input" => kind,
            other => other.to_owned(),
        };
        Control::Field(Field {
            name: attribute(e, "name"),
            checked: e.has_attribute("checked"),
            required: e.has_attribute("required"),
            value: if kind == "checkbox" && !e.has_attribute("value") { "on".into() } else { attribute(e, "value") },
            kind,
            autocomplete: attribute(e, "autocomplete").to_ascii_lowercase(),
            id: attribute(e, "id"),
            spot: spot(e),
        })
    };
    let open = |of| (is_button && tag == "button").then_some(of);
    match (e.get_attribute("form"), c.open) {
        (Some(owner), _) => {
            c.button = open(OpenButton::Owned);
            c.owned.push((owner, control));
        }
        (None, Some(index)) => {
            c.button = open(OpenButton::OfForm(index));
            match control {
                Control::Field(field) => c.page.forms[index].fields.push(field),
                Control::Button(button) => c.page.forms[index].buttons.push(button),
            }
        }
        (None, None) => c.button = None,
    }
}

fn open_button(c: &mut Collected) -> Option<&mut Button> {
    match c.button? {
        OpenButton::OfForm(index) => c.page.forms.get_mut(index)?.buttons.last_mut(),
        OpenButton::Owned => match &mut c.owned.last_mut()?.1 {
            Control::Button(button) => Some(button),
            Control::Field(_) => None,
        },
    }
}

fn attribute(e: &Element, name: &str) -> String {
    e.get_attribute(name).map(|value| unescape(&value)).unwrap_or_default()
}

/// Character references to characters: the five names of XML, `&nbsp;`, and numbers. Attribute values come undecoded,
/// and hidden fields with `&amp;` must go back decoded.
pub fn unescape(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.char_indices().take(12).find(|(_, c)| *c == ';').map(|(i, _)| i);
        let decoded = end.and_then(|end| {
            let name = &rest[1..end];
            match name {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                "nbsp" => Some('\u{a0}'),
                _ => {
                    let number = name.strip_prefix('#')?;
                    let code = match number.strip_prefix(['x', 'X']) {
                        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                        None => number.parse().ok()?,
                    };
                    char::from_u32(code)
                }
            }
        });
        match (decoded, end) {
            (Some(c), Some(end)) => {
                clean.push(c);
                rest = &rest[end + 1..];
            }
            _ => {
                clean.push('&');
                rest = &rest[1..];
            }
        }
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_login_page_is_read() {
        let page = read(
            br#"<title>Sign in</title><!-- <input name="comment"> --><script>"<form>"</script>
            <form action="/login?a=1&amp;b=2" method=post><input type=hidden name=csrf value="a&quot;&#43;b">
            <input name=login><input type=password name=password><button name=do value=yes>Log <b>in</b></button></form>"#,
        );
        assert_eq!(page.title, "Sign in");
        let [form] = page.forms.as_slice() else { panic!("one form, not {:?}", page.forms) };
        assert_eq!((form.action.as_str(), form.method.as_str()), ("/login?a=1&b=2", "POST"));
        let names: Vec<&str> = form.fields.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["csrf", "login", "password"]);
        assert_eq!(form.fields[0].value, "a\"+b");
        assert_eq!((form.buttons[0].name.as_str(), form.buttons[0].text.trim()), ("do", "Log in"));
        let [form] = read(b"<form><button>Allow</button><input type=submit name=deny value=Deny onclick='x()'></form>")
            .forms
            .try_into()
            .expect("one");
        assert_eq!(form.buttons.iter().map(|button| button.script).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn links_that_answer_a_question_are_forms_where_there_are_none() {
        let links = "<a href=/help>Help</a><a id=allow href='/go?a=1&amp;b=x%20y#top'>Allow</a> <a href='https://app.example/cb?error=access_denied'>Deny</a>";
        let page = read(links.as_bytes());
        let [allow, deny] = page.forms.as_slice() else { panic!("two answers, not {:?}", page.forms) };
        assert!(allow.is_link() && deny.is_link());
        assert_eq!((allow.action.as_str(), deny.action.as_str()), ("/go", "https://app.example/cb"));
        let pairs: Vec<(&str, &str)> = allow.fields.iter().map(|f| (f.name.as_str(), f.value.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x y")]);
        assert_eq!(button::refusing(&page).map(|(at, ..)| at), Some(1));
        // A page that merely has such words, or a form of its own, asks nothing by links.
        for other in [
            "<a href=/x>Allow</a>",
            &format!("<form><input name=q></form>{links}"),
            "<a href=/a>Accept cookies</a><a href=/b>More</a>",
            "<a href=#>Accept</a><a href=#>Decline</a>",
        ] {
            assert!(!read(other.as_bytes()).forms.iter().any(Form::is_link), "{other}");
        }
    }

    #[test]
    fn controls_outside_of_their_form_belong_to_it() {
        let page = read(br#"<form id=f action=/x></form><input form=f name=a value=1><button form=f name=b>Go</button>"#);
        assert_eq!(page.forms[0].fields[0].name, "a");
        assert_eq!((page.forms[0].buttons[0].name.as_str(), page.forms[0].buttons[0].text.as_str()), ("b", "Go"));
    }

    #[test]
    fn a_script_at_the_end_of_a_long_page_is_seen() {
        let long = "<p>text</p>".repeat(2000);
        assert!(read(format!("{long}<script src=a.js></script>").as_bytes()).has_script && !read(long.as_bytes()).has_script);
    }

    #[test]
    fn captchas_and_passkeys_are_seen() {
        let captcha = |text: &str| read(text.as_bytes()).captcha.map(|c| (c.maker, c.shown));
        assert_eq!(captcha("<div class='h-captcha' data-sitekey=1></div>"), Some(("hCaptcha", true)));
        assert_eq!(captcha("<script src=https://www.google.com/recaptcha/api.js></script>"), Some(("reCAPTCHA", false)));
        assert_eq!(
            captcha("<script src=https://challenges.cloudflare.com/turnstile/v0/api.js></script><div class=cf-turnstile></div>"),
            Some(("Turnstile", true))
        );
        assert_eq!(captcha("<button class=g-recaptcha data-size=invisible>Go</button>"), Some(("reCAPTCHA", false)));
        assert_eq!(captcha("<p>captcha"), None);
        assert!(read(b"<script>navigator.credentials.get({publicKey: o})</script>").passkey);
        assert!(read(b"<script src=/js/webauthn.js></script>").passkey && !read(b"<script src=/js/main.js></script>").passkey);
    }

    #[test]
    fn redirects_by_script_are_read() {
        let to = |script: &str| read(format!("<p>One moment<script>{script}</script>").as_bytes()).script_redirect;
        assert_eq!(
            to(r#"window.location.href = "https:\/\/app.example\/cb?code=1\u0026state=2";"#).as_deref(),
            Some("https://app.example/cb?code=1&state=2")
        );
        assert_eq!(to("location.replace('/next')").as_deref(), Some("/next"));
        assert_eq!(to("if (location.hash == '#x') { show('/y') }"), None);
        assert_eq!(to("location = somewhere"), None);
    }

    #[test]
    fn pages_are_called_by_their_heading_and_say_what_stands_below() {
        let page = read(b"<title>Accounts</title><h1>Error: <b>invalid_request</b></h1><p>Invalid client_id parameter value.</p>");
        assert_eq!((page.name(), &*page.says()), ("Error: invalid_request", "Invalid client_id parameter value."));
        let page = read(b"<title>Sign in</title><body class=error-page><h1>We are sorry</h1><p>Client not found.</p>");
        assert_eq!((page.name(), &*page.says()), ("We are sorry", "Client not found."));
        let page = read(b"<title>Sign in</title><h1>Hello</h1><span id=input-error>Invalid username or password.</span><p>Welcome");
        assert_eq!((page.name(), &*page.says()), ("Hello", "Invalid username or password."));
        assert_eq!(read(b"<title>Sign in</title>").name(), "Sign in");
    }

    proptest! {
        #[test]
        fn no_page_panics(text in "[<>&;/a-z\"'= #x0-9\u{e9}]{0,300}") {
            let _ = read(text.as_bytes()).says();
            let _ = unescape(&text);
        }
    }
}
