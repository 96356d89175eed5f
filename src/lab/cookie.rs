//! The lab's cookies: their names, and whom they are kept from.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Flaw;
use super::server::Server;

/// The name of the cookie that holds the session.
pub(super) const SESSION: &str = "lab_session";

/// The name of the cookie that ties a login to the browser that began it.
pub(super) const BROWSER: &str = "lab_browser";

/// The name of the cookie that `par-parameters-in-browser` keeps a request in.
pub(super) const REQUEST: &str = "lab_request";

/// What a page of another site can do only with a session that goes along with its forms.
const CSRF: [Flaw; 3] = [Flaw::DeviceApprovalCsrf, Flaw::LogoutCsrf, Flaw::ConsentCsrf];

/// The session id that the browser sent, alive or not.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    sent(headers, SESSION)
}

/// By what the browser is known that began a login, before anybody has logged in.
pub(super) fn browser(headers: &HeaderMap) -> Option<&str> {
    sent(headers, BROWSER)
}

fn sent<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// Whom a cookie is kept from.
#[derive(Clone, Copy)]
pub(super) enum Guard {
    /// From scripts and from requests of other sites.
    Whole,
    /// From other sites: scripts may read it.
    Scripts,
    /// From scripts: requests of other sites carry it.
    Sites,
}

/// Takes a cookie back from the browser.
pub(super) fn take_back(response: &mut Response, name: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("{name}=; Path=/; Max-Age=0")) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Gives the browser a cookie of the server's own.
pub(super) fn set(response: &mut Response, name: &str, value: &str, guard: Guard) {
    let (hidden, same_site) = match guard {
        Guard::Whole => ("; HttpOnly", "Lax"),
        Guard::Scripts => ("", "Lax"),
        Guard::Sites => ("; HttpOnly", "None"),
    };
    if let Ok(value) = HeaderValue::from_str(&format!("{name}={value}; Path=/{hidden}; Secure; SameSite={same_site}")) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Gives the browser its session.
pub(super) fn set_session(server: &Server, response: &mut Response, session_id: &str) {
    let guard = if server.has(Flaw::SessionCookieFlags) {
        Guard::Scripts
    } else if CSRF.iter().any(|flaw| server.is_on(*flaw)) {
        Guard::Sites
    } else {
        Guard::Whole
    };
    set(response, SESSION, session_id, guard);
}

/// Notes a request that a page of another site makes: that the session goes along with it matters here.
pub(super) async fn note_elsewhere(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    if origins.any(|origin| origin.as_bytes() != server.issuer.as_bytes()) {
        server.note(&CSRF);
    }
    next.run(request).await
}
