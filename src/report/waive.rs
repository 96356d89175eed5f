//! Marks what is accepted for a while. A waived finding stays what it is in every report; only the gate passes it.

use std::collections::BTreeMap;

use crate::model::report::{Report, ScenarioVerdict, Waived};
use crate::model::verdict::Verdict;

/// Marks findings with the waivers that name them, and gives the indices of waivers that nothing needs any more: what
/// they name was tried, and is no finding.
pub fn waive(report: &mut Report, waivers: &[Waived]) -> Vec<usize> {
    let mut needed = vec![false; waivers.len()];
    for verdict in &mut report.verdicts {
        let whole = waivers.iter().position(|w| w.id == verdict.id);
        if let Some(index) = whole {
            // What was not chosen, or could not be run at all, says nothing about the waiver.
            needed[index] |= is_finding(verdict) || !verdict.selected;
        }
        for variant in &mut verdict.variants {
            let attack = variant.id.find('[').map_or(variant.id.as_str(), |end| &variant.id[..end]);
            let own = waivers.iter().position(|w| w.id == variant.id || w.id == attack);
            let finding = matches!(variant.verdict, Verdict::Broken | Verdict::Inconclusive | Verdict::Skipped);
            if let Some(index) = own {
                needed[index] |= finding;
            }
            if finding {
                variant.waived = own.or(whole).and_then(|index| waivers.get(index)).cloned();
            }
        }
        if is_finding(verdict) {
            let mut counted = verdict.variants.iter().filter(|v| v.verdict == verdict.verdict && !v.lesser).peekable();
            let by_variants = if counted.peek().is_some() && counted.clone().all(|v| v.waived.is_some()) {
                counted.find_map(|v| v.waived.clone())
            } else {
                None
            };
            verdict.waived = whole.and_then(|index| waivers.get(index)).cloned().or(by_variants);
        }
        if !verdict.selected || verdict.variants.is_empty() {
            for (index, waiver) in waivers.iter().enumerate() {
                needed[index] |= waiver.id.starts_with(&format!("{}/", verdict.id));
            }
        }
    }
    consequences(report);
    report.summary = super::build::summary(&report.verdicts);
    if report.fatal.is_some() || !report.run.complete {
        return Vec::new();
    }
    needed.iter().enumerate().filter(|(_, needed)| !**needed).map(|(index, _)| index).collect()
}

/// What follows from a waived finding is counted there, and so it is waived with it.
fn consequences(report: &mut Report) {
    let mut causes: BTreeMap<String, Waived> = BTreeMap::new();
    for verdict in &report.verdicts {
        causes.extend(verdict.waived.clone().map(|waived| (verdict.id.clone(), waived)));
        causes.extend(verdict.variants.iter().filter_map(|v| {
            let attack = v.id.find('[').map_or(v.id.as_str(), |end| &v.id[..end]);
            Some((attack.to_owned(), v.waived.clone()?))
        }));
    }
    for verdict in &mut report.verdicts {
        if verdict.waived.is_none()
            && let Some(waived) = verdict.implied_by.as_ref().and_then(|cause| causes.get(cause))
        {
            verdict.waived = Some(waived.clone());
        }
    }
}

/// What the gate could fail on.
pub fn is_finding(verdict: &ScenarioVerdict) -> bool {
    verdict.selected && matches!(verdict.verdict, Verdict::Broken | Verdict::Inconclusive | Verdict::Skipped)
}
