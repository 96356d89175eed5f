//! What an MCP server answers: a message of JSON-RPC 2.0, as JSON or as an event of a stream (Model Context Protocol, transport "Streamable HTTP").

use serde_json::{Map, Value};

use super::answer;
use super::http::Response;
use crate::model::observation::Outcome;

/// The message with which a session begins.
pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"grantproof","version":"1"}}}"#;

/// What a client takes for an answer: servers may insist on both.
pub const ACCEPT: &str = "application/json, text/event-stream";

/// An answer to `initialize`. The status says that the token was taken only where a session has begun.
pub fn initialized(response: &Response) -> (Outcome, String) {
    match (answer::resource(response), version(response), error(response)) {
        ((Outcome::Accepted, note), Some(_), _) => (Outcome::Accepted, note),
        ((Outcome::Accepted, _), None, Some(code)) => (Outcome::Refused, format!("{} {code}", response.status)),
        ((Outcome::Accepted, _), None, None) => {
            (Outcome::Unclear, format!("the endpoint answers {} without a result of MCP", response.status))
        }
        (other, ..) => other,
    }
}

/// The names of the members of the result; None where the answer is no result of JSON-RPC.
pub fn result(response: &Response) -> Option<String> {
    let members = message(response)?;
    let result = members.get("result")?.as_object()?;
    Some(result.keys().map(String::as_str).collect::<Vec<_>>().join(" "))
}

/// The version of the protocol that the server has agreed to.
pub fn version(response: &Response) -> Option<String> {
    let members = message(response)?;
    members.get("result")?.get("protocolVersion")?.as_str().map(ToOwned::to_owned)
}

/// The code of an error of JSON-RPC: the server has not done what it was asked, whatever the status says.
pub fn error(response: &Response) -> Option<String> {
    message(response)?.get("error")?.get("code")?.as_i64().map(|code| code.to_string())
}

/// The message in an answer: its body, or the first event of a stream that is the answer to a request.
fn message(response: &Response) -> Option<Map<String, Value>> {
    let is_message = |members: &Map<String, Value>| members.get("jsonrpc").is_some_and(|version| version == "2.0");
    if let Some(members) = response.object() {
        return Some(members.clone()).filter(is_message);
    }
    let text = response.text();
    let mut events = text.lines().filter_map(|line| line.strip_prefix("data:")).filter_map(|data| serde_json::from_str(data.trim()).ok());
    events.find(|members: &Map<String, Value>| is_message(members) && members.contains_key("id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(media: &str, body: &str) -> Response {
        Response {
            status: 200,
            headers: vec![("Content-Type".into(), media.into())],
            body: body.as_bytes().to_vec(),
            ..Response::default()
        }
    }

    #[test]
    fn results_and_errors_as_json_and_as_events() {
        let result_of = |media: &str, body: &str| result(&answer(media, body));
        let json = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
        assert_eq!(result_of("application/json", json).as_deref(), Some("tools"));
        let events = format!("event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"x\"}}\n\ndata: {json}\n\n");
        assert_eq!(result_of("text/event-stream", &events).as_deref(), Some("tools"));
        assert_eq!(result_of("application/json", r#"{"result":{"a":1}}"#), None);
        let refused = answer("application/json", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no"}}"#);
        assert_eq!((result(&refused), error(&refused).as_deref()), (None, Some("-32001")));
    }

    #[test]
    fn a_session_begins_with_a_version() {
        let outcome = |status: u16, body: &str| initialized(&Response { status, ..answer("application/json", body) }).0;
        assert_eq!(outcome(200, r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#), Outcome::Accepted);
        assert_eq!(outcome(200, r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no"}}"#), Outcome::Refused);
        assert_eq!(outcome(401, r#"{"error":"invalid_token"}"#), Outcome::Refused);
        assert_eq!(outcome(200, r#"{"sub":"alice"}"#), Outcome::Unclear);
        assert_eq!(outcome(405, ""), Outcome::Unclear);
    }
}
