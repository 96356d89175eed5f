//! Events of a run, one JSON object in a line, for log pipelines: `run`, then for each scenario its `variant`s and its `verdict`,
//! then `gate`. Every line can be read alone: it names its target and the run. There is no evidence in them.

use serde::{Deserialize, Serialize};

use super::profile::{Level, Profile, Severity};
use super::report::{GateOutcome, Run, ScenarioVerdict, Since, Summary, TargetSummary, VariantVerdict};
use super::verdict::{Party, Verdict};

/// A line. `run` and `target` join the lines of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A run: the first line of a target.
    Run {
        /// When it started, RFC 3339, UTC.
        time: String,
        /// The same, as the name of the run in every line.
        run: String,
        target: String,
        /// Of the report that these are the lines of.
        schema_version: String,
        version: String,
        catalogue_digest: String,
        profile: Profile,
        issuer: String,
        source: String,
        target_digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permitted_by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permitted_until: Option<String>,
    },
    /// The verdict on an attack, or on one word of it.
    Variant {
        /// When it was judged.
        time: String,
        run: String,
        target: String,
        id: String,
        scenario: String,
        title: String,
        verdict: Verdict,
        confirmed: bool,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deviation: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_fault: Option<Party>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        implied_by: Option<String>,
        requests: u64,
        /// Time in which the target had the word, in microseconds.
        server_micros: u64,
    },
    /// The verdict on a scenario that was selected.
    Verdict {
        time: String,
        run: String,
        target: String,
        id: String,
        title: String,
        verdict: Verdict,
        confirmed: bool,
        severity: Severity,
        level: Option<Level>,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deviation: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_fault: Option<Party>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        implied_by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwe: Option<String>,
        basis: Vec<String>,
        /// As broken, or as required and not decided.
        fails_gate: bool,
        /// The last day of the waiver that it is under.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waived_until: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_baseline: Option<Since>,
    },
    /// What the gate said: the last line of a target.
    Gate {
        time: String,
        run: String,
        target: String,
        exit_code: u8,
        words: String,
        /// False: interrupted, or something was left undone.
        complete: bool,
        /// Why nothing could be judged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fatal: Option<String>,
        requests: u64,
        server_millis: u64,
        summary: Summary,
    },
}

impl Event {
    pub fn run(schema_version: &str, run: &Run, target: &TargetSummary) -> Event {
        Event::Run {
            time: run.started.clone(),
            run: run.started.clone(),
            target: target.name.clone(),
            schema_version: schema_version.to_owned(),
            version: run.version.clone(),
            catalogue_digest: run.catalogue_digest.clone(),
            profile: run.profile,
            issuer: target.issuer.clone(),
            source: target.source.clone(),
            target_digest: target.digest.clone(),
            permitted_by: target.permission.as_ref().map(|p| p.by.clone()),
            permitted_until: target.permission.as_ref().map(|p| p.until.clone()),
        }
    }

    /// `time`: when it was judged.
    pub fn variant(time: &str, run: &Run, target: &TargetSummary, scenario: &str, variant: &VariantVerdict) -> Event {
        Event::Variant {
            time: time.to_owned(),
            run: run.started.clone(),
            target: target.name.clone(),
            id: variant.id.clone(),
            scenario: scenario.to_owned(),
            title: variant.title.clone(),
            verdict: variant.verdict,
            confirmed: variant.confirmed,
            reason: variant.reason.clone(),
            deviation: variant.deviation.clone(),
            at_fault: variant.at_fault,
            implied_by: variant.implied_by.clone(),
            requests: variant.requests,
            server_micros: variant.server_micros,
        }
    }

    /// `time`: when it was judged.
    pub fn verdict(time: &str, run: &Run, target: &TargetSummary, verdict: &ScenarioVerdict, fails_gate: bool) -> Event {
        Event::Verdict {
            time: time.to_owned(),
            run: run.started.clone(),
            target: target.name.clone(),
            id: verdict.id.clone(),
            title: verdict.title.clone(),
            verdict: verdict.verdict,
            confirmed: verdict.confirmed,
            severity: verdict.severity,
            level: verdict.level,
            reason: verdict.reason.clone(),
            deviation: verdict.deviation.clone(),
            at_fault: verdict.at_fault,
            implied_by: verdict.implied_by.clone(),
            cwe: verdict.cwe.clone(),
            basis: verdict.basis.clone(),
            fails_gate,
            waived_until: verdict.waived.as_ref().map(|w| w.expires.clone()),
            since_baseline: verdict.since_baseline,
        }
    }

    pub fn gate(run: &Run, target: &TargetSummary, gate: &GateOutcome, fatal: Option<&str>, summary: Summary) -> Event {
        Event::Gate {
            time: run.finished.clone(),
            run: run.started.clone(),
            target: target.name.clone(),
            exit_code: gate.exit_code,
            words: gate.words.clone(),
            complete: run.complete,
            fatal: fatal.map(str::to_owned),
            requests: run.requests,
            server_millis: run.server_millis,
            summary,
        }
    }
}
