//! What several formats say alike: how a verdict stands before the gate, and evidence in one line.

use std::io;

use crate::model::observation::{StepObservation, Trial};
use crate::model::profile::Level;
use crate::model::report::{GateOutcome, Report, ScenarioVerdict, Since, VariantVerdict, Waived};
use crate::model::step::StepKind;
use crate::model::verdict::Verdict;

/// How a selected verdict stands before the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Broken, and it fails the gate.
    Failing,
    /// Required and not decided, and the gate does not allow that.
    Undecided,
    /// Broken or undecided, and it does not fail the gate: why not.
    Tolerated(String),
    Holds,
    NotApplicable,
    /// Something that the target file could supply is missing, and the gate does not ask for it.
    Skipped,
}

/// What the gate of a report made of a verdict.
pub fn standing(verdict: &ScenarioVerdict, gate: &GateOutcome) -> Standing {
    if gate.failing.contains(&verdict.id) {
        return Standing::Failing;
    }
    if !gate.allow_inconclusive && gate.undecided.contains(&verdict.id) {
        return Standing::Undecided;
    }
    match verdict.verdict {
        Verdict::Broken | Verdict::Inconclusive => Standing::Tolerated(why_tolerated(verdict, gate)),
        Verdict::Holds => Standing::Holds,
        Verdict::NotApplicable => Standing::NotApplicable,
        Verdict::Skipped => Standing::Skipped,
    }
}

fn why_tolerated(verdict: &ScenarioVerdict, gate: &GateOutcome) -> String {
    if let Some(waived) = &verdict.waived {
        return waiver(waived);
    }
    if let Some(since @ (Since::Same | Since::Better)) = verdict.since_baseline {
        return format!("known from the baseline: {}", since.words());
    }
    if let Some(cause) = &verdict.implied_by {
        return format!("follows from {cause}, and is counted there");
    }
    match verdict.level {
        Some(Level::Should) if !gate.strict => return "the profile asks for it as a SHOULD, and the gate is not strict".into(),
        Some(Level::May) => return "the profile asks for it as a MAY".into(),
        None => return "the profile does not ask for it".into(),
        Some(_) => {}
    }
    match (verdict.verdict, gate.fail_on) {
        (Verdict::Inconclusive, _) => "the gate allows what is undecided".into(),
        (_, None) => "nothing broken fails this gate".into(),
        (_, Some(least)) => format!("its severity {} is below {}, from which on the gate fails", verdict.severity.name(), least.name()),
    }
}

/// A waiver in words.
pub fn waiver(waived: &Waived) -> String {
    format!("waived until {} by {}: {}", waived.expires, waived.owner, waived.reason)
}

/// What a run did not wait for, and what to write where it should: `not waited for (--slow): code/expired (10 min 5 s)`.
pub fn not_waited(report: &Report) -> Option<String> {
    let mut waits: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for verdict in report.verdicts.iter().filter(|v| v.selected) {
        if let Some(longest) = verdict.variants.iter().filter_map(|v| v.not_waited).max() {
            waits.insert(&verdict.id, longest);
        }
    }
    let told = |(id, seconds): (&&str, &u64)| format!("{id} ({})", crate::duration::words(std::time::Duration::from_secs(*seconds)));
    let list: Vec<String> = waits.iter().map(told).collect();
    (!list.is_empty()).then(|| format!("not waited for (`--slow` waits): {}", list.join(", ")))
}

/// `pkce` of `pkce/plain-method`; what has no group is its own.
pub fn group(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

/// The variants that a finding consists of: those with its verdict whose harm counts.
pub fn findings(verdict: &ScenarioVerdict) -> impl Iterator<Item = &VariantVerdict> {
    verdict.variants.iter().filter(|v| v.verdict == verdict.verdict && !v.lesser)
}

/// The steps of a trial, each with what it came to.
pub fn steps(trial: &Trial) -> String {
    trial.steps.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// What the control before a variant granted, of the steps that its trial has: a control may be shared, and have more.
pub fn control_before(report: &Report, variant: &VariantVerdict, trial: Option<&Trial>) -> Option<String> {
    let control = report.controls.get(variant.control_before?)?;
    let trial = trial.filter(|t| control.steps.iter().any(|s| t.step(&s.step).is_some()));
    let own = control.steps.iter().filter(|s| trial.is_none_or(|t| t.step(&s.step).is_some()));
    Some(own.map(told).collect::<Vec<_>>().join(", "))
}

fn told(step: &StepObservation) -> String {
    format!("{} {}", step.step, step.outcome.words())
}

/// The answer of a step that its fields are of, in one line: of a burst that is not the last one.
pub fn answer(step: &StepObservation) -> String {
    if step.kind == StepKind::ListenerRequest {
        let field = |name: &str| step.fields.get(name).map_or("", String::as_str);
        return format!("the server came with {} {}", field("method"), field("paths")).trim().to_owned();
    }
    let last = || step.exchanges.last().map_or(String::new(), |e| if e.status == 0 { "no answer".into() } else { e.status.to_string() });
    let status = step.fields.get("status").cloned().unwrap_or_else(last);
    let what: Vec<String> = ["error", "code", "access_token", "refresh_token", "delivered_to", "sub"]
        .iter()
        .filter_map(|name| step.fields.get(*name).map(|value| format!("{name} {value}")))
        .collect();
    format!("{status} {}", what.join(", ")).trim().to_owned()
}

/// What a trial saw, a line for each step that sent something, the proof last.
pub fn observed(trial: &Trial) -> Vec<String> {
    let sent = trial.steps.iter().filter(|s| !s.exchanges.is_empty()).map(|s| format!("{}: {}", s.step, answer(s)));
    let proof = trial.proof.iter().map(|proof| {
        let place = proof.fields.get("endpoint").map_or("the proof endpoint", String::as_str);
        format!("proof: the token at {place}: {}", answer(proof))
    });
    sent.chain(proof).collect()
}

/// Time in which the target had the word in the trials of a verdict, in microseconds.
///
/// # Errors
/// Evidence that cannot be read back; only reports before 1.2 need it.
pub fn server_micros(verdict: &ScenarioVerdict) -> io::Result<u64> {
    let mut sum: u64 = 0;
    for variant in &verdict.variants {
        let micros = match variant.server_micros {
            0 if !variant.attempts.is_empty() => variant.attempts.load()?.iter().map(Trial::server_micros).fold(0, u64::saturating_add),
            micros => micros,
        };
        sum = sum.saturating_add(micros);
    }
    Ok(sum)
}
