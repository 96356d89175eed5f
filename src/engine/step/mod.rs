//! One driver for each kind of step.

mod authorization_request;
mod back_channel;
pub(super) mod claims;
mod document;
mod endpoint;
mod listener;
mod logout;
mod page;
mod push;
mod pushed;
mod token_request;
mod token_use;

use crate::model::bend::Carried;
use crate::model::step::{Origin, Place, PlannedStep, StepKind};
use crate::target::{Client, ExtraValue};

use super::actor::Actor;
use super::delivery::{self, Sent};
use super::eval::{self, Missing};
use super::http::Request;
use super::{RawStep, RunningTrial, dpop};
pub use authorization_request::Paused;
use back_channel::{Exchanged, To};

/// Drives one step of a trial.
pub async fn drive(trial: &mut RunningTrial<'_>, planned: &PlannedStep) -> RawStep {
    let Some(client) = trial.client(planned.client) else {
        return RawStep::not_sent(format!("the target has no {} client", planned.client.name()));
    };
    let actor = trial.actor(Some(client), planned.user);
    let parameters = match evaluate(trial, planned, &actor).and_then(|own| with_extras(trial, planned, client, own)) {
        Ok(parameters) => parameters,
        Err(missing) => return RawStep::missing(&missing),
    };
    let step = Ready { planned, client, actor, parameters };
    match planned.kind {
        StepKind::AuthorizationRequest => authorization_request::drive(trial, &step).await,
        StepKind::PushedAuthorizationRequest => push::drive(trial, &step).await,
        StepKind::TokenRequest => token_request::drive(trial, &step).await,
        StepKind::ResourceRequest => token_use::resource(trial, &step).await,
        StepKind::IntrospectionRequest => token_use::introspection(trial, &step).await,
        StepKind::RevocationRequest => token_use::revocation(trial, &step).await,
        StepKind::LogoutRequest => logout::drive(trial, &step).await,
        StepKind::DocumentRequest => document::drive(trial, &step).await,
        StepKind::EndpointRequest => endpoint::drive(trial, &step).await,
        StepKind::PageRequest => page::drive(trial, &step).await,
        StepKind::ListenerAddress => listener::open(trial, &step),
        StepKind::ListenerRequest => listener::await_request(trial, &step).await,
    }
}

/// A step whose values are known.
pub struct Ready<'a> {
    pub planned: &'a PlannedStep,
    pub client: &'a Client,
    pub actor: Actor<'a>,
    pub parameters: Vec<Sent>,
}

impl Ready<'_> {
    /// The request to a back-channel endpoint, with client authentication and, where the endpoint takes one, a proof; and the
    /// step so far: what is sent, and whether the change is in the bytes.
    ///
    /// # Errors
    /// A credential that cannot be had.
    fn ready(&self, trial: &RunningTrial<'_>, endpoint: &str, proves: bool) -> Result<(RawStep, Request), Missing> {
        let (added, request) = back_channel::prepare(trial, self, &self.to(endpoint, proves))?;
        let mut raw = RawStep { sent: added.parameters.into_iter().collect(), ..RawStep::default() };
        raw.sent.extend(self.own());
        raw.undelivered = delivery::undelivered(self.planned, &self.parameters, &request);
        Ok((raw, request))
    }

    /// Sends it, and gives the step so far, and the last exchange.
    ///
    /// # Errors
    /// A credential that cannot be had.
    async fn post(&self, trial: &RunningTrial<'_>, endpoint: &str, proves: bool) -> Result<(RawStep, Exchanged), Missing> {
        let mut raw = RawStep::default();
        let exchanged = back_channel::send(trial, self, &self.to(endpoint, proves), &mut raw).await?;
        raw.sent.extend(self.own());
        raw.undelivered = delivery::undelivered(self.planned, &self.parameters, &exchanged.0);
        Ok((raw, exchanged))
    }

    /// The parameters that are no credentials.
    fn own(&self) -> impl Iterator<Item = (String, String)> {
        self.parameters.iter().map(|p| (p.name.clone(), p.value.clone()))
    }

    fn to<'a>(&'a self, endpoint: &'a str, proves: bool) -> To<'a> {
        To { endpoint, parameters: &self.parameters, transport: &self.planned.transport, proves }
    }
}

/// The parameters of a step, and what a client of this target adds to them. What the scenario sends, removes or omits is the
/// scenario's.
fn with_extras(trial: &RunningTrial<'_>, planned: &PlannedStep, client: &Client, mut own: Vec<Sent>) -> Result<Vec<Sent>, Missing> {
    let extras = &trial.engine.target.extras;
    without_offline_access(&mut own, &extras.parameters);
    let mut more: Vec<(&str, String)> = Vec::new();
    // What was pushed or signed before has them already, and nothing else counts (RFC 9126 §4).
    let names_one = own.iter().any(|p| matches!(p.name.as_str(), "request_uri" | "request"));
    // A whole request with a reference beside it, as an attack may send it, is refused for want of them as any other would be.
    let is_reference = names_one && !(planned.carried == Some(Carried::Plain) && own.iter().any(|p| p.name == "response_type"));
    let is_authorization = matches!(planned.kind, StepKind::AuthorizationRequest | StepKind::PushedAuthorizationRequest) && !is_reference;
    if is_authorization {
        more.extend(extras.parameters.iter().map(|(name, value)| match value {
            ExtraValue::Random => (name.as_str(), eval::random(22)),
            ExtraValue::Text(text) => (name.as_str(), text.clone()),
        }));
        if client.dpop {
            more.push(("dpop_jkt", dpop::thumbprint(&trial.engine.dpop_key).map_err(Missing::Never)?));
        }
    }
    if let (true, Some(resource)) = (is_authorization || planned.kind == StepKind::TokenRequest, &extras.resource_indicator) {
        more.push(("resource", resource.clone()));
    }
    let mut headers = Vec::new();
    if let Some(address) = endpoint::address(&own).filter(|_| planned.kind == StepKind::EndpointRequest) {
        let facts = trial.engine.facts();
        let is = |endpoint: &Option<String>| endpoint.as_deref() == Some(address);
        if let Some(token) = extras.initial_access_token.as_ref().filter(|_| is(&facts.endpoints.registration)) {
            headers.push(("authorization", format!("Bearer {}", token.reveal())));
        }
        // What the device asks for in the token request must have been asked for here.
        more.extend(
            extras.resource_indicator.iter().filter(|_| is(&facts.endpoints.device_authorization)).map(|r| ("resource", r.clone())),
        );
    }
    let in_place = |place| move |(name, value): (&str, String)| Sent { place, ..Sent::plain(name, value) };
    let more: Vec<Sent> = more.into_iter().map(in_place(None)).chain(headers.into_iter().map(in_place(Some(Place::Header)))).collect();
    let is_own = |p: &Sent| !planned.removed.contains(&p.name) && !own.iter().any(|known| known.name == p.name);
    let more: Vec<Sent> = more.into_iter().filter(is_own).collect();
    let verifies = planned.kind == StepKind::TokenRequest && trial.engine.learned.verifies_refresh(&client.id);
    let verifier = verifies.then(|| token_request::missing_verifier(&trial.known, &own)).flatten();
    Ok(own.into_iter().chain(more).chain(verifier).collect())
}

/// Offline access is asked for with `prompt=consent` (OpenID Connect Core §11). Where the target file does so and a scenario has another prompt, the scope
/// goes without it: a server may find the two at odds, and that would be no answer to the prompt.
fn without_offline_access(own: &mut [Sent], extras: &[(String, ExtraValue)]) {
    let asks = |prompt: &str| prompt.split(' ').any(|word| word == "consent");
    let by_target = extras.iter().any(|(name, value)| name == "prompt" && matches!(value, ExtraValue::Text(text) if asks(text)));
    let otherwise = own.iter().any(|sent| sent.name == "prompt" && !asks(&sent.value));
    if by_target && otherwise {
        for scope in own.iter_mut().filter(|sent| sent.name == "scope" && !sent.changed) {
            scope.value = scope.value.split(' ').filter(|word| *word != "offline_access").collect::<Vec<_>>().join(" ");
        }
    }
}

fn evaluate(trial: &RunningTrial<'_>, planned: &PlannedStep, actor: &Actor<'_>) -> Result<Vec<Sent>, Missing> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_access_goes_with_the_prompt_that_it_needs() {
        let sent = |prompt: &str, changed: bool, extra: &str| {
            let mut own = vec![
                Sent { changed, ..Sent::plain("scope", "openid offline_access email".into()) },
                Sent::plain("prompt", prompt.to_owned()),
            ];
            without_offline_access(&mut own, &[("prompt".into(), ExtraValue::Text(extra.into()))]);
            own.remove(0).value
        };
        assert_eq!(sent("none", false, "consent"), "openid email");
        assert_eq!(sent("login", false, "login consent"), "openid email");
        for (prompt, changed, extra) in [("login consent", false, "consent"), ("none", true, "consent"), ("none", false, "select_account")]
        {
            assert_eq!(sent(prompt, changed, extra), "openid offline_access email", "{prompt} {extra}");
        }
    }
}
