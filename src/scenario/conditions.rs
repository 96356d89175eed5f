//! Conditions as written → predicates with every name resolved.

use crate::diagnostic::{Diagnostics, suggestion};
use crate::model::predicate::{Condition, Predicate, Test, Word};
use crate::model::scenario::Applicability;
use crate::model::value::{Expression, Part, Reference, Template};
use crate::place::{At, Names, OneOrMore};

use super::expression::{Scope, template};

/// The conditions of applicability: each with the sentence that is the reason when it is false.
pub fn applies(list: &[Names<At<String>>], scope: &Scope, found: &mut Diagnostics) -> Vec<Applicability> {
    if list.is_empty() {
        return Vec::new();
    }
    let scope = Scope { control: true, ..scope.clone() };
    let mut conditions = Vec::with_capacity(list.len());
    for entry in list {
        let otherwise = entry.0.iter().find(|(name, _)| name.value == "else").map(|(_, text)| text.value.clone());
        let subjects: Vec<_> = entry.0.iter().filter(|(name, _)| name.value != "else").collect();
        let [(subject, test)] = subjects.as_slice() else {
            if let Some((name, _)) = entry.0.first() {
                found.at(name, "one condition and its `else` belong together", Some("write one list item for each condition".into()));
            }
            continue;
        };
        let Some(otherwise) = otherwise else {
            found.at(
                subject,
                "the condition has no `else`",
                Some("say in one sentence why the attack does not apply when it is false".into()),
            );
            continue;
        };
        if let Some(predicate) = read_predicate(subject, test, &[], &scope, found) {
            let about_control = matches!(&predicate, Predicate::Outcome { step, .. } if step.starts_with("control."))
                || matches!(
                    &predicate,
                    Predicate::Field { subject: Reference::ControlField { .. } | Reference::Target(_) | Reference::Client(_), .. }
                );
            if about_control {
                conditions.push(Applicability { predicate, otherwise });
            } else {
                found.at(
                    subject,
                    "applies_when may ask the control and the target only",
                    Some(format!("write `control.{}`", subject.value)),
                );
            }
        }
    }
    conditions
}

fn read_predicate(
    subject: &At<String>,
    test: &At<String>,
    errors: &[At<String>],
    scope: &Scope,
    found: &mut Diagnostics,
) -> Option<Predicate> {
    let bare = subject.value.strip_prefix("control.").filter(|_| scope.control).unwrap_or(&subject.value);
    if let Some((_, kind)) = scope.steps.iter().find(|(name, _)| name == bare) {
        let Some((_, word)) = Word::ALL.iter().find(|(name, _)| *name == test.value) else {
            let words = [kind.success_word(), "refused"];
            found.at(test, format!("`{}` is no outcome of a {}", test.value, kind.name()), suggestion(&test.value, words));
            return None;
        };
        if *word != Word::Refused && word.name() != kind.success_word() {
            found.at(test, format!("the success of a {} is called `{}`", kind.name(), kind.success_word()), None);
            return None;
        }
        return Some(Predicate::Outcome {
            step: subject.value.clone(),
            word: *word,
            error: errors.iter().map(|e| e.value.clone()).collect(),
        });
    }
    let reference = match scope.resolve(&subject.value) {
        Ok(reference) => reference,
        Err((message, help)) => {
            found.at(subject, message, help);
            return None;
        }
    };
    if let [error, ..] = errors {
        found.at(error, "`as` belongs to an outcome, not to a field", None);
        return None;
    }
    let (word, rest) = test.value.split_once(' ').map_or((test.value.as_str(), ""), |(w, r)| (w, r.trim()));
    let mut value = || match template(rest, scope) {
        Ok(value) if has_function(&value) => {
            found.at(
                test,
                "a predicate holds references and text, no functions",
                Some("the judge works on recordings and computes nothing".into()),
            );
            None
        }
        Ok(value) => Some(value),
        Err((message, help)) => {
            found.at(test, message, help);
            None
        }
    };
    let read = match word {
        "present" if rest.is_empty() => Test::Present,
        "absent" if rest.is_empty() => Test::Absent,
        "equals" => Test::Equals(value()?),
        "differs" => Test::Differs(value()?),
        "contains" => Test::Contains(value()?),
        "lacks" => Test::Lacks(value()?),
        "includes" => Test::Includes(value()?),
        "excludes" => Test::Excludes(value()?),
        "more_than" | "at_most" => match rest.parse() {
            Ok(number) if word == "more_than" => Test::MoreThan(number),
            Ok(number) => Test::AtMost(number),
            Err(_) => {
                found.at(test, format!("`{rest}` is no number"), None);
                return None;
            }
        },
        _ => {
            let known = Test::WORDS.iter().map(|(w, _)| w.split(' ').next().unwrap_or(w));
            found.at(test, format!("`{word}` is no test"), suggestion(word, known));
            return None;
        }
    };
    Some(Predicate::Field { subject: reference, test: read })
}

fn has_function(template: &Template) -> bool {
    template.0.iter().any(|part| matches!(part, Part::Expression(Expression::Call(..))))
}

/// One list item: a predicate, or several that must all be true.
type PredicateFile = Names<OneOrMore<At<String>>>;

/// `holds_if_*` or `broken_if_*`: exactly one of the two spellings must be there.
pub fn condition(
    what: &str,
    any: &Option<Vec<PredicateFile>>,
    all: &Option<Vec<PredicateFile>>,
    id: &At<String>,
    scope: &Scope,
    found: &mut Diagnostics,
) -> Option<Condition> {
    let list = match (any, all) {
        (Some(any), None) => any,
        (None, Some(all)) => all,
        (None, None) => {
            found.at(
                id,
                format!("the attack `{}` has no `{what}_if_any` and no `{what}_if_all`", id.value),
                Some("a verdict needs a positive sight: say what must be seen".into()),
            );
            return None;
        }
        (Some(_), Some(_)) => {
            found.at(id, format!("`{what}_if_any` and `{what}_if_all` exclude each other"), None);
            return None;
        }
    };
    let mut alternatives = Vec::with_capacity(list.len());
    for entry in list {
        let errors = entry.0.iter().find(|(name, _)| name.value == "as").map(|(_, e)| e.0.as_slice()).unwrap_or_default();
        let subjects: Vec<_> = entry.0.iter().filter(|(name, _)| name.value != "as").collect();
        // `as` belongs to the outcome of the item; beside it may stand tests of fields.
        let outcomes = subjects.iter().filter(|(subject, _)| scope.steps.iter().any(|(step, _)| *step == subject.value)).count();
        let mut list = Vec::with_capacity(subjects.len());
        for (subject, OneOrMore(tests)) in &subjects {
            let [test] = tests.as_slice() else {
                found.at(subject, "one test for each predicate", None);
                return None;
            };
            let is_outcome = scope.steps.iter().any(|(step, _)| *step == subject.value);
            let own = if is_outcome || outcomes == 0 { errors } else { &[] };
            list.push(read_predicate(subject, test, own, scope, found)?);
        }
        match (list.is_empty(), outcomes > 1 && !errors.is_empty()) {
            (true, _) => {}
            (_, true) => {
                found.at(&subjects[0].0, "`as` belongs to one outcome, and there are two", Some("write a list item for each".into()))
            }
            _ => alternatives.push(list),
        }
    }
    if alternatives.is_empty() {
        found.at(id, format!("the attack `{}` has no predicate for {what}", id.value), None);
        return None;
    }
    Some(if any.is_some() { Condition(alternatives) } else { Condition(vec![alternatives.into_iter().flatten().collect()]) })
}
