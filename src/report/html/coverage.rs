//! Coverage by standard: what each document asks for, which scenarios try it, what came of it, and what nobody tries.

use std::io::{self, Write};

use maud::{Markup, html};

use crate::model::report::{Requirement, ScenarioVerdict, Standard};
use crate::model::verdict::Verdict;

use super::text::{Mark, Prose, T, heading, link};
use super::view::View;

/// What came of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coverage {
    /// The worst verdict of the scenarios that try it; `whole`: each of them was decided.
    Tried { mark: Mark, whole: bool },
    /// No scenario tries it.
    Uncovered,
}

/// One document after the other.
///
/// # Errors
/// What the writer says.
pub fn write(view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    if view.report.standards.is_empty() {
        return Ok(());
    }
    let anchor = view.anchor("standards");
    let head = html! {
        (heading(view.level, Some(&anchor), &html! { "Coverage by standard" }))
        p { "What each document asks of the server, in our words, and what this run can say of it. A requirement that several scenarios try is as good as the worst of them." }
    };
    write!(out, "{}{}", view.section(&anchor), head.into_string())?;
    for standard in &view.report.standards {
        write!(out, "{}", document(view, standard).into_string())?;
    }
    writeln!(out, "</section>")
}

fn document(view: &View<'_>, standard: &Standard) -> Markup {
    let rows: Vec<(&Requirement, Coverage)> = standard.requirements.iter().map(|r| (r, of(view, r))).collect();
    html! {
        details class="document" {
            summary {
                strong { (T(&standard.document)) } " " (T(&standard.title))
                " " span class="counts" { (counts(&rows)) }
            }
            p { (link(&standard.link, &standard.link)) }
            table class="requirements" {
                caption class="sr" { "Requirements of " (T(&standard.document)) }
                thead { tr { th scope="col" { "Requirement" } th scope="col" { "Asks" } th scope="col" { "Verdict" } th scope="col" { "Tried by" } } }
                tbody { @for (requirement, coverage) in &rows { (row(view, requirement, *coverage)) } }
            }
        }
    }
}

fn counts(rows: &[(&Requirement, Coverage)]) -> Markup {
    let number = |wanted: &[Mark]| rows.iter().filter(|(_, c)| matches!(c, Coverage::Tried { mark, .. } if wanted.contains(mark))).count();
    let uncovered = rows.iter().filter(|(_, c)| *c == Coverage::Uncovered).count();
    let parts = [
        (Mark::Broken, number(&[Mark::Broken, Mark::Follows, Mark::Waived]), "broken"),
        (Mark::Inconclusive, number(&[Mark::Inconclusive]), "undecided"),
        (Mark::Holds, number(&[Mark::Holds, Mark::Deviates]), "hold"),
        (Mark::Skipped, number(&[Mark::NotApplicable, Mark::Skipped, Mark::NotSelected]), "not tested"),
        (Mark::NotSelected, uncovered, "not covered"),
    ];
    html! { @for (mark, number, words) in parts { @if number > 0 { span class="nowrap" { (mark.icon()) (number) " " (words) } " " } } }
}

fn row(view: &View<'_>, requirement: &Requirement, coverage: Coverage) -> Markup {
    html! {
        tr {
            th scope="row" { (link(&requirement.link, &requirement.id)) div class="keyword" { (T(&requirement.keyword)) } }
            td { (Prose(&requirement.asks)) }
            td {
                @match coverage {
                    Coverage::Tried { mark, whole } => {
                        (mark.badge())
                        @if matches!(mark, Mark::Holds | Mark::Deviates) {
                            @if !whole {
                                div class="dim" { "in part: not each scenario was decided" }
                            } @else if requirement.why_not.is_some() {
                                div class="dim" { "in part: not all of it can be seen from outside" }
                            }
                        }
                    },
                    Coverage::Uncovered => span class="badge none" { "not covered" },
                }
            }
            td {
                @if coverage == Coverage::Uncovered && requirement.why_not.is_none() { "No scenario tries it yet." }
                @if !requirement.scenarios.is_empty() { ul class="ids" { @for id in &requirement.scenarios { li { (view.marked(id)) } } } }
                @if let Some(why) = &requirement.why_not { div class="dim" { (Prose(why)) } }
            }
        }
    }
}

fn of(view: &View<'_>, requirement: &Requirement) -> Coverage {
    let verdicts: Vec<&ScenarioVerdict> = requirement.scenarios.iter().filter_map(|id| view.verdict(view.index(id)?)).collect();
    // A finding before what is undecided, then what holds: as verdicts weigh.
    let worst = verdicts.iter().max_by_key(|v| (v.selected, v.verdict.weight(), std::cmp::Reverse(Mark::of(v))));
    match worst {
        Some(worst) => {
            let decided =
                |v: &&&ScenarioVerdict| v.selected && matches!(v.verdict, Verdict::Holds | Verdict::Broken | Verdict::NotApplicable);
            Coverage::Tried { mark: Mark::of(worst), whole: verdicts.iter().filter(decided).count() == requirement.scenarios.len() }
        }
        None => Coverage::Uncovered,
    }
}
