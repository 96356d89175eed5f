//! Keys: the client's own for assertions, request objects and DPoP proofs, and the server's published ones in every encoding in which careless code has
//! fed them to an HMAC.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto_primes::hazmat::Sieve;
use crypto_primes::is_prime_with_rng;
use num_bigint_dig::ModInverse as _;
use p256::elliptic_curve::bigint::{Encoding as _, Random as _, U256};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::DecodePrivateKey as _;
use p256::pkcs8::EncodePrivateKey as _;
use p256::pkcs8::EncodePublicKey as _;
use ring::rand::SystemRandom;
use ring::signature;
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::pkcs8::LineEnding;
use rsa::traits::PublicKeyParts as _;
use serde_json::Value;

/// A key of a client that signs assertions, request objects and proofs.
#[derive(Clone)]
pub enum SigningKey {
    /// The client secret (OpenID Connect Core §10.1).
    Hs256(Vec<u8>),
    Es256(Arc<EcKey>),
    Rs256(Arc<rsa::RsaPrivateKey>),
}

/// A P-256 key as it is written down, and as the library holds it that signs in a tenth of the other one's time.
pub struct EcKey {
    secret: p256::SecretKey,
    point: p256::EncodedPoint,
    pair: signature::EcdsaKeyPair,
}

impl EcKey {
    fn new(secret: p256::SecretKey) -> Result<EcKey, String> {
        let point = secret.public_key().to_encoded_point(false);
        signature::EcdsaKeyPair::from_private_key_and_public_key(
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &secret.to_bytes(),
            point.as_bytes(),
            &SystemRandom::new(),
        )
        .map(|pair| EcKey { secret, point, pair })
        .map_err(|e| format!("the P-256 key cannot be used: {e}"))
    }
}

/// A fresh P-256 key for client assertions (RFC 7518 §3.4): the private half as PKCS#8 PEM, the public half as a JWK.
///
/// # Errors
/// The key cannot be written down.
pub fn new_client_key() -> Result<(String, Value), String> {
    let SigningKey::Es256(key) = SigningKey::p256() else { return Err("a P-256 key is of another type".into()) };
    let pem = key.secret.to_pkcs8_pem(LineEnding::LF).map_err(|e| format!("the key cannot be written as PEM: {e}"))?;
    let public = SigningKey::Es256(key).public_jwk()?;
    Ok((pem.to_string(), public))
}

impl SigningKey {
    /// A fresh P-256 key; no coordinate of its public half begins with a zero byte, for the reason that [`sign`](Self::sign) has.
    pub fn p256() -> SigningKey {
        loop {
            let secret = p256::SecretKey::random(&mut rand::rngs::OsRng);
            let Ok(key) = EcKey::new(secret) else { continue };
            if [key.point.x(), key.point.y()].iter().all(|number| number.is_some_and(|number| number[0] != 0)) {
                return SigningKey::Es256(Arc::new(key));
            }
        }
    }

    /// A fresh RSA key of so many bits, of as many primes as it takes. For 2048 bits these are eight (RFC 8017 §3.2), which nobody can tell from two by
    /// the public half, and which are found in a small part of the processor time.
    ///
    /// # Errors
    /// The size is too small for two primes, or no key could be made.
    pub fn rsa(bits: usize) -> Result<SigningKey, String> {
        let refused = || format!("no RSA key of {bits} bits could be made");
        if bits < MOST_PRIME_BITS {
            return Err(refused());
        }
        let (one, e) = (rsa::BigUint::from(1_u8), rsa::BigUint::from(65_537_u32));
        let count = bits.div_ceil(MOST_PRIME_BITS).max(2);
        for _ in 0..MOST_DRAWN {
            // Sizes that make up the whole.
            let sizes = (0..count).map(|at| bits * (at + 1) / count - bits * at / count);
            let primes: Vec<rsa::BigUint> = sizes.map(prime).collect::<Option<_>>().ok_or_else(refused)?;
            let n: rsa::BigUint = primes.iter().product();
            let totient: rsa::BigUint = primes.iter().map(|prime| prime - &one).product();
            // Drawn anew where the product comes out short, one fits no exponent or stands twice.
            if let Some(d) = e.clone().mod_inverse(totient).and_then(|d| d.to_biguint())
                && n.bits() == bits
                && let Ok(key) = rsa::RsaPrivateKey::from_components(n, e.clone(), d, primes)
            {
                return Ok(SigningKey::Rs256(Arc::new(key)));
            }
        }
        Err(refused())
    }

    /// Reads PKCS#8 PEM or a private JWK (RFC 7517); P-256 and RSA.
    ///
    /// # Errors
    /// What the text is not.
    pub fn read(text: &str) -> Result<SigningKey, String> {
        if text.trim_start().starts_with('{') {
            return Self::from_jwk(text);
        }
        if let Ok(secret) = p256::SecretKey::from_pkcs8_pem(text) {
            return Ok(SigningKey::Es256(Arc::new(EcKey::new(secret)?)));
        }
        rsa::RsaPrivateKey::from_pkcs8_pem(text)
            .map(|key| SigningKey::Rs256(Arc::new(key)))
            .map_err(|_| "the key is neither a P-256 nor an RSA private key in PKCS#8 PEM, and no JWK".into())
    }

    fn from_jwk(text: &str) -> Result<SigningKey, String> {
        let jwk: Value = serde_json::from_str(text).map_err(|e| format!("the key is no JSON: {e}"))?;
        let number = |name: &str| -> Result<Vec<u8>, String> {
            let text = jwk.get(name).and_then(Value::as_str).ok_or_else(|| format!("the JWK has no member `{name}`"))?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("the JWK's member `{name}` is no base64url"))
        };
        match jwk.get("kty").and_then(Value::as_str) {
            Some("EC") => {
                let secret = p256::SecretKey::from_slice(&number("d")?).map_err(|_| "the JWK's `d` is no P-256 private key")?;
                Ok(SigningKey::Es256(Arc::new(EcKey::new(secret)?)))
            }
            Some("RSA") => {
                let big = |name: &str| number(name).map(|bytes| rsa::BigUint::from_bytes_be(&bytes));
                rsa::RsaPrivateKey::from_components(big("n")?, big("e")?, big("d")?, vec![big("p")?, big("q")?])
                    .map(|key| SigningKey::Rs256(Arc::new(key)))
                    .map_err(|e| format!("the JWK is no RSA private key: {e}"))
            }
            other => Err(format!("keys of type {} are not supported; use EC P-256 or RSA", other.unwrap_or("(none)"))),
        }
    }

    /// A fresh key of the same type, and no smaller.
    ///
    /// # Errors
    /// No RSA key could be made.
    pub fn fresh(&self) -> Result<SigningKey, String> {
        match self {
            SigningKey::Hs256(secret) => Ok(SigningKey::Hs256(super::eval::random(secret.len().max(32)).into_bytes())),
            SigningKey::Es256(_) => Ok(SigningKey::p256()),
            SigningKey::Rs256(key) => SigningKey::rsa(key.size() * 8),
        }
    }

    /// The JWS name of its algorithm (RFC 7518 §3.1).
    pub fn alg(&self) -> &'static str {
        match self {
            SigningKey::Hs256(_) => "HS256",
            SigningKey::Es256(_) => "ES256",
            SigningKey::Rs256(_) => "RS256",
        }
    }

    /// The signature over a signing input, as JWS wants it.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            SigningKey::Hs256(secret) => super::forge::hmac("HS256", secret, input),
            SigningKey::Es256(key) => {
                // A number that begins with a zero byte is written shorter in DER, and verifiers have been wrong about that. A bent token that was
                // refused for it would be taken for a defense, so there is no such signature.
                loop {
                    let signature = key.pair.sign(&SystemRandom::new(), input).map_err(|e| format!("the P-256 key cannot sign: {e}"))?;
                    let bytes = signature.as_ref();
                    if bytes.len() == 64 && bytes[0] != 0 && bytes[32] != 0 {
                        return Ok(bytes.to_vec());
                    }
                }
            }
            SigningKey::Rs256(key) => {
                use rsa::signature::{SignatureEncoding as _, Signer as _};
                let signer = rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new((**key).clone());
                Ok(signer.try_sign(input).map_err(|e| e.to_string())?.to_vec())
            }
        }
    }
}

impl SigningKey {
    /// The public half as a JWK (RFC 7517).
    ///
    /// # Errors
    /// The key has no such form.
    pub fn public_jwk(&self) -> Result<Value, String> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            SigningKey::Hs256(_) => Err("a secret has no public half".into()),
            SigningKey::Es256(key) => {
                let (Some(x), Some(y)) = (key.point.x(), key.point.y()) else { return Err("the key is no point of P-256".into()) };
                Ok(serde_json::json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) }))
            }
            SigningKey::Rs256(key) => {
                Ok(serde_json::json!({ "kty": "RSA", "n": encode(&key.n().to_bytes_be()), "e": encode(&key.e().to_bytes_be()) }))
            }
        }
    }
}

/// How large the primes of fresh RSA keys may be. To find factors of this size takes years of many machines, and the key is done with when the run ends.
const MOST_PRIME_BITS: usize = 256;

/// How often the primes of one key are drawn before it is given up.
const MOST_DRAWN: usize = 20;

/// A random prime of so many bits, of which the five highest are set, so that the product of up to twenty has as many bits as they have together.
fn prime(bits: usize) -> Option<rsa::BigUint> {
    let rng = &mut rand::rngs::OsRng;
    let start = (U256::random(rng) >> (U256::BITS - bits)) | U256::from_u8(0b1_1111).shl_vartime(bits - 5);
    Sieve::new(&start, bits, false)
        .find(|candidate| is_prime_with_rng(rng, candidate))
        .map(|prime| rsa::BigUint::from_bytes_be(&prime.to_be_bytes()))
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.alg())
    }
}

/// Whether a genuine token was signed with a published key: the honest side, with an honest library.
pub fn verifies(token: &str, alg: &str, jwk: &Value) -> bool {
    verified(token, alg, jwk).unwrap_or(false)
}

/// The same; None for an algorithm or a key that the library does not know.
pub fn verified(token: &str, alg: &str, jwk: &Value) -> Option<bool> {
    if let Some(verified) = verified_rsa(token, alg, jwk) {
        return Some(verified);
    }
    let algorithm = alg.parse::<jsonwebtoken::Algorithm>().ok()?;
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).ok()?;
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).ok()?;
    let (input, signature) = token.rsplit_once('.')?;
    Some(jsonwebtoken::crypto::verify(signature, input.as_bytes(), &key, algorithm).unwrap_or(false))
}

/// RSA by the library that TLS brings along, which needs a tenth of the time: every ID token is verified. None for what it does not know, which is keys
/// shorter than 2048 bits too.
fn verified_rsa(token: &str, alg: &str, jwk: &Value) -> Option<bool> {
    let how = match alg {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    };
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    let (n, e) = (number("n")?, number("e")?);
    // Some servers write the sign that ASN.1 wants.
    let without_sign = |number: &'_ [u8]| number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let (n, e) = (&n[without_sign(&n)..], &e[without_sign(&e)..]);
    if !(256..=1024).contains(&n.len()) {
        return None;
    }
    let (input, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    Some(signature::RsaPublicKeyComponents { n, e }.verify(how, input.as_bytes(), &signature).is_ok())
}

/// The encodings of a public key that have been taken for an HMAC secret in the field.
pub const ENCODINGS: &[&str] = &["spki-pem", "spki-pem-trimmed", "pkcs1-pem", "pkcs1-pem-trimmed", "spki-der", "modulus", "jwk-json"];

/// A public JWK in one of [`ENCODINGS`]; None where the key has no such form.
pub fn encode_public(jwk: &Value, encoding: &str) -> Option<Vec<u8>> {
    if encoding == "jwk-json" {
        return serde_json::to_vec(jwk).ok();
    }
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    let pem = |text: String| {
        if encoding.ends_with("-trimmed") { text.trim_end().to_owned() } else { text }
    };
    match jwk.get("kty")?.as_str()? {
        "RSA" => {
            let big = |name: &str| number(name).map(|bytes| rsa::BigUint::from_bytes_be(&bytes));
            let key = rsa::RsaPublicKey::new(big("n")?, big("e")?).ok()?;
            match encoding {
                "spki-pem" | "spki-pem-trimmed" => Some(pem(key.to_public_key_pem(LineEnding::LF).ok()?).into_bytes()),
                "pkcs1-pem" | "pkcs1-pem-trimmed" => Some(pem(key.to_pkcs1_pem(LineEnding::LF).ok()?).into_bytes()),
                "spki-der" => Some(key.to_public_key_der().ok()?.as_bytes().to_vec()),
                "modulus" => number("n"),
                _ => None,
            }
        }
        // RFC 8410 §4: the algorithm identifier of Ed25519 is the same for every key.
        "OKP" if jwk.get("crv").and_then(Value::as_str) == Some("Ed25519") => {
            let der: Vec<u8> =
                [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00].into_iter().chain(number("x")?).collect();
            match encoding {
                "spki-pem" | "spki-pem-trimmed" => {
                    let body = base64::engine::general_purpose::STANDARD.encode(&der);
                    Some(pem(format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")).into_bytes())
                }
                "spki-der" => Some(der),
                "modulus" => number("x"),
                _ => None,
            }
        }
        "EC" if jwk.get("crv").and_then(Value::as_str) == Some("P-256") => {
            let mut point = vec![4];
            point.extend(number("x")?);
            point.extend(number("y")?);
            let key = p256::PublicKey::from_sec1_bytes(&point).ok()?;
            match encoding {
                "spki-pem" | "spki-pem-trimmed" => Some(pem(key.to_public_key_pem(LineEnding::LF).ok()?).into_bytes()),
                "spki-der" => Some(key.to_public_key_der().ok()?.as_bytes().to_vec()),
                "modulus" => Some(point),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rsa::traits::PrivateKeyParts as _;

    use super::*;

    #[test]
    fn a_fresh_rsa_key_has_the_size_that_was_asked_for() {
        for (bits, primes) in [(1024, 4), (2048, 8), (3072, 12)] {
            let SigningKey::Rs256(key) = SigningKey::rsa(bits).expect("a key") else { panic!("a key of another type") };
            assert_eq!((key.n().bits(), key.primes().len()), (bits, primes));
            assert!(key.primes().iter().all(|prime| prime.bits().abs_diff(bits / primes) <= 1));
        }
        assert!(SigningKey::rsa(100).unwrap_err().contains("100"));
        let odd = SigningKey::Rs256(Arc::new(rsa::RsaPrivateKey::new(&mut rand::rngs::OsRng, 1161).expect("a key")));
        assert!(matches!(odd.fresh(), Ok(SigningKey::Rs256(key)) if key.n().bits() == 1168), "not smaller");
    }

    #[test]
    fn no_number_of_a_signature_begins_with_a_zero_byte() {
        let key = SigningKey::p256();
        for number in 0_u32..1000 {
            let signature = key.sign(&number.to_be_bytes()).expect("a signature");
            assert!(signature.len() == 64 && signature[0] != 0 && signature[32] != 0, "{signature:?}");
        }
    }

    #[test]
    fn a_signature_verifies_with_its_key_alone() {
        let key = super::super::attacker::key("RS256").expect("a key");
        let token =
            super::super::forge::jws(&serde_json::json!({"alg": "RS256"}), &serde_json::json!({"sub": "x"}), Some(key)).expect("a token");
        let jwk = key.public_jwk().expect("a key");
        assert_eq!(verified(&token, "RS256", &jwk), Some(true));
        let mut padded = jwk.clone();
        padded["n"] = Value::String(
            URL_SAFE_NO_PAD.encode([&[0], URL_SAFE_NO_PAD.decode(jwk["n"].as_str().expect("n")).expect("base64").as_slice()].concat()),
        );
        assert_eq!(verified(&token, "RS256", &padded), Some(true));
        for (alg, bent) in [
            ("RS256", token.replacen("eyJ", "eyK", 1)),
            ("PS256", token.clone()),
            ("RS512", token.clone()),
            ("RS256", format!("{token}AA")),
        ] {
            assert_eq!(verified(&bent, alg, &jwk), Some(false), "{alg} {bent}");
        }
        assert_eq!(verified(&token, "RS256", &serde_json::json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"})), Some(false));
    }
}
