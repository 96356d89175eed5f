//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Flaw;
use super::client_auth::{self, Identify};
use super::oauth_error::OAuthError;
use super::server::{Server, form};
use super::store::Ends;
use super::tokens;

/// Handles `POST /revoke`.
pub(super) async fn endpoint(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    match revoke(&server, &headers, &body) {
        Ok(()) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => error.into_response(),
    }
}

fn revoke(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<(), OAuthError> {
    let params = form(headers, body)?;
    let client = client_auth::authenticate(server, headers, &params, Identify::PublicToo)?;
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
    if server.has(Flaw::RevocationIneffective) {
        return Ok(());
    }
    if let Some(family) = refresh.map(|refresh| refresh.family) {
        store.revoke_family(family, Ends::ALL);
    } else if let Some(claims) = access {
        store.revoke_access_token(&claims.jti);
    }
    Ok(())
}
