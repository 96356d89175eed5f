//! The rules that make an attack a proof: nothing is used before it was sent, the attacker uses only what he has, and
//! "holds" and "broken" can never be true together.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::Diagnostics;
use crate::model::predicate::{Predicate, Test, Word, conjunction};
use crate::model::scenario::{Attack, Control};
use crate::model::step::{PlannedStep, StepKind};
use crate::model::value::Reference;

use super::change::attack_steps;
use super::file::AttackFile;

/// Checks one attack whose names are resolved already.
pub fn attack(file: &AttackFile, attack: &Attack, control: &Control, found: &mut Diagnostics) {
    let Ok(steps) = attack_steps(control, attack, None) else {
        return;
    };
    order(file, &steps, found);
    knowledge(file, attack, &steps, found);
    loop_variable(file, attack, &steps, found);
    absence(file, attack, found);
    contradiction(file, attack, &steps, found);
    for (what, condition) in [("holds", &attack.holds), ("broken", &attack.broken)] {
        for step in condition.predicates().filter_map(named_step) {
            if !steps.iter().any(|s| s.name == step) {
                found.at(&file.id, format!("{what}_if asks for the step `{step}`, which the attack leaves out"), None);
            }
        }
    }
}

fn named_step(predicate: &Predicate) -> Option<&str> {
    match predicate {
        Predicate::Outcome { step, .. } | Predicate::Field { subject: Reference::Field { step, .. }, .. } => Some(step),
        Predicate::Field { .. } => None,
    }
}

fn step_of(reference: &Reference) -> Option<&str> {
    match reference {
        Reference::Field { step, .. } | Reference::Sent { step, .. } => Some(step),
        _ => None,
    }
}

/// A value must come from a step that runs earlier.
fn order(file: &AttackFile, steps: &[Arc<PlannedStep>], found: &mut Diagnostics) {
    for (index, step) in steps.iter().enumerate() {
        let mut waits = Vec::new();
        step.wait.iter().for_each(|wait| wait.references(&mut waits));
        for reference in step.references().into_iter().chain(waits) {
            let Some(source) = step_of(reference) else {
                continue;
            };
            if !steps[..index].iter().any(|s| s.name == source) {
                found.at(
                    &file.id,
                    format!("the step `{}` uses `{reference}`, and `{source}` is not sent before it", step.name),
                    Some("skip the step as well, or replace the value".into()),
                );
            }
        }
    }
}

/// The attacker uses nothing but what he has, public facts and fresh values: this is what makes `harm` a proof.
fn knowledge(file: &AttackFile, attack: &Attack, steps: &[Arc<PlannedStep>], found: &mut Diagnostics) {
    let (Some(attacker), Some(attacker_file)) = (&attack.attacker, &file.attacker) else {
        return;
    };
    for (does, place) in attacker.does.iter().zip(&attacker_file.does) {
        let Some(step) = steps.iter().find(|s| s.name == *does) else {
            found.at(
                place,
                format!("the attack has no step `{does}`"),
                crate::diagnostic::suggestion(does, steps.iter().map(|s| s.name.as_str())),
            );
            continue;
        };
        for reference in step.references() {
            let text = reference.to_string();
            let public = match reference {
                Reference::Target(_) => true,
                Reference::Client(fact) => fact != "secret",
                Reference::Variable(name) => attack.for_each.as_ref().is_some_and(|(each, _)| each == name),
                _ => false,
            };
            let own = step_of(reference).is_some_and(|s| attacker.does.iter().any(|d| d == s));
            // A repetition names what the first request sent: he who sends it again must hold those values.
            let held = attacker.has.iter().any(|has| text == *has || text.starts_with(&format!("{has}.")));
            let repeated = step.added && step_of(reference).is_some() && !attacker.has.is_empty();
            if !(public || own || held || repeated) {
                found.at(
                    place,
                    format!("the attacker sends `{does}` with `${{{text}}}`, which he does not have"),
                    Some(format!("he has: {}; use one of these, a public fact or a fresh value", attacker.has.join(", "))),
                );
            }
        }
    }
}

/// The words of `for_each` must matter.
fn loop_variable(file: &AttackFile, attack: &Attack, steps: &[Arc<PlannedStep>], found: &mut Diagnostics) {
    let Some((variable, _)) = &attack.for_each else {
        return;
    };
    let rounds = steps.iter().any(|s| s.burst.is_some());
    let names = |references: &[&Reference]| references.iter().any(|r| matches!(r, Reference::Variable(name) if name == variable));
    let used = steps.iter().any(|step| {
        let mut waits = Vec::new();
        step.wait.iter().for_each(|wait| wait.references(&mut waits));
        names(&step.references()) || names(&waits)
    });
    if !used && !rounds {
        found.at(
            &file.id,
            format!("`for_each` has `{variable}`, and nothing uses it"),
            Some(format!("write `${{{variable}}}` in a value")),
        );
    }
}

/// A field that differs, lacks or excludes something is also one that never came: what else the alternative says of the same step tells that it did.
fn absence(file: &AttackFile, attack: &Attack, found: &mut Diagnostics) {
    let negative = |test: &Test| matches!(test, Test::Differs(_) | Test::Lacks(_) | Test::Excludes(_));
    for list in attack.holds.alternatives().iter().chain(attack.broken.alternatives()) {
        for predicate in list {
            let Predicate::Field { subject: Reference::Field { step, .. }, test } = predicate else { continue };
            let says_more = |other: &Predicate| match other {
                Predicate::Outcome { step: other, .. } => other == step,
                Predicate::Field { subject: Reference::Field { step: other, .. }, test } => {
                    other == step && !negative(test) && *test != Test::Absent
                }
                Predicate::Field { .. } => false,
            };
            if negative(test) && !list.iter().any(says_more) {
                found.at(
                    &file.id,
                    format!("`{predicate}` is true too where `{step}` came to something else altogether"),
                    Some(format!("say what it came to as well: `{step}: issued`, or that a field of it is `present`")),
                );
            }
        }
    }
}

/// No observation may satisfy "holds" and "broken" at once: each alternative of the one excludes each of the other.
fn contradiction(file: &AttackFile, attack: &Attack, steps: &[Arc<PlannedStep>], found: &mut Diagnostics) {
    for holds in attack.holds.alternatives() {
        for broken in attack.broken.alternatives() {
            let exclusive = holds.iter().any(|h| broken.iter().any(|b| excludes(h, b, steps)));
            if !exclusive {
                found.at(
                    &file.id,
                    format!("`{}` (holds) and `{}` (broken) can be true together", conjunction(holds), conjunction(broken)),
                    Some("add a predicate to one of them that the other excludes".into()),
                );
            }
        }
    }
}

fn excludes(one: &Predicate, other: &Predicate, steps: &[Arc<PlannedStep>]) -> bool {
    excludes_one_way(one, other, steps) || excludes_one_way(other, one, steps)
}

fn excludes_one_way(one: &Predicate, other: &Predicate, steps: &[Arc<PlannedStep>]) -> bool {
    match (one, other) {
        (Predicate::Outcome { step: a, word: x, .. }, Predicate::Outcome { step: b, word: y, .. }) => {
            if a == b {
                return (*x == Word::Refused) != (*y == Word::Refused);
            }
            // What needs the answer of a refused step is never sent.
            *x == Word::Refused && needs(b, a, steps, &mut BTreeSet::new())
        }
        (
            Predicate::Outcome { step, word: Word::Refused, .. },
            Predicate::Field { subject: Reference::Field { step: other, field }, test },
        ) => {
            let never_absent = !matches!(test, Test::Absent | Test::Differs(_) | Test::Lacks(_) | Test::Excludes(_));
            if step == other {
                // A refused authorization request delivers nothing; a refused token request gives no token.
                let given = [
                    "code",
                    "access_token",
                    "refresh_token",
                    "id_token",
                    "delivered_to",
                    "location",
                    "winners",
                    "other_access_token",
                    "other_refresh_token",
                ];
                let kind = steps.iter().find(|s| s.name == *step).map(|s| s.kind);
                never_absent
                    && given.contains(&field.as_str())
                    && !(kind == Some(StepKind::AuthorizationRequest) && matches!(field.as_str(), "delivered_to" | "location"))
            } else {
                needs(other, step, steps, &mut BTreeSet::new())
            }
        }
        (Predicate::Field { subject: a, test: x }, Predicate::Field { subject: b, test: y }) if a == b => tests_exclude(x, y),
        _ => false,
    }
}

fn tests_exclude(one: &Test, other: &Test) -> bool {
    match (one, other) {
        (Test::Absent, y) => !matches!(y, Test::Absent | Test::Lacks(_) | Test::Excludes(_) | Test::Differs(_)),
        (Test::Equals(a), Test::Differs(b)) | (Test::Contains(a), Test::Lacks(b)) | (Test::Includes(a), Test::Excludes(b)) => a == b,
        (Test::Equals(a), Test::Equals(b)) => a.as_literal().zip(b.as_literal()).is_some_and(|(a, b)| a != b),
        (Test::AtMost(a), Test::MoreThan(b)) => a <= b,
        _ => false,
    }
}

/// Whether a step can be sent only after the other was granted.
fn needs(step: &str, other: &str, steps: &[Arc<PlannedStep>], seen: &mut BTreeSet<String>) -> bool {
    if !seen.insert(step.to_owned()) {
        return false;
    }
    let Some(planned) = steps.iter().find(|s| s.name == step) else {
        return false;
    };
    planned.references().iter().any(|reference| match reference {
        Reference::Field { step: source, .. } => source == other || needs(source, other, steps, seen),
        Reference::Sent { step: source, .. } => needs(source, other, steps, seen),
        _ => false,
    })
}
