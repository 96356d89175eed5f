//! The report and the recording behind it. One JSON form, versioned; every other format is rendered from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::attempts::Attempts;
use super::finding::{Advertised, Measurement, Probe};
use super::observation::{NegativeControl, Trial};
use super::profile::{Level, Profile, Severity};
use super::verdict::{Party, Verdict};

/// Grows by its minor number when something is added, by its major number when something is removed or changes meaning.
pub const SCHEMA_VERSION: &str = "1.2";

/// What a run saw, without any judgement: `grantproof judge` makes the same report of it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    pub schema_version: String,
    pub run: Run,
    pub target: TargetSummary,
    /// The defenses that the metadata claims: its members, and what they say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
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
    /// SHA-256 over the sources that the program was built from, in hexadecimal. Empty in reports before 1.2.
    #[serde(default)]
    pub source_digest: String,
    /// SHA-256 over scenarios, flows and standards, in hexadecimal.
    pub catalogue_digest: String,
    pub profile: Profile,
    /// Which shard of the selection it is, `1/4`; None: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
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
    /// Where in the target file the target's issuer stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    pub loopback: bool,
    /// Which clients were used: role and client_id.
    pub clients: Vec<(String, String)>,
    pub users: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<crate::target::Permission>,
}

/// A piece of one line of a file; lines and columns count from 1, in characters, and the end is the first column after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub end_column: usize,
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
    pub attempts: Attempts,
    /// What they come to, where they were made by this very process; else it is read off them.
    #[serde(skip)]
    pub account: Option<Account>,
    /// Why it was not run: what the target file lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why it was not run: what the server says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<String>,
    /// For how many seconds it would have waited: longer than the run does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_waited: Option<u64>,
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
    /// What the gate said; None in reports before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateOutcome>,
    /// The earlier report that this one was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What the standards ask for that the catalogue cites, and which scenarios try it. Empty in reports before 1.2.
    #[serde(default)]
    pub standards: Vec<Standard>,
    /// Defenses that the metadata claims, and whether they are enforced, those that are not first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advertised: Vec<Advertised>,
    /// What was measured; no verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// The reports that this one was made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_of: Vec<Origin>,
    /// What shows that nothing was changed since; None in reports before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Integrity>,
}

/// Reports of several targets in one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    pub schema_version: String,
    /// Each as it was, with its own integrity.
    pub reports: Vec<Report>,
    /// A chain over their digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Integrity>,
}

/// What the gate of a run said, and by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateOutcome {
    /// The least severity that fails it; null: nothing does.
    pub fail_on: Option<Severity>,
    /// A broken SHOULD fails it as well.
    pub strict: bool,
    pub allow_inconclusive: bool,
    pub exit_code: u8,
    /// In words: `failed: 2 broken`.
    pub words: String,
    /// Ids of the scenarios that fail it.
    pub failing: Vec<String>,
    /// Ids of the required scenarios that are not decided.
    pub undecided: Vec<String>,
    /// Waivers that nothing needs any more: what they name holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unneeded_waivers: Vec<String>,
}

/// The earlier report that a run was held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The file as it was named.
    pub file: String,
    pub started: String,
    pub version: String,
    pub catalogue_digest: String,
    /// Ids that were broken or undecided there and hold now.
    pub fixed: Vec<String>,
    /// Ids that were decided there and were not run, or not decided, now.
    pub lost: Vec<String>,
}

/// How a finding stands to the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// It was not a finding before.
    New,
    /// It was a finding, and it is more now: broken instead of undecided, confirmed, or with further variants.
    Worse,
    /// As it was.
    Same,
    /// It was worse before.
    Better,
}

impl Since {
    pub fn words(self) -> &'static str {
        match self {
            Since::New => "new",
            Since::Worse => "worse",
            Since::Same => "as before",
            Since::Better => "better",
        }
    }
}

/// A known risk that somebody accepted for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waived {
    /// What the waiver names: a scenario, or one of its variants.
    pub id: String,
    pub reason: String,
    pub owner: String,
    /// The last day, `2027-03-01`.
    pub expires: String,
}

/// A document and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standard {
    /// `RFC9700`.
    pub document: String,
    pub title: String,
    pub link: String,
    pub requirements: Vec<Requirement>,
}

/// A requirement of a standard, and the scenarios that try it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// `RFC9700#2.1.1`.
    pub id: String,
    /// MUST, SHOULD, MAY or another of the document's words.
    pub keyword: String,
    /// What is asked, in our own words.
    pub asks: String,
    pub link: String,
    /// Ids of the scenarios that cite it.
    pub scenarios: Vec<String>,
    /// Why it cannot be seen from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// A report that another one was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    pub file: String,
    pub digest: String,
    /// The key that had signed it, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// What shows that a report was not changed: digests that anybody can make again, and a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// `sha256, RFC 8785`: digests are over canonical JSON.
    pub method: String,
    /// One link for each piece of evidence, each over the one before it and the piece.
    pub chain: Vec<Link>,
    /// Over the report without its evidence and without this and the signature; the chain stands for the evidence.
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// `controls`, `negative_controls`, or the id of a variant.
    pub of: String,
    /// SHA-256 over the link before it, in hexadecimal, and the canonical JSON of the evidence.
    pub sha256: String,
}

/// An Ed25519 signature (RFC 8032).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub algorithm: String,
    /// The 32 bytes of the key, in base64.
    pub public_key: String,
    /// The 64 bytes of the signature, in base64.
    pub signature: String,
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
    /// Findings that somebody accepted for a while.
    #[serde(default)]
    pub waived: usize,
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
    /// `CWE-294`. None in reports before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwe: Option<String>,
    /// How strongly it counts in the profile of the run; null: the profile does not ask for it.
    pub level: Option<Level>,
    pub basis: Vec<String>,
    pub harm: String,
    pub fix: String,
    /// False: it was not among those chosen for this run.
    pub selected: bool,
    /// SHA-256 of what the scenario file says, in hexadecimal: a waiver names it. Empty in reports before 1.2.
    #[serde(default)]
    pub case: String,
    /// What the server does when the defense holds. Empty in reports before 1.2.
    #[serde(default)]
    pub defense: String,
    /// The waiver under which every finding of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
    /// How it stands to the baseline; None: there is none, or it is no finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_baseline: Option<Since>,
    /// It was left out because of a wait alone: for so many seconds, longer than the run waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_waited: Option<u64>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
    /// It was left out: for how many seconds it would have waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_waited: Option<u64>,
    /// It measures: the value that was tried, and whether it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Probe>,
    /// What differs from the control, in words.
    pub change: Vec<String>,
    pub expected: String,
    /// Numbers of the two controls in `controls`.
    pub control_before: Option<usize>,
    pub control_after: Option<usize>,
    /// Requests of its trials; the controls are not counted. 0 in reports before 1.2.
    #[serde(default)]
    pub requests: u64,
    /// Time in which the target had the word in its trials, in microseconds. 0 in reports before 1.2.
    #[serde(default)]
    pub server_micros: u64,
    /// The trials, with their redacted exchanges.
    pub attempts: Attempts,
    /// The request that made the difference, for a shell; secrets are placeholders.
    pub curl: Option<String>,
}
