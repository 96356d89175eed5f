//! Small pieces that every part of the page is made of. Every string of a report goes through [`T`], every address through
//! [`link`]: nothing else of a report reaches the page.

use maud::{Escaper, Markup, PreEscaped, Render, html};

use crate::model::profile::Severity;
use crate::model::report::ScenarioVerdict;
use crate::model::verdict::Verdict;
use crate::report::safe;

/// Characters of one text that are shown; what is longer is in the JSON report.
const LONGEST: usize = 4000;

/// A text of the report: cut, made visible, escaped.
pub struct T<'t>(pub &'t str);

impl Render for T<'_> {
    fn render_to(&self, buffer: &mut String) {
        use std::fmt::Write as _;
        let (shown, left) = cut(self.0, LONGEST);
        // A String takes all that is written to it.
        let _ = Escaper::new(buffer).write_str(&safe::html(shown));
        if left > 0 {
            let _ = write!(buffer, "… ({left} more characters)");
        }
    }
}

/// A sentence of the report, in which what stands between backticks is set as code.
pub struct Prose<'t>(pub &'t str);

impl Render for Prose<'_> {
    fn render_to(&self, buffer: &mut String) {
        let (shown, left) = cut(self.0, LONGEST);
        let mut rest = shown;
        while let Some((before, code, after)) = rest.split_once('`').and_then(|(b, r)| r.split_once('`').map(|(c, a)| (b, c, a))) {
            html! { (T(before)) code { (T(code)) } }.render_to(buffer);
            rest = after;
        }
        T(rest).render_to(buffer);
        if left > 0 {
            T(&format!("… ({left} more characters)")).render_to(buffer);
        }
    }
}

/// The beginning of a text, and how many characters are left out.
pub fn cut(text: &str, most: usize) -> (&str, usize) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (&text[..end], text[end..].chars().count()),
        None => (text, 0),
    }
}

/// A text in one line of a drawing: cut to so many characters.
pub fn short(text: &str, most: usize) -> String {
    let (shown, left) = cut(text, most.saturating_sub(1));
    if left > 1 { format!("{shown}…") } else { text.to_owned() }
}

/// A link to another place of the web, if the address may be followed; else the label alone.
pub fn link(address: &str, label: &str) -> Markup {
    html! {
        @match safe::link(address) {
            Some(address) => a href=(T(address)) rel="noreferrer noopener" { (T(label)) },
            None => (T(label)),
        }
    }
}

/// A heading of a level that depends on where it stands.
pub fn heading(level: u8, id: Option<&str>, content: &Markup) -> Markup {
    let level = level.clamp(1, 6);
    let id = id.map(|id| html! { (PreEscaped(" id=\"")) (id) (PreEscaped("\"")) });
    html! {
        (PreEscaped(format!("<h{level}"))) @if let Some(id) = id { (id) } (PreEscaped(">"))
        (content)
        (PreEscaped(format!("</h{level}>")))
    }
}

/// `1 request`, `2 requests`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How a scenario is marked in pictures and tables: by a shape, a colour and a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    Broken,
    /// Broken, and explained by another one.
    Follows,
    /// Broken or undecided, and accepted for a while.
    Waived,
    Inconclusive,
    Holds,
    /// Holds, and something is off about it.
    Deviates,
    NotApplicable,
    Skipped,
    NotSelected,
}

impl Mark {
    pub const ALL: &'static [Mark] = &[
        Mark::Broken,
        Mark::Follows,
        Mark::Waived,
        Mark::Inconclusive,
        Mark::Holds,
        Mark::Deviates,
        Mark::NotApplicable,
        Mark::Skipped,
        Mark::NotSelected,
    ];

    pub fn of(verdict: &ScenarioVerdict) -> Mark {
        match verdict.verdict {
            _ if !verdict.selected => Mark::NotSelected,
            Verdict::Broken | Verdict::Inconclusive if verdict.waived.is_some() => Mark::Waived,
            Verdict::Broken if verdict.implied_by.is_some() => Mark::Follows,
            Verdict::Broken => Mark::Broken,
            Verdict::Inconclusive => Mark::Inconclusive,
            Verdict::Holds if verdict.deviation.is_some() => Mark::Deviates,
            Verdict::Holds => Mark::Holds,
            Verdict::NotApplicable => Mark::NotApplicable,
            Verdict::Skipped => Mark::Skipped,
        }
    }

    /// Of a verdict alone.
    pub fn plain(verdict: Verdict) -> Mark {
        match verdict {
            Verdict::Broken => Mark::Broken,
            Verdict::Inconclusive => Mark::Inconclusive,
            Verdict::Holds => Mark::Holds,
            Verdict::NotApplicable => Mark::NotApplicable,
            Verdict::Skipped => Mark::Skipped,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Mark::Broken => "broken",
            Mark::Follows => "broken, follows from another",
            Mark::Waived => "accepted for a while",
            Mark::Inconclusive => "undecided",
            Mark::Holds => "holds",
            Mark::Deviates => "holds, with a deviation",
            Mark::NotApplicable => "not applicable",
            Mark::Skipped => "skipped",
            Mark::NotSelected => "not selected",
        }
    }

    /// After a number of scenarios.
    pub fn counted(self) -> &'static str {
        match self {
            Mark::Broken => "broken",
            Mark::Follows => "broken, following from another",
            Mark::Holds => "hold",
            Mark::Deviates => "hold, with a deviation",
            other => other.words(),
        }
    }

    /// The name in the style sheet and of the drawing.
    pub fn class(self) -> &'static str {
        match self {
            Mark::Broken => "broken",
            Mark::Follows => "follows",
            Mark::Waived => "waived",
            Mark::Inconclusive => "unsure",
            Mark::Holds => "holds",
            Mark::Deviates => "deviates",
            Mark::NotApplicable => "none",
            Mark::Skipped => "skipped",
            Mark::NotSelected => "unselected",
        }
    }

    /// The drawing alone; a word stands beside it.
    pub fn icon(self) -> Markup {
        html! { svg class={ "q " (self.class()) } aria-hidden="true" { use href={ "#v-" (self.class()) } {} } }
    }

    /// Drawing and word.
    pub fn badge(self) -> Markup {
        html! { span class={ "badge " (self.class()) } { (self.icon()) (self.words()) } }
    }
}

pub fn severity(severity: Severity) -> Markup {
    html! { span class={ "tag sev-" (severity.name()) } { (severity.name()) } }
}

/// The shapes, each drawn once.
pub fn shapes() -> Markup {
    // A square that is full, light, dashed or empty, and a sign in it: legible without colour.
    const SHAPES: &[(Mark, &str)] = &[
        (Mark::Broken, r#"<rect class="full" width="20" height="20" rx="4"/><path class="on" d="M6 6l8 8m0-8l-8 8"/>"#),
        (Mark::Follows, r#"<rect class="edge" x="1" y="1" width="18" height="18" rx="3"/><path class="ink" d="M6 6l8 8m0-8l-8 8"/>"#),
        (Mark::Waived, r#"<rect class="dash" x="1" y="1" width="18" height="18" rx="3"/><path class="ink" d="M7 5v10m6-10v10"/>"#),
        (
            Mark::Inconclusive,
            r#"<rect class="full" width="20" height="20" rx="10"/><path class="on" d="M7 8c0-4 6-4 6-.5 0 2-3 2.300-3 4.500m0 2.500v1"/>"#,
        ),
        (Mark::Holds, r#"<rect class="full" width="20" height="20" rx="4"/><path class="on" d="M5.500 10.500l3 3 6-7"/>"#),
        (
            Mark::Deviates,
            r#"<rect class="edge" x="1" y="1" width="18" height="18" rx="3"/><path class="ink" d="M5 8.500l3 3 6-7M5 16h10"/>"#,
        ),
        (Mark::NotApplicable, r#"<rect class="edge" x="1" y="1" width="18" height="18" rx="3"/><path class="ink" d="M6 10h8"/>"#),
        (
            Mark::Skipped,
            r#"<rect class="dash" x="1" y="1" width="18" height="18" rx="3"/><path class="ink" d="M5 10h1m3.500 0h1m3.500 0h1"/>"#,
        ),
        (Mark::NotSelected, r#"<circle class="dot" cx="10" cy="10" r="3"/>"#),
    ];
    html! {
        svg class="shapes" aria-hidden="true" width="0" height="0" {
            @for (mark, shape) in SHAPES {
                symbol id={ "v-" (mark.class()) } viewBox="0 0 20 20" { (PreEscaped(shape)) }
            }
        }
    }
}
