//! Introspection responses as signed JWTs (RFC 9701), for callers that ask for one.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Flaw;
use super::jws;
use super::oauth_error::{OAuthError, private_json};
use super::server::Server;
use super::tokens::now;

/// The media type of section 4; the typ is the same without its first word (section 5).
const MEDIA_TYPE: &str = "application/token-introspection+jwt";
const TYP: &str = "token-introspection+jwt";

/// An answer as this caller asked for it: signed where it accepts a JWT, and JSON else.
pub(super) fn answer(server: &Server, headers: &HeaderMap, caller: Option<&str>, body: &Value) -> Response {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let wants_jwt = accepts.flat_map(|value| value.split(',')).any(|one| one.split(';').next().unwrap_or_default().trim() == MEDIA_TYPE);
    match caller.filter(|_| wants_jwt) {
        None => private_json(StatusCode::OK, body),
        Some(caller) => match signed(server, caller, body) {
            Some(jwt) => {
                let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
                (StatusCode::OK, headers, jwt).into_response()
            }
            None => OAuthError::server_error().into_response(),
        },
    }
}

/// What is known of the token stands inside of one claim, so that the JWT cannot be taken for an access token (section 8.1).
fn signed(server: &Server, caller: &str, body: &Value) -> Option<String> {
    if server.has(Flaw::IntrospectionJwtLax) {
        return Some(jws::unsigned("JWT", body));
    }
    let claims = json!({ "iss": server.issuer, "aud": caller, "iat": now(), "token_introspection": body });
    jws::sign(server.key, TYP, &claims)
}
