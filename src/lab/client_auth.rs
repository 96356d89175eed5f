//! Client authentication (RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705 section 2.1).

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::directory::{AuthMethod, Client};
use super::jws::Compact;
use super::oauth_error::OAuthError;
use super::params::{Params, decode};
use super::server::Server;
use super::{Flaw, assertion, certificates, mtls, secrets, tokens};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What an endpoint asks of the client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Identify {
    /// The `client_id` of a public client is enough.
    PublicToo,
    /// The client must have credentials and use them, whatever
    /// `client-auth-optional` allows elsewhere.
    Authenticated,
    /// The bare `client_id` of any client will do; only flaws ask so little.
    AnyHow,
    /// A public client may show a secret, whatever it is; only flaws let it.
    AnySecret,
}

/// What a request says about who sends it; nothing is checked.
pub(super) struct Presented {
    client_id: String,
    proof: Proof,
    /// The certificate of the connection, as DER.
    certificate: Option<Vec<u8>>,
    /// Another client that the body names; only a flaw gets so far.
    acts_as: Option<String>,
}

enum Proof {
    None,
    Basic(String),
    Post(String),
    Assertion(String),
}

impl Presented {
    /// Reads the credentials of a request. More than one method in one
    /// request is an error (RFC 6749 section 2.3).
    pub(super) fn read(server: &Server, headers: &HeaderMap, params: &Params) -> Result<Self, OAuthError> {
        let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
        let first = authorization.next();
        let assertion = params.get("client_assertion");
        let assertion_type = params.get("client_assertion_type");
        let header_only = || first.is_some() && server.has(Flaw::ClientAuthMultiple);
        let has_assertion = assertion.is_some() || assertion_type.is_some();
        let has_secret = params.get("client_secret").is_some();
        let methods = usize::from(first.is_some()) + usize::from(has_assertion) + usize::from(has_secret);
        if methods > 1 && !header_only() || authorization.next().is_some() {
            return Err(OAuthError::invalid_request("more than one client authentication method"));
        }

        let named = params.get("client_id");
        let (client_id, proof) = if let Some(value) = first {
            let (id, secret) = value
                .to_str()
                .ok()
                .and_then(read_basic)
                .ok_or_else(|| OAuthError::invalid_client("the Authorization header is not HTTP Basic", true))?;
            (Some(id), Proof::Basic(secret))
        } else if has_assertion {
            let (Some(assertion), Some(ASSERTION_TYPE)) = (assertion, assertion_type) else {
                return Err(OAuthError::invalid_request("client_assertion and client_assertion_type do not go together"));
            };
            let jwt = Compact::parse(assertion).ok_or_else(|| OAuthError::invalid_client("the client assertion is not a JWT", false))?;
            let sub = jwt.text("sub").map(ToOwned::to_owned);
            let sub = sub.or_else(|| jwt.text("iss").filter(|_| server.has(Flaw::AssertionTypeUnchecked)).map(ToOwned::to_owned));
            let sub = named.filter(|_| server.has(Flaw::AssertionSubjectUnchecked)).map(ToOwned::to_owned).or(sub);
            let sub = client_of_id_token(server, assertion).or(sub);
            (sub, Proof::Assertion(assertion.to_owned()))
        } else if let Some(secret) = params.get("client_secret") {
            (named.map(ToOwned::to_owned), Proof::Post(secret.to_owned()))
        } else {
            (named.map(ToOwned::to_owned), Proof::None)
        };
        let used_header = first.is_some();
        let client_id = client_id.ok_or_else(|| OAuthError::invalid_client("no client is identified", used_header))?;
        let other = named.filter(|named| *named != client_id).map(ToOwned::to_owned);
        if other.is_some() && !header_only() {
            return Err(OAuthError::invalid_request("client_id is not the client that authenticates"));
        }
        Ok(Self { client_id, proof, certificate: mtls::certificate(headers), acts_as: other })
    }

    /// The client the request claims to come from.
    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether a public client is named, with an empty secret as if it had one.
    pub(super) fn is_public_with_empty_secret(&self, server: &Server) -> bool {
        let is_empty = matches!(&self.proof, Proof::Basic(secret) if secret.is_empty());
        is_empty && self.names_public(server)
    }

    /// Whether the request comes with a secret, right or wrong.
    pub(super) fn shows_secret(&self) -> bool {
        matches!(self.proof, Proof::Basic(_) | Proof::Post(_))
    }

    /// Whether a public client is named, with a secret that it cannot have.
    pub(super) fn is_public_with_secret(&self, server: &Server) -> bool {
        self.shows_secret() && self.names_public(server)
    }

    fn names_public(&self, server: &Server) -> bool {
        server.client(&self.client_id).is_some_and(|client| matches!(client.auth, AuthMethod::None))
    }

    /// Whether a client is only named that has credentials.
    pub(super) fn lacks_proof(&self, server: &Server) -> bool {
        let has_credentials = |client: &Client| !matches!(client.auth, AuthMethod::None);
        matches!(self.proof, Proof::None) && server.client(&self.client_id).is_some_and(has_credentials)
    }

    /// Finds the client and checks its credentials. A client must use
    /// exactly the method it is registered with.
    pub(super) fn authenticate<'a>(&self, server: &'a Server, identify: Identify) -> Result<&'a Client, OAuthError> {
        let client = self.verify(server, identify)?;
        let other = self.acts_as.as_deref().and_then(|id| server.client(id));
        Ok(other.unwrap_or(client))
    }

    fn verify<'a>(&self, server: &'a Server, identify: Identify) -> Result<&'a Client, OAuthError> {
        let used_header = matches!(self.proof, Proof::Basic(_));
        let refuse = |why: &str| Err(OAuthError::invalid_client(why, used_header));
        let Some(client) = server.client(&self.client_id) else {
            return refuse("the client is unknown");
        };
        match (&client.auth, &self.proof) {
            (AuthMethod::None, Proof::None) if identify != Identify::Authenticated => Ok(client),
            (AuthMethod::None, Proof::Basic(_) | Proof::Post(_)) if identify == Identify::AnySecret => Ok(client),
            (AuthMethod::Secret(secret), Proof::Basic(given)) => {
                let flaw = if given.is_empty() { Flaw::ClientSecretEmptyAccepted } else { Flaw::ClientSecretUnchecked };
                let in_any_case = || secret.eq_ignore_ascii_case(given) && server.has(Flaw::ClientSecretCaseInsensitive);
                if secrets::equal(secret.as_bytes(), given.as_bytes()) || in_any_case() || server.has(flaw) {
                    Ok(client)
                } else {
                    refuse("the client secret is wrong")
                }
            }
            (AuthMethod::Assertion(_), Proof::Post(_)) if server.has(Flaw::ClientAuthMethodUnchecked) => Ok(client),
            (AuthMethod::Secret(secret), Proof::Post(given))
                if server.has(Flaw::ClientAuthMethodUnchecked) && secrets::equal(secret.as_bytes(), given.as_bytes()) =>
            {
                Ok(client)
            }
            // The key of whichever client made it.
            (AuthMethod::Secret(_), Proof::Assertion(jwt)) if server.has(Flaw::AssertionSubjectUnchecked) => {
                let keys = server.clients.iter().filter_map(|client| match &client.auth {
                    AuthMethod::Assertion(keys) => Some(keys),
                    _ => None,
                });
                let mut verified = keys.map(|keys| assertion::verify(server, &client.id, keys, jwt));
                if verified.any(|verified| verified.is_ok()) { Ok(client) } else { refuse("the client assertion is wrong") }
            }
            (AuthMethod::Assertion(_), Proof::Assertion(jwt)) if client_of_id_token(server, jwt).as_ref() == Some(&client.id) => Ok(client),
            (AuthMethod::Assertion(keys), Proof::Assertion(jwt)) => match assertion::verify(server, &client.id, keys, jwt) {
                Ok(()) => Ok(client),
                Err(why) => refuse(why),
            },
            (AuthMethod::Tls(subject), Proof::None) if self.certificate.is_some() => {
                let is_own = self.certificate.as_deref().is_some_and(|shown| certificates::is_of(shown, subject));
                if is_own || server.has(Flaw::MtlsCertUnchecked) { Ok(client) } else { refuse("the certificate is not that of the client") }
            }
            (AuthMethod::Tls(_), Proof::None) if identify == Identify::PublicToo && server.has(Flaw::MtlsCertNotRequired) => Ok(client),
            (AuthMethod::Secret(_) | AuthMethod::Assertion(_) | AuthMethod::Tls(_), Proof::None)
                if identify == Identify::PublicToo && server.has(Flaw::ClientAuthOptional) =>
            {
                Ok(client)
            }
            (AuthMethod::Secret(_) | AuthMethod::Assertion(_) | AuthMethod::Tls(_), Proof::None) if identify == Identify::AnyHow => {
                Ok(client)
            }
            (_, Proof::None) => refuse("the client did not authenticate"),
            _ => refuse("the client is not registered for this authentication method"),
        }
    }
}

/// The client that an ID token of this server was issued to; only a flaw takes that for an assertion.
fn client_of_id_token(server: &Server, jwt: &str) -> Option<String> {
    let claims = tokens::read_own_id_token(server, jwt)?;
    server.has(Flaw::AssertionIdTokenAccepted).then_some(claims.client_id)
}

/// Finds and authenticates the client of a request.
pub(super) fn authenticate<'a>(
    server: &'a Server,
    headers: &HeaderMap,
    params: &Params,
    identify: Identify,
) -> Result<&'a Client, OAuthError> {
    Presented::read(server, headers, params)?.authenticate(server, identify)
}

/// Client id and secret of an HTTP Basic header. Both are form-encoded
/// before they are joined (RFC 6749 section 2.3.1).
fn read_basic(value: &str) -> Option<(String, String)> {
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(credentials.trim()).ok()?;
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    let (id, id_ok) = decode(bytes.get(..colon)?);
    let (secret, secret_ok) = decode(bytes.get(colon + 1..)?);
    (id_ok && secret_ok).then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let read = |text: &str| read_basic(&header(text));
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(read("a:b"), pair("a", "b"));
        assert_eq!(read("a%3Ab+c:%2B:x"), pair("a:b c", "+:x"));
        assert_eq!(read("a:"), pair("a", ""));
        assert_eq!(read("a"), None);
        assert_eq!(read("a:%zz"), None);
        assert_eq!(read_basic("Basic"), None);
        assert_eq!(read_basic("Basic !"), None);
        assert_eq!(read_basic("Bearer YTpi"), None);
        assert_eq!(read_basic("bAsIc YTpi"), pair("a", "b"));
    }
}
