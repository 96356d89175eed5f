//! What servers in use do otherwise than this one does, and may: no mistake, and no reason for another verdict than that on the strict lab, or with a
//! flaw than that on the lab with it. Each was seen at servers of others.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::Flaw;
use super::params::Params;
use super::server::Server;
use super::switch::switches;
use super::{MAX_BODY, cookie, pages, secrets};

switches! { "habit"
    /// One thing that the authorization server does in its own way.
    Habit {
    // pages
    ErrorsOnPage "errors-on-page"
        "An error of an authorization request is shown on a page, and no client hears of it."
    ErrorPagesAreOk "error-pages-are-ok"
        "A page that says what is wrong has the status 200."
    ErrorsElsewhere "errors-elsewhere"
        "A page that says what is wrong has an address of its own, to which the browser is sent."
    AnswersByPage "answers-by-page"
        "A page leads the browser back to the client, and no redirect."
    LoginEachTime "login-each-time"
        "The session ends with the answer to the client: each authorization request asks for a login."
    ConsentEachTime "consent-each-time"
        "Consent is not remembered."
    FormsKeepUser "forms-keep-user"
        "The form that asks about a device answers for the user to whom it was shown, whoever sends it."
    StateRequired "state-required"
        "An authorization request without state is refused."
    UnknownParametersRefused "unknown-parameters-refused"
        "An authorization request with a parameter that the server does not know is refused."

    // back channel
    CoarseErrors "coarse-errors"
        "Every error of the back channel is invalid_request, but for a client that fails to authenticate and a poll that comes too early."
    ErrorsWithoutJson "errors-without-json"
        "The errors of the back channel are plain text, but for a client that fails to authenticate and a poll that comes too early."
    ErrorsForbidden "errors-forbidden"
        "The errors of the back channel have the status 403."
    ErrorsAreOk "errors-are-ok"
        "The errors of the back channel have the status 200."
    FailsOnBadInput "fails-on-bad-input"
        "The server fails with 500 where a back-channel request is malformed."

    // tokens
    OpaqueTokens "opaque-tokens"
        "An access token is a random text."
    BareTokenResponse "bare-token-response"
        "A token response says neither the lifetime nor the scope."
    NoRefreshTokens "no-refresh-tokens"
        "No client is given a refresh token."
    OneTokenPerUser "one-token-per-user"
        "The tokens of a code end those that the same client had for the same user before."
    OneCodePerUser "one-code-per-user"
        "A new code ends the one that the same client has for the same user."
    RefreshAsksVerifier "refresh-asks-verifier"
        "A refresh must show the code_verifier of its grant once more."
    ReplayEndsSession "replay-ends-session"
        "A code that comes twice also logs its user out."
    FewEndpoints "few-endpoints"
        "There is neither introspection nor revocation."
}}

impl Habit {
    /// The flaws that nobody sees from outside where the server has the habit, or not as the scenario that declares them does.
    pub fn hides(self) -> &'static [Flaw] {
        match self {
            Habit::ErrorsOnPage => &[
                Flaw::ErrorRedirectToUnregistered,
                Flaw::ErrorRedirectAutomatic,
                Flaw::RedirectUriDangerousScheme,
                Flaw::UnknownClientRedirected,
                Flaw::StateInvented,
            ],
            Habit::ErrorsElsewhere => &[Flaw::ErrorPageUnescaped, Flaw::ExpressionsEvaluated],
            Habit::AnswersByPage => &[Flaw::Redirect307],
            // What a session cannot have, nobody takes out of it; and of two guesses that wait at a page one finds the request used.
            Habit::LoginEachTime => &[
                Flaw::CodeUserConfusion,
                Flaw::PkceChallengeFromSession,
                Flaw::ConsentForAnyClient,
                Flaw::ConsentRememberedForPublic,
                Flaw::ParRequestUriUnchecked,
            ],
            Habit::ConsentEachTime => {
                &[Flaw::ConsentRememberedForPublic, Flaw::ConsentSkipped, Flaw::Redirect307, Flaw::ParRequestUriUnchecked]
            }
            Habit::FormsKeepUser => &[Flaw::DeviceApprovalCsrf],
            Habit::StateRequired => &[Flaw::StateNotRequired, Flaw::StateInvented],
            Habit::UnknownParametersRefused => &[Flaw::IssInjected, Flaw::VerifierKeptFromAuthorization],
            Habit::CoarseErrors | Habit::ErrorsWithoutJson => &[Flaw::PasswordGrantOracle],
            // An API that takes dead tokens is seen to take them, and no forged one is.
            Habit::OpaqueTokens => &[Flaw::JwtExpiryUnchecked],
            _ => &[],
        }
    }
}

/// Where opaque access tokens begin.
const OPAQUE: &str = "opaque.";

/// The parameters of an authorization request (RFC 6749, 7636, 8707, 9101, 9396, 9449, OpenID Connect Core section 3.1.2.1 and what builds on it).
const KNOWN: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "request",
    "request_uri",
    "authorization_details",
    "dpop_jkt",
    "nonce",
    "response_mode",
    "prompt",
    "max_age",
    "login_hint",
    "id_token_hint",
    "acr_values",
    "claims",
    "display",
    "ui_locales",
];

/// What a poll is told, and a client without a nonce: no error but a step of the protocol.
const STEPS: &[&str] = &["authorization_pending", "slow_down", "use_dpop_nonce"];

/// The page of its own for errors.
const ERROR: &str = "/error";

/// Dresses requests and answers in the habits that are on.
pub(super) async fn dress(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    if server.config.habits.is_empty() {
        return next.run(request).await;
    }
    let keeps = |habit: Habit| server.keeps(habit);
    let (mut parts, body) = request.into_parts();
    let Ok(mut body) = to_bytes(body, MAX_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let path = parts.uri.path().to_owned();
    if path == ERROR && keeps(Habit::ErrorsElsewhere) {
        return pages::error(&server, StatusCode::OK, "This request cannot be answered.");
    }
    if keeps(Habit::FewEndpoints) && ["/introspect", "/revoke"].contains(&path.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if keeps(Habit::OpaqueTokens) {
        body = undress(&server, &mut parts.uri, &mut parts.headers, body);
    }
    if path == "/authorize" {
        let sent = if parts.method == Method::POST {
            Params::parse(&body)
        } else {
            Params::parse(parts.uri.query().unwrap_or_default().as_bytes())
        };
        let carried = ["request", "request_uri"].iter().any(|name| sent.get(name).is_some());
        let stateless = keeps(Habit::StateRequired) && !carried && sent.get("state").is_none();
        let unknown = keeps(Habit::UnknownParametersRefused) && sent.iter().any(|(name, _)| !KNOWN.contains(&name));
        if stateless || unknown {
            return shown(&server, pages::error(&server, StatusCode::BAD_REQUEST, "The request lacks something, or has too much."));
        }
    }
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    let media = answer.headers().get(header::CONTENT_TYPE).cloned();
    let is = |wanted: &str| media.as_ref().is_some_and(|media| media.as_bytes().starts_with(wanted.as_bytes()));
    if answer.status().is_redirection() {
        led_back(&server, answer)
    } else if is("text/html") {
        shown(&server, answer)
    } else if is("application/json") {
        told(&server, &path, answer).await
    } else {
        answer
    }
}

/// The tokens behind opaque ones, in what a request says.
fn undress(server: &Server, uri: &mut Uri, headers: &mut HeaderMap, body: Bytes) -> Bytes {
    for (_, value) in headers.iter_mut() {
        if let Some(Ok(real)) = value.to_str().ok().and_then(|text| real(server, text)).map(|text| HeaderValue::from_str(&text)) {
            *value = real;
        }
    }
    if let Some(Ok(real)) = real(server, &uri.to_string()).map(|text| text.parse()) {
        *uri = real;
    }
    std::str::from_utf8(&body).ok().and_then(|text| real(server, text)).map_or(body, Bytes::from)
}

/// The text with the tokens behind opaque ones; None: there is none in it.
fn real(server: &Server, text: &str) -> Option<String> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let mut found = false;
    let parts = text.split_inclusive(ends).map(|part| {
        let name = part.trim_end_matches(ends);
        let behind = server.store().opaque.get(name).cloned().filter(|_| name.starts_with(OPAQUE));
        found |= behind.is_some();
        behind.map_or_else(|| part.to_owned(), |token| token + &part[name.len()..])
    });
    let text: String = parts.collect();
    found.then_some(text)
}

/// What a client is given for an access token.
pub(super) fn given(server: &Server, token: String) -> String {
    if !server.keeps(Habit::OpaqueTokens) {
        return token;
    }
    let name = format!("{OPAQUE}{}", secrets::random());
    server.store().opaque.insert(name.clone(), token);
    name
}

/// A redirect, and where it leads away from the server.
fn led_back(server: &Server, mut answer: Response) -> Response {
    let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if location.starts_with('/') || location.starts_with(&server.issuer) {
        return answer;
    }
    let says = |name: &str| ["?", "&", "#"].iter().any(|before| location.contains(&format!("{before}{name}=")));
    if server.keeps(Habit::AnswersByPage) {
        let mut headers = std::mem::take(answer.headers_mut());
        headers.remove(header::LOCATION);
        answer = pages::leading_to(server, &location);
        answer.headers_mut().extend(headers);
    }
    if says("code") && server.keeps(Habit::LoginEachTime) {
        cookie::take_back(&mut answer, cookie::SESSION);
    }
    answer
}

/// A page.
fn shown(server: &Server, mut answer: Response) -> Response {
    if !answer.status().is_client_error() {
        return answer;
    }
    if server.keeps(Habit::ErrorsElsewhere) {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, ERROR)]).into_response();
    }
    if server.keeps(Habit::ErrorPagesAreOk) {
        *answer.status_mut() = StatusCode::OK;
    }
    answer
}

/// An answer of the back channel.
async fn told(server: &Server, path: &str, answer: Response) -> Response {
    let keeps = |habit: Habit| server.keeps(habit);
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let Ok(Value::Object(mut members)) = serde_json::from_slice::<Value>(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    let error = members.get("error").and_then(Value::as_str).filter(|error| !STEPS.contains(error)).map(str::to_owned);
    match error {
        Some(error) if parts.status == StatusCode::BAD_REQUEST => {
            if keeps(Habit::FailsOnBadInput) && error == "invalid_request" {
                return (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/html")], "<h1>Internal Server Error</h1>")
                    .into_response();
            }
            if keeps(Habit::ErrorsWithoutJson) {
                return (StatusCode::BAD_REQUEST, "Bad Request").into_response();
            }
            if keeps(Habit::CoarseErrors) {
                members = [("error".to_owned(), json!("invalid_request"))].into_iter().collect();
            }
            if keeps(Habit::ErrorsForbidden) {
                parts.status = StatusCode::FORBIDDEN;
            }
            if keeps(Habit::ErrorsAreOk) {
                parts.status = StatusCode::OK;
            }
        }
        None if path == "/token" && keeps(Habit::BareTokenResponse) => {
            members.retain(|name, _| !["scope", "expires_in"].contains(&name.as_str()));
        }
        None if path.starts_with("/.well-known/") && keeps(Habit::FewEndpoints) => {
            members.retain(|name, _| !name.starts_with("introspection_") && !name.starts_with("revocation_"));
        }
        _ => return Response::from_parts(parts, Body::from(body)),
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(Value::Object(members).to_string()))
}
