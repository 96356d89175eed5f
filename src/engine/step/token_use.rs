//! Tokens in use: shown at the proof endpoint, introspected (RFC 7662), revoked (RFC 7009).

use crate::engine::eval::Missing;
use crate::engine::http::Response;
use crate::engine::proof::{self, ProofEndpoint, Shown};
use crate::engine::{RawStep, RunningTrial, answer, certificate, forge};
use crate::model::observation::{INSUFFICIENT_SCOPE, Outcome};
use crate::model::step::{Place, ResourcePlace, StepKind, Transport};

use super::{Ready, Sent, claims};

/// A bearer token at the proof endpoint.
pub async fn resource(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let place = match step.planned.at {
        ResourcePlace::Proof => trial.engine.proof(),
        ResourcePlace::Api => trial.engine.api(),
        ResourcePlace::Resource => trial.engine.resource(),
        ResourcePlace::SecondResource => {
            let second = trial.engine.target.second_resource.as_ref();
            second.map(|second| ProofEndpoint::new("second_resource", second.url.clone()))
        }
    };
    let Some(endpoint) = place else {
        return RawStep::not_sent("nothing at this target takes an access token");
    };
    if step.planned.certificate.is_some() && endpoint.name == "introspection" {
        let why = "the only place that takes the token is introspection, which sees no certificate of whoever holds it";
        return RawStep::missing(&Missing::NoSuchForm(why.into()));
    }
    let token = step.parameters.iter().find(|p| p.name == "access_token");
    // A forged token is nobody's: it is shown with the key of the client that was given the genuine one.
    let client = token.and_then(|t| trial.holder(&t.value)).or(Some(step.client));
    let prove = match step.planned.proof.as_ref().map(|proof| trial.prove_with(proof, &step.actor)).transpose() {
        Ok(prove) => prove,
        Err(missing) => return RawStep::missing(&missing),
    };
    let shown = token.map(|t| Shown {
        token: &t.value,
        place: t.place,
        client,
        bound: trial.is_bound(&t.value),
        prove: prove.as_ref(),
        certificate: step.planned.certificate.or_else(|| trial.certificate_of(&t.value)),
    });
    let mut raw = proof::request(trial.engine, &endpoint, shown, &step.planned.transport).await;
    if !raw.outcome.is_some_and(Outcome::granted)
        && let Some(api) = trial.engine.named_api().filter(|api| api.url != endpoint.url)
        && token.is_some_and(|token| is_for_the_named_api(trial, step.planned.at, token))
    {
        raw = at_the_named_api(trial, raw, &api, shown).await;
    }
    raw.field("token_certificate", token.zip(client).and_then(|(token, client)| trial.certificate_in(&token.value, client)));
    if raw.undelivered.is_none()
        && let (Some(token), Some((request, _))) = (token, raw.exchanges.last())
        && token.changed
        && !carries(request, &token.value)
    {
        raw.undelivered = Some("the changed `access_token` is not in the request as planned".into());
    }
    raw
}

/// Whether a token that was not taken is shown to the API of the target file as well, as one shows a token: what is no access token of this
/// trial; and one that may be dead, where the API has to ask somebody to know it. One that verifies a token by itself may take it until it
/// expires, whoever has revoked it.
fn is_for_the_named_api(trial: &RunningTrial<'_>, at: ResourcePlace, token: &Sent) -> bool {
    let asks = match at {
        ResourcePlace::Proof if trial.holder(&token.value).is_some() => !forge::is_self_contained(&token.value) || is_expired(&token.value),
        ResourcePlace::Proof => token.changed,
        ResourcePlace::Api => token.changed && trial.holder(&token.value).is_none(),
        ResourcePlace::Resource | ResourcePlace::SecondResource => false,
    };
    asks && matches!(token.place, None | Some(Place::Header))
}

/// Whether a JWT says that it is over.
fn is_expired(token: &str) -> bool {
    let claims = forge::split(token).and_then(|parts| forge::object(parts.payload));
    claims.is_some_and(|claims| claims::left(&claims) == Some(0))
}

/// Shows a token that the first place did not take to the API of the target file, which may take it all the same: then that is what came of
/// it. Where the API neither takes nor refuses it, nothing has held.
async fn at_the_named_api(trial: &RunningTrial<'_>, first: RawStep, api: &ProofEndpoint, shown: Option<Shown<'_>>) -> RawStep {
    let there = proof::request(trial.engine, api, shown, &Transport::default()).await;
    let exchanges = [first.exchanges, there.exchanges].concat();
    // What is refused for its scope alone was taken for genuine, which is more than the first place has done (RFC 6750 §3.1).
    let for_scope = there.fields.get("error").is_some_and(|error| error == INSUFFICIENT_SCOPE);
    if there.outcome == Some(Outcome::Refused) && !for_scope {
        return RawStep { exchanges, ..first };
    }
    let refusing = first.fields.get("endpoint").map_or("the place of proof", String::as_str);
    let why = if there.note.is_empty() { "it was taken" } else { &there.note };
    RawStep { note: format!("{refusing} did not take it; at {}: {why}", api.url), exchanges, ..there }
}

fn carries(request: &crate::engine::http::Request, token: &str) -> bool {
    let encoded = crate::wire::encode(token);
    let body = crate::wire::text(request.body.as_deref().unwrap_or_default());
    request.headers.iter().any(|(_, v)| v.contains(token)) || request.url.contains(&*encoded) || body.contains(&*encoded)
}

pub async fn introspection(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let endpoint = trial.engine.facts().endpoints_of(step.client).introspection.clone();
    post(
        trial,
        step,
        endpoint,
        "introspection",
        answer::introspection,
        &["active", "sub", "scope", "client_id", "token_type", "token_use", "typ", "error"],
        false,
    )
    .await
}

pub async fn revocation(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let endpoint = trial.engine.facts().endpoints_of(step.client).revocation.clone();
    // Keycloak asks for a proof here too; nobody minds one.
    post(trial, step, endpoint, "revocation", answer::revocation, &["error"], true).await
}

async fn post(
    trial: &mut RunningTrial<'_>,
    step: &Ready<'_>,
    endpoint: Option<String>,
    what: &str,
    classify: fn(&Response) -> (Outcome, String),
    fields: &[&str],
    proves: bool,
) -> RawStep {
    let Some(endpoint) = endpoint else {
        return RawStep::not_sent(format!("the target has no {what} endpoint"));
    };
    let (mut raw, (request, answer)) = match step.post(trial, &endpoint, proves).await {
        Ok(exchanged) => exchanged,
        Err(missing) => return RawStep::missing(&missing),
    };
    match &answer {
        Ok(response) => {
            let signed = signed(trial, step, &mut raw, response).await;
            let said = signed.as_ref().unwrap_or(response);
            let (outcome, note) = classify(said);
            raw.outcome = Some(outcome);
            raw.note = note;
            raw.shape = answer::shape(response);
            raw.field("status", Some(response.status.to_string()));
            for name in fields {
                raw.field(name, answer::member(said, name));
            }
            if step.planned.kind == StepKind::IntrospectionRequest && outcome.granted() {
                raw.field("binding", said.object().map(|members| trial.binding(members)));
                let token = step.parameters.iter().find(|p| p.name == "token");
                let holder = token.and_then(|token| trial.holder(&token.value));
                raw.field("certificate", holder.zip(said.object()).and_then(|(client, members)| certificate::binding(members, client)));
            }
        }
        Err(failure) => {
            let (outcome, note) = answer::failed(failure);
            raw.outcome = Some(outcome);
            raw.note = note;
        }
    }
    raw.exchanges.push((request, answer));
    raw
}

/// How the claim of RFC 9701 §5 is called that has what is known of the token.
const TOKEN_INTROSPECTION: &str = "token_introspection";

/// What a signed introspection response says (RFC 9701 §5), as the JSON that it stands for, with what is to be seen of the JWT as
/// fields; None: the answer is no JWT. Where the claim is missing, the claims themselves are what a careless reader takes.
async fn signed(trial: &mut RunningTrial<'_>, step: &Ready<'_>, raw: &mut RawStep, response: &Response) -> Option<Response> {
    if step.planned.kind != StepKind::IntrospectionRequest || !response.media().ends_with("jwt") {
        return None;
    }
    let claims = claims::of_jwt(trial, raw, "response", response.text().trim()).await?;
    let said = claims.get(TOKEN_INTROSPECTION).and_then(serde_json::Value::as_object).unwrap_or(&claims);
    let body = serde_json::to_vec(said).ok()?;
    Some(Response { status: response.status, headers: response.headers.clone(), body, ..Response::default() })
}
