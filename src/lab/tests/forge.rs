//! Tokens and assertions that a client or an attacker writes itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rsa::pkcs8::EncodePublicKey as _;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Outcome, Tester};
use crate::lab::tokens::now;

/// Header and claims of a token.
pub(super) fn read(token: &str) -> Outcome<(Value, Value)> {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part));
    let header = parts.next().ok_or("no header")??;
    let claims = parts.next().ok_or("no claims")??;
    Ok((serde_json::from_slice(&header)?, serde_json::from_slice(&claims)?))
}

/// A token signed by `sign`.
pub(super) fn write(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let input = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// A copy of an access token with another algorithm, for the other user.
pub(super) fn with_alg(token: &str, alg: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Outcome<String> {
    let (mut header, mut claims) = read(token)?;
    header["alg"] = json!(alg);
    claims["sub"] = json!("u-c4a8e65d90");
    Ok(write(&header, &claims, sign))
}

pub(super) fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(secret).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// The encodings of the public key an attacker would try.
pub(super) async fn public_keys(tester: &Tester) -> Outcome<Vec<Vec<u8>>> {
    let mut jwk = tester.send("/jwks.json", None, &[]).await?.json()["keys"][0].clone();
    // A flaw publishes it, and nobody makes a secret of that.
    jwk.as_object_mut().map(|members| members.remove("d"));
    let number = |name: &str| -> Outcome<rsa::BigUint> {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default())?;
        Ok(rsa::BigUint::from_bytes_be(&bytes))
    };
    let key = rsa::RsaPublicKey::new(number("n")?, number("e")?)?;
    let spki = key.to_public_key_pem(rsa::pkcs8::LineEnding::LF)?;
    let pkcs1 = rsa::pkcs1::EncodeRsaPublicKey::to_pkcs1_pem(&key, rsa::pkcs8::LineEnding::LF)?;
    Ok(vec![
        spki.trim_end().into(),
        pkcs1.trim_end().into(),
        spki.into(),
        pkcs1.into(),
        key.to_public_key_der()?.into_vec(),
        number("n")?.to_bytes_be(),
        jwk.to_string().into(),
    ])
}

/// A text encrypted to the key that the lab publishes for it (RFC 7516), by RSA-OAEP-256 and A256GCM.
pub(super) async fn encrypted(tester: &Tester, plaintext: &str) -> Outcome<String> {
    let keys = tester.send("/jwks.json", None, &[]).await?.json()["keys"].take();
    let jwk = keys.as_array().into_iter().flatten().find(|jwk| jwk["use"] == "enc").ok_or("no key for encryption")?;
    let number = |name: &str| -> Outcome<rsa::BigUint> {
        Ok(rsa::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default())?))
    };
    let to = rsa::RsaPublicKey::new(number("n")?, number("e")?)?;
    let (key, iv): ([u8; 32], [u8; 12]) = (rand::random(), rand::random());
    let encrypted_key = to.encrypt(&mut rand::rngs::OsRng, rsa::Oaep::new::<Sha256>(), &key)?;
    let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", "kid": jwk["kid"] }).to_string());
    let cipher = UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new).map_err(|_| "no key of AES")?;
    let mut content = plaintext.as_bytes().to_vec();
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(header.as_bytes()), &mut content)
        .map_err(|_| "not encrypted")?;
    let rest = [&encrypted_key, iv.as_slice(), &content, tag.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
    Ok(format!("{header}.{}", rest.join(".")))
}

/// How a client assertion is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    OwnKey,
    OtherKey,
    Nothing(&'static str),
}

/// An assertion of the `private_key_jwt` client with changed claims (null
/// removes one).
pub(super) fn assertion(tester: &Tester, with: With, changes: &Value) -> Outcome<String> {
    let client = tester.client("assertion")?;
    let pem = client.private_key_pem.as_deref().unwrap_or_default();
    let key = match with {
        With::OtherKey => SigningKey::random(&mut rand::rngs::OsRng),
        _ => SigningKey::from_pkcs8_pem(pem)?,
    };
    let mut claims = json!({
        "iss": client.id,
        "sub": client.id,
        "aud": tester.lab.issuer(),
        "iat": now(),
        "exp": now() + 60,
        "jti": crate::lab::secrets::random(),
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    if let Some(claims) = claims.as_object_mut() {
        claims.retain(|_, value| !value.is_null());
    }
    let alg = match with {
        With::Nothing(alg) => alg,
        _ => "ES256",
    };
    let header = json!({ "alg": alg, "typ": "JWT" });
    Ok(write(&header, &claims, |message| {
        let signature: Signature = key.sign(message);
        match with {
            With::Nothing(_) => Vec::new(),
            _ => signature.to_bytes().to_vec(),
        }
    }))
}

/// A key of P-256, and its public half as a JWK.
pub(super) fn fresh_key() -> (SigningKey, Value) {
    let key = SigningKey::random(&mut rand::rngs::OsRng);
    let point = key.verifying_key().to_encoded_point(false);
    let text = |part: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(part.map(|part| part.to_vec()).unwrap_or_default());
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": text(point.x()), "y": text(point.y()) });
    (key, jwk)
}

/// The assertion of a client that registered itself.
pub(super) fn assertion_of(tester: &Tester, client_id: &str, key: &SigningKey) -> String {
    let claims = json!({
        "iss": client_id, "sub": client_id, "aud": tester.lab.issuer(), "iat": now(), "exp": now() + 60,
        "jti": crate::lab::secrets::random(),
    });
    let sign = |message: &[u8]| {
        let signature: Signature = key.sign(message);
        signature.to_bytes().to_vec()
    };
    write(&json!({ "alg": "ES256" }), &claims, sign)
}
