//! Client authentication as the client is registered (RFC 6749 §2.3, RFC 7523 §2.2), or bent as an attack says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::model::step::{AssertionForgery, Authentication};
use crate::target::{Client, ClientAuthentication};
use crate::wire;

use super::eval::{self, Actor, Known, Missing};
use super::forge;
use super::keys::SigningKey;

/// What client authentication adds to a request.
#[derive(Debug, Default)]
pub struct Credentials {
    pub parameters: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// # Errors
/// A value that never came, or a key that cannot be read: the request is not sent.
pub fn credentials(client: &Client, bent: Option<&Authentication>, known: &Known, actor: &Actor) -> Result<Credentials, Missing> {
    let id = ("client_id".to_owned(), client.id.clone());
    match bent {
        Some(Authentication::Nothing) => return Ok(Credentials::default()),
        Some(Authentication::ClientIdOnly) => {
            return Ok(Credentials { parameters: vec![id], ..Credentials::default() });
        }
        _ => {}
    }
    let secret = match (bent, &client.authentication) {
        (Some(Authentication::Secret(template)), _) => Some(known.template(template, actor)?),
        (_, ClientAuthentication::Basic(secret) | ClientAuthentication::Post(secret)) => Some(secret.reveal().to_owned()),
        _ => None,
    };
    match (&client.authentication, secret) {
        (ClientAuthentication::Basic(_), Some(secret)) => {
            // RFC 6749 §2.3.1: both are form-encoded before they are joined.
            let pair = format!("{}:{}", wire::encode(&client.id), wire::encode(&secret));
            Ok(Credentials {
                headers: vec![("authorization".into(), format!("Basic {}", STANDARD.encode(pair)))],
                ..Credentials::default()
            })
        }
        (ClientAuthentication::Post(_), Some(secret)) => {
            Ok(Credentials { parameters: vec![id, ("client_secret".into(), secret)], ..Credentials::default() })
        }
        (ClientAuthentication::PrivateKeyJwt { key, kid }, _) => {
            let key = SigningKey::read(key.reveal()).map_err(Missing::Never)?;
            let forgery = match bent {
                Some(Authentication::Assertion(forgery)) => Some(forgery),
                _ => None,
            };
            let assertion = assertion(client, &key, kid.as_deref(), forgery, known, actor)?;
            Ok(Credentials {
                parameters: vec![id, ("client_assertion_type".into(), JWT_BEARER.into()), ("client_assertion".into(), assertion)],
                ..Credentials::default()
            })
        }
        _ => Ok(Credentials { parameters: vec![id], ..Credentials::default() }),
    }
}

fn assertion(
    client: &Client,
    key: &SigningKey,
    kid: Option<&str>,
    forgery: Option<&AssertionForgery>,
    known: &Known,
    actor: &Actor,
) -> Result<String, Missing> {
    let now = jiff::Timestamp::now().as_second();
    let audience = known.target.get("issuer").or(known.target.get("token_endpoint")).cloned().unwrap_or_default();
    let claims = json!({
        "iss": client.id, "sub": client.id, "aud": audience,
        "jti": eval::random(22), "iat": now, "nbf": now, "exp": now + 60,
    });
    let mut header = json!({ "alg": key.alg(), "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = Value::String(kid.to_owned());
    }
    match forgery {
        None => forge::assertion(&header, &claims, Some(key)),
        Some(AssertionForgery::FreshKey) => key.fresh().and_then(|fresh| forge::assertion(&header, &claims, Some(&fresh))),
        Some(AssertionForgery::EmptySignature) => forge::assertion(&header, &claims, None),
        Some(AssertionForgery::Unsigned { alg }) => {
            header["alg"] = Value::String(known.template(alg, actor)?);
            forge::assertion(&header, &claims, None)
        }
    }
    .map_err(Missing::Never)
}
