//! Addresses of the listener, and the requests of the server that come there.

use serde_json::Value;

use crate::engine::delivery::Sent;
use crate::engine::listener::{Answer, Received};
use crate::engine::{RawStep, RunningTrial};
use crate::model::observation::Outcome;

use super::Ready;
use super::claims;

/// The parameter of a `listener_request` with the address.
const ADDRESS: &str = "address";
/// The form parameter of a back-channel logout (OpenID Connect Back-Channel Logout 1.0 §2.5).
const LOGOUT_TOKEN: &str = "logout_token";
/// The event that makes a JWT a logout token (§2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn value<'p>(parameters: &'p [Sent], name: &str) -> Option<&'p str> {
    parameters.iter().find(|p| p.name == name).map(|p| p.value.as_str())
}

/// Makes an address, with what it answers. Nothing is sent.
pub fn open(trial: &RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(listener) = trial.engine.listener() else {
        return RawStep::not_sent("the target file names no listener");
    };
    let text = |name: &str| value(&step.parameters, name);
    let headers = [("content-type", text("content_type")), ("location", text("location"))];
    let answer = Answer {
        status: text("status").and_then(|status| status.parse().ok()).unwrap_or(200),
        headers: headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect(),
        body: text("body").unwrap_or_default().to_owned(),
    };
    let mut raw = RawStep { outcome: Some(Outcome::Accepted), ..RawStep::default() };
    raw.sent.extend(step.own());
    raw.field("url", Some(listener.open(&trial.so_far().name, answer)));
    raw
}

/// Waits for a request of the server. That none came is a refusal only where it is known that the server can come.
pub async fn await_request(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let engine = trial.engine;
    let (Some(listener), Some(address)) = (engine.listener(), value(&step.parameters, ADDRESS)) else {
        return RawStep::not_sent("the target file names no listener");
    };
    if !trial.was_told(step.planned) {
        return RawStep::not_sent("nothing that was sent names this address");
    }
    let received = listener.requests(address, listener.wait).await;
    let mut raw = RawStep::default();
    raw.sent.extend(step.own());
    let within = format!("no request came within {}s", listener.wait.as_secs());
    match (received.as_slice(), listener.reached()) {
        ([first, ..], _) => {
            raw.outcome = Some(Outcome::Accepted);
            read(&mut raw, address, &received);
            if let Some(token) = token_of(first) {
                of_logout_token(trial, &mut raw, &token).await;
            }
        }
        ([], Some(how)) => {
            raw.outcome = Some(Outcome::Refused);
            raw.field("called", Some("false"));
            raw.note = format!("{within}; that the server can come here is known: {how}");
        }
        ([], None) => {
            raw.outcome = Some(Outcome::Unclear);
            raw.note = format!(
                "{within}, and nothing has shown that the server can come to {}: where you know that it can, say so in the target file (`listener.proven`)",
                listener.base()
            );
        }
    }
    raw.exchanges = received.into_iter().map(|(request, response)| (request, Ok(response))).collect();
    raw
}

fn read(raw: &mut RawStep, address: &str, received: &[Received]) {
    raw.field("called", Some("true"));
    raw.field("calls", Some(received.len().to_string()));
    let Some((request, _)) = received.first() else { return };
    raw.field("method", Some(request.method.clone()));
    let paths: Vec<&str> = received.iter().filter_map(|(request, _)| request.url.strip_prefix(address)).filter(|p| !p.is_empty()).collect();
    raw.field("paths", Some(paths.join(" ")).filter(|paths| !paths.is_empty()));
}

/// The logout token of a request, where it brings one.
fn token_of((request, _): &Received) -> Option<String> {
    let body = String::from_utf8_lossy(request.body.as_deref()?).into_owned();
    crate::wire::parse_form(&body).into_iter().find(|(name, _)| name == LOGOUT_TOKEN).map(|(_, token)| token)
}

/// What a client looks at in a logout token (§2.6).
async fn of_logout_token(trial: &mut RunningTrial<'_>, raw: &mut RawStep, token: &str) {
    raw.field(LOGOUT_TOKEN, Some(token));
    let Some(claims) = claims::of_jwt(trial, raw, LOGOUT_TOKEN, token).await else { return };
    let is_event = claims.get("events").and_then(|events| events.get(LOGOUT_EVENT)).is_some_and(Value::is_object);
    raw.field("logout_token_event", Some(is_event.to_string()));
    let names_somebody = ["sub", "sid"].iter().any(|name| claims.contains_key(*name));
    raw.field("logout_token_names_session", Some(names_somebody.to_string()));
}
