//! One driver for each kind of step.

mod authorization_request;
mod token_request;
mod token_use;

use crate::model::step::{PlannedStep, StepKind};
use crate::target::Client;

use super::eval::{self, Actor};
use super::{RawStep, RunningTrial};
use crate::model::observation::Outcome;

/// Drives one step of a trial.
pub async fn drive(trial: &mut RunningTrial<'_>, planned: &PlannedStep) -> RawStep {
    let Some(client) = trial.client(planned.client) else {
        return RawStep::not_sent(format!("the target has no {} client", planned.client.name()));
    };
    let actor = trial.actor(Some(client), planned.user);
    let parameters = match evaluate(trial, planned, &actor) {
        Ok(parameters) => parameters,
        Err(why) => return why,
    };
    let step = Ready { planned, client, actor, parameters };
    match planned.kind {
        StepKind::AuthorizationRequest => authorization_request::drive(trial, &step).await,
        StepKind::TokenRequest => token_request::drive(trial, &step).await,
        StepKind::ResourceRequest => token_use::resource(trial, &step).await,
        StepKind::IntrospectionRequest => token_use::introspection(trial, &step).await,
        StepKind::RevocationRequest => token_use::revocation(trial, &step).await,
    }
}

/// A step whose values are known.
pub struct Ready<'a> {
    pub planned: &'a PlannedStep,
    pub client: &'a Client,
    pub actor: Actor,
    pub parameters: Vec<super::delivery::Sent>,
}

fn evaluate(trial: &RunningTrial<'_>, planned: &PlannedStep, actor: &Actor) -> Result<Vec<super::delivery::Sent>, RawStep> {
    planned
        .parameters
        .iter()
        .map(|parameter| {
            let value = trial.evaluate(&parameter.value, actor).map_err(|missing| match missing.0.strip_prefix(eval::NO_SUCH_FORM) {
                Some(why) => RawStep { outcome: Some(Outcome::Impossible), note: why.to_owned(), ..RawStep::default() },
                None => RawStep::not_sent(format!("`{}` has no value: {} never came", parameter.name, missing.0)),
            })?;
            Ok(super::delivery::Sent {
                name: parameter.name.clone(),
                value,
                place: parameter.place,
                raw: planned.transport.unencoded.contains(&parameter.name),
                changed: parameter.origin != crate::model::step::Origin::Kept,
            })
        })
        .collect()
}
