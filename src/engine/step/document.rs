//! Documents that a server publishes: its metadata (RFC 8414 §3, OpenID Connect Discovery §4) and its keys (RFC 7517 §5).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::engine::http::Request;
use crate::engine::{RawStep, RunningTrial, USER_AGENT, answer};
use crate::model::observation::Outcome;
use crate::model::step::Place;
use crate::target::Target;

use super::Ready;

/// The parameter with the address; the others are headers, where an attack moves them there.
const ADDRESS: &str = "address";
/// Members of a JWK that nobody but its owner may know (RFC 7518 §6).
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Fewer bits than this are too few for an RSA key (RFC 7518 §3.3).
const RSA_BITS: usize = 2048;

pub async fn drive(trial: &mut RunningTrial<'_>, step: &Ready<'_>) -> RawStep {
    let Some(address) = step.parameters.iter().find(|p| p.name == ADDRESS) else {
        return RawStep::not_sent("the document has no address");
    };
    if !trial.engine.http.allows(&address.value) {
        return RawStep::not_sent(format!("{} is outside the target's hosts", address.value));
    }
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned()), ("user-agent".to_owned(), USER_AGENT.to_owned())];
    headers.extend(step.parameters.iter().filter(|p| p.place == Some(Place::Header)).map(|p| (p.name.clone(), p.value.clone())));
    let request = Request { method: "GET".into(), url: address.value.clone(), headers, ..Request::default() };
    let mut raw = RawStep::default();
    raw.sent.extend(step.own());
    let result = trial.engine.http.send(&request).await;
    let (outcome, note) = match &result {
        Ok(response) => {
            raw.shape = answer::shape(response);
            raw.field("status", Some(response.status.to_string()));
            match (answer::general(response), response.object(), response.status) {
                (Some(general), ..) => general,
                (None, Some(members), 200..=299) => {
                    describe(&mut raw, members);
                    of_resource(&mut raw, members, &trial.engine.target);
                    (Outcome::Accepted, String::new())
                }
                (None, _, 400..=499) => (Outcome::Refused, format!("the server answers {}", response.status)),
                (None, _, status) => (Outcome::Unclear, format!("the server answers {status} without a JSON object")),
            }
        }
        Err(failure) => answer::failed(failure),
    };
    (raw.outcome, raw.note) = (Some(outcome), note);
    raw.exchanges.push((request, result));
    raw
}

fn describe(raw: &mut RawStep, members: &Map<String, Value>) {
    raw.field("issuer", answer::text(members, "issuer"));
    let hosts: BTreeSet<String> = members.values().filter_map(Value::as_str).filter_map(host).collect();
    raw.field("hosts", some_words(hosts));
    let Some(keys) = members.get("keys").and_then(Value::as_array) else { return };
    let keys: Vec<&Map<String, Value>> = keys.iter().filter_map(Value::as_object).collect();
    raw.field("key_count", Some(keys.len().to_string()));
    let private = keys.iter().flat_map(|key| PRIVATE.iter().filter(|name| key.contains_key(**name))).map(|name| (*name).to_owned());
    raw.field("private_members", some_words(private.collect()));
    let weak = keys.iter().filter_map(|key| weakness(key));
    raw.field("weak_keys", some_words(weak.collect()));
    let mut kids = BTreeSet::new();
    let named = keys.iter().filter_map(|key| answer::text(key, "kid").map(|kid| (kid, material(key))));
    let named: BTreeSet<(String, String)> = named.collect();
    let doubled = named.into_iter().filter(|(kid, _)| !kids.insert(kid.clone())).map(|(kid, _)| kid.replace([' ', ','], "_"));
    raw.field("doubled_kids", some_words(doubled.collect()));
}

/// What the metadata of a resource name (RFC 9728 §2).
fn of_resource(raw: &mut RawStep, members: &Map<String, Value>, target: &Target) {
    let Some(named) = answer::text(members, "resource") else { return };
    let known: Vec<&str> = [&target.resource, &target.extras.resource_indicator].into_iter().filter_map(Option::as_deref).collect();
    let is = match () {
        () if known.contains(&named.as_str()) => "same",
        // The URL of the target file may lead to a part of what the identifier stands for.
        () if known.iter().any(|url| is_part(url, &named)) => "parent",
        () => "other",
    };
    raw.field("resource_is", Some(is));
    let servers = members.get("authorization_servers").and_then(Value::as_array);
    let servers: Vec<&str> = servers.into_iter().flatten().filter_map(Value::as_str).collect();
    let is_ours = |server: &&str| server.trim_end_matches('/') == target.issuer.trim_end_matches('/');
    let is = if servers.iter().any(is_ours) { "same" } else { "other" };
    raw.field("authorization_server_is", Some(is).filter(|_| !servers.is_empty()));
}

/// Whether one URL is of the same host as another, and below its path.
fn is_part(url: &str, whole: &str) -> bool {
    let (Ok(url), Ok(whole)) = (url::Url::parse(url), url::Url::parse(whole)) else { return false };
    let (path, above) = (url.path().trim_end_matches('/'), whole.path().trim_end_matches('/'));
    let is_below = path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    url.origin().is_tuple() && url.origin() == whole.origin() && is_below
}

fn some_words(words: BTreeSet<String>) -> Option<String> {
    (!words.is_empty()).then(|| words.into_iter().collect::<Vec<_>>().join(" "))
}

fn host(url: &str) -> Option<String> {
    url::Url::parse(url).ok()?.host_str().map(ToOwned::to_owned)
}

/// What makes a key the key that it is.
fn material(key: &Map<String, Value>) -> String {
    ["kty", "crv", "n", "x", "y"].iter().filter_map(|name| answer::text(key, name)).collect::<Vec<_>>().join(".")
}

/// What is weak about a key, in one word.
fn weakness(key: &Map<String, Value>) -> Option<String> {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(answer::text(key, name)?).ok();
    match answer::text(key, "kty")?.as_str() {
        "RSA" => {
            let n = number("n")?;
            let leading = n.iter().take_while(|byte| **byte == 0).count();
            let bits = (n.len() - leading) * 8 - n.get(leading).map_or(0, |byte| byte.leading_zeros() as usize);
            let exponent_is_one = number("e").is_some_and(|e| e.iter().rev().skip(1).all(|byte| *byte == 0) && e.last() == Some(&1));
            (bits < RSA_BITS).then(|| format!("RSA-{bits}")).or_else(|| exponent_is_one.then(|| "RSA-e-1".to_owned()))
        }
        "EC" => answer::text(key, "crv").filter(|crv| matches!(crv.as_str(), "P-192" | "secp192r1" | "secp192k1" | "P-160")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: Value) -> RawStep {
        let mut raw = RawStep::default();
        describe(&mut raw, document.as_object().expect("an object"));
        raw
    }

    #[test]
    fn keys_with_what_is_wrong_about_them() {
        let n = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0x81; bytes]);
        let rsa = |kid: &str, bytes: usize| serde_json::json!({"kty": "RSA", "kid": kid, "n": n(bytes), "e": "AQAB"});
        let fine = read(serde_json::json!({"keys": [rsa("a", 256), rsa("b", 512), rsa("a", 256)]}));
        assert_eq!(fine.fields.keys().map(String::as_str).collect::<Vec<_>>(), ["key_count"]);
        let mut private = rsa("a", 256);
        private["d"] = "AQAB".into();
        let raw = read(serde_json::json!({"keys": [private, rsa("a", 128)]}));
        let field = |name: &str| raw.fields.get(name).map(String::as_str);
        assert_eq!((field("private_members"), field("weak_keys"), field("doubled_kids")), (Some("d"), Some("RSA-1024"), Some("a")));
    }

    #[test]
    fn what_the_metadata_of_a_resource_name() {
        let mut target = Target::bare("https://login.example");
        target.resource = Some("https://api.example/mcp/x".to_owned());
        let read = |resource: &str, servers: &[&str]| {
            let mut raw = RawStep::default();
            let document = serde_json::json!({"resource": resource, "authorization_servers": servers});
            of_resource(&mut raw, document.as_object().expect("an object"), &target);
            let field = |name: &str| raw.fields.get(name).cloned().unwrap_or_default();
            (field("resource_is"), field("authorization_server_is"))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(read("https://api.example/mcp/x", &["https://login.example/"]), pair("same", "same"));
        assert_eq!(read("https://api.example/mcp", &[]), pair("parent", ""));
        assert_eq!(read("https://api.example", &["https://evil.example", "https://login.example"]), pair("parent", "same"));
        for other in
            ["http://api.example/mcp/x", "https://api.example/mc", "https://api.example/mcp/x/y", "https://evil.example/mcp/x", "x"]
        {
            assert_eq!(read(other, &["https://evil.example"]), pair("other", "other"), "{other}");
        }
    }

    #[test]
    fn hosts_of_metadata() {
        let raw =
            read(serde_json::json!({"issuer": "https://a.example", "token_endpoint": "https://b.example/t", "scopes_supported": ["x"]}));
        assert_eq!(raw.fields.get("hosts").map(String::as_str), Some("a.example b.example"));
    }
}
