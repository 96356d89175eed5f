//! Dynamic client registration (RFC 7591) and its management (RFC 7592): what is registered can be read and removed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::directory::{AuthMethod, Client, ClientKeys, Introspects};
use super::jws::Compact;
use super::oauth_error::{OAuthError, private_json};
use super::scope::Scope;
use super::server::Server;
use super::tokens::now;
use super::{Flaw, client_uris, device, jws, redirect_uri, secrets};

/// How many clients may be registered while the lab runs.
const MOST: usize = 1024;

/// A client that registered itself.
pub(super) struct Registered {
    pub(super) client: Client,
    metadata: Map<String, Value>,
    token: String,
    removed: AtomicBool,
}

/// Every client that registered itself, in places that are filled once: what has been lent out stays where it is.
pub(super) struct Registry(Vec<OnceLock<Registered>>);

impl Default for Registry {
    fn default() -> Self {
        Registry(std::iter::repeat_with(OnceLock::new).take(MOST).collect())
    }
}

impl Registry {
    fn add(&self, registered: Registered) -> Option<&Registered> {
        let mut registered = registered;
        for place in &self.0 {
            match place.set(registered) {
                Ok(()) => return place.get(),
                Err(back) => registered = back,
            }
        }
        None
    }

    /// A client that nobody registered, with what is known of it now. It is kept once, as long as nothing of it changes.
    pub(super) fn know(&self, client: Client) {
        let same = |known: &Registered| known.client.redirect_uris == client.redirect_uris && known.client.name == client.name;
        if !self.find(&client.id).is_some_and(same) {
            // Where there is no room any more, it stays unknown.
            let _ = self.add(Registered { client, metadata: Map::new(), token: secrets::random(), removed: AtomicBool::new(false) });
        }
    }

    /// Such a client is not known any more.
    pub(super) fn forget(&self, id: &str) {
        if let Some(known) = self.find(id) {
            known.removed.store(true, Ordering::SeqCst);
        }
    }

    /// Every one that there ever was.
    pub(super) fn all(&self) -> impl Iterator<Item = &Registered> {
        self.0.iter().map_while(OnceLock::get)
    }

    /// The newest with this id that was not removed.
    pub(super) fn find(&self, id: &str) -> Option<&Registered> {
        self.all().filter(|it| it.client.id == id && !it.removed.load(Ordering::SeqCst)).last()
    }
}

/// Handles `POST /register` (RFC 7591 section 3.1).
pub(super) async fn register(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&server, &headers, &body).await {
        Ok(body) => private_json(StatusCode::CREATED, &body),
        Err(error) => error.into_response(),
    }
}

async fn answer(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Value, OAuthError> {
    let is_anonymous = match bearer(headers) {
        None => true,
        Some(token) if secrets::equal(token.as_bytes(), server.initial_access_token.as_bytes()) => false,
        Some(_) => return Err(OAuthError::invalid_token("this is not the initial access token")),
    };
    let invalid = |why: &'static str| OAuthError::new("invalid_client_metadata", why);
    let mut asked: Map<String, Value> = serde_json::from_slice(body).map_err(|_| invalid("the body is no JSON object"))?;
    if let Some(statement) = asked.remove("software_statement") {
        // Nobody's statements are trusted (section 2.3).
        if !server.has(Flaw::DcrSoftwareStatementUnverified) {
            return Err(OAuthError::new("unapproved_software_statement", "no issuer of software statements is trusted"));
        }
        let claims =
            statement.as_str().and_then(Compact::parse).map(|jwt| jwt.texts().map(|(n, v)| (n.to_owned(), v.to_owned())).collect());
        let claims: Vec<(String, String)> = claims.unwrap_or_default();
        asked.extend(claims.into_iter().filter(|(name, _)| name == "client_name").map(|(name, value)| (name, json!(value))));
    }
    let text = |name: &str| asked.get(name).map(|value| value.as_str().ok_or_else(|| invalid("a member is no text"))).transpose();
    let list = |name: &str, default: &str| match asked.get(name) {
        None => Ok(vec![default.to_owned()]),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(|| invalid("a list has what is no text"))).collect()
        }
        Some(_) => Err(invalid("a member is no list")),
    };
    let redirect_uris: Vec<String> = list("redirect_uris", "")?;
    if redirect_uris.is_empty()
        || !redirect_uris.iter().all(|uri| redirect_uri::is_harmless(uri) || server.has(Flaw::DcrRedirectUriUnvalidated))
    {
        return Err(OAuthError::new("invalid_redirect_uri", "a redirect URI is missing, or none that a web client may have"));
    }
    let grants: Vec<String> = list("grant_types", "authorization_code")?;
    let may_have = |grant: &String| match grant.as_str() {
        "authorization_code" | "refresh_token" => true,
        device::GRANT_TYPE => !is_anonymous,
        "client_credentials" => server.has(Flaw::DcrOpen),
        _ => false,
    };
    if !grants.iter().all(may_have) {
        return Err(invalid("a grant type cannot be had"));
    }
    let response_types = list("response_types", "code")?;
    if response_types.iter().any(|kind| !matches!(kind.as_str(), "code" | "code id_token")) {
        return Err(invalid("a response type cannot be had"));
    }
    let scope = text("scope")?.map_or(Some(Scope::ALL), Scope::parse).ok_or_else(|| invalid("the scope has an unknown value"))?;
    let method = text("token_endpoint_auth_method")?.unwrap_or("client_secret_basic").to_owned();
    let uris = client_uris::read(server, &asked, &redirect_uris).await?;
    let auth = match method.as_str() {
        "none" => AuthMethod::None,
        "client_secret_basic" => AuthMethod::Secret(secrets::random()),
        "private_key_jwt" => AuthMethod::Assertion(Box::new(client_keys(&asked, uris.keys.as_ref()).map_err(invalid)?)),
        _ => return Err(invalid("the authentication method cannot be had")),
    };
    let name = text("client_name")?.map(ToOwned::to_owned);
    let chosen = text("client_id")?.map(ToOwned::to_owned).filter(|_| server.has(Flaw::DcrMassAssignment));
    let id = chosen.unwrap_or_else(|| format!("c-{}", secrets::random()));

    // What the server does not know is left out (section 2).
    let mut metadata = Map::new();
    for (member, value) in [
        ("redirect_uris", json!(redirect_uris)),
        ("grant_types", json!(grants)),
        ("response_types", json!(response_types)),
        ("scope", json!(scope.to_string())),
        ("token_endpoint_auth_method", json!(method)),
    ] {
        metadata.insert(member.to_owned(), value);
    }
    metadata.extend(name.as_ref().map(|name| ("client_name".to_owned(), json!(name))));
    metadata.extend(uris.metadata);
    let skips_consent = asked.get("skip_consent").is_some_and(|value| *value == json!(true) || *value == json!("true"));
    let skips_consent = skips_consent && server.has(Flaw::DcrMassAssignment);
    if let AuthMethod::Assertion(keys) = &auth {
        metadata.insert("token_endpoint_auth_signing_alg".to_owned(), json!(keys.alg));
        metadata.extend(asked.get("jwks").map(|jwks| ("jwks".to_owned(), jwks.clone())));
    }
    metadata.insert("client_id_issued_at".to_owned(), json!(now()));
    if let AuthMethod::Secret(secret) = &auth {
        metadata.insert("client_secret".to_owned(), json!(secret));
        metadata.insert("client_secret_expires_at".to_owned(), json!(0));
    }
    let client = Client {
        id: id.clone(),
        name,
        grants,
        has_hybrid: response_types.iter().any(|kind| kind != "code"),
        scope,
        introspects: if matches!(auth, AuthMethod::None) { Introspects::Nothing } else { Introspects::Own },
        is_anonymous,
        skips_consent,
        auth,
        redirect_uris,
        sector: uris.sector,
        logout_uri: uris.logout,
        logo_uri: uris.logo,
        binds_certificate: false,
    };
    let registered = Registered { client, metadata, token: secrets::random(), removed: AtomicBool::new(false) };
    let registered = server.registered.add(registered).ok_or_else(OAuthError::server_error)?;
    Ok(information(server, registered))
}

/// The keys of `private_key_jwt`, and the one algorithm that they are for: ES256 unless the registration says otherwise. `fetched`: the document of its
/// `jwks_uri`.
fn client_keys(asked: &Map<String, Value>, fetched: Option<&Value>) -> Result<ClientKeys, &'static str> {
    let set = fetched.or(asked.get("jwks"));
    let keys = set.and_then(|set| set.get("keys")).and_then(Value::as_array).ok_or("private_key_jwt needs jwks or jwks_uri")?;
    let ec = keys.iter().find_map(jws::ec_key).ok_or("the client's keys have none of P-256")?;
    let rsa = keys.iter().find(|key| key["kty"] == "RSA").cloned();
    let alg = match asked.get("token_endpoint_auth_signing_alg").map(|alg| alg.as_str().unwrap_or_default()) {
        None | Some("ES256") => "ES256",
        Some("RS256") if rsa.is_some() => "RS256",
        Some(_) => return Err("the algorithm of the assertions cannot be had, or the client has no key for it"),
    };
    Ok(ClientKeys { ec, rsa, alg })
}

/// The client information response (RFC 7591 section 3.2.1, RFC 7592 section 3).
fn information(server: &Server, registered: &Registered) -> Value {
    let mut members = registered.metadata.clone();
    let id = &registered.client.id;
    members.insert("client_id".to_owned(), json!(id));
    members.insert("registration_access_token".to_owned(), json!(registered.token));
    members.insert("registration_client_uri".to_owned(), json!(format!("{}/register/{id}", server.issuer)));
    Value::Object(members)
}

/// Handles `GET /register/{id}` (RFC 7592 section 2.1).
pub(super) async fn read(State(server): State<Arc<Server>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match of_owner(&server, &id, &headers) {
        Ok(registered) => private_json(StatusCode::OK, &information(&server, registered)),
        Err(error) => error.into_response(),
    }
}

/// Handles `DELETE /register/{id}` (RFC 7592 section 2.3).
pub(super) async fn remove(State(server): State<Arc<Server>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match of_owner(&server, &id, &headers) {
        Ok(registered) => {
            registered.removed.store(true, Ordering::SeqCst);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// The registration, for whoever has its token.
fn of_owner<'s>(server: &'s Server, id: &str, headers: &HeaderMap) -> Result<&'s Registered, OAuthError> {
    let refuse = || OAuthError::invalid_token("this is not the token of this registration");
    let registered = server.registered.find(id).ok_or_else(refuse)?;
    let is_owner = bearer(headers).is_some_and(|token| secrets::equal(token.as_bytes(), registered.token.as_bytes()));
    if is_owner || server.has(Flaw::DcrManagementTokenUnchecked) { Ok(registered) } else { Err(refuse()) }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
