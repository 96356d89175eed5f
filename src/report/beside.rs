//! What stands beside the verdicts: claims of the metadata, and measurements.

use std::collections::BTreeMap;

use crate::model::finding::{Advertised, MeasuredBy, Measurement, Tested};
use crate::model::observation::Trial;
use crate::model::report::{Report, ScenarioVerdict, VariantVerdict};
use crate::scenario::catalogue::Catalogue;

/// Each claim of the metadata that a selected scenario tests.
pub fn advertised(catalogue: &Catalogue, verdicts: &[ScenarioVerdict], says: &BTreeMap<String, String>) -> Vec<Advertised> {
    let mut claims: BTreeMap<String, Vec<Tested>> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|v| v.selected) {
        let Some(scenario) = catalogue.scenarios.get(&verdict.id) else { continue };
        for claim in &scenario.claimed_by {
            if let Some(said) = says.get(&claim.member).filter(|said| claim.is_made(said)) {
                let tested = Tested { scenario: verdict.id.clone(), verdict: verdict.verdict, reason: verdict.reason.clone() };
                claims.entry(format!("{}: {said}", claim.member)).or_default().push(tested);
            }
        }
    }
    in_order(claims.into_iter().map(|(claim, tested)| Advertised::new(claim, tested)).collect())
}

fn in_order(mut all: Vec<Advertised>) -> Vec<Advertised> {
    all.sort_by(|a, b| a.enforced.cmp(&b.enforced).then_with(|| a.claim.cmp(&b.claim)));
    all
}

/// What the selected scenarios measured.
pub fn measurements(catalogue: &Catalogue, verdicts: &[ScenarioVerdict], controls: &[Trial]) -> Vec<Measurement> {
    let mut all = Vec::new();
    for (id, scenario) in &catalogue.scenarios {
        let Some(verdict) = verdicts.iter().find(|v| v.id == *id && v.selected) else { continue };
        for measure in &scenario.measures {
            let mut measurement = Measurement {
                name: measure.name.clone(),
                unit: measure.unit.clone(),
                stated: None,
                taken: None,
                refused: None,
                words: measure.words.clone(),
                advice: measure.advice.clone(),
                basis: measure.basis.clone(),
                scenario: id.clone(),
                variants: Vec::new(),
            };
            match &measure.by {
                MeasuredBy::Field { step, field } => {
                    let own = |variant: &VariantVerdict| controls.get(variant.control_before?)?.step(step)?.fields.get(field)?.parse().ok();
                    measurement.stated = verdict.variants.iter().find_map(own);
                }
                MeasuredBy::Attack(attack) => {
                    let own = format!("{id}/{attack}[");
                    let probes = verdict.variants.iter().filter(|v| v.id.starts_with(&own)).filter_map(|v| Some((&v.id, v.measured?)));
                    for (id, probe) in probes {
                        match probe.taken {
                            Some(true) => measurement.taken = measurement.taken.max(Some(probe.value)),
                            Some(false) => measurement.refused = Some(measurement.refused.map_or(probe.value, |n| n.min(probe.value))),
                            None => continue,
                        }
                        measurement.variants.push(id.clone());
                    }
                }
            }
            if measurement.stated.is_some() || !measurement.variants.is_empty() {
                all.push(measurement);
            }
        }
    }
    all
}

/// Takes what another shard found.
pub fn join(whole: &mut Report, advertised: Vec<Advertised>, measurements: Vec<Measurement>) {
    for other in advertised {
        match whole.advertised.iter_mut().find(|a| a.claim == other.claim) {
            Some(own) => {
                let tested = own.tested_by.drain(..).chain(other.tested_by).collect();
                *own = Advertised::new(other.claim, tested);
            }
            None => whole.advertised.push(other),
        }
    }
    whole.advertised = in_order(std::mem::take(&mut whole.advertised));
    whole.measurements.extend(measurements);
    whole.measurements.sort_by(|a, b| a.scenario.cmp(&b.scenario));
}
