//! Authorization requests: how they are checked and in which order
//! (RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 9700).

use super::Flaw;
use super::authorization_response::{Reply, ResponseMode};
use super::directory::Client;
use super::oauth_error::OAuthError;
use super::params::Params;
use super::redirect_uri;
use super::scope::Scope;
use super::server::Server;

/// The parameters that mean something; all others are ignored.
const KNOWN: [&str; 18] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "response_mode",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "request",
    "request_uri",
    "display",
    "ui_locales",
    "id_token_hint",
    "login_hint",
    "acr_values",
];

/// A PKCE challenge.
#[derive(Clone)]
pub(super) struct Challenge {
    pub(super) value: String,
    /// Method plain: the challenge is the verifier itself.
    pub(super) plain: bool,
}

/// What the client wants to get.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseType {
    Code,
    /// The implicit grant, which only a flawed server knows.
    Token,
}

/// A request that passed all checks.
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) reply: Reply,
    pub(super) response_type: ResponseType,
    pub(super) scope: Scope,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<Challenge>,
    /// The code can be redeemed without a verifier.
    pub(super) verifier_optional: bool,
    /// A code_verifier that has no business here.
    pub(super) kept_verifier: Option<String>,
    pub(super) prompt: Prompt,
    /// Seconds since the login after which the user must log in again.
    pub(super) max_age: Option<u64>,
}

/// How much the user may be asked (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Default)]
pub(super) struct Prompt {
    pub(super) none: bool,
    pub(super) login: bool,
    pub(super) consent: bool,
}

/// Why a request is not answered with a code.
pub(super) enum Refusal {
    /// An error page: the redirect URI cannot be trusted.
    Page(String),
    /// An error response to the client.
    Redirect(Box<Reply>, OAuthError),
}

/// An error of the request itself, found after the client is known.
struct RequestError {
    error: OAuthError,
    /// One of those that `error-redirect-to-unregistered` sends too early.
    early: bool,
}

impl From<OAuthError> for RequestError {
    fn from(error: OAuthError) -> Self {
        let early = false;
        Self { error, early }
    }
}

fn early(code: &'static str, description: &str) -> RequestError {
    RequestError { error: OAuthError::new(code, description), early: true }
}

/// Checks a request: client and redirect URI first, whose errors must never
/// redirect (RFC 6749 section 4.1.2.1), then everything else.
pub(super) fn check(server: &Server, params: &Params, is_logged_in: bool) -> Result<AuthorizationRequest, Refusal> {
    for name in ["client_id", "redirect_uri"] {
        if let Some(fault) = params.fault_of(name) {
            return Err(Refusal::Page(fault.to_string()));
        }
    }
    let given_uri = params.get("redirect_uri");
    let reply = reply_to(server, params, given_uri.unwrap_or_default());
    let redirect = |error| Err(Refusal::Redirect(Box::new(reply.clone()), error));

    let Some(client_id) = params.get("client_id") else {
        return Err(Refusal::Page("client_id is missing".to_owned()));
    };
    let Some(client) = server.client(client_id) else {
        if server.has(Flaw::UnknownClientRedirected) && given_uri.is_some() {
            let error = OAuthError::new("unauthorized_client", "the client is unknown");
            return redirect(error);
        }
        return Err(Refusal::Page("the client is unknown".to_owned()));
    };

    let Some(given_uri) = given_uri else {
        return Err(Refusal::Page("redirect_uri is missing".to_owned()));
    };
    let request = read(server, client, params, is_logged_in, reply.clone());
    if let Err(RequestError { error, early: true }) = &request
        && server.has(Flaw::ErrorRedirectToUnregistered)
    {
        return redirect(OAuthError::new(error.code, error.description.clone()));
    }
    if !redirect_uri::is_accepted(server.flaws(), &client.redirect_uris, given_uri) {
        let why = "redirect_uri is not registered for this client";
        return Err(Refusal::Page(why.to_owned()));
    }
    request.or_else(|refused| redirect(refused.error))
}

/// Where and how to answer, as far as it can be told before the checks.
fn reply_to(server: &Server, params: &Params, redirect_uri: &str) -> Reply {
    let implicit = server.has(Flaw::ImplicitEnabled) && params.get("response_type") == Some("token");
    let mode = match params.get("response_mode") {
        _ if implicit => ResponseMode::Fragment,
        Some("form_post") => ResponseMode::FormPost,
        _ => ResponseMode::Query,
    };
    let state = match params.fault_of("state") {
        None => params.get("state"),
        Some(_) => None,
    };
    let mut extras = Vec::new();
    if server.has(Flaw::UnknownParametersEchoed) {
        let unknown = params.iter().filter(|(name, _)| !KNOWN.contains(name));
        extras.extend(unknown.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    Reply { redirect_uri: redirect_uri.to_owned(), mode, state: state.map(ToOwned::to_owned), extras }
}

fn read(server: &Server, client: &Client, params: &Params, is_logged_in: bool, reply: Reply) -> Result<AuthorizationRequest, RequestError> {
    if let Some(fault) = params.fault() {
        return Err(OAuthError::invalid_request(fault.to_string()).into());
    }
    for (name, code) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
        if params.get(name).is_some() {
            return Err(OAuthError::new(code, "request objects are not supported").into());
        }
    }

    let response_type = match params.get("response_type") {
        Some("code") => ResponseType::Code,
        Some("token") if server.has(Flaw::ImplicitEnabled) => ResponseType::Token,
        Some(_) => {
            let why = "the response_type must be code";
            return Err(early("unsupported_response_type", why));
        }
        None => return Err(early("invalid_request", "response_type is missing")),
    };
    let mode_fits = match params.get("response_mode") {
        None => true,
        Some("query" | "form_post") => response_type == ResponseType::Code,
        Some(mode) => mode == "fragment" && response_type == ResponseType::Token,
    };
    if !mode_fits {
        let why = "the response_mode is not supported";
        return Err(early("invalid_request", why));
    }
    let scope = match params.get("scope") {
        None => Scope::DEFAULT,
        Some(text) => Scope::parse(text).ok_or_else(|| early("invalid_scope", "the scope has an unknown value"))?,
    };

    let challenge = read_challenge(server, params)?;
    let nonce = params.get("nonce");
    let is_bare = params.get("state").is_none() && challenge.is_none() && nonce.is_none();
    let bare_is_fine = is_bare && server.has(Flaw::StateNotRequired);
    let pkce_needed =
        response_type == ResponseType::Code && !bare_is_fine && !server.has(Flaw::PkceNotRequired) && !server.has(Flaw::PkceDowngrade);
    if challenge.is_none() && pkce_needed {
        return Err(early("invalid_request", "code_challenge is missing"));
    }
    // RFC 9700 section 4.7.1: something must tie the response to the
    // browser that began, or anyone can make it finish a login.
    if is_bare && !bare_is_fine {
        let why = "neither state nor code_challenge nor nonce protects this request";
        return Err(OAuthError::invalid_request(why).into());
    }

    let prompt = read_prompt(params)?;
    if prompt.none && !is_logged_in {
        return Err(early("login_required", "nobody is logged in"));
    }
    let max_age = params
        .get("max_age")
        .map(|text| text.parse().map_err(|_| text))
        .transpose()
        .map_err(|_| OAuthError::invalid_request("max_age is not a number"))?;

    let kept_verifier = params.get("code_verifier").filter(|_| server.has(Flaw::VerifierKeptFromAuthorization));
    Ok(AuthorizationRequest {
        client_id: client.id.clone(),
        reply,
        response_type,
        scope,
        nonce: nonce.map(ToOwned::to_owned),
        challenge,
        verifier_optional: bare_is_fine || server.has(Flaw::PkceNotRequired),
        kept_verifier: kept_verifier.map(ToOwned::to_owned),
        prompt,
        max_age,
    })
}

fn read_challenge(server: &Server, params: &Params) -> Result<Option<Challenge>, OAuthError> {
    let Some(value) = params.get("code_challenge") else {
        return Ok(None);
    };
    // RFC 7636 section 4.3: a missing method means plain. It is refused
    // even where plain is accepted, which must be stated.
    let plain = match params.get("code_challenge_method") {
        Some("S256") => false,
        Some("plain") if server.has(Flaw::PkcePlainAccepted) => true,
        _ => {
            return Err(OAuthError::invalid_request("code_challenge_method must be S256"));
        }
    };
    let well_formed = if plain {
        is_verifier(value)
    } else {
        // A SHA-256 digest in base64url.
        value.len() == 43 && value.bytes().all(is_base64url)
    };
    if !well_formed {
        return Err(OAuthError::invalid_request("code_challenge is malformed"));
    }
    Ok(Some(Challenge { value: value.to_owned(), plain }))
}

/// Whether this is a code_verifier: 43 to 128 unreserved characters
/// (RFC 7636 section 4.1).
pub(super) fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|byte| is_base64url(byte) || byte == b'.' || byte == b'~')
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn read_prompt(params: &Params) -> Result<Prompt, OAuthError> {
    let mut prompt = Prompt::default();
    let text = params.get("prompt").unwrap_or_default();
    for value in text.split(' ').filter(|value| !value.is_empty()) {
        match value {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(OAuthError::invalid_request("prompt has an unknown value")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        let why = "prompt none cannot be combined";
        return Err(OAuthError::invalid_request(why));
    }
    Ok(prompt)
}
