//! A page as a parser sees it, and what must be true of every page, whatever report it was made of.

use std::cell::RefCell;
use std::collections::BTreeSet;

use lol_html::{RewriteStrSettings, element, rewrite_str};

/// What the renderer writes. Anything else came out of a report.
const ELEMENTS: &[&str] = &[
    "a",
    "article",
    "b",
    "body",
    "caption",
    "circle",
    "code",
    "dd",
    "del",
    "desc",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "head",
    "header",
    "html",
    "li",
    "line",
    "main",
    "mark",
    "meta",
    "nav",
    "p",
    "path",
    "pre",
    "rect",
    "section",
    "span",
    "strong",
    "style",
    "summary",
    "svg",
    "symbol",
    "table",
    "tbody",
    "td",
    "text",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
    "use",
];
const ATTRIBUTES: &[&str] = &[
    "aria-hidden",
    "aria-label",
    "aria-labelledby",
    "charset",
    "class",
    "colspan",
    "content",
    "cx",
    "cy",
    "d",
    "height",
    "href",
    "http-equiv",
    "id",
    "lang",
    "name",
    "r",
    "rel",
    "role",
    "rx",
    "scope",
    "tabindex",
    "title",
    "viewbox",
    "width",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

#[derive(Debug, Clone)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

pub struct Page {
    pub text: String,
    pub elements: Vec<Element>,
    /// Each once, or [`Page::assert_sound`] says which is not.
    pub ids: BTreeSet<String>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Page {
    pub fn parse(text: &str) -> Page {
        let elements = RefCell::new(Vec::new());
        let settings = RewriteStrSettings::new().append_element_content_handler(element!("*", |el| {
            let attributes = el.attributes().iter().map(|a| (a.name().to_lowercase(), a.value())).collect();
            elements.borrow_mut().push(Element { name: el.tag_name(), attributes });
            Ok(())
        }));
        rewrite_str(text, settings).expect("a page that can be parsed");
        let elements = elements.into_inner();
        let ids = elements.iter().filter_map(|e| e.attribute("id").map(str::to_owned)).collect();
        Page { text: text.to_owned(), elements, ids }
    }

    fn number(&self, name: &str) -> usize {
        self.elements.iter().filter(|e| e.name == name).count()
    }

    pub fn assert_sound(&self, what: &str) {
        for element in &self.elements {
            assert!(ELEMENTS.contains(&element.name.as_str()), "{what}: an element that nobody writes: {element:?}");
            for (name, value) in &element.attributes {
                assert!(ATTRIBUTES.contains(&name.as_str()), "{what}: an attribute that nobody writes: {element:?}");
                match name.as_str() {
                    "href" => {
                        let inside = value.strip_prefix('#').is_some_and(|id| self.ids.contains(id) || id.starts_with("v-"));
                        assert!(
                            inside || value.starts_with("http://") || value.starts_with("https://"),
                            "{what}: {element:?} leads nowhere"
                        );
                    }
                    "aria-labelledby" => assert!(value.split(' ').all(|id| self.ids.contains(id)), "{what}: {element:?} names nothing"),
                    "id" => assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{what}: {element:?}"),
                    _ => {}
                }
            }
        }
        let with_id = self.elements.iter().filter(|e| e.attribute("id").is_some()).count();
        assert_eq!(with_id, self.ids.len(), "{what}: an id stands twice");
        assert_eq!((self.number("style"), self.number("h1"), self.number("main")), (1, 1, 1), "{what}");
        let policy = self.elements.iter().find(|e| e.attribute("http-equiv") == Some("Content-Security-Policy")).expect("a policy");
        let policy = policy.attribute("content").expect("its content");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{what}: {policy}");
        let bad = |c: char| {
            c.is_control() && c != '\n' && c != '\t' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        };
        assert!(!self.text.contains(bad), "{what}: a character that nobody sees");
        let mut before = 1;
        for element in &self.elements {
            if let Some(level) = element.name.strip_prefix('h').and_then(|n| n.parse::<u32>().ok()) {
                assert!(level <= before + 1, "{what}: a heading of level {level} after one of level {before}");
                before = level;
            }
        }
    }
}
