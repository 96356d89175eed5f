//! Workflow commands of GitHub Actions: annotations on the page of a run, at the line of the target file with the issuer.
//!
//! GitHub shows ten of a step: the nine worst, and how many more there are. Text of the target can make no second command: it
//! is written in one line, behind a command of ours, with `%`, line ends and, in properties, `:` and `,` escaped.

use std::io::{self, Write};

use crate::model::profile::Severity;
use crate::model::report::{GateOutcome, Report, ScenarioVerdict};
use crate::model::verdict::Verdict;

use super::gate;
use super::safe::{annotation, annotation_property as property, cut};
use super::view::{self, Standing, findings};

/// Annotations that GitHub shows of a step, one of which says how many more there are.
const MOST: usize = 10;
/// Bytes of a message.
const MOST_MESSAGE: usize = 2000;
/// Bytes of a title.
const MOST_TITLE: usize = 200;

/// Greater is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Notice,
    Warning,
    Error,
}

impl Kind {
    fn command(self) -> &'static str {
        match self {
            Kind::Notice => "notice",
            Kind::Warning => "warning",
            Kind::Error => "error",
        }
    }
}

struct Annotation<'r> {
    kind: Kind,
    severity: Severity,
    report: &'r Report,
    title: String,
    message: String,
}

/// # Errors
/// What the writer says.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let mut all: Vec<Annotation<'_>> = Vec::new();
    for report in reports {
        let gate = gate::of(report);
        let own = all.len();
        if let Some(fatal) = &report.fatal {
            let title = format!("{}: nothing was judged", report.target.name);
            all.push(Annotation { kind: Kind::Error, severity: Severity::Critical, report, title, message: fatal.clone() });
        } else {
            all.extend(report.verdicts.iter().filter(|v| v.selected).filter_map(|v| of(report, &gate, v)));
        }
        if gate.exit_code != gate::PASSED && all[own..].iter().all(|a| a.kind != Kind::Error) {
            let title = format!("{}: the gate", report.target.name);
            all.push(Annotation { kind: Kind::Error, severity: Severity::Critical, report, title, message: gate.words.clone() });
        }
    }
    // Stable: the report's own order decides between equals.
    all.sort_by_key(|finding| std::cmp::Reverse((finding.kind, finding.severity)));
    let shown = if all.len() > MOST { MOST - 1 } else { all.len() };
    for annotation in all.iter().take(shown) {
        line(annotation, out)?;
    }
    if all.len() > shown {
        writeln!(out, "::notice title=grantproof::and {} more: see the report", all.len() - shown)?;
    }
    Ok(())
}

fn of<'r>(report: &'r Report, gate: &GateOutcome, verdict: &'r ScenarioVerdict) -> Option<Annotation<'r>> {
    // What another finding explains is told there.
    if verdict.implied_by.is_some() {
        return None;
    }
    let (kind, why) = match view::standing(verdict, gate) {
        Standing::Failing | Standing::Undecided => (Kind::Error, None),
        Standing::Tolerated(why) if verdict.verdict == Verdict::Broken => {
            let accepted = verdict.waived.is_some() || verdict.since_baseline.is_some();
            (if accepted { Kind::Notice } else { Kind::Warning }, Some(why))
        }
        Standing::Tolerated(why) => (Kind::Notice, Some(why)),
        Standing::Holds | Standing::NotApplicable | Standing::Skipped => return None,
    };
    let word = match verdict.verdict {
        Verdict::Broken => "broken",
        _ => "undecided",
    };
    let mut message = format!("{}\n{}", verdict.title, verdict.reason);
    for variant in findings(verdict).take(1) {
        variant.change.iter().for_each(|change| message += &format!("\nchange: {change}"));
    }
    if verdict.verdict == Verdict::Broken {
        message += &format!("\nfix: {}", verdict.fix.trim());
    }
    if let Some(why) = why {
        message += &format!("\ndoes not fail the gate: {why}");
    }
    message += &format!("\nmore: grantproof explain {}", verdict.id);
    let title = format!("{word}: {} ({}) at {}", verdict.id, verdict.severity.name(), report.target.name);
    Some(Annotation { kind, severity: verdict.severity, report, title, message })
}

fn line(annotation: &Annotation<'_>, out: &mut dyn Write) -> io::Result<()> {
    let target = &annotation.report.target;
    write!(out, "::{} ", annotation.kind.command())?;
    // The embedded lab has no file, and no digest of one.
    if !target.digest.is_empty() {
        write!(out, "file={},", property(&target.source))?;
        if let Some(place) = target.place {
            write!(out, "line={},col={},endColumn={},", place.line, place.column, place.end_column)?;
        }
    }
    let (title, message) = (cut(&annotation.title, MOST_TITLE), cut(&annotation.message, MOST_MESSAGE));
    writeln!(out, "title={}::{}", property(&title), self::annotation(&message))
}
