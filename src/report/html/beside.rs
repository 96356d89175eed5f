//! What stands beside the verdicts: claims of the metadata and whether they are enforced, and what was measured.

use maud::{Markup, html};

use crate::model::finding::Enforced;

use super::text::{Mark, Prose, T, heading};
use super::view::View;

/// Whether there is anything of it.
pub fn is_any(view: &View<'_>) -> bool {
    !view.report.advertised.is_empty() || !view.report.measurements.is_empty()
}

pub fn beside(view: &View<'_>) -> Markup {
    let (report, anchor) = (view.report, view.anchor("beside"));
    html! {
        @if is_any(view) {
            section aria-labelledby=[view.label(&anchor)] {
                (heading(view.level, Some(&anchor), &html! { "Advertised and measured" }))
                @if !report.advertised.is_empty() {
                    (heading(view.level + 1, None, &html! { "What the metadata claims, and whether it is enforced" }))
                    table {
                        caption class="sr" { "Claims of the metadata" }
                        thead { tr { th scope="col" { "Claim" } th scope="col" { "Enforced" } th scope="col" { "Tested by" } } }
                        tbody {
                            @for claim in &report.advertised {
                                tr {
                                    th scope="row" { (mark(claim.enforced).icon()) (T(&claim.claim)) }
                                    td { (claim.enforced.words()) }
                                    td {
                                        ul class="ids" {
                                            @for tested in &claim.tested_by {
                                                li { (Mark::plain(tested.verdict).icon()) span class="id" { (T(&tested.scenario)) } ": " (Prose(&tested.reason)) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                @if !report.measurements.is_empty() {
                    (heading(view.level + 1, None, &html! { "Numbers, which are no verdicts" }))
                    table {
                        caption class="sr" { "What was measured" }
                        thead { tr { th scope="col" { "What" } th scope="col" { "Value" } th scope="col" { "Advised" } th scope="col" { "Measured by" } } }
                        tbody {
                            @for measurement in &report.measurements {
                                tr {
                                    th scope="row" { (T(&measurement.name)) }
                                    td { (T(&measurement.value())) }
                                    td { (Prose(&measurement.advice)) }
                                    td class="id" { (T(&measurement.scenario)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn mark(enforced: Enforced) -> Mark {
    use crate::model::verdict::Verdict;
    Mark::plain(match enforced {
        Enforced::No => Verdict::Broken,
        Enforced::Undecided => Verdict::Inconclusive,
        Enforced::Yes => Verdict::Holds,
    })
}
