//! The answer: what the gate said, in one sentence, and which defenses hold, as a picture.

use maud::{Markup, html};

use crate::model::report::Report;
use crate::model::verdict::Verdict;
use crate::report::gate;

use super::text::{Mark, Prose, T, count, heading, link};
use super::view::View;

/// Gate, sentence, target.
pub fn gate_and_target(view: &View<'_>) -> Markup {
    let report = view.report;
    let gate = gate::of(report);
    let (class, icon) = tone(gate.exit_code);
    html! {
        div class={ "gate " (class) } {
            p class="said" { (icon.icon()) @if gate.exit_code == gate::NOT_TESTED { "Nothing was judged" } @else { "Gate " (T(&gate.words)) } }
            p { (sentence(view)) }
        }
        @if let Some(fatal) = &report.fatal {
            div class="notice bad" { p class="lines" { (Prose(fatal)) } }
        }
        @if let Some(why) = &report.run.interrupted {
            div class="notice" { p { strong { "The run is incomplete: " } (T(why)) ". What is here was measured." } }
        } @else if !report.run.complete {
            div class="notice" { p { strong { "The run is incomplete." } " What is here was measured." } }
        }
        @if let Some(shard) = &report.run.partition {
            div class="notice" { p { "This is the shard " strong { (T(shard)) } " of the selection: the others are in reports of their own." } }
        }
        dl class="facts" {
            div { dt { "Issuer" } dd { (link(&report.target.issuer, &report.target.issuer)) } }
            div { dt { "Tested" } dd { (T(&when(&report.run.started))) @if let Some(took) = took(report) { ", in " (took) } } }
            div { dt { "Profile" } dd { (report.run.profile.name()) ", " (count(report.verdicts.iter().filter(|v| v.selected).count(), "scenario", "scenarios")) } }
            div {
                dt { "Permitted by" }
                dd {
                    @match &report.target.permission {
                        Some(permission) => { (T(&permission.by)) ", until " (T(&permission.until)) },
                        None if report.target.loopback => "not needed: it is on this machine",
                        None => "nobody is named",
                    }
                }
            }
        }
    }
}

/// Class and sign of an exit code.
pub fn tone(exit_code: u8) -> (&'static str, Mark) {
    match exit_code {
        gate::PASSED => ("good", Mark::Holds),
        gate::BROKEN => ("bad", Mark::Broken),
        _ => ("unsure", Mark::Inconclusive),
    }
}

/// `2026-11-26 14:24:16 UTC` of an RFC 3339 time in UTC; anything else as it is.
pub fn when(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => format!("{} UTC", time.strftime("%Y-%m-%d %H:%M:%S")),
        Err(_) => time.to_owned(),
    }
}

/// How long the run took.
pub fn took(report: &Report) -> Option<String> {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let seconds = time(&report.run.finished)?.duration_since(time(&report.run.started)?).as_secs_f64();
    match seconds {
        s if s < 0.0 => None,
        s if s < 10.0 => Some(format!("{s:.1} s")),
        s if s < 120.0 => Some(format!("{s:.0} s")),
        s => Some(format!("{:.0} min", s / 60.0)),
    }
}

/// The whole answer in one sentence.
fn sentence(view: &View<'_>) -> String {
    let verdicts = &view.report.verdicts;
    let number = |verdict: Verdict| verdicts.iter().filter(|v| v.selected && v.verdict == verdict).count();
    let (broken, open, holds) = (number(Verdict::Broken), number(Verdict::Inconclusive), number(Verdict::Holds));
    let untested = verdicts.len().saturating_sub(broken + open + holds);
    let mut parts = Vec::new();
    if broken > 0 {
        let roots = view.roots().len();
        let causes = if roots < broken { format!(", by {}", count(roots, "root cause", "root causes")) } else { String::new() };
        parts.push(format!("{} broken{causes}", count(broken, "defense is", "defenses are")));
    } else if holds > 0 {
        parts.push("No defense was seen broken".to_owned());
    }
    if open > 0 {
        parts.push(format!("{open} could not be decided"));
    }
    parts.push(format!("{holds} {}", if holds == 1 { "holds" } else { "hold" }));
    if untested > 0 {
        parts.push(format!("{untested} {} not tested", if untested == 1 { "was" } else { "were" }));
    }
    format!("{}.", parts.join("; "))
}

/// Counts by verdict, which are the key to the picture as well.
fn tally(view: &View<'_>) -> Markup {
    let number = |mark: Mark| view.report.verdicts.iter().filter(|v| Mark::of(v) == mark).count();
    html! {
        ul class="tally" {
            @for mark in Mark::ALL.iter().filter(|m| number(**m) > 0 || matches!(m, Mark::Broken | Mark::Inconclusive | Mark::Holds)) {
                li class=(mark.class()) { (mark.icon()) b { (number(*mark)) } " " (mark.counted()) }
            }
        }
    }
}

/// Groups × verdicts: a sign for each scenario, the worst groups first.
pub fn picture(view: &View<'_>) -> Markup {
    let has = |mark: fn(&Mark) -> bool| view.report.verdicts.iter().map(Mark::of).any(|m| mark(&m));
    let anchor = view.anchor("picture");
    html! {
        section aria-labelledby=[view.label(&anchor)] {
            (heading(view.level, Some(&anchor), &html! { "Which defenses hold" }))
            (tally(view))
            div class="wide" tabindex="0" role="group" aria-labelledby=(anchor) {
                table class="picture" {
                    caption class="sr" { "Scenarios of each group by verdict, the worst group first" }
                    thead {
                        tr {
                            th scope="col" { "Group" }
                            th scope="col" { "Scenarios" }
                            th scope="col" class="number" { "Broken" }
                            @if has(|m| *m == Mark::Inconclusive) { th scope="col" class="number" { "Undecided" } }
                            th scope="col" class="number" { "Hold" }
                        }
                    }
                    tbody {
                        @for group in view.groups() {
                            (row(view, group.name, &group.members, has(|m| *m == Mark::Inconclusive)))
                        }
                    }
                }
            }
        }
    }
}

fn row(view: &View<'_>, name: &str, members: &[usize], undecided: bool) -> Markup {
    let marks: Vec<(usize, Mark)> = members.iter().filter_map(|i| Some((*i, Mark::of(view.verdict(*i)?)))).collect();
    let number = |wanted: &[Mark]| marks.iter().filter(|(_, m)| wanted.contains(m)).count();
    let (findings, rest): (Vec<_>, Vec<_>) = marks.iter().copied().partition(|(_, m)| *m <= Mark::Inconclusive);
    let words: Vec<String> =
        Mark::ALL.iter().filter(|m| rest.iter().any(|(_, r)| r == *m)).map(|m| format!("{} {}", number(&[*m]), m.counted())).collect();
    let broken = number(&[Mark::Broken, Mark::Follows, Mark::Waived]);
    let cell = |count: usize, class: &str| html! { td class={ "number " @if count > 0 { (class) } @else { "zero" } } { (count) } };
    html! {
        tr {
            th scope="row" { (T(name)) }
            td class="signs" {
                // What needs a look is a link; the rest is one picture, so that nobody tabs through hundreds of links.
                @for (index, mark) in &findings {
                    @if let Some(verdict) = view.verdict(*index) {
                        a href={ "#" (view.scenario_anchor(*index)) } title=(T(&verdict.id)) {
                            (mark.icon()) span class="sr" { (mark.words()) ": " (T(&verdict.id)) }
                        }
                    }
                }
                @if !rest.is_empty() {
                    span role="img" aria-label=(words.join(", ")) { @for (_, mark) in &rest { (mark.icon()) } }
                }
            }
            (cell(broken, "broken"))
            @if undecided { (cell(number(&[Mark::Inconclusive]), "unsure")) }
            (cell(number(&[Mark::Holds, Mark::Deviates]), "holds"))
        }
    }
}
