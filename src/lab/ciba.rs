//! Backchannel authentication (OpenID Connect CIBA Core 1.0), in poll mode: a client asks for a user behind his back, he answers on a
//! page of the server, and the client polls for the tokens.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::client_auth::{Identify, Presented};
use super::device::{Asked, Decision, Device, INTERVAL};
use super::directory::{AuthMethod, Client, USERS};
use super::jws::Compact;
use super::oauth_error::{OAuthError, private_json};
use super::params::Params;
use super::scope::Scope;
use super::server::{Server, form};
use super::store::Held;
use super::token::invalid_scope;
use super::tokens::{self, Issue, now_signed};
use super::{Flaw, MAX_LIFETIME, clock, jar, secrets};

/// The grant type of section 10.1.
pub(super) const GRANT_TYPE: &str = "urn:openid:params:grant-type:ciba";
/// How far the clocks of client and server may differ, in seconds.
const LEEWAY: i64 = 60;
/// How far ahead the `exp` of a signed request may lie, in seconds.
const LONGEST: i64 = 3600;
/// The longest binding message; it is to be compared by a person (section 7.1).
const LONGEST_MESSAGE: usize = 50;
/// What may stand beside a signed request: client authentication (section 7.1.1).
const BESIDE: [&str; 5] = ["request", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// Handles `POST /backchannel_authentication` (section 7).
pub(super) async fn endpoint(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&server, &headers, &body) {
        Ok(body) => private_json(StatusCode::OK, &body),
        Err(error) => error.into_response(),
    }
}

fn answer(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Value, OAuthError> {
    let params = form(headers, body)?;
    let identify = if server.has(Flaw::CibaOpen) { Identify::AnyHow } else { Identify::Authenticated };
    let client = Presented::read(server, headers, &params)?.authenticate(server, identify)?;
    if !server.may_use(client, GRANT_TYPE) {
        return Err(unauthorized());
    }
    let params = match params.get("request") {
        Some(object) => signed(server, client, &params, object).map_err(OAuthError::invalid_request)?,
        None => params,
    };
    let scope = params.get("scope").and_then(Scope::parse).filter(|scope| scope.has("openid"));
    let scope = scope.ok_or_else(|| invalid_scope("the scope must have openid, and no unknown value"))?;
    if !server.may_ask(client, scope) {
        return Err(invalid_scope("the client may not ask for this scope"));
    }
    let for_user = user(server, &params)?;
    let message = params.get("binding_message").unwrap_or_default();
    if message.len() > LONGEST_MESSAGE || !message.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(OAuthError::new("invalid_binding_message", "the binding_message is too long, or not plain text"));
    }
    let longest = server.config.device_code_lifetime;
    let asked_for = match params.get("requested_expiry").map(str::parse::<u64>) {
        None => longest,
        Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds).min(longest),
        Some(_) => return Err(OAuthError::invalid_request("requested_expiry is no positive number")),
    };
    let auth_req_id = secrets::random();
    let lifetime = if server.has(Flaw::CibaNotBound) { MAX_LIFETIME } else { asked_for };
    let asked = Asked::Backchannel { user: for_user, message: message.to_owned() };
    // Nobody is shown the code: the page finds the request by its user.
    let device = Device::new(client, scope, secrets::random(), asked, clock::instant() + lifetime);
    server.store().add_device(auth_req_id.clone(), device);
    Ok(json!({ "auth_req_id": auth_req_id, "expires_in": asked_for.as_secs(), "interval": INTERVAL.as_secs() }))
}

fn unauthorized() -> OAuthError {
    OAuthError::new("unauthorized_client", "the client may not use this grant type")
}

/// The user whom the request is about: by exactly one hint (section 7.1).
fn user(server: &Server, params: &Params) -> Result<&'static str, OAuthError> {
    let hints: Vec<(&str, &str)> =
        ["login_hint", "id_token_hint", "login_hint_token"].into_iter().filter_map(|name| Some((name, params.get(name)?))).collect();
    let hint = match hints.as_slice() {
        [one] => *one,
        [first, ..] if server.has(Flaw::CibaOpen) => *first,
        _ => return Err(OAuthError::invalid_request("there must be one hint of who the user is, and no other")),
    };
    let unknown = || OAuthError::new("unknown_user_id", "nobody here is meant by this hint");
    match hint {
        ("login_hint", name) => {
            USERS.iter().find(|user| [user.name, user.email, user.sub].contains(&name)).map(|user| user.sub).ok_or_else(unknown)
        }
        ("id_token_hint", token) => {
            let sub = tokens::subject_of_hint(server, token, server.has(Flaw::CibaOpen));
            let sub = sub.ok_or_else(|| OAuthError::invalid_request("id_token_hint is no ID token of this server"))?;
            server.user_of(&sub).map(|user| user.sub).ok_or_else(unknown)
        }
        _ => Err(OAuthError::invalid_request("login_hint_token is not supported")),
    }
}

/// The parameters of a signed request (section 7.1.1); `Err` says what is wrong with it.
fn signed(server: &Server, client: &Client, params: &Params, object: &str) -> Result<Params, &'static str> {
    let AuthMethod::Assertion(keys) = &client.auth else { return Err("the client is registered with no key to sign requests") };
    if params.iter().any(|(name, _)| !BESIDE.contains(&name)) {
        return Err("no parameter may stand beside a signed request");
    }
    let jwt = Compact::parse(object).ok_or("the signed request is not a JWT")?;
    if !server.has(Flaw::CibaRequestObjectLax) {
        check(server, client, keys, &jwt)?;
    }
    Ok(Params::of(jwt.texts().filter(|(name, _)| !jar::ABOUT_ITSELF.contains(name))))
}

fn check(server: &Server, client: &Client, keys: &super::directory::ClientKeys, jwt: &Compact<'_>) -> Result<(), &'static str> {
    if jwt.has_header("crit") || jwt.header("alg") != Some("ES256") || !jwt.is_signed_by(&keys.ec) {
        return Err("the signature of the signed request is wrong");
    }
    // An assertion of the client is no request, and neither is one for the authorization endpoint.
    if jwt.has_claim("sub") || jwt.header("typ") == Some("oauth-authz-req+jwt") {
        return Err("the JWT is no backchannel authentication request");
    }
    if jwt.text("iss") != Some(&client.id) || !jwt.is_for(&[&server.issuer]) {
        return Err("the signed request is of another client, or for another server");
    }
    let now = now_signed();
    let remaining = jwt.time("exp").ok_or("the signed request has no exp")?.saturating_sub(now);
    let has_begun = |name: &str| jwt.time(name).is_some_and(|time| time <= now + LEEWAY);
    if remaining <= 0 || remaining > LONGEST || !has_begun("nbf") || !has_begun("iat") {
        return Err("the signed request has expired, lasts too long, or is not valid yet");
    }
    let jti = jwt.text("jti").ok_or("the signed request has no jti")?;
    let lifetime = Duration::from_secs(remaining.unsigned_abs());
    if !server.store().use_assertion(&client.id, &format!("request {jti}"), lifetime) {
        return Err("the signed request was used before");
    }
    Ok(())
}

/// The grant of section 10.1: the client asks whether the user has decided.
pub(super) fn poll(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    if !server.may_use(client, GRANT_TYPE) {
        return Err(unauthorized());
    }
    let id = params.get("auth_req_id").ok_or_else(|| OAuthError::invalid_request("auth_req_id is missing"))?;
    let issue = {
        // One lock for both: of simultaneous polls only one succeeds.
        let mut store = server.store();
        let is_lax = server.has(Flaw::CibaNotBound);
        let unknown = || OAuthError::invalid_grant("the auth_req_id is unknown or used");
        let device = store.devices.get_mut(id).filter(|it| it.is_backchannel()).ok_or_else(unknown)?;
        if device.client_id != client.id && !is_lax {
            return Err(OAuthError::invalid_grant("the auth_req_id was issued to another client"));
        }
        if device.expires <= clock::instant() {
            return Err(OAuthError::new("expired_token", "the auth_req_id has expired"));
        }
        if device.used && !is_lax {
            return Err(unknown());
        }
        let (sub, auth_time) = match (device.decision, &device.asked) {
            (Decision::Approved(sub, auth_time), _) => (sub, Some(auth_time)),
            (_, Asked::Backchannel { user, .. }) if server.has(Flaw::CibaApprovalUnchecked) => (*user, None),
            _ => return Err(device.undecided(false)),
        };
        let grant = device.granted(server, client, sub, auth_time, held);
        device.used = true;
        let family = store.new_family();
        let scope = grant.scope;
        Issue::register(server, &mut store, family, grant, scope, true)
    };
    issue.response(server)
}
