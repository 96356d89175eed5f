//! SARIF 2.1.0, within what GitHub code scanning takes: one run for each target, a rule for each scenario that was run, a result
//! for each attack that is broken, or undecided where the gate fails by that. What another finding explains is told there.
//!
//! Alerts stay the same over versions, times, and edits of the target file: their fingerprint is made of the names of target,
//! scenario and variant. They point at the line of the target file with the issuer, since GitHub shows no result without a
//! place in the repository.

mod file;
mod result;
mod rule;
mod told;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use crate::model::report::Report;

use super::gate;
use super::safe::{line, sarif as safe};
use file::*;

/// Runs that GitHub takes in a file: of more targets, several share a run.
const MOST_RUNS: usize = 20;
/// Results of a run that GitHub shows.
const MOST_RESULTS: usize = 5000;

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
        for told in told::of(report) {
            let Some(number) = numbers.get(told.verdict.id.as_str()) else { continue };
            if results.len() < MOST_RESULTS {
                results.push(result::result(&told, *number)?);
            } else {
                left_out += 1;
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
