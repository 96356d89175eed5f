//! The token endpoint (RFC 6749 §3.2).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::engine::delivery::{Sent, VERIFIER};
use crate::engine::eval::Known;
use crate::engine::http::{Failure, Request, Response};
use crate::engine::proof::{self, ProofEndpoint, Shown};
use crate::engine::{RawStep, RunningTrial, answer, dpop, forge};
use crate::model::observation::Outcome;

use super::{Ready, claims};

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(endpoint) = trial.engine.facts().endpoints_with(step.client, step.planned.certificate).token.clone() else {
        return RawStep::not_sent("the target has no token endpoint");
    };
    if parameter(step, "grant_type") == "refresh_token" {
        tokio::time::sleep(comes_again(parameter(step, "refresh_token"), jiff::Timestamp::now())).await;
    }
    if let Some(count) = step.planned.burst {
        let ready: Result<Vec<_>, _> = (0..count).map(|_| step.ready(trial, &endpoint, true)).collect();
        return match ready {
            Ok(ready) => burst(trial, step, ready).await,
            Err(missing) => RawStep::missing(&missing),
        };
    }
    match &step.planned.each {
        Some(name) => each(trial, step, &endpoint, name).await,
        None => once(trial, step, &endpoint).await,
    }
}

/// For how long a refresh token comes out the same if it is issued again: a JWT with nothing drawn in it (RFC 7519 §4.1.7) until the second is over in which
/// it says that it was issued. A renewal would look like none.
fn comes_again(token: &str, now: jiff::Timestamp) -> Duration {
    let claims = forge::split(token).and_then(|parts| forge::object(parts.payload)).unwrap_or_default();
    let issued = claims.get("iat").and_then(Value::as_i64).filter(|_| !claims.contains_key("jti"));
    let over = issued.and_then(|second| jiff::Timestamp::from_second(second.checked_add(1)?).ok());
    let left = over.map_or(Duration::ZERO, |over| Duration::try_from(over.duration_since(now)).unwrap_or_default());
    // Whatever the server's clock says, its next second comes within one.
    left.min(Duration::from_secs(1))
}

/// One request; and where a refresh is refused because the verifier of its grant is missing, the same with the verifier.
async fn once(trial: &mut RunningTrial<'_>, step: &Ready<'_>, endpoint: &str) -> RawStep {
    let first = posted(trial, step, endpoint).await;
    let wanted = asks_for_verifier(step, &first).then(|| missing_verifier(&trial.known, &step.parameters)).flatten();
    let Some(verifier) = wanted else { return first };
    let parameters = step.parameters.iter().cloned().chain([verifier]).collect();
    let with_verifier = Ready { planned: step.planned, client: step.client, actor: step.actor, parameters };
    let mut second = posted(trial, &with_verifier, endpoint).await;
    if second.outcome == Some(Outcome::Issued) {
        trial.engine.learned.verify_refresh(&step.client.id);
    }
    second.exchanges.splice(..0, first.exchanges);
    second
}

/// Whether a refresh was refused in words that name the `code_verifier`.
fn asks_for_verifier(step: &Ready<'_>, raw: &RawStep) -> bool {
    let names = |text: &String| text.replace(' ', "_").contains(VERIFIER);
    let is_named = raw.fields.get("error_description").is_some_and(names);
    is_named && raw.outcome == Some(Outcome::Refused) && parameter(step, "grant_type") == "refresh_token"
}

/// The verifier for a refresh that has none, of the grant of its refresh token.
pub fn missing_verifier(known: &Known, parameters: &[Sent]) -> Option<Sent> {
    let verifier = verifier_of(known, parameters).filter(|_| !parameters.iter().any(|p| p.name == VERIFIER))?;
    Some(Sent::plain(VERIFIER, verifier.to_owned()))
}

/// The verifier with which the grant was had whose refresh token is sent, as far as this trial knows.
fn verifier_of<'k>(known: &'k Known, parameters: &[Sent]) -> Option<&'k str> {
    let mut token = parameters.iter().find(|p| p.name == "refresh_token")?.value.lines().next()?;
    // From renewal to renewal, back to the code.
    for _ in 0..known.fields.len() {
        let came_with = |fields: &BTreeMap<String, String>| fields.get("refresh_token").is_some_and(|came| came == token);
        let mut sent = known.fields.iter().filter(|(_, fields)| came_with(fields)).filter_map(|(step, _)| known.sent.get(step));
        if let Some(verifier) = sent.clone().find_map(|sent| sent.get(VERIFIER)) {
            return Some(verifier);
        }
        token = sent.find_map(|sent| sent.get("refresh_token").filter(|used| *used != token))?;
    }
    None
}

async fn posted(trial: &mut RunningTrial<'_>, step: &Ready<'_>, endpoint: &str) -> RawStep {
    match step.post(trial, endpoint, true).await {
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

/// The request once for each line of a parameter's value, one after the other: of several tokens, how many live. What is kept is the last
/// answer with a token, as long as the others leave no doubt.
async fn each(trial: &mut RunningTrial<'_>, step: &Ready<'_>, endpoint: &str, name: &str) -> RawStep {
    let values: Vec<&str> = step.parameters.iter().filter(|p| p.name == name).flat_map(|p| p.value.lines()).collect();
    let grant_type = parameter(step, "grant_type");
    let (mut granted, mut odd) = (0usize, 0usize);
    let (mut shown, mut refused, mut doubtful): (Option<RawStep>, Option<RawStep>, Option<RawStep>) = (None, None, None);
    let mut undelivered = None;
    let mut exchanges = Vec::new();
    for value in &values {
        let with = |p: &Sent| Sent { value: if p.name == name { (*value).to_owned() } else { p.value.clone() }, ..p.clone() };
        let parameters = step.parameters.iter().map(with).collect();
        let one = Ready { planned: step.planned, client: step.client, actor: step.actor, parameters };
        let mut raw = once(trial, &one, endpoint).await;
        exchanges.append(&mut raw.exchanges);
        undelivered = undelivered.or_else(|| raw.undelivered.take());
        match raw.outcome {
            Some(Outcome::Issued) => {
                granted += 1;
                shown = Some(raw);
            }
            Some(Outcome::Refused) => refused = refused.or(Some(raw)),
            _ if trial.engine.learned.is_odd_refusal(grant_type, &raw.shape) => {
                odd += 1;
                refused = refused.or(Some(raw));
            }
            _ => doubtful = doubtful.or(Some(raw)),
        }
    }
    // Two that live are two, whatever the others came to; that there are no more is only known where every one was answered.
    let is_known = granted > 1 || doubtful.is_none();
    let kept = if is_known { shown.or(refused) } else { doubtful };
    let mut raw = kept.unwrap_or_else(|| RawStep::not_sent(format!("there is no {name} to send")));
    if is_known && !values.is_empty() {
        raw.field("granted_answers", Some(granted.to_string()));
        raw.field("odd_refusals", (odd > 0).then(|| odd.to_string()));
        raw.note = format!("{granted} of {} requests, one after the other, were given a token", values.len());
    }
    raw.undelivered = undelivered;
    raw.exchanges = exchanges;
    raw
}

/// What a step sends under a name; nothing where it sends none.
fn parameter<'s>(step: &'s Ready<'_>, name: &str) -> &'s str {
    step.parameters.iter().find(|p| p.name == name).map_or("", |p| p.value.as_str())
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
    for name in [
        "access_token",
        "refresh_token",
        "id_token",
        "token_type",
        "issued_token_type",
        "expires_in",
        "refresh_expires_in",
        "error",
        "error_description",
    ] {
        raw.field(name, answer::text(members, name).filter(|v| !v.is_empty()));
    }
    // RFC 6749 §5.1: no scope in the answer means the scope that was asked for.
    // What the token itself says is better than that; where nothing says it, it is an assumption, and said to be one.
    let token_scope = || {
        let claims = forge::split(raw.fields.get("access_token")?).and_then(|parts| forge::object(parts.payload))?;
        claims::granted_scope(&claims)
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
        claims::of_id_token(trial, raw, &token, step.planned.verified, step.client).await;
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

/// What the answers of a burst came to.
#[derive(Debug, Default)]
struct Tally<'a> {
    granted: Vec<&'a Response>,
    /// The first answer with a token, the first refusal, and the first odd one, by their number.
    first_grant: Option<usize>,
    first_refusal: Option<usize>,
    first_odd: Option<usize>,
    crashed: usize,
    odd: usize,
    /// Neither a token, nor a refusal, nor a server error.
    lost: usize,
    worst: Option<(Outcome, String)>,
}

impl<'a> Tally<'a> {
    /// `is_odd`: an answer of this shape is how this server refuses, although it is no OAuth error.
    fn of(answers: &'a [Result<Response, Failure>], is_odd: impl Fn(&str) -> bool) -> Tally<'a> {
        let mut tally = Tally::default();
        for (index, answer) in answers.iter().enumerate() {
            let (outcome, note) = match answer {
                Ok(response) => answer::token(response),
                Err(failure) => answer::failed(failure),
            };
            let response = answer.as_ref().ok();
            match (outcome, response) {
                (Outcome::Issued, Some(response)) => {
                    tally.first_grant = tally.first_grant.or(Some(index));
                    tally.granted.push(response);
                }
                (Outcome::Refused, _) => tally.first_refusal = tally.first_refusal.or(Some(index)),
                (Outcome::Crashed | Outcome::Unclear, Some(response)) if is_odd(&answer::shape(response)) => {
                    tally.odd += 1;
                    tally.first_odd = tally.first_odd.or(Some(index));
                }
                // The server stumbled and gave no token: no winner, whatever else it is.
                (Outcome::Crashed, Some(_)) => tally.crashed += 1,
                _ => {
                    tally.lost += 1;
                    tally.worst = tally.worst.or(Some((outcome, note)));
                }
            }
        }
        tally
    }

    /// The tokens of each answer that has its own, with the refresh token: access tokens without anything that is unique in them
    /// are the same where they were made in the same second.
    fn tokens(&self) -> BTreeSet<(String, Option<String>)> {
        let own = |r: &&Response| Some((answer::member(r, "access_token")?, answer::member(r, "refresh_token").filter(|t| !t.is_empty())));
        self.granted.iter().filter_map(own).collect()
    }

    /// Every refresh token once, the newest first: what a later one ends is then not taken for something that was dead before.
    fn refresh_tokens(&self) -> Vec<String> {
        let mut newest: Vec<&Response> = self.granted.clone();
        newest.sort_by_key(|response| std::cmp::Reverse(response.elapsed));
        let mut tokens: Vec<String> = Vec::new();
        for token in newest.into_iter().filter_map(|response| answer::member(response, "refresh_token")) {
            // RFC 6749 appendix A.17: no line breaks.
            if !token.is_empty() && !token.contains(['\n', '\r']) && !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        tokens
    }

    /// Whether a refusal was seen: another answer to the same request, or the same token to all, which is idempotency.
    fn is_decided(&self, tokens: usize) -> bool {
        let is_one_answer = tokens == 1 && self.granted.len() > 1 && self.crashed == 0;
        self.first_refusal.is_some() || self.odd > 0 || is_one_answer
    }
}

/// The same request several times at the same moment; assertions and proofs, which are taken once, are of each its own.
/// Several answers with the same token are idempotency, not a race.
async fn burst(trial: &mut RunningTrial<'_>, step: &Ready<'_>, ready: Vec<(RawStep, Request)>) -> RawStep {
    let (raws, requests): (Vec<RawStep>, Vec<Request>) = ready.into_iter().unzip();
    let mut raw = raws.into_iter().next().unwrap_or_default();
    let count = requests.len();
    let answers = trial.engine.http.burst(&requests).await;
    let grant_type = parameter(step, "grant_type");
    let tally = Tally::of(&answers, |shape| trial.engine.learned.is_odd_refusal(grant_type, shape));
    let tokens = tally.tokens();
    let used = Some(parameter(step, "refresh_token")).filter(|token| !token.is_empty());
    for (access_token, refresh_token) in &tokens {
        let refresh_token = refresh_token.iter().map(|token| ("refresh_token".to_owned(), token.clone()));
        let fields = refresh_token.chain([("access_token".to_owned(), access_token.clone())]).collect();
        trial.engine.leavings().note(step.planned.client, "", used, &fields);
    }
    let proof = trial.engine.proof();
    let shown = tally.first_grant.or(tally.first_refusal).or(tally.first_odd).unwrap_or(0);
    if let Some(answer) = answers.get(shown) {
        read(trial, step, &mut raw, answer).await;
    }
    for (field, own) in [("other_access_token", "access_token"), ("other_refresh_token", "refresh_token")] {
        let first = raw.fields.get(own).cloned();
        let all = tally.granted.iter().filter_map(|response| answer::member(response, own));
        let other = all.into_iter().find(|value| first.as_ref().is_some_and(|first| first != value));
        raw.field(field, other);
    }
    raw.field("refresh_tokens", Some(tally.refresh_tokens().join("\n")).filter(|tokens| !tokens.is_empty()));
    // Who notices the race after the fact and revokes what he gave has let nobody win: the tokens are shown.
    let mut dead = BTreeSet::new();
    let tells = |p: &ProofEndpoint| p.refuses && trial.engine.learned.takes(p.name, &step.client.id);
    if let Some(proof) = proof.filter(|p| tokens.len() > 1 && tells(p)) {
        let bound = raw.fields.get("token_type").is_some_and(|kind| dpop::binds(kind));
        let access_tokens: BTreeSet<&String> = tokens.iter().map(|(access_token, _)| access_token).collect();
        for token in access_tokens {
            let shown = Shown { bound, ..Shown::new(token, Some(step.client)) };
            let there = proof::show(trial.engine, &proof, shown).await;
            let refused = there.outcome == Some(Outcome::Refused);
            raw.exchanges.extend(there.exchanges);
            // An API that verifies tokens by itself hears of no revocation: there the token is still worth something.
            if refused && !works_at_resource(trial, &proof, shown, &mut raw).await {
                dead.insert(token);
            }
        }
    }
    let dead = tokens.iter().filter(|(access_token, _)| dead.contains(access_token)).count();
    let winners = tokens.len() - dead;
    // Two tokens that work are a race whatever else came; "at most one" is only known where every answer came whole, and one of
    // them refused.
    let answered = tally.lost == 0 && (tally.is_decided(tokens.len()) || dead > 0);
    let crashed = tally.crashed;
    let number = |count: usize| (count > 0).then(|| count.to_string());
    if winners > 1 || answered {
        raw.field("winners", Some(winners.to_string()));
        raw.note = format!("{} of {count} simultaneous requests were given a token of their own", tokens.len());
        if dead > 0 {
            raw.note = format!("{}, of which {dead} do not work", raw.note);
        }
        if crashed > 0 {
            raw.note = format!("{}, and {crashed} were answered by a server error", raw.note);
        }
        let counts = [("revoked_answers", dead), ("crashed_answers", crashed), ("odd_refusals", tally.odd), ("lost_answers", tally.lost)];
        counts.into_iter().for_each(|(field, count)| raw.field(field, number(count)));
    } else if let Some((outcome, note)) = tally.worst {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::learned::Learned;

    fn answer(status: u16, body: &str, millis: u64) -> Result<Response, Failure> {
        Ok(Response {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.as_bytes().to_vec(),
            elapsed: Duration::from_millis(millis),
            ..Response::default()
        })
    }

    const SERVER_ERROR: &str = r#"{"error":"server_error"}"#;

    #[test]
    fn a_token_that_would_come_again_is_waited_for() {
        let now = jiff::Timestamp::from_millisecond(1_000_250).expect("a time");
        let left = |claims: Value| {
            let token = forge::jws(&serde_json::json!({ "alg": "none" }), &claims, None).expect("a token");
            comes_again(&token, now).as_millis()
        };
        assert_eq!(left(serde_json::json!({ "iat": 1000, "sub": "a" })), 750);
        assert_eq!(left(serde_json::json!({ "iat": 5000 })), 1000, "the server's clock is ahead");
        for drawn_or_old in
            [serde_json::json!({ "iat": 1000, "jti": "x" }), serde_json::json!({ "iat": 998 }), serde_json::json!({ "sub": "a" })]
        {
            assert_eq!(left(drawn_or_old.clone()), 0, "{drawn_or_old}");
        }
        assert_eq!(comes_again("opaque", now), Duration::ZERO);
    }

    #[test]
    fn the_verifier_of_a_refresh_token_is_that_of_its_code() {
        let mut known = Known::default();
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>();
        let mut step = |name: &str, sent: &[(&str, &str)], came: &str| {
            known.sent.insert(name.to_owned(), map(sent));
            known.fields.insert(name.to_owned(), map(&[("refresh_token", came)]));
        };
        step("redeem", &[("code", "c"), ("code_verifier", "v")], "first");
        step("rotate", &[("refresh_token", "first")], "second");
        step("again", &[("refresh_token", "second")], "third");
        step("kept", &[("refresh_token", "third")], "third");
        step("device", &[("device_code", "d")], "other");
        let of = |token: &str| verifier_of(&known, &[Sent::plain("refresh_token", token.to_owned())]);
        for token in ["first", "second", "third", "third\nfirst"] {
            assert_eq!(of(token), Some("v"), "{token}");
        }
        assert_eq!((of("other"), of("unknown"), verifier_of(&known, &[])), (None, None, None));
    }

    /// A server that throws an error for a used code, as for one that never existed, refuses (RFC 6749 §5.2 asks for another answer).
    #[test]
    fn a_server_error_that_is_the_refusal_of_this_server_refuses() {
        let answers = [answer(200, r#"{"access_token":"a"}"#, 1), answer(500, SERVER_ERROR, 2), answer(500, SERVER_ERROR, 3)];
        let crashed = Tally::of(&answers, |_| false);
        assert_eq!((crashed.crashed, crashed.odd, crashed.is_decided(1)), (2, 0, false));
        let learned = Learned::default();
        learned.refuses_oddly("authorization_code", "500 application/json server_error");
        let refused = Tally::of(&answers, |shape| learned.is_odd_refusal("authorization_code", shape));
        assert_eq!((refused.crashed, refused.odd, refused.is_decided(1)), (0, 2, true));
        let other = Tally::of(&answers, |shape| learned.is_odd_refusal("refresh_token", shape));
        assert_eq!((other.crashed, other.odd), (2, 0));
    }

    #[test]
    fn the_same_answer_to_all_is_one_winner() {
        let same =
            [answer(200, r#"{"access_token":"a","refresh_token":"r"}"#, 1), answer(200, r#"{"access_token":"a","refresh_token":"r"}"#, 2)];
        let tally = Tally::of(&same, |_| false);
        assert_eq!((tally.tokens().len(), tally.is_decided(1), tally.refresh_tokens()), (1, true, vec!["r".to_owned()]));
        let alone = [answer(200, r#"{"access_token":"a"}"#, 1), answer(500, SERVER_ERROR, 2)];
        assert!(!Tally::of(&alone, |_| false).is_decided(1), "one came through and the other stumbled");
    }

    /// Access tokens that say nothing unique are alike within a second; the refresh tokens are not.
    #[test]
    fn two_refresh_tokens_are_two_winners_under_one_access_token() {
        let answers = [
            answer(200, r#"{"access_token":"a","refresh_token":"r1"}"#, 1),
            answer(200, r#"{"access_token":"a","refresh_token":"r2"}"#, 2),
        ];
        let tally = Tally::of(&answers, |_| false);
        assert_eq!(tally.tokens().len(), 2);
        assert_eq!(tally.refresh_tokens(), ["r2", "r1"], "the newest first");
    }

    #[test]
    fn what_came_to_nothing_is_lost() {
        let tally = Tally::of(&[answer(400, r#"{"error":"invalid_grant"}"#, 1), Err(Failure::TimedOut)], |_| false).lost;
        assert_eq!(tally, 1);
    }
}
