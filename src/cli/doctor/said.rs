//! What the answer to a login says of the request: a server may carry the request through the login, and refuse it only there.

use crate::model::observation::{Outcome, StepObservation};

/// Error codes that speak of a request and never of a password (RFC 6749 §4.1.2.1, RFC 9101 §7, OpenID Connect Core §3.1.2.6), and one that
/// servers have of their own.
const CODES: &[&str] = &[
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_request",
    "invalid_signature",
    "invalid_redirect_uri",
    "invalid_client",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_response_type",
    "request_not_supported",
    "request_uri_not_supported",
];

/// At most so much of a page is quoted.
const QUOTED: usize = 120;

/// The error that the last answer to a login that got stuck shows, in its words; only of a 4xx, which the page that asks again seldom is.
pub fn of_the_request(step: &StepObservation) -> Option<String> {
    let last = step.exchanges.last().filter(|last| step.outcome == Outcome::Stuck && (400..500).contains(&last.status))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let body = &last.response_body;
    let (at, code) = CODES
        .iter()
        .flat_map(|code| body.match_indices(code))
        .filter(|(at, code)| {
            let (before, after) = (body.get(..*at).unwrap_or_default(), body.get(at + code.len()..).unwrap_or_default());
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
        .min_by_key(|(at, _)| *at)?;
    let text: String = body.get(at..)?.split(['<', '\n', '\r']).next().unwrap_or(code).chars().take(QUOTED).collect();
    Some(format!("“{}” with the status {}", text.trim(), last.status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::Exchange;
    use crate::model::step::StepKind;

    fn said(status: u16, body: &str) -> Option<String> {
        let exchange = Exchange {
            method: "POST".into(),
            url: "https://as.example/login".into(),
            request_headers: Vec::new(),
            request_body: String::new(),
            certificate: None,
            status,
            response_headers: Vec::new(),
            response_body: body.into(),
            error: None,
            server_micros: 0,
        };
        let stuck = StepObservation::new("authorize", StepKind::AuthorizationRequest, Outcome::Stuck);
        of_the_request(&StepObservation { exchanges: vec![exchange], ..stuck })
    }

    #[test]
    fn an_error_of_the_request_is_quoted_and_a_refused_password_is_none() {
        assert_eq!(said(400, "<p>invalid_signature: no</p>").as_deref(), Some("“invalid_signature: no” with the status 400"));
        assert!(said(400, r#"{"error":"invalid_request"}"#).is_some_and(|words| words.contains("invalid_request")));
        assert_eq!(said(401, "<p class=invalid_request-field>wrong password</p>"), None);
        assert_eq!(said(200, "invalid_request"), None);
    }
}
