//! Authorization responses as signed JWTs (JARM: JWT Secured Authorization Response Mode for OAuth 2.0).

use serde_json::{Map, Value, json};

use super::Flaw;
use super::jws;
use super::server::Server;
use super::tokens::now;

/// How long a response can be used, in seconds; section 2.1 recommends ten minutes at most.
const LIFETIME: u64 = 300;

/// A `response_mode` of section 2.3 without its `jwt`: the way on which the JWT travels, where it names one, and whether there is one.
pub(super) fn split_mode(mode: Option<&str>) -> (Option<&str>, bool) {
    match mode {
        Some("jwt") => (None, true),
        Some(mode) => mode.strip_suffix(".jwt").map_or((Some(mode), false), |way| (Some(way), true)),
        None => (None, false),
    }
}

/// The parameters that travel in place of these: one JWT with all of them, for this client (sections 2.1 and 2.3). `None` where
/// it cannot be signed.
pub(super) fn wrapped(server: &Server, client_id: &str, params: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    let mut claims: Map<String, Value> = params.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    claims.insert("iss".into(), json!(server.issuer));
    let is_malformed = server.has(Flaw::JarmMalformed);
    if !is_malformed {
        claims.insert("aud".into(), json!(client_id));
        claims.insert("exp".into(), json!(now() + LIFETIME));
    }
    let claims = Value::Object(claims);
    let response = if is_malformed { jws::unsigned("JWT", &claims) } else { jws::sign(server.key, "JWT", &claims)? };
    let beside = params.iter().filter(|_| is_malformed).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Some(std::iter::once(("response".to_owned(), response)).chain(beside).collect())
}
