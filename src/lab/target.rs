//! For which API an access token is good: resource indicators (RFC 8707).
//!
//! The lab has two APIs. A token is for one of them: for the first, unless the request says otherwise. The second one shares a secret with
//! the server, with which its tokens are signed and which it verifies them with.

use super::Flaw;
use super::keys;
use super::oauth_error::OAuthError;
use super::params::Params;
use super::secrets;
use super::server::Server;

/// The APIs that an authorization request is for (section 2.1).
pub(super) fn asked(server: &Server, params: &Params) -> Result<Vec<String>, OAuthError> {
    let named: Vec<String> = params.all("resource").map(ToOwned::to_owned).collect();
    if named.is_empty() {
        return Ok(vec![server.resource.clone()]);
    }
    if !named.iter().all(|name| is_known(server, name)) {
        return Err(invalid_target("there is no such resource"));
    }
    Ok(named)
}

/// The audience of a token of a grant: what the token request names, or the first that the grant is for (section 2.2).
pub(super) fn of_token(server: &Server, granted: &[String], params: &Params, widens: Flaw) -> Result<Vec<String>, OAuthError> {
    let named: Vec<String> = params.all("resource").map(ToOwned::to_owned).collect();
    let may_have = |name: &String| granted.contains(name) || server.has(widens) && is_known(server, name) || is_taken_blindly(server, name);
    if !named.iter().all(may_have) {
        return Err(invalid_target("the grant is not for this resource"));
    }
    if named.len() > 1 && !server.has(widens) {
        return Err(invalid_target("a token is for one resource"));
    }
    if (!named.is_empty() || granted != [server.resource.as_str()]) && server.has(Flaw::ResourceIgnored) {
        return Ok(vec![server.resource.clone(), server.second.identifier.clone()]);
    }
    Ok(if named.is_empty() { granted.first().cloned().into_iter().collect() } else { named })
}

fn is_known(server: &Server, name: &str) -> bool {
    name == server.resource || name == server.second.identifier || is_taken_blindly(server, name)
}

fn is_taken_blindly(server: &Server, name: &str) -> bool {
    let is_unknown = name != server.resource && name != server.second.identifier;
    is_unknown && (server.has(Flaw::ResourceUnvalidated) || server.has(Flaw::ResourceUnchecked))
}

fn invalid_target(why: &str) -> OAuthError {
    OAuthError::new("invalid_target", why)
}

/// The second API, as the server knows it.
pub(super) struct SecondApi {
    /// Its address, and the audience of its tokens.
    pub(super) identifier: String,
    /// Signs its tokens (RFC 7518 section 3.2: as long as the hash at least).
    secret: String,
}

impl SecondApi {
    pub(super) fn new(issuer: &str) -> Self {
        SecondApi { identifier: format!("{issuer}/api/orders"), secret: secrets::random() }
    }

    /// Whether tokens with this audience are signed with the secret.
    pub(super) fn is_sole(&self, audience: &[String]) -> bool {
        matches!(audience, [only] if *only == self.identifier)
    }

    fn secret(&self, server: &Server) -> &[u8] {
        if server.has(Flaw::JwtWeakSecret) { b"secret" } else { self.secret.as_bytes() }
    }

    /// Signs with HMAC and SHA-256.
    pub(super) fn sign(&self, server: &Server, message: &[u8]) -> Option<Vec<u8>> {
        keys::sign_hs256(self.secret(server), message)
    }

    /// Verifies such a signature.
    pub(super) fn verify(&self, server: &Server, message: &[u8], tag: &[u8]) -> bool {
        keys::verify_hs256(self.secret(server), message, tag)
    }
}
