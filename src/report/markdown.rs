//! GitHub's Markdown, for the summary of a job or a comment: the answer first, then findings worst first, each folded.
//!
//! A summary of more than 1 MiB is refused by GitHub, so that this ends before: first evidence is left out, then findings, and it
//! is said how many.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::model::profile::Severity;
use crate::model::report::{GateOutcome, Report, ScenarioVerdict, Since, VariantVerdict};
use crate::model::verdict::Verdict;

use super::gate;
use super::safe::{code, code_cell, cut, fenced, html_line, line, markdown as safe};
use super::view::{self, Standing, findings};

/// Bytes of the whole text.
const MOST: usize = 900 << 10;
/// Bytes of everything of a target but its findings.
const MOST_REST: usize = 40 << 10;
/// Bytes of a text in a finding.
const MOST_TEXT: usize = 2000;
/// Bytes of a cell.
const MOST_CELL: usize = 200;
/// Variants of a finding that are shown.
const MOST_VARIANTS: usize = 3;

/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let mut left = MOST;
    if reports.len() != 1 {
        let overview = overview(reports, MOST / 4);
        left = left.saturating_sub(overview.len());
        out.write_all(overview.as_bytes())?;
    }
    for (number, report) in reports.iter().enumerate() {
        // Each target has its share; what one does not use is there for those after it.
        let share = left / (reports.len() - number).max(1);
        let text = target(report, share)?;
        left = left.saturating_sub(text.len());
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// A text that is no longer than it may be.
struct Bounded {
    text: String,
    most: usize,
}

impl Bounded {
    /// Adds a whole piece, or nothing.
    fn add(&mut self, piece: &str) -> bool {
        let fits = self.text.len() + piece.len() <= self.most;
        if fits {
            self.text.push_str(piece);
        }
        fits
    }

    /// Adds the pieces that fit, and says how many did not.
    fn add_all(&mut self, pieces: &[String], more: &str) {
        let fitting = pieces.iter().take_while(|piece| self.add(piece)).count();
        if fitting < pieces.len() {
            // A line is always there for it: the limits are far from GitHub's.
            let _ = writeln!(self.text, "{more}", more = more.replace("{}", &(pieces.len() - fitting).to_string()));
        }
    }
}

fn short(text: &str) -> String {
    safe(&cut(&line(text), MOST_CELL))
}

fn overview(reports: &[Report], most: usize) -> String {
    let mut out = Bounded { text: format!("# grantproof: {} targets\n\n", reports.len()), most };
    out.add("| target | gate | holds | broken | undecided | skipped |\n|---|---|--:|--:|--:|--:|\n");
    let rows: Vec<String> = reports
        .iter()
        .map(|r| {
            let s = &r.summary;
            format!(
                "| {} | {} | {} | {} | {} | {} |\n",
                short(&r.target.name),
                short(&gate::of(r).words),
                s.holds,
                s.broken,
                s.inconclusive,
                s.skipped
            )
        })
        .collect();
    out.add_all(&rows, "\nAnd {} more targets.");
    out.text.push('\n');
    out.text
}

fn target(report: &Report, share: usize) -> io::Result<String> {
    let gate = gate::of(report);
    let head = head(report, &gate);
    let tail = tail(report);
    let mut found = Bounded { text: String::new(), most: share.saturating_sub(head.len() + tail.len() + 200) };
    // Worst first: what fails the gate, then by severity; the report's own order decides between equals.
    let mut shown: Vec<(u8, Severity, &ScenarioVerdict, Standing)> = report
        .verdicts
        .iter()
        .filter(|v| v.selected && v.waived.is_none())
        .filter_map(|v| match view::standing(v, &gate) {
            standing @ Standing::Failing => Some((2, v.severity, v, standing)),
            standing @ Standing::Tolerated(_) if v.verdict == Verdict::Broken => Some((1, v.severity, v, standing)),
            standing @ (Standing::Undecided | Standing::Tolerated(_)) => Some((0, v.severity, v, standing)),
            _ => None,
        })
        .collect();
    shown.sort_by_key(|finding| std::cmp::Reverse((finding.0, finding.1)));
    // The worst have their evidence; when the room ends, the next ones go without, and the last are only counted.
    let (mut evidence, mut told) = (true, 0);
    for (_, _, verdict, standing) in &shown {
        evidence = evidence && found.add(&finding(report, verdict, standing, true)?);
        if !evidence && !found.add(&finding(report, verdict, standing, false)?) {
            break;
        }
        told += 1;
    }
    let left_out = shown.len() - told;
    let mut text = head;
    if !shown.is_empty() {
        text += "## Findings\n\n";
        text += &found.text;
    }
    if left_out > 0 {
        let _ = writeln!(text, "And {left_out} more: see the JSON report.\n");
    }
    Ok(text + &tail)
}

/// The answer: gate, counts by group, and what changed.
fn head(report: &Report, gate: &GateOutcome) -> String {
    let mut out = Bounded { text: String::new(), most: MOST_REST };
    let sign = if gate.exit_code == gate::PASSED { "✅" } else { "❌" };
    out.add(&format!("# {sign} {}: {}\n\n", short(&report.target.name), short(&gate.words)));
    out.add(&format!(
        "{} · profile {} · {} requests",
        code(&cut(&report.target.issuer, MOST_CELL)),
        report.run.profile.name(),
        report.run.requests
    ));
    if let Some(permission) = &report.target.permission {
        out.add(&format!(" · permitted by {} until {}", short(&permission.by), short(&permission.until)));
    }
    out.add("\n\n");
    for (what, text) in [("Nothing was judged", &report.fatal), ("The run is incomplete", &report.run.interrupted)] {
        if let Some(text) = text {
            out.add(&format!("**{what}.**\n\n{}\n", fenced(&cut(text, MOST_TEXT), "text")));
        }
    }
    let mut groups: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for verdict in report.verdicts.iter().filter(|v| v.selected) {
        let row = groups.entry(view::group(&verdict.id)).or_default();
        row[match verdict.verdict {
            Verdict::Holds => 0,
            Verdict::Broken => 1,
            Verdict::Inconclusive => 2,
            Verdict::NotApplicable => 3,
            Verdict::Skipped => 4,
        }] += 1;
    }
    let row = |name: &str, counts: &[usize; 5]| {
        let cells: Vec<String> = counts.iter().map(|n| if *n == 0 { "·".into() } else { n.to_string() }).collect();
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    let sum = groups.values().fold([0; 5], |sum, row| std::array::from_fn(|i| sum[i] + row[i]));
    out.add("| defenses | holds | broken | undecided | not applicable | skipped |\n|---|--:|--:|--:|--:|--:|\n");
    out.add(&row("**all**", &sum));
    let rows: Vec<String> = groups.iter().map(|(name, counts)| row(&short(name), counts)).collect();
    out.add_all(&rows, "\nAnd {} more groups.");
    out.add("\n");
    changes(report, &mut out);
    out.text
}

/// What is not as it was in the baseline.
fn changes(report: &Report, out: &mut Bounded) {
    let Some(baseline) = &report.baseline else { return };
    out.add(&format!(
        "**Since the baseline** {} of {}:\n\n",
        code(&cut(&baseline.file, MOST_CELL)),
        code(&cut(&baseline.started, MOST_CELL))
    ));
    let since = |wanted: Since| -> Vec<&str> {
        report.verdicts.iter().filter(|v| v.since_baseline == Some(wanted)).map(|v| v.id.as_str()).collect()
    };
    let owned = |ids: &[String]| ids.iter().map(|id| code(&cut(id, MOST_CELL))).collect::<Vec<_>>();
    let lists = [
        ("new", since(Since::New)),
        ("worse", since(Since::Worse)),
        ("better", since(Since::Better)),
        ("as before", since(Since::Same)),
        ("fixed", baseline.fixed.iter().map(String::as_str).collect()),
        ("not decided any more", baseline.lost.iter().map(String::as_str).collect()),
    ];
    let lines: Vec<String> = lists
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(what, ids)| {
            let ids = owned(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
            let more = if ids.len() > 20 { format!(" and {} more", ids.len() - 20) } else { String::new() };
            format!("- {what}: {}{more}\n", ids.iter().take(20).cloned().collect::<Vec<_>>().join(", "))
        })
        .collect();
    if lines.is_empty() {
        out.add("- nothing changed\n");
    }
    out.add_all(&lines, "\nAnd more.");
    out.add("\n");
}

/// A finding, folded; without its evidence where that would be too long.
fn finding(report: &Report, verdict: &ScenarioVerdict, standing: &Standing, evidence: bool) -> io::Result<String> {
    let word = if verdict.verdict == Verdict::Broken { "BROKEN" } else { "UNDECIDED" };
    let brief = |text: &str| html_line(&cut(text, MOST_CELL));
    let since = verdict.since_baseline.map(|s| format!(", {}", s.words())).unwrap_or_default();
    let mut out = format!(
        "<details><summary><b>{word}</b> {}{since} <code>{}</code> {}</summary>\n\n",
        verdict.severity.name(),
        brief(&verdict.id),
        brief(&verdict.title)
    );
    let mut item = |name: &str, text: &str| {
        if !text.trim().is_empty() {
            let _ = writeln!(out, "- **{name}:** {}", safe(&cut(text, MOST_TEXT)));
        }
    };
    if let Standing::Tolerated(why) = standing {
        item("Does not fail the gate", why);
    }
    if verdict.confirmed {
        item("Confirmed", "what the attacker got was shown to work");
    }
    if verdict.verdict == Verdict::Broken {
        item("Harm", &verdict.harm);
        item("Fix", &verdict.fix);
    }
    item("Seen", &verdict.reason);
    if let Some(cause) = &verdict.implied_by {
        item("Follows from", cause);
    }
    if let Some(party) = verdict.at_fault {
        item("At fault", party.words());
    }
    item("Required by", &verdict.basis.join(", "));
    let _ = writeln!(out, "- **More:** {}\n", code(&format!("grantproof explain {}", cut(&verdict.id, MOST_CELL))));
    if evidence && verdict.implied_by.is_none() {
        for variant in findings(verdict).take(MOST_VARIANTS) {
            out += &evidence_of(report, variant)?;
        }
        let more = findings(verdict).count().saturating_sub(MOST_VARIANTS);
        if more > 0 {
            let _ = writeln!(out, "And {more} more of its variants: see the JSON report.\n");
        }
    }
    Ok(out + "</details>\n\n")
}

fn evidence_of(report: &Report, variant: &VariantVerdict) -> io::Result<String> {
    let mut text = String::new();
    let mut say = |name: &str, what: &str| {
        if !what.is_empty() {
            let _ = writeln!(text, "{name:<9} {}", line(what));
        }
    };
    let attempts = variant.attempts.load()?;
    if let Some(control) = view::control_before(report, variant, attempts.last()) {
        say("control", &control);
    }
    variant.change.iter().for_each(|change| say("change", change));
    say("expected", &variant.expected);
    say("observed", &variant.reason);
    attempts.last().iter().flat_map(|trial| view::observed(trial)).for_each(|seen| say("", &seen));
    let mut out = format!("Attack {}:\n\n{}\n", code(&cut(&variant.id, MOST_CELL)), fenced(&cut(&text, 2 * MOST_TEXT), "text"));
    if let Some(curl) = &variant.curl {
        let _ = writeln!(out, "{}", fenced(&cut(curl, 2 * MOST_TEXT), "sh"));
    }
    Ok(out)
}

/// What was accepted, what was not tested, and what the run was.
fn tail(report: &Report) -> String {
    let mut out = Bounded { text: String::new(), most: MOST_REST };
    let waived: Vec<String> = report
        .verdicts
        .iter()
        .flat_map(|v| {
            v.waived.iter().chain(v.variants.iter().filter(|x| x.waived != v.waived).filter_map(|x| x.waived.as_ref())).map(move |w| (v, w))
        })
        .map(|(v, w)| {
            let (id, cell) = (code_cell(&cut(&w.id, MOST_CELL)), |text: &str| short(text));
            format!(
                "| {id} | {} | {} | {} | {} | {} |\n",
                v.verdict.name().replace('_', " "),
                v.severity.name(),
                cell(&w.reason),
                cell(&w.owner),
                cell(&w.expires)
            )
        })
        .collect();
    if !waived.is_empty() {
        out.add("## Waived\n\n| defense | verdict | severity | reason | owner | until |\n|---|---|---|---|---|---|\n");
        out.add_all(&waived, "\nAnd {} more.");
        out.add("\n");
    }
    let claims: Vec<String> = report
        .advertised
        .iter()
        .map(|a| {
            let by: Vec<String> = a.tested_by.iter().map(|t| format!("{} {}", t.scenario, t.verdict.name().replace('_', " "))).collect();
            format!("| {} | {} | {} |\n", short(&a.claim), a.enforced.words(), short(&by.join(", ")))
        })
        .collect();
    if !claims.is_empty() {
        out.add("## Advertised and enforced\n\n| the metadata claims | | tested by |\n|---|---|---|\n");
        out.add_all(&claims, "\nAnd {} more.");
        out.add("\n");
    }
    let numbers: Vec<String> = report
        .measurements
        .iter()
        .map(|m| {
            format!("| {} | {} | {} | {} |\n", short(&m.name), short(&m.value()), short(&m.advice), code_cell(&cut(&m.scenario, MOST_CELL)))
        })
        .collect();
    if !numbers.is_empty() {
        out.add("## Measured\n\n| what | value | advised | by |\n|---|---|---|---|\n");
        out.add_all(&numbers, "\nAnd {} more.");
        out.add("\n");
    }
    if let Some(text) = view::not_waited(report) {
        out.add(&format!("{}\n\n", safe(&cut(&line(&text), MOST_TEXT))));
    }
    let untested: Vec<String> = report
        .verdicts
        .iter()
        .filter(|v| v.selected && matches!(v.verdict, Verdict::Skipped | Verdict::NotApplicable))
        .map(|v| format!("| {} | {} | {} |\n", code_cell(&cut(&v.id, MOST_CELL)), v.verdict.name().replace('_', " "), short(&v.reason)))
        .collect();
    if !untested.is_empty() {
        out.add("## Not tested\n\n| defense | | why |\n|---|---|---|\n");
        out.add_all(&untested, "\nAnd {} more.");
        out.add("\n");
    }
    let left_out = report.verdicts.iter().filter(|v| !v.selected).count();
    if left_out > 0 {
        out.add(&format!("{left_out} defenses of the catalogue were not selected for this run.\n\n"));
    }
    let run = &report.run;
    out.add(&format!(
        "grantproof {}, {} to {}, catalogue {}\n\n",
        short(&run.version),
        short(&run.started),
        short(&run.finished),
        code(run.catalogue_digest.get(..12).unwrap_or(&run.catalogue_digest))
    ));
    out.text
}
