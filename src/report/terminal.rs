//! The report that a reviewer reads: worst first, each finding with control, change, expected, observed, harm, fix and the
//! line to replay it. The only file that names a colour crate; colour only doubles what a word says.

use std::fmt::Write as _;
use std::io;

use colored::{Color, Colorize as _};

use crate::model::finding::Enforced;
use crate::model::report::{Report, ScenarioVerdict, VariantVerdict};
use crate::model::verdict::Verdict;

use super::safe::{self, line as one};
use super::view::{answer, control_before, not_waited, steps};

/// How much is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    pub colour: bool,
    /// Holding defenses one by one, and what does not apply.
    pub verbose: bool,
}

/// For a file.
///
/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn plain(reports: &[Report], out: &mut dyn io::Write) -> io::Result<()> {
    write(reports, Style { verbose: true, ..Style::default() }, out)
}

/// The reports as text, each ending with its counts.
///
/// # Errors
/// As [`plain`].
pub fn write(reports: &[Report], style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    colored::control::set_override(style.colour);
    let mut written = Ok(());
    for (index, report) in reports.iter().enumerate() {
        let space = if index > 0 { "\n" } else { "" };
        written = text(report, style).and_then(|text| write!(out, "{space}{text}"));
        if written.is_err() {
            break;
        }
    }
    colored::control::unset_override();
    written
}

fn text(report: &Report, style: Style) -> io::Result<String> {
    let mut out = String::new();
    if let Some(fatal) = &report.fatal {
        let _ = writeln!(out, "fatal: nothing was judged");
        let _ = writeln!(out, "  {}\n", lines(fatal));
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "{} {}", "warning".yellow(), one(warning));
    }
    if let Some(why) = &report.run.interrupted {
        let _ = writeln!(out, "{} the run is incomplete: {}", "warning".yellow(), one(why));
    }
    if report.fatal.is_none() {
        let shown: Vec<&ScenarioVerdict> = report.verdicts.iter().filter(|v| v.selected).collect();
        for verdict in shown.iter().filter(|v| matches!(v.verdict, Verdict::Broken | Verdict::Inconclusive)) {
            finding(&mut out, report, verdict)?;
        }
        for verdict in shown.iter().filter(|v| v.verdict == Verdict::Holds && (v.deviation.is_some() || style.verbose)) {
            holding(&mut out, verdict, style.verbose);
        }
        if style.verbose {
            for verdict in shown.iter().filter(|v| matches!(v.verdict, Verdict::NotApplicable | Verdict::Skipped)) {
                let _ =
                    writeln!(out, "{:<14} {}\n               {}", label(verdict.verdict), one(&verdict.id).bold(), one(&verdict.reason));
            }
        }
    }
    summary(&mut out, report, style);
    Ok(out)
}

fn label(verdict: Verdict) -> colored::ColoredString {
    let (word, colour) = match verdict {
        Verdict::Broken => ("BROKEN", Color::Red),
        Verdict::Inconclusive => ("INCONCLUSIVE", Color::Yellow),
        Verdict::Holds => ("HOLDS", Color::Green),
        Verdict::NotApplicable => ("NOT APPLICABLE", Color::BrightBlack),
        Verdict::Skipped => ("SKIPPED", Color::BrightBlack),
    };
    word.color(colour).bold()
}

fn finding(out: &mut String, report: &Report, verdict: &ScenarioVerdict) -> io::Result<()> {
    let level = verdict.level.map_or("not asked for by this profile", |l| l.name());
    let basis = one(&verdict.basis.iter().take(3).cloned().collect::<Vec<_>>().join(", "));
    let _ = writeln!(
        out,
        "{}  {}  {}, {level} in {}  {basis}",
        label(verdict.verdict),
        one(&verdict.id).bold(),
        verdict.severity.name(),
        report.run.profile.name()
    );
    let _ = writeln!(out, "  {}", one(&verdict.title));
    if let Some(since) = verdict.since_baseline {
        let _ = writeln!(out, "  since the baseline: {}", since.words());
    }
    if let Some(waived) = &verdict.waived {
        let _ = writeln!(out, "  waived until {} by {}: {}\n", one(&waived.expires), one(&waived.owner), one(&waived.reason));
        return Ok(());
    }
    if verdict.confirmed {
        let _ = writeln!(out, "  confirmed: what the attacker got was shown to work");
    }
    if verdict.variants.is_empty() {
        line(out, "reason", &verdict.reason);
    }
    if let Some(cause) = &verdict.implied_by {
        let _ = writeln!(out, "  follows from {}, and is counted there\n", one(cause));
        return Ok(());
    }
    for variant in verdict.variants.iter().filter(|v| v.verdict == verdict.verdict && !v.lesser).take(3) {
        details(out, report, variant)?;
    }
    let more = verdict.variants.iter().filter(|v| v.verdict == verdict.verdict && !v.lesser).count().saturating_sub(3);
    if more > 0 {
        let _ = writeln!(out, "\n  and {more} more of its variants: see the JSON report");
    }
    if let Some(party) = verdict.at_fault {
        line(out, "at fault", party.words());
    }
    if verdict.verdict == Verdict::Broken {
        line(out, "harm", &verdict.harm);
        line(out, "fix", &verdict.fix);
        line(out, "more", &format!("grantproof explain {}", verdict.id));
    }
    out.push('\n');
    Ok(())
}

fn details(out: &mut String, report: &Report, variant: &VariantVerdict) -> io::Result<()> {
    let _ = writeln!(out, "\n  {}", one(&variant.id).underline());
    let control = |number: Option<usize>| number.and_then(|n| report.controls.get(n));
    let attempts = variant.attempts.load()?;
    if let Some(before) = control_before(report, variant, attempts.last()) {
        line(out, "control", &before);
    }
    for (index, change) in variant.change.iter().enumerate() {
        line(out, if index == 0 { "change" } else { "" }, change);
    }
    line(out, "expected", &variant.expected);
    line(out, "observed", &variant.reason);
    if let Some(trial) = attempts.last() {
        for step in trial.steps.iter().filter(|s| !s.exchanges.is_empty()) {
            line(out, "", &format!("{}: {}", step.step, answer(step)));
        }
        if let Some(proof) = &trial.proof {
            line(
                out,
                "proof",
                &format!("the token at {}: {}", proof.fields.get("endpoint").map_or("the proof endpoint", String::as_str), answer(proof)),
            );
        }
    }
    if variant.verdict == Verdict::Inconclusive
        && let Some(after) = control(variant.control_after)
        && after.steps.iter().any(|s| !s.outcome.granted())
    {
        line(out, "control after", &steps(after));
    }
    if let Some(curl) = &variant.curl {
        line(out, "by hand", curl);
    }
    Ok(())
}

/// Several lines, none of which can pass for one of ours: those begin at the edge.
fn lines(text: &str) -> String {
    safe::terminal(text).replace('\n', "\n  ")
}

fn line(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "  {:<13} {}", name.dimmed(), lines(text).replace("\n  ", "\n                "));
}

fn holding(out: &mut String, verdict: &ScenarioVerdict, verbose: bool) {
    let _ = writeln!(out, "{}  {}  {}", label(verdict.verdict), one(&verdict.id).bold(), one(&verdict.title));
    if verbose {
        line(out, "seen", &verdict.reason);
    }
    if let Some(deviation) = &verdict.deviation {
        line(out, "deviation", deviation);
    }
}

/// Claims that are not enforced, and with `verbose` all of them and what was measured.
fn beside(out: &mut String, report: &Report, style: Style) {
    let enforced = report.advertised.iter().filter(|a| a.enforced == Enforced::Yes).count();
    for claim in report.advertised.iter().filter(|a| style.verbose || a.enforced == Enforced::No) {
        let _ = writeln!(out, "advertised: {}", one(&claim.told()));
    }
    if style.verbose {
        for measurement in &report.measurements {
            let (name, value) = (one(&measurement.name), one(&measurement.value()));
            let _ = writeln!(out, "measured: {name}: {value}; advised: {} ({})", one(&measurement.advice), one(&measurement.scenario));
        }
        return;
    }
    let (claims, numbers) = (report.advertised.len(), report.measurements.len());
    let claims = (claims > 0).then(|| format!("advertised: {enforced} of {claims} claims enforced"));
    let numbers = (numbers > 0).then(|| format!("measured: {numbers} number{}", if numbers == 1 { "" } else { "s" }));
    let told: Vec<String> = claims.into_iter().chain(numbers).collect();
    if !told.is_empty() {
        let _ = writeln!(out, "{} (--verbose shows them)", told.join("; "));
    }
}

fn summary(out: &mut String, report: &Report, style: Style) {
    let s = &report.summary;
    let selected = report.verdicts.iter().filter(|v| v.selected).count();
    let skipped: Vec<&ScenarioVerdict> = report.verdicts.iter().filter(|v| v.selected && v.verdict == Verdict::Skipped).collect();
    let implied = if s.implied > 0 { format!(" ({} of them follow from another)", s.implied) } else { String::new() };
    let deviations = if s.deviations > 0 { format!(" ({} with a deviation)", s.deviations) } else { String::new() };
    let _ = writeln!(
        out,
        "{}: {} holds{deviations}, {} broken{implied}, {} inconclusive, {} not applicable, {} skipped",
        one(&report.target.name).bold(),
        s.holds,
        s.broken,
        s.inconclusive,
        s.not_applicable,
        skipped.len()
    );
    let _ = writeln!(out, "{selected} scenarios, {} requests, profile {}", report.run.requests, report.run.profile.name());
    if let Some(permission) = &report.target.permission {
        let _ = writeln!(out, "permitted by {} until {}", one(&permission.by), one(&permission.until));
    }
    // On this machine it goes with the server; elsewhere somebody has to know.
    if style.verbose || !report.target.loopback || !report.cleaned_up.is_empty() {
        for (what, list) in [("cleaned up", &report.cleaned_up), ("left on the server", &report.remains)] {
            if !list.is_empty() {
                let _ = writeln!(out, "{what}: {}", one(&list.join("; ")));
            }
        }
    }
    if s.waived > 0 {
        let ids: Vec<&str> = report.verdicts.iter().filter(|v| v.waived.is_some()).map(|v| v.id.as_str()).collect();
        let _ = writeln!(out, "waived: {}", one(&ids.join(", ")));
    }
    if let Some(baseline) = &report.baseline {
        let _ = writeln!(out, "held against {} of {}", one(&baseline.file), one(&baseline.started));
        for (what, ids) in [("fixed since", &baseline.fixed), ("no longer decided", &baseline.lost)] {
            if !ids.is_empty() {
                let _ = writeln!(out, "{what}: {}", one(&ids.join(", ")));
            }
        }
    }
    let skipped: Vec<&ScenarioVerdict> = skipped.into_iter().filter(|v| v.not_waited.is_none()).collect();
    if !skipped.is_empty() {
        let ids: Vec<&str> = skipped.iter().map(|v| v.id.as_str()).collect();
        let _ = writeln!(out, "not tested: {}", one(&ids.join(", ")));
    }
    // A variant that could not run is said as well, also where the others hold.
    let mut lacking: Vec<(String, &str)> = report
        .verdicts
        .iter()
        .filter(|v| v.selected)
        .flat_map(|v| &v.variants)
        .filter(|v| v.verdict == Verdict::Skipped && v.not_waited.is_none())
        .map(|v| (v.reason.clone(), v.id.as_str()))
        .collect();
    lacking.sort();
    for reasons in lacking.chunk_by(|a, b| a.0 == b.0) {
        let ids: Vec<&str> = reasons.iter().map(|(_, id)| *id).collect();
        let _ = writeln!(out, "left out, {}: {}", one(&reasons[0].0), one(&ids.join(", ")));
    }
    beside(out, report, style);
    if let Some(text) = not_waited(report) {
        let _ = writeln!(out, "{}", one(&text));
    }
    let _ = writeln!(out, "gate: {}", one(&super::gate::of(report).words));
}
