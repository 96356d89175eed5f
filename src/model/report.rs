//! The report and the recording behind it. One JSON form, versioned; every other format is rendered from it.

use serde::{Deserialize, Serialize};

use super::observation::{NegativeControl, Trial};
use super::profile::{Level, Profile, Severity};
use super::verdict::{Party, Verdict};

/// Grows by its minor number when something is added, by its major number when something is removed or changes meaning.
pub const SCHEMA_VERSION: &str = "1.1";

/// What a run saw, without any judgement: `grantproof judge` makes the same report of it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    pub schema_version: String,
    pub run: Run,
    pub target: TargetSummary,
    /// Ids of the scenarios that were selected.
    pub selected: Vec<String>,
    /// Controls, negative controls and attacks refer to trials by number.
    pub controls: Vec<Trial>,
    pub negative_controls: Vec<NegativeControl>,
    pub cases: Vec<CaseRecord>,
    /// Why nothing can be judged, when the set-up does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fatal: Option<String>,
    /// What looked wrong with the target and is no verdict.
    pub warnings: Vec<String>,
    /// What the run took back of what it made on the server, in words.
    #[serde(default)]
    pub cleaned_up: Vec<String>,
    /// What the run left on the server, in words.
    #[serde(default)]
    pub remains: Vec<String>,
}

/// When and with what it was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub tool: String,
    pub version: String,
    /// SHA-256 over scenarios, flows and standards, in hexadecimal.
    pub catalogue_digest: String,
    pub profile: Profile,
    /// RFC 3339, UTC.
    pub started: String,
    pub finished: String,
    /// False: interrupted, or something was left undone; what is here was measured.
    pub complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    pub requests: u64,
    /// Time in which the target had the word, in milliseconds, added up over all requests.
    pub server_millis: u64,
}

/// The target without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSummary {
    pub name: String,
    pub issuer: String,
    /// The target file, or `the embedded lab`.
    pub source: String,
    /// SHA-256 of the target file, in hexadecimal.
    pub digest: String,
    pub loopback: bool,
    /// Which clients were used: role and client_id.
    pub clients: Vec<(String, String)>,
    pub users: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<crate::target::Permission>,
}

/// One case of an attack: its trials and its two controls, by number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseRecord {
    pub scenario: String,
    pub attack: String,
    /// The word of `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_before: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_after: Option<usize>,
    pub attempts: Vec<Trial>,
    /// Why it was not run: what the target file lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    pub schema_version: String,
    pub run: Run,
    pub target: TargetSummary,
    pub summary: Summary,
    /// One for each id of the catalogue, worst first.
    pub verdicts: Vec<ScenarioVerdict>,
    pub controls: Vec<Trial>,
    pub negative_controls: Vec<NegativeControl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fatal: Option<String>,
    pub warnings: Vec<String>,
    /// What the run took back of what it made on the server, in words.
    #[serde(default)]
    pub cleaned_up: Vec<String>,
    /// What the run left on the server, in words.
    #[serde(default)]
    pub remains: Vec<String>,
}

/// How many scenarios came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    pub holds: usize,
    pub broken: usize,
    /// Those of the broken that another one explains.
    pub implied: usize,
    pub inconclusive: usize,
    pub not_applicable: usize,
    /// Selected, and something that the target file could supply is missing.
    pub skipped: usize,
    pub not_selected: usize,
    /// Scenarios that hold with a deviation.
    pub deviations: usize,
}

/// The verdict on one entry of the catalogue: that of its worst variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioVerdict {
    pub id: String,
    pub title: String,
    pub verdict: Verdict,
    /// The harm was followed through: the token was shown to work.
    pub confirmed: bool,
    /// What is off about a defense that holds; null: nothing.
    pub deviation: Option<String>,
    pub reason: String,
    pub at_fault: Option<Party>,
    /// The broken entry that explains this one; it is counted there.
    pub implied_by: Option<String>,
    pub severity: Severity,
    /// How strongly it counts in the profile of the run; null: the profile does not ask for it.
    pub level: Option<Level>,
    pub basis: Vec<String>,
    pub harm: String,
    pub fix: String,
    /// False: it was not among those chosen for this run.
    pub selected: bool,
    pub variants: Vec<VariantVerdict>,
}

/// The verdict on one attack, or on one word of its `for_each`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantVerdict {
    /// `scenario/attack`, with `[word]` behind it where there is one.
    pub id: String,
    pub title: String,
    pub verdict: Verdict,
    pub confirmed: bool,
    pub deviation: Option<String>,
    pub reason: String,
    pub at_fault: Option<Party>,
    pub implied_by: Option<String>,
    /// Its harm counts as a deviation of the entry only.
    pub lesser: bool,
    /// What differs from the control, in words.
    pub change: Vec<String>,
    pub expected: String,
    /// Numbers of the two controls in `controls`.
    pub control_before: Option<usize>,
    pub control_after: Option<usize>,
    /// The trials, with their redacted exchanges.
    pub attempts: Vec<Trial>,
    /// The request that made the difference, for a shell; secrets are placeholders.
    pub curl: Option<String>,
}
