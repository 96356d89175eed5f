//! The token endpoint (RFC 6749 §3.2).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::engine::http::{Failure, Request, Response};
use crate::engine::proof::{self, ProofEndpoint, Shown};
use crate::engine::{RawStep, RunningTrial, answer, dpop, forge};
use crate::model::observation::Outcome;

use super::{Ready, claims};

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(endpoint) = trial.engine.facts().endpoints_with(step.client, step.planned.certificate).token.clone() else {
        return RawStep::not_sent("the target has no token endpoint");
    };
    if let Some(count) = step.planned.burst {
        let ready: Result<Vec<_>, _> = (0..count).map(|_| step.ready(trial, &endpoint, true)).collect();
        return match ready {
            Ok(ready) => burst(trial, step, ready).await,
            Err(missing) => RawStep::missing(&missing),
        };
    }
    match step.post(trial, &endpoint, true).await {
        Ok((mut raw, (request, answer))) => {
            read(trial, step, &mut raw, &answer).await;
            if request.headers.iter().any(|(name, _)| name == dpop::HEADER) {
                raw.field("dpop_nonce", crate::target::origin(&request.url).and_then(|origin| trial.engine.learned.nonce(&origin)));
            }
            raw.exchanges.push((request, answer));
            raw
        }
        Err(missing) => RawStep::missing(&missing),
    }
}

async fn read(trial: &mut RunningTrial<'_>, step: &Ready<'_>, raw: &mut RawStep, answer: &Result<Response, Failure>) {
    let response = match answer {
        Ok(response) => response,
        Err(failure) => {
            let (outcome, note) = answer::failed(failure);
            raw.outcome = Some(outcome);
            raw.note = note;
            return;
        }
    };
    let (outcome, note) = answer::token(response);
    raw.outcome = Some(outcome);
    raw.note = note;
    raw.shape = answer::shape(response);
    raw.field("status", Some(response.status.to_string()));
    raw.field("cache_control", response.header("cache-control"));
    raw.field("pragma", response.header("pragma"));
    raw.field("allow_origin", response.header("access-control-allow-origin"));
    raw.field("allow_credentials", response.header("access-control-allow-credentials"));
    let Some(members) = response.object() else {
        return;
    };
    for name in
        ["access_token", "refresh_token", "id_token", "token_type", "expires_in", "refresh_expires_in", "error", "error_description"]
    {
        raw.field(name, answer::text(members, name).filter(|v| !v.is_empty()));
    }
    // RFC 6749 §5.1: no scope in the answer means the scope that was asked for.
    // What the token itself says is better than that; where nothing says it, it is an assumption, and said to be one.
    let token_scope = || {
        let claims = forge::split(raw.fields.get("access_token")?).and_then(|parts| forge::object(parts.payload))?;
        answer::text(&claims, "scope")
    };
    let said = answer::text(members, "scope").or_else(token_scope);
    if said.is_none() && outcome.granted() {
        raw.field("scope_assumed", Some("true"));
    }
    let granted = said.or_else(|| outcome.granted().then(|| asked_scope(trial, step)).flatten());
    raw.field("scope", granted);
    if let Some(details) = granted_details(members, raw.fields.get("access_token")) {
        let among = trial.engine.target.details.as_ref().map(|known| known.among(&details));
        raw.field("details_granted", among);
        raw.field("authorization_details", Some(details.to_string()));
    }
    if outcome.granted() {
        let used = step.parameters.iter().find(|p| p.name == "refresh_token").map(|p| p.value.as_str());
        let user = trial.engine.target.user(step.planned.user).name.as_str();
        trial.engine.leavings().note(step.planned.client, user, used, &raw.fields);
    }
    if step.client.dpop && outcome.granted() {
        trial.engine.learned.bound(&step.client.id, raw.fields.get("token_type").map_or("", String::as_str));
    }
    if let Some(token) = raw.fields.get("access_token").cloned() {
        describe(trial, raw, &token).await;
        if raw.fields.get("access_token_key").is_some_and(|key| key == "secret") {
            let found = trial.known.guessed(&token, &step.actor).is_some();
            raw.field("access_token_secret", Some(if found { "guessed" } else { "unknown" }));
        }
    }
    if let Some(token) = raw.fields.get("id_token").cloned() {
        claims::of_id_token(trial, raw, &token).await;
    }
}

/// The details that an answer says were granted, where it does not the token itself (RFC 9396 §7, §9.1).
fn granted_details(members: &Map<String, Value>, token: Option<&String>) -> Option<Value> {
    const NAME: &str = "authorization_details";
    members.get(NAME).cloned().or_else(|| forge::object(forge::split(token?)?.payload)?.get(NAME).cloned())
}

fn asked_scope(trial: &RunningTrial<'_>, step: &Ready<'_>) -> Option<String> {
    let own = step.parameters.iter().find(|p| p.name == "scope").map(|p| p.value.clone());
    own.or_else(|| {
        let session = &step.planned.session;
        let authorize = if session.is_empty() { "authorize".to_owned() } else { format!("{session}.authorize") };
        trial.known.sent.get(&authorize)?.get("scope").cloned()
    })
}

/// What the access token is, as far as it can be seen.
async fn describe(trial: &mut RunningTrial<'_>, raw: &mut RawStep, token: &str) {
    let Some((header, parts)) = forge::read(token) else {
        raw.field("access_token_format", Some("opaque"));
        return;
    };
    raw.field("access_token_format", Some("jwt"));
    let alg = answer::text(&header, "alg").unwrap_or_default();
    let kid = answer::text(&header, "kid").unwrap_or_default();
    if let Some(claims) = forge::object(parts.payload) {
        raw.field("access_token_scope", answer::text(&claims, "scope"));
        claims::of_access_token(raw, &header, &claims);
        raw.field("access_token_binding", Some(trial.binding(&claims)));
    }
    let key = match alg.get(..2) {
        Some("HS") => "secret",
        Some("RS" | "PS" | "ES" | "Ed") => {
            // Keys may be made at first use or rotate: an unknown kid means fetch again, once, before saying anything.
            if trial.known.jwk_named(&header).is_none() {
                trial.refresh_keys().await;
            }
            match trial.known.jwk_named(&header) {
                Some(jwk) if trial.engine.verified(token, &kid, &alg, jwk) => "public",
                Some(_) => "unverified",
                None => "unpublished",
            }
        }
        _ => "none",
    };
    raw.field("access_token_alg", Some(alg));
    raw.field("access_token_key", Some(key));
}

/// The same request several times at the same moment; assertions and proofs, which are taken once, are of each its own.
/// Several answers with the same token are idempotency, not a race.
async fn burst(trial: &mut RunningTrial<'_>, step: &Ready<'_>, ready: Vec<(RawStep, Request)>) -> RawStep {
    let (raws, requests): (Vec<RawStep>, Vec<Request>) = ready.into_iter().unzip();
    let mut raw = raws.into_iter().next().unwrap_or_default();
    let count = requests.len();
    let answers = trial.engine.http.burst(&requests).await;
    let mut tokens = BTreeSet::new();
    let mut granted: Vec<Response> = Vec::new();
    let mut worst: Option<(Outcome, String)> = None;
    let (mut first_grant, mut first_refusal): (Option<usize>, Option<usize>) = (None, None);
    let mut crashed = 0u32;
    let proof = trial.engine.proof();
    for (index, answer) in answers.iter().enumerate() {
        let (outcome, note) = match answer {
            Ok(response) => answer::token(response),
            Err(failure) => answer::failed(failure),
        };
        match outcome {
            Outcome::Issued => {
                first_grant = first_grant.or(Some(index));
                if let Ok(response) = answer
                    && let Some(token) = answer::member(response, "access_token")
                {
                    let fields = [("access_token".to_owned(), token.clone())].into();
                    trial.engine.leavings().note(step.planned.client, "", None, &fields);
                    tokens.insert(token);
                    granted.push(response.clone());
                }
            }
            Outcome::Refused => first_refusal = first_refusal.or(Some(index)),
            // The server stumbled and gave no token: no winner, whatever else it is.
            Outcome::Crashed if answer.is_ok() => crashed += 1,
            _ => worst = worst.or(Some((outcome, note))),
        }
    }
    let shown = first_grant.or(first_refusal).unwrap_or(0);
    if let Some(answer) = answers.get(shown) {
        read(trial, step, &mut raw, answer).await;
    }
    for (field, own) in [("other_access_token", "access_token"), ("other_refresh_token", "refresh_token")] {
        let first = raw.fields.get(own).cloned();
        let all = granted.iter().filter_map(|response| answer::member(response, own));
        let other = all.into_iter().find(|value| first.as_ref().is_some_and(|first| first != value));
        raw.field(field, other);
    }
    // Who notices the race after the fact and revokes what he gave has let nobody win: the tokens are shown.
    let mut dead = 0usize;
    let tells = |p: &ProofEndpoint| p.refuses && trial.engine.learned.takes(p.name, &step.client.id);
    if let Some(proof) = proof.filter(|p| tokens.len() > 1 && tells(p)) {
        let bound = raw.fields.get("token_type").is_some_and(|kind| dpop::binds(kind));
        for token in &tokens {
            let shown = Shown { bound, ..Shown::new(token, Some(step.client)) };
            let there = proof::show(trial.engine, &proof, shown).await;
            let refused = there.outcome == Some(Outcome::Refused);
            raw.exchanges.extend(there.exchanges);
            // An API that verifies tokens by itself hears of no revocation: there the token is still worth something.
            let works = refused && works_at_resource(trial, &proof, shown, &mut raw).await;
            dead += usize::from(refused && !works);
        }
    }
    let winners = tokens.len() - dead;
    // Two tokens that work are a race whatever else came; "at most one" is only known where every answer came whole, and one of
    // them refused.
    let answered = worst.is_none() && (first_refusal.is_some() || dead > 0);
    if winners > 1 || answered {
        raw.field("winners", Some(winners.to_string()));
        raw.note = format!("{} of {count} simultaneous requests were given a token of their own", tokens.len());
        if dead > 0 {
            raw.field("revoked_answers", Some(dead.to_string()));
            raw.note = format!("{}, of which {dead} do not work", raw.note);
        }
        if crashed > 0 {
            raw.field("crashed_answers", Some(crashed.to_string()));
            raw.note = format!("{}, and {crashed} were answered by a server error", raw.note);
        }
    } else if let Some((outcome, note)) = worst {
        raw.outcome = Some(outcome);
        raw.note = format!("{note} (in a burst of {count})");
    } else {
        raw.note =
            format!("{} of {count} simultaneous requests were given a token, and {crashed} were answered by a server error", tokens.len());
    }
    raw.exchanges.extend(requests.into_iter().zip(answers));
    raw
}

/// Whether the declared API takes a token that the place of proof refuses, and no made-up one.
async fn works_at_resource(trial: &RunningTrial<'_>, proof: &ProofEndpoint, shown: Shown<'_>, raw: &mut RawStep) -> bool {
    let engine = trial.engine;
    let Some(resource) = engine.resource().filter(|resource| resource.url != proof.url) else { return false };
    let made_up = crate::engine::eval::random(43);
    for (token, wanted) in [(shown.token, true), (made_up.as_str(), false)] {
        let seen = proof::show(engine, &resource, Shown { token, ..shown }).await;
        let accepted = seen.outcome == Some(Outcome::Accepted);
        raw.exchanges.extend(seen.exchanges);
        if accepted != wanted {
            return false;
        }
    }
    true
}
