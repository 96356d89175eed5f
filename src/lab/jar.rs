//! Signed authorization requests (JAR, RFC 9101), from clients that have a key.

use hmac::{Hmac, Mac as _};
use p256::ecdsa::VerifyingKey;
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::Value;
use sha2::Sha256;

use super::Flaw;
use super::details;
use super::directory::AuthMethod;
use super::jwe;
use super::jws::{self, Compact};
use super::params::Params;
use super::server::Server;
use super::tokens::now_signed;

/// How far the clocks of client and server may differ, in seconds.
const LEEWAY: i64 = 60;
/// The `typ` of a request object (section 10.8).
const TYP: &str = "oauth-authz-req+jwt";
/// Claims that say something of the object, not of the request.
pub(super) const ABOUT_ITSELF: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// The parameters of a request: those of its request object where it has one (section 6.3), and `None` where it has none that
/// this client could have made. `Err` says what is wrong with it.
pub(super) fn open(server: &Server, params: &Params) -> Result<Option<Params>, &'static str> {
    let (Some(object), Some(client)) = (params.get("request"), params.get("client_id").and_then(|id| server.client(id))) else {
        return Ok(None);
    };
    let AuthMethod::Assertion(keys) = &client.auth else { return Ok(None) };
    let inside = decrypted(server, object)?;
    let jwt = Compact::parse(inside.as_deref().unwrap_or(object)).ok_or("the request object is not a JWT")?;
    // Section 6.1: what was encrypted is signed all the same, since anybody encrypts to a public key.
    let wrong = check_signature(server, &keys.ec, &jwt);
    if wrong.is_err() && !(inside.is_some() && server.has(Flaw::JarJweSkipsSignature)) {
        wrong?;
    }
    check_claims(server, &client.id, &jwt)?;
    let inner = jwt.texts().filter(|(name, _)| !ABOUT_ITSELF.contains(name) && !matches!(*name, "request" | "request_uri"));
    let mut inner = Params::of(inner);
    // RFC 9396 section 3: in a request object it is JSON, as it is.
    if let Some(details) = jwt.claim(details::NAME).filter(|claim| claim.is_array()) {
        inner.complete_with(Params::of([(details::NAME, details.to_string().as_str())].into_iter()));
    }
    if !server.has(Flaw::JarParametersMerged) {
        return Ok(Some(inner));
    }
    let mut merged = params.without("request");
    merged.complete_with(inner);
    Ok(Some(merged))
}

/// The same of what a browser brings, which a server of OpenID Connect may want to be a request of OAuth 2.0 by itself (OpenID Connect
/// Core section 6.1).
pub(super) fn open_in_browser(server: &Server, params: &Params) -> Result<Option<Params>, &'static str> {
    let opened = open(server, params)?;
    if let Some(inner) = opened.as_ref().filter(|_| server.config.request_beside) {
        stands_beside(params, inner)?;
    }
    Ok(opened)
}

/// What must stand beside a request that the browser does not bring by itself, where [`request_beside`](super::LabConfig::request_beside) says so.
///
/// # Errors
/// What is missing, or is not as in the request.
pub(super) fn stands_beside(front: &Params, inner: &Params) -> Result<(), &'static str> {
    let is_as_inside = |name: &str| front.get(name).is_some_and(|beside| inner.get(name).is_none_or(|inside| inside == beside));
    if !is_as_inside("response_type") || !is_as_inside("redirect_uri") {
        return Err("response_type and redirect_uri must stand beside the request, as they are inside");
    }
    if !front.get("scope").is_some_and(|scope| scope.split(' ').any(|word| word == "openid")) {
        return Err("a scope with openid must stand beside the request");
    }
    Ok(())
}

/// What stands in an encrypted object (section 6.1); `None`: the object is not encrypted.
fn decrypted(server: &Server, object: &str) -> Result<Option<String>, &'static str> {
    if !jwe::is_encrypted(object) {
        return Ok(None);
    }
    let inside = server.encryption_key.decrypt(object).ok_or("the request object cannot be decrypted")?;
    match serde_json::from_str::<Value>(&inside) {
        Ok(claims) if claims.is_object() && server.has(Flaw::JarJweSkipsSignature) => Ok(Some(jws::unsigned(TYP, &claims))),
        _ => Ok(Some(inside)),
    }
}

fn check_claims(server: &Server, client_id: &str, jwt: &Compact<'_>) -> Result<(), &'static str> {
    let confused = server.has(Flaw::JarTypeConfusion);
    if !confused && (jwt.header("typ") != Some(TYP) || jwt.text("sub") == Some(client_id)) {
        return Err("the JWT is not a request object");
    }
    // Section 4.
    if !confused && (jwt.has_claim("request") || jwt.has_claim("request_uri")) {
        return Err("the request object refers to another request");
    }
    let is_ours = jwt.text("iss") == Some(client_id) && jwt.is_for(&[&server.issuer]);
    if !is_ours && !server.has(Flaw::JarAudienceUnchecked) {
        return Err("the request object is of another client, or for another server");
    }
    if jwt.text("client_id") != Some(client_id) && !server.has(Flaw::ClientIdConfusion) {
        return Err("client_id is another one in the request object");
    }
    let now = now_signed();
    let is_current = jwt.time("exp").is_some_and(|exp| exp > now) && jwt.time("nbf").is_some_and(|nbf| nbf <= now + LEEWAY);
    if !is_current && !server.has(Flaw::JarExpiryUnchecked) {
        return Err("the request object has expired, or is not valid yet");
    }
    Ok(())
}

fn check_signature(server: &Server, key: &VerifyingKey, jwt: &Compact<'_>) -> Result<(), &'static str> {
    const WRONG: &str = "the signature of the request object is wrong";
    let signature = jwt.signature().ok_or(WRONG)?;
    let accepted = match jwt.header("alg") {
        Some("ES256") => jwt.is_signed_by(key) || (server.has(Flaw::JarSignatureUnchecked) && !signature.is_empty()),
        Some("HS256") => server.has(Flaw::JarAlgConfusion) && is_tagged_with(key, jwt.message(), &signature),
        Some(alg) => server.has(Flaw::JarAlgNone) && alg.eq_ignore_ascii_case("none") && signature.is_empty(),
        None => false,
    };
    accepted.then_some(()).ok_or(WRONG)
}

/// Whether this is an HS256 tag with the public key, in its PEM form, as the secret.
fn is_tagged_with(key: &VerifyingKey, message: &[u8], tag: &[u8]) -> bool {
    let Ok(pem) = p256::PublicKey::from(key).to_public_key_pem(LineEnding::LF) else { return false };
    [pem.as_str(), pem.trim_end()].iter().any(|secret| {
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).is_ok_and(|mut mac| {
            mac.update(message);
            mac.verify_slice(tag).is_ok()
        })
    })
}
