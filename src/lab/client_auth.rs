//! Client authentication (RFC 6749 section 2.3, RFC 7523 section 2.2).

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::directory::{AuthMethod, Client};
use super::jws::Compact;
use super::oauth_error::OAuthError;
use super::params::{Params, decode};
use super::server::Server;
use super::{Flaw, assertion, secrets};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What an endpoint asks of the client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Identify {
    /// The `client_id` of a public client is enough.
    PublicToo,
    /// The client must have credentials and use them, whatever
    /// `client-auth-optional` allows elsewhere.
    Authenticated,
}

/// What a request says about who sends it; nothing is checked.
pub(super) struct Presented {
    client_id: String,
    proof: Proof,
}

enum Proof {
    None,
    Basic(String),
    Post,
    Assertion(String),
}

impl Presented {
    /// Reads the credentials of a request. More than one method in one
    /// request is an error (RFC 6749 section 2.3).
    pub(super) fn read(headers: &HeaderMap, params: &Params) -> Result<Self, OAuthError> {
        let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
        let first = authorization.next();
        let assertion = params.get("client_assertion");
        let assertion_type = params.get("client_assertion_type");
        let has_assertion = assertion.is_some() || assertion_type.is_some();
        let has_secret = params.get("client_secret").is_some();
        let methods = usize::from(first.is_some()) + usize::from(has_assertion) + usize::from(has_secret);
        if methods > 1 || authorization.next().is_some() {
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
            (sub, Proof::Assertion(assertion.to_owned()))
        } else if has_secret {
            (named.map(ToOwned::to_owned), Proof::Post)
        } else {
            (named.map(ToOwned::to_owned), Proof::None)
        };
        let used_header = first.is_some();
        let client_id = client_id.ok_or_else(|| OAuthError::invalid_client("no client is identified", used_header))?;
        if named.is_some_and(|named| named != client_id) {
            return Err(OAuthError::invalid_request("client_id is not the client that authenticates"));
        }
        Ok(Self { client_id, proof })
    }

    /// The client the request claims to come from.
    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Finds the client and checks its credentials. A client must use
    /// exactly the method it is registered with.
    pub(super) fn authenticate<'a>(&self, server: &'a Server, identify: Identify) -> Result<&'a Client, OAuthError> {
        let used_header = matches!(self.proof, Proof::Basic(_));
        let refuse = |why: &str| Err(OAuthError::invalid_client(why, used_header));
        let Some(client) = server.client(&self.client_id) else {
            return refuse("the client is unknown");
        };
        match (&client.auth, &self.proof) {
            (AuthMethod::None, Proof::None) if identify == Identify::PublicToo => Ok(client),
            (AuthMethod::Secret(secret), Proof::Basic(given)) => {
                let unchecked = server.has(Flaw::ClientSecretUnchecked) && !given.is_empty();
                if secrets::equal(secret.as_bytes(), given.as_bytes()) || unchecked {
                    Ok(client)
                } else {
                    refuse("the client secret is wrong")
                }
            }
            (AuthMethod::Assertion(key), Proof::Assertion(jwt)) => match assertion::verify(server, &client.id, key, jwt) {
                Ok(()) => Ok(client),
                Err(why) => refuse(why),
            },
            (AuthMethod::Secret(_) | AuthMethod::Assertion(_), Proof::None)
                if identify == Identify::PublicToo && server.has(Flaw::ClientAuthOptional) =>
            {
                Ok(client)
            }
            (_, Proof::None) => refuse("the client did not authenticate"),
            _ => refuse("the client is not registered for this authentication method"),
        }
    }
}

/// Finds and authenticates the client of a request.
pub(super) fn authenticate<'a>(
    server: &'a Server,
    headers: &HeaderMap,
    params: &Params,
    identify: Identify,
) -> Result<&'a Client, OAuthError> {
    Presented::read(headers, params)?.authenticate(server, identify)
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
