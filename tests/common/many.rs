//! Reports of many scenarios and targets, made of one real run: its verdicts again and again under new ids, with their
//! evidence. For sizes and times that the catalogue of today does not reach.

use std::collections::BTreeMap;

use grantproof::model::attempts::Attempts;
use grantproof::model::report::{Report, ScenarioVerdict};
use grantproof::report::build;

/// `targets` reports with `scenarios` verdicts each. Evidence is shared as text, as it is in a report that was read.
pub fn many(of: &Report, scenarios: usize, targets: usize) -> Vec<Report> {
    assert!(!of.verdicts.is_empty(), "a run without verdicts");
    let originals: Vec<ScenarioVerdict> = of.verdicts.iter().map(shared).collect();
    let ids: Vec<String> = originals.iter().map(|v| v.id.clone()).collect();
    let mut verdicts: Vec<ScenarioVerdict> =
        (0..scenarios).map(|n| renamed(&originals[n % originals.len()], n / originals.len(), &ids)).collect();
    verdicts.sort_by_key(|v| {
        (std::cmp::Reverse(v.verdict.weight()), v.implied_by.is_some(), std::cmp::Reverse((v.level, v.severity)), v.id.clone())
    });
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for n in 0..scenarios {
        names.entry(&ids[n % ids.len()]).or_default().push(new_id(&ids[n % ids.len()], n / ids.len()));
    }
    let mut standards = of.standards.clone();
    for requirement in standards.iter_mut().flat_map(|s| &mut s.requirements) {
        requirement.scenarios = requirement.scenarios.iter().flat_map(|id| names.get(id.as_str()).cloned().unwrap_or_default()).collect();
    }
    let report = Report { summary: build::summary(&verdicts), verdicts, standards, gate: None, integrity: None, ..of.clone() };
    (0..targets)
        .map(|number| {
            let mut report = report.clone();
            if targets > 1 {
                report.target.name = format!("{} {}", report.target.name, number + 1);
            }
            report
        })
        .collect()
}

fn shared(verdict: &ScenarioVerdict) -> ScenarioVerdict {
    let mut verdict = verdict.clone();
    for variant in &mut verdict.variants {
        let trials = variant.attempts.load().expect("evidence").into_owned();
        variant.attempts = Attempts::Text(serde_json::value::to_raw_value(&trials).expect("JSON").into());
    }
    verdict
}

/// The first round keeps its names; the third and later ones are groups of their own.
fn new_id(id: &str, round: usize) -> String {
    let (group, name) = id.split_once('/').unwrap_or((id, "it"));
    match round {
        0 => id.to_owned(),
        1 => format!("{group}/{name}-1"),
        n => format!("{group}-more/{name}-{n}"),
    }
}

fn renamed(verdict: &ScenarioVerdict, round: usize, ids: &[String]) -> ScenarioVerdict {
    // A scenario, or one of its attacks.
    let rename = |name: &str| {
        let scenario = ids
            .iter()
            .filter(|id| name == *id || name.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with('/')))
            .max_by_key(|id| id.len());
        scenario.map_or_else(|| name.to_owned(), |id| format!("{}{}", new_id(id, round), &name[id.len()..]))
    };
    let mut verdict = verdict.clone();
    verdict.id = rename(&verdict.id);
    verdict.implied_by = verdict.implied_by.as_deref().map(rename);
    for variant in &mut verdict.variants {
        variant.id = rename(&variant.id);
        variant.implied_by = variant.implied_by.as_deref().map(rename);
    }
    verdict
}
