//! Holds a report against an earlier one: what is new, worse, as it was or better, and what is no longer known.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::report::{Baseline, Report, ScenarioVerdict, Since};
use crate::model::verdict::Verdict;

use super::waive::is_finding;

/// Marks the findings of a report, and notes what became of those of the earlier one.
pub fn hold_against(report: &mut Report, earlier: &Report, file: &str) {
    let before: BTreeMap<&str, &ScenarioVerdict> = earlier.verdicts.iter().map(|v| (v.id.as_str(), v)).collect();
    let (mut fixed, mut lost) = (Vec::new(), Vec::new());
    for verdict in &mut report.verdicts {
        let old = before.get(verdict.id.as_str()).copied();
        if is_finding(verdict) {
            verdict.since_baseline = Some(since(old, verdict));
        }
        let Some(old) = old else { continue };
        if is_fixed(old, verdict) {
            fixed.push(verdict.id.clone());
        } else if is_lost(old, verdict) {
            lost.push(verdict.id.clone());
        }
    }
    // The catalogue may have lost some.
    let now: BTreeSet<&str> = report.verdicts.iter().map(|v| v.id.as_str()).collect();
    lost.extend(earlier.verdicts.iter().filter(|v| decided(v) && !now.contains(v.id.as_str())).map(|v| v.id.clone()));
    report.baseline = Some(Baseline {
        file: file.to_owned(),
        started: earlier.run.started.clone(),
        version: earlier.run.version.clone(),
        catalogue_digest: earlier.run.catalogue_digest.clone(),
        fixed,
        lost,
    });
}

/// How a finding stands to what was known of the same scenario; None: nothing was.
pub fn since(old: Option<&ScenarioVerdict>, new: &ScenarioVerdict) -> Since {
    let Some(old) = old.filter(|old| is_finding(old)) else {
        return Since::New;
    };
    let further = broken(new).difference(&broken(old)).next().is_some() && old.verdict == Verdict::Broken;
    match rank(new).cmp(&rank(old)) {
        std::cmp::Ordering::Greater => Since::Worse,
        _ if further => Since::Worse,
        std::cmp::Ordering::Less => Since::Better,
        std::cmp::Ordering::Equal if broken(new).len() < broken(old).len() => Since::Better,
        std::cmp::Ordering::Equal => Since::Same,
    }
}

/// Something was said of the defense.
pub fn decided(verdict: &ScenarioVerdict) -> bool {
    matches!(verdict.verdict, Verdict::Holds | Verdict::Broken | Verdict::NotApplicable)
}

/// It was a finding, and holds now.
pub fn is_fixed(old: &ScenarioVerdict, new: &ScenarioVerdict) -> bool {
    is_finding(old) && matches!(new.verdict, Verdict::Holds | Verdict::NotApplicable)
}

/// It was decided, and is not any more: the quiet regression that a count hides.
pub fn is_lost(old: &ScenarioVerdict, new: &ScenarioVerdict) -> bool {
    decided(old) && !decided(new)
}

/// How bad a finding is.
fn rank(verdict: &ScenarioVerdict) -> (u8, bool) {
    (verdict.verdict.weight(), verdict.confirmed)
}

/// The variants that are broken.
pub fn broken(verdict: &ScenarioVerdict) -> BTreeSet<&str> {
    verdict.variants.iter().filter(|v| v.verdict == Verdict::Broken && !v.lesser).map(|v| v.id.as_str()).collect()
}
