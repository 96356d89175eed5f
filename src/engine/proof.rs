//! The proof endpoint: a place that takes the genuine token and refuses a made-up one. Nothing else can show that a token
//! works.

use crate::model::observation::NegativeControl;
use crate::model::step::{ClientRole, Place, StepKind, Transport};
use crate::wire;

use super::authentication::{Credentials, credentials};
use super::eval::{self, Actor, Known};
use super::http::Request;
use super::{Engine, RawStep, RunningTrial, USER_AGENT, answer, delivery};

/// A place where tokens are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofEndpoint {
    /// `userinfo`, `introspection` or `resource`.
    pub name: &'static str,
    pub url: String,
    /// It has been seen to refuse a made-up token and no token.
    pub refuses: bool,
}

/// Shows a token in the Authorization header.
pub async fn show(engine: &Engine, endpoint: &ProofEndpoint, token: &str) -> RawStep {
    request(engine, endpoint, Some((token, None)), &Transport::default()).await
}

/// Asks a proof endpoint; `token` is None for a request without any, and its place is the Authorization header unless
/// an attack moved it.
pub async fn request(engine: &Engine, endpoint: &ProofEndpoint, token: Option<(&str, Option<Place>)>, transport: &Transport) -> RawStep {
    let mut raw = RawStep::default();
    let introspection = endpoint.name == "introspection";
    let mut added = Credentials::default();
    if introspection {
        let Some(client) = engine.target.client(ClientRole::Introspection) else {
            return RawStep::not_sent("no client of the target may introspect");
        };
        let known = Known { target: engine.facts().for_scenarios(&engine.target), ..Known::default() };
        added = match credentials(client, None, &known, &Actor::default()) {
            Ok(credentials) => credentials,
            Err(missing) => return RawStep::missing(&missing),
        };
    }
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned()), ("user-agent".to_owned(), USER_AGENT.to_owned())];
    let mut url = delivery::with_suffix(&endpoint.url, transport.path_suffix.as_deref());
    let mut body: Vec<(String, String)> = added.parameters;
    let mut method = if introspection { "POST" } else { "GET" };
    match token {
        Some((token, _)) if introspection => body.push(("token".into(), token.to_owned())),
        Some((token, None | Some(Place::Header))) => headers.push(("authorization".into(), format!("Bearer {token}"))),
        Some((token, Some(Place::Query))) => url = wire::with_query(&url, &wire::form([("access_token", token, false)])),
        Some((token, Some(Place::Body))) => {
            body.push(("access_token".into(), token.to_owned()));
            method = "POST";
        }
        None => {}
    }
    headers.extend(added.headers);
    let body = (method == "POST").then(|| {
        headers.push(("content-type".into(), "application/x-www-form-urlencoded".into()));
        wire::form(body.iter().map(|(n, v)| (n.as_str(), v.as_str(), false))).into_bytes()
    });
    let request = Request { method: transport.method.clone().unwrap_or_else(|| method.into()), url, headers, body };
    if let Some((token, _)) = token {
        raw.sent.insert("access_token".into(), token.to_owned());
        if !introspection {
            raw.undelivered = delivery::other_credential(&request, token);
        }
    }
    raw.field("endpoint", Some(endpoint.name));
    let result = engine.http.send(&request).await;
    match &result {
        Ok(response) => {
            let (outcome, note) = if introspection { answer::introspection(response) } else { answer::resource(response) };
            raw.outcome = Some(outcome);
            raw.note = note;
            raw.shape = answer::shape(response);
            raw.field("status", Some(response.status.to_string()));
            let members = answer::object(response).unwrap_or_default();
            raw.field("sub", answer::text(&members, "sub"));
            raw.field("scope", answer::text(&members, "scope"));
            raw.field("error", answer::challenge_error(response).or_else(|| answer::text(&members, "error")));
        }
        Err(failure) => {
            let (outcome, note) = answer::failed(failure);
            raw.outcome = Some(outcome);
            raw.note = note;
        }
    }
    raw.exchanges.push((request, result));
    raw
}

/// The places where this target may take tokens, in the order of trust.
fn candidates(engine: &Engine) -> Vec<ProofEndpoint> {
    let facts = engine.facts();
    let introspection = facts.endpoints.introspection.clone().filter(|_| engine.target.client(ClientRole::Introspection).is_some());
    [("userinfo", facts.endpoints.userinfo.clone()), ("introspection", introspection), ("resource", engine.target.resource.clone())]
        .into_iter()
        .filter_map(|(name, url)| url.map(|url| ProofEndpoint { name, url, refuses: false }))
        .collect()
}

/// What [`choose`] found.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Takes the genuine token and refuses a made-up one; where there is no such place, one that takes anything.
    pub proof: Option<ProofEndpoint>,
    /// Userinfo or the API, the first that takes the genuine token.
    pub api: Option<ProofEndpoint>,
    /// What the proof endpoint answered to a made-up token and to none.
    pub negatives: Vec<NegativeControl>,
    /// What the places that did not take the genuine token answered.
    pub refused: Vec<String>,
}

/// Looks for the places that take the genuine token of a trial, and shows each a made-up one and none.
pub async fn choose(trial: &mut RunningTrial<'_>, token: &str) -> Chosen {
    let mut chosen = Chosen::default();
    let mut open: Option<(ProofEndpoint, Vec<NegativeControl>)> = None;
    for mut candidate in candidates(trial.engine) {
        let genuine = show(trial.engine, &candidate, token).await;
        if !genuine.outcome.is_some_and(|o| o.granted()) {
            chosen.refused.push(format!("{} answers {}", candidate.name, genuine.note));
            continue;
        }
        let made_up = eval::random(43);
        let mut negatives = Vec::new();
        candidate.refuses = true;
        for (what, shown) in [("a made-up token", Some((made_up.as_str(), None))), ("no token", None)] {
            let answer = request(trial.engine, &candidate, shown, &Transport::default()).await;
            candidate.refuses &= !answer.outcome.is_some_and(|o| o.granted());
            let answer = trial.redacted(&format!("negative control: {what} at {}", candidate.name), StepKind::ResourceRequest, answer);
            negatives.push(NegativeControl { kind: StepKind::ResourceRequest, what: what.to_owned(), answer });
        }
        if candidate.name != "introspection" && chosen.api.is_none() {
            chosen.api = Some(candidate.clone());
        }
        // The first that refuses is the place of proof; the search goes on for an API, which introspection is not.
        if candidate.refuses && chosen.proof.is_none() {
            (chosen.proof, chosen.negatives) = (Some(candidate), negatives);
        } else if chosen.proof.is_none() {
            open = open.or(Some((candidate, negatives)));
        }
        if chosen.proof.is_some() && chosen.api.is_some() {
            return chosen;
        }
    }
    if let (None, Some((candidate, negatives))) = (&chosen.proof, open) {
        (chosen.proof, chosen.negatives) = (Some(candidate), negatives);
    }
    chosen
}
