//! Requests of the back channel: client authentication, the DPoP proof, and the lawful second tries.

use std::borrow::Cow;

use crate::engine::authentication::{Credentials, credentials};
use crate::engine::bend::{Bend, Prove};
use crate::engine::delivery::{self, Sent};
use crate::engine::dpop;
use crate::engine::eval::{self, Missing};
use crate::engine::http::{Failure, Request, Response};
use crate::engine::learned::Learned;
use crate::engine::{RawStep, RunningTrial, answer};
use crate::model::step::{Place, StepKind, Transport};
use crate::target;

use super::Ready;

/// Where a request goes, and how it is written.
pub struct To<'a> {
    pub endpoint: &'a str,
    pub parameters: &'a [Sent],
    pub transport: &'a Transport,
    /// The endpoint takes DPoP proofs.
    pub proves: bool,
}

/// A request and what was answered.
pub type Exchanged = (Request, Result<Response, Failure>);

/// The request with client authentication and proof, made afresh at each call: an assertion or a proof that came twice is
/// refused for that alone.
///
/// # Errors
/// A credential that cannot be had.
pub fn prepare(trial: &RunningTrial<'_>, step: &Ready<'_>, to: &To<'_>) -> Result<(Credentials, Request), Missing> {
    let engine = trial.engine;
    let mut added = credentials(step.client, step.planned.authentication.as_ref(), &trial.known, &step.actor, &engine.learned)?;
    if let Some(certificate) = step.planned.certificate {
        let own = engine.facts().endpoints_of(step.client).token.clone().unwrap_or_default();
        added.shows = engine.shows(certificate, step.client, &own)?;
    }
    let pushes = matches!(step.planned.kind, StepKind::AuthorizationRequest | StepKind::PushedAuthorizationRequest);
    // An attack may name another client than the one that authenticates.
    if pushes || step.parameters.iter().any(|p| p.name == "client_id") {
        // It has its client_id already, and an attack may have changed it (RFC 9126 §2.1).
        added.parameters.retain(|(name, _)| name != "client_id");
    }
    added.parameters.extend(name_beside_pair(to, &added, &step.client.id, &engine.learned));
    let mut request = delivery::post(to.endpoint, to.transport, &pairs_as_learned(trial, to.parameters), &added);
    if let Some(prove) = proof(trial, step, to)? {
        let proofs = engine.proofs_for(&prove, &request.method, &request.url, None)?;
        request.headers.extend(proofs.into_iter().map(|proof| (dpop::HEADER.to_owned(), proof)));
    }
    if let Some(session) = &step.planned.cookies_of {
        let url = url::Url::parse(&request.url).ok();
        let cookies = url.as_ref().and_then(|url| trial.browser_of(session)?.cookies(url));
        let cookies = cookies.ok_or_else(|| Missing::NoSuchForm("no cookie of this browser goes to the token endpoint".into()))?;
        request.headers.push(("cookie".into(), cookies));
        // As the fetch of a page of the server's own sends it: without it a guard against cross-site requests refuses before anybody looks at
        // the code.
        if let Some(url) = url
            && !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("origin"))
        {
            request.headers.push(("origin".into(), url.origin().ascii_serialization()));
        }
    }
    Ok((added, request))
}

/// A Basic header that a step writes itself, as this server takes it.
fn pairs_as_learned<'p>(trial: &RunningTrial<'_>, parameters: &'p [Sent]) -> Cow<'p, [Sent]> {
    let learned = &trial.engine.learned;
    let bare = |sent: &Sent| {
        let own = sent.place == Some(Place::Header) && sent.name.eq_ignore_ascii_case("authorization");
        let (name, secret) = eval::read_basic(&sent.value, false).filter(|_| own)?;
        learned.is_bare_pair(&name).then(|| eval::bare_basic(&name, &secret))
    };
    if !parameters.iter().any(|sent| bare(sent).is_some()) {
        return Cow::Borrowed(parameters);
    }
    parameters.iter().map(|sent| Sent { value: bare(sent).unwrap_or_else(|| sent.value.clone()), ..sent.clone() }).collect()
}

/// Whose pair a request shows in a Basic header, where it matters whether that is form-encoded.
fn name_of_pair(request: &Request, learned: &Learned) -> Option<String> {
    let (_, value) = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    let (name, secret) = read_pair(value, learned)?;
    (eval::basic(&name, &secret) != eval::bare_basic(&name, &secret)).then_some(name)
}

/// The pair in a Basic header. Which of the two ways it is written, is known by the name alone: that of a client has no `%` in it.
fn read_pair(value: &str, learned: &Learned) -> Option<(String, String)> {
    let bare = eval::read_basic(value, true).is_some_and(|(name, _)| learned.is_bare_pair(&name));
    eval::read_basic(value, bare)
}

/// The proof that goes with a request: as the step says, else as the client is registered.
fn proof(trial: &RunningTrial<'_>, step: &Ready<'_>, to: &To<'_>) -> Result<Option<Prove>, Missing> {
    match &step.planned.proof {
        Some(proof) if to.proves => trial.prove_with(proof, &step.actor).map(Some),
        None if to.proves && step.client.dpop => Ok(Some(Prove::Genuine)),
        _ => Ok(None),
    }
}

/// Sends a request; tries that were refused for want of a DPoP nonce (RFC 9449 §8), for the audience of the assertion (RFC
/// 7523 §3), for how the pair in a Basic header is written or for want of a `client_id` beside it are followed by a second one. `raw` keeps the credentials that were sent, and all exchanges but the last.
///
/// # Errors
/// A credential that cannot be had.
pub async fn send(trial: &RunningTrial<'_>, step: &Ready<'_>, to: &To<'_>, raw: &mut RawStep) -> Result<Exchanged, Missing> {
    let engine = trial.engine;
    let mut sent = once(trial, step, to, raw).await?;
    let proves = sent.0.headers.iter().any(|(name, _)| name == dpop::HEADER);
    if proves && matches!(&sent.1, Ok(response) if dpop::wants_nonce(response)) {
        let second = once(trial, step, to, raw).await?;
        raw.exchanges.push(std::mem::replace(&mut sent, second));
    }
    let id = &step.client.id;
    let unsettled = engine.learned.token_endpoint_audience(id).is_none();
    // Only in a control, so that no attack is ever tried twice.
    if trial.is_control && unsettled && step.client.authentication.asserts() && step.client.audience.is_none() {
        if refuses_way(&sent.1) {
            engine.learned.try_token_endpoint(id);
            let second = once(trial, step, to, raw).await?;
            raw.exchanges.push(std::mem::replace(&mut sent, second));
        }
        // What another endpoint wants, it may want for a reason of its own.
        if refuses_way(&sent.1) && step.planned.kind != StepKind::TokenRequest {
            engine.learned.forget_audience(id);
        } else {
            engine.learned.settle_audience(id, !refuses_way(&sent.1));
        }
    }
    if let Some(name) = name_of_pair(&sent.0, &engine.learned).filter(|name| trial.is_control && engine.learned.is_new_pair(name)) {
        let first = engine.learned.is_bare_pair(&name);
        let mut bare = first;
        if refuses_client(&sent.1) {
            engine.learned.write_pair(&name, !first);
            let second = once(trial, step, to, raw).await?;
            raw.exchanges.push(std::mem::replace(&mut sent, second));
            // Where neither is taken, it is not for this.
            if !refuses_client(&sent.1) {
                bare = !first;
            }
        }
        engine.learned.settle_pair(&name, bare, first);
    }
    if trial.is_control && engine.learned.names_beside_pair().is_none() && has_pair(&sent.0) && !is_named(to) {
        if refuses_way(&sent.1) {
            engine.learned.name_beside_pair(true);
            let second = once(trial, step, to, raw).await?;
            raw.exchanges.push(std::mem::replace(&mut sent, second));
            match refuses_way(&sent.1) {
                true => engine.learned.name_beside_pair(false),
                false => engine.learned.settle_name_beside_pair(),
            }
        } else if sent.1.as_ref().is_ok_and(|response| response.status < 300) {
            engine.learned.name_beside_pair(false);
        }
    }
    Ok(sent)
}

/// Whether a request shows a pair of a name and a secret (RFC 7617).
fn has_pair(request: &Request) -> bool {
    request.headers.iter().any(|(name, value)| is_pair(name, value))
}

fn is_pair(header: &str, value: &str) -> bool {
    header.eq_ignore_ascii_case("authorization") && value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "))
}

/// Whether the step itself sends a `client_id`.
fn is_named(to: &To<'_>) -> bool {
    to.parameters.iter().any(|sent| sent.name == "client_id")
}

/// The `client_id` that this server wants in the body beside a pair, if it does and the step has none.
fn name_beside_pair(to: &To<'_>, added: &Credentials, own: &str, learned: &Learned) -> Option<(String, String)> {
    let wanted =
        learned.names_beside_pair() == Some(true) && !is_named(to) && !added.parameters.iter().any(|(name, _)| name == "client_id");
    let of_step = to.parameters.iter().filter(|sent| sent.place == Some(Place::Header)).map(|sent| (&sent.name, &sent.value));
    let mut headers = of_step.chain(added.headers.iter().map(|(name, value)| (name, value)));
    let (_, pair) = headers.find(|(name, value)| wanted && is_pair(name, value))?;
    // A pair that is none, as an attack may send it, is still this client's.
    Some(("client_id".to_owned(), read_pair(pair, learned).map_or_else(|| own.to_owned(), |(name, _)| name)))
}

async fn once(trial: &RunningTrial<'_>, step: &Ready<'_>, to: &To<'_>, raw: &mut RawStep) -> Result<Exchanged, Missing> {
    let (added, request) = prepare(trial, step, to)?;
    raw.sent.extend(added.parameters);
    let proof = request.headers.iter().rfind(|(name, _)| name == dpop::HEADER).filter(|_| step.planned.proof.is_some());
    raw.sent.extend(proof.cloned());
    let answer = trial.engine.http.send(&request).await;
    if let Ok(response) = &answer {
        trial.engine.keep_nonce(&request.url, response);
    }
    Ok((request, answer))
}

fn refuses_client(answer: &Result<Response, Failure>) -> bool {
    error(answer).as_deref() == Some("invalid_client")
}

/// Whether the way in which the client authenticates may be what was refused: some servers find the request wrong then, not the client.
fn refuses_way(answer: &Result<Response, Failure>) -> bool {
    matches!(error(answer).as_deref(), Some("invalid_client" | "invalid_request" | "unauthorized_client"))
}

fn error(answer: &Result<Response, Failure>) -> Option<String> {
    answer.as_ref().ok().and_then(|response| answer::member(response, "error"))
}

impl crate::engine::Engine {
    /// The DPoP headers of one request, made with this run's key unless an attack says otherwise.
    ///
    /// # Errors
    /// The key cannot sign, or there is no such proof.
    pub fn proofs_for(&self, prove: &Prove, method: &str, url: &str, token: Option<&str>) -> Result<Vec<String>, Missing> {
        let nonce = target::origin(url).and_then(|origin| self.learned.nonce(&origin));
        let made = |bend: &Bend| dpop::proof(&self.dpop_key, method, url, nonce.as_deref(), token, bend);
        Ok(match prove {
            Prove::Withheld | Prove::Missing => Vec::new(),
            Prove::Genuine => vec![made(&Bend::default())?],
            Prove::Text(text) => vec![text.clone()],
            Prove::Bent(bend) => vec![made(bend)?],
            Prove::Beside(bend) => vec![made(bend)?, made(&Bend::default())?],
            Prove::Behind(bend) => vec![made(&Bend::default())?, made(bend)?],
        })
    }

    /// Keeps the nonce that an answer hands out, for the next request to the same origin.
    pub fn keep_nonce(&self, url: &str, response: &Response) {
        if let Some(nonce) = dpop::nonce_of(response)
            && let Some(origin) = target::origin(url)
        {
            self.learned.keep_nonce(&origin, nonce);
        }
    }
}
