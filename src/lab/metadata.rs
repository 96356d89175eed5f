//! Server metadata (RFC 8414, OpenID Connect Discovery) and keys (RFC 7517).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::directory::SCOPES;
use super::oauth_error::public_json;
use super::pages;
use super::server::Server;

/// Handles both well-known paths. The document says what a strict server
/// does, whatever flaws are on: a flaw is a broken promise.
pub(super) async fn document(State(server): State<Arc<Server>>) -> Response {
    public_json(&metadata(&server.issuer))
}

/// Handles `GET /jwks.json`.
pub(super) async fn jwks(State(server): State<Arc<Server>>) -> Response {
    public_json(&json!({ "keys": [server.key.jwk] }))
}

/// Handles `GET /`.
pub(super) async fn home(State(server): State<Arc<Server>>) -> Response {
    pages::home(&server)
}

/// The URLs worth showing to a human.
pub(super) fn endpoints(server: &Server) -> Vec<String> {
    let issuer = &server.issuer;
    [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/jwks.json",
        "/authorize",
        "/par",
        "/token",
        "/userinfo",
        "/introspect",
        "/revoke",
        "/api/me",
    ]
    .iter()
    .map(|path| format!("{issuer}{path}"))
    .collect()
}

fn metadata(issuer: &str) -> Value {
    let token_methods = json!(["none", "client_secret_basic", "private_key_jwt"]);
    let introspection_methods = json!(["client_secret_basic", "private_key_jwt"]);
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "require_pushed_authorization_requests": false,
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/jwks.json"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": token_methods,
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "revocation_endpoint_auth_methods_supported": token_methods,
        "revocation_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "introspection_endpoint_auth_methods_supported": introspection_methods,
        "introspection_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": SCOPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported":
            ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "email"],
        "claims_parameter_supported": false,
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": ["ES256"],
        "require_signed_request_object": false,
        "request_uri_parameter_supported": false,
        "require_request_uri_registration": false,
    })
}
