//! Addresses in a registration that the server itself calls: the client's keys, the file of its sector, and where its users' logouts
//! are told (RFC 7591 section 2, OpenID Connect Registration section 2, Back-Channel Logout section 2.2).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use url::Url;

use super::Flaw;
use super::fetch;
use super::oauth_error::OAuthError;
use super::server::Server;

/// Addresses that are shown to users or to nobody, and that no server needs to call.
const SHOWN: [&str; 6] = ["client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri", "request_uris"];

/// What a registration says of such addresses, checked.
#[derive(Default)]
pub(super) struct ClientUris {
    /// The keys for its assertions (RFC 7517 section 5). They are read once: a client of the lab lives shorter than its keys.
    pub(super) keys: Option<Value>,
    /// What its subject identifiers are made for, where they are pairwise (Core section 8.1).
    pub(super) sector: Option<String>,
    /// Where logout tokens go.
    pub(super) logout: Option<String>,
    /// The picture that it would have on pages.
    pub(super) logo: Option<String>,
    /// The members that were understood.
    pub(super) metadata: Map<String, Value>,
}

fn invalid(why: &'static str) -> OAuthError {
    OAuthError::new("invalid_client_metadata", why)
}

/// Reads them, and fetches what must be fetched.
pub(super) async fn read(server: &Server, asked: &Map<String, Value>, redirect_uris: &[String]) -> Result<ClientUris, OAuthError> {
    let text = |name: &str| asked.get(name).map(|value| value.as_str().ok_or_else(|| invalid("a member is no text"))).transpose();
    let mut uris = ClientUris::default();
    if server.has(Flaw::SsrfRegistration) {
        for address in SHOWN.iter().filter_map(|name| asked.get(*name)).flat_map(addresses) {
            fetch::carelessly(address).await;
        }
    }
    for (name, kept) in [("jwks_uri", text("jwks_uri")?), ("backchannel_logout_uri", text("backchannel_logout_uri")?)] {
        if let Some(address) = kept {
            if !fetch::may_be_called(address) {
                return Err(invalid("an address cannot be called"));
            }
            uris.metadata.insert(name.to_owned(), json!(address));
        }
    }
    uris.logout = text("backchannel_logout_uri")?.map(ToOwned::to_owned);
    uris.logo = text("logo_uri")?.map(ToOwned::to_owned);
    if let Some(address) = text("jwks_uri")? {
        if server.has(Flaw::SsrfRegistration) {
            fetch::carelessly(address).await;
        }
        uris.keys = Some(fetch::document(address).await.map_err(invalid)?);
    }
    let sector = match text("sector_identifier_uri")? {
        Some(address) => {
            if server.has(Flaw::SsrfRegistration) {
                fetch::carelessly(address).await;
            }
            let listed = fetch::document(address).await.map_err(invalid)?;
            let listed: Vec<&str> = listed.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let all_are = redirect_uris.iter().all(|uri| listed.contains(&uri.as_str()));
            if !all_are && !server.has(Flaw::DcrSectorUnverified) {
                return Err(invalid("the file of sector_identifier_uri does not list every redirect URI"));
            }
            uris.metadata.insert("sector_identifier_uri".to_owned(), json!(address));
            Some(host(address)?)
        }
        None => None,
    };
    match text("subject_type")? {
        None => {}
        Some("public") => {
            uris.metadata.insert("subject_type".to_owned(), json!("public"));
        }
        Some("pairwise") => {
            // Without a file the redirect URIs must be of one host.
            let hosts: Vec<String> = redirect_uris.iter().map(|uri| host(uri)).collect::<Result<_, _>>()?;
            let one = hosts.first().filter(|first| hosts.iter().all(|host| host == *first)).cloned();
            uris.sector = Some(sector.or(one).ok_or_else(|| invalid("redirect URIs of several hosts need a sector_identifier_uri"))?);
            uris.metadata.insert("subject_type".to_owned(), json!("pairwise"));
        }
        Some(_) => return Err(invalid("subject_type is unknown")),
    }
    Ok(uris)
}

/// Handles `GET /logo/{id}`, the picture of a client, which is there with a flaw alone.
pub(super) async fn logo(State(server): State<Arc<Server>>, Path(id): Path<String>) -> StatusCode {
    let address = server.client(&id).and_then(|client| client.logo_uri.clone());
    match address.filter(|_| server.has(Flaw::ClientLogoFetched)) {
        Some(address) => {
            fetch::carelessly(&address).await;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

/// One address, or a list of them.
fn addresses(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn host(address: &str) -> Result<String, OAuthError> {
    let url = Url::parse(address).ok();
    url.and_then(|url| url.host_str().map(ToOwned::to_owned)).ok_or_else(|| invalid("an address has no host"))
}
