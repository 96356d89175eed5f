//! The TLS set-up of both HTTP drivers: whom they trust, and which client certificate they show.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::target::Target;

/// The set-up without a client certificate.
///
/// # Errors
/// A certificate authority that is no PEM, or none at all.
pub fn config(target: &Target) -> Result<ClientConfig, String> {
    if target.insecure_tls {
        let provider = CryptoProvider::get_default().map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone);
        let builder = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
        return Ok(builder.with_no_client_auth());
    }
    Ok(ClientConfig::builder().with_root_certificates(roots(target)?).with_no_client_auth())
}

/// What every report says where the server's certificate is not checked.
pub fn warning(target: &Target) -> Option<String> {
    let why = "`tls.insecure`: the server's certificate is not checked, so these verdicts may be about whoever answered in its place";
    target.insecure_tls.then(|| why.to_owned())
}

/// The same set-up with a client certificate (RFC 8705). Sessions are not shared: a resumed one would show no certificate.
/// `asked` becomes true when a server asks for it.
pub fn with_certificate(config: &ClientConfig, certificate: Arc<CertifiedKey>, asked: Arc<AtomicBool>) -> ClientConfig {
    let mut own = config.clone();
    own.client_auth_cert_resolver = Arc::new(Asked { certificate: SingleCertAndKey::from(certificate), asked });
    own.resumption = rustls::client::Resumption::in_memory_sessions(32);
    own
}

/// A client certificate, and whether a server has asked for it.
#[derive(Debug)]
struct Asked {
    certificate: SingleCertAndKey,
    asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.certificate.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The alert by which a server refuses a certificate, or that there is none (RFC 8446 §6.2; before TLS 1.3 the want of one is a
/// handshake_failure, RFC 5246 §7.4.6). All others say nothing of it.
pub fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use rustls::AlertDescription as Alert;
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error does not name as its source what it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref::<rustls::Error>().or_else(|| wrapped?.downcast_ref());
        if let Some(rustls::Error::AlertReceived(alert)) = tls {
            let refuses = matches!(
                alert,
                Alert::BadCertificate
                    | Alert::UnsupportedCertificate
                    | Alert::CertificateRevoked
                    | Alert::CertificateExpired
                    | Alert::CertificateUnknown
                    | Alert::UnknownCA
                    | Alert::AccessDenied
                    | Alert::CertificateRequired
                    | Alert::HandshakeFailure
                    // What a signature of the chain that does not verify comes to.
                    | Alert::DecryptError
            );
            return refuses.then(|| format!("{alert:?}"));
        }
        next = wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// The platform's authorities, or only the target's own where it names one.
fn roots(target: &Target) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match &target.ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| format!("tls.ca is no PEM certificate: {e}"))?;
                roots.add(certificate).map_err(|e| format!("tls.ca: {e}"))?;
            }
            if roots.is_empty() {
                return Err("tls.ca holds no certificate".into());
            }
        }
        None => {
            let platform = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(platform.certs);
            if roots.is_empty() {
                return Err("this machine has no certificate authorities; name one with tls.ca".into());
            }
        }
    }
    Ok(roots)
}

/// `tls.insecure`: whoever answers is taken for the server. Signatures are verified all the same, so that a handshake is one.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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
