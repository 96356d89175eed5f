//! The device authorization grant (RFC 8628): the two codes, and the token that the device polls for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::client_auth::{Identify, Presented};
use super::directory::{AuthMethod, Client};
use super::oauth_error::{OAuthError, private_json};
use super::params::Params;
use super::scope::Scope;
use super::server::{Server, form};
use super::store::{Grant, Held, Store};
use super::token::invalid_scope;
use super::tokens::Issue;
use super::{Flaw, MAX_LIFETIME, clock, details, secrets};

/// The grant type of section 3.4.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Between two polls, and what a poll that came too early adds to it (section 3.5).
pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// The letters of section 6.1: none of them a vowel, so that no word appears.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How long `single-use-race` leaves between the check and the mark.
const RACE_WINDOW: Duration = Duration::from_millis(25);

/// A device, or a backchannel request (`ciba`), that waits for its user.
pub(super) struct Device {
    pub(super) client_id: String,
    pub(super) scope: Scope,
    pub(super) user_code: String,
    pub(super) asked: Asked,
    pub(super) decision: Decision,
    /// Proves that the confirmation came from the page of this session.
    pub(super) csrf: Option<(String, String)>,
    /// Wrong passwords so far.
    pub(super) tries: u8,
    pub(super) expires: Instant,
    interval: Duration,
    polled: Option<Instant>,
    pub(super) used: bool,
}

/// Who is to decide.
pub(super) enum Asked {
    /// Whoever types the code.
    Anybody,
    /// The user whom a backchannel request names, by its message (OpenID Connect CIBA section 7.1).
    Backchannel { user: &'static str, message: String },
}

impl Device {
    /// One that nobody has decided on.
    pub(super) fn new(client: &Client, scope: Scope, user_code: String, asked: Asked, expires: Instant) -> Self {
        Self {
            client_id: client.id.clone(),
            scope,
            user_code,
            asked,
            decision: Decision::None,
            csrf: None,
            tries: 0,
            expires,
            interval: INTERVAL,
            polled: None,
            used: false,
        }
    }

    /// Whether it is polled for by its `auth_req_id`, and not by a device code.
    pub(super) fn is_backchannel(&self) -> bool {
        matches!(self.asked, Asked::Backchannel { .. })
    }

    /// Whether this user may decide.
    pub(super) fn is_for(&self, sub: &str) -> bool {
        match &self.asked {
            Asked::Anybody => true,
            Asked::Backchannel { user, .. } => *user == sub,
        }
    }

    /// What a poll is told while the user has not agreed; one that comes too early lengthens the interval.
    pub(super) fn undecided(&mut self, unlimited: bool) -> OAuthError {
        if self.decision == Decision::Refused {
            return OAuthError::new("access_denied", "the user refused");
        }
        let now = clock::instant();
        let early = self.polled.is_some_and(|polled| now - polled < self.interval);
        self.polled = Some(now);
        if early && !unlimited {
            self.interval += INTERVAL;
            return OAuthError::new("slow_down", "the client polls too often");
        }
        OAuthError::new("authorization_pending", "the user has not decided")
    }

    /// What the user has agreed to.
    pub(super) fn granted(&self, server: &Server, client: &Client, sub: &str, auth_time: Option<u64>, held: Held) -> Grant {
        Grant { auth_time, ..Grant::plain(server, client, server.subject_for(client, sub), self.scope, held) }
    }
}

/// What the user said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    None,
    Refused,
    /// The subject, and when he gave his password.
    Approved(&'static str, u64),
}

/// Handles `POST /device_authorization` (section 3.1).
pub(super) async fn endpoint(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&server, &headers, &body) {
        Ok(body) => private_json(StatusCode::OK, &body),
        Err(error) => error.into_response(),
    }
}

/// How much client authentication the endpoints of this grant ask for.
pub(super) fn identify(server: &Server) -> Identify {
    if server.has(Flaw::DeviceClientUnauthenticated) { Identify::AnyHow } else { Identify::PublicToo }
}

/// The client whose secret a flaw does not compare.
fn with_any_secret<'a>(server: &'a Server, presented: &Presented) -> Option<&'a Client> {
    let client = server.client(presented.client_id()).filter(|client| matches!(client.auth, AuthMethod::Secret(_)))?;
    (presented.shows_secret() && server.has(Flaw::DeviceSecretUnchecked)).then_some(client)
}

fn answer(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Value, OAuthError> {
    let params = form(headers, body)?;
    let presented = Presented::read(server, headers, &params)?;
    let client = match presented.authenticate(server, identify(server)) {
        Ok(client) => client,
        Err(error) => with_any_secret(server, &presented).ok_or(error)?,
    };
    if !server.may_use(client, GRANT_TYPE) {
        return Err(unauthorized());
    }
    details::none(&params)?;
    let scope =
        params.get("scope").map_or(Some(Scope::DEFAULT), Scope::parse).ok_or_else(|| invalid_scope("the scope has an unknown value"))?;
    if !server.may_ask(client, scope) {
        return Err(invalid_scope("the client may not ask for this scope"));
    }
    let mut store = server.store();
    let device_code = secrets::random();
    let user_code = if server.has(Flaw::DeviceUserCodeGuessable) { format!("{:04}", store.devices.len() % 10_000) } else { user_code() };
    let page = format!("{}/device", server.issuer);
    let body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": server.config.device_code_lifetime.as_secs(),
        "interval": INTERVAL.as_secs(),
    });
    let lifetime = if server.has(Flaw::DeviceCodeNeverExpires) { MAX_LIFETIME } else { server.config.device_code_lifetime };
    store.add_device(device_code, Device::new(client, scope, user_code, Asked::Anybody, clock::instant() + lifetime));
    Ok(body)
}

fn unauthorized() -> OAuthError {
    OAuthError::new("unauthorized_client", "the client may not use this grant type")
}

/// Eight letters, 34 bits.
fn user_code() -> String {
    // Of 256 values, 240 are shared out evenly between twenty letters.
    let mut letters =
        std::iter::repeat_with(secrets::byte).filter(|byte| *byte < 240).map(|byte| char::from(LETTERS[usize::from(byte) % 20]));
    let mut four = || letters.by_ref().take(4).collect::<String>();
    format!("{}-{}", four(), four())
}

/// The grant of section 3.4: the device asks whether its user has decided.
pub(super) async fn poll(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    if !server.may_use(client, GRANT_TYPE) {
        return Err(unauthorized());
    }
    let id = params.get("device_code").ok_or_else(|| OAuthError::invalid_request("device_code is missing"))?;
    let issue = if server.has(Flaw::SingleUseRace) {
        let grant = check(server, &mut server.store(), client, id)?;
        tokio::time::sleep(RACE_WINDOW).await;
        take(server, &mut server.store(), id, grant, held)
    } else {
        // One lock for both: of simultaneous polls only one succeeds.
        let mut store = server.store();
        let grant = check(server, &mut store, client, id)?;
        take(server, &mut store, id, grant, held)
    };
    issue.response(server)
}

fn check(server: &Server, store: &mut Store, client: &Client, id: &str) -> Result<Grant, OAuthError> {
    let unknown = || OAuthError::invalid_grant("the device code is unknown or used");
    let device = store.devices.get_mut(id).filter(|device| !device.is_backchannel()).ok_or_else(unknown)?;
    if device.client_id != client.id && !server.has(Flaw::DeviceCodeNotBound) {
        return Err(OAuthError::invalid_grant("the device code was issued to another client"));
    }
    if device.expires <= clock::instant() {
        return Err(OAuthError::new("expired_token", "the device code has expired"));
    }
    if device.used && !server.has(Flaw::DeviceCodeReusable) {
        return Err(unknown());
    }
    let (sub, auth_time) = match device.decision {
        Decision::Approved(sub, auth_time) => (sub, Some(auth_time)),
        _ if server.has(Flaw::DeviceApprovalUnchecked) => (server.default_sub(), None),
        _ => return Err(device.undecided(server.has(Flaw::DevicePollingUnlimited))),
    };
    Ok(device.granted(server, client, sub, auth_time, Held::default()))
}

fn take(server: &Server, store: &mut Store, id: &str, grant: Grant, held: Held) -> Issue {
    if let Some(device) = store.devices.get_mut(id) {
        device.used = true;
    }
    let family = store.new_family();
    let scope = grant.scope;
    Issue::register(server, store, family, Grant { jkt: held.jkt, x5t: held.x5t, ..grant }, scope, true)
}

#[cfg(test)]
mod tests {
    #[test]
    fn user_codes_have_the_alphabet_of_rfc_8628() {
        let code = super::user_code();
        assert_eq!(code.len(), 9);
        assert!(code.bytes().all(|b| b == b'-' || super::LETTERS.contains(&b)), "{code}");
    }
}
