//! What a scenario says beside its attacks: which claim of the metadata it tests, and what it measures.

use crate::diagnostic::{Diagnostics, suggestion};
use crate::model::finding::{CLAIMS, Claim, Measure, MeasuredBy};
use crate::model::value::Reference;

use super::expression::Scope;
use super::file::ScenarioFile;
use super::resolve::Library;

/// The claims of the metadata that the scenario tests.
pub fn claims(file: &ScenarioFile, found: &mut Diagnostics) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (member, says) in &file.claimed_by.0 {
        if !CLAIMS.contains(&member.value.as_str()) {
            found.at(member, format!("`{}` claims no defense", member.value), suggestion(&member.value, CLAIMS.iter().copied()));
        }
        claims.push(Claim { member: member.value.clone(), says: says.value.clone() });
    }
    claims
}

/// Whether an attack of a scenario measures.
pub fn is_measure(file: &ScenarioFile, attack: &str) -> bool {
    file.measures.iter().any(|m| m.by.as_ref().is_some_and(|by| by.value == attack))
}

/// What the scenario measures.
pub fn measures(file: &ScenarioFile, scope: &Scope, library: &Library, found: &mut Diagnostics) -> Vec<Measure> {
    let mut measures = Vec::new();
    for measure in &file.measures {
        for basis in measure.basis.iter().filter(|b| !library.requirements.contains(&b.value)) {
            found.at(
                basis,
                format!("no requirement `{}` in standards/", basis.value),
                Some("add it to a file of `standards/` first".into()),
            );
        }
        let by = match (&measure.reads, &measure.by) {
            (Some(reads), None) => match scope.resolve(&reads.value) {
                Ok(Reference::Field { step, field }) => MeasuredBy::Field { step, field },
                Ok(_) => {
                    found.at(reads, "`reads` names a field of an answer", Some("write for example `redeem.expires_in`".into()));
                    continue;
                }
                Err((message, help)) => {
                    found.at(reads, message, help);
                    continue;
                }
            },
            (None, Some(by)) => {
                let attack = file.attacks.iter().find(|a| a.id.value == by.value);
                let numbers = attack.is_some_and(
                    |a| matches!(a.for_each.0.as_slice(), [(_, words)] if words.iter().all(|w| w.value.parse::<i64>().is_ok())),
                );
                if !numbers {
                    let help =
                        "name an attack with `for_each`, whose words are numbers from the one that is taken first to the one that is not";
                    found.at(by, format!("no attack `{}` tries numbers", by.value), Some(help.into()));
                    continue;
                }
                MeasuredBy::Attack(by.value.clone())
            }
            _ => {
                found.at(&measure.name, "a measure has either `reads` or `by`", None);
                continue;
            }
        };
        measures.push(Measure {
            name: measure.name.value.clone(),
            unit: measure.unit.value.clone(),
            words: measure.words.clone(),
            advice: measure.advice.value.clone(),
            basis: measure.basis.iter().map(|b| b.value.clone()).collect(),
            by,
        });
    }
    measures
}
