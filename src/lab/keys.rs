//! The RS256 key that signs the lab's tokens.
//!
//! It is a published test key, the same in every lab: it protects nothing.
//! The signing itself is done by ring, by way of rustls, because that is
//! many times faster than a pure Rust RSA and the lab is load-tested.

use std::io;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use rsa::pkcs1::{EncodeRsaPublicKey as _, LineEnding};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SignatureVerificationAlgorithm};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const PEM: &str = include_str!("keys/signing-key.pem");

static KEY: LazyLock<Result<SigningKey, String>> = LazyLock::new(|| SigningKey::load().map_err(|error| error.to_string()));

/// The signing key of the lab with what is derived from it.
#[derive(Debug)]
pub(super) struct SigningKey {
    key: Arc<dyn rustls::sign::SigningKey>,
    verifier: &'static dyn SignatureVerificationAlgorithm,
    public_der: Vec<u8>,
    /// The public key as it stands in the JWKS (RFC 7517).
    pub(super) jwk: Value,
    /// The private exponent, for the flaw that publishes it.
    pub(super) private_exponent: String,
    /// Its key id: the thumbprint of RFC 7638.
    pub(super) kid: String,
    /// The encodings of the public key that an algorithm-confused verifier
    /// would take for an HMAC secret.
    public_as_secret: Vec<Vec<u8>>,
}

/// The key, read once per process.
pub(super) fn signing_key() -> io::Result<&'static SigningKey> {
    KEY.as_ref().map_err(|error| io::Error::other(error.clone()))
}

impl SigningKey {
    fn load() -> Result<Self, Box<dyn std::error::Error>> {
        let private = rsa::RsaPrivateKey::from_pkcs8_pem(PEM)?;
        let private_exponent = URL_SAFE_NO_PAD.encode(rsa::traits::PrivateKeyParts::d(&private).to_bytes_be());
        let public = private.to_public_key();
        let der = PrivateKeyDer::from_pem_slice(PEM.as_bytes())?;
        let key = rustls::crypto::ring::sign::any_supported_type(&der)?;
        let verifier = rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)
            .and_then(|(_, verifiers)| verifiers.first().copied())
            .ok_or("no RS256 verifier")?;

        let n = URL_SAFE_NO_PAD.encode(public.n().to_bytes_be());
        let e = URL_SAFE_NO_PAD.encode(public.e().to_bytes_be());
        let thumbprint = Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        let kid = URL_SAFE_NO_PAD.encode(thumbprint);
        // The members are in alphabetical order, so that a copy written by
        // a serializer that sorts them is the same text.
        let jwk = json!({
            "alg": "RS256", "e": e, "kid": kid, "kty": "RSA", "n": n, "use": "sig",
        });

        let spki_pem = public.to_public_key_pem(LineEnding::LF)?;
        let pkcs1_pem = public.to_pkcs1_pem(LineEnding::LF)?;
        let public_as_secret = vec![
            spki_pem.trim_end().into(),
            pkcs1_pem.trim_end().into(),
            spki_pem.into(),
            pkcs1_pem.into(),
            public.to_public_key_der()?.into_vec(),
            public.n().to_bytes_be(),
            jwk.to_string().into(),
        ];
        Ok(Self { key, verifier, public_der: public.to_pkcs1_der()?.into_vec(), jwk, kid, public_as_secret, private_exponent })
    }

    /// The modulus of another key, which nobody has.
    pub(super) fn other_modulus(&self, bytes: usize) -> String {
        let own = self.jwk["n"].as_str().and_then(|n| URL_SAFE_NO_PAD.decode(n).ok()).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(own.iter().take(bytes).map(|byte| byte ^ 1 | 128).collect::<Vec<_>>())
    }

    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 7518 section 3.3).
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
        signer.sign(message).ok()
    }

    /// Verifies an RS256 signature.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify_signature(&self.public_der, message, signature).is_ok()
    }

    /// Whether this is an HS256 tag with the public key as the secret.
    pub(super) fn is_tagged_with_public_key(&self, message: &[u8], tag: &[u8]) -> bool {
        self.public_as_secret.iter().any(|secret| verify_hs256(secret, message, tag))
    }
}

/// Whether this is an HS256 tag with the public key of a client as the
/// secret, in one of the encodings that careless code has at hand.
pub(super) fn is_tagged_with_ec_key(key: &p256::ecdsa::VerifyingKey, message: &[u8], tag: &[u8]) -> bool {
    use p256::pkcs8::EncodePublicKey as _;
    let point = key.to_encoded_point(false);
    let text = |part: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(part.map(|part| part.to_vec()).unwrap_or_default());
    let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(point.x()), text(point.y()));
    let pem = key.to_public_key_pem(LineEnding::LF).unwrap_or_default();
    let der = key.to_public_key_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default();
    let secrets = [pem.trim_end().as_bytes().to_vec(), pem.clone().into_bytes(), der, point.as_bytes().to_vec(), jwk.into_bytes()];
    secrets.iter().any(|secret| !secret.is_empty() && verify_hs256(secret, message, tag))
}

/// Verifies an RS256 signature with a key that is written as a JWK.
pub(super) fn verify_with_jwk(jwk: &Value, message: &[u8], signature: &[u8]) -> bool {
    use rsa::signature::Verifier as _;
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok().map(|bytes| rsa::BigUint::from_bytes_be(&bytes));
    let key = number("n").zip(number("e")).and_then(|(n, e)| rsa::RsaPublicKey::new(n, e).ok());
    let Ok(signature) = rsa::pkcs1v15::Signature::try_from(signature) else { return false };
    key.is_some_and(|key| rsa::pkcs1v15::VerifyingKey::<Sha256>::new(key).verify(message, &signature).is_ok())
}

/// An HMAC with SHA-256 (RFC 7518 section 3.2).
pub(super) fn sign_hs256(secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().to_vec())
}

/// Verifies an HMAC with SHA-256 (RFC 7518 section 3.2).
pub(super) fn verify_hs256(secret: &[u8], message: &[u8], tag: &[u8]) -> bool {
    Hmac::<Sha256>::new_from_slice(secret).is_ok_and(|mut mac| {
        mac.update(message);
        mac.verify_slice(tag).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hs256_of_rfc_7515_appendix_a1() -> Result<(), base64::DecodeError> {
        let secret = URL_SAFE_NO_PAD.decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")?;
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                       eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                       cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let tag = URL_SAFE_NO_PAD.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")?;
        assert!(verify_hs256(&secret, message.as_bytes(), &tag));
        assert!(!verify_hs256(&secret, b"other", &tag));
        assert!(!verify_hs256(b"other", message.as_bytes(), &tag));
        assert!(!verify_hs256(&secret, message.as_bytes(), &[]));
        Ok(())
    }

    #[test]
    fn the_embedded_key_signs_and_verifies() -> Result<(), Box<dyn std::error::Error>> {
        let key = signing_key()?;
        let signature = key.sign(b"message").ok_or("not signed")?;
        assert_eq!(signature.len(), 256);
        assert!(key.verify(b"message", &signature));
        assert!(!key.verify(b"other", &signature));
        assert!(!key.verify(b"message", &[]));
        Ok(())
    }
}
