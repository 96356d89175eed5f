//! Pushed and signed authorization requests (RFC 9126, RFC 9101): the same parameters by another way.

use std::collections::BTreeMap;

use crate::engine::bend::Bend;
use crate::engine::delivery::{self, Sent};
use crate::engine::eval::Missing;
use crate::engine::jwe::Recipient;
use crate::engine::{RawStep, RunningTrial, answer, request_object};
use crate::model::bend::Carried;
use crate::model::observation::Outcome;
use crate::model::step::{Place, Transport};

use super::Ready;
use super::back_channel::{self, To};

/// Where a step ended before the browser set out, and why.
type End = (Outcome, String);

/// What the browser takes to the authorization endpoint.
pub struct Taken {
    pub parameters: Vec<Sent>,
    /// The state inside of a request object, or of what was pushed, where the scenario does not say what stands beside it: whoever answers with it has read
    /// that.
    pub sealed_state: Option<String>,
}

impl From<Vec<Sent>> for Taken {
    fn from(parameters: Vec<Sent>) -> Taken {
        Taken { parameters, sealed_state: None }
    }
}

/// What the browser takes to the authorization endpoint: the parameters themselves, a request object, or the `request_uri` of
/// what was pushed. `repeats`: beside a request object or a `request_uri` stands what OpenID Connect wants there. `raw` keeps the exchanges, and whether the
/// change went out; None: the step ended, and `raw` says how.
pub async fn carried(trial: &RunningTrial<'_>, step: &Ready<'_>, repeats: bool, raw: &mut RawStep) -> Option<Taken> {
    match by_its_way(trial, step, repeats, raw).await {
        Ok(taken) => Some(taken),
        Err((outcome, note)) => {
            raw.outcome = Some(outcome);
            raw.note = note;
            None
        }
    }
}

async fn by_its_way(trial: &RunningTrial<'_>, step: &Ready<'_>, repeats: bool, raw: &mut RawStep) -> Result<Taken, End> {
    // In the name of another client nobody can push, nor sign: an attacker's browser brings the parameters themselves.
    let own = step.parameters.iter().any(|p| p.name == "client_id" && p.value == step.client.id);
    // What refers to a request, or is one, goes as it stands.
    if let Some(pushed) = pushed_before(trial, step) {
        return Ok(beside(step.parameters.clone(), pushed, repeats));
    }
    let refers = step.parameters.iter().any(|p| matches!(p.name.as_str(), REQUEST_URI | request_object::PARAMETER));
    if !own || refers || step.planned.carried == Some(Carried::Plain) {
        return Ok(step.parameters.clone().into());
    }
    let object = object(trial, step, &step.parameters, request_object::TYP).map_err(ended)?;
    let facts = trial.engine.facts();
    if !facts.pushes {
        return Ok(object.map_or_else(|| step.parameters.clone().into(), |object| in_front(object, repeats)));
    }
    let parameters = object.map_or_else(|| step.parameters.clone(), |object| object.parameters);
    let endpoint = facts.endpoints_of(step.client).pushed_authorization.clone();
    let endpoint = endpoint.ok_or_else(|| (Outcome::NotSent, "the target has no endpoint for pushed requests".to_owned()))?;
    // Headers are those of the browser, which comes later.
    let (headers, parameters): (Vec<Sent>, Vec<Sent>) = parameters.into_iter().partition(is_header);
    let to = To { endpoint: &endpoint, parameters: &parameters, transport: &Transport::default(), proves: true };
    let (request, answer) = back_channel::send(trial, step, &to, raw).await.map_err(ended)?;
    let pushed: Vec<Sent> = step.parameters.iter().filter(|p| !is_header(p)).cloned().collect();
    raw.undelivered = delivery::undelivered(step.planned, &pushed, &request);
    let uri = match &answer {
        Ok(response) => {
            raw.field("status", Some(response.status.to_string()));
            raw.shape = answer::shape(response);
            for name in ["error", "error_description"] {
                raw.field(name, answer::member(response, name));
            }
            answer::pushed(response)
        }
        Err(failure) => Err(answer::failed(failure)),
    };
    raw.exchanges.push((request, answer));
    let uri = uri.map_err(|(outcome, note)| (outcome, format!("{note}, at the endpoint for pushed requests")))?;
    let taken = own_name(step).into_iter().chain([Sent::plain(REQUEST_URI, uri)]).chain(headers).collect();
    let pushed = step.parameters.iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    Ok(beside(taken, &pushed, repeats))
}

/// Where a request is found that is not sent itself (RFC 9101 §5, RFC 9126 §2.2).
const REQUEST_URI: &str = "request_uri";

/// Whether a step takes to the authorization endpoint what was pushed, by itself or by a step before it.
pub fn is_pushed(trial: &RunningTrial<'_>, step: &Ready<'_>) -> bool {
    pushed_before(trial, step).is_some() || trial.engine.facts().pushes && step.planned.carried != Some(Carried::Plain)
}

/// What was pushed by the step whose `request_uri` this one takes along; for one that nobody was given, as an attacker guesses it, what was pushed for the
/// same client.
fn pushed_before<'t>(trial: &'t RunningTrial<'_>, step: &Ready<'_>) -> Option<&'t BTreeMap<String, String>> {
    let value = |name: &str| step.parameters.iter().find(|p| p.name == name).map(|p| &p.value);
    let uri = value(REQUEST_URI)?;
    let theirs = || pushes(trial).map(|(_, sent)| sent).find(|sent| sent.get("client_id") == value("client_id"));
    pushed_under(trial, uri).or_else(theirs)
}

/// What was pushed under a `request_uri`, by parameter.
pub fn pushed_under<'t>(trial: &'t RunningTrial<'_>, uri: &str) -> Option<&'t BTreeMap<String, String>> {
    pushes(trial).find(|(given, _)| *given == uri).map(|(_, sent)| sent)
}

/// The `request_uri` of each step that was given one, and what it had pushed.
fn pushes<'t>(trial: &'t RunningTrial<'_>) -> impl Iterator<Item = (&'t String, &'t BTreeMap<String, String>)> {
    trial.known.fields.iter().filter_map(|(by, fields)| Some((fields.get(REQUEST_URI)?, trial.known.sent.get(by)?)))
}

/// What the browser takes along with a `request_uri`.
fn beside(mut parameters: Vec<Sent>, pushed: &BTreeMap<String, String>, repeats: bool) -> Taken {
    let says = |parameters: &[Sent], name: &str| parameters.iter().any(|p| p.name == name);
    if repeats {
        for name in request_object::REPEATED {
            if let Some(value) = pushed.get(name).filter(|_| !says(&parameters, name)) {
                parameters.push(Sent::plain(name, value.clone()));
            }
        }
    }
    let sealed_state = pushed.get("state").filter(|_| !says(&parameters, "state")).cloned();
    Taken { parameters, sealed_state }
}

/// What the browser takes of a request object. One that is pushed has nothing beside it in any case (RFC 9126 §3).
fn in_front(object: Object, repeats: bool) -> Taken {
    let Object { mut parameters, claims, has_company } = object;
    if has_company {
        return parameters.into();
    }
    let inside = |name: &str| claims.iter().find(|(claim, _)| claim == name).map(|(_, value)| value.clone());
    if repeats {
        let repeated = request_object::REPEATED.into_iter().filter_map(|name| Some(Sent::plain(name, inside(name)?)));
        parameters.extend(repeated);
    }
    Taken { parameters, sealed_state: inside("state") }
}

fn is_header(parameter: &Sent) -> bool {
    parameter.place == Some(Place::Header)
}

/// `client_id` and `request` (RFC 9101 §5), where requests are signed and the client can.
///
/// # Errors
/// There is no such request object.
pub fn signed(trial: &RunningTrial<'_>, step: &Ready<'_>) -> Result<Option<Vec<Sent>>, Missing> {
    signed_as(trial, step, &step.parameters, request_object::TYP)
}

/// The same of some parameters, with the typ that such a request has.
///
/// # Errors
/// There is no such signed request.
pub fn signed_as(trial: &RunningTrial<'_>, step: &Ready<'_>, parameters: &[Sent], typ: &str) -> Result<Option<Vec<Sent>>, Missing> {
    Ok(object(trial, step, parameters, typ)?.map(|object| object.parameters))
}

/// A signed request.
struct Object {
    /// It, and what stands beside it.
    parameters: Vec<Sent>,
    /// What it says, encrypted or not.
    claims: Vec<(String, String)>,
    /// The scenario says what stands beside it, and nothing else does.
    has_company: bool,
}

fn object(trial: &RunningTrial<'_>, step: &Ready<'_>, parameters: &[Sent], typ: &str) -> Result<Option<Object>, Missing> {
    let (bend, beside, encrypted) = match &step.planned.carried {
        Some(Carried::Signed(object)) => (trial.bend(&object.bend, &step.actor)?, object.beside.as_slice(), object.encrypted),
        None if trial.engine.facts().signs => (Bend::default(), &[][..], None),
        _ => return Ok(None),
    };
    let key = request_object::key(step.client, &trial.engine.learned).map_err(Missing::Never)?;
    if key.is_none() && step.planned.carried.is_some() {
        return Err(Missing::Never(format!("client `{}` has neither key nor secret to sign a request with", step.client.id)));
    }
    let Some((key, kid)) = key else { return Ok(None) };
    let issuer = &trial.engine.target.issuer;
    // What is to be a header is none of its parameters.
    let (headers, own): (Vec<Sent>, Vec<Sent>) = parameters.iter().cloned().partition(is_header);
    let mut object = request_object::sign(step.client, issuer, &own, (&key, kid), typ, &bend)?;
    let claims = request_object::parameters(&object);
    if let Some(what) = encrypted {
        object = request_object::encrypt(&object, what, typ, recipient(trial).as_ref())?;
    }
    let mut all: Vec<Sent> = own_name(step).into_iter().chain([Sent::plain(request_object::PARAMETER, object)]).chain(headers).collect();
    for (name, value) in beside {
        all.push(Sent::plain(name, trial.known.template(value, &step.actor)?));
    }
    Ok(Some(Object { parameters: all, claims, has_company: !beside.is_empty() }))
}

/// Whom request objects are encrypted to.
fn recipient(trial: &RunningTrial<'_>) -> Option<Recipient> {
    Recipient::of_request_objects(trial.engine.facts().metadata.as_ref()?, trial.known.jwks.as_ref()?)
}

/// The `client_id` that stands beside `request` and `request_uri`.
fn own_name(step: &Ready<'_>) -> Option<Sent> {
    step.parameters.iter().rfind(|p| p.name == "client_id").cloned()
}

fn ended(missing: Missing) -> End {
    let step = RawStep::missing(&missing);
    (step.outcome.unwrap_or(Outcome::NotSent), step.note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_pushed_request() {
        let response = |status: u16, body: &str| crate::engine::http::Response {
            status,
            body: body.as_bytes().to_vec(),
            ..crate::engine::http::Response::default()
        };
        assert_eq!(answer::pushed(&response(201, r#"{"request_uri":"urn:x","expires_in":60}"#)), Ok("urn:x".into()));
        let outcome = |status, body| answer::pushed(&response(status, body)).expect_err("no request_uri").0;
        assert_eq!(outcome(400, r#"{"error":"invalid_request"}"#), Outcome::Refused);
        assert_eq!(outcome(401, ""), Outcome::Refused);
        assert_eq!(outcome(500, r#"{"error":"server_error"}"#), Outcome::Crashed);
        assert_eq!(outcome(429, ""), Outcome::Throttled);
        assert_eq!(outcome(200, "{}"), Outcome::Unclear);
    }
}
