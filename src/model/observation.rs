//! What was seen: the outcome of each step of a trial, its fields, and the redacted exchanges behind them.
//!
//! Observations are what the engine yields and all that the judge sees. They serialise, so that a recording can be
//! judged again without a network. Secrets never stand in them: a secret is replaced by its kind and a short hash when
//! the observation is made, equal secrets by equal marks, so that every predicate still decides the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::step::StepKind;

/// What a step came to. Only the first three can satisfy a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A code or a token was given.
    Issued,
    /// A token was taken, an endpoint did what was asked.
    Accepted,
    /// The protocol's refusal: an OAuth error, a 4xx, an error page that never redirects, `active: false`.
    Refused,
    /// 5xx, a reset connection, a message that is no HTTP.
    Crashed,
    /// 429, or 503 with Retry-After.
    Throttled,
    TimedOut,
    /// The login page came back.
    Stuck,
    /// A redirect to a place that is neither the server nor the callback.
    Strayed,
    /// An answer that is none of the others.
    Unclear,
    /// A value that it needs never came.
    NotSent,
    /// There is no such value at this target: a published key of another type has no such encoding.
    Impossible,
    /// No connection: refused, unknown host, TLS.
    Unreachable,
}

impl Outcome {
    pub const ALL: &'static [Outcome] = &[
        Outcome::Issued,
        Outcome::Accepted,
        Outcome::Refused,
        Outcome::Crashed,
        Outcome::Throttled,
        Outcome::TimedOut,
        Outcome::Stuck,
        Outcome::Strayed,
        Outcome::Unclear,
        Outcome::NotSent,
        Outcome::Impossible,
        Outcome::Unreachable,
    ];

    /// In a sentence: "redeem was …".
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Issued => "issued",
            Outcome::Accepted => "accepted",
            Outcome::Refused => "refused",
            Outcome::Crashed => "crashed",
            Outcome::Throttled => "throttled",
            Outcome::TimedOut => "timed out",
            Outcome::Stuck => "stuck at the login",
            Outcome::Strayed => "strayed to another place",
            Outcome::Unclear => "answered unclearly",
            Outcome::NotSent => "not sent",
            Outcome::Impossible => "not possible here",
            Outcome::Unreachable => "unreachable",
        }
    }

    /// The server's positive answer for this kind of step.
    pub fn granted(self) -> bool {
        matches!(self, Outcome::Issued | Outcome::Accepted)
    }

    /// An answer of the protocol, on which fields may be read.
    pub fn answered(self) -> bool {
        matches!(self, Outcome::Issued | Outcome::Accepted | Outcome::Refused | Outcome::Strayed)
    }
}

/// The error of a place that has taken a token for genuine, and finds no more amiss than what it may be used for (RFC 6750 §3.1).
pub const INSUFFICIENT_SCOPE: &str = "insufficient_scope";

/// One HTTP request and its answer, redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub method: String,
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_body: String,
    /// The TLS certificate that the connection showed; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateSeen>,
    /// 0: no answer came.
    pub status: u16,
    pub response_headers: Vec<(String, String)>,
    /// Cut after some kilobytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response_body: String,
    /// What went wrong when no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Time between the last byte out and the whole answer, in microseconds.
    pub server_micros: u64,
}

/// Whose TLS certificate a connection showed, by client id (RFC 8705).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSeen {
    /// That of a client of the target file.
    Of(String),
    /// A self-signed one with the subject of that client's, and another key.
    Like(String),
}

/// One step of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepObservation {
    /// The step's name with its session.
    pub step: String,
    pub kind: StepKind,
    pub outcome: Outcome,
    /// What the answer carried; see [`StepKind::fields`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// What was sent, parameter by parameter (the last value where one is sent twice).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sent: BTreeMap<String, String>,
    /// What explains the outcome, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The shape of the last answer: status, media type, error code, outline of the page. Two refusals of one endpoint
    /// have the same shape.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shape: String,
    /// The pause before the step, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_millis: u64,
    /// The pause took no time: the clock of the embedded lab was moved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_moved: bool,
    /// What was wrong with the delivery of the change, read from the recorded bytes; None: it went out as planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
}

impl StepObservation {
    /// It was sent, and cut off or left without an answer.
    pub fn is_unanswered(&self) -> bool {
        let is_cut = || self.exchanges.iter().any(|exchange| exchange.status == 0 && exchange.error.is_some());
        self.outcome == Outcome::TimedOut || self.outcome == Outcome::Crashed && is_cut()
    }

    /// A step that came to this, and of which nothing else is known.
    pub fn new(step: impl Into<String>, kind: StepKind, outcome: Outcome) -> StepObservation {
        StepObservation {
            step: step.into(),
            kind,
            outcome,
            fields: BTreeMap::new(),
            sent: BTreeMap::new(),
            note: String::new(),
            shape: String::new(),
            waited_millis: 0,
            clock_moved: false,
            undelivered: None,
            exchanges: Vec::new(),
        }
    }

    /// The time that the pause before it took, in microseconds.
    pub fn slept_micros(&self) -> u64 {
        if self.clock_moved { 0 } else { self.waited_millis.saturating_mul(1000) }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn no_facts(facts: &BTreeMap<String, String>) -> bool {
    facts.is_empty()
}

/// One run of a flow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Names the trial in the report: `control 3 before`, `attack pkce/wrong-verifier/random 1`.
    pub name: String,
    pub steps: Vec<StepObservation>,
    /// Facts of target, client and user that predicates may name, without secrets.
    #[serde(default, skip_serializing_if = "no_facts")]
    pub facts: Arc<BTreeMap<String, String>>,
    /// The variables of the flow as drawn for this trial, redacted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The token that the attacker walked away with, shown at the proof endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Box<StepObservation>>,
}

impl Trial {
    pub fn step(&self, name: &str) -> Option<&StepObservation> {
        self.steps.iter().find(|s| s.step == name)
    }

    /// The server said "too many requests": the trial shows nothing of any defense.
    pub fn is_throttled(&self) -> bool {
        self.steps.iter().any(|s| s.outcome == Outcome::Throttled)
    }

    /// No answer came to a step. That may be chance (a server closes what was idle, a packet is lost), and the attack's doing only where it
    /// comes again.
    pub fn is_unanswered(&self) -> bool {
        self.steps.iter().any(StepObservation::is_unanswered)
    }

    /// Every exchange with the name of its step, in order, the proof last.
    pub fn exchanges(&self) -> impl Iterator<Item = (&StepObservation, &Exchange)> {
        self.steps.iter().chain(self.proof.as_deref()).flat_map(|step| step.exchanges.iter().map(move |exchange| (step, exchange)))
    }

    /// Time in which the target had the word, in microseconds.
    pub fn server_micros(&self) -> u64 {
        self.exchanges().fold(0, |sum, (_, exchange)| sum.saturating_add(exchange.server_micros))
    }

    /// How many requests it took.
    pub fn requests(&self) -> usize {
        self.steps.iter().map(|s| s.exchanges.len()).sum::<usize>() + self.proof.iter().map(|p| p.exchanges.len()).sum::<usize>()
    }
}

/// What an endpoint answers to a request that no server may grant: the shape of this server's refusal, and whether the
/// endpoint refuses at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NegativeControl {
    /// `authorization_request`, `token_request`, …: the kind of step that it speaks for.
    pub kind: StepKind,
    /// What was blatantly wrong: "a made-up code", "no token".
    pub what: String,
    pub answer: StepObservation,
    /// Login and consent were seen as forms in the run, and none of their pages looks like this answer: whatever looks like it is a refusal,
    /// although scripts run on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leads_nowhere: bool,
}
