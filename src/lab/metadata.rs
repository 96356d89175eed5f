//! Server metadata (RFC 8414, OpenID Connect Discovery) and keys (RFC 7517).

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::Flaw;
use super::directory::SCOPES;
use super::oauth_error::public_json;
use super::pages;
use super::server::Server;
use super::{ciba, details, device, exchange, jwe, jwt_grant};

/// Handles both well-known paths. The document says what a strict server
/// does, whatever flaws are on but those of the document itself: a flaw is
/// a broken promise.
pub(super) async fn document(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    public_json(&promised(&server, &server.issuer, &headers))
}

/// Handles the well-known path of RFC 8414.
pub(super) async fn of_rfc_8414(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let issuer = if server.has(Flaw::MetadataIssuerMismatch) { "https://other.example" } else { &server.issuer };
    public_json(&promised(&server, issuer, &headers))
}

/// The document, with the flaws of its own.
fn promised(server: &Server, issuer: &str, headers: &HeaderMap) -> Value {
    let base = base(server, headers);
    let mut document = metadata(issuer, &base, &server.mtls);
    if let (Some(members), Value::Object(more)) = (document.as_object_mut(), of_signed_and_unasked(&base)) {
        members.extend(more);
    }
    if server.has(Flaw::PkceNotAdvertised)
        && let Some(members) = document.as_object_mut()
    {
        members.remove("code_challenge_methods_supported");
    }
    document
}

/// What the addresses of the endpoints begin with.
fn base(server: &Server, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text("x-forwarded-host").or_else(|| text("forwarded")?.split_once("host=").map(|(_, host)| host));
    match forwarded.filter(|_| server.has(Flaw::MetadataHostHeaderInjection)) {
        Some(host) => format!("http://{host}"),
        None => server.issuer.clone(),
    }
}

/// Handles `GET /jwks.json`.
pub(super) async fn jwks(State(server): State<Arc<Server>>) -> Response {
    let mut keys = vec![server.key.jwk.clone()];
    if server.has(Flaw::JwksPrivateMembers) {
        keys[0]["d"] = json!(server.key.private_exponent);
    }
    if server.has(Flaw::JwksDuplicateKid) {
        let mut other = server.key.jwk.clone();
        other["n"] = json!(server.key.other_modulus(256));
        keys.push(other);
    }
    if server.has(Flaw::SigningKeyWeak) {
        let mut other = server.key.jwk.clone();
        (other["n"], other["kid"]) = (json!(server.key.other_modulus(128)), json!("of-old"));
        keys.push(other);
    }
    keys.push(server.encryption_key.jwk.clone());
    public_json(&json!({ "keys": keys }))
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
        "/device_authorization",
        "/device",
        "/backchannel_authentication",
        "/approve",
        "/register",
        "/userinfo",
        "/introspect",
        "/revoke",
        "/logout",
        "/api/me",
        "/api/orders",
        "/.well-known/oauth-protected-resource/api/me",
        "/.well-known/oauth-protected-resource/api/orders",
    ]
    .iter()
    .map(|path| format!("{issuer}{path}"))
    .collect()
}

fn metadata(name: &str, issuer: &str, mtls: &str) -> Value {
    let token_methods = json!(["none", "client_secret_basic", "private_key_jwt", "tls_client_auth"]);
    let introspection_methods = json!(["client_secret_basic", "private_key_jwt", "tls_client_auth"]);
    json!({
        "issuer": name,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "require_pushed_authorization_requests": false,
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "jwks_uri": format!("{issuer}/jwks.json"),
        "response_types_supported": ["code", "code id_token"],
        "device_authorization_endpoint": format!("{issuer}/device_authorization"),
        "registration_endpoint": format!("{issuer}/register"),
        "grant_types_supported":
            ["authorization_code", "refresh_token", "client_credentials", device::GRANT_TYPE, exchange::GRANT_TYPE, jwt_grant::GRANT_TYPE, ciba::GRANT_TYPE],
        "dpop_signing_alg_values_supported": ["ES256"],
        "authorization_details_types_supported": details::TYPES,
        "code_challenge_methods_supported": ["S256"],
        "tls_client_certificate_bound_access_tokens": true,
        "mtls_endpoint_aliases": {
            "token_endpoint": format!("{mtls}/token"),
            "pushed_authorization_request_endpoint": format!("{mtls}/par"),
            "userinfo_endpoint": format!("{mtls}/userinfo"),
            "introspection_endpoint": format!("{mtls}/introspect"),
            "revocation_endpoint": format!("{mtls}/revoke"),
            "device_authorization_endpoint": format!("{mtls}/device_authorization"),
        },
        "token_endpoint_auth_methods_supported": token_methods,
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
        "revocation_endpoint_auth_methods_supported": token_methods,
        "revocation_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "introspection_endpoint_auth_methods_supported": introspection_methods,
        "introspection_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": SCOPES,
        "subject_types_supported": ["public", "pairwise"],
        "client_id_metadata_document_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": false,
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported":
            ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "email"],
        "claims_parameter_supported": true,
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": ["ES256"],
        "require_signed_request_object": false,
        "request_uri_parameter_supported": false,
        "require_request_uri_registration": false,
    })
}

/// The members about encrypted request objects (RFC 9101 section 10.1), signed answers (JARM section 4, RFC 9701 section 7) and backchannel authentication (OpenID Connect CIBA section 4).
fn of_signed_and_unasked(issuer: &str) -> Value {
    json!({
        "request_object_encryption_alg_values_supported": [jwe::ALG],
        "request_object_encryption_enc_values_supported": [jwe::ENC],
        "response_modes_supported": ["query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"],
        "authorization_signing_alg_values_supported": ["RS256"],
        "introspection_signing_alg_values_supported": ["RS256"],
        "backchannel_authentication_endpoint": format!("{issuer}/backchannel_authentication"),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_authentication_request_signing_alg_values_supported": ["ES256"],
        "backchannel_user_code_parameter_supported": false,
    })
}
