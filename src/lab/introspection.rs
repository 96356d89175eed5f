//! Token introspection (RFC 7662); signed answers are in `signed_introspection`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Flaw;
use super::client_auth::{self, Identify, Presented};
use super::clock;
use super::details;
use super::directory::{self, Client, Introspects};
use super::oauth_error::OAuthError;
use super::params::Params;
use super::server::{Server, form};
use super::signed_introspection;
use super::tokens;

/// Handles `POST /introspect`.
pub(super) async fn endpoint(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&server, &headers, &body) {
        Ok((body, caller)) => signed_introspection::answer(&server, &headers, caller.as_deref(), &body),
        Err(error) => error.into_response(),
    }
}

/// What is said of the token, and to whom, whether he has proved it or need not.
fn answer(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<(Value, Option<String>), OAuthError> {
    let params = form(headers, body)?;
    let asking = if is_let_in(server, headers, &params) { None } else { Some(authenticate(server, headers, &params)) };
    let asking = match asking {
        Some(Err(error)) if !server.has(Flaw::IntrospectionOpen) => return Err(error),
        asking => asking.and_then(Result::ok),
    };
    let token = params.get("token").ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    let found = access_token(server, token).or_else(|| refresh_token(server, token));
    // Section 2.2: a token that is not the caller's business is said to be inactive, and nothing else.
    let found = found.filter(|body| asking.is_none_or(|client| may_see(server, client, body)));
    let caller = Presented::read(server, headers, &params).ok().map(|presented| presented.client_id().to_owned());
    Ok((found.unwrap_or_else(|| json!({ "active": false })), caller))
}

/// Who may ask: a client that proves who it is. A public client cannot
/// (RFC 7662 section 2.1: the endpoint must not let tokens be guessed).
fn authenticate<'s>(server: &'s Server, headers: &HeaderMap, params: &Params) -> Result<&'s Client, OAuthError> {
    let client = client_auth::authenticate(server, headers, params, Identify::Authenticated)?;
    match client.introspects {
        Introspects::Nothing => Err(OAuthError::invalid_client("the client may not introspect tokens", false)),
        Introspects::Own | Introspects::All => Ok(client),
    }
}

/// Whether nothing but an empty secret is asked of a public client; only a flaw asks so little.
fn is_let_in(server: &Server, headers: &HeaderMap, params: &Params) -> bool {
    let presented = Presented::read(server, headers, params);
    presented.is_ok_and(|it| it.is_public_with_empty_secret(server)) && server.has(Flaw::IntrospectionEmptySecret)
}

fn may_see(server: &Server, client: &Client, body: &Value) -> bool {
    client.introspects == Introspects::All
        || body["client_id"] == client.id
        || server.has(Flaw::IntrospectionCrossClient)
        || server.has(Flaw::IntrospectionOpen)
}

fn access_token(server: &Server, token: &str) -> Option<Value> {
    let unverified = || tokens::read_unverified(server, token).filter(|_| server.has(Flaw::IntrospectionJwtUnverified));
    let stale = || tokens::verify_strictly(server, token).filter(|_| server.has(Flaw::IntrospectionStale));
    let verified = tokens::verify(server, token).or_else(|| tokens::verify_for_second(server, token));
    let claims = verified.or_else(unverified).or_else(stale)?;
    let mut body = json!({
        "active": true,
        "scope": claims.scope,
        "client_id": claims.client_id,
        "token_type": if claims.jkt.is_some() { "DPoP" } else { "Bearer" },
        "exp": claims.exp,
        "iat": claims.iat,
        "sub": claims.sub,
        "aud": claims.aud,
        "iss": server.issuer,
        "jti": claims.jti,
    });
    // RFC 9449 section 6.2, RFC 8705 section 3.2.
    let jkt = claims.jkt.as_deref().filter(|_| !server.has(Flaw::DpopCnfMissing));
    if let Some(cnf) = tokens::confirmation(jkt, claims.x5t.as_deref()) {
        body["cnf"] = cnf;
    }
    // RFC 9396 section 9.2.
    if let Some(details) = claims.details {
        body[details::NAME] = details;
    }
    if let Some(user) = directory::user_by_sub(&claims.sub) {
        body["username"] = json!(user.name);
    }
    Some(body)
}

fn refresh_token(server: &Server, id: &str) -> Option<Value> {
    let store = server.store();
    let token = store.refresh_tokens.get(id)?;
    let is_usable = !token.rotated || server.has(Flaw::RefreshReuseAccepted);
    if !is_usable || !store.is_refresh_token_alive(server, token) {
        return None;
    }
    let remaining = token.expires.saturating_duration_since(clock::instant());
    let mut body = json!({
        "active": true,
        "scope": token.grant.scope.to_string(),
        "client_id": token.grant.client_id,
        "exp": tokens::now().saturating_add(remaining.as_secs()),
        "sub": token.grant.sub,
        "iss": server.issuer,
    });
    if server.has(Flaw::IntrospectionRefreshAsAccess) {
        body["token_type"] = json!("Bearer");
    }
    Some(body)
}
