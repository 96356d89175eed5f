//! What a trial says about how the run goes on.

use crate::judge;
use crate::model::observation::Trial;
use crate::model::scenario::Control;
use crate::model::step::StepKind;
use crate::plan::Case;

/// Whether a control failed before anything reached the back channel.
pub fn in_front_channel(control: &Control, failed: &judge::Failed) -> bool {
    control.steps.iter().any(|s| s.name == failed.step && s.kind == StepKind::AuthorizationRequest)
}

/// Whether a control shows that there is nothing to attack: what the server does not have, it need not grant.
pub fn excluded(case: &Case<'_>, trial: &Trial) -> bool {
    let conditions = case.scenario.applies_when.iter().chain(&case.attack.applies_when);
    conditions.into_iter().any(|condition| judge::applies(condition, &case.control, trial, &[]) == judge::Applies::No)
}

/// Whether an attack got no further than an authorization request.
pub fn stopped_in_front_channel(trial: &Trial) -> bool {
    trial.steps.iter().any(|s| s.kind == StepKind::AuthorizationRequest && !s.outcome.granted())
}
