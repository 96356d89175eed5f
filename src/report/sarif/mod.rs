//! SARIF 2.1.0, within what GitHub code scanning takes: one run for each target, a rule for each scenario that was run, a result
//! for each variant that is broken, or undecided where the gate fails by that.
//!
//! Alerts stay the same over versions, times, and edits of the target file: their fingerprint is made of the names of target,
//! scenario and variant. They point at the line of the target file with the issuer, since GitHub shows no result without a
//! place in the repository.

mod file;
mod rule;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use crate::model::observation::{StepObservation, Trial};
use crate::model::report::{Report, ScenarioVerdict, Since, VariantVerdict};
use crate::model::step::StepKind;
use crate::model::verdict::Verdict;

use super::gate;
use super::safe::{cut, line, sarif as safe};
use super::view::{self, Standing, findings};
use file::*;

/// Runs that GitHub takes in a file: of more targets, several share a run.
const MOST_RUNS: usize = 20;
/// Results of a run that GitHub shows.
const MOST_RESULTS: usize = 5000;
/// Steps of a trial that are told.
const MOST_STEPS: usize = 30;
/// Bytes of a message.
const MOST_MESSAGE: usize = 4000;

/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let mut categories = HashSet::new();
    let together = reports.len().div_ceil(MOST_RUNS).max(1);
    let runs = reports.chunks(together).map(|reports| run(reports, &mut categories)).collect::<io::Result<_>>()?;
    serde_json::to_writer_pretty(&mut *out, &Log { schema: SCHEMA, version: "2.1.0", runs }).map_err(io::Error::other)?;
    out.write_all(b"\n")
}

/// The run of one target; of several where there are too many for a file.
fn run(reports: &[Report], categories: &mut HashSet<String>) -> io::Result<Run> {
    let mut rules: BTreeMap<&str, Rule> = BTreeMap::new();
    for report in reports {
        let requirements = rule::requirements(report);
        for verdict in report.verdicts.iter().filter(|v| v.selected) {
            rules.entry(&verdict.id).or_insert_with(|| rule::rule(verdict, &requirements));
        }
    }
    let numbers: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(number, id)| (*id, number)).collect();
    let mut results = Vec::new();
    let mut left_out = 0;
    for report in reports {
        let gate = gate::of(report);
        for verdict in report.verdicts.iter().filter(|v| v.selected) {
            let standing = view::standing(verdict, &gate);
            let shown = matches!(standing, Standing::Failing | Standing::Undecided)
                || matches!(standing, Standing::Tolerated(_)) && verdict.verdict == Verdict::Broken;
            let Some(number) = numbers.get(verdict.id.as_str()).filter(|_| shown) else { continue };
            let variants: Vec<Option<&VariantVerdict>> = findings(verdict).map(Some).collect();
            // Where nothing was run there are no variants, and the scenario is undecided as a whole.
            let whole = if variants.is_empty() { vec![None] } else { Vec::new() };
            for variant in variants.into_iter().chain(whole) {
                if results.len() < MOST_RESULTS {
                    results.push(result(report, verdict, variant, &standing, *number)?);
                } else {
                    left_out += 1;
                }
            }
        }
    }
    let mut invocations: Vec<Invocation> = reports.iter().map(invocation).collect();
    if let (Some(first), true) = (invocations.first_mut(), left_out > 0) {
        first.notifications.push(Notification::new("note", &format!("{left_out} more results are left out; see the JSON report")));
    }
    let version = reports.first().map_or(env!("CARGO_PKG_VERSION"), |r| r.run.version.as_str());
    Ok(Run {
        tool: Tool {
            driver: Driver {
                name: "grantproof",
                version: safe(&line(version)),
                information_uri: env!("CARGO_PKG_REPOSITORY"),
                rules: rules.into_values().collect(),
            },
        },
        automation_details: AutomationDetails { id: category(reports, categories) },
        invocations,
        // As the places of target files are counted.
        column_kind: "unicodeCodePoints",
        results,
        properties: RunProperties { targets: reports.iter().map(about).collect() },
    })
}

/// `grantproof/<target>/`: GitHub takes one run of each category in a file, and closes the alerts of a category that a newer
/// upload of it does not have.
fn category(reports: &[Report], taken: &mut HashSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = reports.first().map_or("none", |r| r.target.name.as_str()).chars().take(80).map(plain).collect();
    let more = if reports.len() > 1 { format!("-and-{}-more", reports.len() - 1) } else { String::new() };
    let mut number = 1;
    loop {
        let again = if number > 1 { format!("-{number}") } else { String::new() };
        let id = format!("grantproof/{name}{more}{again}/");
        if taken.insert(id.clone()) {
            return id;
        }
        number += 1;
    }
}

fn about(report: &Report) -> About {
    About {
        name: safe(&line(&report.target.name)),
        issuer: safe(&line(&report.target.issuer)),
        profile: report.run.profile.name(),
        gate: safe(&line(&gate::of(report).words)),
        catalogue_digest: safe(&line(&report.run.catalogue_digest)),
        source_digest: safe(&line(&report.run.source_digest)),
        target_digest: safe(&line(&report.target.digest)),
        report_digest: report.integrity.as_ref().map(|i| safe(&line(&i.digest))),
        permission: report.target.permission.as_ref().map(|p| safe(&line(&format!("{} until {}", p.by, p.until)))),
    }
}

fn invocation(report: &Report) -> Invocation {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok().map(|t| format!("{t:.3}"));
    let gate = gate::of(report);
    let told = |level, text: &String| Notification::new(level, &format!("{}: {text}", report.target.name));
    Invocation {
        execution_successful: report.fatal.is_none() && report.run.complete,
        start_time_utc: time(&report.run.started),
        end_time_utc: time(&report.run.finished),
        exit_code: gate.exit_code,
        exit_code_description: safe(&line(&gate.words)),
        notifications: (report.fatal.iter().map(|text| told("error", text)))
            .chain(report.run.interrupted.iter().map(|text| told("error", text)))
            .chain(report.warnings.iter().map(|text| told("warning", text)))
            .collect(),
    }
}

fn result(
    report: &Report,
    verdict: &ScenarioVerdict,
    variant: Option<&VariantVerdict>,
    standing: &Standing,
    rule_index: usize,
) -> io::Result<Finding> {
    let attempts = variant.map(|v| v.attempts.load()).transpose()?;
    let last = attempts.as_deref().and_then(<[Trial]>::last);
    let place = place(report);
    let waived = variant.and_then(|v| v.waived.as_ref()).or(verdict.waived.as_ref());
    let id = variant.map_or(verdict.id.as_str(), |v| v.id.as_str());
    let fingerprint = fingerprint(&[&report.target.name, &verdict.id, id]);
    Ok(Finding {
        rule_id: safe(&line(&verdict.id)),
        rule_index,
        level: match standing {
            Standing::Failing if verdict.implied_by.is_none() => "error",
            Standing::Tolerated(_) if waived.is_none() && verdict.since_baseline.is_none() && verdict.implied_by.is_none() => "warning",
            _ => "note",
        },
        message: Text::new(&cut(&safe(&message(report, verdict, variant, standing)), MOST_MESSAGE)),
        locations: vec![Location {
            logical: last.and_then(endpoint).map(|url| vec![Logical { name: url, kind: "resource" }]).unwrap_or_default(),
            ..place.clone()
        }],
        partial_fingerprints: Fingerprints { hash: format!("{}:1", &fingerprint[..16]), own: fingerprint },
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
            confirmed: variant.map_or(verdict.confirmed, |v| v.confirmed),
            level_in_profile: verdict.level.map(|l| l.name()),
            follows_from: verdict.implied_by.as_deref().map(|cause| safe(&line(cause))),
        },
    })
}

fn message(report: &Report, verdict: &ScenarioVerdict, variant: Option<&VariantVerdict>, standing: &Standing) -> String {
    let decided = if verdict.verdict == Verdict::Broken { "Broken" } else { "Undecided" };
    let (title, reason) = variant.map_or((&verdict.title, &verdict.reason), |v| (&v.title, &v.reason));
    let mut text = format!("{decided} at {}: {}.\nSeen: {}.", report.target.name, title.trim_end_matches('.'), reason);
    for change in variant.iter().flat_map(|v| &v.change) {
        text += &format!("\nChange: {change}.");
    }
    if let Some(party) = verdict.at_fault {
        text += &format!("\nAt fault: {}.", party.words());
    }
    match standing {
        Standing::Tolerated(why) => text += &format!("\nDoes not fail the gate: {why}."),
        _ => {
            if let Some(cause) = &verdict.implied_by {
                text += &format!("\nFollows from {cause}.");
            }
        }
    }
    text
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
        physical: Physical { artifact: Artifact { uri: file::uri(&report.target.source, &report.target.digest) }, region },
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
