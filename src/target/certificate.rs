//! A client certificate with its key (RFC 8705), checked before anything is sent.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_cert::der::asn1::{BitString, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::secret::Secret;

/// A certificate, the chain behind it and its private key, ready for a TLS handshake.
#[derive(Clone)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// What a handshake needs.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }

    /// The certificate itself as base64 of its DER, in one line. It is no secret: whoever the client has ever connected to has it.
    pub fn base64(&self) -> String {
        self.0.cert.first().map(|own| STANDARD.encode(own)).unwrap_or_default()
    }

    /// Its SHA-256 thumbprint, as tokens are bound to it (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        self.0.cert.first().map(|own| URL_SAFE_NO_PAD.encode(Sha256::digest(own))).unwrap_or_default()
    }

    /// The same as PEM, percent-encoded, as proxies hand it on in a header.
    pub fn escaped_pem(&self) -> String {
        let base64 = self.base64();
        let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        percent_encoding::utf8_percent_encode(&pem, percent_encoding::NON_ALPHANUMERIC).to_string()
    }

    /// A self-signed certificate with the subject, the alternative names and the validity of this one, and a new key of P-256: what whoever
    /// knows the certificate can make himself.
    ///
    /// # Errors
    /// The certificate cannot be read or written.
    pub fn alike(&self) -> Result<Certificate, String> {
        let own = self.0.cert.first().ok_or("there is no certificate")?;
        let made = forged(own).map_err(|e| format!("no certificate like the client's can be made: {e}"))?;
        Ok(Certificate(Arc::new(made)))
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate(…)")
    }
}

/// Whether the key is what is wrong (else the certificate), what is wrong with it, and what to do.
pub type Mistake = (bool, String, String);

/// Reads a chain and a key, both PEM.
///
/// # Errors
/// What is no PEM, a certificate outside of its time, a key that is not the certificate's.
pub fn read(chain: &Secret, key: &Secret) -> Result<Certificate, Mistake> {
    let pem = |of_key: bool, why: String| (of_key, why, "write PEM, as `openssl` does".to_owned());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.reveal().as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| pem(false, format!("the certificate is no PEM: {e}")))?;
    let Some(own) = chain.first() else {
        return Err(pem(false, "the file holds no certificate".into()));
    };
    in_time(own)?;
    let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|e| pem(true, format!("the key is no PEM: {e}")))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .map_err(|e| pem(true, format!("the key of the certificate cannot be used: {e}")))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|e| {
        (true, format!("the key does not belong to the certificate ({e})"), "name the private key that the certificate was made for".into())
    })?;
    Ok(Certificate(Arc::new(certified)))
}

/// The subjectAltName and extKeyUsage extensions (RFC 5280 §4.2.1.6, §4.2.1.12): the others speak of the key or of the issuer.
const KEPT: [ObjectIdentifier; 2] = [ObjectIdentifier::new_unwrap("2.5.29.17"), ObjectIdentifier::new_unwrap("2.5.29.37")];

/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

fn forged(own: &CertificateDer<'_>) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut made = x509_cert::Certificate::from_der(own)?;
    let key = SigningKey::random(&mut rand::rngs::OsRng);
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None };
    let said = &mut made.tbs_certificate;
    said.issuer = said.subject.clone();
    said.signature = algorithm.clone();
    said.subject_public_key_info = SubjectPublicKeyInfoOwned::from_der(key.verifying_key().to_public_key_der()?.as_bytes())?;
    let kept = said.extensions.take().unwrap_or_default().into_iter().filter(|extension| KEPT.contains(&extension.extn_id));
    said.extensions = Some(kept.collect::<Vec<_>>()).filter(|extensions| !extensions.is_empty());
    let signature: DerSignature = key.sign(&said.to_der()?);
    made.signature_algorithm = algorithm;
    made.signature = BitString::from_bytes(signature.as_bytes())?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_pkcs8_der()?.as_bytes().to_vec()));
    let key = rustls::crypto::ring::sign::any_supported_type(&key)?;
    Ok(CertifiedKey::new(vec![CertificateDer::from(made.to_der()?)], key))
}

/// The validity of a certificate (RFC 5280 §4.1.2.5).
fn in_time(certificate: &CertificateDer<'_>) -> Result<(), Mistake> {
    let parsed = x509_cert::Certificate::from_der(certificate)
        .map_err(|e| (false, format!("the certificate cannot be read: {e}"), "make it anew".to_owned()))?;
    let validity = parsed.tbs_certificate.validity;
    let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    let now = jiff::Timestamp::now().as_second();
    if now > seconds(validity.not_after) {
        return Err((false, format!("the certificate expired on {}", validity.not_after), "make a new one and register it".into()));
    }
    if now < seconds(validity.not_before) {
        return Err((
            false,
            format!("the certificate is not valid before {}", validity.not_before),
            "wait, or correct the clock of this machine".into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier as _;
    use p256::pkcs8::DecodePublicKey as _;

    use super::*;

    /// A certificate and a key that are valid for these years.
    fn made(from: i32, until: i32) -> (Secret, Secret) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["client.example".to_owned()]).expect("parameters");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.self_signed(&key).expect("a certificate");
        (Secret::new(certificate.pem()), Secret::new(key.serialize_pem()))
    }

    #[test]
    fn a_likeness_says_the_same_and_has_another_key() {
        let (chain, key) = made(2020, 2100);
        let own = read(&chain, &key).unwrap_or_else(|(_, why, _)| panic!("{why}"));
        let like = own.alike().expect("a likeness");
        let said = |certificate: &Certificate| {
            let der = certificate.certified().cert.first().expect("a certificate").to_vec();
            x509_cert::Certificate::from_der(&der).expect("a certificate")
        };
        let (was, is) = (said(&own).tbs_certificate, said(&like).tbs_certificate);
        assert!(is.subject == was.subject && is.validity == was.validity && is.issuer == is.subject);
        let names = |tbs: &x509_cert::TbsCertificate| {
            let extensions = tbs.extensions.clone().unwrap_or_default();
            extensions.into_iter().find(|extension| extension.extn_id == KEPT[0]).map(|extension| extension.extn_value)
        };
        assert!(names(&is).is_some() && names(&is) == names(&was));
        assert!(is.subject_public_key_info != was.subject_public_key_info && own.thumbprint() != like.thumbprint());
        assert!(like.certified().keys_match().is_ok(), "it can be shown");
        let (whole, spki) = (said(&like), is.subject_public_key_info.to_der().expect("a key"));
        let verifying = p256::ecdsa::VerifyingKey::from_public_key_der(&spki).expect("a key of P-256");
        let signature = DerSignature::from_bytes(whole.signature.as_bytes().expect("whole bytes")).expect("a signature");
        verifying.verify(&whole.tbs_certificate.to_der().expect("bytes"), &signature).expect("it is self-signed");
    }

    #[test]
    fn a_certificate_as_headers_have_it() {
        let (chain, key) = made(2020, 2100);
        let own = read(&chain, &key).unwrap_or_else(|(_, why, _)| panic!("{why}"));
        let pem = percent_encoding::percent_decode_str(&own.escaped_pem()).decode_utf8().expect("text").into_owned();
        let again = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        assert_eq!(STANDARD.encode(&again), own.base64());
        assert!(!own.escaped_pem().contains(['+', '/', '=', ' ', '\n']));
    }

    #[test]
    fn what_could_not_authenticate_is_said_before_anything_is_sent() {
        let (chain, key) = made(2020, 2100);
        assert!(read(&chain, &key).is_ok());
        let (expired, its_key) = made(2019, 2020);
        let said = |result: Result<Certificate, Mistake>| result.map(|_| ()).expect_err("a mistake");
        assert!(said(read(&expired, &its_key)).1.starts_with("the certificate expired on 2020-01-01"));
        let (future, its_key) = made(2099, 2100);
        assert!(said(read(&future, &its_key)).1.contains("not valid before 2099-01-01"));
        let (of_key, message, _) = said(read(&chain, &made(2020, 2100).1));
        assert!(of_key && message.contains("does not belong"), "{message}");
        assert!(said(read(&Secret::new("x"), &key)).1.contains("no certificate"));
        assert!(said(read(&chain, &Secret::new("x"))).0);
    }
}
