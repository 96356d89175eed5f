//! JSON Web Tokens byte by byte: what no honest library makes. Only for forging; honest tokens are made elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::{Sha256, Sha384, Sha512};

use crate::model::value::Signature;

use super::keys::SigningKey;

/// The parts of a compact JWS (RFC 7515 §3.1), still encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    pub header: &'a str,
    pub payload: &'a str,
    pub signature: &'a str,
}

/// Takes a compact JWS apart; None for what is none.
pub fn split(token: &str) -> Option<Parts<'_>> {
    read(token).map(|(_, parts)| parts)
}

/// The same, with the header as it was read to know that it is one.
pub fn read(token: &str) -> Option<(Map<String, Value>, Parts<'_>)> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some((object(header)?, Parts { header, payload, signature }))
}

/// Whether a token may say by itself what it is good for, so that an API need ask nobody: a JWT, signed or encrypted (RFC 9068, RFC 7516 §3.1).
pub fn is_self_contained(token: &str) -> bool {
    let is_encrypted = || token.split('.').count() == 5 && token.split('.').next().and_then(object).is_some();
    split(token).is_some() || is_encrypted()
}

/// Bytes as a part of a JWS.
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a part of a JWS; none where it is no base64url.
pub fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap_or_default()
}

/// A base64url part as a JSON object.
pub fn object(part: &str) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// What a forged signature is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The bytes of an HMAC secret.
    Hmac(Vec<u8>),
    /// A key pair that the attacker made himself.
    Attacker,
}

/// What a forgery changes; what is not named stays byte for byte.
#[derive(Debug, Clone, Default)]
pub struct Bend<'a> {
    pub alg: Option<&'a str>,
    pub key: Option<&'a Key>,
    pub header: &'a [(String, String)],
    pub claims: &'a [(String, String)],
    pub signature: Signature,
}

/// Makes the forged token.
///
/// # Errors
/// The token is no JWS, or `alg` is not one that can be signed here with the key given.
pub fn forge(token: &str, bend: &Bend) -> Result<String, String> {
    let parts = split(token).ok_or("the token is no JWT")?;
    let mut members: Vec<(String, Value)> = bend.header.iter().map(|(n, v)| (n.clone(), json(v))).collect();
    if let Some(alg) = bend.alg {
        members.push(("alg".into(), Value::String(alg.to_owned())));
    }
    let header = with_members(parts.header, &members)?;
    let claims: Vec<(String, Value)> = bend.claims.iter().map(|(n, v)| (n.clone(), json(v))).collect();
    let payload = with_members(parts.payload, &claims)?;
    let input = format!("{header}.{payload}");
    let signature = match bend.signature {
        Signature::Kept => parts.signature.to_owned(),
        Signature::Empty => String::new(),
        Signature::Missing => return Ok(input),
        Signature::Byte => URL_SAFE_NO_PAD.encode([1]),
        Signature::Zeros => {
            let genuine = URL_SAFE_NO_PAD.decode(parts.signature).map_err(|_| "the signature is no base64url")?;
            URL_SAFE_NO_PAD.encode(vec![0; genuine.len()])
        }
        Signature::Flipped => flip_first(parts.signature),
        Signature::Fresh => {
            let alg = bend.alg.ok_or("a fresh signature needs an alg")?;
            let key = bend.key.ok_or("a fresh signature needs a key")?;
            URL_SAFE_NO_PAD.encode(sign(alg, key, input.as_bytes())?)
        }
    };
    Ok(format!("{input}.{signature}"))
}

/// A signature over some bytes.
///
/// # Errors
/// The key cannot sign with this algorithm.
pub fn sign(alg: &str, key: &Key, input: &[u8]) -> Result<Vec<u8>, String> {
    match key {
        Key::Hmac(secret) => hmac(alg, secret, input),
        Key::Attacker => super::attacker::key(alg)?.sign(input),
    }
}

/// A claim or header member as JSON: a number or truth value as such, the rest as text.
pub fn json(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Object(_) | Value::Array(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

fn with_members(part: &str, members: &[(String, Value)]) -> Result<String, String> {
    if members.is_empty() {
        return Ok(part.to_owned());
    }
    let mut object = object(part).ok_or("the token has a part that is no JSON object")?;
    for (name, value) in members {
        object.insert(name.clone(), value.clone());
    }
    serde_json::to_vec(&object).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|e| e.to_string())
}

/// The MAC of RFC 7518 §3.2.
///
/// # Errors
/// An `alg` that is no HMAC.
pub fn hmac(alg: &str, key: &[u8], input: &[u8]) -> Result<Vec<u8>, String> {
    fn tag<M: Mac + hmac::digest::KeyInit>(key: &[u8], input: &[u8]) -> Result<Vec<u8>, String> {
        let mut mac = <M as Mac>::new_from_slice(key).map_err(|e| e.to_string())?;
        mac.update(input);
        Ok(mac.finalize().into_bytes().to_vec())
    }
    match alg {
        "HS256" => tag::<Hmac<Sha256>>(key, input),
        "HS384" => tag::<Hmac<Sha384>>(key, input),
        "HS512" => tag::<Hmac<Sha512>>(key, input),
        other => Err(format!("forged signatures are made with HS256, HS384 and HS512, not with {other}")),
    }
}

/// Whether a JWS has the HMAC that this key makes; false where its alg is no HMAC.
pub fn is_keyed_with(token: &str, alg: &str, key: &[u8]) -> bool {
    let parts = token.rsplit_once('.').zip(split(token));
    parts.is_some_and(|((input, _), parts)| hmac(alg, key, input.as_bytes()).is_ok_and(|made| made == decoded(parts.signature)))
}

/// The text with another first character of the base64url alphabet.
pub fn flip_first(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}", unlike(first), characters.as_str()),
        None => String::new(),
    }
}

/// A character that is another one also where case does not count.
fn unlike(character: char) -> char {
    if character.eq_ignore_ascii_case(&'A') { 'B' } else { 'A' }
}

/// The text with another last character.
pub fn flip_last(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next_back() {
        Some(last) => format!("{}{}", characters.as_str(), unlike(last)),
        None => String::new(),
    }
}

/// A signed or deliberately unsigned compact JWS: client assertions (RFC 7523 §3), request objects, DPoP proofs.
///
/// # Errors
/// The key cannot sign.
pub fn jws(header: &Value, claims: &Value, key: Option<&SigningKey>) -> Result<String, String> {
    let input = input(header, claims)?;
    let signature = match key {
        Some(key) => URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes())?),
        None => String::new(),
    };
    Ok(format!("{input}.{signature}"))
}

fn input(header: &Value, claims: &Value) -> Result<String, String> {
    let encode = |value: &Value| serde_json::to_vec(value).map(|b| URL_SAFE_NO_PAD.encode(b)).map_err(|e| e.to_string());
    Ok(format!("{}.{}", encode(header)?, encode(claims)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.1.
    const RFC7515_A1: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn tokens_that_an_api_may_know_by_itself() {
        let header = encoded(br#"{"alg":"RSA-OAEP"}"#);
        for (token, expected) in
            [(format!("{header}.e30.x"), true), (format!("{header}.a.b.c.d"), true), (format!("{header}.a.b.c"), false)]
        {
            assert_eq!(is_self_contained(&token), expected, "{token}");
        }
        assert!(!is_self_contained("2YotnFZFEjr1zCsicMWpAA") && !is_self_contained("a.b.c.d.e"));
    }

    #[test]
    fn the_mac_of_rfc_7515_appendix_a_1() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .expect("the key of the vector");
        let parts = split(RFC7515_A1).expect("three parts");
        let input = format!("{}.{}", parts.header, parts.payload);
        assert_eq!(URL_SAFE_NO_PAD.encode(hmac("HS256", &key, input.as_bytes()).expect("a tag")), parts.signature);
    }

    #[test]
    fn what_is_not_named_stays_byte_for_byte() {
        let bend = Bend { signature: Signature::Flipped, ..Bend::default() };
        let forged = forge(RFC7515_A1, &bend).expect("a token");
        assert_eq!(forged[..forged.len() - 43], RFC7515_A1[..RFC7515_A1.len() - 43]);
        assert_ne!(forged, RFC7515_A1);

        let claims = [("sub".to_owned(), "mallory".to_owned()), ("exp".to_owned(), "2000000000".to_owned())];
        let bend = Bend { claims: &claims, signature: Signature::Kept, ..Bend::default() };
        let forged = forge(RFC7515_A1, &bend).expect("a token");
        let (new, old) = (split(&forged).expect("parts"), split(RFC7515_A1).expect("parts"));
        assert_eq!((new.header, new.signature), (old.header, old.signature));
        let payload = object(new.payload).expect("an object");
        assert_eq!(
            (payload["sub"].as_str(), payload["exp"].as_u64(), payload["iss"].as_str()),
            (Some("mallory"), Some(2_000_000_000), Some("joe"))
        );
    }

    #[test]
    fn an_embedded_key_verifies_what_it_signed() {
        for alg in ["ES256", "RS256"] {
            let jwk = super::super::attacker::key(alg).and_then(|key| key.public_jwk()).expect("a key");
            let header = [("jwk".to_owned(), jwk.to_string())];
            let bend = Bend { alg: Some(alg), key: Some(&Key::Attacker), header: &header, ..Bend::default() };
            let forged = forge(RFC7515_A1, &bend).expect("a token");
            assert_eq!(object(split(&forged).expect("parts").header).expect("an object")["jwk"], jwk);
            assert!(super::super::keys::verifies(&forged, alg, &jwk), "{alg}");
            assert!(!super::super::keys::verifies(RFC7515_A1, alg, &jwk), "{alg}");
        }
    }

    #[test]
    fn any_spelling_of_none() {
        let bend = Bend { alg: Some("nOnE"), signature: Signature::Empty, ..Bend::default() };
        let forged = forge(RFC7515_A1, &bend).expect("a token");
        assert!(forged.ends_with('.'));
        assert_eq!(object(split(&forged).expect("parts").header).expect("an object")["alg"], "nOnE");
    }

    #[test]
    fn flips_keep_the_length() {
        for text in ["A", "abc", "secretA"] {
            assert_eq!(flip_first(text).len(), text.len());
            assert_ne!(flip_first(text), text);
            assert_eq!(flip_last(text).len(), text.len());
            assert_ne!(flip_last(text), text);
            assert!(!flip_first(text).eq_ignore_ascii_case(text) && !flip_last(text).eq_ignore_ascii_case(text));
        }
    }
}
