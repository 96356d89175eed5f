//! JUnit XML, in the dialect of Jenkins' xUnit plugin (its `junit-10.xsd`), which GitLab and most others read as well.
//!
//! ```xml
//! <testsuites name="grantproof" tests="66" failures="1" errors="0" time="0.136">
//!   <testsuite name="staging.refresh" tests="10" failures="1" errors="0" skipped="0" time="0.021">
//!     <testcase name="refresh/reuse-after-rotation @ staging" classname="staging.refresh" time="0.004">
//!       <failure type="broken" message="high: replay was issued">…</failure>
//! ```
//!
//! Red means what the gate means: something in a report is a failure or an error exactly where its gate does not pass. What is
//! broken and accepted, or below what fails the gate, is skipped with the reason. Defenses that were not selected are left out.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::model::report::{GateOutcome, Report, ScenarioVerdict};
use crate::model::verdict::Verdict;

use super::safe::{cut, line, terminal, xml};
use super::view::{self, Standing};
use super::{gate, view::findings};

/// Bytes of text in a test case; readers keep all test cases of a run in memory.
const MOST_TEXT: usize = 4096;
/// Bytes of a message, which readers show in one line.
const MOST_MESSAGE: usize = 400;
/// Bytes of a name in a name.
const MOST_NAME: usize = 200;
/// Variants of a finding that are shown.
const MOST_VARIANTS: usize = 3;

/// What a reader shows of a test case: a colour and why.
enum Outcome {
    Passed { note: Option<String> },
    Failure { kind: &'static str, message: String, text: String },
    Error { kind: &'static str, message: String, text: String },
    Skipped { message: String },
}

struct Case {
    name: String,
    outcome: Outcome,
    micros: u64,
}

/// One suite for each target and group of scenarios.
struct Suite {
    name: String,
    properties: Vec<(&'static str, String)>,
    timestamp: String,
    cases: Vec<Case>,
}

/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let mut names = HashSet::new();
    let mut suites = Vec::new();
    for report in reports {
        suites.extend(suites_of(report, &mut names)?);
    }
    let all = || suites.iter().flat_map(|s| &s.cases);
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuites name=\"grantproof\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\">",
        all().count(),
        all().filter(|c| matches!(c.outcome, Outcome::Failure { .. })).count(),
        all().filter(|c| matches!(c.outcome, Outcome::Error { .. })).count(),
        seconds(all())
    )?;
    for suite in &suites {
        write_suite(suite, out)?;
    }
    writeln!(out, "</testsuites>")
}

fn suites_of(report: &Report, names: &mut HashSet<String>) -> io::Result<Vec<Suite>> {
    let gate = gate::of(report);
    let target = cut(&line(&report.target.name), MOST_NAME).into_owned();
    // GitLab keeps only the first of two cases with the same name.
    let mut unique = |name: String| {
        let mut number = 1;
        let mut own = name.clone();
        while !names.insert(own.clone()) {
            number += 1;
            own = format!("{name} ({number})");
        }
        own
    };
    let mut groups: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for verdict in report.verdicts.iter().filter(|v| v.selected) {
        let id = cut(&line(&verdict.id), MOST_NAME).into_owned();
        let outcome = outcome(report, &gate, verdict)?;
        let case = Case { name: unique(format!("{id} @ {target}")), outcome, micros: view::server_micros(verdict)? };
        groups.entry(view::group(&id).to_owned()).or_default().push(case);
    }
    let red = |case: &Case| matches!(case.outcome, Outcome::Failure { .. } | Outcome::Error { .. });
    if gate.exit_code != gate::PASSED && !groups.values().flatten().any(red) {
        // Nothing could be tested, and nothing that was is to blame.
        let text = report.fatal.clone().unwrap_or_default();
        let outcome = Outcome::Error { kind: "gate", message: gate.words.clone(), text };
        groups.entry("gate".into()).or_default().push(Case { name: unique(format!("gate @ {target}")), outcome, micros: 0 });
    }
    let properties = properties(report, &gate);
    Ok(groups
        .into_iter()
        .map(|(group, cases)| Suite {
            name: format!("{target}.{group}"),
            properties: properties.clone(),
            timestamp: report.run.started.clone(),
            cases,
        })
        .collect())
}

/// What an auditor wants to see beside the result.
fn properties(report: &Report, gate: &GateOutcome) -> Vec<(&'static str, String)> {
    let run = &report.run;
    let mut list = vec![
        ("grantproof.version", run.version.clone()),
        ("grantproof.catalogue_digest", run.catalogue_digest.clone()),
        ("grantproof.profile", run.profile.name().to_owned()),
        ("grantproof.gate", gate.words.clone()),
        ("grantproof.complete", run.complete.to_string()),
        ("target.issuer", report.target.issuer.clone()),
        ("target.source", report.target.source.clone()),
        ("target.digest", report.target.digest.clone()),
    ];
    if let Some(permission) = &report.target.permission {
        list.push(("permission.by", permission.by.clone()));
        list.push(("permission.until", permission.until.clone()));
    }
    if let Some(integrity) = &report.integrity {
        list.push(("grantproof.report_digest", integrity.digest.clone()));
    }
    list
}

fn outcome(report: &Report, gate: &GateOutcome, verdict: &ScenarioVerdict) -> io::Result<Outcome> {
    let word = verdict.verdict.name();
    Ok(match view::standing(verdict, gate) {
        Standing::Failing => Outcome::Failure {
            kind: "broken",
            message: format!("{}: {}: {}", verdict.severity.name(), verdict.title, verdict.reason),
            text: text(report, verdict)?,
        },
        Standing::Undecided => Outcome::Error {
            kind: if verdict.verdict == Verdict::Skipped { "skipped" } else { "inconclusive" },
            message: format!("required and not decided: {}", verdict.reason),
            text: text(report, verdict)?,
        },
        Standing::Tolerated(why) => {
            Outcome::Skipped { message: format!("{word}, and does not fail the gate: {why} — {}", verdict.reason) }
        }
        Standing::NotApplicable | Standing::Skipped => Outcome::Skipped { message: format!("{word}: {}", verdict.reason) },
        Standing::Holds => Outcome::Passed { note: verdict.deviation.as_ref().map(|d| format!("holds, with a deviation: {d}")) },
    })
}

/// What a reader needs to act: what to do first, then what was seen.
fn text(report: &Report, verdict: &ScenarioVerdict) -> io::Result<String> {
    let mut out = String::new();
    let mut say = |name: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(out, "{name}: {}", text.trim());
        }
    };
    if verdict.verdict == Verdict::Broken {
        say("fix", &verdict.fix);
        say("harm", &verdict.harm);
    }
    if let Some(cause) = &verdict.implied_by {
        say("follows from", cause);
    }
    if let Some(party) = verdict.at_fault {
        say("at fault", party.words());
    }
    say("basis", &verdict.basis.join(", "));
    say("more", &format!("grantproof explain {}", verdict.id));
    for variant in findings(verdict).take(MOST_VARIANTS) {
        say("\nattack", &format!("{}: {}", variant.id, variant.title));
        let attempts = variant.attempts.load()?;
        if let Some(control) = view::control_before(report, variant, attempts.last()) {
            say("  control", &control);
        }
        variant.change.iter().for_each(|change| say("  change", change));
        say("  expected", &variant.expected);
        say("  observed", &variant.reason);
        attempts.last().iter().flat_map(|trial| view::observed(trial)).for_each(|seen| say("    step", &seen));
        say("  by hand", variant.curl.as_deref().unwrap_or_default());
    }
    let more = findings(verdict).count().saturating_sub(MOST_VARIANTS);
    if more > 0 {
        let _ = writeln!(out, "\nand {more} more of its variants: see the JSON report");
    }
    Ok(out)
}

fn write_suite(suite: &Suite, out: &mut dyn Write) -> io::Result<()> {
    let count = |takes: fn(&Outcome) -> bool| suite.cases.iter().filter(|c| takes(&c.outcome)).count();
    let name = xml(&suite.name);
    write!(
        out,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"",
        suite.cases.len(),
        count(|o| matches!(o, Outcome::Failure { .. })),
        count(|o| matches!(o, Outcome::Error { .. })),
        count(|o| matches!(o, Outcome::Skipped { .. })),
        seconds(suite.cases.iter())
    )?;
    if suite.timestamp.parse::<jiff::Timestamp>().is_ok() {
        write!(out, " timestamp=\"{}\"", xml(&suite.timestamp))?;
    }
    writeln!(out, ">\n    <properties>")?;
    for (property, value) in &suite.properties {
        writeln!(out, "      <property name=\"{property}\" value=\"{}\"/>", attribute(value, MOST_MESSAGE))?;
    }
    writeln!(out, "    </properties>")?;
    for case in &suite.cases {
        let own = std::iter::once(case);
        write!(out, "    <testcase name=\"{}\" classname=\"{name}\" time=\"{}\">", xml(&case.name), seconds(own))?;
        match &case.outcome {
            Outcome::Passed { note: None } => {}
            Outcome::Passed { note: Some(note) } => write!(out, "<system-out>{}</system-out>", xml(&cut(&terminal(note), MOST_TEXT)))?,
            Outcome::Failure { kind, message, text } => element("failure", kind, message, text, out)?,
            Outcome::Error { kind, message, text } => element("error", kind, message, text, out)?,
            Outcome::Skipped { message } => write!(out, "<skipped message=\"{}\"/>", attribute(message, MOST_MESSAGE))?,
        }
        writeln!(out, "</testcase>")?;
    }
    writeln!(out, "  </testsuite>")
}

fn element(name: &str, kind: &str, message: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let message = attribute(message, MOST_MESSAGE);
    write!(out, "<{name} type=\"{kind}\" message=\"{message}\">{}</{name}>", xml(&cut(&terminal(text), MOST_TEXT)))
}

fn attribute(text: &str, most: usize) -> String {
    xml(&cut(&line(text), most))
}

/// Seconds with three digits, as the schema has them: without a sign, an exponent or a separator.
fn seconds<'c>(cases: impl Iterator<Item = &'c Case>) -> String {
    let micros = cases.fold(0u64, |sum, case| sum.saturating_add(case.micros));
    format!("{}.{:03}", micros / 1_000_000, micros % 1_000_000 / 1000)
}
