//! Any other endpoint of the back channel, named by its address: device authorization (RFC 8628 §3.1), backchannel authentication
//! (CIBA §7), client registration (RFC 7591 §3) and its management (RFC 7592 §2).

use serde_json::Value;

use crate::engine::delivery::{self, Sent};
use crate::engine::http::Response;
use crate::engine::{RawStep, RunningTrial, answer, mcp};
use crate::model::observation::Outcome;
use crate::model::step::{Place, StepKind};

use super::back_channel::{self, To};
use super::{Ready, pushed};

/// The parameter with the address, which is not sent.
const ADDRESS: &str = "address";

/// The address that some parameters name.
pub(super) fn address(parameters: &[Sent]) -> Option<&str> {
    parameters.iter().find(|p| p.name == ADDRESS).map(|p| p.value.as_str())
}

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(endpoint) = address(&step.parameters) else {
        return RawStep::not_sent("the request has no address");
    };
    // A client with a certificate may have an address of its own (RFC 8705 §5).
    let facts = trial.engine.facts();
    let own = facts.endpoints_of(step.client);
    let is_device = facts.endpoints.device_authorization.as_deref() == Some(endpoint);
    let endpoint = own.device_authorization.as_deref().filter(|_| is_device).unwrap_or(endpoint);
    if !trial.engine.http.allows(endpoint) {
        return RawStep::not_sent(format!("{endpoint} is outside the target's hosts"));
    }
    let registers = facts.endpoints.registration.as_deref() == Some(endpoint)
        && step.planned.transport.method.as_deref().is_none_or(|method| method == "POST");
    if let Some(id) = trial.engine.learned.overwritten().filter(|_| registers) {
        return RawStep::not_sent(format!(
            "the server answers a registration with client `{id}` of the target file, so nothing more is registered"
        ));
    }
    let json = step.planned.transport.content_type.as_deref().is_some_and(|media| media.contains("json"));
    // In JSON a number, truth value, object or list is written as such, the rest as text.
    let parameters: Vec<Sent> = step
        .parameters
        .iter()
        .filter(|p| p.name != ADDRESS)
        .map(|p| Sent { raw: p.raw || json && p.place != Some(Place::Header), ..p.clone() })
        .collect();
    let carried = match &step.planned.carried {
        Some(_) => match pushed::signed_as(trial, step, &parameters, "JWT") {
            Ok(signed) => signed,
            Err(missing) => return RawStep::missing(&missing),
        },
        None => None,
    };
    let mut raw = RawStep::default();
    let to = To { endpoint, parameters: carried.as_deref().unwrap_or(&parameters), transport: &step.planned.transport, proves: false };
    let (request, answer) = match back_channel::send(trial, step, &to, &mut raw).await {
        Ok(exchanged) => exchanged,
        Err(missing) => return RawStep::missing(&missing),
    };
    raw.sent.extend(step.own());
    raw.undelivered = delivery::undelivered(step.planned, &parameters, &request);
    let (mut outcome, mut note) = match &answer {
        Ok(response) => {
            raw.shape = answer::shape(response);
            read(&mut raw, response);
            classify(response)
        }
        Err(failure) => answer::failed(failure),
    };
    if outcome == Outcome::Accepted {
        let mut leavings = trial.engine.leavings();
        if request.method == "DELETE" {
            leavings.unregistered(endpoint);
        } else if let Some(id) = of_target_file(trial, &raw).filter(|_| registers) {
            // Whoever manages it could remove what is not ours.
            MANAGEMENT.iter().for_each(|field| drop(raw.fields.remove(*field)));
            if !step.parameters.iter().any(|p| p.name == "client_id" && p.value == id) {
                trial.engine.learned.overwrite(&id);
                outcome = Outcome::Unclear;
                note = format!("the server answers with client `{id}` of the target file in place of a new one");
            }
        } else if registers {
            leavings.registered(&raw.fields);
        }
    }
    (raw.outcome, raw.note) = (Some(outcome), note);
    raw.exchanges.push((request, answer));
    raw
}

/// What the answer to a registration gives to whoever manages it (RFC 7592 §3).
const MANAGEMENT: &[&str] = &["registration_client_uri", "registration_access_token"];

/// The client of the target file that an answer names.
fn of_target_file(trial: &RunningTrial<'_>, raw: &RawStep) -> Option<String> {
    let id = raw.fields.get("client_id")?;
    trial.engine.target.clients.values().any(|client| client.id == *id).then(|| id.clone())
}

fn classify(response: &Response) -> (Outcome, String) {
    if let Some(general) = answer::general(response) {
        return general;
    }
    let error = answer::member(response, "error").or_else(|| mcp::error(response));
    match (response.status, error) {
        (200..=299, None) => (Outcome::Accepted, String::new()),
        (status, Some(error)) if answer::refuses(status) || (200..400).contains(&status) => {
            let why = answer::member(response, "error_description").map(|d| format!(" ({d})")).unwrap_or_default();
            (Outcome::Refused, format!("{} {error}{why}", response.status))
        }
        (status, None) if answer::refuses(status) => (Outcome::Refused, format!("{} without an error code", response.status)),
        (status, _) => (Outcome::Unclear, format!("the endpoint answers {status}")),
    }
}

fn read(raw: &mut RawStep, response: &Response) {
    raw.field("status", Some(response.status.to_string()));
    raw.field(
        "resource_metadata",
        response.all("www-authenticate").find_map(|challenge| answer::challenge_parameter(challenge, "resource_metadata")),
    );
    raw.field("mcp_session", response.header("mcp-session-id"));
    raw.field("mcp_result", mcp::result(response));
    raw.field("mcp_version", mcp::version(response));
    let Some(members) = response.object() else { return };
    for (name, _) in StepKind::EndpointRequest.fields() {
        let list = || {
            let words: Vec<&str> = members.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect();
            Some(words.join(" "))
        };
        raw.field(name, answer::text(members, name).or_else(list).filter(|text| !text.is_empty()));
    }
    let bits = raw.fields.get("user_code").map(|code| bits(code).to_string());
    raw.field("user_code_bits", bits);
}

/// The bits that a code of this length has at most, where each character is one of its kind. Signs between groups do not count.
fn bits(code: &str) -> u32 {
    let has = |kind: fn(&char) -> bool| code.chars().any(|c| kind(&c));
    let kinds = [(has(char::is_ascii_digit), 10.0), (has(char::is_ascii_uppercase), 26.0), (has(char::is_ascii_lowercase), 26.0)];
    let alphabet: f64 = kinds.iter().filter(|(has, _)| *has).map(|(_, size)| size).sum();
    let length = code.chars().filter(char::is_ascii_alphanumeric).count();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "some dozens of bits")]
    let bits = (alphabet.max(1.0).log2() * length as f64).floor() as u32;
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_codes() {
        for (code, expected) in [("1234", 13), ("123-456", 19), ("WDJB-MJHT", 37), ("ab12", 20), ("", 0)] {
            assert_eq!(bits(code), expected, "{code}");
        }
    }
}
