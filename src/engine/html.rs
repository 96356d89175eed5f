//! HTML as far as a login needs it: forms, their fields and buttons, meta refresh, and an outline by which two pages of
//! one kind are recognised. Linear time and bounded memory, whatever a hostile page holds.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::{HtmlRewriter, MemorySettings, Settings, element, text};
use sha2::{Digest, Sha256};

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
    /// `<base href>`.
    pub base: Option<String>,
    /// A hash of the sequence of tags.
    pub outline: String,
    /// A script may write what the page shows.
    pub has_script: bool,
    /// Where a script sends the browser at once: `location.href = "…"`, `location.replace("…")`.
    pub script_redirect: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Form {
    pub id: Option<String>,
    /// Empty: the page's own address.
    pub action: String,
    pub method: String,
    pub fields: Vec<Field>,
    pub buttons: Vec<Button>,
}

#[derive(Debug, Clone, Default)]
pub struct Field {
    pub name: String,
    /// `text`, `password`, `hidden`, `checkbox`, … in small letters.
    pub kind: String,
    pub value: String,
    pub checked: bool,
    pub autocomplete: String,
    pub id: String,
}

#[derive(Debug, Clone, Default)]
pub struct Button {
    pub name: String,
    pub value: String,
    pub text: String,
    pub id: String,
    pub action: Option<String>,
}

#[derive(Default)]
struct Collected {
    page: Page,
    /// The form that is open, as an index.
    open: Option<usize>,
    tags: String,
    in_button: bool,
    script: String,
    /// Controls that name their form by id, with the index of the control's form when it is found.
    owned: Vec<(String, Control)>,
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

/// One line.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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

/// Tags beyond this many do not change the outline.
const OUTLINE_TAGS: usize = 400;

/// Reads a page. Broken HTML gives what could be read until it broke.
pub fn read(body: &[u8]) -> Page {
    let collected = Rc::new(RefCell::new(Collected::default()));
    {
        let (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11) = (
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
            collected.clone(),
        );

        let handlers = vec![
            element!("*", move |e| {
                let mut c = c1.borrow_mut();
                if c.tags.len() < OUTLINE_TAGS * 8 {
                    let name = e.tag_name();
                    c.page.has_script |= name == "script";
                    c.tags.push_str(&name);
                    c.tags.push(' ');
                }
                Ok(())
            }),
            element!("form", move |e| {
                let mut c = c2.borrow_mut();
                c.page.forms.push(Form {
                    id: e.get_attribute("id"),
                    action: attribute(e, "action"),
                    method: attribute(e, "method").to_ascii_uppercase(),
                    ..Form::default()
                });
                c.open = Some(c.page.forms.len() - 1);
                if let Some(handlers) = e.end_tag_handlers() {
                    let inner = c2.clone();
                    handlers.push(Box::new(move |_| {
                        inner.borrow_mut().open = None;
                        Ok(())
                    }));
                }
                Ok(())
            }),
            element!("input, select, textarea, button, option", move |e| {
                control(e, &mut c3.borrow_mut());
                if e.tag_name() == "button"
                    && let Some(handlers) = e.end_tag_handlers()
                {
                    let inner = c3.clone();
                    handlers.push(Box::new(move |_| {
                        inner.borrow_mut().in_button = false;
                        Ok(())
                    }));
                }
                Ok(())
            }),
            text!("button", move |t| {
                let mut c = c4.borrow_mut();
                let piece = unescape(t.as_str());
                if c.in_button
                    && let Some(button) = last_button(&mut c)
                    && button.text.len() < 200
                {
                    button.text.push_str(&piece);
                }
                Ok(())
            }),
            text!("[id*=error], [class*=error], [role=alert]", move |t| {
                add_text(&mut c8.borrow_mut().page.message, t.as_str());
                Ok(())
            }),
            text!("script", move |t| {
                let mut c = c10.borrow_mut();
                if c.script.len() < MAX_SCRIPT {
                    c.script.push_str(t.as_str());
                }
                Ok(())
            }),
            text!("h1, h2, h3", move |t| {
                add_text(&mut c9.borrow_mut().page.heading, t.as_str());
                Ok(())
            }),
            text!("p, pre, dd", move |t| {
                add_text(&mut c11.borrow_mut().page.paragraph, t.as_str());
                Ok(())
            }),
            text!("title", move |t| {
                let mut c = c5.borrow_mut();
                if c.page.title.len() < 200 {
                    c.page.title.push_str(&unescape(t.as_str()));
                }
                Ok(())
            }),
            element!("meta", move |e| {
                if attribute(e, "http-equiv").eq_ignore_ascii_case("refresh") {
                    let content = attribute(e, "content");
                    let lower = content.to_ascii_lowercase();
                    if let Some(at) = lower.find("url=") {
                        let url = content[at + 4..].trim().trim_matches(['\'', '"']);
                        c6.borrow_mut().page.refresh = Some(url.to_owned());
                    }
                }
                Ok(())
            }),
            element!("base", move |e| {
                let href = attribute(e, "href");
                if !href.is_empty() {
                    c7.borrow_mut().page.base = Some(href);
                }
                Ok(())
            }),
        ];
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
    let digest = Sha256::digest(collected.tags.as_bytes());
    collected.page.outline = format!("{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
    collected.page.title = joined(&collected.page.title);
    collected.page.script_redirect = script_redirect(&collected.script);
    collected.page.message = joined(&collected.page.message);
    collected.page.heading = joined(&collected.page.heading);
    collected.page.paragraph = joined(&collected.page.paragraph);
    collected.page
}

impl Page {
    /// What a person would call it: its heading, else its title; empty where it has neither.
    pub fn name(&self) -> &str {
        if self.heading.is_empty() { &self.title } else { &self.heading }
    }

    /// What it says beside its name: what is marked as an error, else its paragraphs.
    pub fn says(&self) -> &str {
        let text = if self.message.is_empty() { &self.paragraph } else { &self.message };
        // Where the whole page is marked, its heading comes first.
        let text = text.strip_prefix(self.heading.as_str()).unwrap_or(text).trim_start();
        let end = text.char_indices().nth(200).map_or(text.len(), |(at, _)| at);
        &text[..end]
    }
}

fn control(e: &lol_html::html_content::Element, c: &mut Collected) {
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
        c.in_button = tag == "button";
        let value = attribute(e, "value");
        Control::Button(Button {
            name: attribute(e, "name"),
            text: if tag == "input" { value.clone() } else { String::new() },
            value,
            id: attribute(e, "id"),
            action: e.get_attribute("formaction").map(|a| unescape(&a)),
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
            value: if kind == "checkbox" && !e.has_attribute("value") { "on".into() } else { attribute(e, "value") },
            kind,
            autocomplete: attribute(e, "autocomplete").to_ascii_lowercase(),
            id: attribute(e, "id"),
        })
    };
    match (e.get_attribute("form"), c.open) {
        (Some(owner), _) => {
            c.in_button = false;
            c.owned.push((owner, control));
        }
        (None, Some(index)) => match control {
            Control::Field(field) => c.page.forms[index].fields.push(field),
            Control::Button(button) => c.page.forms[index].buttons.push(button),
        },
        (None, None) => c.in_button = false,
    }
}

fn last_button(c: &mut Collected) -> Option<&mut Button> {
    let index = c.open?;
    c.page.forms[index].buttons.last_mut()
}

fn attribute(e: &lol_html::html_content::Element, name: &str) -> String {
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
    }

    #[test]
    fn controls_outside_of_their_form_belong_to_it() {
        let page = read(br#"<form id=f action=/x></form><input form=f name=a value=1><button form=f name=b>Go</button>"#);
        assert_eq!(page.forms[0].fields[0].name, "a");
        assert_eq!(page.forms[0].buttons[0].name, "b");
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
        assert_eq!((page.name(), page.says()), ("Error: invalid_request", "Invalid client_id parameter value."));
        let page = read(b"<title>Sign in</title><body class=error-page><h1>We are sorry</h1><p>Client not found.</p>");
        assert_eq!((page.name(), page.says()), ("We are sorry", "Client not found."));
        let page = read(b"<title>Sign in</title><h1>Hello</h1><span id=input-error>Invalid username or password.</span><p>Welcome");
        assert_eq!((page.name(), page.says()), ("Hello", "Invalid username or password."));
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
