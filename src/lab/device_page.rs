//! The verification page of the device grant (RFC 8628 section 3.3): the user types the code, logs in, and confirms. Backchannel requests
//! are answered here as well.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::authorization_response::see_other;
use super::cookie;
use super::device::{Asked, Decision};
use super::params::Params;
use super::server::{Server, own_form};
use super::store::Session;
use super::tokens::now;
use super::{Flaw, Habit, directory, pages, secrets};

/// Wrong passwords before a device is forgotten.
const MAX_TRIES: u8 = 5;
/// Wrong user codes in a minute, of everybody (section 5.1).
const MAX_WRONG_CODES: u32 = 30;

/// Handles `GET /device`: the field for the code, which `verification_uri_complete` fills in (section 3.3.1).
pub(super) async fn show(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let code = params.get("user_code").unwrap_or_default();
    if server.has(Flaw::DeviceNoConfirmation)
        && let Some((_, session)) = server.session(&headers)
        && decide(&server, code, session.sub, Decision::Approved(session.sub, session.auth_time)).is_some()
    {
        return pages::said(&server, "Connected", "The device is connected. You may close this page.");
    }
    pages::device_code(&server, code)
}

/// Handles `POST /device`: the code.
pub(super) async fn enter(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(params) = own_form(&headers, &body) else { return refuse(&server, "This is not the form of the page.") };
    let code = params.get("user_code").unwrap_or_default().trim().to_ascii_uppercase();
    if known(&server, &code).is_none() {
        if server.store().admit("wrong user codes", MAX_WRONG_CODES).is_err() {
            return pages::error(&server, StatusCode::TOO_MANY_REQUESTS, "There were too many wrong codes. Please wait a minute.");
        }
        return refuse(&server, "This code is unknown, used or expired.");
    }
    match server.session(&headers) {
        Some((id, session)) => question(&server, &code, &id, session.sub),
        None => pages::device_login(&server, &code, None),
    }
}

/// Handles `GET /approve`: a user answers the backchannel request with this message (OpenID Connect CIBA section 8).
pub(super) async fn approve(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let wanted = params.get("binding_message").unwrap_or_default();
    let Some(code) = server.store().code_of_message(wanted) else {
        return refuse(&server, "Nobody asks for you with this message.");
    };
    match server.session(&headers) {
        Some((id, session)) => question(&server, &code, &id, session.sub),
        None => pages::device_login(&server, &code, None),
    }
}

/// Handles `POST /device/login`: name and password.
pub(super) async fn log_in(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(params) = own_form(&headers, &body) else { return refuse(&server, "This is not the form of the page.") };
    let code = params.get("user_code").unwrap_or_default();
    let (name, password) = (params.get("username").unwrap_or_default(), params.get("password").unwrap_or_default());
    let Some(user) = directory::user_by_password_alone(name, password) else {
        let mut store = server.store();
        let Some(device) = store.device_of(code) else {
            drop(store);
            return refuse(&server, "This code is unknown, used or expired.");
        };
        device.tries += 1;
        if device.tries >= MAX_TRIES {
            store.devices.retain(|_, device| device.user_code != code);
            drop(store);
            return refuse(&server, "Too many wrong passwords. Please start again.");
        }
        drop(store);
        return pages::device_login(
            &server,
            code,
            Some("Name or password is wrong; or the account has a second factor, so log in at an application first."),
        );
    };
    // A session id known before the login must not become a logged-in one.
    let (session_id, _) = server.store().log_in(user.sub, now(), cookie::session(&headers), None);
    let mut response = see_other(&format!("/device/confirm?user_code={code}"));
    cookie::set_session(&server, &mut response, &session_id);
    response
}

/// Handles `GET /device/confirm`: the question, after a login.
pub(super) async fn ask(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    match server.session(&headers) {
        Some((id, session)) => question(&server, params.get("user_code").unwrap_or_default(), &id, session.sub),
        None => refuse(&server, "Nobody is logged in."),
    }
}

fn question(server: &Server, code: &str, session_id: &str, sub: &str) -> Response {
    let csrf = secrets::random();
    let asked = server.store().device_of(code).filter(|device| device.decision == Decision::None && device.is_for(sub)).map(|device| {
        device.csrf = Some((session_id.to_owned(), csrf.clone()));
        let shows = match &device.asked {
            Asked::Anybody => format!("the code {code}"),
            Asked::Backchannel { message, .. } => format!("the message {message}"),
        };
        (device.client_id.clone(), device.scope, shows)
    });
    match asked {
        Some((client_id, scope, shows)) => pages::device_question(server, code, &shows, &csrf, &client_id, scope),
        None => refuse(server, "This code is unknown, used or expired."),
    }
}

/// Handles `POST /device/confirm`: the user's decision.
pub(super) async fn confirm(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(params) = own_form(&headers, &body) else { return refuse(&server, "This is not the form of the page.") };
    let (code, csrf) = (params.get("user_code").unwrap_or_default(), params.get("csrf").unwrap_or_default());
    let of_form = server.keeps(Habit::FormsKeepUser).then(|| shown_to(&server, code, csrf)).flatten();
    let Some((id, session)) = of_form.or_else(|| server.session(&headers)) else { return refuse(&server, "Nobody is logged in.") };
    if !is_own(&server, code, &id, csrf) {
        return refuse(&server, "This form does not belong to this login.");
    }
    let (decision, words) = decision(params.get("decision"), &session);
    match decision.and_then(|decision| decide(&server, code, session.sub, decision)) {
        Some(()) => pages::said(&server, "Done", words),
        None => refuse(&server, "No decision was made, or this code is unknown, used or expired."),
    }
}

/// Whether the form was made for this session: another site can neither read it nor make one (section 5.4, RFC 6749 section 10.12).
fn is_own(server: &Server, code: &str, session_id: &str, csrf: &str) -> bool {
    let expected = server.store().device_of(code).and_then(|device| device.csrf.clone());
    let is_own = expected.is_some_and(|(session, token)| session == session_id && secrets::equal(token.as_bytes(), csrf.as_bytes()));
    is_own || server.has(Flaw::DeviceApprovalCsrf)
}

/// The session in which this form was shown.
fn shown_to(server: &Server, code: &str, csrf: &str) -> Option<(String, Session)> {
    let mut store = server.store();
    let (id, expected) = store.device_of(code)?.csrf.clone()?;
    let session = store.session(&id)?;
    secrets::equal(expected.as_bytes(), csrf.as_bytes()).then_some((id, session))
}

fn decision(said: Option<&str>, session: &Session) -> (Option<Decision>, &'static str) {
    match said {
        Some("allow") => (Some(Decision::Approved(session.sub, session.auth_time)), "The device is connected. You may close this page."),
        Some("deny") => (Some(Decision::Refused), "The device was refused. You may close this page."),
        _ => (None, ""),
    }
}

fn known(server: &Server, code: &str) -> Option<()> {
    server.store().device_of(code).filter(|device| device.decision == Decision::None).map(|_| ())
}

/// A decision is made once.
fn decide(server: &Server, code: &str, sub: &str, decision: Decision) -> Option<()> {
    let mut store = server.store();
    let device = store.device_of(code).filter(|device| device.decision == Decision::None && device.is_for(sub))?;
    device.decision = decision;
    Some(())
}

fn refuse(server: &Server, why: &str) -> Response {
    pages::error(server, StatusCode::BAD_REQUEST, why)
}
