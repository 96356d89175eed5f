//! JSON answers and OAuth error responses (RFC 6749 section 5.2).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error as the protocol knows it.
#[derive(Debug)]
pub(super) struct OAuthError {
    /// The value of `error`.
    pub(super) code: &'static str,
    /// The value of `error_description`: visible ASCII only.
    pub(super) description: String,
    status: StatusCode,
    header: Extra,
}

/// The header field an error comes with.
#[derive(Debug)]
enum Extra {
    None,
    BasicChallenge,
    BearerChallenge,
    RetryAfter(u64),
}

impl OAuthError {
    /// An error with status 400.
    pub(super) fn new(code: &'static str, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), status: StatusCode::BAD_REQUEST, header: Extra::None }
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    pub(super) fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// Failed client authentication: 401, with a challenge when the client
    /// used the `Authorization` header.
    pub(super) fn invalid_client(description: impl Into<String>, used_header: bool) -> Self {
        let header = if used_header { Extra::BasicChallenge } else { Extra::None };
        Self { status: StatusCode::UNAUTHORIZED, header, ..Self::new("invalid_client", description) }
    }

    /// A bearer token that is missing or wrong: 401 (RFC 6750 section 3.1).
    pub(super) fn invalid_token(description: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, header: Extra::BearerChallenge, ..Self::new("invalid_token", description) }
    }

    /// Too many requests (RFC 6585 section 4).
    pub(super) fn too_many_requests(retry_after: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            header: Extra::RetryAfter(retry_after),
            ..Self::new("temporarily_unavailable", "too many token requests")
        }
    }

    /// Something that is the server's own fault.
    pub(super) fn server_error() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..Self::new("server_error", "the server failed") }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.code, "error_description": self.description });
        let mut response = private_json(self.status, &body);
        let headers = response.headers_mut();
        match self.header {
            Extra::None => {}
            Extra::BasicChallenge => {
                let challenge = HeaderValue::from_static("Basic realm=\"lab\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Extra::BearerChallenge => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            }
            Extra::RetryAfter(seconds) => {
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
        }
        response
    }
}

/// A JSON answer that must not be stored (RFC 6749 section 5.1).
pub(super) fn private_json(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        body.to_string(),
    )
        .into_response()
}

/// A JSON answer that everybody may see.
pub(super) fn public_json(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
