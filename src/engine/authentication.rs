//! Client authentication as the client is registered (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2), or bent as an attack says.

use serde_json::{Value, json};

use crate::model::authentication::{AssertionForgery, Authentication};
use crate::target::{Audience, Client, ClientAuthentication};

use super::actor::Actor;
use super::clock;
use super::eval::{self, Known, Missing};
use super::forge;
use super::http::Shows;
use super::keys::SigningKey;
use super::learned::Learned;

/// What client authentication adds to a request.
#[derive(Debug, Default)]
pub struct Credentials {
    pub parameters: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// The certificate that the TLS connection shows.
    pub shows: Shows,
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// # Errors
/// A value that never came, or a key that cannot be read: the request is not sent. A bend that this client's method does
/// not know.
pub fn credentials(
    client: &Client,
    bent: Option<&Authentication>,
    known: &Known,
    actor: &Actor<'_>,
    learned: &Learned,
) -> Result<Credentials, Missing> {
    let id = ("client_id".to_owned(), client.id.clone());
    let method = &client.authentication;
    // Without its credentials, the client has no certificate either.
    let secret = match bent {
        Some(Authentication::Nothing) => return Ok(Credentials::default()),
        Some(Authentication::ClientIdOnly) => return Ok(Credentials { parameters: vec![id], ..Credentials::default() }),
        Some(Authentication::Secret(_)) if method.secret().is_none() => return Err(no_such(client, "secret")),
        Some(Authentication::Assertion(_)) if !method.asserts() => return Err(no_such(client, "assertion")),
        Some(Authentication::Secret(template)) => Some(known.template(template, actor)?),
        _ => method.secret().map(|secret| secret.reveal().to_owned()),
    };
    let shows = Shows::own(client);
    let forgery = match bent {
        Some(Authentication::Assertion(forgery)) => Some(forgery),
        _ => None,
    };
    let asserted = |key: &SigningKey, kid: Option<&str>| -> Result<Vec<(String, String)>, Missing> {
        let audience = audience(client, known, learned);
        let assertion = assertion(client, key, kid, &audience, forgery, known, actor)?;
        Ok(vec![id.clone(), ("client_assertion_type".into(), JWT_BEARER.into()), ("client_assertion".into(), assertion)])
    };
    let mut headers = Vec::new();
    let parameters = match (method, secret) {
        (ClientAuthentication::Basic(_), Some(secret)) => {
            let write = if learned.is_bare_pair(&client.id) { eval::bare_basic } else { eval::basic };
            headers.push(("authorization".into(), write(&client.id, &secret)));
            Vec::new()
        }
        (ClientAuthentication::Post(_), Some(secret)) => vec![id, ("client_secret".into(), secret)],
        (ClientAuthentication::SecretJwt(_), Some(secret)) => asserted(&SigningKey::Hs256(secret.into_bytes()), None)?,
        (ClientAuthentication::PrivateKeyJwt { key, kid }, _) => {
            asserted(&learned.key(&client.id, key).map_err(Missing::Never)?, kid.as_deref())?
        }
        _ => vec![id],
    };
    Ok(Credentials { parameters, headers, shows })
}

fn no_such(client: &Client, what: &str) -> Missing {
    Missing::NoSuchForm(format!(
        "client `{}` authenticates with {}, so there is no {what} to change",
        client.id,
        client.authentication.method()
    ))
}

/// The `aud` of a client's assertions. By default the issuer, as FAPI 2.0 asks of clients (Security Profile §5.3.3).
fn audience(client: &Client, known: &Known, learned: &Learned) -> String {
    let fact = |name: &str| known.target.get(name).cloned();
    let token_endpoint = || fact("token_endpoint").unwrap_or_default();
    match &client.audience {
        Some(Audience::Url(url)) => url.clone(),
        Some(Audience::TokenEndpoint) => token_endpoint(),
        None if learned.token_endpoint_audience(&client.id) == Some(true) => token_endpoint(),
        Some(Audience::Issuer) | None => fact("issuer").unwrap_or_else(token_endpoint),
    }
}

fn assertion(
    client: &Client,
    key: &SigningKey,
    kid: Option<&str>,
    audience: &str,
    forgery: Option<&AssertionForgery>,
    known: &Known,
    actor: &Actor<'_>,
) -> Result<String, Missing> {
    let (mut header, claims) = genuine(&client.id, key, kid, audience);
    match forgery {
        None => forge::jws(&header, &claims, Some(key)),
        Some(AssertionForgery::FreshKey) => key.fresh().and_then(|fresh| forge::jws(&header, &claims, Some(&fresh))),
        Some(AssertionForgery::EmptySignature) => forge::jws(&header, &claims, None),
        Some(AssertionForgery::Unsigned { alg }) => {
            header["alg"] = Value::String(known.template(alg, actor)?);
            forge::jws(&header, &claims, None)
        }
        Some(AssertionForgery::Bent(bend)) => return known.bend(bend, actor)?.jws(&header, &claims, key),
    }
    .map_err(Missing::Never)
}

/// Header and claims of an assertion as a client makes it (RFC 7523 §3). Without nbf, which is the client's to leave out: some servers refuse
/// one that is no further back than the skew that they forgive.
fn genuine(client_id: &str, key: &SigningKey, kid: Option<&str>, audience: &str) -> (Value, Value) {
    let (issued, now) = (clock::issued_at(), clock::now());
    let claims = json!({
        "iss": client_id, "sub": client_id, "aud": audience,
        "jti": eval::random(22), "iat": issued, "exp": now + 60,
    });
    let mut header = json!({ "alg": key.alg(), "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = Value::String(kid.to_owned());
    }
    (header, claims)
}

/// The assertion of a client that is in no target file.
///
/// # Errors
/// The key cannot sign.
pub fn assertion_of(client_id: &str, key: &SigningKey, kid: Option<&str>, audience: &str) -> Result<String, String> {
    let (header, claims) = genuine(client_id, key, kid, audience);
    forge::jws(&header, &claims, Some(key))
}

/// An assertion that a client makes about somebody, as if it were an issuer whom the server trusts (RFC 7523 §2.1).
///
/// # Errors
/// The client has no key of its own, or it cannot sign.
pub fn assertion_about(client: &Client, subject: &str, audience: &str) -> Result<String, Missing> {
    let ClientAuthentication::PrivateKeyJwt { key, kid } = &client.authentication else {
        return Err(no_such(client, "key of its own"));
    };
    let key = SigningKey::read(key.reveal()).map_err(Missing::Never)?;
    let (header, mut claims) = genuine(&client.id, &key, kid.as_deref(), audience);
    claims["sub"] = Value::String(subject.to_owned());
    forge::jws(&header, &claims, Some(&key)).map_err(Missing::Never)
}

/// The algorithm with which a client signs its assertions, where it does.
pub fn assertion_alg(client: &Client) -> Option<&'static str> {
    match &client.authentication {
        ClientAuthentication::SecretJwt(_) => Some("HS256"),
        ClientAuthentication::PrivateKeyJwt { key, .. } => SigningKey::read(key.reveal()).ok().map(|key| key.alg()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::keys;
    use crate::target::Secret;

    #[test]
    fn an_assertion_about_a_user_is_signed_by_the_client_itself() {
        let (pem, public) = keys::new_client_key().expect("a key");
        let key = Secret::new(pem);
        let client = Client::new("c1", "https://app.example/cb", ClientAuthentication::PrivateKeyJwt { key, kid: None });
        let token = assertion_about(&client, "u1", "https://as.example").expect("an assertion");
        assert!(keys::verifies(&token, "ES256", &public));
        let claims = forge::split(&token).and_then(|parts| forge::object(parts.payload)).expect("claims");
        assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("c1"), &json!("u1"), &json!("https://as.example")));

        let public_client = Client::new("c2", "https://app.example/cb", ClientAuthentication::None);
        assert!(matches!(assertion_about(&public_client, "u1", "https://as.example"), Err(Missing::NoSuchForm(_))));
    }
}
