//! The metadata of the two APIs (RFC 9728): where a client finds out which authorization server they belong to.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::Flaw;
use super::directory::SCOPES;
use super::oauth_error::public_json;
use super::pages;
use super::server::Server;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Handles the well-known path with that of a resource behind it (section 3.1). The host itself is no resource, so it has none.
pub(super) async fn document(State(server): State<Arc<Server>>, Path(path): Path<String>) -> Response {
    let asked = format!("{}/{path}", server.issuer);
    if asked != server.resource && asked != server.second.identifier {
        return pages::error(&server, StatusCode::NOT_FOUND, "There is no such resource.");
    }
    let (resource, authorization_server) = match server.has(Flaw::PrmMismatch) {
        true => ("https://other.example/api", "https://login.other.example"),
        false => (asked.as_str(), server.issuer.as_str()),
    };
    public_json(&json!({
        "resource": resource,
        "authorization_servers": [authorization_server],
        "scopes_supported": SCOPES,
        "bearer_methods_supported": ["header"],
    }))
}

/// Where the metadata of a resource is, for its challenges (section 5.1).
pub(super) fn place(path: &str, issuer: &str) -> String {
    format!("{issuer}{WELL_KNOWN}{path}")
}
