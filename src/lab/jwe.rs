//! Encrypted request objects (JWE, RFC 7516): RSA-OAEP-256 and A256GCM, in the compact form.
//!
//! The key is a published test key, the same in every lab, like the one that signs.

use std::io;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{Oaep, RsaPrivateKey};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// How the key of the content is encrypted (RFC 7518 section 4.3).
pub(super) const ALG: &str = "RSA-OAEP-256";
/// How the content is (RFC 7518 section 5.3).
pub(super) const ENC: &str = "A256GCM";

const PEM: &str = include_str!("keys/encryption-key.pem");

static KEY: LazyLock<Result<EncryptionKey, String>> = LazyLock::new(|| EncryptionKey::load().map_err(|error| error.to_string()));

/// The key that is encrypted to.
#[derive(Debug)]
pub(super) struct EncryptionKey {
    private: RsaPrivateKey,
    /// Its public half as it stands in the JWKS (RFC 7517).
    pub(super) jwk: Value,
    kid: String,
}

/// The key, read once per process.
///
/// # Errors
/// The file is no key.
pub(super) fn encryption_key() -> io::Result<&'static EncryptionKey> {
    KEY.as_ref().map_err(|error| io::Error::other(error.clone()))
}

impl EncryptionKey {
    fn load() -> rsa::pkcs8::Result<Self> {
        let private = RsaPrivateKey::from_pkcs8_pem(PEM)?;
        let n = URL_SAFE_NO_PAD.encode(private.n().to_bytes_be());
        let e = URL_SAFE_NO_PAD.encode(private.e().to_bytes_be());
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)));
        let jwk = json!({ "alg": ALG, "e": e, "kid": kid, "kty": "RSA", "n": n, "use": "enc" });
        Ok(Self { private, jwk, kid })
    }

    /// What a JWE says; `None` where it is none for this key, whatever is wrong with it (RFC 7516 section 5.2, and 11.5: an attacker is not
    /// told what).
    pub(super) fn decrypt(&self, token: &str) -> Option<String> {
        let parts: Vec<&str> = token.split('.').collect();
        let [protected, encrypted_key, iv, content, tag] = parts.as_slice() else { return None };
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Map<String, Value> = serde_json::from_slice(&bytes(protected)?).ok()?;
        let says = |name: &str| header.get(name).and_then(Value::as_str);
        // Nothing is understood that must be (crit, section 4.1.13), nor unpacked (zip, section 4.1.3).
        let is_known = says("alg") == Some(ALG) && says("enc") == Some(ENC) && !header.contains_key("crit") && !header.contains_key("zip");
        if !is_known || header.contains_key("kid") && says("kid") != Some(&self.kid) {
            return None;
        }
        let padding = Oaep::new::<Sha256>();
        let key = self.private.decrypt_blinded(&mut rand::rngs::OsRng, padding, &bytes(encrypted_key)?).ok()?;
        let opener = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?);
        let nonce = Nonce::try_assume_unique_for_key(&bytes(iv)?).ok()?;
        let tag = bytes(tag).filter(|tag| tag.len() == AES_256_GCM.tag_len())?;
        let mut sealed = [bytes(content)?, tag].concat();
        let opened = opener.open_in_place(nonce, Aad::from(protected.as_bytes()), &mut sealed).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

/// Whether a token has the five parts of a JWE (RFC 7516 section 9).
pub(super) fn is_encrypted(token: &str) -> bool {
    token.split('.').count() == 5
}
