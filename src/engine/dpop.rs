//! DPoP proofs (RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::bend::Bend;
use super::eval::Missing;
use super::http::Response;
use super::keys::SigningKey;
use super::{RunningTrial, answer, clock, eval};

/// The header of a proof.
pub const HEADER: &str = "dpop";

/// A proof for one request (§4.2); `token` is the access token that the request shows.
///
/// # Errors
/// The key cannot sign.
/// There is no such proof as the bend asks for.
pub fn proof(key: &SigningKey, method: &str, url: &str, nonce: Option<&str>, token: Option<&str>, bend: &Bend) -> Result<String, Missing> {
    let header = json!({ "typ": "dpop+jwt", "alg": key.alg(), "jwk": key.public_jwk().map_err(Missing::Never)? });
    // Without query and fragment (§4.2).
    let htu = url.split(['?', '#']).next().unwrap_or(url);
    let mut claims = json!({ "jti": eval::random(22), "htm": method, "htu": htu, "iat": clock::issued_at() });
    if let Some(nonce) = nonce {
        claims["nonce"] = Value::String(nonce.to_owned());
    }
    if let Some(token) = token {
        claims["ath"] = Value::String(eval::s256(token));
    }
    bend.jws(&header, &claims, key)
}

impl RunningTrial<'_> {
    /// What claims of a token, or an introspection response, say of its key (`cnf`, §6): `own` is that of this run's proofs.
    pub fn binding(&self, members: &serde_json::Map<String, Value>) -> &'static str {
        match members.get("cnf").and_then(|cnf| cnf.get("jkt")).and_then(Value::as_str) {
            Some(jkt) if thumbprint(&self.engine.dpop_key).as_deref() == Ok(jkt) => "own",
            Some(_) => "other",
            None => "none",
        }
    }
}

/// Whether a token of this type is bound to the key of a proof (RFC 9449 §5).
pub fn binds(token_type: &str) -> bool {
    token_type.eq_ignore_ascii_case("DPoP")
}

/// The JWK thumbprint that `dpop_jkt` announces (§10, RFC 7638).
///
/// # Errors
/// The key has no public half.
pub fn thumbprint(key: &SigningKey) -> Result<String, String> {
    Ok(thumbprint_of(&key.public_jwk()?))
}

fn thumbprint_of(jwk: &Value) -> String {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    // The required members in the order of the alphabet, without spaces (RFC 7638 §3.2, §3.3).
    let names: &[&str] = if member("kty") == "EC" { &["crv", "kty", "x", "y"] } else { &["e", "kty", "n"] };
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":\"{}\"", member(name))).collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(","))))
}

/// The nonce that an answer hands out (§8.2).
pub fn nonce_of(response: &Response) -> Option<&str> {
    response.header("dpop-nonce").filter(|nonce| !nonce.is_empty())
}

/// Whether the answer refuses the proof for want of a nonce (§8, §9).
pub fn wants_nonce(response: &Response) -> bool {
    let named = || answer::member(response, "error").or_else(|| answer::challenge_error(response));
    nonce_of(response).is_some() && (400..500).contains(&response.status) && named().as_deref() == Some("use_dpop_nonce")
}

#[cfg(test)]
mod tests {
    use super::super::forge;
    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_7638_section_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" });
        assert_eq!(thumbprint_of(&jwk), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_proof_verifies_with_the_key_in_its_header() {
        let key = SigningKey::p256();
        let proof = proof(&key, "POST", "https://as.example/token?x=1#y", Some("n-1"), Some("token"), &Bend::default()).expect("a proof");
        let parts = forge::split(&proof).expect("a JWS");
        let (header, claims) = (forge::object(parts.header).expect("a header"), forge::object(parts.payload).expect("claims"));
        assert!(super::super::keys::verifies(&proof, "ES256", &header["jwk"]));
        assert!(header["jwk"].get("d").is_none(), "the private half stays here");
        assert_eq!((header["typ"].as_str(), claims["htm"].as_str()), (Some("dpop+jwt"), Some("POST")));
        assert_eq!((claims["htu"].as_str(), claims["nonce"].as_str()), (Some("https://as.example/token"), Some("n-1")));
        assert_eq!(claims["ath"].as_str(), Some(eval::s256("token").as_str()));
    }
}
