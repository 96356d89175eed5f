//! What may be asked of a trial: the outcome of a step, or a test of a field. No functions, no clock, no crypto: the
//! judge needs a recording and nothing else.

use super::value::{Reference, Template};

/// The protocol's success or the protocol's refusal; every other outcome can never satisfy a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    Issued,
    Accepted,
    Refused,
}

impl Word {
    pub const ALL: &'static [(&'static str, Word)] = &[("issued", Word::Issued), ("accepted", Word::Accepted), ("refused", Word::Refused)];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, word)| *word == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// `redeem: refused`, `as: invalid_grant`. Another code is a deviation, not a failure of the predicate.
    Outcome { step: String, word: Word, error: Vec<String> },
    /// `authorize.state: equals ${authorize.sent.state}`.
    Field { subject: Reference, test: Test },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Present,
    Absent,
    Equals(Template),
    Differs(Template),
    /// As a part of the text.
    Contains(Template),
    Lacks(Template),
    /// As one word of a list separated by spaces or commas (scope, Cache-Control).
    Includes(Template),
    Excludes(Template),
    MoreThan(u64),
    AtMost(u64),
}

impl Predicate {
    /// The step that it asks about, of the attack or of the control; None: it asks about a fact.
    pub fn step(&self) -> Option<&str> {
        match self {
            Predicate::Outcome { step, .. } => Some(step),
            Predicate::Field { subject: Reference::Field { step, .. } | Reference::ControlField { step, .. }, .. } => Some(step),
            Predicate::Field { .. } => None,
        }
    }

    /// What it reads: its subject, and what that is compared with.
    pub fn references<'p>(&'p self, found: &mut Vec<&'p Reference>) {
        if let Predicate::Field { subject, test } = self {
            found.push(subject);
            match test {
                Test::Equals(text)
                | Test::Differs(text)
                | Test::Contains(text)
                | Test::Lacks(text)
                | Test::Includes(text)
                | Test::Excludes(text) => {
                    text.references(found);
                }
                Test::Present | Test::Absent | Test::MoreThan(_) | Test::AtMost(_) => {}
            }
        }
    }
}

impl Test {
    /// The words of the language, with what follows each.
    pub const WORDS: &'static [(&'static str, &'static str)] = &[
        ("present", "the field has a value"),
        ("absent", "the step was answered and the field has no value"),
        ("equals V", "the same text"),
        ("differs V", "another text"),
        ("contains V", "V is a part of it"),
        ("lacks V", "V is no part of it"),
        ("includes V", "V is one word of a list separated by spaces or commas"),
        ("excludes V", "no word of the list is V"),
        ("more_than N", "a greater number"),
        ("at_most N", "no greater number"),
    ];
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Test::Present => f.write_str("present"),
            Test::Absent => f.write_str("absent"),
            Test::Equals(t) => write!(f, "equals {t}"),
            Test::Differs(t) => write!(f, "differs {t}"),
            Test::Contains(t) => write!(f, "contains {t}"),
            Test::Lacks(t) => write!(f, "lacks {t}"),
            Test::Includes(t) => write!(f, "includes {t}"),
            Test::Excludes(t) => write!(f, "excludes {t}"),
            Test::MoreThan(n) => write!(f, "more_than {n}"),
            Test::AtMost(n) => write!(f, "at_most {n}"),
        }
    }
}

impl std::fmt::Display for Predicate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Predicate::Outcome { step, word, error } => {
                write!(f, "{step} {}", word.name())?;
                if !error.is_empty() {
                    write!(f, " as {}", error.join(" or "))?;
                }
                Ok(())
            }
            Predicate::Field { subject, test } => write!(f, "{subject} {test}"),
        }
    }
}

/// A positive test: one of several alternatives, each a list of predicates that must all be true.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(pub Vec<Vec<Predicate>>);

impl Condition {
    pub fn alternatives(&self) -> &[Vec<Predicate>] {
        &self.0
    }

    pub fn predicates(&self) -> impl Iterator<Item = &Predicate> {
        self.0.iter().flatten()
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|list| conjunction(list)).collect();
        f.write_str(&all.join(", or "))
    }
}

/// Predicates that must all be true, in words.
pub fn conjunction(list: &[Predicate]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
