//! What a report says beside its verdicts: whether the server enforces what its metadata claims, and what was measured.

use serde::{Deserialize, Serialize};

use super::verdict::Verdict;

/// Members of the metadata by which a server claims a defense. A scenario may test them, and a report keeps what they say.
pub const CLAIMS: &[&str] = &[
    "code_challenge_methods_supported",
    "require_pushed_authorization_requests",
    "authorization_response_iss_parameter_supported",
    "require_signed_request_object",
    "dpop_signing_alg_values_supported",
    "tls_client_certificate_bound_access_tokens",
];

/// What a scenario says a member must say to be the claim that it tests: the words of a list in any order, `true`, or `any`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub member: String,
    pub says: String,
}

impl Claim {
    /// Whether this is what the member says.
    pub fn is_made(&self, says: &str) -> bool {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        if self.says == "any" { !says.trim().is_empty() } else { words(says) == words(&self.says) }
    }
}

/// A defense that the metadata claims, and what the attacks on it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advertised {
    /// The member of the metadata and what it says: `code_challenge_methods_supported: S256`.
    pub claim: String,
    pub enforced: Enforced,
    /// The scenarios that test it, those that say no first.
    pub tested_by: Vec<Tested>,
}

/// Whether a claim is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Enforced {
    /// An attack that it should have stopped went through.
    No,
    /// No attack came to a verdict.
    Undecided,
    /// Every attack on it that came to a verdict was refused.
    Yes,
}

impl Enforced {
    pub fn words(self) -> &'static str {
        match self {
            Enforced::No => "not enforced",
            Enforced::Undecided => "not decided",
            Enforced::Yes => "enforced",
        }
    }
}

/// A scenario that tests a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    pub scenario: String,
    pub verdict: Verdict,
    pub reason: String,
}

impl Advertised {
    pub fn new(claim: String, mut tested_by: Vec<Tested>) -> Advertised {
        tested_by.sort_by(|a, b| b.verdict.weight().cmp(&a.verdict.weight()).then_with(|| a.scenario.cmp(&b.scenario)));
        let any = |verdict: Verdict| tested_by.iter().any(|t| t.verdict == verdict);
        let enforced = match () {
            () if any(Verdict::Broken) => Enforced::No,
            // What was tried and not decided leaves it open whether all of it is enforced.
            () if any(Verdict::Holds) && !any(Verdict::Inconclusive) => Enforced::Yes,
            () => Enforced::Undecided,
        };
        Advertised { claim, enforced, tested_by }
    }

    /// In one line: the claim, whether it is enforced, and what showed it.
    pub fn told(&self) -> String {
        let shown = |t: &&Tested| match self.enforced {
            Enforced::No => t.verdict == Verdict::Broken,
            Enforced::Yes => t.verdict == Verdict::Holds,
            Enforced::Undecided => true,
        };
        let why =
            |t: &Tested| if self.enforced == Enforced::Undecided { format!("{}: {}", t.scenario, t.reason) } else { t.scenario.clone() };
        let list: Vec<String> = self.tested_by.iter().filter(shown).map(why).collect();
        format!("{}: {} ({})", self.claim, self.enforced.words(), list.join("; "))
    }
}

/// What a scenario measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    pub name: String,
    pub unit: String,
    /// What is said instead of "taken" and "refused".
    pub words: Option<[String; 2]>,
    /// What the standards advise, in words.
    pub advice: String,
    pub basis: Vec<String>,
    pub by: MeasuredBy,
}

/// Where the number comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeasuredBy {
    /// A field that the control was given: what the server states.
    Field { step: String, field: String },
    /// The attack with this id, each of whose words is a number: which ones are taken, and which are refused.
    Attack(String),
}

impl std::fmt::Display for MeasuredBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MeasuredBy::Field { step, field } => write!(f, "as {step}.{field} states"),
            MeasuredBy::Attack(attack) => write!(f, "by {attack}, which gives no verdict"),
        }
    }
}

/// A number that was measured; no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    pub name: String,
    pub unit: String,
    /// What the server states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<i64>,
    /// The greatest value that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<i64>,
    /// The least value that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<i64>,
    /// What is said instead of "taken" and "refused".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<[String; 2]>,
    /// What the standards advise.
    pub advice: String,
    /// Ids of requirements.
    pub basis: Vec<String>,
    /// The scenario, and the variants with the requests that measured it.
    pub scenario: String,
    pub variants: Vec<String>,
}

impl Measurement {
    /// The number in words: `300 s as stated`, `taken at 60 s, refused at 120 s`.
    pub fn value(&self) -> String {
        let unit = &self.unit;
        let (taken, refused) = self.words.as_ref().map_or(("taken", "refused"), |[taken, refused]| (taken, refused));
        let parts = [
            self.stated.map(|n| format!("{n} {unit} as stated")),
            self.taken.map(|n| format!("{taken} at {n} {unit}")),
            self.refused.map(|n| format!("{refused} at {n} {unit}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// One value that was tried for a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    pub value: i64,
    /// None: neither was seen.
    pub taken: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_what_the_member_says_whole() {
        let claim = |says: &str| Claim { member: "m".into(), says: says.into() };
        assert!(claim("S256").is_made("S256") && !claim("S256").is_made("plain S256") && !claim("S256").is_made(""));
        assert!(claim("true").is_made("true") && !claim("true").is_made("false"));
        assert!(claim("any").is_made("ES256 RS256") && !claim("any").is_made(""));
    }

    #[test]
    fn what_is_broken_or_undecided_decides() {
        let tested = |verdict| Tested { scenario: format!("a/{verdict:?}"), verdict, reason: "why".into() };
        let of = |list: &[Verdict]| Advertised::new("c".into(), list.iter().copied().map(tested).collect()).enforced;
        assert_eq!(of(&[Verdict::Holds, Verdict::Broken]), Enforced::No);
        assert_eq!(of(&[Verdict::Holds, Verdict::NotApplicable]), Enforced::Yes);
        assert_eq!(of(&[Verdict::Holds, Verdict::Inconclusive]), Enforced::Undecided);
        assert_eq!(of(&[Verdict::NotApplicable, Verdict::Skipped]), Enforced::Undecided);
    }
}
