//! Predicates over observations. A predicate on a step is false unless the step was answered by the protocol: nothing
//! holds because a page crashed.

use crate::model::account::Truth;
use crate::model::observation::{NegativeControl, Outcome, StepObservation, Trial};
use crate::model::predicate::{Predicate, Test, Word};
use crate::model::step::StepKind;
use crate::model::value::{Expression, Part, Reference, Template};

/// What a predicate is asked about.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub trial: &'a Trial,
    /// The control that was granted before (for `control.…`).
    pub control: Option<&'a Trial>,
    pub negatives: &'a [NegativeControl],
}

impl<'a> View<'a> {
    /// None: the predicate is false.
    pub fn holds(&self, predicate: &Predicate) -> Option<Truth> {
        match predicate {
            Predicate::Outcome { step, word, error } => self.outcome(step, *word, error),
            Predicate::Field { subject, test } => self.field(subject, test),
        }
    }

    pub(super) fn step(&self, name: &str) -> Option<&'a StepObservation> {
        match name.strip_prefix("control.") {
            Some(name) => self.control?.step(name),
            None => self.trial.step(name),
        }
    }

    fn outcome(&self, name: &str, word: Word, errors: &[String]) -> Option<Truth> {
        let step = self.step(name)?;
        let direct = matches!(
            (word, step.outcome),
            (Word::Issued, Outcome::Issued) | (Word::Accepted, Outcome::Accepted) | (Word::Refused, Outcome::Refused)
        );
        let learned = if word == Word::Refused { self.learned(step) } else { None };
        let astray = word == Word::Refused && refused_astray(step);
        if !direct && learned.is_none() && !astray {
            return None;
        }
        let note = if step.note.is_empty() { String::new() } else { format!(" ({})", step.note) };
        let mut truth = Truth { seen: format!("{name} was {}{note}", word.name()), deviations: Vec::new() };
        if astray {
            let to = step.fields.get("location").map(|l| l.split('?').next().unwrap_or(l)).unwrap_or_default();
            truth.seen = format!("{name} was refused, with an error that was sent to {to}{note}");
            truth.deviations.push(format!("{name}: the error went to an address that is not registered"));
        } else if let Some(negative) = learned {
            truth.seen = format!("{name} was answered as this server answers {}{note}", negative.what);
            truth
                .deviations
                .push(format!("{name}: the refusal is no OAuth error, but the answer that this server gives to {}", negative.what));
        } else {
            if !errors.is_empty() {
                truth.deviations.extend(wording(name, step, errors));
            }
            if word == Word::Refused
                && let Some(status) = step.fields.get("status").filter(|s| s.starts_with('5'))
            {
                truth.deviations.push(format!("{name}: the refusal comes with the status {status}"));
            }
        }
        Some(truth)
    }

    /// The shape of this server's refusal, learnt from a request that no server may grant (a crash of that very shape is
    /// how it refuses).
    pub(super) fn learned(&self, step: &StepObservation) -> Option<&'a NegativeControl> {
        let strange = matches!(step.outcome, Outcome::Crashed | Outcome::Unclear) && !step.shape.is_empty();
        // A page that a script fills in looks the same whatever it says, unless those on the way to the client are known to look otherwise.
        let learnable = |n: &NegativeControl| strange && (n.leads_nowhere || !step.shape.contains("script"));
        // How a client is refused that asks for a token of its own says nothing of a crash where a user's token is due.
        let is_own = |s: &StepObservation| s.sent.get("grant_type").is_some_and(|grant| grant == "client_credentials");
        let alike = |n: &NegativeControl| n.kind == step.kind && n.answer.shape == step.shape && (!is_own(&n.answer) || is_own(step));
        self.negatives.iter().find(|n| learnable(n) && alike(n) && !n.answer.outcome.granted())
    }

    fn field(&self, subject: &Reference, test: &Test) -> Option<Truth> {
        let value = match subject {
            Reference::Field { step, .. } => {
                let step = self.step(step)?;
                if !step.outcome.answered() && self.learned(step).is_none() {
                    return None;
                }
                self.lookup(subject)
            }
            Reference::ControlField { step, .. } => {
                if !self.control?.step(step)?.outcome.answered() {
                    return None;
                }
                self.lookup(subject)
            }
            Reference::Sent { step, .. } => {
                self.step(step)?;
                self.lookup(subject)
            }
            _ => self.lookup(subject),
        };
        let text = |template: &Template| self.template(template);
        let words = |value: &str| -> Vec<String> { value.split([' ', ',']).filter(|w| !w.is_empty()).map(str::to_owned).collect() };
        let number = || value.as_deref().and_then(|v| v.parse::<u64>().ok());
        let is_true = match test {
            Test::Present => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Equals(t) => value.is_some() && value == text(t),
            Test::Differs(t) => text(t).is_some_and(|t| value.as_deref() != Some(t.as_str())),
            Test::Contains(t) => value.as_deref().zip(text(t)).is_some_and(|(v, t)| !t.is_empty() && v.contains(&t)),
            Test::Lacks(t) => text(t).is_some_and(|t| !t.is_empty() && !value.as_deref().unwrap_or("").contains(&t)),
            Test::Includes(t) => value.as_deref().zip(text(t)).is_some_and(|(v, t)| words(v).iter().any(|w| w.eq_ignore_ascii_case(&t))),
            Test::Excludes(t) => text(t).is_some_and(|t| !words(value.as_deref().unwrap_or("")).iter().any(|w| w.eq_ignore_ascii_case(&t))),
            Test::MoreThan(n) => number().is_some_and(|v| v > *n),
            Test::AtMost(n) => number().is_some_and(|v| v <= *n),
        };
        let shown = value.as_deref().map_or_else(|| "absent".to_owned(), shown);
        // A burst that is counted says what else came.
        let counted = |name: &str| match subject {
            Reference::Field { step, field } if matches!(field.as_str(), "winners" | "granted_answers") => {
                self.step(step).and_then(|s| s.fields.get(name))
            }
            _ => None,
        };
        let crashed = counted("crashed_answers").map(|n| format!("{n} of the simultaneous requests were answered by a server error"));
        let revoked =
            counted("revoked_answers").map(|n| format!("{n} of the simultaneous requests were given tokens, which were revoked at once"));
        let odd = counted("odd_refusals")
            .map(|n| format!("{n} of the requests were refused with no OAuth error, but as this server answers what never existed"));
        let deviations = crashed.into_iter().chain(revoked).chain(odd).collect();
        is_true.then(|| Truth { seen: format!("{subject} is {shown}"), deviations })
    }

    fn lookup(&self, reference: &Reference) -> Option<String> {
        let found = match reference {
            Reference::Field { step, field } => self.trial.step(step)?.fields.get(field),
            Reference::Sent { step, parameter } => self.trial.step(step)?.sent.get(parameter),
            Reference::ControlField { step, field } => self.control?.step(step)?.fields.get(field),
            Reference::Variable(name) => self.trial.variables.get(name),
            Reference::Target(fact) => self.trial.facts.get(&format!("target.{fact}")),
            Reference::Client(fact) => self.trial.facts.get(&format!("client.{fact}")),
            Reference::User(_) => None,
        };
        found.cloned()
    }

    fn template(&self, template: &Template) -> Option<String> {
        let mut text = String::new();
        for part in &template.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression(Expression::Text(literal)) => text.push_str(literal),
                Part::Expression(Expression::Reference(reference)) => text.push_str(&self.lookup(reference)?),
                Part::Expression(Expression::Call(..)) => return None,
            }
        }
        Some(text)
    }
}

/// An error, and nothing else, at an address that is not the registered one: whatever that address gets, it is no code and no
/// token. That it gets anything at all is what redirect-uri/error-open-redirect is about.
fn refused_astray(step: &StepObservation) -> bool {
    let has = |name: &str| step.fields.contains_key(name);
    step.outcome == Outcome::Strayed && has("error") && !["code", "access_token", "id_token"].into_iter().any(has)
}

/// A value in a sentence: of a list with a line for each, the first one and how many more there are.
fn shown(value: &str) -> String {
    match value.split_once('\n') {
        Some((first, rest)) => format!("`{}` and {} more", crop(first), rest.lines().count()),
        None => format!("`{}`", crop(value)),
    }
}

fn crop(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { format!("{}…", text.chars().take(80).collect::<String>()) }
}

/// A refusal whose wording is off: another error code, none, or another status than RFC 6749 §5.2 has.
fn wording(name: &str, step: &StepObservation, errors: &[String]) -> Vec<String> {
    let mut deviations = Vec::new();
    match step.fields.get("error") {
        Some(error) if errors.iter().any(|e| e == error) => {}
        Some(error) => deviations.push(format!("{name}: the error is `{error}`; {} is expected", quoted(errors))),
        None if is_inactive(step) => {}
        None => deviations.push(format!("{name}: refused without an error code; {} is expected", quoted(errors))),
    }
    let status = step.fields.get("status").map(String::as_str);
    if step.kind == StepKind::TokenRequest && !matches!(status, Some("400" | "401")) {
        deviations.push(format!("{name}: the status is {}; 400 or 401 is expected (RFC 6749 §5.2)", status.unwrap_or("unknown")));
    }
    deviations
}

/// Whether introspection says that a token is not active, for which it has no error code (RFC 7662 §2.2).
fn is_inactive(step: &StepObservation) -> bool {
    let is_there = step.kind == StepKind::IntrospectionRequest || step.fields.get("endpoint").is_some_and(|place| place == "introspection");
    is_there && step.outcome == Outcome::Refused && step.fields.get("status").is_some_and(|status| status.starts_with('2'))
}

fn quoted(errors: &[String]) -> String {
    errors.iter().map(|e| format!("`{e}`")).collect::<Vec<_>>().join(" or ")
}
