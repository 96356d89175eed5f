//! What access token and ID token say of themselves: fields that an honest client would look at.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::engine::{RawStep, RunningTrial, answer, forge, keys};
use crate::model::step::ID_TOKEN_KEY;
use crate::target::{Client, ClientAuthentication};

/// How far the clocks of server and tester may differ, in seconds.
const LEEWAY: i64 = 60;

/// The claims of a JWT access token, which are nobody's business but the resource's, and all the same worth a look.
pub fn of_access_token(raw: &mut RawStep, header: &Map<String, Value>, claims: &Map<String, Value>) {
    raw.field("access_token_typ", answer::text(header, "typ").map(|typ| typ.to_ascii_lowercase()));
    raw.field("access_token_claims", Some(names(claims)));
    raw.field("access_token_sub", answer::text(claims, "sub"));
    raw.field("access_token_aud", audiences(claims));
    raw.field("access_token_lifetime", left(claims).map(|seconds| seconds.to_string()));
}

/// What a reader of any JWT looks at, as fields that begin with the name of the token; its claims. None: it is no JWS.
pub async fn of_jwt(trial: &mut RunningTrial<'_>, raw: &mut RawStep, name: &str, token: &str) -> Option<Map<String, Value>> {
    let (header, parts) = forge::read(token)?;
    let claims = forge::object(parts.payload)?;
    let alg = answer::text(&header, "alg").unwrap_or_default();
    let mut field = |what: &str, value: Option<String>| raw.field(&format!("{name}_{what}"), value);
    field("key", key(trial, token, &alg).await.map(ToOwned::to_owned));
    field("alg", Some(alg));
    field("typ", answer::text(&header, "typ").map(|typ| typ.to_ascii_lowercase()));
    field("claims", Some(names(&claims)));
    field("iss", answer::text(&claims, "iss"));
    field("sub", answer::text(&claims, "sub"));
    field("aud", audiences(&claims));
    field("lifetime", left(&claims).map(|seconds| seconds.to_string()));
    Some(claims)
}

/// The scope that an access token says it has, as one text: `scope` (RFC 9068 §2.2.3), else `scp` or `scopes`, as some servers call it, a list
/// or not. None: it says nothing.
pub fn granted_scope(claims: &Map<String, Value>) -> Option<String> {
    let words = |list: &Vec<Value>| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|words| words.join(" "));
    let read = |name: &str| match claims.get(name)? {
        Value::Array(list) => words(list),
        _ => answer::text(claims, name),
    };
    ["scope", "scp", "scopes"].into_iter().find_map(read)
}

/// The seconds until the exp; 0 where it is past, None where there is none.
pub fn left(claims: &Map<String, Value>) -> Option<i64> {
    let exp = claims.get("exp").and_then(Value::as_f64)?;
    Some((exp as i64).saturating_sub(crate::engine::clock::now()).max(0))
}

/// The names of the members of an object, separated by spaces.
pub fn names(members: &Map<String, Value>) -> String {
    members.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The ID token as OpenID Connect Core §3.1.3.7 has it looked at.
///
/// `verified`: its signature too, as this client would verify it.
pub async fn of_id_token(trial: &mut RunningTrial<'_>, raw: &mut RawStep, token: &str, verified: bool, client: &Client) {
    let Some(parts) = forge::split(token) else { return };
    let (Some(header), Some(claims)) = (forge::object(parts.header), forge::object(parts.payload)) else { return };
    let alg = answer::text(&header, "alg").unwrap_or_default();
    if verified {
        let key = match key(trial, token, &alg).await {
            Some("secret") => keyed_with_secret(token, &alg, &client.authentication),
            key => key,
        };
        raw.field(ID_TOKEN_KEY, key);
    }
    for (field, claim) in
        [("id_token_iss", "iss"), ("id_token_sub", "sub"), ("id_token_azp", "azp"), ("id_token_acr", "acr"), ("id_token_nonce", "nonce")]
    {
        raw.field(field, answer::text(&claims, claim));
    }
    raw.field("id_token_aud", audiences(&claims));
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| seconds as i64);
    if let (Some(iat), Some(exp)) = (time("iat"), time("exp")) {
        let now = crate::engine::clock::now();
        raw.field("id_token_lifetime", Some(exp.saturating_sub(iat).max(0).to_string()));
        raw.field("id_token_current", Some((iat <= now + LEEWAY && exp > now - LEEWAY).to_string()));
    }
    if let (Some(hash), Some(access_token)) = (answer::text(&claims, "at_hash"), raw.fields.get("access_token"))
        && let Some(expected) = half_hash(&alg, access_token)
    {
        raw.field("id_token_at_hash", Some(if hash == expected { "right" } else { "wrong" }));
    }
    raw.field("id_token_alg", Some(alg));
}

/// Whether the signature verifies with a published key; None where nobody here can tell.
pub async fn key(trial: &mut RunningTrial<'_>, token: &str, alg: &str) -> Option<&'static str> {
    if alg.starts_with("HS") {
        return Some("secret");
    }
    if alg.eq_ignore_ascii_case("none") {
        return Some("none");
    }
    if trial.known.jwk_of(token).is_none() {
        trial.refresh_keys().await;
    }
    let Some(jwk) = trial.known.jwk_of(token) else { return Some("unpublished") };
    keys::verified(token, alg, jwk).map(|verified| if verified { "public" } else { "unverified" })
}

/// Whether a client verifies an HMAC: with its secret, whose octets are the key (OpenID Connect Core §10.1), or which says them in base64 as some
/// servers have it. A public client has none; None: it authenticates otherwise, and what else it was given is not known here.
fn keyed_with_secret(token: &str, alg: &str, authentication: &ClientAuthentication) -> Option<&'static str> {
    if matches!(authentication, ClientAuthentication::None) {
        return Some("unverified");
    }
    let octets = authentication.secret()?.reveal().as_bytes();
    let said = [STANDARD.decode(octets).ok(), URL_SAFE_NO_PAD.decode(octets).ok()];
    let verifies = |key: &[u8]| forge::is_keyed_with(token, alg, key);
    Some(if verifies(octets) || said.into_iter().flatten().any(|key| verifies(&key)) { "secret" } else { "unverified" })
}

pub fn audiences(claims: &Map<String, Value>) -> Option<String> {
    match claims.get("aud")? {
        Value::String(one) => Some(one.clone()),
        Value::Array(many) => Some(many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => None,
    }
}

/// The left half of the hash that goes with the algorithm (OpenID Connect Core §3.1.3.6).
fn half_hash(alg: &str, text: &str) -> Option<String> {
    let half = |digest: &[u8]| URL_SAFE_NO_PAD.encode(&digest[..digest.len() / 2]);
    match alg.get(2..)? {
        "256" => Some(half(&Sha256::digest(text))),
        "384" => Some(half(&Sha384::digest(text))),
        "512" => Some(half(&Sha512::digest(text))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Secret;

    #[test]
    fn the_at_hash_of_openid_connect_core_appendix_a_4() {
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(half_hash("RS256", token).as_deref(), Some("77QmUPtjPfzWtF2AnpK9RQ"));
        assert_eq!(half_hash("EdDSA", token), None);
    }

    #[test]
    fn an_hmac_is_verified_as_the_client_would() {
        let secret = |text: &str| ClientAuthentication::Basic(Secret::new(text));
        let signed = |key: &[u8]| {
            let input = format!("{}.e30", forge::encoded(br#"{"alg":"HS256"}"#));
            let tag = forge::hmac("HS256", key, input.as_bytes()).expect("an HMAC");
            format!("{input}.{}", forge::encoded(&tag))
        };
        let of = |key: &[u8], client: &ClientAuthentication| keyed_with_secret(&signed(key), "HS256", client);
        assert_eq!(of(b"c2VjcmV0", &secret("c2VjcmV0")), Some("secret"));
        assert_eq!(of(b"secret", &secret("c2VjcmV0")), Some("secret"), "said in base64");
        assert_eq!(of(b"another", &secret("c2VjcmV0")), Some("unverified"));
        assert_eq!(of(b"", &ClientAuthentication::None), Some("unverified"), "nobody has the key");
        let key = ClientAuthentication::PrivateKeyJwt { key: Secret::new("a key"), kid: None };
        assert_eq!(of(b"secret", &key), None, "whatever else it was given");
    }

    #[test]
    fn the_scope_by_any_of_its_names() {
        let scope = |json: Value| granted_scope(&json.as_object().cloned().unwrap_or_default());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(scope(serde_json::json!({"scope": "a b", "scopes": ["c"]})), some("a b"));
        assert_eq!(scope(serde_json::json!({"scp": ["a", "b"]})), some("a b"));
        assert_eq!(scope(serde_json::json!({"scp": "a b"})), some("a b"));
        assert_eq!(scope(serde_json::json!({"scopes": ["a", "b"]})), some("a b"));
        assert_eq!(scope(serde_json::json!({"scopes": []})), some(""));
        assert_eq!(scope(serde_json::json!({"scopes": [{"name": "a"}]})), None, "what is in it is not known");
        assert_eq!(scope(serde_json::json!({"sub": "u"})), None);
    }

    #[test]
    fn one_audience_or_several() {
        let claims = |json: Value| json.as_object().cloned().unwrap_or_default();
        assert_eq!(audiences(&claims(serde_json::json!({"aud": "a"}))).as_deref(), Some("a"));
        assert_eq!(audiences(&claims(serde_json::json!({"aud": ["a", "b"]}))).as_deref(), Some("a b"));
        assert_eq!(audiences(&claims(serde_json::json!({}))), None);
    }
}
