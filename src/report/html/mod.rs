//! The report as one page: no script, nothing from elsewhere, readable from a mail attachment and on paper. It opens on the
//! answer and ends with who permitted it. The only module that names maud; every text of a report is hostile, and goes
//! through `text::T` or `text::link`.

mod about;
mod answer;
mod beside;
mod changes;
mod coverage;
mod diagram;
mod evidence;
mod exchange;
mod findings;
mod holds;
mod overview;
mod text;
mod view;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::model::report::Report;
use crate::report::gate;

use evidence::Budget;
use text::{Mark, T, count};
use view::View;

/// Bytes of evidence in the page of one target, so that a page of 300 scenarios stays below 3 MiB.
const EVIDENCE: usize = 1 << 20;
/// The same for each of several targets.
const EVIDENCE_OF_MANY: usize = 512 << 10;

/// The page, written piece by piece.
///
/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let views: Vec<View<'_>> = match reports {
        [report] => vec![View::new(report, None)],
        _ => reports.iter().enumerate().map(|(number, report)| View::new(report, Some(number + 1))).collect(),
    };
    let title = match reports {
        [report] => format!("{}: {}", report.target.name, gate::of(report).words),
        _ => count(reports.len(), "target", "targets"),
    };
    let begin = html! {
        (DOCTYPE)
        (PreEscaped("<html lang=\"en\">"))
        (head(&title))
        (PreEscaped("<body>"))
        (text::shapes())
        a class="skip" href="#main" { "Skip to the answer" }
        (contents(&views))
        (PreEscaped("<div class=\"page\">"))
        header {
            p class="brand" { "grantproof" }
            h1 {
                @match reports {
                    [report] => { "Which defenses hold at " (T(&report.target.name)) },
                    _ => { "Which defenses hold at " (count(reports.len(), "target", "targets")) },
                }
            }
        }
        (PreEscaped("<main id=\"main\" tabindex=\"-1\">"))
    };
    writeln!(out, "{}", begin.into_string())?;
    match views.as_slice() {
        [view] => {
            write!(out, "{}", answer::gate_and_target(view).into_string())?;
            report(view, EVIDENCE, out)?;
        }
        _ => {
            writeln!(out, "{}", overview::overview(&views).into_string())?;
            for view in &views {
                let anchor = view.anchor("target");
                let head = html! { h2 id=(anchor) { (T(&view.title())) } (answer::gate_and_target(view)) };
                write!(out, "<section class=\"target\" aria-labelledby=\"{anchor}\">{}", head.into_string())?;
                report(view, EVIDENCE_OF_MANY, out)?;
                writeln!(out, "</section>")?;
            }
        }
    }
    let end = html! {
        (PreEscaped("</main>"))
        footer {
            p { "Everything in this page came from the JSON report. Values such as ‹access_token 9f2c41› stand for secrets: the kind, and a short hash by which equal ones are known." }
        }
        (PreEscaped("</div></body></html>"))
    };
    writeln!(out, "{}", end.into_string())
}

/// All sections of one report after its answer.
fn report(view: &View<'_>, evidence: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut budget = Budget::new(evidence);
    let first = html! { (answer::picture(view)) (changes::baseline(view)) (changes::waivers(view)) };
    writeln!(out, "{}", first.into_string())?;
    findings::broken(view, &mut budget, out)?;
    findings::undecided(view, &mut budget, out)?;
    writeln!(out, "{}", holds::holds(view).into_string())?;
    coverage::write(view, out)?;
    writeln!(out, "{}", beside::beside(view).into_string())?;
    writeln!(out, "{}", holds::not_tested(view).into_string())?;
    writeln!(out, "{}", about::about(view).into_string())
}

/// The style sheet, in which lines end the same way wherever it was checked out: its digest stands in the policy.
fn style() -> String {
    let lines: Vec<&str> = include_str!("page.css").lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines.join("\n")
}

fn head(title: &str) -> Markup {
    let style = style();
    let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'");
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            meta name="generator" content={ "grantproof " (env!("CARGO_PKG_VERSION")) };
            title { (T(title)) " — grantproof" }
            style { (PreEscaped(style)) }
        }
    }
}

/// What the page has, with links.
fn contents(views: &[View<'_>]) -> Markup {
    html! {
        nav aria-label="Contents" {
            @match views {
                [view] => (sections(view)),
                _ => ul {
                    li { a href="#overview" { "Overview" } }
                    @for view in views {
                        @let (_, icon) = answer::tone(gate::of(view.report).exit_code);
                        li { a href={ "#" (view.anchor("target")) } { (icon.icon()) (T(&view.title())) } }
                    }
                },
            }
        }
    }
}

fn sections(view: &View<'_>) -> Markup {
    let roots = view.roots();
    let undecided = view.undecided().len();
    html! {
        ul {
            li { a href={ "#" (view.anchor("picture")) } { "Which defenses hold" } }
            @if view.report.baseline.is_some() { li { a href={ "#" (view.anchor("since")) } { "Since the baseline" } } }
            li {
                a href={ "#" (view.anchor("findings")) } { "Findings" span class="count" { (roots.len()) } }
                @if !roots.is_empty() {
                    ul {
                        @for root in &roots {
                            @if let Some(verdict) = view.verdict(root.index) {
                                li { a href={ "#" (view.scenario_anchor(root.index)) } { (Mark::of(verdict).icon()) (T(&verdict.title)) } }
                            }
                        }
                    }
                }
            }
            @if undecided > 0 { li { a href={ "#" (view.anchor("undecided")) } { "Undecided" span class="count" { (undecided) } } } }
            li { a href={ "#" (view.anchor("holds")) } { "What holds" } }
            @if !view.report.standards.is_empty() { li { a href={ "#" (view.anchor("standards")) } { "By standard" } } }
            @if beside::is_any(view) { li { a href={ "#" (view.anchor("beside")) } { "Advertised and measured" } } }
            li { a href={ "#" (view.anchor("untested")) } { "Not tested" } }
            li { a href={ "#" (view.anchor("about")) } { "About this run" } }
        }
    }
}
