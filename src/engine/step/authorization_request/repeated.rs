//! What stands beside a request object, or the `request_uri` of a pushed one. RFC 9101 §5 and RFC 9126 §4 want `client_id` alone; OpenID Connect Core §6.1
//! wants `response_type` and `scope` as well. Which of the two a server goes by is found out in a control, and kept: for all request objects of that client,
//! for all that is pushed.

use crate::engine::{RawStep, RunningTrial};
use crate::model::observation::Outcome;

use super::super::{Ready, pushed};
use super::travel;

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(endpoint) = trial.engine.facts().endpoints.authorization.clone() else {
        return RawStep::not_sent("the target has no authorization endpoint");
    };
    let is_pushed = pushed::is_pushed(trial, step);
    let learned = &trial.engine.learned;
    let repeats = if is_pushed { learned.repeats_pushed() } else { learned.repeats(&step.client.id) };
    let (mut first, state) = once(trial, step, &endpoint, repeats).await;
    let Some(state) = state else { return first };
    if repeats {
        if is_pushed || step.planned.carried.is_some() {
            look_whether_read(&mut first, &state);
        }
        return first;
    }
    // Only in a control, so that no attack is ever tried twice; what is led otherwise has no callback to show anything by.
    if !trial.is_control || first.outcome != Some(Outcome::Refused) || step.planned.conduct.is_some() {
        return first;
    }
    let (mut second, state) = once(trial, step, &endpoint, true).await;
    if state.is_some_and(|state| is_read(&second, &state)) {
        match is_pushed {
            true => trial.engine.learned.repeat_pushed(),
            false => trial.engine.learned.repeat(&step.client.id),
        }
        second.exchanges.splice(0..0, first.exchanges);
        second.secret_names.extend(first.secret_names);
        return second;
    }
    first.exchanges.extend(second.exchanges);
    first.secret_names.extend(second.secret_names);
    first
}

async fn once(trial: &mut RunningTrial<'_>, step: &Ready<'_>, endpoint: &str, repeats: bool) -> (RawStep, Option<String>) {
    let mut raw = RawStep::default();
    raw.sent.extend(step.own());
    match pushed::carried(trial, step, repeats, &mut raw).await {
        Some(taken) => (travel(trial, step, endpoint, &taken.parameters, raw).await, taken.sealed_state),
        None => (raw, None),
    }
}

/// Whether the answer came to what is inside of the object: the state stands nowhere else.
fn is_read(raw: &RawStep, state: &str) -> bool {
    raw.outcome == Some(Outcome::Issued) && raw.fields.get("state").is_some_and(|returned| returned == state)
}

/// With more beside it, a code may be the answer to that alone, and says nothing about an object that the server did not look at.
fn look_whether_read(raw: &mut RawStep, state: &str) {
    if raw.outcome == Some(Outcome::Issued) && !is_read(raw, state) {
        raw.outcome = Some(Outcome::Unclear);
        raw.shape = "callback without the state of the request object".into();
        raw.note = "the answer lacks the state that is inside of the request object: it may be one to what stands beside it".into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(state: Option<&str>) -> RawStep {
        let mut raw = RawStep { outcome: Some(Outcome::Issued), ..RawStep::default() };
        raw.field("state", state);
        raw
    }

    #[test]
    fn a_code_without_the_state_from_inside_says_nothing_of_the_object() {
        for (state, expected) in [(Some("inside"), Outcome::Issued), (Some("other"), Outcome::Unclear), (None, Outcome::Unclear)] {
            let mut raw = answered(state);
            look_whether_read(&mut raw, "inside");
            assert_eq!(raw.outcome, Some(expected), "{state:?}");
        }
        let mut refused = RawStep { outcome: Some(Outcome::Refused), ..RawStep::default() };
        look_whether_read(&mut refused, "inside");
        assert_eq!(refused.outcome, Some(Outcome::Refused));
    }
}
