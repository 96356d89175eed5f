//! What changed since the baseline, and what was accepted for a while.

use std::collections::HashSet;

use maud::{Markup, html};

use crate::model::report::{Report, Since, Waived};
use crate::report::gate;

use super::answer::when;
use super::text::{Mark, T, heading};
use super::view::View;

/// Nothing where there is no baseline.
pub fn baseline(view: &View<'_>) -> Markup {
    let Some(baseline) = &view.report.baseline else { return html! {} };
    let since = |wanted: Since| -> Vec<&str> {
        view.report.verdicts.iter().filter(|v| v.since_baseline == Some(wanted)).map(|v| v.id.as_str()).collect()
    };
    let ids = |list: &[String]| -> Vec<String> { list.to_vec() };
    let owned = |list: Vec<&str>| -> Vec<String> { list.into_iter().map(str::to_owned).collect() };
    let rows: [(&str, &str, Vec<String>); 6] = [
        ("new", "Was no finding before", owned(since(Since::New))),
        ("worse", "Was a finding, and is more now", owned(since(Since::Worse))),
        ("lost", "Was decided before, and was not tested or not decided now", ids(&baseline.lost)),
        ("better", "Was worse before", owned(since(Since::Better))),
        ("as before", "Known; it does not fail the gate", owned(since(Since::Same))),
        ("fixed", "Was a finding, and holds now", ids(&baseline.fixed)),
    ];
    let other_catalogue = baseline.catalogue_digest != view.report.run.catalogue_digest;
    let anchor = view.anchor("since");
    html! {
        section aria-labelledby=[view.label(&anchor)] {
            (heading(view.level, Some(&anchor), &html! { "Since the baseline" }))
            p {
                "Held against " code { (T(&baseline.file)) } " of " (T(&when(&baseline.started))) ", made by version " (T(&baseline.version)) "."
                @if other_catalogue { " Its catalogue of attacks was another one, so that some differences may come from the attacks." }
            }
            @if rows.iter().all(|(_, _, ids)| ids.is_empty()) {
                p { "Nothing changed." }
            } @else {
                table class="since" {
                    caption class="sr" { "Scenarios by what changed since the baseline" }
                    thead { tr { th scope="col" { "Change" } th scope="col" class="number" { "Count" } th scope="col" { "Scenarios" } } }
                    tbody {
                        @for (word, meaning, ids) in rows.iter().filter(|(_, _, ids)| !ids.is_empty()) {
                            tr {
                                th scope="row" { (word) div class="dim" { (meaning) } }
                                td class="number" { (ids.len()) }
                                td { ul class="ids" { @for id in ids { li { (view.marked(id)) } } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Nothing where nothing was waived.
pub fn waivers(view: &View<'_>) -> Markup {
    let accepted = accepted(view.report);
    let unneeded = gate::of(view.report).unneeded_waivers;
    if accepted.is_empty() && unneeded.is_empty() {
        return html! {};
    }
    let anchor = view.anchor("waived");
    html! {
        section aria-labelledby=[view.label(&anchor)] {
            (heading(view.level, Some(&anchor), &html! { "Accepted for a while" }))
            p { "These are findings. Somebody answers for them until the day named, and until then they do not fail the gate." }
            @if !accepted.is_empty() {
                table {
                    caption class="sr" { "Waivers, with reason, owner and last day" }
                    thead { tr { th scope="col" { "What" } th scope="col" { "Reason" } th scope="col" { "Owner" } th scope="col" { "Last day" } } }
                    tbody {
                        @for waived in accepted {
                            tr {
                                th scope="row" { (Mark::Waived.icon()) (view.reference(&waived.id)) }
                                td { (T(&waived.reason)) }
                                td { (T(&waived.owner)) }
                                td class="nowrap" { (T(&waived.expires)) }
                            }
                        }
                    }
                }
            }
            @if !unneeded.is_empty() {
                p { "No longer needed, because the defense holds: " @for id in &unneeded { code { (T(id)) } " " } }
            }
        }
    }
}

/// Each waiver once: a scenario's stands at its variants as well.
fn accepted(report: &Report) -> Vec<&Waived> {
    let mut seen = HashSet::new();
    let all = report.verdicts.iter().flat_map(|v| v.waived.iter().chain(v.variants.iter().filter_map(|x| x.waived.as_ref())));
    all.filter(|w| seen.insert((&w.id, &w.reason, &w.owner, &w.expires))).collect()
}
