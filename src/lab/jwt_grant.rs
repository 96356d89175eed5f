//! Assertions as grants (RFC 7523 section 2.1): an issuer that this server trusts says who the user is.

use std::io;
use std::time::Duration;

use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::Value;

use super::directory::{self, Client};
use super::jws::Compact;
use super::oauth_error::OAuthError;
use super::params::Params;
use super::server::Server;
use super::store::{Grant, Held};
use super::token::{invalid_scope, requested_scope};
use super::tokens::{Issue, now_signed};
use super::{DemoIssuer, Flaw};

/// The grant type of section 2.1.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The one issuer that is believed.
const ISSUER: &str = "https://idp.example";
/// How far the clocks of issuer and server may differ, in seconds.
const LEEWAY: i64 = 60;
/// How far ahead `exp` may lie, in seconds.
const LONGEST: i64 = 3600;

/// A trusted issuer with a key that is new each time, and the key by which it is verified.
///
/// # Errors
/// The key cannot be written.
pub(super) fn issuer() -> io::Result<(DemoIssuer, VerifyingKey)> {
    let key = SigningKey::random(&mut rand::rngs::OsRng);
    let private_key_pem = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?.to_string();
    Ok((DemoIssuer { issuer: ISSUER.to_owned(), private_key_pem }, *key.verifying_key()))
}

/// Gives the user whom an assertion names a token, by a client that may ask for one.
pub(super) fn exchange(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    if !server.may_use(client, GRANT_TYPE) {
        return Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"));
    }
    let assertion = params.get("assertion").ok_or_else(|| OAuthError::invalid_request("assertion is missing"))?;
    let sub = subject(server, assertion).map_err(OAuthError::invalid_grant)?;
    let scope = requested_scope(params)?;
    if !server.may_ask(client, scope) {
        return Err(invalid_scope("the client may not ask for this scope"));
    }
    let grant = Grant::plain(server, client, server.subject_for(client, sub), scope, held);
    let issue = {
        let mut store = server.store();
        let family = store.new_family();
        // The assertion is the lasting credential: no refresh token goes with it (RFC 7521 section 4.1).
        Issue::register(server, &mut store, family, grant, scope, false)
    };
    issue.response(server)
}

/// The user whom an assertion names, where it is believed (section 3); `Err` says what is wrong with it.
fn subject(server: &Server, assertion: &str) -> Result<&'static str, &'static str> {
    let jwt = Compact::parse(assertion).ok_or("the assertion is not a JWT")?;
    let is_lax = server.has(Flaw::JwtBearerGrantLax);
    if jwt.has_header("crit") {
        return Err("the assertion has a critical header parameter");
    }
    if !is_lax && !is_signed(server, &jwt) {
        return Err("the assertion is of no trusted issuer, or its signature is wrong");
    }
    let token_endpoint = format!("{}/token", server.issuer);
    if !jwt.is_for(&[&server.issuer, &token_endpoint]) {
        return Err("the assertion is not for this server");
    }
    let now = now_signed();
    let remaining = jwt.time("exp").ok_or("the assertion has no exp")?.saturating_sub(now);
    if remaining <= 0 || remaining > LONGEST {
        return Err("the assertion has expired, or lasts too long");
    }
    for name in ["nbf", "iat"] {
        if jwt.has_claim(name) && jwt.time(name).is_none_or(|time| time > now + LEEWAY) {
            return Err("the assertion is not valid yet");
        }
    }
    let sub = jwt.text("sub").ok_or("the assertion has no sub")?;
    let user = directory::user_by_sub(sub).ok_or("the assertion is about nobody who is known here")?;
    let jti = jwt.text("jti").ok_or("the assertion has no jti")?;
    let lifetime = Duration::from_secs(remaining.unsigned_abs());
    if !server.store().use_assertion(ISSUER, jti, lifetime) {
        return Err("the assertion was used before");
    }
    Ok(user.sub)
}

fn is_signed(server: &Server, jwt: &Compact<'_>) -> bool {
    let is_trusted = jwt.text("iss") == Some(ISSUER) && jwt.header("alg") == Some("ES256");
    is_trusted && jwt.is_signed_by(&server.trusted_issuer)
}
