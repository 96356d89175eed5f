//! Joins reports: shards of one target become one report; reports of several targets stand side by side.

use std::collections::BTreeSet;

use crate::model::report::{Integrity, Origin, Report, ScenarioVerdict};
use crate::scenario::catalogue::Catalogue;

/// A report and the file that it came from.
pub struct Part {
    pub file: String,
    pub report: Report,
}

/// Joins the parts. What a finding follows from is looked up again across shards where the catalogue is the one that
/// they were made with.
///
/// # Errors
/// Shards that overlap, that are missing, or that were not made alike; with the files and what to do.
pub fn merge(parts: Vec<Part>, catalogue: &Catalogue) -> Result<Vec<Report>, String> {
    let mut targets: Vec<Vec<Part>> = Vec::new();
    for part in parts {
        let same = |list: &&mut Vec<Part>| list.first().is_some_and(|p| p.report.target.name == part.report.target.name);
        match targets.iter_mut().find(same) {
            Some(list) => list.push(part),
            None => targets.push(vec![part]),
        }
    }
    targets.into_iter().map(|parts| one_target(parts, catalogue)).collect()
}

fn one_target(mut parts: Vec<Part>, catalogue: &Catalogue) -> Result<Report, String> {
    missing(&parts)?;
    if parts.len() == 1 {
        return Ok(parts.remove(0).report);
    }
    alike(&parts)?;
    overlapping(&parts)?;
    let made_of = parts.iter().map(origin).collect();
    let mut parts = parts.into_iter().map(|p| p.report);
    let Some(mut whole) = parts.next() else {
        return Err("error: nothing to merge".into());
    };
    for part in parts {
        join(&mut whole, part);
    }
    whole.made_of = made_of;
    whole.run.partition = None;
    whole.gate = None;
    whole.baseline = None;
    whole.integrity = None;
    for verdict in &mut whole.verdicts {
        verdict.waived = None;
        verdict.since_baseline = None;
    }
    if whole.run.catalogue_digest == catalogue.digest {
        super::build::file_under_causes(catalogue, &mut whole.verdicts);
    } else {
        whole.warnings.push("what follows from what was looked up in each shard alone: the merge was made with another catalogue".into());
    }
    super::build::worst_first(&mut whole.verdicts);
    whole.summary = super::build::summary(&whole.verdicts);
    Ok(whole)
}

fn origin(part: &Part) -> Origin {
    let integrity: Option<&Integrity> = part.report.integrity.as_ref();
    Origin {
        file: part.file.clone(),
        digest: integrity.map(|i| i.digest.clone()).unwrap_or_default(),
        signed_by: integrity.and_then(|i| i.signature.as_ref()).map(|s| s.public_key.clone()),
    }
}

/// The same target file, catalogue, program and profile.
fn alike(parts: &[Part]) -> Result<(), String> {
    let facts = |report: &Report| {
        // On loopback each job may have started a server of its own.
        let issuer = if report.target.loopback { String::new() } else { report.target.issuer.clone() };
        [
            ("issuer", issuer),
            ("target file", report.target.digest.clone()),
            ("catalogue", report.run.catalogue_digest.clone()),
            ("version of grantproof", report.run.version.clone()),
            ("profile", report.run.profile.name().to_owned()),
        ]
    };
    for pair in parts.windows(2) {
        let [a, b] = pair else { continue };
        for ((what, left), (_, right)) in facts(&a.report).iter().zip(facts(&b.report)) {
            if *left != right {
                return Err(format!(
                    "error: {} and {} are of the target `{}` with another {what}\n  = help: shards of one report are made alike; reports made at other times are compared with `grantproof diff`",
                    a.file,
                    b.file,
                    super::safe::terminal(&a.report.target.name)
                ));
            }
        }
    }
    Ok(())
}

/// Every shard that the others say there is.
fn missing(parts: &[Part]) -> Result<(), String> {
    let shard = |text: &str| text.split_once('/').and_then(|(k, n)| Some((k.parse::<usize>().ok()?, n.parse::<usize>().ok()?)));
    let shards: Vec<(usize, usize)> = parts.iter().filter_map(|p| shard(p.report.run.partition.as_deref()?)).collect();
    let Some((_, of)) = shards.first().copied() else {
        return Ok(());
    };
    if let Some((k, n)) = shards.iter().find(|(_, n)| *n != of) {
        return Err(format!("error: shard {k}/{n} is of another partition than those of {of}\n  = help: give all shards of one run"));
    }
    let there: BTreeSet<usize> = shards.iter().map(|(k, _)| *k).collect();
    let lacking: Vec<String> = (1..=of.min(10_000)).filter(|k| !there.contains(k)).map(|k| format!("{k}/{of}")).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(format!(
        "error: missing shards: {}\n  = help: what was not tested must not look as if it was: give their reports too",
        lacking.join(", ")
    ))
}

fn overlapping(parts: &[Part]) -> Result<(), String> {
    let mut seen: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
    for part in parts {
        for verdict in part.report.verdicts.iter().filter(|v| v.selected) {
            if let Some(first) = seen.insert(&verdict.id, &part.file) {
                return Err(format!(
                    "error: {first} and {} both judged {}\n  = help: give one of them, or compare them with `grantproof diff`",
                    part.file,
                    super::safe::terminal(&verdict.id)
                ));
            }
        }
    }
    Ok(())
}

/// Takes the verdicts of another shard; its controls get the numbers after those that are there.
fn join(whole: &mut Report, part: Report) {
    let offset = whole.controls.len();
    whole.controls.extend(part.controls);
    whole.negative_controls.extend(part.negative_controls);
    for mut verdict in part.verdicts {
        for variant in &mut verdict.variants {
            variant.control_before = variant.control_before.map(|n| n.saturating_add(offset));
            variant.control_after = variant.control_after.map(|n| n.saturating_add(offset));
        }
        match whole.verdicts.iter_mut().find(|v| v.id == verdict.id) {
            Some(place) => take(place, verdict),
            None => whole.verdicts.push(verdict),
        }
    }
    super::beside::join(whole, part.advertised, part.measurements);
    whole.fatal = whole.fatal.take().or(part.fatal);
    let more = |list: &mut Vec<String>, others: Vec<String>| {
        for text in others {
            if !list.contains(&text) {
                list.push(text);
            }
        }
    };
    more(&mut whole.warnings, part.warnings);
    more(&mut whole.cleaned_up, part.cleaned_up);
    more(&mut whole.remains, part.remains);
    let (run, other) = (&mut whole.run, part.run);
    // RFC 3339 in UTC: the order of the texts is that of the times.
    run.started = run.started.clone().min(other.started);
    run.finished = run.finished.clone().max(other.finished);
    run.complete &= other.complete;
    run.interrupted = run.interrupted.take().or(other.interrupted);
    run.requests = run.requests.saturating_add(other.requests);
    run.server_millis = run.server_millis.saturating_add(other.server_millis);
}

fn take(place: &mut ScenarioVerdict, verdict: ScenarioVerdict) {
    if verdict.selected {
        *place = verdict;
    }
}
