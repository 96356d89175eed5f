//! Compact JSON Web Signatures (RFC 7515 section 7.1), taken apart without
//! deciding whether to believe them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Map, Value, json};

use super::keys::SigningKey;
use super::server::Server;

/// A token in its three parts; nothing is verified.
pub(super) struct Compact<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signing_input: &'a str,
    signature: &'a str,
}

impl<'a> Compact<'a> {
    /// Takes a token apart; `None` when it is not a JWT at all.
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let (signing_input, signature) = token.rsplit_once('.')?;
        let (header, claims) = signing_input.split_once('.')?;
        Some(Self { header: object(header)?, claims: object(claims)?, signing_input, signature })
    }

    /// A header parameter that is a string.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// The key in the header, which nobody but the flaws trusts.
    pub(super) fn jwk(&self) -> Option<&Value> {
        self.header.get("jwk")
    }

    /// The same as a key of P-256.
    pub(super) fn embedded_key(&self) -> Option<p256::ecdsa::VerifyingKey> {
        ec_key(self.jwk()?)
    }

    /// A header parameter that is an object.
    pub(super) fn header_object(&self, name: &str) -> Option<&Value> {
        self.header.get(name).filter(|value| value.is_object())
    }

    /// Whether the header has this parameter, whatever its value.
    pub(super) fn has_header(&self, name: &str) -> bool {
        self.header.contains_key(name)
    }

    /// A claim that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim, whatever its type.
    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// All claims that are strings.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.claims.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// The thumbprint of the key (`jkt`, RFC 9449 section 6.1) or of the certificate (`x5t#S256`, RFC 8705 section 3.1) that the token is
    /// bound to.
    pub(super) fn confirmation(&self, method: &str) -> Option<&str> {
        self.claims.get("cnf")?.get(method)?.as_str()
    }

    /// A claim that is a point in time (RFC 7519 section 2: `NumericDate`),
    /// in whole seconds.
    pub(super) fn time(&self, name: &str) -> Option<i64> {
        let value = self.claims.get(name)?;
        // The conversion saturates, which is what a comparison needs.
        value.as_i64().or_else(|| value.as_f64().map(|f| f as i64))
    }

    /// Whether the claims have this one, whatever its value.
    pub(super) fn has_claim(&self, name: &str) -> bool {
        self.claims.contains_key(name)
    }

    /// Whether `aud` is, or contains, one of these values (RFC 7519 section
    /// 4.1.3).
    pub(super) fn is_for(&self, audiences: &[&str]) -> bool {
        let is_one = |value: &Value| value.as_str().is_some_and(|aud| audiences.contains(&aud));
        match self.claims.get("aud") {
            Some(Value::Array(values)) => values.iter().any(is_one),
            Some(value) => is_one(value),
            None => false,
        }
    }

    /// What the signature is over.
    pub(super) fn message(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// Whether this key signed it with ES256 (RFC 7518 section 3.4), whatever the header says of the algorithm.
    pub(super) fn is_signed_by(&self, key: &p256::ecdsa::VerifyingKey) -> bool {
        let point = key.to_encoded_point(false);
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.as_bytes());
        self.signature().is_some_and(|signature| key.verify(self.message(), &signature).is_ok())
    }

    /// The signature; `None` when it is not base64url.
    pub(super) fn signature(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.signature).ok()
    }
}

/// A JWK as a key of P-256 (RFC 7518 section 6.2).
pub(super) fn ec_key(jwk: &Value) -> Option<p256::ecdsa::VerifyingKey> {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    let point: Vec<u8> = std::iter::once(4).chain(number("x")?).chain(number("y")?).collect();
    p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Claims with a header that says none, and no signature.
pub(super) fn unsigned(typ: &str, claims: &Value) -> String {
    let header = json!({ "alg": "none", "typ": typ });
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Signs claims with RS256.
pub(super) fn sign(key: &SigningKey, typ: &str, claims: &Value) -> Option<String> {
    signed(&json!({ "alg": "RS256", "kid": key.kid, "typ": typ }), claims, |message| key.sign(message))
}

/// Signs claims with HS256, by the secret of the second API.
pub(super) fn sign_for_second(server: &Server, typ: &str, claims: &Value) -> Option<String> {
    signed(&json!({ "alg": "HS256", "typ": typ }), claims, |message| server.second.sign(server, message))
}

fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<String> {
    let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_apart_only_what_is_a_jwt() {
        for text in ["", ".", "..", "a.b.c", "e30.e30", "e30.W10.", "e30.e30.e30.x", "e30=.e30.", "\u{e4}.e30."] {
            assert!(Compact::parse(text).is_none(), "{text:?}");
        }
        assert!(Compact::parse("e30.e30.").is_some_and(|jwt| jwt.signature() == Some(vec![])));
        assert!(Compact::parse("e30.e30.!").is_some_and(|jwt| jwt.signature().is_none()));
    }

    #[test]
    fn claims_of_odd_types_are_absent_or_saturated() {
        let claims = json!({"exp": 1e300, "iat": "now", "aud": ["a", 1], "sub": 1});
        let token = format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let jwt = Compact::parse(&token);
        assert!(jwt.is_some_and(|jwt| {
            jwt.time("exp") == Some(i64::MAX)
                && jwt.time("iat").is_none()
                && jwt.text("sub").is_none()
                && jwt.is_for(&["x", "a"])
                && !jwt.is_for(&["1"])
        }));
    }
}
