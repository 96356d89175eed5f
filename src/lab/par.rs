//! Pushed authorization requests (RFC 9126).

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::authorization_request::{self, Channel, Refusal};
use super::client_auth::{Identify, Presented};
use super::oauth_error::{OAuthError, private_json};
use super::params::Params;
use super::server::{Server, form};
use super::{Flaw, clock, details, dpop, jar, secrets};

/// What every `request_uri` of this server begins with.
pub(super) const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// A request that a client pushed.
pub(super) struct Pushed {
    pub(super) client_id: String,
    pub(super) params: Params,
    pub(super) expires: Instant,
    /// A code was given for it.
    pub(super) used: bool,
}

/// Handles `POST /par`.
pub(super) async fn endpoint(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&server, &headers, &body) {
        Ok(body) => private_json(StatusCode::CREATED, &body),
        Err(error) => error.into_response(),
    }
}

fn answer(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Value, OAuthError> {
    let params = form(headers, body)?;
    let presented = Presented::read(server, headers, &params)?;
    let unauthenticated = server.client(presented.client_id()).filter(|_| server.has(Flaw::ParOpen));
    let client = match unauthenticated {
        Some(client) => client,
        None => presented.authenticate(server, Identify::PublicToo)?,
    };
    if params.get("client_id").is_none() {
        return Err(OAuthError::invalid_request("client_id is missing"));
    }
    // Section 2.1: a reference to another request has no business here.
    if params.get("request_uri").is_some() && !server.has(Flaw::ParNestedRequestUri) {
        return Err(OAuthError::invalid_request("request_uri cannot be pushed"));
    }
    let params = params.without("request_uri");
    let opened = jar::open(server, &params).map_err(|why| OAuthError::new("invalid_request_object", why))?;
    let mut params = opened.unwrap_or(params);
    // RFC 9449 section 10.1: a proof here says what dpop_jkt says.
    if let Some(jkt) = dpop::of_request(server, headers, "/par")? {
        if params.get("dpop_jkt").is_some_and(|named| named != jkt) {
            return Err(OAuthError::new("invalid_dpop_proof", "dpop_jkt is another key than that of the proof"));
        }
        params.complete_with(Params::parse(format!("dpop_jkt={jkt}").as_bytes()));
    }
    // Whether the user is logged in is asked when the browser comes.
    authorization_request::check(server, &params, true, Channel::Pushed, false).map_err(|refusal| match refusal {
        Refusal::Page(why) => OAuthError::invalid_request(why),
        Refusal::Redirect(_, error) => error,
    })?;
    let request_uri = format!("{PREFIX}{}", secrets::random());
    let pushed =
        Pushed { client_id: client.id.clone(), params, expires: clock::instant() + server.config.request_uri_lifetime, used: false };
    server.store().push(request_uri.clone(), pushed);
    Ok(json!({ "request_uri": request_uri, "expires_in": server.config.request_uri_lifetime.as_secs() }))
}

/// The request that the browser brought a reference to; `None` where it refers to none of this client.
pub(super) fn look_up(server: &Server, front: &Params, request_uri: &str) -> Option<(String, Params)> {
    let client_id = front.get("client_id")?;
    let store = server.store();
    let known = store.pushed.get(request_uri).map(|pushed| (request_uri.to_owned(), pushed));
    let guessed = || {
        let own = store.pushed.iter().filter(|(_, pushed)| pushed.client_id == client_id && !pushed.used);
        let newest = own.max_by_key(|(_, pushed)| pushed.expires);
        newest.filter(|_| server.has(Flaw::ParRequestUriUnchecked)).map(|(uri, pushed)| (uri.clone(), pushed))
    };
    let (request_uri, pushed) = known.or_else(guessed)?;
    let is_own = pushed.client_id == client_id || server.has(Flaw::ParRequestUriNotBound);
    let is_used = pushed.used && !server.has(Flaw::ParRequestUriReusable);
    if !is_own || is_used || pushed.expires <= clock::instant() && !server.has(Flaw::ParRequestUriLifetime) {
        return None;
    }
    // Section 4, RFC 9101 section 6.3: what stands beside the reference does not count.
    let mut params = pushed.params.clone();
    if server.has(Flaw::ParParametersOverridden) {
        params = front.without("request_uri").without("client_id");
        params.complete_with(pushed.params.clone());
    } else if server.has(Flaw::RarTampered)
        && let Some(other) = front.get(details::NAME)
    {
        params = params.without(details::NAME);
        params.complete_with(Params::of([(details::NAME, other)].into_iter()));
    }
    Some((request_uri, params))
}

/// Notes that a code is given for a pushed request; false where one was given before.
pub(super) fn use_up(server: &Server, request_uri: &str) -> bool {
    let mut store = server.store();
    let was_used = store.pushed.get_mut(request_uri).is_none_or(|pushed| std::mem::replace(&mut pushed.used, true));
    !was_used || server.has(Flaw::ParRequestUriReusable)
}
