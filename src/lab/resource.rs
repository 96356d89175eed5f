//! The protected resources: userinfo (OpenID Connect Core section 5.3) and
//! a small API, with bearer tokens (RFC 6750).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::dpop::{self, About};
use super::jws::Compact;
use super::oauth_error::private_json;
use super::params::Params;
use super::query;
use super::resource_metadata;
use super::server::Server;
use super::tokens::{self, AccessClaims};
use super::{Flaw, certificates, directory};

/// Why a request is not served (RFC 6750 section 3.1).
pub(super) enum Refused {
    /// No token at all: 401 without an error code.
    NoToken,
    /// More than one `Authorization` header: 400.
    Ambiguous,
    /// 401.
    InvalidToken,
    /// 401, for want of a proof of the key that the token is bound to.
    InvalidProof,
    /// 403, with the scope that is needed.
    InsufficientScope(&'static str),
}

/// The scopes that userinfo goes by.
const READ_HERE: [&str; 3] = ["openid", "profile", "email"];

/// Handles `GET` and `POST /userinfo`.
pub(super) async fn userinfo(State(server): State<Arc<Server>>, method: Method, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let mut claims = match authorize(&server, query.as_deref(), &method, "/userinfo", &headers) {
        Ok(claims) => claims,
        Err(refused) => return refused.into_response(),
    };
    // Nobody's data: what a client gets for itself is no token of a user, whatever its scope (OpenID Connect Core section 5.3).
    if server.user_of(&claims.sub).is_none() {
        return Refused::InvalidToken.into_response();
    }
    if !READ_HERE.iter().all(|scope| claims.has_scope(scope)) && server.has(Flaw::ScopeUnenforced) {
        claims.scope = READ_HERE.join(" ");
    }
    if !claims.has_scope("openid") {
        return Refused::InsufficientScope("openid").into_response();
    }
    let mut body = json!({ "sub": claims.sub });
    if server.has(Flaw::UserinfoSubMismatch) {
        body["sub"] = json!(claims.sub.replace('-', "+"));
    }
    if let Some(user) = server.user_of(&claims.sub) {
        if claims.has_scope("profile") {
            body["name"] = json!(user.display_name);
        }
        if claims.has_scope("email") {
            body["email"] = json!(user.email);
        }
    }
    private_json(StatusCode::OK, &body)
}

/// Handles `GET /api/me`.
pub(super) async fn me(State(server): State<Arc<Server>>, method: Method, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    match authorize(&server, query.as_deref(), &method, "/api/me", &headers) {
        Ok(claims) => private_json(
            StatusCode::OK,
            &json!({
                "sub": claims.sub,
                "client_id": claims.client_id,
                "scope": claims.scope,
            }),
        ),
        Err(_) if method == Method::GET && shows_no_jwt(&headers) && server.has(Flaw::ApiOpen) => {
            private_json(StatusCode::OK, &json!({ "sub": directory::USERS[0].sub }))
        }
        Err(refused) => refused.at(&server, "/api/me"),
    }
}

/// Whether a request has no token, or one that was never ours.
fn shows_no_jwt(headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
    shown.is_none_or(|(_, token)| Compact::parse(token).is_none())
}

/// Handles `GET /api/orders`: another API, with tokens of its own (RFC 9068 section 4).
pub(super) async fn orders(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let token = values.next().and_then(|value| value.to_str().ok()?.split_once(' '));
    if values.next().is_some() {
        return Refused::Ambiguous.at(&server, "/api/orders");
    }
    let bearer = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let claims = bearer.and_then(|token| tokens::verify_for_second(&server, token));
    match claims {
        Some(claims) if !certificates::may_show(&server, claims.x5t.as_deref(), &headers) => {
            Refused::InvalidToken.at(&server, "/api/orders")
        }
        // A bound token needs a proof, which this API does not take (RFC 9449 section 7.1).
        Some(claims) if claims.jkt.is_none() => private_json(StatusCode::OK, &json!({ "sub": claims.sub, "orders": [] })),
        Some(_) => Refused::InvalidProof.at(&server, "/api/orders"),
        None if bearer.is_some() => Refused::InvalidToken.at(&server, "/api/orders"),
        None => Refused::NoToken.at(&server, "/api/orders"),
    }
}

/// The claims of the token in the `Authorization` header. A token in the
/// query or in a form is no token (RFC 9700 section 4.3.2).
pub(super) fn authorize(
    server: &Server,
    query: Option<&str>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<AccessClaims, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refused::Ambiguous);
    }
    let token = first
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop"));
    let proves = token.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("dpop"));
    let token = token.map(|(_, token)| token.trim());
    let query = Params::parse(query.unwrap_or_default().as_bytes());
    let token = token.or_else(|| query.get("access_token").filter(|_| server.has(Flaw::BearerInQuery)));
    let unsigned = |token| (path == "/api/me").then(|| tokens::read_unsigned(server, token)).flatten();
    let claims = token.and_then(|token| tokens::verify(server, token).or_else(|| refresh_token(server, token)).or_else(|| unsigned(token)));
    match (claims, token) {
        // RFC 8705 section 3.
        (Some(claims), Some(_)) if !certificates::may_show(server, claims.x5t.as_deref(), headers) => Err(Refused::InvalidToken),
        (Some(claims), Some(token)) => {
            let proof =
                if proves { dpop::verify(server, headers, &About { method: method.as_str(), path, token: Some(token) }) } else { Ok(None) };
            match (proof, &claims.jkt) {
                (Ok(None), None) if !proves => Ok(claims),
                (Ok(None), Some(_)) if server.has(Flaw::DpopDowngradeToBearer) => Ok(claims),
                (Ok(Some(key)), Some(jkt)) if key == *jkt || server.has(Flaw::DpopKeyUnchecked) => Ok(claims),
                _ => Err(Refused::InvalidProof),
            }
        }
        // The flaw is to serve what is no access token. One that was real
        // once, or pretends to be, is still judged.
        (None, token) if token.is_none_or(|token| Compact::parse(token).is_none()) && server.has(Flaw::UserinfoOpen) => {
            Ok(default_claims(server))
        }
        (None, Some(token)) if is_found(server, token) => Ok(default_claims(server)),
        (_, Some(_)) => Err(Refused::InvalidToken),
        (_, None) => Err(Refused::NoToken),
    }
}

/// Whether a query that is made of this text finds an access token: one that was issued, with a condition behind it, or any by a wildcard.
fn is_found(server: &Server, text: &str) -> bool {
    let genuine = text.split_once("'and'").map(|(token, _)| token.to_owned()).filter(|token| tokens::verify(server, token).is_some());
    let some = genuine.unwrap_or_else(|| text.trim_end_matches('%').to_owned());
    query::finds(server, [some].iter(), text).is_some()
}

/// A refresh token, where the flaw takes it for an access token.
fn refresh_token(server: &Server, token: &str) -> Option<AccessClaims> {
    let store = server.store();
    let grant = &store.refresh_tokens.get(token).filter(|token| store.is_refresh_token_alive(server, token))?.grant;
    if !server.has(Flaw::TokenTypeConfusion) {
        return None;
    }
    Some(AccessClaims {
        sub: grant.sub.clone(),
        client_id: grant.client_id.clone(),
        scope: grant.scope.to_string(),
        jti: String::new(),
        iat: 0,
        exp: 0,
        aud: serde_json::Value::Null,
        details: None,
        jkt: None,
        x5t: None,
    })
}

fn default_claims(server: &Server) -> AccessClaims {
    AccessClaims {
        sub: server.default_sub().to_owned(),
        client_id: String::new(),
        scope: directory::SCOPES.join(" "),
        jti: String::new(),
        iat: 0,
        exp: 0,
        aud: serde_json::Value::Null,
        details: None,
        jkt: None,
        x5t: None,
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.challenging("")
    }
}

impl Refused {
    /// The answer of an API with metadata, which tells where they are (RFC 9728 section 5.1).
    pub(super) fn at(self, server: &Server, path: &str) -> Response {
        self.challenging(&format!(", resource_metadata=\"{}\"", resource_metadata::place(path, &server.issuer)))
    }

    /// `more`: what the challenge says beside the error.
    fn challenging(self, more: &str) -> Response {
        let (status, code, challenge) = match self {
            Refused::NoToken => (StatusCode::UNAUTHORIZED, None, String::new()),
            Refused::Ambiguous => (StatusCode::BAD_REQUEST, Some("invalid_request"), String::new()),
            Refused::InvalidProof => (StatusCode::UNAUTHORIZED, Some("invalid_dpop_proof"), String::new()),
            Refused::InvalidToken => (StatusCode::UNAUTHORIZED, Some("invalid_token"), String::new()),
            Refused::InsufficientScope(scope) => (StatusCode::FORBIDDEN, Some("insufficient_scope"), format!(", scope=\"{scope}\"")),
        };
        let error = code.map_or_else(String::new, |code| format!(", error=\"{code}\""));
        // RFC 9449 section 7.1 for the one, RFC 6750 section 3 for the others.
        let scheme = if code == Some("invalid_dpop_proof") { "DPoP algs=\"ES256\"" } else { "Bearer realm=\"lab\"" };
        let challenge = format!("{scheme}{error}{challenge}{more}");
        let body = code.map_or_else(|| json!({}), |code| json!({ "error": code }));
        let mut response = private_json(status, &body);
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}
