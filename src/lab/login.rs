//! Login and consent: the part of an authorization the user sees.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::Flaw;
use super::authorization_response::see_other;
use super::authorize::finish;
use super::directory;
use super::oauth_error::OAuthError;
use super::pages;
use super::params::Params;
use super::secrets;
use super::server::{Server, is_form, session_cookie};
use super::store::{Store, Transaction};
use super::tokens::now;

/// Wrong passwords before a transaction is over.
const MAX_TRIES: u8 = 5;

const GONE: &str = "This login is unknown or over. Please start again at the application.";

/// Handles `GET /login`: the form.
pub(super) async fn show_login(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let form = {
        let mut store = server.store();
        find(&mut store, &params).map(|(tx, transaction)| pages::login(&server, tx, transaction, None))
    };
    let mut response = form.unwrap_or_else(|| refuse(&server, GONE));
    if server.has(Flaw::SessionFixation) && session_cookie(&headers).is_none() {
        set_session(&server, &mut response, &secrets::random());
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
    if !comes_from(&params, transaction) {
        drop(store);
        return refuse(&server, "This form does not belong to this login.");
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

    // A session id known before the login must not become a logged-in one.
    let known = session_cookie(&headers);
    let kept = known.filter(|_| server.has(Flaw::SessionFixation));
    let (session_id, session) = store.log_in(user.sub, now(), known, kept);
    let mut response = match store.after_login(tx, &session_id, &session) {
        Some(transaction) => {
            drop(store);
            let mut response = finish(&server, &transaction.request, &session);
            if server.has(Flaw::Redirect307) && response.status() == StatusCode::SEE_OTHER {
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            }
            response
        }
        None => see_other(&format!("/consent?tx={tx}")),
    };
    set_session(&server, &mut response, &session_id);
    response
}

pub(super) fn set_session(server: &Server, response: &mut Response, session_id: &str) {
    let same_site = if server.has(Flaw::DeviceApprovalCsrf) { "None" } else { "Lax" };
    let cookie = format!("{}={session_id}; Path=/; HttpOnly; Secure; SameSite={same_site}", pages::SESSION_COOKIE);
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Handles `GET /consent`: the question.
pub(super) async fn show_consent(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let mut store = server.store();
    let Some((tx, transaction)) = find(&mut store, &params) else {
        drop(store);
        return refuse(&server, GONE);
    };
    if !belongs_to(transaction, session_cookie(&headers)) {
        return see_other(&format!("/login?tx={tx}"));
    }
    pages::consent(&server, tx, &transaction.csrf, &transaction.request)
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
    let Some((session_id, session)) = server.session(&headers) else {
        return refuse(&server, "Nobody is logged in.");
    };
    // One lock from the check to the removal: a decision is made once.
    let transaction = {
        let mut store = server.store();
        let Some((tx, transaction)) = find(&mut store, &params) else {
            drop(store);
            return refuse(&server, GONE);
        };
        if !belongs_to(transaction, Some(&session_id)) || !comes_from(&params, transaction) {
            drop(store);
            return refuse(&server, "This form does not belong to this login.");
        }
        let Some(transaction) = store.transactions.remove(tx) else {
            drop(store);
            return refuse(&server, GONE);
        };
        if allowed {
            store.remember_consent(&transaction.request, &session);
        }
        transaction
    };
    if allowed {
        finish(&server, &transaction.request, &session)
    } else {
        let error = OAuthError::new("access_denied", "the user refused");
        transaction.request.reply.error(&server, &error)
    }
}

/// The parameters of a form that one of the lab's own pages can have sent.
fn own_form(headers: &HeaderMap, body: &[u8]) -> Option<Params> {
    let params = is_form(headers).then(|| Params::parse(body))?;
    params.fault().is_none().then_some(params)
}

/// The transaction a request belongs to.
fn find<'p, 's>(store: &'s mut Store, params: &'p Params) -> Option<(&'p str, &'s mut Transaction)> {
    let tx = params.get("tx")?;
    let transaction = store.transactions.get_mut(tx)?;
    transaction.is_alive().then_some((tx, transaction))
}

fn comes_from(params: &Params, transaction: &Transaction) -> bool {
    let csrf = params.get("csrf").unwrap_or_default();
    secrets::equal(csrf.as_bytes(), transaction.csrf.as_bytes())
}

fn belongs_to(transaction: &Transaction, session_id: Option<&str>) -> bool {
    session_id.is_some() && transaction.session.as_deref() == session_id
}

fn refuse(server: &Server, why: &str) -> Response {
    pages::error(server, StatusCode::BAD_REQUEST, why)
}
