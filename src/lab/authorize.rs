//! The authorization endpoint (RFC 6749 section 3.1).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::authorization_request::{self, AuthorizationRequest, Channel, Refusal, ResponseType};
use super::authorization_response::see_other;
use super::clock;
use super::cookie;
use super::jar;
use super::oauth_error::OAuthError;
use super::pages;
use super::par;
use super::secrets;
use super::server::{NO_FORM, Server, of_browser};
use super::store::{Code, Grant, Session};
use super::tokens::{Issue, id_token_for_code, now};
use super::{Flaw, Habit};

/// Handles `GET` and `POST /authorize`.
pub(super) async fn endpoint(
    State(server): State<Arc<Server>>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let known = cookie::browser(&headers);
    let browser = known.map_or_else(secrets::random, ToOwned::to_owned);
    let mut response = answer(&server, &method, query, &headers, &body, &browser);
    if known.is_none() {
        cookie::set(&mut response, cookie::BROWSER, &browser, cookie::Guard::Whole);
    }
    if let Some(origin) = headers.get(header::ORIGIN).filter(|_| server.has(Flaw::AuthorizeCors)) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    response
}

fn answer(server: &Server, method: &Method, query: Option<String>, headers: &HeaderMap, body: &[u8], browser: &str) -> Response {
    let Some(mut params) = of_browser(method, query.as_deref(), headers, body) else {
        return pages::error(server, StatusCode::BAD_REQUEST, NO_FORM);
    };
    if params.is_any_repeated() && server.has(Flaw::DuplicateParameterAccepted) {
        params.allow_repeated(|_| true);
    }
    if params.is_any_repeated() && server.has(Flaw::DuplicateRedirectUriLastChecked) {
        params.allow_repeated(|name| name == "redirect_uri");
    }
    if params.is_any_repeated() && server.has(Flaw::DuplicateChallengeLastUsed) {
        params.allow_repeated(|name| name == "code_challenge");
    }
    let session = server.session(headers);
    let unchecked = *method == Method::POST && server.has(Flaw::AuthorizePostUnchecked);
    let (pushed, params) = match params.get("request_uri").filter(|uri| uri.starts_with(par::PREFIX)) {
        None => (None, params),
        Some(request_uri) => match par::look_up(server, &params, request_uri) {
            Some((request_uri, pushed)) => {
                if let (true, Err(why)) = (server.config.request_beside, jar::stands_beside(&params, &pushed)) {
                    return pages::error(server, StatusCode::BAD_REQUEST, why);
                }
                (Some(request_uri), pushed)
            }
            None => return pages::error(server, StatusCode::BAD_REQUEST, "request_uri is unknown, used, expired or of another client"),
        },
    };
    let params = match jar::open_in_browser(server, &params) {
        Ok(opened) => opened.unwrap_or(params),
        Err(why) => return pages::error(server, StatusCode::BAD_REQUEST, why),
    };
    if let Some(redirect_uri) = params.get("redirect_uri") {
        server.store().last_asked.insert(browser.to_owned(), redirect_uri.to_owned());
    }
    let channel = if pushed.is_some() { Channel::Pushed } else { Channel::Front };
    let kept = pushed.as_ref().filter(|_| server.has(Flaw::ParParametersInBrowser)).map(|_| {
        let members: serde_json::Map<String, Value> = params.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        URL_SAFE_NO_PAD.encode(Value::Object(members).to_string())
    });
    let mut response = match authorization_request::check(server, &params, session.is_some(), channel, unchecked) {
        Ok(request) => {
            if let Some(challenge) = &request.challenge {
                server.store().last_challenge.insert(browser.to_owned(), challenge.clone());
            }
            proceed(server, AuthorizationRequest { pushed, ..request }, session, browser)
        }
        Err(Refusal::Redirect(reply, error)) => reply.error(server, &error),
        Err(Refusal::Page(why)) => pages::error(server, StatusCode::BAD_REQUEST, &why),
    };
    if let Some(kept) = kept {
        cookie::set(&mut response, cookie::REQUEST, &kept, cookie::Guard::Whole);
    }
    response
}

/// Answers at once if the user is logged in and has consented, and asks the
/// user for what is missing otherwise.
fn proceed(server: &Server, request: AuthorizationRequest, session: Option<(String, Session)>, browser: &str) -> Response {
    let session = session.filter(|(_, session)| !must_log_in(server, &request, session));
    let session = match session {
        None if request.prompt.none && server.has(Flaw::PromptNoneWithoutSession) => {
            Some(server.store().log_in(server.default_sub(), now(), None, None))
        }
        session => session,
    };
    let Some((session_id, session)) = session else {
        if request.prompt.none {
            return silently(server, &request, &OAuthError::new("login_required", "the login is too old"));
        }
        let tx = server.store().begin(request, None, browser);
        return see_other(&format!("/login?tx={tx}"));
    };
    let consented = server.store().has_consent(server, &request, &session);
    if consented && !request.prompt.consent || server.store().takes_consent_for_another(server, &request, &session) {
        return finish(server, &request, &session);
    }
    if request.prompt.none {
        return silently(server, &request, &OAuthError::new("consent_required", "the user has not consented"));
    }
    let tx = server.store().begin(request, Some(session_id), browser);
    see_other(&format!("/consent?tx={tx}"))
}

/// An error that nobody has seen a page before.
fn silently(server: &Server, request: &AuthorizationRequest, error: &OAuthError) -> Response {
    if request.is_anonymous && !server.has(Flaw::ErrorRedirectAutomatic) {
        return pages::error(server, StatusCode::BAD_REQUEST, &error.description);
    }
    request.reply.error(server, error)
}

fn must_log_in(server: &Server, request: &AuthorizationRequest, session: &Session) -> bool {
    let age = now().saturating_sub(session.auth_time);
    let asked = request.prompt.login && !server.has(Flaw::PromptLoginIgnored);
    let is_ignored = |max_age| server.has(Flaw::MaxAgeIgnored) || max_age == 0 && server.has(Flaw::MaxAgeZeroIgnored);
    // A max_age of 0 is the same as prompt=login (OpenID Connect Core section 3.1.2.1).
    let is_old = request.max_age.is_some_and(|max_age| (max_age == 0 || age > max_age) && !is_ignored(max_age));
    asked || is_old || is_another(server, request, session)
}

/// Whether the user is not the one whom the client asked for.
fn is_another(server: &Server, request: &AuthorizationRequest, session: &Session) -> bool {
    let is_session = |sub: &str| server.user_of(sub).is_some_and(|user| user.sub == session.sub);
    let differs = |sub: &Option<String>| sub.as_deref().is_some_and(|sub| !is_session(sub));
    differs(&request.hinted_sub) && !server.has(Flaw::IdTokenHintIgnored) || differs(&request.wanted_sub)
}

/// Sends the user back to the client with what it asked for.
pub(super) fn finish(server: &Server, request: &AuthorizationRequest, session: &Session) -> Response {
    if is_another(server, request, session) {
        // OpenID Connect Core section 3.1.2.2: another user logged in.
        return request.reply.error(server, &OAuthError::new("login_required", "another user is logged in"));
    }
    // Once, when the code is given: until then the user may load a page again (RFC 9126 section 4).
    if request.pushed.as_ref().is_some_and(|request_uri| !par::use_up(server, request_uri)) {
        return pages::error(server, StatusCode::BAD_REQUEST, "request_uri was used before");
    }
    let grant = Grant {
        client_id: request.client_id.clone(),
        sub: server.client(&request.client_id).map_or_else(|| session.sub.to_owned(), |client| server.subject_for(client, session.sub)),
        scope: request.scope,
        nonce: request.nonce.clone(),
        auth_time: Some(session.auth_time),
        unknown_scope: request.unknown_scope.clone(),
        acr: request.claimed_acr.clone(),
        jkt: request.dpop_jkt.clone(),
        x5t: None,
        resources: request.resources.clone(),
        details: request.details.clone(),
        verifier: None,
        session: (!request.scope.has("offline_access")).then(|| session.id.clone()),
    };
    server.store().visit(&session.sid, &request.client_id);
    if let Some(nonce) = &request.nonce {
        server.store().note_nonce(session.sub, nonce);
    }
    match request.response_type {
        ResponseType::Code => {
            let code = issue_code(server, request, grant);
            request.reply.success(server, &[("code", &code)])
        }
        ResponseType::CodeIdToken => {
            let code = issue_code(server, request, grant.clone());
            match id_token_for_code(server, &grant, &code) {
                Ok(id_token) => request.reply.success(server, &[("code", &code), ("id_token", &id_token)]),
                Err(error) => request.reply.error(server, &error),
            }
        }
        ResponseType::Token => with_token(server, request, grant, None, false),
        ResponseType::Hybrid { code, id_token } => {
            let code = code.then(|| issue_code(server, request, grant.clone()));
            with_token(server, request, grant, code, id_token)
        }
    }
}

fn issue_code(server: &Server, request: &AuthorizationRequest, grant: Grant) -> String {
    let id = secrets::random();
    let code = Code {
        grant,
        redirect_uri: request.reply.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        verifier_optional: request.verifier_optional,
        kept_verifier: request.kept_verifier.clone(),
        expires: clock::instant() + server.config.code_lifetime,
        used: false,
        used_at: None,
        families: Vec::new(),
    };
    let mut store = server.store();
    if server.keeps(Habit::OneCodePerUser) {
        let owner = |code: &Code| (code.grant.sub.clone(), code.grant.client_id.clone());
        let own = owner(&code);
        store.codes.retain(|_, other| other.used || owner(other) != own);
    }
    store.codes.insert(id.clone(), code);
    id
}

/// The response of the implicit grant (RFC 6749 section 4.2.2), and of the
/// hybrid flow.
fn with_token(server: &Server, request: &AuthorizationRequest, grant: Grant, code: Option<String>, with_id_token: bool) -> Response {
    let issue = {
        let mut store = server.store();
        let family = store.new_family();
        let scope = grant.scope;
        Issue::register(server, &mut store, family, grant, scope, false)
    };
    let lifetime = server.config.access_token_lifetime.as_secs().to_string();
    let tokens = issue.access_token(server).and_then(|token| {
        let id_token = with_id_token.then(|| issue.id_token(server, &token)).transpose()?;
        Ok((token, id_token))
    });
    match tokens {
        Ok((token, id_token)) => {
            let scope = issue.scope.to_string();
            let mut pairs =
                vec![("access_token", token.as_str()), ("token_type", "Bearer"), ("expires_in", lifetime.as_str()), ("scope", &scope)];
            pairs.extend(code.as_deref().map(|code| ("code", code)));
            pairs.extend(id_token.as_deref().map(|id_token| ("id_token", id_token)));
            request.reply.success(server, &pairs)
        }
        Err(error) => request.reply.error(server, &error),
    }
}
