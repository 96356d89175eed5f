//! Signed authorization requests (JAR, RFC 9101).

use serde_json::{Map, Value, json};

use crate::model::bend::Encrypted;
use crate::target::{Client, ClientAuthentication};

use super::bend::Bend;
use super::delivery::Sent;
use super::eval::Missing;
use super::jwe::{self, Recipient};
use super::keys::SigningKey;
use super::learned::Learned;
use super::{clock, eval, forge};

/// The parameter that carries a request object (RFC 9101 §5).
pub const PARAMETER: &str = "request";

/// The key that a client signs with: its private key, or its secret (OpenID Connect Core §6.1); None: it has neither.
///
/// # Errors
/// The key cannot be read.
pub fn key<'c>(client: &'c Client, learned: &Learned) -> Result<Option<(SigningKey, Option<&'c str>)>, String> {
    match &client.authentication {
        ClientAuthentication::PrivateKeyJwt { key, kid } => Ok(Some((learned.key(&client.id, key)?, kid.as_deref()))),
        other => Ok(other.secret().map(|secret| (SigningKey::Hs256(secret.reveal().as_bytes().to_vec()), None))),
    }
}

/// The typ of a request object (RFC 9101 §10.8).
pub const TYP: &str = "oauth-authz-req+jwt";

/// The request object of some parameters (RFC 9101 §4), or another signed request of this kind (CIBA §7.1.1), which has a typ of its own.
///
/// # Errors
/// A parameter that stands twice, which a JSON object cannot say.
pub fn sign(
    client: &Client,
    issuer: &str,
    parameters: &[Sent],
    (key, kid): (&SigningKey, Option<&str>),
    typ: &str,
    bend: &Bend,
) -> Result<String, Missing> {
    let (issued, now) = (clock::issued_at(), clock::now());
    let mut claims = Map::new();
    for parameter in parameters {
        if claims.insert(parameter.name.clone(), Value::String(parameter.value.clone())).is_some() {
            let why = format!("a signed request has each parameter once, so `{}` cannot be sent twice", parameter.name);
            return Err(Missing::NoSuchForm(why));
        }
    }
    let own = json!({ "iss": client.id, "aud": issuer, "jti": eval::random(22), "iat": issued, "nbf": issued, "exp": now + 300 });
    for (name, value) in own.as_object().into_iter().flatten() {
        claims.insert(name.clone(), value.clone());
    }
    let mut header = json!({ "alg": key.alg(), "typ": typ });
    if let Some(kid) = kid {
        header["kid"] = Value::String(kid.to_owned());
    }
    bend.jws(&header, &Value::Object(claims), key)
}

/// A request object, or its claims alone, encrypted to the server (RFC 9101 §4: signed first, then encrypted).
///
/// # Errors
/// The server names no key and way of encryption that is known here.
pub fn encrypt(object: &str, what: Encrypted, typ: &str, recipient: Option<&Recipient>) -> Result<String, Missing> {
    let recipient = recipient.ok_or_else(|| {
        Missing::NoSuchForm(format!("the server takes no request objects encrypted by {} to a key that it publishes", jwe::MADE))
    })?;
    let encrypted = match what {
        // RFC 7519 §5.2: cty says that another JWT is inside.
        Encrypted::Signed => recipient.encrypt(&[("typ", typ), ("cty", "JWT")], object),
        Encrypted::Claims => {
            let claims = object.split('.').nth(1).and_then(|claims| String::from_utf8(forge::decoded(claims)).ok());
            recipient.encrypt(&[("typ", typ)], &claims.unwrap_or_default())
        }
    };
    encrypted.map_err(Missing::NoSuchForm)
}

/// What OpenID Connect Core §6.1 wants beside a request object as well, so that the request is one of OAuth 2.0; and what some servers look at before they
/// read the object: the `redirect_uri`, and the `prompt` where the scope needs one (§11). RFC 9101 §5 wants `client_id` alone.
pub const REPEATED: [&str; 4] = ["response_type", "scope", "redirect_uri", "prompt"];

/// The parameters that a request object carries, read back from it.
pub fn parameters(object: &str) -> Vec<(String, String)> {
    let claims = forge::split(object).and_then(|parts| forge::object(parts.payload)).unwrap_or_default();
    claims.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}
