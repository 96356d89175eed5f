//! The rule of a scenario: what GitHub shows beside an alert.

use std::collections::BTreeMap;

use crate::model::profile::Severity;
use crate::model::report::{Report, Requirement, ScenarioVerdict, Standard};
use crate::report::safe::{self, cut, line, markdown, sarif as plain};

use super::file::{Configuration, Help, Rule, RuleProperties, Text};

/// Bytes of a description, which GitHub counts in characters.
const MOST_DESCRIPTION: usize = 1024;
/// Bytes of a help text.
const MOST_HELP: usize = 20_000;
/// Bytes of one part of it.
const MOST_PART: usize = 4000;
/// Tags of a rule that GitHub takes.
const MOST_TAGS: usize = 20;

/// What the report knows of each requirement that is cited.
pub type Requirements<'r> = BTreeMap<&'r str, (&'r Standard, &'r Requirement)>;

pub fn requirements(report: &Report) -> Requirements<'_> {
    report.standards.iter().flat_map(|s| s.requirements.iter().map(move |r| (r.id.as_str(), (s, r)))).collect()
}

pub fn rule(verdict: &ScenarioVerdict, requirements: &Requirements<'_>) -> Rule {
    let title = plain(&line(&verdict.title));
    let defense = if verdict.defense.trim().is_empty() { title.clone() } else { plain(&line(&verdict.defense)) };
    let cited = || verdict.basis.iter().filter_map(|id| requirements.get(id.as_str()));
    Rule {
        id: plain(&line(&verdict.id)),
        name: name(&verdict.id),
        short_description: Text::new(&cut(&sentence(&title), MOST_DESCRIPTION)),
        full_description: Text::new(&cut(&sentence(&defense), MOST_DESCRIPTION)),
        help_uri: cited().find_map(|(_, r)| safe::link(&r.link)).map(str::to_owned),
        help: Help { text: cut(&help(verdict, requirements), MOST_HELP).into(), markdown: in_markdown(verdict, requirements) },
        default_configuration: Configuration {
            level: match verdict.severity {
                Severity::Critical | Severity::High => "error",
                Severity::Medium | Severity::Low => "warning",
                Severity::Info => "note",
            },
        },
        properties: RuleProperties {
            security_severity: match verdict.severity {
                Severity::Critical => "9.5",
                Severity::High => "8.0",
                Severity::Medium => "5.5",
                Severity::Low => "2.5",
                Severity::Info => "0.5",
            },
            // Nothing is called broken that was not seen twice; confirmed: what the attacker got was shown to work.
            precision: if verdict.confirmed { "very-high" } else { "high" },
            tags: tags(verdict),
        },
    }
}

fn help(verdict: &ScenarioVerdict, requirements: &Requirements<'_>) -> String {
    let mut text = format!("Defense: {}\nHarm: {}\nFix: {}\n", verdict.defense, verdict.harm, verdict.fix);
    for id in &verdict.basis {
        text += &match requirements.get(id.as_str()) {
            Some((_, r)) => format!("{id} ({}): {}\n", r.keyword, r.asks),
            None => format!("{id}\n"),
        };
    }
    plain(&(text + &format!("More: grantproof explain {}", verdict.id)))
}

fn in_markdown(verdict: &ScenarioVerdict, requirements: &Requirements<'_>) -> String {
    let mut text = String::new();
    for (name, what) in [("Defense", &verdict.defense), ("Harm", &verdict.harm), ("Fix", &verdict.fix)] {
        if !what.trim().is_empty() {
            text += &format!("**{name}.** {}\n\n", markdown(&cut(what, MOST_PART)));
        }
    }
    text += "**Required by**\n\n";
    for id in &verdict.basis {
        let line = match requirements.get(id.as_str()) {
            Some((standard, r)) => {
                let name = match safe::link(&r.link) {
                    Some(link) => format!("[{}](<{link}>)", safe::code(id)),
                    None => safe::code(id),
                };
                format!("- {name} ({}, {}): {}\n", markdown(&r.keyword), markdown(&standard.title), markdown(&cut(&r.asks, MOST_PART)))
            }
            None => format!("- {}\n", safe::code(id)),
        };
        if text.len() + line.len() > MOST_HELP {
            break;
        }
        text += &line;
    }
    text + &format!("\nMore: {}\n", safe::code(&format!("grantproof explain {}", verdict.id)))
}

/// `PkceWrongVerifier` of `pkce/wrong-verifier`: a name as the specification wants it (§3.49.7).
fn name(id: &str) -> String {
    let words = id.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let name: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    if name.is_empty() { "Unnamed".into() } else { cut(&name, 200).into() }
}

fn sentence(text: &str) -> String {
    if text.is_empty() { "Unnamed.".into() } else { format!("{}.", text.trim_end_matches('.')) }
}

fn tags(verdict: &ScenarioVerdict) -> Vec<String> {
    let mut tags = vec!["security".to_owned(), "oauth".to_owned()];
    if let Some(number) = verdict.cwe.as_deref().and_then(|cwe| cwe.strip_prefix("CWE-")).filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
    {
        tags.push(format!("external/cwe/cwe-{number:0>3}"));
    }
    for id in &verdict.basis {
        let tag = cut(&line(id), 100).into_owned();
        if tags.len() < MOST_TAGS && !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}
