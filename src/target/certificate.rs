//! A client certificate with its key (RFC 8705), checked before anything is sent.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode as _;

use super::secret::Secret;

/// A certificate, the chain behind it and its private key, ready for a TLS handshake.
#[derive(Clone)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// What a handshake needs.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
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
