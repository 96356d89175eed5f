//! The verdicts and why.

use serde::{Deserialize, Serialize};

/// What could be proved about a defense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The refusal was seen, and the control was granted before and after.
    Holds,
    /// The harm was seen, twice.
    Broken,
    /// Neither was seen, or a control failed.
    Inconclusive,
    /// A document or a control proves that there is nothing to attack.
    NotApplicable,
    /// Something that the target file could supply is missing, or it was not selected.
    Skipped,
}

impl Verdict {
    pub const ALL: &'static [Verdict] = &[Verdict::Broken, Verdict::Inconclusive, Verdict::Holds, Verdict::NotApplicable, Verdict::Skipped];

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Broken => "broken",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NotApplicable => "not_applicable",
            Verdict::Skipped => "skipped",
        }
    }

    /// For a sentence.
    pub fn words(self) -> &'static str {
        if self == Verdict::NotApplicable { "not applicable" } else { self.name() }
    }

    /// Greater is worse: the verdict of several variants is the worst of them.
    pub fn weight(self) -> u8 {
        match self {
            Verdict::Broken => 4,
            Verdict::Inconclusive => 3,
            Verdict::Holds => 2,
            Verdict::NotApplicable => 1,
            Verdict::Skipped => 0,
        }
    }
}

/// Who is to look into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    AuthorizationServer,
    Resource,
    LoginPage,
    /// The network, a proxy, a rate limit.
    Edge,
    /// The target file, or the server's set-up for this test.
    Configuration,
    Grantproof,
}

impl Party {
    pub fn words(self) -> &'static str {
        match self {
            Party::AuthorizationServer => "authorization server",
            Party::Resource => "resource",
            Party::LoginPage => "login page",
            Party::Edge => "network or edge",
            Party::Configuration => "configuration",
            Party::Grantproof => "grantproof",
        }
    }
}

/// What the judge says of one case (one trial with its repetition) or of all cases of an attack together.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// A whole sentence without a full stop.
    pub reason: String,
    /// The harm was followed through: the token was shown to work.
    pub confirmed: bool,
    /// The defense holds and the wording is off.
    pub deviations: Vec<String>,
    pub at_fault: Option<Party>,
}

impl Judgement {
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Judgement { verdict, reason: reason.into(), confirmed: false, deviations: Vec::new(), at_fault: None }
    }

    pub fn fault(self, party: Party) -> Self {
        Judgement { at_fault: Some(party), ..self }
    }
}
