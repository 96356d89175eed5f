//! Answer → outcome. The one table of what counts as the protocol's success and the protocol's refusal.

use serde_json::{Map, Value};

use crate::model::observation::Outcome;
use crate::wire;

use super::http::{Failure, Response};

/// No answer came.
pub fn failed(failure: &Failure) -> (Outcome, String) {
    let outcome = match failure {
        Failure::Unreachable(_) | Failure::Alert(_) => Outcome::Unreachable,
        Failure::TimedOut => Outcome::TimedOut,
        Failure::Broken(_) => Outcome::Crashed,
        Failure::Outside(_) => Outcome::Strayed,
    };
    (outcome, failure.to_string())
}

/// What is true of any answer before its kind is looked at: throttled, or crashed.
pub fn general(response: &Response) -> Option<(Outcome, String)> {
    match response.status {
        _ if response.is_throttled() => {
            let when = response.retry_after().map(|after| format!(", and asks to come back in {} s", after.as_secs())).unwrap_or_default();
            Some((Outcome::Throttled, format!("the server answers {}, too many requests{when}", response.status)))
        }
        500..=599 if !refuses(response.status) => Some((Outcome::Crashed, format!("the server answers {}", response.status))),
        _ => None,
    }
}

/// Whether a status refuses: the request is wrong, or the server does not implement what was asked for (RFC 9110 §15.6.2), as some say of grant
/// and response types.
pub fn refuses(status: u16) -> bool {
    matches!(status, 400..=499 | 501)
}

/// Whether a word is an error code as authorization endpoints have them (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, RFC
/// 9101 §7, RFC 8707 §2, and what servers make up after their pattern). What speaks of a login speaks of no request.
fn is_authorization_error(code: &str) -> bool {
    let pattern = ["invalid_", "unsupported_", "unauthorized_", "unknown_"].iter().any(|start| code.starts_with(start))
        || code.ends_with("_required")
        || code.ends_with("_not_supported")
        || matches!(code, "access_denied" | "request_unauthorized")
        || is_fault_of_server(code);
    pattern && !["credential", "password", "user", "login_"].iter().any(|word| code.contains(word) && code != "login_required")
}

/// An error of the server's own, which refuses nothing (RFC 6749 §4.1.2.1).
pub fn is_fault_of_server(code: &str) -> bool {
    matches!(code, "server_error" | "temporarily_unavailable")
}

/// What an error comes to: a refusal, if the server has not stumbled.
pub fn outcome_of(code: &str) -> Outcome {
    if is_fault_of_server(code) { Outcome::Crashed } else { Outcome::Refused }
}

/// The OAuth error, and its description, that the address of a page carries. A login page whose address says `?error` in words
/// of its own says nothing of the request.
pub fn error_in_address(url: &url::Url) -> Option<(String, String)> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let code = value("error").filter(|code| is_authorization_error(code))?;
    Some((code, value("error_description").unwrap_or_default()))
}

/// A member of the body as text, where the body is a JSON object.
pub fn member(response: &Response, name: &str) -> Option<String> {
    text(response.object()?, name)
}

/// A member as text: a string as it is, a number or truth value as written.
pub fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    match members.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The error code of a bearer challenge (RFC 6750 §3).
pub fn challenge_error(response: &Response) -> Option<String> {
    let header = response.header("www-authenticate")?;
    let rest = header.split("error=").nth(1)?.trim_start();
    let code = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([',', ' ']).next()?,
    };
    Some(code.to_owned())
}

/// A parameter of a challenge (RFC 9110 §11.6.1), quoted or not.
pub fn challenge_parameter(challenge: &str, name: &str) -> Option<String> {
    challenge.match_indices(name).find_map(|(at, _)| {
        let before = challenge[..at].chars().next_back();
        let rest = challenge[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        match rest.strip_prefix('"') {
            Some(quoted) => Some(quoted.split('"').next()?.to_owned()),
            None => Some(rest.split([',', ' ']).next()?.to_owned()),
        }
    })
}

/// The first line of a plain text, short enough for a note.
pub fn first_words(response: &Response) -> Option<String> {
    if !matches!(response.media().as_str(), "text/plain" | "") {
        return None;
    }
    let text = response.text();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    Some(wire::shortened(&line, 160).into_owned())
}

/// The shape of an answer: two refusals by one endpoint look the same, whatever they say in words.
pub fn shape(response: &Response) -> String {
    let page = response.media().contains("html").then(|| super::html::read(&response.body));
    shape_of(response, page.as_ref())
}

/// The same for an answer whose page has been read already.
pub fn shape_of(response: &Response, page: Option<&super::page::Page>) -> String {
    let media = response.media();
    let detail = if let Some(page) = page {
        if page.has_script { format!("{} script", page.outline) } else { page.outline.clone() }
    } else if let Some(members) = response.object() {
        text(members, "error").unwrap_or_else(|| members.keys().cloned().collect::<Vec<_>>().join(","))
    } else if response.body.is_empty() {
        "empty".into()
    } else {
        "text".into()
    };
    format!("{} {media} {detail}", response.status)
}

/// The request_uri of a pushed authorization response (RFC 9126 §2.2), or what the answer is instead (§2.3).
///
/// # Errors
/// The outcome of the authorization request, which ends here.
pub fn pushed(response: &Response) -> Result<String, (Outcome, String)> {
    match member(response, "request_uri").filter(|uri| !uri.is_empty()) {
        Some(uri) if (200..300).contains(&response.status) => Ok(uri),
        _ => Err(match token(response) {
            // A token here would be no answer to the question.
            (Outcome::Unclear | Outcome::Issued, _) => (Outcome::Unclear, format!("{} without a request_uri", response.status)),
            other => other,
        }),
    }
}

/// A token response (RFC 6749 §5). Whatever the status says, a token that came is a token.
pub fn token(response: &Response) -> (Outcome, String) {
    if member(response, "access_token").is_some_and(|t| !t.is_empty()) {
        return (Outcome::Issued, String::new());
    }
    if let Some(general) = general(response) {
        return general;
    }
    let error = member(response, "error");
    match (response.status, error) {
        (408, _) => (Outcome::TimedOut, "the server answers 408".into()),
        (status, Some(error)) if refuses(status) => {
            let why = member(response, "error_description").map(|d| format!(" ({d})")).unwrap_or_default();
            (Outcome::Refused, format!("{} {error}{why}", response.status))
        }
        (status, None) if refuses(status) => (Outcome::Refused, format!("{} without an error code", response.status)),
        (200..=399, Some(error)) => (Outcome::Refused, format!("{error}, with the status {}", response.status)),
        // A page for people instead of a token: what a server does that asks everybody to log in first. The endpoint's own
        // address, spelled otherwise, is no refusal.
        (302 | 303, _) if response.header("location").is_some_and(asks_to_log_in) => {
            (Outcome::Refused, format!("{}, a redirect to the login page instead of a token", response.status))
        }
        (status, _) => (Outcome::Unclear, format!("the token endpoint answers {status} without a token and without an error")),
    }
}

/// Whether a Location leads to a login page, by the words of its path.
fn asks_to_log_in(location: &str) -> bool {
    let path = location.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let plain = |segment: &str| segment.split('.').next().unwrap_or_default().replace(['-', '_'], "");
    path.split('/').any(|segment| matches!(plain(segment).as_str(), "login" | "signin" | "logon"))
}

/// What a JSON object says that stands for an error, whatever the status is: a result in an envelope, or the claims of nobody.
pub fn says_no(response: &Response) -> Option<String> {
    let members = response.object()?;
    let words = ["msg", "message", "error_description", "detail"]
        .into_iter()
        .find_map(|name| text(members, name))
        .filter(|words| !words.is_empty());
    let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
    if let Some(status) = text(members, "status").filter(|status| ["error", "fail", "failed", "failure"].contains(&status.as_str())) {
        return Some(format!("the status {status}{words}"));
    }
    if let Some(name) = ["success", "ok"].into_iter().find(|name| members.get(*name) == Some(&Value::Bool(false))) {
        return Some(format!("{name} is false{words}"));
    }
    (members.get("sub").and_then(Value::as_str) == Some("")).then(|| "an empty sub".to_owned())
}

/// An answer to a bearer token (RFC 6750 §3), of userinfo or any API.
pub fn resource(response: &Response) -> (Outcome, String) {
    if let Some(general) = general(response) {
        return general;
    }
    let error = member(response, "error").or_else(|| challenge_error(response));
    match (response.status, error) {
        (200..=299, Some(error)) => (Outcome::Refused, format!("{error}, with the status {}", response.status)),
        (200..=299, None) => match says_no(response) {
            Some(why) => (Outcome::Refused, format!("{why}, with the status {}", response.status)),
            None => (Outcome::Accepted, String::new()),
        },
        (400 | 401 | 403 | 501, error) => {
            (Outcome::Refused, format!("{}{}", response.status, error.map(|e| format!(" {e}")).unwrap_or_default()))
        }
        (status, _) => (Outcome::Unclear, format!("the endpoint answers {status}")),
    }
}

/// An introspection response (RFC 7662 §2.2).
pub fn introspection(response: &Response) -> (Outcome, String) {
    if let Some(general) = general(response) {
        return general;
    }
    let active = response.object().and_then(|m| m.get("active")).and_then(Value::as_bool);
    match (response.status, active) {
        (_, Some(true)) => (Outcome::Accepted, String::new()),
        (200..=299, Some(false)) => (Outcome::Refused, "active: false".into()),
        (status, _) if refuses(status) => {
            let error = member(response, "error").map(|e| format!(" {e}")).unwrap_or_default();
            (Outcome::Refused, format!("{}{error}", response.status))
        }
        (status, _) => (Outcome::Unclear, format!("the introspection endpoint answers {status} without `active`")),
    }
}

/// A revocation response (RFC 7009 §2.2).
pub fn revocation(response: &Response) -> (Outcome, String) {
    if let Some(general) = general(response) {
        return general;
    }
    let error = member(response, "error");
    match (response.status, error) {
        (200..=299, None) => (Outcome::Accepted, String::new()),
        // "Invalid tokens do not cause an error response" (RFC 7009 §2.2): some servers say 200 and name one all the same.
        (200..=299, Some(error)) if error == "invalid_token" => (Outcome::Accepted, format!("{}, with the error {error}", response.status)),
        (status, Some(error)) if refuses(status) || (200..400).contains(&status) => {
            (Outcome::Refused, format!("{} {error}", response.status))
        }
        (status, None) if refuses(status) => (Outcome::Refused, format!("{} without an error code", response.status)),
        (status, _) => (Outcome::Unclear, format!("the revocation endpoint answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.as_bytes().to_vec(),
            ..Response::default()
        }
    }

    #[test]
    fn parameters_of_a_challenge() {
        let challenge = r#"Bearer error="invalid_token", resource_metadata="https://a.example/m?x=1,2", scope="files:read files:write""#;
        assert_eq!(challenge_parameter(challenge, "resource_metadata").as_deref(), Some("https://a.example/m?x=1,2"));
        assert_eq!(challenge_parameter(challenge, "scope").as_deref(), Some("files:read files:write"));
        assert_eq!(challenge_parameter("Bearer my_scope=1, scope=read", "scope").as_deref(), Some("read"));
        assert_eq!(challenge_parameter("Bearer", "scope"), None);
    }

    #[test]
    fn harm_not_status_codes() {
        let table = [
            (200, r#"{"access_token":"x","token_type":"Bearer"}"#, Outcome::Issued),
            (400, r#"{"access_token":"x"}"#, Outcome::Issued),
            (200, r#"{"error":"invalid_grant"}"#, Outcome::Refused),
            (400, r#"{"error":"invalid_grant"}"#, Outcome::Refused),
            (400, "", Outcome::Refused),
            (403, r#"{"error":"invalid_code"}"#, Outcome::Refused),
            (404, "Not Found", Outcome::Refused),
            (200, "<html>", Outcome::Unclear),
            (200, r#"{"access_token":""}"#, Outcome::Unclear),
            (302, "", Outcome::Unclear),
            (302, r#"{"error":"invalid_scope"}"#, Outcome::Refused),
            (500, r#"{"error":"invalid_grant"}"#, Outcome::Crashed),
            (501, r#"{"error":"unsupported_grant_type"}"#, Outcome::Refused),
            (429, r#"{"error":"slow_down"}"#, Outcome::Throttled),
            (500, r#"{"error":"server_error"}"#, Outcome::Crashed),
        ];
        for (status, body, outcome) in table {
            assert_eq!(token(&answer(status, body)).0, outcome, "{status} {body}");
        }
    }

    #[test]
    fn a_redirect_to_the_login_is_no_token() {
        let to = |location: &str| {
            let mut response = answer(302, "");
            response.headers.push(("location".into(), location.into()));
            token(&response).0
        };
        assert_eq!(to("/login"), Outcome::Refused);
        assert_eq!(to("https://as.example/account/sign-in?next=/login"), Outcome::Refused);
        assert_eq!(to("https://as.example/login.html"), Outcome::Refused);
        assert_eq!(to("https://as.example/blog/in"), Outcome::Unclear);
        assert_eq!(to("https://as.example/oauth2/token/"), Outcome::Unclear);
    }

    #[test]
    fn a_dead_token_and_an_unauthenticated_caller_are_both_refused() {
        assert_eq!(introspection(&answer(200, r#"{"active":false}"#)).0, Outcome::Refused);
        assert_eq!(introspection(&answer(401, r#"{"error":"invalid_client"}"#)).0, Outcome::Refused);
        assert_eq!(introspection(&answer(200, r#"{"active":true}"#)).0, Outcome::Accepted);
        assert_eq!(introspection(&answer(200, "{}")).0, Outcome::Unclear);
    }

    #[test]
    fn an_envelope_that_says_no_is_a_refusal() {
        for body in [
            r#"{"status":"error","msg":"Please login first","sub":""}"#,
            r#"{"success":false,"message":"no"}"#,
            r#"{"ok":false}"#,
            r#"{"sub":"","name":""}"#,
        ] {
            assert_eq!(resource(&answer(200, body)).0, Outcome::Refused, "{body}");
        }
        for body in [r#"{"sub":"u-1"}"#, r#"{"status":"active"}"#, r#"{"ok":true}"#, r#"{"id":7}"#, "[]", "hello"] {
            assert_eq!(resource(&answer(200, body)).0, Outcome::Accepted, "{body}");
        }
    }

    #[test]
    fn errors_in_the_address_of_a_page() {
        let of = |text: &str| error_in_address(&url::Url::parse(text).expect("a URL")).map(|(code, _)| code);
        assert_eq!(of("https://as.example/error?error=invalid_client&error_description=x"), Some("invalid_client".into()));
        assert_eq!(of("https://as.example/api/auth/error?error=invalid_redirect"), Some("invalid_redirect".into()));
        for text in [
            "https://as.example/login?error",
            "https://as.example/login?error=bad+password",
            "https://as.example/login?error=invalid_credentials",
            "https://as.example/login",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn the_error_of_a_bearer_challenge() {
        let mut response = answer(401, "");
        response.headers.push(("WWW-Authenticate".into(), r#"Bearer realm="x", error="invalid_token", error_description="y""#.into()));
        assert_eq!(challenge_error(&response).as_deref(), Some("invalid_token"));
        assert_eq!(resource(&response), (Outcome::Refused, "401 invalid_token".into()));
    }
}
