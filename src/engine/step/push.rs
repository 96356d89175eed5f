//! The endpoint for pushed authorization requests (RFC 9126 §2).

use crate::engine::{RawStep, RunningTrial, answer, delivery};
use crate::model::observation::Outcome;

use super::back_channel::{self, To};
use super::{Ready, pushed};

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(endpoint) = trial.engine.facts().endpoints_of(step.client).pushed_authorization.clone() else {
        return RawStep::not_sent("the target has no endpoint for pushed requests");
    };
    let parameters = match pushed::signed(trial, step) {
        Ok(signed) => signed.unwrap_or_else(|| step.parameters.clone()),
        Err(missing) => return RawStep::missing(&missing),
    };
    let mut raw = RawStep::default();
    let to = To { endpoint: &endpoint, parameters: &parameters, transport: &step.planned.transport, proves: true };
    let (request, answer) = match back_channel::send(trial, step, &to, &mut raw).await {
        Ok(exchanged) => exchanged,
        Err(missing) => return RawStep::missing(&missing),
    };
    raw.sent.extend(step.own());
    raw.undelivered = delivery::undelivered(step.planned, &step.parameters, &request);
    match &answer {
        Ok(response) => {
            raw.field("status", Some(response.status.to_string()));
            raw.shape = answer::shape(response);
            for name in ["request_uri", "expires_in", "error", "error_description"] {
                raw.field(name, answer::member(response, name).filter(|text| !text.is_empty()));
            }
            (raw.outcome, raw.note) = match answer::pushed(response) {
                Ok(_) => (Some(Outcome::Accepted), String::new()),
                Err((outcome, note)) => (Some(outcome), note),
            };
        }
        Err(failure) => {
            let (outcome, note) = answer::failed(failure);
            (raw.outcome, raw.note) = (Some(outcome), note);
        }
    }
    raw.exchanges.push((request, answer));
    raw
}
