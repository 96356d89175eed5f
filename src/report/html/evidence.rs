//! The evidence of a variant: control and attack as diagrams, the requests and answers behind them, the line to send it again.

use std::io::{self, Write};

use maud::{Markup, html};

use crate::model::observation::{StepObservation, Trial};
use crate::model::report::VariantVerdict;
use crate::model::verdict::Verdict;

use super::diagram::{self, Row, Side};
use super::exchange::{self, Changed};
use super::text::{Mark, T, count, heading};
use super::view::View;

/// Controls that did not work, of which the exchanges are shown when nothing could be judged.
const SHOWN_CONTROLS: usize = 3;

/// Bytes of evidence that the page of one report may still take. A page must open from a mail attachment; what does not fit
/// is named, and is in the JSON report.
#[derive(Debug)]
pub struct Budget {
    left: usize,
    /// Pieces that did not fit.
    pub left_out: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        Budget { left: bytes, left_out: 0 }
    }

    fn write(&mut self, evidence: Markup, out: &mut dyn Write) -> io::Result<()> {
        let text = evidence.into_string();
        if let Some(left) = self.left.checked_sub(text.len()) {
            self.left = left;
            return out.write_all(text.as_bytes());
        }
        self.left_out += 1;
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
            div { dt { "Expected" } dd { (T(&variant.expected)) } }
            div {
                dt { "Observed" }
                dd { (T(&variant.reason)) @if attempts.len() > 1 { " (" (attempts.len()) " trials)" } }
            }
            @if let Some(off) = &variant.deviation { div { dt { "Deviation" } dd { (T(off)) } } }
            @for (name, trial) in [("Control before", before), ("Control after", after)] {
                @if let Some(trial) = trial { div { dt { (name) } dd { (granted(trial)) } } }
            }
        }
    };
    write!(out, "<div class=\"variant\">{}", head.into_string())?;
    if let Some(trial) = attempts.last() {
        let shown = Shown { variant, before, after, trial, anchor };
        budget.write(shown.markup(attempts.len()), out)?;
    }
    if let Some(curl) = &variant.curl {
        let by_hand = html! {
            p class="label" { "Again by hand" }
            pre class="curl" { (T(curl)) }
            p class="dim" { "Marks such as ‹code 1e4d9d› stand for secrets: put a live value of yours in their place. Equal marks are equal secrets." }
        };
        write!(out, "{}", by_hand.into_string())?;
    }
    writeln!(out, "</div>")
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
        let failed_after = self.after.filter(|t| verdict == Verdict::Inconclusive && !all_granted(t));
        html! {
            div class="sides" {
                @if self.before.is_some() { (diagram::panel(&rows, Side::Control, verdict, &format!("{anchor}c"), "Control: the flow as it should be")) }
                (diagram::panel(&rows, Side::Attack, verdict, &format!("{anchor}a"), &which))
            }
            @if let Some(after) = failed_after {
                (trial_alone(after, &format!("{anchor}b"), "Control after the attack: it was not granted any more"))
            }
            (raw(&rows, self.after))
        }
    }
}

/// Every step of a control in words.
fn granted(trial: &Trial) -> Markup {
    html! {
        @for (index, step) in trial.steps.iter().enumerate() {
            @if index > 0 { ", " }
            @if step.outcome.granted() { (T(&step.step)) " " (step.outcome.words()) } @else { strong { (T(&step.step)) " " (step.outcome.words()) } }
        }
    }
}

fn all_granted(trial: &Trial) -> bool {
    trial.steps.iter().all(|s| s.outcome.granted())
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
            @if step.waited_millis > 0 { " (after a pause of " (step.waited_millis) " ms)" }
            @if !change.is_empty() { " — " mark { "changed: " (T(&change.join("; "))) } }
        }
        @if !step.note.is_empty() { p class="dim" { (T(&step.note)) } }
        @if let Some(why) = &step.undelivered { p { strong { "The change did not go out as planned: " } (T(why)) } }
    }
}

/// One trial by itself: diagram, and the exchanges of what was not granted.
fn trial_alone(trial: &Trial, anchor: &str, caption: &str) -> Markup {
    let rows = diagram::rows(None, trial, &[]);
    html! {
        div class="sides" { (diagram::panel(&rows, Side::Attack, Verdict::Inconclusive, anchor, caption)) }
        @for step in trial.steps.iter().filter(|s| !s.outcome.granted() && !s.exchanges.is_empty()).take(1) {
            details class="raw" {
                summary { "Requests and answers of " (T(&step.step)) }
                (step_head(step, &[]))
                (exchange::step(step, None, &Changed::default()))
            }
        }
    }
}

/// The controls that kept everything from being judged.
///
/// # Errors
/// What the writer says.
pub fn failed_controls(view: &View<'_>, budget: &mut Budget, out: &mut dyn Write) -> io::Result<()> {
    let failed = view.report.controls.iter().enumerate().filter(|(_, t)| !all_granted(t));
    for (number, trial) in failed.take(SHOWN_CONTROLS) {
        let head = html! {
            (heading(view.level + 1, None, &html! { (Mark::Inconclusive.icon()) "A flow that must be granted was not" }))
            p class="meta" { span class="id" { (T(&trial.name)) } }
            p { (granted(trial)) }
        };
        write!(out, "<article class=\"finding unsure\">{}", head.into_string())?;
        let anchor = view.anchor(&format!("c{number}"));
        budget.write(trial_alone(trial, &anchor, "The control, as it went"), out)?;
        writeln!(out, "</article>")?;
    }
    Ok(())
}
