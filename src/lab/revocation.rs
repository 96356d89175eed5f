//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Flaw;
use super::client_auth::{self, Identify};
use super::directory::AuthMethod;
use super::oauth_error::OAuthError;
use super::params::Params;
use super::server::{Server, form};
use super::store::Ends;
use super::tokens;

/// Handles `POST /revoke`.
pub(super) async fn endpoint(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(form(&headers, &body).and_then(|params| revoke(&server, &headers, &params)))
}

/// Handles `GET /revoke`, which is no method of this endpoint.
pub(super) async fn by_get(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    if !server.has(Flaw::RevocationGet) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
    }
    answer(revoke(&server, &headers, &Params::parse(query.unwrap_or_default().as_bytes())))
}

fn answer(revoked: Result<(), OAuthError>) -> Response {
    match revoked {
        Ok(()) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => error.into_response(),
    }
}

fn revoke(server: &Server, headers: &HeaderMap, params: &Params) -> Result<(), OAuthError> {
    let identify = if server.has(Flaw::RevocationOpen) { Identify::AnyHow } else { Identify::PublicToo };
    let client = client_auth::authenticate(server, headers, params, identify)?;
    let is_public = matches!(client.auth, AuthMethod::None);
    if is_public && params.get("client_secret").is_none() && server.has(Flaw::RevocationPublicRefused) {
        return Err(OAuthError::invalid_request("client_secret is missing"));
    }
    let token = params.get("token").ok_or_else(|| OAuthError::invalid_request("token is missing"))?;

    let access = tokens::verify_strictly(server, token);
    let mut store = server.store();
    let refresh = store.refresh_tokens.get(token);
    let owner = match (refresh, &access) {
        (Some(refresh), _) => &refresh.grant.client_id,
        (None, Some(claims)) => &claims.client_id,
        // RFC 7009 section 2.2: the client wants it gone, and it is.
        (None, None) => return Ok(()),
    };
    if *owner != client.id && !server.has(Flaw::RevocationCrossClient) {
        return Err(OAuthError::new("unauthorized_client", "the token was issued to another client"));
    }
    if server.has(Flaw::RevocationIneffective) || is_public && server.has(Flaw::RevocationPublicIgnored) {
        return Ok(());
    }
    let hint = params.get("token_type_hint");
    let is_wrong = hint.is_some_and(|hint| (hint == "refresh_token") != refresh.is_some());
    if is_wrong && server.has(Flaw::RevocationHintRefused) {
        return Err(OAuthError::invalid_request("the token is not of the kind that token_type_hint names"));
    }
    if hint.is_none() && server.has(Flaw::RevocationHintRequired) {
        return Err(OAuthError::invalid_request("token_type_hint is missing"));
    }
    let hinted = hint == Some("refresh_token");
    if server.has(Flaw::RevocationHintTrusted) && hinted != refresh.is_some() {
        return Ok(());
    }
    if let Some(family) = refresh.map(|refresh| refresh.family) {
        store.revoke_family(family, Ends { access_tokens: !server.has(Flaw::RevocationNoCascade), ..Ends::ALL });
    } else if server.has(Flaw::RevocationAccessTokenIneffective) {
        return Ok(());
    } else if let Some(claims) = access {
        store.revoke_access_token(&claims.jti);
    }
    Ok(())
}
