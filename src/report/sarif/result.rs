//! One result: what was seen, where, and what makes it the same one in another run.

use std::io;

use sha2::{Digest as _, Sha256};

use crate::model::observation::{StepObservation, Trial};
use crate::model::report::{Report, Since, VariantVerdict};
use crate::model::step::StepKind;
use crate::model::verdict::Verdict;
use crate::report::safe::{cut, line, sarif as safe};
use crate::report::view::{self, Standing};

use super::file::*;
use super::told::Told;

/// Steps of a trial that are told.
const MOST_STEPS: usize = 30;
/// Bytes of a message.
const MOST_MESSAGE: usize = 4000;
/// Ids in a list.
const MOST_IDS: usize = 20;

/// # Errors
/// Evidence that cannot be read back.
pub fn result(told: &Told<'_>, rule_index: usize) -> io::Result<Finding> {
    let (report, verdict, variant) = (told.report, told.verdict, told.variants.first().copied());
    let attempts = variant.map(|v| v.attempts.load()).transpose()?;
    let last = attempts.as_deref().and_then(<[Trial]>::last);
    let place = place(report);
    let waived = variant.and_then(|v| v.waived.as_ref()).or(verdict.waived.as_ref());
    let fingerprint = fingerprint(&[&report.target.name, &verdict.id, told.id()]);
    Ok(Finding {
        rule_id: safe(&line(&verdict.id)),
        rule_index,
        level: match told.standing {
            Standing::Failing => "error",
            Standing::Tolerated(_) if waived.is_none() && verdict.since_baseline.is_none() => "warning",
            _ => "note",
        },
        message: Text::new(&cut(&safe(&message(told)), MOST_MESSAGE)),
        locations: vec![Location {
            logical: last.and_then(endpoint).map(|url| vec![Logical { name: url, kind: "resource" }]).unwrap_or_default(),
            ..place.clone()
        }],
        partial_fingerprints: Fingerprints { hash: format!("{}:1", cut_hash(&fingerprint)), own: fingerprint },
        code_flows: match (last, variant) {
            (Some(trial), Some(variant)) if !trial.steps.is_empty() => vec![code_flow(trial, variant, &place)],
            _ => Vec::new(),
        },
        suppressions: waived.map(|w| vec![Suppression::new(&safe(&line(&view::waiver(w))))]).unwrap_or_default(),
        baseline_state: verdict.since_baseline.map(|since| match since {
            Since::New => "new",
            Since::Worse | Since::Better => "updated",
            Since::Same => "unchanged",
        }),
        properties: FindingProperties {
            verdict: verdict.verdict.name(),
            confirmed: told.variants.iter().any(|v| v.confirmed) || variant.is_none() && verdict.confirmed,
            level_in_profile: verdict.level.map(|l| l.name()),
            variants: told.variants.len(),
        },
    })
}

fn message(told: &Told<'_>) -> String {
    let (verdict, variant) = (told.verdict, told.variants.first());
    let decided = if verdict.verdict == Verdict::Broken { "Broken" } else { "Undecided" };
    let (title, reason) = variant.map_or((&verdict.title, &verdict.reason), |v| (&v.title, &v.reason));
    let mut text = format!("{decided} at {}: {}.\nSeen: {}.", told.report.target.name, title.trim_end_matches('.'), reason);
    for change in variant.iter().flat_map(|v| &v.change) {
        text += &format!("\nChange: {change}.");
    }
    let list = |ids: &[&str]| {
        let more = ids.len().saturating_sub(MOST_IDS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        ids.iter().take(MOST_IDS).copied().collect::<Vec<_>>().join(", ") + &more
    };
    let others: Vec<&str> = told.variants.iter().skip(1).map(|v| v.id.as_str()).collect();
    if !others.is_empty() {
        text += &format!("\nThe same with {}.", list(&others));
    }
    if !told.followers.is_empty() {
        text += &format!("\nBroken by this as well: {}.", list(&told.followers));
    }
    if let Some(cause) = &verdict.implied_by {
        text += &format!("\nFollows from {cause}.");
    }
    if let Some(party) = verdict.at_fault {
        text += &format!("\nAt fault: {}.", party.words());
    }
    if let Standing::Tolerated(why) = &told.standing {
        text += &format!("\nDoes not fail the gate: {why}.");
    }
    text
}

/// The beginning of a digest in hexadecimal, as long as those that GitHub makes itself.
fn cut_hash(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

/// Of what makes a finding the same one in another run, over versions, hosts and edits of the target file.
fn fingerprint(names: &[&str]) -> String {
    let mut hash = Sha256::new();
    for name in names {
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The line of the target file with the issuer, or its first one.
fn place(report: &Report) -> Location {
    let one = |number: usize| number.clamp(1, i32::MAX as usize);
    let region = report.target.place.map_or(Region { start_line: 1, start_column: 1, end_line: 1, end_column: 1 }, |p| Region {
        start_line: one(p.line),
        start_column: one(p.column),
        end_line: one(p.line),
        end_column: one(p.end_column).max(one(p.column)),
    });
    Location {
        physical: Physical { artifact: Artifact { uri: uri(&report.target.source, &report.target.digest) }, region },
        logical: Vec::new(),
        message: None,
    }
}

/// The endpoint that answered last, without what was sent to it.
fn endpoint(trial: &Trial) -> Option<String> {
    let step = trial.steps.iter().rev().find(|s| !s.exchanges.is_empty())?;
    // Of a login's pages, the first request is the one that carried the change.
    let exchange = if step.kind == StepKind::AuthorizationRequest { step.exchanges.first() } else { step.exchanges.last() }?;
    let end = exchange.url.find(['?', '#']).unwrap_or(exchange.url.len());
    let url = exchange.url.get(..end).unwrap_or_default();
    Some(safe(&cut(&line(&format!("{} {url}", exchange.method)), 500)))
}

fn code_flow(trial: &Trial, variant: &VariantVerdict, place: &Location) -> CodeFlow {
    let told = |step: &StepObservation, what: &str| {
        let changed = variant.change.iter().any(|c| c.split(':').next().is_some_and(|name| name.ends_with(&step.step)));
        let text = format!("{what}: {} ({})", step.outcome.words(), view::answer(step));
        let text = cut(&safe(&line(&text)), 1000).into_owned();
        FlowLocation {
            location: Location { message: Some(Text { text }), ..place.clone() },
            importance: if changed { "essential" } else { "important" },
        }
    };
    let steps = trial.steps.iter().take(MOST_STEPS - 1).map(|step| told(step, &step.step));
    let proof = trial.proof.iter().map(|proof| told(proof, "the token, at a protected place"));
    CodeFlow { thread_flows: vec![ThreadFlow { locations: steps.chain(proof).collect() }] }
}
