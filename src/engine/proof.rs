//! The proof endpoint: a place that takes the genuine token and refuses a made-up one. Nothing else can show that a token
//! works.

use crate::model::authentication::ShownCertificate;
use crate::model::observation::{NegativeControl, Outcome};
use crate::model::step::{ClientRole, Place, StepKind, Transport};
use crate::target::Client;
use crate::wire;

use super::actor::Actor;
use super::authentication::{Credentials, credentials};
use super::bend::Prove;
use super::eval::{self, Known};
use super::http::{Failure, Request, Response, Shows};
use super::{Engine, RawStep, RunningTrial, USER_AGENT, answer, delivery, dpop, forge, mcp, step};

/// A place where tokens are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofEndpoint {
    /// `userinfo`, `introspection` or `resource`.
    pub name: &'static str,
    pub url: String,
    /// It has been seen to refuse a made-up token and no token.
    pub refuses: bool,
    /// An MCP server that takes tokens with a message alone: each is shown with `initialize`, by POST (Streamable HTTP).
    pub is_mcp: bool,
}

impl ProofEndpoint {
    pub fn new(name: &'static str, url: String) -> ProofEndpoint {
        ProofEndpoint { name, url, refuses: false, is_mcp: false }
    }

    /// Its address for whoever holds the token: a client with a certificate may have one of its own (RFC 8705 §5).
    fn of(&self, engine: &Engine, client: Option<&Client>, certificate: Option<ShownCertificate>) -> String {
        let own = |client: &Client| engine.facts().endpoints_with(client, certificate).userinfo.clone();
        let alias = client.filter(|_| self.name == "userinfo").and_then(own);
        alias.unwrap_or_else(|| self.url.clone())
    }
}

/// A token and whoever shows it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    pub token: &'a str,
    /// The Authorization header, unless an attack moved it.
    pub place: Option<Place>,
    /// The client whose key or certificate the token is bound to, where it is.
    pub client: Option<&'a Client>,
    /// The token came bound to the key of this run's proofs.
    pub bound: bool,
    /// The proof that goes with it, where that is not decided by the two above.
    pub prove: Option<&'a Prove>,
    /// The TLS certificate that it is shown with, where that is not the client's own.
    pub certificate: Option<ShownCertificate>,
}

impl<'a> Shown<'a> {
    /// In the Authorization header.
    pub fn new(token: &'a str, client: Option<&'a Client>) -> Shown<'a> {
        Shown { token, place: None, client, bound: false, prove: None, certificate: None }
    }

    /// With a DPoP proof (RFC 9449 §7.1), unless the server is known to bind nothing.
    fn proves(&self, engine: &Engine) -> bool {
        match self.prove {
            Some(prove) => prove.has_scheme(),
            None => self.bound || self.client.is_some_and(|client| client.dpop && !engine.learned.unbound(&client.id)),
        }
    }
}

/// Shows a token in the Authorization header.
pub async fn show(engine: &Engine, endpoint: &ProofEndpoint, shown: Shown<'_>) -> RawStep {
    request(engine, endpoint, Some(shown), &Transport::default()).await
}

/// Asks a proof endpoint; `shown` is None for a request without any token. A proof that is refused for want of a nonce is made
/// once more (RFC 9449 §9).
pub async fn request(engine: &Engine, endpoint: &ProofEndpoint, shown: Option<Shown<'_>>, transport: &Transport) -> RawStep {
    let first = ask(engine, endpoint, shown, transport).await;
    let wants_nonce = |(_, answer): &(Request, Result<Response, Failure>)| answer.as_ref().is_ok_and(dpop::wants_nonce);
    if !first.exchanges.last().is_some_and(wants_nonce) || !shown.is_some_and(|s| s.proves(engine)) {
        return first;
    }
    let mut second = ask(engine, endpoint, shown, transport).await;
    second.exchanges.splice(0..0, first.exchanges);
    second
}

async fn ask(engine: &Engine, endpoint: &ProofEndpoint, shown: Option<Shown<'_>>, transport: &Transport) -> RawStep {
    let mut raw = RawStep::default();
    let introspection = endpoint.name == "introspection";
    let mut added = Credentials::default();
    if introspection {
        let Some(client) = engine.target.client(ClientRole::Introspection) else {
            return RawStep::not_sent("no client of the target may introspect");
        };
        let known = Known { target: engine.known_target(), ..Known::default() };
        added = match credentials(client, None, &known, &Actor::default(), &engine.learned) {
            Ok(credentials) => credentials,
            Err(missing) => return RawStep::missing(&missing),
        };
    }
    // In a form body a token goes as RFC 6750 §2.2 has it, which is no message.
    let is_message = endpoint.is_mcp && !shown.is_some_and(|s| s.place == Some(Place::Body));
    let accept = match endpoint.name {
        _ if is_message => mcp::ACCEPT,
        // An API need not answer in JSON.
        "resource" => "application/json, */*;q=0.5",
        _ => "application/json",
    };
    let mut headers = vec![("accept".to_owned(), accept.to_owned()), ("user-agent".to_owned(), USER_AGENT.to_owned())];
    let (client, certificate) = (shown.and_then(|s| s.client), shown.and_then(|s| s.certificate));
    if !introspection && let Some(client) = client {
        added.shows = match certificate.map(|shown| engine.shows(shown, client, &endpoint.of(engine, Some(client), None))) {
            None => Shows::own(client),
            Some(Ok(shows)) => shows,
            Some(Err(missing)) => return RawStep::missing(&missing),
        };
    }
    let mut url = delivery::with_suffix(&endpoint.of(engine, client, certificate), transport.path_suffix.as_deref());
    let mut body: Vec<(String, String)> = added.parameters;
    let mut method = if introspection || is_message { "POST" } else { "GET" };
    let proves = !introspection && shown.is_some_and(|s| s.proves(engine));
    match shown.map(|s| (s.token, s.place)) {
        Some((token, _)) if introspection => body.push(("token".into(), token.to_owned())),
        Some((token, None | Some(Place::Header))) => {
            headers.push(("authorization".into(), format!("{} {token}", if proves { "DPoP" } else { "Bearer" })));
        }
        Some((token, Some(Place::Query))) => url = wire::with_query(&url, &wire::form([("access_token", token, false)])),
        Some((token, Some(Place::Body))) => {
            body.push(("access_token".into(), token.to_owned()));
            method = "POST";
        }
        None => {}
    }
    headers.extend(added.headers);
    let body = (method == "POST").then(|| {
        let media = if is_message { "application/json" } else { "application/x-www-form-urlencoded" };
        headers.push(("content-type".into(), media.into()));
        if is_message { mcp::INITIALIZE.into() } else { wire::form(body.iter().map(|(n, v)| (n.as_str(), v.as_str(), false))).into_bytes() }
    });
    let method = transport.method.clone().unwrap_or_else(|| method.into());
    if let Some(Shown { token, prove, .. }) = shown.filter(|_| proves) {
        match engine.proofs_for(prove.unwrap_or(&Prove::Genuine), &method, &url, Some(token)) {
            Ok(proofs) => headers.extend(proofs.into_iter().map(|proof| (dpop::HEADER.to_owned(), proof))),
            Err(missing) => return RawStep::missing(&missing),
        }
    }
    let request = Request { method, url, headers, body, shows: added.shows };
    if let Some(Shown { token, .. }) = shown {
        raw.sent.insert("access_token".into(), token.to_owned());
        if let Some((_, proof)) = request.headers.iter().rfind(|(name, _)| name == dpop::HEADER).filter(|_| names_proof(shown)) {
            raw.sent.insert(dpop::HEADER.into(), proof.clone());
        }
        if !introspection {
            raw.undelivered = delivery::other_credential(&request, token);
        }
    }
    raw.field("endpoint", Some(endpoint.name));
    let is_self_contained = shown.is_some_and(|s| forge::is_self_contained(s.token));
    raw.field("checked", Some(if endpoint.name == "resource" && is_self_contained { "maybe_offline" } else { "online" }));
    let result = engine.http.send(&request).await;
    match &result {
        Ok(response) => {
            engine.keep_nonce(&request.url, response);
            let (outcome, note) = match endpoint {
                _ if introspection => answer::introspection(response),
                _ if is_message => mcp::initialized(response),
                _ => answer::resource(response),
            };
            if let (Outcome::Accepted, Some(client)) = (outcome, shown.and_then(|s| s.client)) {
                engine.learned.took(endpoint.name, &client.id);
            }
            raw.outcome = Some(outcome);
            raw.note = note;
            raw.shape = answer::shape(response);
            raw.field("status", Some(response.status.to_string()));
            raw.field("sub", answer::member(response, "sub"));
            raw.field("scope", answer::member(response, "scope"));
            let claims = response.object().filter(|_| !is_message).map(step::claims::names);
            raw.field("claims", claims.filter(|names| !names.is_empty()));
            raw.field("error", answer::challenge_error(response).or_else(|| answer::member(response, "error")));
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

/// Whether the step says what its proof is.
fn names_proof(shown: Option<Shown<'_>>) -> bool {
    shown.is_some_and(|s| s.prove.is_some())
}

/// The places where this target may take tokens, in the order of trust.
fn candidates(engine: &Engine) -> Vec<ProofEndpoint> {
    let facts = engine.facts();
    let introspection = facts.endpoints.introspection.clone().filter(|_| engine.target.client(ClientRole::Introspection).is_some());
    [("userinfo", facts.endpoints.userinfo.clone()), ("introspection", introspection), ("resource", engine.target.resource.clone())]
        .into_iter()
        .filter_map(|(name, url)| url.map(|url| ProofEndpoint::new(name, url)))
        .collect()
}

/// What [`choose`] found.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Takes the genuine token and refuses a made-up one; where there is no such place, one that takes anything.
    pub proof: Option<ProofEndpoint>,
    /// Userinfo or the API, the first that takes the genuine token.
    pub api: Option<ProofEndpoint>,
    /// The API that the target file names, where it takes the genuine token, refuses a made-up one and is not the place of proof: it may verify
    /// tokens in a way of its own.
    pub named: Option<ProofEndpoint>,
    /// The API that the target file names takes tokens as an MCP server does.
    pub is_mcp: bool,
    /// What the proof endpoint answered to a made-up token and to none.
    pub negatives: Vec<NegativeControl>,
    /// What the places that did not take the genuine token answered.
    pub refused: Vec<String>,
}

/// Looks for the places that take the genuine token of a trial, and shows each a made-up one and none.
pub async fn choose(trial: &mut RunningTrial<'_>, token: &str) -> Chosen {
    let mut chosen = Chosen::default();
    let client = trial.holder(token);
    let mut open: Option<(ProofEndpoint, Vec<NegativeControl>)> = None;
    for mut candidate in candidates(trial.engine) {
        let granted = |raw: &RawStep| raw.outcome.is_some_and(Outcome::granted);
        let genuine = show(trial.engine, &candidate, trial.shown(token)).await;
        if !granted(&genuine) {
            let mcp = ProofEndpoint { is_mcp: true, ..candidate.clone() };
            // Where a session begins without any token, its beginning shows nothing of one (see mcp/unauthenticated-resource).
            let is_mcp = candidate.name == "resource"
                && granted(&show(trial.engine, &mcp, trial.shown(token)).await)
                && request(trial.engine, &mcp, None, &Transport::default()).await.outcome == Some(Outcome::Refused);
            if !is_mcp {
                chosen.refused.push(format!("{} answers {}", candidate.name, genuine.note));
                continue;
            }
            (candidate, chosen.is_mcp) = (mcp, true);
        }
        let made_up = eval::random(43);
        let mut negatives = Vec::new();
        candidate.refuses = true;
        for (what, shown) in [("a made-up token", Some(Shown::new(&made_up, client))), ("no token", None)] {
            let answer = request(trial.engine, &candidate, shown, &Transport::default()).await;
            candidate.refuses &= !answer.outcome.is_some_and(|o| o.granted());
            let answer = trial.redacted(&format!("negative control: {what} at {}", candidate.name), StepKind::ResourceRequest, answer);
            negatives.push(NegativeControl { kind: StepKind::ResourceRequest, what: what.to_owned(), answer, leads_nowhere: false });
        }
        if candidate.name != "introspection" && chosen.api.is_none() {
            chosen.api = Some(candidate.clone());
        }
        if candidate.name == "resource" && candidate.refuses && chosen.proof.is_some() {
            chosen.named = Some(candidate.clone());
        }
        // The first that refuses is the place of proof; the search goes on for an API, which introspection is not, and to the one that is named.
        if candidate.refuses && chosen.proof.is_none() {
            (chosen.proof, chosen.negatives) = (Some(candidate), negatives);
        } else if chosen.proof.is_none() {
            open = open.or(Some((candidate, negatives)));
        }
        if chosen.proof.is_some() && chosen.api.is_some() && trial.engine.target.resource.is_none() {
            return chosen;
        }
    }
    if let (None, Some((candidate, negatives))) = (&chosen.proof, open) {
        (chosen.proof, chosen.negatives) = (Some(candidate), negatives);
    }
    chosen
}
