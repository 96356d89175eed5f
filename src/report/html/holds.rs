//! What holds, with what was seen, and what was not tested, with the reason.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::model::report::{ScenarioVerdict, VariantVerdict};
use crate::model::verdict::Verdict;

use super::text::{Mark, Prose, T, count, heading, severity};
use super::view::View;

/// A row for each defense that holds, by group.
pub fn holds(view: &View<'_>) -> Markup {
    let holding = |index: &usize| view.verdict(*index).is_some_and(|v| v.selected && v.verdict == Verdict::Holds);
    let groups: Vec<(&str, Vec<usize>)> = view
        .groups()
        .into_iter()
        .map(|g| (g.name, g.members.into_iter().filter(holding).collect::<Vec<_>>()))
        .filter(|(_, m)| !m.is_empty())
        .collect();
    let anchor = view.anchor("holds");
    let number: usize = groups.iter().map(|(_, members)| members.len()).sum();
    let table = html! {
        table class="holding" {
            caption class="sr" { "Defenses that hold, by group" }
            thead { tr { th scope="col" { "Defense" } th scope="col" { "Weight" } th scope="col" { "Seen" } } }
            @for (name, members) in &groups {
                tbody {
                    tr class="group" { th scope="rowgroup" colspan="3" { (T(name)) } }
                    @for index in members { @if let Some(verdict) = view.verdict(*index) { (row(view, *index, verdict)) } }
                }
            }
        }
    };
    html! {
        section aria-labelledby=[view.label(&anchor)] {
            (heading(view.level, Some(&anchor), &html! { "What holds" }))
            @if number == 0 {
                p { "No defense was shown to hold." }
            } @else {
                p { "The refusal was seen, and the flow without the attack was granted before and after it." }
                @if view.fleet { details { summary { (count(number, "defense", "defenses")) " that hold" } (table) } } @else { (table) }
            }
        }
    }
}

fn row(view: &View<'_>, index: usize, verdict: &ScenarioVerdict) -> Markup {
    let tried = verdict.variants.iter().filter(|v| v.verdict == Verdict::Holds).count();
    html! {
        tr id=(view.scenario_anchor(index)) {
            th scope="row" { (Mark::of(verdict).icon()) (T(&verdict.title)) div class="id" { (T(&verdict.id)) } }
            td {
                (severity(verdict.severity)) " "
                @match verdict.level { Some(level) => span class="tag" { (level.name()) }, None => span class="dim" { "not asked for" } }
            }
            td {
                (Prose(&verdict.reason)) @if tried > 1 { span class="dim" { " (" (count(tried, "variant", "variants")) ")" } }
                @if let Some(off) = &verdict.deviation { div class="deviation" { strong { "Deviation: " } (Prose(off)) } }
            }
        }
    }
}

/// Skipped, not applicable, not selected, and variants that were left out of scenarios that ran.
pub fn not_tested(view: &View<'_>) -> Markup {
    let all = || view.report.verdicts.iter().enumerate();
    let of = |mark: Mark| -> Vec<(usize, &ScenarioVerdict)> { all().filter(|(_, v)| Mark::of(v) == mark).collect() };
    let (skipped, none, unselected) = (of(Mark::Skipped), of(Mark::NotApplicable), of(Mark::NotSelected));
    let (waits, skipped): (Vec<_>, Vec<_>) = skipped.into_iter().partition(|(_, v)| v.not_waited.is_some());
    let left_out = left_out(view);
    let anchor = view.anchor("untested");
    html! {
        section aria-labelledby=[view.label(&anchor)] {
            (heading(view.level, Some(&anchor), &html! { "What was not tested, and why" }))
            @if skipped.is_empty() && waits.is_empty() && none.is_empty() && unselected.is_empty() && left_out.is_empty() {
                p { "Every scenario of the catalogue was tried in all its variants." }
            }
            (reasons(view, &waits, "Not waited for: a run with --slow does"))
            (reasons(view, &skipped, "Skipped: something is missing that the target file could supply"))
            (reasons(view, &none, "Not applicable: there is nothing to attack"))
            @if !left_out.is_empty() {
                (heading(view.level + 1, None, &html! { "Variants left out of scenarios that ran" }))
                table {
                    caption class="sr" { "Variants that were left out, by reason" }
                    thead { tr { th scope="col" { "Reason" } th scope="col" { "Variants" } } }
                    tbody {
                        @for ((mark, reason), ids) in &left_out {
                            tr { th scope="row" { (mark.icon()) (Prose(reason)) } td { ul class="ids" { @for id in ids { li class="id" { (T(id)) } } } } }
                        }
                    }
                }
            }
            @if !unselected.is_empty() {
                (heading(view.level + 1, None, &html! { "Not selected for this run" }))
                p { (count(unselected.len(), "scenario", "scenarios")) " of the catalogue " @if unselected.len() == 1 { "was" } @else { "were" } " not among those chosen." }
                ul class="ids columns" {
                    @for (index, verdict) in &unselected { li id=(view.scenario_anchor(*index)) class="id" { (T(&verdict.id)) } }
                }
            }
        }
    }
}

fn reasons(view: &View<'_>, scenarios: &[(usize, &ScenarioVerdict)], title: &str) -> Markup {
    html! {
        @if !scenarios.is_empty() {
            (heading(view.level + 1, None, &html! { (title) }))
            table {
                caption class="sr" { (title) }
                thead { tr { th scope="col" { "Scenario" } th scope="col" { "Weight" } th scope="col" { "Reason" } } }
                tbody {
                    @for (index, verdict) in scenarios {
                        tr id=(view.scenario_anchor(*index)) {
                            th scope="row" { (Mark::of(verdict).icon()) (T(&verdict.title)) div class="id" { (T(&verdict.id)) } }
                            td { (severity(verdict.severity)) " " @if let Some(level) = verdict.level { span class="tag" { (level.name()) } } }
                            td { (Prose(&verdict.reason)) }
                        }
                    }
                }
            }
        }
    }
}

/// By kind and reason.
fn left_out<'r>(view: &View<'r>) -> BTreeMap<(Mark, &'r str), Vec<&'r str>> {
    let mut reasons: BTreeMap<(Mark, &str), Vec<&str>> = BTreeMap::new();
    let ran = |v: &&ScenarioVerdict| v.selected && !matches!(v.verdict, Verdict::Skipped | Verdict::NotApplicable);
    let open = |v: &&VariantVerdict| matches!(v.verdict, Verdict::Skipped | Verdict::NotApplicable) && v.measured.is_none();
    for variant in view.report.verdicts.iter().filter(ran).flat_map(|v| v.variants.iter().filter(open)) {
        reasons.entry((Mark::plain(variant.verdict), &variant.reason)).or_default().push(&variant.id);
    }
    reasons
}
