//! The evidence of a variant: control and attack as diagrams, the requests and answers behind them, the line to send it again.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use maud::{Markup, html};

use crate::duration::words;
use crate::model::observation::{StepObservation, Trial};
use crate::model::report::VariantVerdict;
use crate::model::verdict::Verdict;

use super::diagram::{self, Row, Side};
use super::exchange::{self, Changed};
use super::text::{Mark, Prose, T, count, heading};
use super::view::View;

/// Controls that did not work, of which the exchanges are shown when nothing could be judged.
const SHOWN_CONTROLS: usize = 3;

/// Bytes of evidence that the page of one report may still take. A page must open from a mail attachment; what does not fit
/// is named, and is in the JSON report.
#[derive(Debug)]
pub struct Budget {
    left: usize,
    /// Numbers of controls that were shown: many attacks share one, and fail with it.
    controls: BTreeSet<usize>,
}

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        Budget { left: bytes, controls: BTreeSet::new() }
    }

    fn write(&mut self, evidence: Markup, out: &mut dyn Write) -> io::Result<()> {
        let text = evidence.into_string();
        if let Some(left) = self.left.checked_sub(text.len()) {
            self.left = left;
            return out.write_all(text.as_bytes());
        }
        out.write_all(b"<p class=\"dim\">The requests and answers of it are left out, so that this page stays small: they are in the JSON report.</p>")
    }
}

/// What was changed, expected and observed, and the exchange of the last trial.
///
/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn variant(view: &View<'_>, variant: &VariantVerdict, anchor: &str, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let attempts = variant.attempts.load()?;
    let control = |number: Option<usize>| number.and_then(|n| view.report.controls.get(n));
    let (before, after) = (control(variant.control_before), control(variant.control_after));
    let head = html! {
        (heading(view.level + 2, None, &html! { (T(&variant.title)) }))
        p class="meta" { span class="id" { (T(&variant.id)) } }
        dl class="rows" {
            div { dt { "Change" } dd { @for line in &variant.change { div { code class="change" { (T(line)) } } } } }
            div { dt { "Expected" } dd { (Prose(&variant.expected)) } }
            div {
                dt { "Observed" }
                dd { (Prose(&variant.reason)) @if attempts.len() > 1 { " (" (attempts.len()) " trials)" } }
            }
            @if let Some(off) = &variant.deviation { div { dt { "Deviation" } dd { (Prose(off)) } } }
            @for (name, trial) in [("Control before", before), ("Control after", after)] {
                @if let Some(trial) = trial { div { dt { (name) } dd { (control_words(trial, &variant.reason)) } } }
            }
        }
    };
    write!(out, "<div class=\"variant\">{}", head.into_string())?;
    if let Some(trial) = attempts.last() {
        let shown = Shown { variant, before, after, trial, anchor };
        budget.write(shown.markup(attempts.len()), out)?;
    }
    if variant.verdict == Verdict::Inconclusive {
        failed_control(view, variant, budget, out)?;
    }
    writeln!(out, "</div>")
}

/// The decisive request for a shell.
fn by_hand(curl: &str) -> Markup {
    html! {
        p class="label" { "Again by hand" }
        pre class="curl" { (T(curl)) }
        p class="dim" { "Marks such as ‹code 1e4d9d› stand for secrets: put a live value of yours in their place. Equal marks are equal secrets." }
    }
}

struct Shown<'t> {
    variant: &'t VariantVerdict,
    before: Option<&'t Trial>,
    after: Option<&'t Trial>,
    trial: &'t Trial,
    anchor: &'t str,
}

impl Shown<'_> {
    fn markup(&self, trials: usize) -> Markup {
        let (verdict, anchor) = (self.variant.verdict, self.anchor);
        let rows = diagram::rows(self.before, self.trial, &self.variant.change);
        let which = if trials > 1 { format!("Attack, trial {trials} of {trials}") } else { "Attack".to_owned() };
        html! {
            div class="sides" {
                @if self.before.is_some() { (diagram::panel(&rows, Side::Control, verdict, &format!("{anchor}c"), "Control: the flow as it should be")) }
                (diagram::panel(&rows, Side::Attack, verdict, &format!("{anchor}a"), &which))
            }
            (raw(&rows, self.after))
            @if let Some(curl) = &self.variant.curl { (by_hand(curl)) }
        }
    }
}

/// How a control went: well, or what of it failed.
fn control_words(trial: &Trial, reason: &str) -> Markup {
    html! {
        @match failed_step(trial, reason) {
            None => { "as it should be, in " (count(trial.steps.len(), "step", "steps")) },
            Some(step) => {
                strong { (T(&step.step)) " was " (step.outcome.words()) }
                @if !step.note.is_empty() { ": " (Prose(&step.note)) }
            },
        }
    }
}

/// The step of a control that words say is to blame. A control has steps that must be refused as well, so that the outcome
/// alone does not tell.
fn failed_step<'t>(trial: &'t Trial, words: &str) -> Option<&'t StepObservation> {
    trial.steps.iter().find(|s| !s.outcome.granted() && words.contains(&format!("{} was {}", s.step, s.outcome.words())))
}

/// The control that an undecided variant failed with, the first time that it is met.
fn failed_control(view: &View<'_>, variant: &VariantVerdict, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    for number in [variant.control_before, variant.control_after].into_iter().flatten() {
        let failed = view.report.controls.get(number).and_then(|trial| Some((trial, failed_step(trial, &variant.reason)?)));
        if let Some((trial, step)) = failed {
            let anchor = view.anchor(&format!("c{number}"));
            if !budget.controls.insert(number) {
                let above = html! { p class="dim" { a href={ "#" (anchor) } { "The exchange of this control" } " is shown above." } };
                return write!(out, "{}", above.into_string());
            }
            return budget.write(trial_alone(trial, step, &anchor), out);
        }
    }
    Ok(())
}

/// Requests and answers of the attack, folded; where it was changed, beside what the control sent.
fn raw(rows: &[Row<'_>], after: Option<&Trial>) -> Markup {
    let requests: usize = rows.iter().filter_map(|r| r.attack).map(|s| s.exchanges.len()).sum();
    html! {
        @if requests > 0 {
            details class="raw" {
                summary { "Requests and answers (" (count(requests, "request", "requests")) ")" }
                @for row in rows {
                    @if let Some(step) = row.attack {
                        @let changed = Changed::of(step, &row.change, row.control, after.and_then(|t| t.step(row.name)));
                        (step_head(step, &row.change))
                        (exchange::step(step, row.control.filter(|_| !row.change.is_empty()), &changed))
                    }
                }
            }
        }
    }
}

fn step_head(step: &StepObservation, change: &[&str]) -> Markup {
    html! {
        p class="label" {
            (T(&step.step)) ": " (T(&diagram::answer_words(step)))
            @if step.waited_millis > 0 {
                " (after a pause of " (words(Duration::from_millis(step.waited_millis)))
                @if step.clock_moved { ", for which the clock of the lab was moved" }
                ")"
            }
            @if !change.is_empty() { " — " mark { "changed: " (T(&change.join("; "))) } }
        }
        @if !step.note.is_empty() { p class="dim" { (Prose(&step.note)) } }
        @if let Some(why) = &step.undelivered { p { strong { "The change did not go out as planned: " } (Prose(why)) } }
    }
}

/// One trial by itself: diagram, and the exchanges of what failed.
fn trial_alone(trial: &Trial, failed: &StepObservation, anchor: &str) -> Markup {
    let rows = diagram::control_rows(trial);
    html! {
        div class="sides" id=(anchor) {
            (diagram::panel(&rows, Side::Control, Verdict::Inconclusive, anchor, "The control that failed"))
        }
        details class="raw" {
            summary { "Requests and answers of " (T(&failed.step)) }
            (step_head(failed, &[]))
            (exchange::step(failed, None, &Changed::default()))
        }
    }
}

/// The controls for whose sake nothing was judged.
///
/// # Errors
/// What the writer says.
pub fn failed_controls(view: &View<'_>, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let Some(fatal) = &view.report.fatal else { return Ok(()) };
    let failed = view.report.controls.iter().enumerate().filter_map(|(n, t)| Some((n, t, failed_step(t, fatal)?)));
    for (number, trial, step) in failed.take(SHOWN_CONTROLS) {
        let head = html! {
            (heading(view.level + 1, None, &html! { (Mark::Inconclusive.icon()) "A flow that must be granted was not" }))
            p class="meta" { span class="id" { (T(&trial.name)) } }
            p { (T(&step.step)) " was " (step.outcome.words()) @if !step.note.is_empty() { ": " (Prose(&step.note)) } }
        };
        write!(out, "<article class=\"finding unsure\">{}", head.into_string())?;
        budget.controls.insert(number);
        budget.write(trial_alone(trial, step, &view.anchor(&format!("c{number}"))), out)?;
        writeln!(out, "</article>")?;
    }
    Ok(())
}
