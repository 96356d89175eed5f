//! What becomes a result: one for each attack, whatever words it was tried with, and one hole once.

use crate::model::report::{Report, ScenarioVerdict, VariantVerdict};
use crate::model::verdict::Verdict;
use crate::report::gate;
use crate::report::view::{self, Standing, findings};

/// What one result is made of.
pub struct Told<'r> {
    pub report: &'r Report,
    pub verdict: &'r ScenarioVerdict,
    pub standing: Standing,
    /// Of one attack, those without a waiver first. None where nothing was run, and the scenario is undecided as a whole.
    pub variants: Vec<&'r VariantVerdict>,
    /// Ids of the scenarios that are broken by this as well.
    pub followers: Vec<&'r str>,
}

impl Told<'_> {
    /// The attack, `scenario/attack`, or the scenario.
    pub fn id(&self) -> &str {
        self.variants.first().map_or(self.verdict.id.as_str(), |v| attack(v))
    }
}

/// The id of a variant without its word.
fn attack(variant: &VariantVerdict) -> &str {
    variant.id.split('[').next().unwrap_or(&variant.id)
}

/// The results of a report, worst first, as its verdicts are.
pub fn of(report: &Report) -> Vec<Told<'_>> {
    let gate = gate::of(report);
    let shown: Vec<(&ScenarioVerdict, Standing)> = (report.verdicts.iter().filter(|v| v.selected))
        .map(|v| (v, view::standing(v, &gate)))
        .filter(|(v, standing)| match standing {
            Standing::Failing | Standing::Undecided => true,
            Standing::Tolerated(_) => v.verdict == Verdict::Broken,
            Standing::Holds | Standing::NotApplicable | Standing::Skipped => false,
        })
        .collect();
    // A cause is a scenario, or an attack of one, and may itself follow from another; it explains what follows from it only
    // where it is told itself. What goes round in circles explains nothing.
    let cause_of = |v: &ScenarioVerdict| -> Option<&str> {
        let mut named = v.implied_by.as_deref()?;
        for _ in 0..shown.len() {
            let (cause, _) = shown
                .iter()
                .find(|(v, _)| named.strip_prefix(v.id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))?;
            match &cause.implied_by {
                None => return Some(cause.id.as_str()),
                Some(next) => named = next,
            }
        }
        None
    };
    let causes: Vec<Option<&str>> = shown.iter().map(|(v, _)| cause_of(v)).collect();
    let mut told = Vec::new();
    for (number, (verdict, standing)) in shown.iter().enumerate() {
        if causes.get(number).is_some_and(Option::is_some) {
            continue;
        }
        let mut attacks: Vec<Vec<&VariantVerdict>> = Vec::new();
        for variant in findings(verdict) {
            match attacks.iter_mut().find(|list| list.first().is_some_and(|v| attack(v) == attack(variant))) {
                Some(list) => list.push(variant),
                None => attacks.push(vec![variant]),
            }
        }
        if attacks.is_empty() {
            attacks.push(Vec::new());
        }
        let follows = shown.iter().zip(&causes).filter(|(_, cause)| **cause == Some(verdict.id.as_str()));
        let mut followers: Vec<&str> = follows.map(|((v, _), _)| v.id.as_str()).collect();
        for mut variants in attacks {
            variants.sort_by_key(|v| v.waived.is_some());
            let followers = std::mem::take(&mut followers);
            told.push(Told { report, verdict, standing: standing.clone(), variants, followers });
        }
    }
    told
}
