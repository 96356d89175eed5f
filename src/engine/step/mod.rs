//! One driver for each kind of step.

mod authorization_request;
mod token_request;
mod token_use;

use crate::model::step::{Origin, PlannedStep, StepKind};
use crate::target::Client;

use super::delivery::Sent;
use super::eval::{Actor, Missing};
use super::{RawStep, RunningTrial};

/// Drives one step of a trial.
pub async fn drive(trial: &mut RunningTrial<'_>, planned: &PlannedStep) -> RawStep {
    let Some(client) = trial.client(planned.client) else {
        return RawStep::not_sent(format!("the target has no {} client", planned.client.name()));
    };
    let actor = trial.actor(Some(client), planned.user);
    let parameters = match evaluate(trial, planned, &actor) {
        Ok(parameters) => parameters,
        Err(missing) => return RawStep::missing(&missing),
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
    pub parameters: Vec<Sent>,
}

fn evaluate(trial: &RunningTrial<'_>, planned: &PlannedStep, actor: &Actor) -> Result<Vec<Sent>, Missing> {
    planned
        .parameters
        .iter()
        .map(|parameter| {
            let value = trial.evaluate(&parameter.value, actor)?;
            Ok(Sent {
                name: parameter.name.clone(),
                value,
                place: parameter.place,
                raw: planned.transport.unencoded.contains(&parameter.name),
                changed: parameter.origin != Origin::Kept,
            })
        })
        .collect()
}
