//! The page before several reports: one row for each target, and where the worst verdicts are.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use crate::model::verdict::Verdict;
use crate::report::gate;

use super::answer::{tone, when};
use super::text::{Mark, T, count, link, short};
use super::view::{View, group};

pub fn overview(views: &[View<'_>]) -> Markup {
    let failing = views.iter().filter(|v| gate::of(v.report).exit_code == gate::BROKEN).count();
    let passed = views.iter().filter(|v| gate::of(v.report).exit_code == gate::PASSED).count();
    let undecided = views.len() - failing - passed;
    let (class, icon) = if failing > 0 {
        ("bad", Mark::Broken)
    } else if undecided > 0 {
        ("unsure", Mark::Inconclusive)
    } else {
        ("good", Mark::Holds)
    };
    html! {
        section aria-labelledby="overview" {
            h2 id="overview" { "Overview" }
            div class={ "gate " (class) } {
                p class="said" { (icon.icon()) " " (count(failing, "target fails", "targets fail")) " the gate" }
                p { (count(passed, "passes", "pass")) ", " (undecided) " could not be decided, of " (count(views.len(), "target", "targets")) "." }
            }
            (targets(views))
            (matrix(views))
        }
    }
}

fn targets(views: &[View<'_>]) -> Markup {
    html! {
        div class="wide" tabindex="0" role="group" aria-label="Targets" {
            table class="targets" {
                caption class="sr" { "Targets and their verdicts" }
                thead {
                    tr {
                        th scope="col" { "Target" } th scope="col" { "Gate" }
                        @for words in ["Root causes", "Broken", "Undecided", "Hold", "Not tested"] { th scope="col" class="number" { (words) } }
                        th scope="col" { "Tested" }
                    }
                }
                tbody { @for view in views { (target(view)) } }
            }
        }
    }
}

fn target(view: &View<'_>) -> Markup {
    let gate = gate::of(view.report);
    let (class, icon) = tone(gate.exit_code);
    let number = |verdict: Verdict| view.report.verdicts.iter().filter(|v| v.selected && v.verdict == verdict).count();
    let (broken, open, holds) = (number(Verdict::Broken), number(Verdict::Inconclusive), number(Verdict::Holds));
    let cell = |count: usize, class: &str| html! { td class={ "number " @if count > 0 { (class) } @else { "zero" } } { (count) } };
    html! {
        tr {
            th scope="row" {
                a href={ "#" (view.anchor("target")) } { (T(&view.title())) }
                div class="dim" { (link(&view.report.target.issuer, &view.report.target.issuer)) }
            }
            td class={ "said " (class) } { (icon.icon()) (T(&gate.words)) }
            (cell(view.roots().len(), "broken"))
            (cell(broken, "broken"))
            (cell(open, "unsure"))
            (cell(holds, "holds"))
            (cell(view.report.verdicts.len().saturating_sub(broken + open + holds), ""))
            td { (T(&when(&view.report.run.started))) }
        }
    }
}

/// Groups × targets: the worst verdict of each group, with how many share it where it is no good one.
fn matrix(views: &[View<'_>]) -> Markup {
    let worst: Vec<BTreeMap<&str, (Mark, usize)>> = views
        .iter()
        .map(|view| {
            let mut groups: BTreeMap<&str, (Mark, usize)> = BTreeMap::new();
            for verdict in &view.report.verdicts {
                let mark = Mark::of(verdict);
                let entry = groups.entry(group(&verdict.id)).or_insert((mark, 0));
                match mark.cmp(&entry.0) {
                    std::cmp::Ordering::Less => *entry = (mark, 1),
                    std::cmp::Ordering::Equal => entry.1 += 1,
                    std::cmp::Ordering::Greater => {}
                }
            }
            groups
        })
        .collect();
    let names: BTreeSet<&str> = worst.iter().flat_map(|groups| groups.keys().copied()).collect();
    html! {
        h3 id="groups" { "Where it breaks" }
        div class="wide" tabindex="0" role="group" aria-labelledby="groups" {
            table class="matrix" {
                caption class="sr" { "The worst verdict of each group at each target" }
                thead { tr { th scope="col" { "Group" } @for view in views { th scope="col" class="slim" { span { (T(&short(&view.title(), 30))) } } } } }
                tbody {
                    @for name in names {
                        tr {
                            th scope="row" { (T(name)) }
                            @for groups in &worst {
                                td {
                                    @if let Some((mark, number)) = groups.get(name) {
                                        (mark.icon()) span class="sr" { (mark.words()) } @if *mark <= Mark::Inconclusive && *number > 1 { (number) }
                                    } @else { span class="sr" { "none" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
