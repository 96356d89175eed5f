//! The first API as an MCP server (Model Context Protocol, transport "Streamable HTTP"): one tool, which says who the user is.
//!
//! Each request needs a token of its own, the first one as well.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Flaw;
use super::oauth_error::private_json;
use super::resource::{self, Refused};
use super::server::Server;

/// The version of the protocol that it speaks.
const VERSION: &str = "2025-06-18";
/// JSON-RPC 2.0 section 5.1.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

/// Handles `POST /api/me`.
pub(super) async fn endpoint(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap, body: Bytes) -> Response {
    let sub = match resource::authorize(&server, query.as_deref(), &Method::POST, "/api/me", &headers) {
        Ok(claims) => Some(claims.sub),
        Err(Refused::NoToken) if server.has(Flaw::McpResourceOpen) => None,
        Err(refused) => return refused.at(&server, "/api/me"),
    };
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return failure(StatusCode::BAD_REQUEST, &Value::Null, PARSE_ERROR, "the body is no JSON");
    };
    let (method, id) = (request["method"].as_str(), &request["id"]);
    let Some(method) = method.filter(|_| request["jsonrpc"] == "2.0") else {
        return failure(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, "this is no request of JSON-RPC 2.0");
    };
    if request.get("id").is_none() {
        // A notification, such as notifications/initialized, has no answer.
        return StatusCode::ACCEPTED.into_response();
    }
    match method {
        "initialize" => success(
            id,
            &json!({
                "protocolVersion": VERSION,
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "lab", "version": env!("CARGO_PKG_VERSION") },
            }),
        ),
        "ping" => success(id, &json!({})),
        "tools/list" => success(id, &json!({ "tools": [tool()] })),
        "tools/call" if request["params"]["name"] == "whoami" => {
            let text = sub.unwrap_or_else(|| "nobody".to_owned());
            success(id, &json!({ "content": [{ "type": "text", "text": text }], "isError": false }))
        }
        "tools/call" => failure(StatusCode::OK, id, INVALID_PARAMS, "there is no such tool"),
        _ => failure(StatusCode::OK, id, METHOD_NOT_FOUND, "there is no such method"),
    }
}

fn tool() -> Value {
    json!({ "name": "whoami", "description": "Says whose token it is.", "inputSchema": { "type": "object" } })
}

fn success(id: &Value, result: &Value) -> Response {
    private_json(StatusCode::OK, &json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn failure(status: StatusCode, id: &Value, code: i32, message: &str) -> Response {
    private_json(status, &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
}
