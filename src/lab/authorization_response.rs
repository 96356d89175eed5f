//! Authorization responses: how a code or an error travels to the client
//! (RFC 6749 section 4.1.2, RFC 9207, OAuth 2.0 Form Post Response Mode, JARM).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::jarm;
use super::oauth_error::OAuthError;
use super::pages;
use super::params;
use super::redirect_uri::{Part, with_params};
use super::server::Server;
use super::{Flaw, Habit};

/// The way in which the parameters of a response travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseMode {
    Query,
    Fragment,
    FormPost,
}

/// Where to answer an authorization request, and how.
#[derive(Clone)]
pub(super) struct Reply {
    /// The redirect URI as the request gave it.
    pub(super) redirect_uri: String,
    pub(super) mode: ResponseMode,
    /// The client, where it asked for the answer in a JWT.
    pub(super) signed_for: Option<String>,
    pub(super) state: Option<String>,
    /// Unknown parameters of the request, kept only to be echoed.
    pub(super) extras: Vec<(String, String)>,
    /// The iss of the request, kept only for the flaw that sends it back.
    pub(super) foreign_iss: Option<String>,
}

impl Reply {
    /// A successful response with these parameters.
    pub(super) fn success(&self, server: &Server, params: &[(&str, &str)]) -> Response {
        self.send(server, params, self.state(server), !server.has(Flaw::IssParameterMissing))
    }

    /// An error response.
    pub(super) fn error(&self, server: &Server, error: &OAuthError) -> Response {
        if server.keeps(Habit::ErrorsOnPage) {
            return pages::error(server, StatusCode::BAD_REQUEST, &error.description);
        }
        let params = [("error", error.code), ("error_description", error.description.as_str())];
        let state = self.state(server);
        let state = state.filter(|_| !server.has(Flaw::StateMissingOnError));
        let with_issuer = !server.has(Flaw::IssParameterMissing) && !server.has(Flaw::IssMissingOnError);
        self.send(server, &params, state, with_issuer)
    }

    /// The state to send back: what the client sent, and none if it sent
    /// none.
    fn state(&self, server: &Server) -> Option<String> {
        match &self.state {
            Some(state) => {
                let (decoded, beginning) = (params::decode(state.as_bytes()).0, state.chars().take(64).collect::<String>());
                if decoded != *state && server.has(Flaw::StateMangled) {
                    Some(decoded)
                } else if beginning != *state && server.has(Flaw::StateTruncated) {
                    Some(beginning)
                } else {
                    Some(state.clone())
                }
            }
            None => server.has(Flaw::StateInvented).then(|| "undefined".to_owned()),
        }
    }

    fn send(&self, server: &Server, params: &[(&str, &str)], state: Option<String>, with_issuer: bool) -> Response {
        let mut pairs = params.to_vec();
        if let Some(state) = &state {
            pairs.push(("state", state));
        }
        if with_issuer {
            pairs.push(("iss", self.foreign_iss.as_deref().unwrap_or(&server.issuer)));
        }
        let extras = self.extras.iter();
        pairs.extend(extras.map(|(name, value)| (name.as_str(), value.as_str())));
        let wrapped = match self.signed_for.as_deref().map(|client_id| jarm::wrapped(server, client_id, &pairs)) {
            Some(None) => return pages::error(server, StatusCode::INTERNAL_SERVER_ERROR, "The answer cannot be signed."),
            Some(Some(wrapped)) => wrapped,
            None => Vec::new(),
        };
        if !wrapped.is_empty() {
            pairs = wrapped.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        }
        let mut response = match self.mode {
            ResponseMode::Query => see_other(&with_params(&self.redirect_uri, Part::Query, &pairs)),
            ResponseMode::Fragment => see_other(&with_params(&self.redirect_uri, Part::Fragment, &pairs)),
            ResponseMode::FormPost => pages::form_post(server, &self.redirect_uri, &pairs),
        };
        if server.has(Flaw::LoginPageCacheable) {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        }
        if let Some(lines) = state.filter(|state| state.contains("\r\n"))
            && server.has(Flaw::HeaderInjection)
        {
            add_lines(&mut response, &lines);
        }
        response
    }
}

/// What stands behind the first line of a value is taken for header fields.
fn add_lines(response: &mut Response, value: &str) {
    for (name, value) in value.split("\r\n").skip(1).filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value.trim())) {
            response.headers_mut().append(name, value);
        }
    }
}

/// A redirect with status 303, so that no form, and no password in it, is
/// sent on (RFC 9700 section 4.12). `location` must be encoded.
pub(super) fn see_other(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")])
        .into_response()
}
