//! The certificates of the lab, and whose a certificate is (RFC 8705 section 2.1).
//!
//! Like the key that signs its tokens they are published and the same in every lab: they protect nothing. They are good from 2020 to 2120,
//! and the key of their authority is gone.

use std::io;
use std::sync::{Arc, LazyLock};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;

use super::directory::{AuthMethod, Client};
use super::oauth_error::OAuthError;
use super::server::Server;
use super::{Flaw, mtls};

/// The authority that signed the certificates of the server and of the clients.
pub(super) const AUTHORITY: &str = include_str!("keys/authority.pem");

/// A certificate and its key, both PEM.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
    /// Its subject (RFC 4514), which is what a client of the PKI method is registered with (`tls_client_auth_subject_dn`).
    pub(super) subject: &'static str,
}

const SERVER: Pair =
    Pair { certificate: include_str!("keys/server.pem"), key: include_str!("keys/server-key.pem"), subject: "CN=lab,O=grantproof lab" };

/// The client that authenticates with it.
pub(super) const CLIENT: Pair =
    Pair { certificate: include_str!("keys/mtls.pem"), key: include_str!("keys/mtls-key.pem"), subject: "CN=lab-mtls,O=grantproof lab" };

/// The public client whose tokens are bound to it.
pub(super) const PUBLIC_CLIENT: Pair = Pair {
    certificate: include_str!("keys/mtls-public.pem"),
    key: include_str!("keys/mtls-public-key.pem"),
    subject: "CN=lab-mtls-public,O=grantproof lab",
};

type Setup<T> = LazyLock<Result<Arc<T>, String>>;

/// Read once per process: most runs start many labs.
static CONFIG: Setup<ServerConfig> = LazyLock::new(|| config().map_err(|error| error.to_string()));
static CHAIN: Setup<dyn ClientCertVerifier> = LazyLock::new(|| chain().map_err(|error| error.to_string()));

/// How the lab answers a TLS handshake.
///
/// # Errors
///
/// When the set-up does not stand.
pub(super) fn server_config() -> io::Result<Arc<ServerConfig>> {
    CONFIG.as_ref().map(Arc::clone).map_err(|error| io::Error::other(error.clone()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn config() -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
    let chain = vec![CertificateDer::from_pem_slice(SERVER.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(SERVER.key.as_bytes())?;
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_client_cert_verifier(Arc::new(AnyClient(provider()))).with_single_cert(chain, key)?))
}

fn chain() -> Result<Arc<dyn ClientCertVerifier>, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY.as_bytes())?)?;
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?)
}

/// Whether a certificate is that of the subject: its own name, and a chain to the authority of the lab (RFC 8705 section 2.1).
pub(super) fn is_of(der: &[u8], subject: &str) -> bool {
    let named = x509_cert::Certificate::from_der(der).is_ok_and(|parsed| parsed.tbs_certificate.subject.to_string() == subject);
    let own = CertificateDer::from(der);
    named && CHAIN.as_ref().is_ok_and(|chain| chain.verify_client_cert(&own, &[], UnixTime::now()).is_ok())
}

/// The thumbprint of a certificate, as tokens are bound to it (section 3.1).
pub(super) fn thumbprint(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(der))
}

/// What the tokens of a token request are bound to: the certificate of its connection, where the client is registered for that (section
/// 3.4). `refreshes`: what is bound already says so itself.
pub(super) fn binding(client: &Client, headers: &HeaderMap, refreshes: bool) -> Result<Option<String>, OAuthError> {
    let shown = mtls::certificate(headers).filter(|_| client.binds_certificate).map(|der| thumbprint(&der));
    let is_public = matches!(client.auth, AuthMethod::None);
    // One that authenticates has shown its certificate by now.
    if client.binds_certificate && is_public && shown.is_none() && !refreshes {
        return Err(OAuthError::invalid_request("the client is registered for tokens that are bound to its certificate, and showed none"));
    }
    Ok(shown)
}

/// Whether who shows a token may: it is bound to no certificate, or to that of the connection (section 3).
pub(super) fn may_show(server: &Server, x5t: Option<&str>, headers: &HeaderMap) -> bool {
    let is_own = |x5t: &str| mtls::certificate(headers).is_some_and(|der| thumbprint(&der) == x5t);
    x5t.is_none_or(is_own) || server.has(Flaw::MtlsBindingUnchecked)
}

/// Asks for a certificate and takes any, or none; that the client has its key is verified.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(pem: &str) -> Vec<u8> {
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate").to_vec()
    }

    #[test]
    fn a_certificate_is_of_its_own_subject_alone() {
        for one in [CLIENT, PUBLIC_CLIENT] {
            for other in [CLIENT, PUBLIC_CLIENT] {
                assert_eq!(is_of(&der(one.certificate), other.subject), one.subject == other.subject, "{} {}", one.subject, other.subject);
            }
        }
        // Of the same authority, and for servers only (RFC 5280 section 4.2.1.12).
        assert!(!is_of(&der(SERVER.certificate), SERVER.subject));
        assert!(!is_of(&der(AUTHORITY), "CN=lab authority,O=grantproof lab"));
        assert!(!is_of(b"", CLIENT.subject));
    }

    #[test]
    fn a_certificate_of_another_authority_with_the_same_subject_is_not_the_clients() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "grantproof lab");
        params.distinguished_name.push(rcgen::DnType::CommonName, "lab-mtls");
        let forged = params.self_signed(&key).expect("a certificate").der().to_vec();
        let parsed = x509_cert::Certificate::from_der(&forged).expect("a certificate");
        assert_eq!(parsed.tbs_certificate.subject.to_string(), CLIENT.subject, "else the test shows nothing");
        assert!(!is_of(&forged, CLIENT.subject));
    }
}
