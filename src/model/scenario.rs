//! A scenario: a control flow that must be granted, and attacks that are the same flow with a named change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::authentication::{Authentication, ShownCertificate};
use super::bend::{Carried, Proof};
use super::conduct::Conduct;
use super::finding::{Claim, Measure};
use super::predicate::{Condition, Predicate};
use super::profile::{Level, Profile, Severity};
use super::step::{ClientRole, Place, PlannedStep, UserRole};
use super::value::{Template, Value};

/// How much a scenario asks of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// The load of a login.
    #[default]
    Safe,
    /// Many requests.
    Noisy,
    /// May lock an account, end sessions, revoke grants or leave clients behind.
    Destructive,
}

impl Risk {
    pub fn name(self) -> &'static str {
        match self {
            Risk::Safe => "safe",
            Risk::Noisy => "noisy",
            Risk::Destructive => "destructive",
        }
    }
}

/// One entry of the catalogue, loaded and checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// `group/name`: the path under `scenarios/`.
    pub id: String,
    pub title: String,
    /// What the server does when the defense holds.
    pub defense: String,
    pub severity: Severity,
    pub cwe: Option<String>,
    /// Ids of requirements (`RFC9700#2.1.1`) in `standards/`.
    pub basis: Vec<String>,
    /// How strongly it counts, per profile; a profile that is missing does not ask for it.
    pub level: Vec<(Profile, Level)>,
    pub harm: String,
    pub fix: String,
    pub risk: Risk,
    /// The attack provokes the server into revoking sessions or grants: it never runs beside another trial.
    pub disturbs: bool,
    pub card: bool,
    pub applies_when: Vec<Applicability>,
    pub control: Control,
    pub attacks: Vec<Attack>,
    /// The claims of the metadata that its verdict confirms or refutes.
    pub claimed_by: Vec<Claim>,
    pub measures: Vec<Measure>,
    /// The file it was read from, for messages.
    pub file: String,
    /// SHA-256 of what the file says, in hexadecimal.
    pub digest: String,
}

impl Scenario {
    /// `pkce` of `pkce/plain-method`.
    pub fn group(&self) -> &str {
        self.id.split('/').next().unwrap_or("")
    }

    pub fn level_in(&self, profile: Profile) -> Option<Level> {
        self.level.iter().find(|(p, _)| *p == profile).map(|(_, level)| *level)
    }
}

/// A condition of applicability and the sentence that is the reason when it is false.
#[derive(Debug, Clone)]
pub struct Applicability {
    pub predicate: Predicate,
    pub otherwise: String,
}

/// The flow that must be granted, ready to be driven.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    pub flow: String,
    /// Variables drawn anew in each trial, by absolute name (`verifier`, `attacker.verifier`).
    pub variables: Vec<(String, Template)>,
    /// Steps in order, the control's own change applied.
    pub steps: Vec<Arc<PlannedStep>>,
    /// Names of the steps that the control's own change bends: a server that refuses them has not failed the set-up.
    pub bent: Vec<String>,
    /// Where it stands for several controls, the names of the steps of each.
    pub parts: Vec<Vec<String>>,
}

impl Control {
    /// Whether nobody needs a step any more, since each of its parts that has the step has failed in the same browser before it. A probe may fail.
    pub fn is_in_vain(&self, step: &PlannedStep, failed: impl Fn(&str) -> bool) -> bool {
        let fails = |name: &str| PlannedStep::session_of(name) == step.session && failed(name);
        if self.parts.is_empty() {
            return self.steps.iter().take_while(|earlier| earlier.name != step.name).any(|earlier| fails(&earlier.name));
        }
        let mut parts = self.parts.iter().filter(|part| part.contains(&step.name));
        parts.all(|part| part.iter().take_while(|earlier| **earlier != step.name).any(|earlier| fails(earlier)))
    }

    /// Whether one of the controls that it stands for has both steps.
    pub fn has_together(&self, one: &str, other: &str) -> bool {
        let has = |part: &Vec<String>, name: &str| part.iter().any(|step| step == name);
        self.parts.is_empty() || self.parts.iter().any(|part| has(part, one) && has(part, other))
    }

    /// The same control with another client in the default session; steps that have a client of their own keep it.
    pub fn as_client(&self, client: Option<ClientRole>) -> Control {
        let mut control = self.clone();
        if let Some(client) = client {
            let own = |s: &&mut Arc<PlannedStep>| s.session.is_empty() && ![client, ClientRole::Introspection].contains(&s.client);
            control.steps.iter_mut().filter(own).for_each(|s| Arc::make_mut(s).client = client);
        }
        control
    }
}

/// What a case is called: `pkce/wrong-verifier/random`, and `[word]` behind it where there is one.
pub fn case_name(scenario: &str, attack: &str, word: Option<&str>) -> String {
    let word = word.map(|word| format!("[{word}]")).unwrap_or_default();
    format!("{scenario}/{attack}{word}")
}

/// A variant of the scenario's attack.
#[derive(Debug, Clone)]
pub struct Attack {
    /// Unique within the scenario.
    pub id: String,
    pub title: String,
    pub applies_when: Vec<Applicability>,
    /// The variable and its words; each word is a case of its own.
    pub for_each: Option<(String, Vec<String>)>,
    /// Control and attack run as this client in the default session.
    pub client: Option<ClientRole>,
    /// What the attacker sends and all that he may know; None: nobody attacks, the server's own duty is looked at.
    pub attacker: Option<Attacker>,
    pub change: Vec<(String, Vec<Operation>)>,
    pub holds: Condition,
    pub broken: Condition,
    /// There was nothing to attack after all.
    pub moot: Option<Condition>,
    /// The field with the token that the attacker walks away with, shown at the proof endpoint to confirm the harm.
    pub takes: Option<(String, String)>,
    /// The pause before the repetition that confirms the harm: a grace window is no hole.
    pub confirm_after: Option<Template>,
    /// `scenario` or `scenario/attack`: where that one is broken, this one is filed under it.
    pub implied_by: Vec<String>,
    /// Flaws of the lab that make it `broken`.
    pub proved_by: Vec<String>,
    /// Why no flaw of the lab proves it.
    pub unproved: Option<String>,
    /// Its harm is a deviation of the entry, not the entry's verdict.
    pub lesser: bool,
    /// The attack is itself the request that no server may grant.
    pub negative_control: bool,
    /// It measures: what it shows is a number, and no verdict.
    pub measures: bool,
}

impl Attack {
    /// It sends identical requests at the same moment: what it shows is a matter of chance, and bursts are counted.
    pub fn is_race(&self) -> bool {
        self.change.iter().flat_map(|(_, operations)| operations).any(|o| matches!(o, Operation::Burst(_)))
    }
}

#[derive(Debug, Clone, Default)]
pub struct Attacker {
    pub does: Vec<String>,
    /// References as written: `authorize.code`, `authorize.sent`, `redeem.refresh_token`.
    pub has: Vec<String>,
}

/// One line of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// The control does not send it.
    Set(String, Value),
    /// The control sends it.
    Replace(String, Value),
    /// The control sends it.
    Remove(String),
    /// The control does not send it; where the target file adds it, it is left out.
    Omit(String),
    /// Sent twice, the control's value first.
    Duplicate(String, Value),
    /// Sent twice, the control's value last.
    DuplicateBefore(String, Value),
    Move(String, Place),
    Method(String),
    ContentType(String),
    PathSuffix(String),
    Unencoded(String),
    Authenticate(Authentication),
    /// The TLS certificate of the connection.
    Certificate(ShownCertificate),
    /// The DPoP proof of the request.
    Proof(Proof),
    /// How an authorization request travels.
    Carried(Carried),
    /// Acts as another client.
    As(ClientRole),
    /// Logs in another user.
    User(UserRole),
    /// The step runs in a browser in which nobody is logged in.
    LoggedOut,
    /// With the cookies that the browser had before its last login.
    BeforeLogin,
    /// How the browser is led.
    Browser(Box<Conduct>),
    /// The cookies of a session's browser go out with the request.
    CookiesOf(String),
    /// The same request once more, right after, under this name.
    Repeat(String),
    Skip,
    Wait(Template),
    /// That many identical requests, released at the same moment.
    Burst(u32),
    /// Once for each line of this parameter's value, one after the other.
    Each(String),
}
