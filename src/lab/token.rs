//! The token endpoint (RFC 6749 section 3.2).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::client_auth::{Identify, Presented};
use super::directory::{self, AuthMethod, Client};
use super::oauth_error::{OAuthError, private_json};
use super::params::Params;
use super::scope::Scope;
use super::server::{Server, form};
use super::store::{Grant, Held};
use super::tokens::{Issue, now};
use super::{Flaw, certificates, ciba, code_grant, details, device, dpop, exchange, jwt_grant, refresh};

/// Handles `POST /token`.
pub(super) async fn endpoint(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap, body: Bytes) -> Response {
    let params = read(&server, query.as_deref(), &headers, &body);
    let headers = with_credentials_of_query(&server, query.as_deref(), headers);
    respond(&server, params, &headers).await
}

/// What the client would have had to write into the header.
fn with_credentials_of_query(server: &Server, query: Option<&str>, mut headers: HeaderMap) -> HeaderMap {
    let query = Params::parse(query.unwrap_or_default().as_bytes());
    if let (Some(id), Some(secret)) = (query.get("client_id"), query.get("client_secret"))
        && server.has(Flaw::ClientSecretInQuery)
        && let Ok(value) = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
    {
        headers.entry(header::AUTHORIZATION).or_insert(value);
    }
    headers
}

/// Handles `GET /token`, which is no method of this endpoint.
pub(super) async fn by_get(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    if !server.has(Flaw::TokenEndpointGet) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
    }
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    respond(&server, Ok(params), &headers).await
}

async fn respond(server: &Server, params: Result<Params, OAuthError>, headers: &HeaderMap) -> Response {
    let answered = match params {
        Ok(params) => answer(server, &params, headers).await,
        Err(error) => Err(error),
    };
    let mut response = match answered {
        Ok(body) => private_json(StatusCode::OK, &body),
        Err(error) => error.into_response(),
    };
    if server.has(Flaw::TokenResponseCacheable) {
        response.headers_mut().remove(header::CACHE_CONTROL);
        response.headers_mut().remove(header::PRAGMA);
    }
    if let Some(origin) = headers.get(header::ORIGIN).filter(|_| server.has(Flaw::TokenCorsCredentials)) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    response
}

async fn answer(server: &Server, params: &Params, headers: &HeaderMap) -> Result<Value, OAuthError> {
    if let Some(client) = unnamed(server, params, headers) {
        return grant(server, client, params, headers).await;
    }
    let presented = Presented::read(server, headers, params)?;
    if let Some(limit) = server.config.rate_limit {
        // Requests of unknown clients share one count, so that inventing
        // client ids neither avoids the limit nor fills the memory.
        let known = server.client(presented.client_id());
        let key = known.map_or("", |client| client.id.as_str());
        let admitted = server.store().admit(key, limit);
        admitted.map_err(OAuthError::too_many_requests)?;
    }
    let identify = match params.get("grant_type") {
        Some("refresh_token") if presented.lacks_proof(server) && server.has(Flaw::RefreshWithoutClientAuth) => Identify::AnyHow,
        Some(device::GRANT_TYPE) => device::identify(server),
        Some(exchange::GRANT_TYPE) => exchange::identify(server),
        Some("authorization_code") if presented.is_public_with_secret(server) && code_grant::spares_verifier(server, params) => {
            Identify::AnySecret
        }
        Some("client_credentials") if presented.is_public_with_secret(server) && server.has(Flaw::ClientCredentialsForPublicWithSecret) => {
            Identify::AnySecret
        }
        _ => Identify::PublicToo,
    };
    let client = match presented.authenticate(server, identify) {
        Ok(client) => client,
        Err(error) => owner(server, &presented, params).or_else(|| unproven(server, &presented, params)).ok_or(error)?,
    };
    if identify == Identify::AnySecret && params.get("grant_type") == Some("client_credentials") {
        return client_credentials_of(server, client, params, Held::default());
    }
    grant(server, client, params, headers).await
}

/// The client with a secret that a refresh token belongs to, where a flaw does not look at who refreshes.
fn owner<'a>(server: &'a Server, presented: &Presented, params: &Params) -> Option<&'a Client> {
    if params.get("grant_type") != Some("refresh_token") || !presented.shows_secret() {
        return None;
    }
    let id = server.store().refresh_tokens.get(params.get("refresh_token")?)?.grant.client_id.clone();
    server.client(&id).filter(|client| matches!(client.auth, AuthMethod::Secret(_)) && server.has(Flaw::RefreshClientUnchecked))
}

/// The client with a secret that asks for a token of its own, where a flaw does not look at the secret.
fn unproven<'a>(server: &'a Server, presented: &Presented, params: &Params) -> Option<&'a Client> {
    let is_asked = params.get("grant_type") == Some("client_credentials") && (presented.shows_secret() || presented.lacks_proof(server));
    let client = server.client(presented.client_id()).filter(|client| is_asked && matches!(client.auth, AuthMethod::Secret(_)));
    client.filter(|_| server.has(Flaw::ClientCredentialsSecretUnchecked))
}

/// The client that a code or a refresh token belongs to, where a flaw takes a request that names no client for its.
fn unnamed<'a>(server: &'a Server, params: &Params, headers: &HeaderMap) -> Option<&'a Client> {
    let is_named = headers.contains_key(header::AUTHORIZATION)
        || ["client_id", "client_secret", "client_assertion"].iter().any(|name| params.get(name).is_some());
    if is_named {
        return None;
    }
    let (id, of_public, of_others) = match params.get("grant_type")? {
        "authorization_code" => {
            let id = server.store().codes.get(params.get("code")?)?.grant.client_id.clone();
            (id, Flaw::TokenEndpointNoClientId, Flaw::CodeOwnerTrusted)
        }
        "refresh_token" => {
            let id = server.store().refresh_tokens.get(params.get("refresh_token")?)?.grant.client_id.clone();
            (id, Flaw::RefreshWithoutClient, Flaw::RefreshOwnerTrusted)
        }
        _ => return None,
    };
    server.client(&id).filter(|client| server.has(if matches!(client.auth, AuthMethod::None) { of_public } else { of_others }))
}

async fn grant(server: &Server, client: &Client, params: &Params, headers: &HeaderMap) -> Result<Value, OAuthError> {
    // The key of the proof that came with the request, and the certificate of its connection.
    let refreshes = params.get("grant_type") == Some("refresh_token");
    let jkt = match dpop::of_request(server, headers, "/token") {
        Err(_) if server.has(Flaw::DpopInvalidProofIgnored) => None,
        jkt => jkt?,
    };
    let held = Held { jkt, x5t: certificates::binding(client, headers, refreshes)? };
    if let (Some(id), Some((_, session))) = (params.get("code"), server.session(headers))
        && server.has(Flaw::CodeUserConfusion)
        && let Some(code) = server.store().codes.get_mut(id)
    {
        code.grant.sub = session.sub.to_owned();
    }
    // RFC 9396 section 6: a user has approved details before these two, and before no other grant here.
    if !matches!(params.get("grant_type"), Some("authorization_code" | "refresh_token")) {
        details::none(params)?;
    }
    match params.get("grant_type") {
        Some("authorization_code") => code_grant::redeem(server, client, params, held).await,
        Some("refresh_token") => refresh::exchange(server, client, params, held).await,
        Some(device::GRANT_TYPE) => device::poll(server, client, params, held).await,
        Some(exchange::GRANT_TYPE) => exchange::exchange(server, client, params, held),
        Some(jwt_grant::GRANT_TYPE) => jwt_grant::exchange(server, client, params, held),
        Some(ciba::GRANT_TYPE) => ciba::poll(server, client, params, held),
        Some("client_credentials") => client_credentials(server, client, params, held),
        Some("password") if server.has(Flaw::PasswordGrantEnabled) => password(server, client, params, held),
        Some("password") if server.has(Flaw::PasswordGrantOracle) => password(server, client, params, held)
            .and(Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"))),
        Some(_) => Err(OAuthError::new("unsupported_grant_type", "this grant type is not supported")),
        None => Err(OAuthError::invalid_request("grant_type is missing")),
    }
}

/// The parameters: those of the body only, unless the flaw is on.
fn read(server: &Server, query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Result<Params, OAuthError> {
    let query = query.filter(|_| server.has(Flaw::TokenParametersFromQuery)).map(|query| Params::parse(query.as_bytes()));
    let Some(query) = query else {
        return read_body(server, headers, body);
    };
    if let Some(fault) = query.fault() {
        return Err(OAuthError::invalid_request(fault.to_string()));
    }
    // With everything in the query there may be no body to have a type.
    let mut params = if body.is_empty() { Params::default() } else { form(headers, body)? };
    params.complete_with(query);
    Ok(params)
}

fn read_body(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Params, OAuthError> {
    let read = form(headers, body);
    if body.first() == Some(&b'{')
        && server.has(Flaw::TokenEndpointJsonBody)
        && let Ok(Value::Object(members)) = serde_json::from_slice(body)
    {
        return Ok(Params::of_json(&members, code_grant::ANY_VERIFIER));
    }
    if read.is_err() && server.has(Flaw::TokenDuplicateParameterAccepted) {
        let mut params = Params::parse(body);
        params.last_only("code_verifier", code_grant::ANY_VERIFIER);
        return Ok(params);
    }
    read
}

/// The client credentials grant (RFC 6749 section 4.4). Scopes that need a
/// user are left out, and where none remains it is the default one (section
/// 3.3); the response says what was granted.
fn client_credentials(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    let is_waved_through = matches!(client.auth, AuthMethod::None) && server.has(Flaw::ClientCredentialsForPublic);
    if !server.may_use(client, "client_credentials") && !is_waved_through {
        return Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"));
    }
    client_credentials_of(server, client, params, held)
}

/// The same for a client that may use it.
fn client_credentials_of(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    // The flaw takes the client for a user.
    let own = server.has(Flaw::ClientSubCollision).then(|| Scope::parse("openid")).flatten();
    let asked = own.map_or_else(|| requested_scope(params), Ok)?;
    let scope = asked.common(own.unwrap_or(Scope::WITHOUT_USER)).unwrap_or(Scope::DEFAULT);
    if !server.may_ask(client, scope) {
        return Err(invalid_scope("the client may not ask for this scope"));
    }
    let sub = if own.is_some() { server.default_sub() } else { &client.id };
    let grant = Grant::plain(server, client, sub.to_owned(), scope, held);
    issue(server, grant, server.has(Flaw::ClientCredentialsRefreshToken))
}

/// The password grant (RFC 6749 section 4.3), which RFC 9700 section 2.4
/// forbids.
fn password(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    let (Some(name), Some(password)) = (params.get("username"), params.get("password")) else {
        let why = "username or password is missing";
        return Err(OAuthError::invalid_request(why));
    };
    let user = directory::user_by_password_alone(name, password).ok_or_else(|| OAuthError::invalid_grant("name or password is wrong"))?;
    let plain = Grant::plain(server, client, user.sub.to_owned(), requested_scope(params)?, held);
    let grant = Grant { auth_time: Some(now()), ..plain };
    issue(server, grant, true)
}

fn issue(server: &Server, grant: Grant, with_refresh_token: bool) -> Result<Value, OAuthError> {
    let issue = {
        let mut store = server.store();
        let family = store.new_family();
        let scope = grant.scope;
        Issue::register(server, &mut store, family, grant, scope, with_refresh_token)
    };
    issue.response(server)
}

/// The scope of a request that has no user in it.
pub(super) fn requested_scope(params: &Params) -> Result<Scope, OAuthError> {
    params.get("scope").map_or(Ok(Scope::DEFAULT), |text| Scope::parse(text).ok_or_else(|| invalid_scope("the scope has an unknown value")))
}

/// The error for a scope that cannot be had.
pub(super) fn invalid_scope(why: &str) -> OAuthError {
    OAuthError::new("invalid_scope", why)
}
