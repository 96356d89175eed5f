//! Proofs of possession (DPoP, RFC 9449): whether a request has one, and whose key made it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::VerifyingKey;
use serde_json::Value;

use super::jws::Compact;
use super::oauth_error::OAuthError;
use super::server::Server;
use super::tokens::now_signed;
use super::{Flaw, secrets};

/// How old a proof may be, in seconds, and how far the client's clock may be ahead.
const OLDEST: i64 = 60;
const AHEAD: i64 = 15;

/// The request that a proof has to be about.
pub(super) struct About<'a> {
    pub(super) method: &'a str,
    /// The path at this server; query and fragment do not count.
    pub(super) path: &'a str,
    /// The access token that comes with it.
    pub(super) token: Option<&'a str>,
}

/// The thumbprint of the key of a token request's proof (section 5); `None` without a proof.
pub(super) fn of_request(server: &Server, headers: &HeaderMap, path: &str) -> Result<Option<String>, OAuthError> {
    let about = About { method: "POST", path, token: None };
    verify(server, headers, &about).map_err(|why| OAuthError::new("invalid_dpop_proof", why))
}

/// Verifies the proof of a request (section 4.3); `Err` says what is wrong with it.
pub(super) fn verify(server: &Server, headers: &HeaderMap, about: &About<'_>) -> Result<Option<String>, &'static str> {
    let mut proofs = headers.get_all("dpop").iter();
    let Some(first) = proofs.next() else { return Ok(None) };
    let proof = match proofs.next_back() {
        None => first,
        Some(last) if server.has(Flaw::DpopMultipleHeaders) => {
            let fits =
                |proof: &HeaderValue| proof.to_str().ok().and_then(Compact::parse).is_some_and(|jwt| jwt.text("htm") == Some(about.method));
            if fits(first) { first } else { last }
        }
        Some(_) => return Err("there is more than one DPoP header"),
    };
    let jwt = proof.to_str().ok().and_then(Compact::parse).ok_or("the DPoP proof is not a JWT")?;
    if jwt.header("typ") != Some("dpop+jwt") && !server.has(Flaw::DpopTypUnchecked) {
        return Err("the typ of the DPoP proof is not dpop+jwt");
    }
    let jwk = jwt.header_object("jwk").ok_or("the DPoP proof has no jwk")?;
    let (key, thumbprint) = public_key(jwk).ok_or("the jwk of the DPoP proof is no public key of P-256")?;
    let is_signed = || jwt.header("alg") == Some("ES256") && jwt.is_signed_by(&key);
    if !server.has(Flaw::DpopSignatureUnchecked) && !is_signed() {
        return Err("the DPoP proof is not signed with ES256 by the key in its header");
    }
    if jwt.text("htm") != Some(about.method) && !server.has(Flaw::DpopHtmUnchecked) {
        return Err("htm of the DPoP proof is another method");
    }
    let htu = format!("{}{}", server.issuer, about.path);
    let is_htu = |given: &str| given.eq_ignore_ascii_case(&htu) || given.eq_ignore_ascii_case(&format!("{}{}", server.mtls, about.path));
    let is_here = |given: &str| given.split(['?', '#']).next().is_some_and(is_htu);
    if !jwt.text("htu").is_some_and(is_here) && !server.has(Flaw::DpopHtuUnchecked) {
        return Err("htu of the DPoP proof is another address");
    }
    let now = now_signed();
    let recent = now.saturating_sub(OLDEST)..=now + AHEAD;
    if !jwt.time("iat").is_some_and(|iat| recent.contains(&iat)) && !server.has(Flaw::DpopIatUnchecked) {
        return Err("the DPoP proof was made at another time");
    }
    if let Some(token) = about.token {
        let is_of_token = jwt.text("ath") == Some(&secrets::s256(token));
        if !is_of_token && !server.has(Flaw::DpopAthUnchecked) {
            return Err("ath of the DPoP proof is not that of the access token");
        }
    }
    let jti = jwt.text("jti").ok_or("the DPoP proof has no jti")?;
    let lifetime = Duration::from_secs((OLDEST + AHEAD).unsigned_abs());
    let is_new = server.store().use_assertion(&format!("dpop {htu}"), jti, lifetime);
    if !is_new && !server.has(Flaw::DpopJtiUnchecked) {
        return Err("the DPoP proof was used before");
    }
    Ok(Some(thumbprint))
}

/// A public key of P-256 and its thumbprint (RFC 7638); a private one has no business in a proof.
fn public_key(jwk: &Value) -> Option<(VerifyingKey, String)> {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    if member("kty") != Some("EC") || member("crv") != Some("P-256") || jwk.get("d").is_some() {
        return None;
    }
    let (x, y) = (member("x")?, member("y")?);
    let mut point = vec![4];
    point.extend(URL_SAFE_NO_PAD.decode(x).ok()?);
    point.extend(URL_SAFE_NO_PAD.decode(y).ok()?);
    let key = VerifyingKey::from_sec1_bytes(&point).ok()?;
    Some((key, secrets::s256(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))))
}
