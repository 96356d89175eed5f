//! Logout at the wish of a client (OpenID Connect RP-Initiated Logout 1.0).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::Flaw;
use super::authorization_response::see_other;
use super::backchannel;
use super::cookie;
use super::directory::POST_LOGOUT_REDIRECT_URI;
use super::pages;
use super::params::Params;
use super::redirect_uri::{Part, with_params};
use super::secrets;
use super::server::{NO_FORM, Server, of_browser};
use super::store::Session;
use super::tokens::{Hint, hint};

/// Handles `GET` and `POST /logout`: the request of a client, and the answer of the user.
pub(super) async fn endpoint(
    State(server): State<Arc<Server>>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let ended = server.session(&headers);
    let response = answer(&server, &method, query.as_deref(), &headers, &body);
    // Whoever ended it, and whether he was asked before.
    if let Some((_, session)) = ended.filter(|(id, _)| server.store().session(id).is_none()) {
        backchannel::tell(backchannel::notices(&server, &session)).await;
    }
    response
}

fn answer(server: &Server, method: &Method, query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Response {
    let Some(params) = of_browser(method, query, headers, body) else { return refuse(server, NO_FORM) };
    if params.fault().is_some() {
        return refuse(server, "A parameter is there twice.");
    }
    if *method == Method::POST && params.get("tx").is_some() {
        return decide(server, &params, headers);
    }
    ask(server, &params, headers).unwrap_or_else(|why| refuse(server, why))
}

/// Section 2: only with a hint that names the user does the session end without a question.
fn ask(server: &Server, params: &Params, headers: &HeaderMap) -> Result<Response, &'static str> {
    let hint = match params.get("id_token_hint") {
        Some(token) => Some(hint(server, token).ok_or("id_token_hint is no ID token of this server")?),
        None => None,
    };
    let redirect = redirect_uri(server, params, hint.as_ref())?;
    let Some((session_id, session)) = server.session(headers) else {
        return Ok(leave(server, None, redirect.as_deref()));
    };
    if is_wanted(server, hint.as_ref(), &session) {
        return Ok(leave(server, Some(&session_id), redirect.as_deref()));
    }
    let (tx, csrf) = server.store().ask_to_leave(&session_id, redirect);
    Ok(pages::logout(server, &tx, &csrf))
}

fn is_wanted(server: &Server, hint: Option<&Hint>, session: &Session) -> bool {
    match hint {
        Some(hint) => server.user_of(&hint.sub).is_some_and(|user| user.sub == session.sub),
        None => server.has(Flaw::LogoutCsrf),
    }
}

/// Section 3: the address is compared with those that are registered for the client that asks.
fn redirect_uri(server: &Server, params: &Params, hint: Option<&Hint>) -> Result<Option<String>, &'static str> {
    let Some(uri) = params.get("post_logout_redirect_uri") else { return Ok(None) };
    let client = params.get("client_id").or(hint.map(|hint| hint.aud.as_str())).and_then(|id| server.client(id));
    let agrees = client.is_some_and(|client| hint.is_none_or(|hint| hint.aud == client.id));
    let is_registered = agrees && uri == POST_LOGOUT_REDIRECT_URI;
    if !is_registered && !server.has(Flaw::LogoutRedirectUnchecked) {
        return Err("post_logout_redirect_uri is not registered for this client");
    }
    let state: Vec<(&str, &str)> = params.get("state").map(|state| ("state", state)).into_iter().collect();
    Ok(Some(with_params(uri, Part::Query, &state)))
}

/// The user's answer.
fn decide(server: &Server, params: &Params, headers: &HeaderMap) -> Response {
    let leaving = {
        let mut store = server.store();
        let own = cookie::session(headers);
        let id = params.get("tx").unwrap_or_default();
        let csrf = params.get("csrf").unwrap_or_default();
        let is_own =
            store.leaving.get(id).is_some_and(|it| Some(it.session.as_str()) == own && secrets::equal(csrf.as_bytes(), it.csrf.as_bytes()));
        if is_own { store.leaving.remove(id) } else { None }
    };
    match leaving {
        None => refuse(server, "This form does not belong to this session."),
        Some(leaving) if params.get("decision") == Some("logout") => leave(server, Some(&leaving.session), leaving.redirect.as_deref()),
        Some(_) => refuse(server, "You are still logged in."),
    }
}

/// Ends the session, and sends the browser where the client wants it.
fn leave(server: &Server, session_id: Option<&str>, redirect: Option<&str>) -> Response {
    let mut response = redirect.map_or_else(|| pages::logged_out(server), see_other);
    if let Some(id) = session_id {
        if !server.has(Flaw::LogoutIneffective) {
            server.store().log_out(id);
        }
        if !server.has(Flaw::RefreshSurvivesLogout) {
            server.store().end_bound(id);
        }
        cookie::set(&mut response, cookie::SESSION, "gone; Max-Age=0", cookie::Guard::Whole);
    }
    response
}

fn refuse(server: &Server, why: &str) -> Response {
    pages::error(server, StatusCode::BAD_REQUEST, why)
}
