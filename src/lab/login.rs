//! Login and consent: the part of an authorization the user sees.

use std::sync::{Arc, MutexGuard};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::Flaw;
use super::authorization_response::see_other;
use super::authorize::finish;
use super::cookie;
use super::details;
use super::directory::{self, User};
use super::oauth_error::OAuthError;
use super::pages;
use super::params::Params;
use super::scope::Scope;
use super::second_factor;
use super::secrets;
use super::server::{Server, own_form};
use super::store::{Session, Store, Transaction};
use super::tokens::now;

/// Wrong passwords and one-time codes before a transaction is over.
pub(super) const MAX_TRIES: u8 = 5;

const ASKS_FOR_ELSE: &str = "This form asks for something else than the application did.";
pub(super) const GONE: &str = "This login is unknown or over. Please start again at the application.";

/// Handles `GET /login`: the form.
pub(super) async fn show_login(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let form = {
        let mut store = server.store();
        let found = find(&mut store, &params).filter(|(_, transaction)| is_begun_here(transaction, &headers));
        found.map(|(tx, transaction)| pages::login(&server, tx, transaction, None))
    };
    let mut response = form.unwrap_or_else(|| refuse(&server, GONE));
    if server.has(Flaw::SessionFixation) && cookie::session(&headers).is_none() {
        cookie::set_session(&server, &mut response, &secrets::random());
    }
    response
}

/// Handles `POST /login`: name and password.
pub(super) async fn log_in(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(params) = own_form(&headers, &body) else {
        return refuse(&server, "This is not the form of the login page.");
    };
    let name = params.get("username").unwrap_or_default();
    let password = params.get("password").unwrap_or_default();

    let mut store = server.store();
    let Some((tx, transaction)) = find(&mut store, &params) else {
        drop(store);
        return refuse(&server, GONE);
    };
    let is_foreign = !is_begun_here(transaction, &headers);
    let is_bare = params.get("csrf").is_none() && server.has(Flaw::LoginCsrfValueOptional);
    let is_taken = || server.has(Flaw::LoginCsrf) || server.has(Flaw::LoginCsrfAtHome);
    if !is_bare && (!comes_from(&params, transaction) || is_foreign && !is_taken()) {
        drop(store);
        return refuse(&server, "This form does not belong to this login.");
    }
    let goes_home = is_foreign && !is_bare && !server.has(Flaw::LoginCsrf);
    let moved_to = (is_foreign && !goes_home).then(|| cookie::browser(&headers).map_or_else(secrets::random, ToOwned::to_owned));
    if let Some(browser) = &moved_to {
        transaction.browser.clone_from(browser);
    }
    let Some(user) = directory::user_by_password(name, password) else {
        transaction.tries += 1;
        if transaction.tries >= MAX_TRIES {
            store.transactions.remove(tx);
            drop(store);
            return refuse(&server, "Too many wrong passwords. Please start again.");
        }
        let message = Some("Name or password is wrong.");
        return pages::login(&server, tx, transaction, message);
    };

    if goes_home {
        let (session_id, _) = store.log_in(user.sub, now(), cookie::session(&headers), None);
        drop(store);
        let mut response = pages::home(&server);
        cookie::set_session(&server, &mut response, &session_id);
        return response;
    }
    let mut response = if second_factor::is_needed(user) {
        transaction.knows_password_of = Some(user);
        half_way(&server, store, tx, user, &headers)
    } else {
        complete(&server, store, tx, user, &headers)
    };
    if let Some(browser) = moved_to {
        cookie::set(&mut response, cookie::BROWSER, &browser, cookie::Guard::Whole);
    }
    response
}

/// The password was right, and a second factor is due: nobody is logged in yet.
fn half_way(server: &Server, mut store: MutexGuard<'_, Store>, tx: &str, user: &User, headers: &HeaderMap) -> Response {
    let mut response = see_other(&format!("/second-factor?tx={tx}"));
    if server.has(Flaw::HalfLoginAuthorizes) {
        let (session_id, _) = store.log_in(user.sub, now(), cookie::session(headers), None);
        if let Some(transaction) = store.transactions.get_mut(tx) {
            transaction.session = Some(session_id.clone());
        }
        cookie::set_session(server, &mut response, &session_id);
    }
    response
}

/// Everything that the login asks for was given: the session begins.
pub(super) fn complete(server: &Server, mut store: MutexGuard<'_, Store>, tx: &str, user: &User, headers: &HeaderMap) -> Response {
    // A session id known before the login must not become a logged-in one.
    let known = cookie::session(headers);
    let kept = known.filter(|_| server.has(Flaw::SessionFixation));
    let (session_id, session) = store.log_in(user.sub, now(), known, kept);
    let mut response = match store.after_login(server, tx, &session_id, &session) {
        Some(mut transaction) => {
            redirect_as_last_asked(server, &store, &mut transaction);
            challenge_as_last_sent(server, &store, &mut transaction);
            drop(store);
            let mut response = finish(server, &transaction.request, &session);
            if server.has(Flaw::Redirect307) && response.status() == StatusCode::SEE_OTHER {
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            }
            response
        }
        None => see_other(&format!("/consent?tx={tx}")),
    };
    cookie::set_session(server, &mut response, &session_id);
    response
}

/// The mistake of `redirect-uri-from-session`.
fn redirect_as_last_asked(server: &Server, store: &Store, transaction: &mut Transaction) {
    let asked = store.last_asked.get(&transaction.browser).filter(|_| transaction.began_logged_out);
    let other = asked.filter(|asked| **asked != transaction.request.reply.redirect_uri);
    if let Some(asked) = other.filter(|_| server.has(Flaw::RedirectUriFromSession)) {
        transaction.request.reply.redirect_uri.clone_from(asked);
    }
}

/// The mistake of `pkce-challenge-from-session`.
fn challenge_as_last_sent(server: &Server, store: &Store, transaction: &mut Transaction) {
    let sent = store.last_challenge.get(&transaction.browser).filter(|_| transaction.began_logged_out);
    let own = transaction.request.challenge.as_ref();
    let other = sent.filter(|sent| own.is_some_and(|own| own.value != sent.value));
    if let Some(sent) = other.filter(|_| server.has(Flaw::PkceChallengeFromSession)) {
        transaction.request.challenge = Some(sent.clone());
    }
}

/// The mistake of `consent-for-newest`.
fn request_as_last_asked(server: &Server, store: &mut Store, transaction: &mut Transaction, session: &Session) {
    let Some(newest) = store.newest_of(&session.id).filter(|_| transaction.began_logged_out) else { return };
    let is_other = store.transactions.get(&newest).is_some_and(|newest| newest.request.client_id != transaction.request.client_id);
    if is_other
        && server.has(Flaw::ConsentForNewest)
        && let Some(other) = store.transactions.remove(&newest)
    {
        transaction.request = other.request;
    }
}

/// Handles `GET /consent`: the question.
pub(super) async fn show_consent(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let is_answer = params.get("decision") == Some("allow");
    if is_answer
        && server.has(Flaw::ConsentByLink)
        && let Some((transaction, session)) = newest_question(&server, &headers)
    {
        return finish(&server, &transaction.request, &session);
    }
    let mut store = server.store();
    let Some((tx, transaction)) = find(&mut store, &params) else {
        drop(store);
        return refuse(&server, GONE);
    };
    if !is_begun_here(transaction, &headers) && !server.has(Flaw::ConsentInteractionNotBound) {
        if server.has(Flaw::ConsentInteractionOfTheFirst) {
            transaction.browser = secrets::random();
            let mut response = see_other(&format!("/login?tx={tx}"));
            cookie::set(&mut response, cookie::BROWSER, &transaction.browser, cookie::Guard::Whole);
            return response;
        }
        drop(store);
        return refuse(&server, GONE);
    }
    if !belongs_to(transaction, cookie::session(&headers)) && !is_anybodys(&server, transaction) {
        return see_other(&format!("/login?tx={tx}"));
    }
    pages::consent(&server, tx, &transaction.csrf, &transaction.request)
}

/// Whether a question that one session was asked may be answered in another one.
fn is_anybodys(server: &Server, transaction: &Transaction) -> bool {
    server.has(Flaw::ConsentInteractionNotBound) || transaction.session.is_some() && server.has(Flaw::ConsentInteractionOfTheFirst)
}

/// Takes the question that the session was asked last.
fn newest_question(server: &Server, headers: &HeaderMap) -> Option<(Transaction, Session)> {
    let (id, session) = server.session(headers)?;
    let mut store = server.store();
    let newest = store.newest_of(&id)?;
    Some((store.transactions.remove(&newest)?, session))
}

/// Handles `POST /consent`: the user's decision.
pub(super) async fn decide(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(params) = own_form(&headers, &body) else {
        return refuse(&server, "This is not the form of the consent page.");
    };
    let allowed = match params.get("decision") {
        Some("allow") => true,
        Some("deny") => false,
        _ => return refuse(&server, "No decision was made."),
    };
    let denied_in_vain = !allowed && server.has(Flaw::ConsentDenialIgnored);
    // One lock from the check to the removal: a decision is made once.
    let (transaction, session) = {
        let mut store = server.store();
        match take(&server, &mut store, &params, &headers) {
            Ok((mut transaction, session)) => {
                if allowed {
                    store.remember_consent(&transaction.request, &session);
                }
                redirect_as_last_asked(&server, &store, &mut transaction);
                challenge_as_last_sent(&server, &store, &mut transaction);
                request_as_last_asked(&server, &mut store, &mut transaction, &session);
                (transaction, session)
            }
            Err(why) => {
                drop(store);
                return refuse(&server, why);
            }
        }
    };
    if allowed || denied_in_vain {
        finish(&server, &transaction.request, &session)
    } else {
        let error = OAuthError::new("access_denied", "the user refused");
        transaction.request.reply.error(&server, &error)
    }
}

/// The question that a form answers, and the session that it was asked.
fn take(server: &Server, store: &mut Store, params: &Params, headers: &HeaderMap) -> Result<(Transaction, Session), &'static str> {
    let own = cookie::session(headers);
    let found = find(store, params);
    let is_own = found.as_ref().is_some_and(|(_, transaction)| {
        is_begun_here(transaction, headers) && belongs_to(transaction, own) && comes_from(params, transaction)
    });
    let found = found.map(|(tx, transaction)| (tx.to_owned(), transaction.session.clone()));
    let (tx, session_id) = match (found, own) {
        (Some((tx, _)), Some(own)) if is_own => (tx, own.to_owned()),
        (Some((tx, asked)), _) if server.has(Flaw::ConsentInteractionNotBound) || server.has(Flaw::ConsentInteractionOfTheFirst) => {
            (tx, asked.ok_or(GONE)?)
        }
        (_, Some(own)) if server.has(Flaw::ConsentCsrf) => (store.newest_of(own).ok_or(GONE)?, own.to_owned()),
        (None, _) => return Err(GONE),
        _ => return Err("This form does not belong to this login."),
    };
    let session = store.session(&session_id).ok_or("Nobody is logged in.")?;
    let transaction = store.transactions.get_mut(&tx).ok_or(GONE)?;
    let (uri, scope) = (params.get("redirect_uri"), params.get("scope").map(Scope::parse));
    let request = &mut transaction.request;
    // Of any type, where the flaw takes the form's.
    let other = params.get(details::NAME).map(|text| serde_json::from_str::<Vec<Value>>(text).unwrap_or_default());
    let other = other.filter(|other| is_own && *other != request.details);
    match other {
        Some(other) if server.has(Flaw::RarTampered) => request.details = other,
        Some(_) => return Err(ASKS_FOR_ELSE),
        None => {}
    }
    // The form repeats what was asked for. Of a form of another question that says nothing.
    let is_kept = uri.is_none_or(|uri| uri == request.reply.redirect_uri) && scope.is_none_or(|scope| scope == Some(request.scope));
    if is_own && !is_kept {
        if !server.has(Flaw::ConsentParametersTrusted) {
            return Err(ASKS_FOR_ELSE);
        }
        request.reply.redirect_uri = uri.unwrap_or(&request.reply.redirect_uri).to_owned();
        request.scope = scope.flatten().unwrap_or(request.scope);
    }
    store.transactions.remove(&tx).map(|transaction| (transaction, session)).ok_or(GONE)
}

/// The transaction a request belongs to.
pub(super) fn find<'p, 's>(store: &'s mut Store, params: &'p Params) -> Option<(&'p str, &'s mut Transaction)> {
    let tx = params.get("tx")?;
    let transaction = store.transactions.get_mut(tx)?;
    transaction.is_alive().then_some((tx, transaction))
}

pub(super) fn comes_from(params: &Params, transaction: &Transaction) -> bool {
    let csrf = params.get("csrf").unwrap_or_default();
    secrets::equal(csrf.as_bytes(), transaction.csrf.as_bytes())
}

/// Whether the browser is the one that began this login.
pub(super) fn is_begun_here(transaction: &Transaction, headers: &HeaderMap) -> bool {
    cookie::browser(headers).is_some_and(|browser| secrets::equal(browser.as_bytes(), transaction.browser.as_bytes()))
}

fn belongs_to(transaction: &Transaction, session_id: Option<&str>) -> bool {
    session_id.is_some() && transaction.session.as_deref() == session_id
}

pub(super) fn refuse(server: &Server, why: &str) -> Response {
    pages::error(server, StatusCode::BAD_REQUEST, why)
}
