//! Findings by root cause, and what could not be decided: what is wrong, why it matters, what to do, and the evidence.

use std::io::{self, Write};

use maud::{Markup, html};

use crate::model::report::{ScenarioVerdict, VariantVerdict};
use crate::model::verdict::Party;

use super::evidence::{self, Budget};
use super::text::{Mark, Prose, T, count, heading, link, severity};
use super::view::{Root, View};

/// Variants whose evidence is shown; the others are named.
const SHOWN_VARIANTS: usize = 3;

/// The broken ones. Written one by one, so that the evidence of one is in memory at a time.
pub fn broken(view: &View<'_>, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let roots = view.roots();
    let anchor = view.anchor("findings");
    let begin = html! {
        (heading(view.level, Some(&anchor), &html! { "Findings by root cause" }))
        @if view.report.fatal.is_some() {
            p { "Nothing was judged, so that nothing can be found." }
        } @else if roots.is_empty() {
            p { "No defense was seen broken." }
        }
    };
    write!(out, "{}{}", view.section(&anchor), begin.into_string())?;
    for root in &roots {
        finding(view, root, budget, out)?;
    }
    writeln!(out, "</section>")
}

fn finding(view: &View<'_>, root: &Root, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let Some(verdict) = view.verdict(root.index) else { return Ok(()) };
    let anchor = view.scenario_anchor(root.index);
    let mark = Mark::of(verdict);
    let head = html! {
        (title(view, verdict, &anchor, mark))
        p class="lead" { strong { "Harm. " } (Prose(&verdict.harm)) }
        p class="lead" { strong { "Fix. " } (Prose(&verdict.fix)) }
        dl class="rows" {
            @if !verdict.defense.is_empty() { div { dt { "Defense" } dd { (Prose(&verdict.defense)) } } }
            div { dt { "Seen" } dd { (Prose(&verdict.reason)) @if verdict.confirmed { " — and what the attacker got was shown to work" } } }
            @if let Some(cause) = &verdict.implied_by { div { dt { "Follows from" } dd { (view.reference(cause)) } } }
            @if let Some(party) = verdict.at_fault { div { dt { "At fault" } dd { (party.words()) } } }
            (waiver(verdict))
            @if let Some(off) = &verdict.deviation { div { dt { "Deviation" } dd { (Prose(off)) } } }
            (requirements(view, verdict))
            div { dt { "More" } dd { code { "grantproof explain " (T(&verdict.id)) } " " code { "grantproof replay " (T(&verdict.id)) } } }
        }
    };
    write!(out, "<article class=\"finding {}\" aria-labelledby=\"{anchor}\">{}", mark.class(), head.into_string())?;
    variants(view, root.index, budget, out)?;
    if !root.consequences.is_empty() {
        let head = html! {
            (heading(view.level + 2, None, &html! { "What follows from it" }))
            p { (count(root.consequences.len(), "more scenario is explained", "more scenarios are explained")) " by this one, and counted here." }
        };
        write!(out, "{}", head.into_string())?;
        for index in &root.consequences {
            consequence(view, *index, budget, out)?;
        }
    }
    writeln!(out, "</article>")
}

/// Badge, title, id and how much it counts.
fn title(view: &View<'_>, verdict: &ScenarioVerdict, anchor: &str, mark: Mark) -> Markup {
    html! {
        (heading(view.level + 1, Some(anchor), &html! { (mark.icon()) span class={ "word " (mark.class()) } { (mark.words()) ": " } (T(&verdict.title)) }))
        p class="meta" {
            (severity(verdict.severity))
            @match verdict.level {
                Some(level) => span class="tag" { (level.name()) " in " (view.report.run.profile.name()) },
                None => span class="tag" { "not asked for by this profile" },
            }
            @if let Some(cwe) = &verdict.cwe { span class="tag" { (T(cwe)) } }
            @if verdict.confirmed { span class="tag" { "confirmed" } }
            @if let Some(since) = verdict.since_baseline { span class="tag" { "baseline: " (since.words()) } }
            span class="id" { (T(&verdict.id)) }
        }
    }
}

fn waiver(verdict: &ScenarioVerdict) -> Markup {
    html! {
        @if let Some(waived) = &verdict.waived {
            div { dt { "Accepted" } dd { (Prose(&waived.reason)) " — " (T(&waived.owner)) ", until " (T(&waived.expires)) } }
        }
    }
}

fn requirements(view: &View<'_>, verdict: &ScenarioVerdict) -> Markup {
    html! {
        @if !verdict.basis.is_empty() {
            div {
                dt { "Required by" }
                dd {
                    details {
                        summary { (T(&verdict.basis.join(", "))) }
                        ul class="plain" {
                            @for id in &verdict.basis {
                                li {
                                    @match view.requirements.get(id.as_str()) {
                                        Some(requirement) => {
                                            (link(&requirement.link, id)) " " span class="keyword" { (T(&requirement.keyword)) } " " (Prose(&requirement.asks))
                                        },
                                        None => (T(id)),
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Evidence of the variants that make the verdict, then the others by name.
fn variants(view: &View<'_>, index: usize, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let Some(verdict) = view.verdict(index) else { return Ok(()) };
    let (counted, others): (Vec<&VariantVerdict>, Vec<&VariantVerdict>) =
        verdict.variants.iter().partition(|v| v.verdict == verdict.verdict && !v.lesser);
    let (shown, named) = counted.split_at(counted.len().min(SHOWN_VARIANTS));
    for (number, variant) in shown.iter().enumerate() {
        let anchor = format!("{}-v{number}", view.scenario_anchor(index));
        evidence::variant(view, variant, &anchor, budget, out)?;
    }
    let rest: Vec<&VariantVerdict> = named.iter().copied().chain(others).collect();
    if !rest.is_empty() {
        write!(out, "{}", table(&rest).into_string())?;
    }
    Ok(())
}

fn table(variants: &[&VariantVerdict]) -> Markup {
    html! {
        details {
            summary { (count(variants.len(), "further variant", "further variants")) " of the attack" }
            table {
                caption class="sr" { "Further variants of the attack" }
                thead { tr { th scope="col" { "Variant" } th scope="col" { "Verdict" } th scope="col" { "Change" } th scope="col" { "Seen" } } }
                tbody {
                    @for variant in variants {
                        tr {
                            th scope="row" class="id" { (T(&variant.id)) }
                            td class="nowrap" { (Mark::plain(variant.verdict).badge()) @if variant.lesser { div class="dim" { "counts as a deviation" } } }
                            td { @for line in &variant.change { div { (T(line)) } } }
                            td { (Prose(&variant.reason)) }
                        }
                    }
                }
            }
        }
    }
}

/// A consequence: one line, and its evidence folded.
fn consequence(view: &View<'_>, index: usize, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let Some(verdict) = view.verdict(index) else { return Ok(()) };
    let mark = Mark::of(verdict);
    let head = html! {
        summary id=(view.scenario_anchor(index)) {
            (mark.icon()) span class="sr" { (mark.words()) ": " } (T(&verdict.title)) " " span class="id" { (T(&verdict.id)) }
        }
        p class="meta" {
            (severity(verdict.severity))
            @if let Some(level) = verdict.level { span class="tag" { (level.name()) } }
            @if verdict.confirmed { span class="tag" { "confirmed" } }
            @if let Some(since) = verdict.since_baseline { span class="tag" { "baseline: " (since.words()) } }
        }
        dl class="rows" {
            div { dt { "Seen" } dd { (Prose(&verdict.reason)) } }
            @if let Some(cause) = &verdict.implied_by { div { dt { "Follows from" } dd { (view.reference(cause)) } } }
            div { dt { "Harm" } dd { (Prose(&verdict.harm)) } }
            (waiver(verdict))
            (requirements(view, verdict))
        }
    };
    write!(out, "<details class=\"consequence\">{}", head.into_string())?;
    variants(view, index, budget, out)?;
    writeln!(out, "</details>")
}

/// What could not be decided, each with whose it is and what to do.
pub fn undecided(view: &View<'_>, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let (tried, untried): (Vec<usize>, Vec<usize>) =
        view.undecided().into_iter().partition(|i| view.verdict(*i).is_some_and(|v| v.variants.iter().any(|x| !x.attempts.is_empty())));
    if tried.is_empty() && untried.is_empty() {
        return Ok(());
    }
    let anchor = view.anchor("undecided");
    let begin = html! {
        (heading(view.level, Some(&anchor), &html! { "Undecided" }))
        p { "Neither the refusal nor the harm was seen, or the flow that must be granted was not. An undecided defense may be broken." }
    };
    write!(out, "{}{}", view.section(&anchor), begin.into_string())?;
    if view.report.fatal.is_some() {
        evidence::failed_controls(view, budget, out)?;
    }
    for index in tried {
        let Some(verdict) = view.verdict(index) else { continue };
        let (anchor, mark) = (view.scenario_anchor(index), Mark::of(verdict));
        let head = html! {
            (title(view, verdict, &anchor, mark))
            dl class="rows" {
                div { dt { "Why" } dd { (Prose(&verdict.reason)) } }
                @if let Some(party) = verdict.at_fault { div { dt { "At fault" } dd { (party.words()) } } }
                div { dt { "What to do" } dd { (Prose(advice(verdict.at_fault))) } }
                @if let Some(cause) = &verdict.implied_by { div { dt { "See" } dd { (view.reference(cause)) } } }
                (waiver(verdict))
                (requirements(view, verdict))
            }
        };
        write!(out, "<article class=\"finding {}\" aria-labelledby=\"{anchor}\">{}", mark.class(), head.into_string())?;
        variants(view, index, budget, out)?;
        writeln!(out, "</article>")?;
    }
    if !untried.is_empty() {
        write!(out, "{}", not_tried(view, &untried).into_string())?;
    }
    writeln!(out, "</section>")
}

/// What nothing was sent for, by the reason, which is often the same for all.
fn not_tried(view: &View<'_>, indices: &[usize]) -> Markup {
    let mut rows: Vec<(&ScenarioVerdict, usize)> = indices.iter().filter_map(|i| Some((view.verdict(*i)?, *i))).collect();
    rows.sort_by(|a, b| a.0.reason.cmp(&b.0.reason).then(a.1.cmp(&b.1)));
    html! {
        @for same in rows.chunk_by(|a, b| a.0.reason == b.0.reason) {
            @if let [(first, _), ..] = same {
                p { strong { (count(same.len(), "scenario", "scenarios")) ": " } (Prose(&first.reason)) }
                ul class="ids columns" {
                    @for (verdict, index) in same {
                        li id=(view.scenario_anchor(*index)) { (Mark::of(verdict).icon()) span class="id" { (T(&verdict.id)) } }
                    }
                }
            }
        }
    }
}

/// What whoever is at fault can do about it.
fn advice(party: Option<Party>) -> &'static str {
    match party {
        Some(Party::AuthorizationServer) => {
            "Look at the answer below and at the server's log of that moment: it failed, or answered in a way that is neither a refusal nor a grant. Then run this scenario again."
        }
        Some(Party::Resource) => "Look at the resource: it must take a good token and refuse a bad one before anything can be shown there.",
        Some(Party::LoginPage) => {
            "Look at the login with `grantproof doctor -t FILE`, which shows its pages, and say in the target file how to log in."
        }
        Some(Party::Edge) => {
            "Something before the server answered, or it throttles. Lower `limits.per_second` in the target file, or test from a place that is let through."
        }
        Some(Party::Configuration) => {
            "Correct the target file or the set-up of its clients and users; `grantproof doctor -t FILE` says what is wrong."
        }
        Some(Party::Grantproof) => "This is a limit or an error of grantproof: the evidence below belongs into a report of it.",
        None => "Run this scenario again by itself; if it stays undecided, the evidence below shows what came instead.",
    }
}
