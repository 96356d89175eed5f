//! Which trials of a case follow on others: the repetition that confirms a harm, and the next value of a measurement.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::observation::Trial;
use crate::model::step::PlannedStep;
use crate::plan::Case;

/// The steps of the repetition: `confirm_after` stands before the first step that the attack added, or in which it tries several tokens,
/// where that step was granted the first time. What was refused at once has no grace window that could be waited out.
pub fn confirming<'c>(case: &'c Case<'_>, first: &Trial) -> Cow<'c, [Arc<PlannedStep>]> {
    let added = case.steps.iter().position(|s| s.added || s.each.is_some());
    let granted = |at: usize| first.step(&case.steps[at].name).is_none_or(|s| s.outcome.granted());
    match (&case.attack.confirm_after, added.filter(|at| granted(*at))) {
        (Some(pause), Some(at)) => {
            let mut steps = case.steps.clone();
            Arc::make_mut(&mut steps[at]).wait = Some(pause.clone());
            Cow::Owned(steps)
        }
        _ => Cow::Borrowed(&case.steps),
    }
}

/// A case that stands for itself, or the cases of an attack that measures: in their order, for as long as they are taken.
pub type Ladder<'a> = Vec<(usize, Case<'a>, Option<usize>)>;

/// Whether a case is the next one of a ladder. Where each of them waits, and may do so beside the others, they begin together.
pub fn is_next(ladder: &Ladder<'_>, case: &Case<'_>) -> bool {
    let same = |(_, last, _): &(usize, Case<'_>, Option<usize>)| last.scenario.id == case.scenario.id && last.attack.id == case.attack.id;
    case.attack.measures && (case.alone() || !case.waits()) && ladder.last().is_some_and(same)
}
