//! One driver for each kind of step.

mod authorization_request;
mod token_request;
mod token_use;

use crate::model::step::{Origin, PlannedStep, StepKind};
use crate::target::Client;

use super::authentication::credentials;
use super::delivery::{self, Sent};
use super::eval::{Actor, Known, Missing};
use super::http::Request;
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

impl Ready<'_> {
    /// The request to a back-channel endpoint, with client authentication; and the step so far: what is sent, and whether
    /// the change is in the bytes.
    ///
    /// # Errors
    /// A credential that cannot be had.
    pub fn post(&self, known: &Known, endpoint: &str) -> Result<(RawStep, Request), Missing> {
        let added = credentials(self.client, self.planned.authentication.as_ref(), known, &self.actor)?;
        let mut raw = RawStep::default();
        raw.sent.extend(added.parameters.iter().cloned());
        raw.sent.extend(self.parameters.iter().map(|p| (p.name.clone(), p.value.clone())));
        let request = delivery::post(endpoint, self.planned, &self.parameters, added);
        raw.undelivered = delivery::undelivered(self.planned, &self.parameters, &request);
        Ok((raw, request))
    }
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
