//! Clients whose client_id is the address of their metadata (Client ID Metadata Document, draft-ietf-oauth-client-id-metadata-document).

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;

use super::directory::{AuthMethod, Client, Introspects};
use super::params::Params;
use super::scope::Scope;
use super::server::Server;
use super::{Flaw, MAX_BODY, fetch, redirect_uri};

/// Where clients come first.
const FIRST: [&str; 2] = ["/authorize", "/par"];

/// Learns to know the client of a request, before it is answered.
pub(super) async fn look_up(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    if !FIRST.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // One that is too long is refused below, as it would have been.
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    for params in [Params::parse(parts.uri.query().unwrap_or_default().as_bytes()), Params::parse(&body)] {
        // Section 3: the address has a path.
        if let Some(id) = params.get("client_id").filter(|id| fetch::may_be_called(id) && !id.ends_with('/')) {
            // What it was before counts for nothing.
            let document = fetch::document(id).await.ok();
            match document.and_then(|document| client(&server, id, &document, params.get("redirect_uri"))) {
                Some(client) => server.registered.know(client),
                None => server.registered.forget(id),
            }
        }
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// The client that a document describes; `None` where it is not the one that it was asked for, or none that can be believed (section 4).
fn client(server: &Server, id: &str, document: &Value, asked: Option<&str>) -> Option<Client> {
    let unverified = server.has(Flaw::CimdDocumentUnverified);
    let is_own = document["client_id"] == id || unverified;
    // A secret that everybody can read is none (section 4.1).
    let has_secret = document.get("client_secret").is_some() || document.get("client_secret_expires_at").is_some();
    let is_public = document.get("token_endpoint_auth_method").is_none_or(|method| method == "none");
    let listed: Vec<String> =
        document["redirect_uris"].as_array()?.iter().map(|uri| uri.as_str().map(ToOwned::to_owned)).collect::<Option<_>>()?;
    if !is_own || has_secret && !unverified || !is_public || !listed.iter().all(|uri| redirect_uri::is_harmless(uri)) {
        return None;
    }
    Some(Client {
        id: id.to_owned(),
        auth: AuthMethod::None,
        redirect_uris: listed.into_iter().chain(asked.filter(|_| unverified).map(ToOwned::to_owned)).collect(),
        grants: ["authorization_code", "refresh_token"].map(ToOwned::to_owned).to_vec(),
        has_hybrid: false,
        scope: Scope::ALL,
        introspects: Introspects::Nothing,
        is_anonymous: true,
        skips_consent: false,
        name: document["client_name"].as_str().map(ToOwned::to_owned),
        sector: None,
        logout_uri: None,
        logo_uri: None,
        binds_certificate: false,
    })
}
