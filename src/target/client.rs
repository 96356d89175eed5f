//! Clients of the target: what they are, and how the target file says it.

use std::path::Path;

use crate::diagnostic::Diagnostics;
use crate::model::step::ClientRole;
use crate::place::At;

use super::certificate::{self, Certificate};
use super::file::{AuthFile, ClientFile};
use super::origin;
use super::secret::{self, Secret, read_secret};

#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    pub redirect_uri: String,
    /// Another one that is registered as well.
    pub other_redirect_uri: Option<String>,
    pub authentication: ClientAuthentication,
    /// Its tokens are bound to a key: by DPoP, or as the target file says.
    pub sender_constrained: bool,
    /// The `aud` of its assertions; None: the issuer, and where that is refused the token endpoint.
    pub audience: Option<Audience>,
    /// It sends DPoP proofs (RFC 9449).
    pub dpop: bool,
    /// What it shows in the TLS handshake (RFC 8705).
    pub certificate: Option<Certificate>,
}

/// Whom a client assertion names as its audience (RFC 7523 §3, point 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    Issuer,
    TokenEndpoint,
    Url(String),
}

/// Client authentication at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2).
#[derive(Debug, Clone)]
pub enum ClientAuthentication {
    None,
    Basic(Secret),
    Post(Secret),
    /// An assertion with an HMAC of the secret (OpenID Connect Core §9).
    SecretJwt(Secret),
    PrivateKeyJwt {
        key: Secret,
        kid: Option<String>,
    },
    /// The certificate of the TLS connection; the name of the method, which only the registration tells apart.
    Tls(&'static str),
}

impl ClientAuthentication {
    /// The registered name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            ClientAuthentication::None => "none",
            ClientAuthentication::Basic(_) => "client_secret_basic",
            ClientAuthentication::Post(_) => "client_secret_post",
            ClientAuthentication::SecretJwt(_) => "client_secret_jwt",
            ClientAuthentication::PrivateKeyJwt { .. } => "private_key_jwt",
            ClientAuthentication::Tls(method) => method,
        }
    }

    /// The client secret, where the method has one.
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            ClientAuthentication::Basic(secret) | ClientAuthentication::Post(secret) | ClientAuthentication::SecretJwt(secret) => {
                Some(secret)
            }
            ClientAuthentication::None | ClientAuthentication::PrivateKeyJwt { .. } | ClientAuthentication::Tls(_) => None,
        }
    }

    /// Whether it authenticates with an assertion (RFC 7523 §2.2).
    pub fn asserts(&self) -> bool {
        matches!(self, ClientAuthentication::SecretJwt(_) | ClientAuthentication::PrivateKeyJwt { .. })
    }
}

impl Client {
    /// A client with nothing but its authentication.
    pub fn new(id: &str, redirect_uri: &str, authentication: ClientAuthentication) -> Client {
        Client {
            id: id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            authentication,
            sender_constrained: false,
            other_redirect_uri: None,
            audience: None,
            dpop: false,
            certificate: None,
        }
    }
}

/// Reads a client of the target file; what is wrong goes to `found`.
pub fn client(role: ClientRole, file: &ClientFile, folder: &Path, found: &mut Diagnostics) -> Option<Client> {
    for address in std::iter::once(&file.redirect_uri).chain(&file.other_redirect_uri) {
        if let Err(error) = url::Url::parse(&address.value) {
            found.at(address, format!("`{}` is no URL: {error}", address.value), Some("write the address as it is registered".into()));
        }
    }
    if let Some(other) = file.other_redirect_uri.as_ref().filter(|other| other.value == file.redirect_uri.value) {
        found.at(other, "that is `redirect_uri` again", Some("write another address that is registered for this client".into()));
    }
    if let Some(registration) = &file.registration
        && secret::kind(&registration.token.value).is_none()
    {
        // Whether it can still be read matters to `unregister` alone.
        found.at(
            &registration.token,
            "a registration access token does not stand in the target file",
            Some("write `file:PATH#NAME`, `file:PATH` or `env:NAME`".into()),
        );
    }
    let auth = match (role, file.auth, &file.secret, &file.key) {
        // The role says how it authenticates where the file does not.
        (ClientRole::Confidential | ClientRole::Second, AuthFile::None, Some(_), _) => AuthFile::ClientSecretBasic,
        (ClientRole::Second, AuthFile::None, None, Some(_)) => AuthFile::PrivateKeyJwt,
        (ClientRole::Assertion, AuthFile::None, _, _) => AuthFile::PrivateKeyJwt,
        (_, auth, _, _) => auth,
    };
    if role == ClientRole::Public && auth != AuthFile::None {
        found.at(
            &file.id,
            "`clients.public` is the client without authentication",
            Some("move it to `clients.confidential` or `clients.assertion`".into()),
        );
    }
    if matches!(role, ClientRole::Mtls | ClientRole::MtlsPublic) && (file.certificate.is_none() || file.certificate_key.is_none()) {
        found.at(
            &file.id,
            format!("`clients.{}` has no certificate", role.name()),
            Some("add `certificate: file:client.pem` and `certificate_key: file:client-key.pem`".into()),
        );
        return None;
    }
    if role == ClientRole::Mtls && auth == AuthFile::None {
        found.at(
            &file.id,
            "`clients.mtls` does not say how it authenticates",
            Some("add `auth: tls_client_auth`, `auth: self_signed_tls_client_auth` or what it is registered with".into()),
        );
        return None;
    }
    if role == ClientRole::MtlsPublic && auth != AuthFile::None {
        found.at(&file.id, "`clients.mtls_public` is a client without authentication", Some("move it to `clients.mtls`".into()));
    }
    if role == ClientRole::Confidential && auth == AuthFile::None {
        found.at(&file.id, "`clients.confidential` has no secret", Some("add `secret: env:NAME`".into()));
        return None;
    }
    let certificate = certificate(file, auth, folder, found);
    let authentication = authentication(file, auth, folder, found)?;
    let audience = file.audience.as_ref().and_then(|at| audience(at, &authentication, found));
    Some(Client {
        id: file.id.value.clone(),
        redirect_uri: file.redirect_uri.value.clone(),
        authentication,
        sender_constrained: file.sender_constrained || file.dpop,
        other_redirect_uri: file.other_redirect_uri.as_ref().map(|at| at.value.clone()),
        audience,
        dpop: file.dpop,
        certificate,
    })
}

fn authentication(file: &ClientFile, auth: AuthFile, folder: &Path, found: &mut Diagnostics) -> Option<ClientAuthentication> {
    Some(match auth {
        AuthFile::None => {
            if let Some(secret) = &file.secret {
                found.at(
                    secret,
                    "a client with `auth: none` has no secret",
                    Some("write `auth: client_secret_basic`, or remove the secret".into()),
                );
            }
            ClientAuthentication::None
        }
        AuthFile::ClientSecretBasic | AuthFile::ClientSecretPost | AuthFile::ClientSecretJwt => {
            let Some(secret) = &file.secret else {
                found.at(&file.id, "the client has no secret", Some("add `secret: env:NAME`".into()));
                return None;
            };
            let secret = read_secret(secret, folder, found)?;
            match auth {
                AuthFile::ClientSecretBasic => ClientAuthentication::Basic(secret),
                AuthFile::ClientSecretPost => ClientAuthentication::Post(secret),
                _ => ClientAuthentication::SecretJwt(secret),
            }
        }
        AuthFile::PrivateKeyJwt => {
            let Some(key) = &file.key else {
                found.at(&file.id, "the client has no key", Some("add `key: file:client-key.pem` (PKCS#8 PEM or JWK)".into()));
                return None;
            };
            ClientAuthentication::PrivateKeyJwt { key: read_secret(key, folder, found)?, kid: file.kid.clone() }
        }
        AuthFile::TlsClientAuth => ClientAuthentication::Tls("tls_client_auth"),
        AuthFile::SelfSignedTlsClientAuth => ClientAuthentication::Tls("self_signed_tls_client_auth"),
    })
}

fn audience(at: &At<String>, authentication: &ClientAuthentication, found: &mut Diagnostics) -> Option<Audience> {
    if !authentication.asserts() {
        found.at(
            at,
            format!("`audience` is that of client assertions, and {} has none", authentication.method()),
            Some("remove it, or write `auth: private_key_jwt`".into()),
        );
    }
    match at.value.as_str() {
        "issuer" => Some(Audience::Issuer),
        "token_endpoint" => Some(Audience::TokenEndpoint),
        url if origin(url).is_some() => Some(Audience::Url(url.to_owned())),
        other => {
            found.at(at, format!("`{other}` is no audience"), Some("write `issuer`, `token_endpoint` or a URL".into()));
            None
        }
    }
}

fn certificate(file: &ClientFile, auth: AuthFile, folder: &Path, found: &mut Diagnostics) -> Option<Certificate> {
    let (Some(chain), Some(key)) = (&file.certificate, &file.certificate_key) else {
        let lone = file.certificate.as_ref().or(file.certificate_key.as_ref());
        if lone.is_some() || matches!(auth, AuthFile::TlsClientAuth | AuthFile::SelfSignedTlsClientAuth) {
            found.at(
                lone.unwrap_or(&file.id),
                "a client certificate is a certificate and its key",
                Some("add `certificate: file:client.pem` and `certificate_key: file:client-key.pem`".into()),
            );
        }
        return None;
    };
    let (chain_text, key_text) = (read_secret(chain, folder, found)?, read_secret(key, folder, found)?);
    match certificate::read(&chain_text, &key_text) {
        Ok(certificate) => Some(certificate),
        Err((of_key, message, help)) => {
            found.at(if of_key { key } else { chain }, message, Some(help));
            None
        }
    }
}
