//! `replay`: a finding once more, request by request, and whether it is still there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::suggestion;
use crate::lab::LabConfig;
use crate::model::report::{Report, VariantVerdict};
use crate::model::scenario::Scenario;
use crate::model::verdict::Verdict;
use crate::report::safe::line as safe;
use crate::report::{build, gate, read, requests};
use crate::run::{Options, Watcher};
use crate::scenario::catalogue::Catalogue;

use super::args::{Progress, Replay};
use super::colour::Colour;
use super::progress::Watch;
use super::run::allowed;
use super::trace::Trace;
use super::{Failure, drive, inputs, print};

/// # Errors
/// No such scenario or report (2), or a lab that cannot be started (3).
pub fn replay(arguments: &Replay, _colour: Colour) -> Result<u8, Failure> {
    let mut catalogue = inputs::catalogue(arguments.scenarios.as_deref())?;
    let (flaws, habits) = (inputs::flaws(&arguments.flaw)?, inputs::habits(&arguments.habit)?);
    let target = match &arguments.target {
        Some(path) => Some(crate::target::load::from_file(path).map_err(|list| inputs::diagnostics(&list))?),
        None => None,
    };
    let name = target.as_ref().map_or_else(|| inputs::lab_name(&flaws, &habits), |t| t.name.clone());
    let before = match &arguments.from {
        Some(path) => Some(one_of(read::file(path).map_err(Failure::input)?, &name, &path.display().to_string())?),
        None => None,
    };
    let ids = if arguments.ids.is_empty() { before.as_ref().map(findings).unwrap_or_default() } else { arguments.ids.clone() };
    if ids.is_empty() {
        print("nothing is broken in the report\n")?;
        return Ok(gate::PASSED);
    }
    let chosen = narrow(&mut catalogue, &ids, before.as_ref())?;
    let selected: Vec<&Scenario> = chosen.keys().filter_map(|id| catalogue.scenarios.get(id)).collect();
    let trace = arguments.trace.as_deref().map(Trace::open).transpose()?;
    let verbose = if arguments.verbose { 2 } else { u8::from(!arguments.quiet) };
    let watch = Arc::new(Watch::new(Progress::None, false, verbose, trace));
    let options = Options {
        allow: allowed(&arguments.allow, target.as_ref()),
        // Who asks for one finding waits for it.
        patience: Duration::from_secs(24 * 3600),
        clean_up: target.as_ref().is_some_and(|t| !t.is_loopback()),
        watcher: Some(watch.clone() as Arc<dyn Watcher>),
        ..Options::default()
    };
    let driven = drive::drive(&catalogue, &selected, target, LabConfig { flaws, habits, ..LabConfig::default() }, &options, &watch)?;
    if let Some(error) = watch.trace_error() {
        eprintln!("warning: not all of the trace is kept: {error}");
    }
    let report = build::report(&catalogue, driven.recording).map_err(Failure::lost_evidence)?;
    print(&told(&report, before.as_ref())?)?;
    let variants = || report.verdicts.iter().filter(|v| v.selected).flat_map(|v| &v.variants);
    let code = if report.fatal.is_some() {
        gate::NOT_TESTED
    } else if variants().any(|v| v.verdict == Verdict::Broken) {
        gate::BROKEN
    } else if variants().any(|v| matches!(v.verdict, Verdict::Inconclusive | Verdict::Skipped)) {
        gate::UNDECIDED
    } else {
        gate::PASSED
    };
    Ok(driven.signal.unwrap_or(code))
}

fn one_of(reports: Vec<Report>, target: &str, file: &str) -> Result<Report, Failure> {
    let single = reports.len() == 1;
    let names: Vec<String> = reports.iter().map(|r| safe(&r.target.name)).collect();
    reports.into_iter().find(|r| single || r.target.name == target).ok_or_else(|| {
        Failure::input(format!(
            "error: {file}: there is no report of the target `{}`; it has: {}\n  = help: give the target file of one of them with --target",
            safe(target),
            names.join(", ")
        ))
    })
}

/// The variants that are broken, of causes before what follows from them.
fn findings(report: &Report) -> Vec<String> {
    let broken = report.verdicts.iter().filter(|v| v.verdict == Verdict::Broken && v.implied_by.is_none());
    broken.flat_map(|v| &v.variants).filter(|v| v.verdict == Verdict::Broken && !v.lesser).map(|v| v.id.clone()).collect()
}

/// Leaves in each chosen scenario only what was asked for, and gives the ids of scenarios with what is left of them.
fn narrow(catalogue: &mut Catalogue, ids: &[String], before: Option<&Report>) -> Result<BTreeMap<String, ()>, Failure> {
    let mut wanted: BTreeMap<String, Vec<(String, Option<String>)>> = BTreeMap::new();
    for id in ids {
        let scenario = crate::target::waivers::scenario_of(id);
        let Some(known) = catalogue.scenarios.get(scenario) else {
            let help = suggestion(id, catalogue.scenarios.keys().map(String::as_str)).filter(|s| s.starts_with("did you"));
            return Err(Failure::input(format!(
                "error: no scenario `{}`\n  = help: {}",
                safe(id),
                help.unwrap_or_else(|| "see `grantproof list`".into())
            )));
        };
        let variants: Vec<(String, Option<String>)> = match id.strip_prefix(scenario).and_then(|rest| rest.strip_prefix('/')) {
            // Of a whole scenario, what was broken in the report.
            None => match before.and_then(|r| r.verdicts.iter().find(|v| v.id == scenario && v.verdict == Verdict::Broken)) {
                Some(verdict) => verdict
                    .variants
                    .iter()
                    .filter(|v| v.verdict == Verdict::Broken)
                    .filter_map(|v| split(v.id.get(scenario.len() + 1..)?))
                    .collect(),
                None => known.attacks.iter().map(|a| (a.id.clone(), None)).collect(),
            },
            Some(variant) => split(variant).into_iter().collect(),
        };
        for (attack, word) in &variants {
            let words = |a: &crate::model::scenario::Attack| {
                word.as_ref().is_none_or(|w| a.is_race() || a.for_each.as_ref().is_some_and(|(_, all)| all.contains(w)))
            };
            if !known.attacks.iter().any(|a| a.id == *attack && words(a)) {
                let all: Vec<String> = known.attacks.iter().map(|a| format!("{scenario}/{}", a.id)).collect();
                return Err(Failure::input(format!("error: no variant `{}`\n  = help: the scenario has {}", safe(id), all.join(", "))));
            }
        }
        wanted.entry(scenario.to_owned()).or_default().extend(variants);
    }
    for (id, variants) in &wanted {
        let Some(scenario) = catalogue.scenarios.get_mut(id) else { continue };
        scenario.attacks.retain(|attack| variants.iter().any(|(name, _)| *name == attack.id));
        for attack in scenario.attacks.iter_mut().filter(|a| !a.is_race()) {
            let words: Vec<&Option<String>> = variants.iter().filter(|(name, _)| *name == attack.id).map(|(_, word)| word).collect();
            if let Some((_, all)) = attack.for_each.as_mut().filter(|_| words.iter().all(|w| w.is_some())) {
                all.retain(|word| words.iter().any(|w| w.as_ref() == Some(word)));
            }
        }
    }
    Ok(wanted.into_keys().map(|id| (id, ())).collect())
}

/// `random[word]` → attack and word.
fn split(variant: &str) -> Option<(String, Option<String>)> {
    match variant.split_once('[') {
        Some((attack, rest)) => Some((attack.to_owned(), Some(rest.strip_suffix(']')?.to_owned()))),
        None => Some((variant.to_owned(), None)),
    }
}

/// What became of each variant, and whether the requests were those of the report.
fn told(report: &Report, before: Option<&Report>) -> Result<String, Failure> {
    let mut lines = Vec::new();
    if let Some(fatal) = &report.fatal {
        lines.push("fatal: nothing was judged".to_owned());
        lines.extend(fatal.lines().map(|line| format!("  {}", safe(line))));
    }
    for variant in report.verdicts.iter().filter(|v| v.selected).flat_map(|v| &v.variants) {
        let old = before.and_then(|r| r.verdicts.iter().flat_map(|v| &v.variants).find(|v| v.id == variant.id));
        lines.push(format!("{}  {}", outcome(variant, old), safe(&variant.id)));
        lines.push(format!("  {}", safe(&variant.reason)));
        if let Some(old) = old {
            let unreadable = |e: std::io::Error| Failure::input(format!("error: the report: {e}"));
            let (then, now) = (old.attempts.load().map_err(unreadable)?, variant.attempts.load().map_err(unreadable)?);
            match (then.first(), now.first()) {
                (Some(then), Some(now)) => match requests::difference(then, now) {
                    None => lines.push(format!("  the same {} requests as in the report", requests::count(now))),
                    Some(difference) => lines.push(format!("  other requests than in the report: {}", safe(&difference))),
                },
                _ => lines.push("  nothing was sent, then or now".into()),
            }
        }
        if let Some(curl) = &variant.curl {
            lines.push(format!("  {}", safe(curl)));
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn outcome(now: &VariantVerdict, then: Option<&VariantVerdict>) -> &'static str {
    let was = then.is_some_and(|v| v.verdict == Verdict::Broken);
    match now.verdict {
        Verdict::Broken if was => "STILL BROKEN",
        Verdict::Broken => "BROKEN",
        Verdict::Holds | Verdict::NotApplicable if was => "FIXED",
        Verdict::Holds => "HOLDS",
        Verdict::NotApplicable => "NOT APPLICABLE",
        Verdict::Inconclusive => "UNDECIDED",
        Verdict::Skipped => "SKIPPED",
    }
}
