//! Ed25519 keys for signing reports, in the files that OpenSSL reads as well: PKCS#8 and SubjectPublicKeyInfo in PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{SigningKey, VerifyingKey};

/// A new key: the private half and the public half, each as PEM.
///
/// # Errors
/// None that a fresh key could cause.
pub fn generate() -> Result<(String, String), String> {
    let key = SigningKey::generate(&mut rand::rngs::OsRng);
    let private = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| e.to_string())?;
    let public = key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|e| e.to_string())?;
    Ok((private.to_string(), public))
}

/// Reads a private key.
///
/// # Errors
/// What is no Ed25519 key in PKCS#8 PEM; the text is not quoted.
pub fn private(pem: &str) -> Result<SigningKey, &'static str> {
    SigningKey::from_pkcs8_pem(pem).map_err(|_| "it is no Ed25519 private key in PKCS#8 PEM")
}

/// Reads a public key: PEM, or the 32 bytes in base64 as reports name it. Gives the base64.
///
/// # Errors
/// What is neither.
pub fn public(text: &str) -> Result<String, &'static str> {
    let by_pem = VerifyingKey::from_public_key_pem(text).ok();
    let plain =
        || BASE64.decode(text.trim()).ok().and_then(|b| <[u8; 32]>::try_from(b).ok()).and_then(|b| VerifyingKey::from_bytes(&b).ok());
    by_pem.or_else(plain).map(|key| BASE64.encode(key.as_bytes())).ok_or("it is no Ed25519 public key: neither PEM nor 32 bytes in base64")
}
