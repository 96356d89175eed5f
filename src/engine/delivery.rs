//! Parameters onto the wire, and the proof, read back from the bytes that went out, that the change is among them.

use crate::model::step::{Place, PlannedStep, Transport};
use crate::wire;

use super::authentication::Credentials;
use super::http::Request;
use super::{jwe, request_object};

/// A parameter with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub name: String,
    pub value: String,
    pub place: Option<Place>,
    /// Byte for byte, without percent-encoding.
    pub raw: bool,
    /// The attack set, replaced, doubled or moved it.
    pub changed: bool,
}

impl Sent {
    /// A parameter that no attack has touched.
    pub fn plain(name: &str, value: String) -> Sent {
        Sent { name: name.to_owned(), value, place: None, raw: false, changed: false }
    }
}

/// A POST of parameters to an endpoint, with credentials, bent as the step says.
pub fn post(url: &str, transport: &Transport, parameters: &[Sent], credentials: &Credentials) -> Request {
    let method = transport.method.clone().unwrap_or_else(|| "POST".into());
    // A GET has no body: what would stand there moves to the query.
    let default = if method == "GET" { Place::Query } else { Place::Body };
    let own = parameters.iter().map(|p| (p.place.unwrap_or(default), p.name.as_str(), p.value.as_str(), p.raw));
    let all: Vec<_> = own.chain(credentials.parameters.iter().map(|(n, v)| (default, n.as_str(), v.as_str(), false))).collect();
    let at = |wanted: Place| all.iter().filter(move |p| p.0 == wanted).map(|(_, name, value, raw)| (*name, *value, *raw));
    let join = |wanted: Place| wire::form(at(wanted));
    let url = wire::with_query(&with_suffix(url, transport.path_suffix.as_deref()), &join(Place::Query));
    let media = transport.content_type.clone().unwrap_or_else(|| "application/x-www-form-urlencoded".into());
    // A deletion has nothing to say.
    let empty = at(Place::Body).next().is_none();
    let body = if method == "GET" || method == "DELETE" && empty {
        None
    } else if media.contains("json") {
        let members: serde_json::Map<String, serde_json::Value> =
            at(Place::Body).map(|(name, value, raw)| (name.to_owned(), member(value, raw))).collect();
        Some(serde_json::Value::Object(members).to_string().into_bytes())
    } else {
        Some(join(Place::Body).into_bytes())
    };
    let mut headers = vec![("user-agent".to_owned(), super::USER_AGENT.to_owned())];
    // Another answer may be asked for (RFC 9701 §4).
    if !at(Place::Header).any(|(name, ..)| name == "accept") {
        headers.insert(0, ("accept".to_owned(), "application/json".to_owned()));
    }
    if body.is_some() {
        headers.push(("content-type".into(), media));
    }
    headers.extend(credentials.headers.iter().cloned());
    headers.extend(at(Place::Header).map(|(name, value, _)| (name.to_owned(), value.to_owned())));
    Request { method, url, headers, body, shows: credentials.shows.clone() }
}

/// A parameter as a member of a JSON body: as text; what is to go out byte for byte, as the JSON that it is.
fn member(value: &str, raw: bool) -> serde_json::Value {
    if raw { serde_json::from_str(value).unwrap_or_else(|_| value.into()) } else { value.into() }
}

/// The same as it stands in the body, for comparison.
fn written(value: &str) -> String {
    let member = member(value, true);
    member.as_str().map_or_else(|| member.to_string(), ToOwned::to_owned)
}

/// A path with something appended, before the query.
pub fn with_suffix(url: &str, suffix: Option<&str>) -> String {
    match (suffix, url.split_once('?')) {
        (None, _) => url.to_owned(),
        (Some(suffix), Some((path, query))) => format!("{path}{suffix}?{query}"),
        (Some(suffix), None) => format!("{url}{suffix}"),
    }
}

/// What a redemption shows (RFC 7636 §4.5), and a refresh where the server asks for it.
pub const VERIFIER: &str = "code_verifier";

/// Reads the recorded request and says what is missing of the change; None: it went out as planned.
pub fn undelivered(planned: &PlannedStep, parameters: &[Sent], request: &Request) -> Option<String> {
    if planned.removed.is_empty() && !parameters.iter().any(|p| p.changed) {
        return None;
    }
    let mut query = wire::parse_form(wire::query_of(&request.url));
    let text = wire::text(request.body.as_deref().unwrap_or_default());
    let mut body: Vec<(String, String)> = match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text) {
        Ok(members) => members.into_iter().map(|(n, v)| (n, v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned))).collect(),
        Err(_) => wire::parse_form(&text),
    };
    let is_json = text.starts_with('{');
    let mut raw = format!("{}\n{text}", request.url);
    // A signed request is read from inside: what stands beside it counts for nothing (RFC 9101 §5).
    let own = |(name, _): &&(String, String)| name == request_object::PARAMETER;
    if !parameters.iter().any(|p| p.name == request_object::PARAMETER)
        && let Some((_, object)) = query.iter().chain(&body).find(own)
    {
        if jwe::is_encrypted(object) {
            return Some("what is changed stands in an encrypted request object, which nobody but the server can read".into());
        }
        body = request_object::parameters(object);
        raw = body.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        query.clear();
    }
    for parameter in parameters.iter().filter(|p| p.changed) {
        let found = match (parameter.raw, parameter.place) {
            (true, None | Some(Place::Body))
                if is_json && body.iter().any(|(n, v)| *n == parameter.name && *v == written(&parameter.value)) =>
            {
                true
            }
            (true, _) => raw.contains(&parameter.value),
            (_, Some(Place::Header)) => request.headers.iter().any(|(n, v)| *n == parameter.name && *v == parameter.value),
            (_, Some(Place::Query)) => has(&query, parameter) && !body.iter().any(|(n, _)| *n == parameter.name),
            (_, Some(Place::Body)) => has(&body, parameter),
            (_, None) => has(&query, parameter) || has(&body, parameter),
        };
        if !found {
            return Some(format!("the changed `{}` is not in the request as planned", parameter.name));
        }
    }
    // A refresh, made of a redemption, may have to show its verifier nevertheless.
    let sends = |name: &str| parameters.iter().any(|p| p.name == name);
    let is_left_out = |name: &&String| *name != VERIFIER || !sends("refresh_token") || !sends(VERIFIER);
    planned
        .removed
        .iter()
        .filter(is_left_out)
        .find(|name| query.iter().chain(&body).any(|(n, _)| n == *name))
        .map(|name| format!("`{name}` went out although the attack leaves it out"))
}

fn has(pairs: &[(String, String)], parameter: &Sent) -> bool {
    pairs.iter().any(|(n, v)| *n == parameter.name && *v == parameter.value)
}

/// The altered token must be the only credential of the request.
pub fn other_credential(request: &Request, token: &str) -> Option<String> {
    let credentials = request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("authorization")).count();
    if request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("cookie")) {
        return Some("a cookie went out beside the token".into());
    }
    let in_header = request.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case("authorization") && v.ends_with(token));
    if credentials > 1 || credentials == 1 && !in_header && !token.is_empty() {
        return Some("a second credential went out beside the token".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_accepts_takes_the_place_of_json() {
        let accepted = |parameters: &[Sent]| {
            let request = post("https://as.example/introspect", &Transport::default(), parameters, &Credentials::default());
            let all: Vec<String> = request.headers.into_iter().filter(|(name, _)| name == "accept").map(|(_, value)| value).collect();
            all.join(" and ")
        };
        assert_eq!(accepted(&[Sent::plain("token", "t".into())]), "application/json");
        let accept = Sent { place: Some(Place::Header), ..Sent::plain("accept", "application/token-introspection+jwt".into()) };
        assert_eq!(accepted(&[accept]), "application/token-introspection+jwt");
    }
}
