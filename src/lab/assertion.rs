//! Client assertions: `private_key_jwt` (RFC 7523 section 3).

use std::time::Duration;

use super::Flaw;
use super::directory::ClientKeys;
use super::jws::Compact;
use super::keys;
use super::server::Server;
use super::tokens::now_signed;

/// How far the clocks of client and server may differ, in seconds.
const LEEWAY: i64 = 60;
/// How far ahead `exp` and behind `iat` may lie, in seconds.
const LONGEST: i64 = 3600;
/// How far `exp` may lie ahead of a server that takes `assertion-nbf-unchecked-and-short` for strictness, in seconds.
const USUAL: i64 = 300;

/// Verifies the assertion of a client and notes its use; `Err` says what is
/// wrong with it.
pub(super) fn verify(server: &Server, client_id: &str, registered: &ClientKeys, assertion: &str) -> Result<(), &'static str> {
    let jwt = Compact::parse(assertion).ok_or("the client assertion is not a JWT")?;
    if jwt.has_header("crit") && !server.has(Flaw::JwtCritIgnored) {
        return Err("the client assertion has a critical header parameter");
    }
    check_signature(server, registered, &jwt)?;
    let untyped = server.has(Flaw::AssertionTypeUnchecked) && !jwt.has_claim("sub");
    let is_client = jwt.text("iss") == Some(client_id) && (jwt.text("sub") == Some(client_id) || untyped);
    let is_anybody = server.has(Flaw::AssertionSubjectUnchecked) && jwt.has_claim("sub");
    if !is_client && !is_anybody {
        return Err("issuer and subject of the client assertion must be the client");
    }
    let token_endpoint = format!("{}/token", server.issuer);
    if !jwt.is_for(&[&server.issuer, &token_endpoint]) && !server.has(Flaw::AssertionAudienceUnchecked) {
        return Err("the client assertion is not for this server");
    }

    let now = now_signed();
    let any_time = server.has(Flaw::AssertionExpiryUnchecked).then_some(now + LEEWAY);
    let exp = jwt.time("exp").filter(|exp| *exp > now || any_time.is_none()).or(any_time).ok_or("the client assertion has no exp")?;
    let remaining = exp.saturating_sub(now);
    if remaining <= 0 {
        return Err("the client assertion has expired");
    }
    let is_unusual = || remaining > USUAL && server.has(Flaw::AssertionNbfUncheckedAndShort);
    if remaining > LONGEST || is_unusual() {
        return Err("the client assertion expires too far in the future");
    }
    let early = server.has(Flaw::AssertionNbfUnchecked);
    let is_ahead = !early && jwt.has_claim("nbf") && jwt.time("nbf").is_none_or(|nbf| nbf > now + LEEWAY);
    if is_ahead && !server.has(Flaw::AssertionNbfUncheckedAndShort) {
        return Err("the client assertion is not valid yet");
    }
    let sane = now.saturating_sub(LONGEST)..=now + if early { LONGEST } else { LEEWAY };
    if jwt.has_claim("iat") && jwt.time("iat").is_none_or(|iat| !sane.contains(&iat)) {
        return Err("the client assertion was issued at another time");
    }

    let jti = jwt.text("jti").ok_or("the client assertion has no jti")?;
    let lifetime = Duration::from_secs(remaining.unsigned_abs());
    if !server.store().use_assertion(client_id, jti, lifetime) && !server.has(Flaw::AssertionJtiUnchecked) {
        return Err("the client assertion was used before");
    }
    Ok(())
}

fn check_signature(server: &Server, registered: &ClientKeys, jwt: &Compact<'_>) -> Result<(), &'static str> {
    const WRONG: &str = "the signature of the client assertion is wrong";
    let signature = jwt.signature().ok_or(WRONG)?;
    let empty_is_fine = server.has(Flaw::AssertionAlgNone);
    let key = &registered.ec;
    // RFC 8725 section 3.1: the algorithm is that of the registration, whatever else the key could do.
    let is_due = |alg: &str| registered.alg == alg || server.has(Flaw::AssertionAlgUnregistered);
    match jwt.header("alg") {
        Some("HS256") if server.has(Flaw::AssertionAlgConfusion) => {
            keys::is_tagged_with_ec_key(key, jwt.message(), &signature).then_some(()).ok_or(WRONG)
        }
        Some("ES256") if is_due("ES256") => {
            let own = jwt.embedded_key().filter(|_| server.has(Flaw::AssertionHeaderKeyTrusted));
            let key = own.as_ref().unwrap_or(key);
            let is_signed = jwt.is_signed_by(key);
            let accepted = if signature.is_empty() { empty_is_fine } else { is_signed || server.has(Flaw::AssertionSignatureUnchecked) };
            accepted.then_some(()).ok_or(WRONG)
        }
        Some("RS256") if is_due("RS256") => {
            let is_signed = registered.rsa.as_ref().is_some_and(|jwk| keys::verify_with_jwk(jwk, jwt.message(), &signature));
            is_signed.then_some(()).ok_or(WRONG)
        }
        Some(alg) if alg.eq_ignore_ascii_case("none") && empty_is_fine && signature.is_empty() => Ok(()),
        _ => Err("the client assertion must be signed with the registered algorithm"),
    }
}
