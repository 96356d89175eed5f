//! Authorization requests: how they are checked and in which order
//! (RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 9700).

use serde_json::Value;

use super::Flaw;
use super::authorization_response::{Reply, ResponseMode};
use super::consent::Asks;
use super::details;
use super::directory::{AuthMethod, Client, SCOPES};
use super::jarm;
use super::oauth_error::OAuthError;
use super::params::Params;
use super::redirect_uri;
use super::scope::Scope;
use super::server::Server;
use super::target;
use super::tokens::subject_of_id_token;

/// The parameters that mean something; all others are ignored.
const KNOWN: [&str; 22] = [
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
    "claims",
    "dpop_jkt",
    "resource",
    details::NAME,
];

/// The registered response types, as they are spelled (OAuth 2.0 Multiple
/// Response Type Encoding Practices).
const RESPONSE_TYPES: [&str; 8] =
    ["code", "token", "id_token", "none", "code token", "code id_token", "id_token token", "code id_token token"];

/// A PKCE challenge.
#[derive(Clone)]
pub(super) struct Challenge {
    pub(super) value: String,
    pub(super) method: ChallengeMethod,
}

/// How a challenge is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ChallengeMethod {
    S256,
    /// The challenge is the verifier itself.
    Plain,
    /// Some other word, which only a flawed server takes: nothing is compared.
    Unknown,
}

/// What the client wants to get.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseType {
    Code,
    /// A code, and an ID token that says who logged in and which code it is (OpenID Connect Core section 3.3).
    CodeIdToken,
    /// The implicit grant, which only a flawed server knows.
    Token,
    /// An access token beside a code or an ID token (OpenID Connect Core
    /// section 3.3), which only a flawed server knows.
    Hybrid {
        code: bool,
        id_token: bool,
    },
}

impl ResponseType {
    /// The type with this name, as far as this server knows it.
    fn read(server: &Server, text: &str) -> Option<Self> {
        let hybrid = |code, id_token| server.has(Flaw::HybridTokenEnabled).then_some(ResponseType::Hybrid { code, id_token });
        let is_confused = !RESPONSE_TYPES.contains(&text) && server.has(Flaw::ResponseTypeConfusion);
        match text {
            text if is_confused => Self::read_words(text),
            "code" => Some(ResponseType::Code),
            "code id_token" => Some(ResponseType::CodeIdToken),
            "token" => server.has(Flaw::ImplicitEnabled).then_some(ResponseType::Token),
            "id_token token" => hybrid(false, true),
            "code token" => hybrid(true, false),
            "code id_token token" => hybrid(true, true),
            _ => None,
        }
    }

    /// What a careless reader finds in a list of words.
    fn read_words(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let has = |name: &str| text.split_whitespace().any(|word| word == name);
        match (has("code"), has("token")) {
            (code, true) => Some(ResponseType::Hybrid { code, id_token: false }),
            (code, false) => code.then_some(ResponseType::Code),
        }
    }

    /// Whether a code is issued.
    fn has_code(self) -> bool {
        matches!(self, ResponseType::Code | ResponseType::CodeIdToken | ResponseType::Hybrid { code: true, .. })
    }
}

/// A request that passed all checks.
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) reply: Reply,
    pub(super) response_type: ResponseType,
    pub(super) scope: Scope,
    /// Words of the scope that nobody knows.
    pub(super) unknown_scope: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<Challenge>,
    /// The code can be redeemed without a verifier.
    pub(super) verifier_optional: bool,
    /// A code_verifier that has no business here.
    pub(super) kept_verifier: Option<String>,
    pub(super) prompt: Prompt,
    /// Seconds since the login after which the user must log in again.
    pub(super) max_age: Option<u64>,
    pub(super) asks: Asks,
    /// Anybody can have registered the client: it is told nothing before the user has seen a page (RFC 9700 section 4.11.2).
    pub(super) is_anonymous: bool,
    /// The user whom the client expects (`id_token_hint`).
    pub(super) hinted_sub: Option<String>,
    /// The user whom the claims parameter asks for.
    pub(super) wanted_sub: Option<String>,
    /// An acr that the ID token names although it was not reached.
    pub(super) claimed_acr: Option<String>,
    /// The thumbprint of the key that the code will be bound to (RFC 9449 section 10).
    pub(super) dpop_jkt: Option<String>,
    /// The APIs that it is for.
    pub(super) resources: Vec<String>,
    /// The details that it asks for (RFC 9396).
    pub(super) details: Vec<Value>,
    /// The `request_uri` that it was pushed under.
    pub(super) pushed: Option<String>,
}

/// How a request came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// By the browser.
    Front,
    /// From the client (RFC 9126). The same is asked of it.
    Pushed,
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
/// `unchecked`: the redirect URI is not compared, as it must be.
pub(super) fn check(
    server: &Server,
    params: &Params,
    is_logged_in: bool,
    channel: Channel,
    unchecked: bool,
) -> Result<AuthorizationRequest, Refusal> {
    for name in ["client_id", "redirect_uri"] {
        if let Some(fault) = params.fault_of(name) {
            return Err(Refusal::Page(fault.to_string()));
        }
    }
    let asking = params.get("client_id").and_then(|id| server.client(id));
    let is_left_out = params.get("redirect_uri").is_none();
    let asking = asking.filter(|_| is_left_out && server.has(Flaw::RedirectUriOptional));
    let implied = asking.and_then(|client| client.redirect_uris.first()).map(String::as_str);
    let (first, last) = (params.get("redirect_uri").or(implied), params.last("redirect_uri").or(implied));
    // They are the same unless the parameter may be sent twice.
    let is_last_checked = first != last && server.has(Flaw::DuplicateRedirectUriLastChecked);
    let (given_uri, used_uri) = if is_last_checked { (last, first) } else { (first, last) };
    let reply = reply_to(server, params, used_uri.unwrap_or_default());
    let redirect = |error| Err(Refusal::Redirect(Box::new(reply.clone()), error));

    let Some(client_id) = params.get("client_id") else {
        const WHY: &str = "client_id is missing";
        if given_uri.is_some() && server.has(Flaw::ErrorRedirectToUnregistered) {
            return redirect(OAuthError::invalid_request(WHY));
        }
        return Err(Refusal::Page(WHY.to_owned()));
    };
    let Some(client) = server.client(client_id) else {
        if given_uri.is_some() && server.has(Flaw::UnknownClientRedirected) {
            let error = OAuthError::new("unauthorized_client", "the client is unknown");
            return redirect(error);
        }
        return Err(Refusal::Page(with_value("the client is unknown", client_id)));
    };

    let Some(given_uri) = given_uri else {
        return Err(Refusal::Page("redirect_uri is missing".to_owned()));
    };
    let request = read(server, client, params, is_logged_in, reply.clone(), channel);
    if let Err(RequestError { error, early: true }) = &request
        && server.has(Flaw::ErrorRedirectToUnregistered)
    {
        return redirect(OAuthError::new(error.code, error.description.clone()));
    }
    let is_accepted = |registered: &[String]| redirect_uri::is_accepted(|flaw| server.has(flaw), registered, given_uri);
    let is_of_another = || server.clients.iter().any(|it| is_accepted(&it.redirect_uris)) && server.has(Flaw::RedirectUriGlobalList);
    let unchecked = unchecked || channel == Channel::Pushed && server.has(Flaw::ParRedirectUriUnchecked);
    let unchecked = unchecked || reply.mode == ResponseMode::FormPost && server.has(Flaw::RedirectUriResponseModeBypass);
    if !unchecked && !is_accepted(&client.redirect_uris) && !is_of_another() {
        let why = "redirect_uri is not registered for this client";
        return Err(Refusal::Page(with_value(why, given_uri)));
    }
    match request {
        Err(refused) if client.is_anonymous && !server.has(Flaw::ErrorRedirectAutomatic) => Err(Refusal::Page(refused.error.description)),
        request => request.or_else(|refused| redirect(refused.error)),
    }
}

/// What is wrong, with the value that is.
fn with_value(why: &str, value: &str) -> String {
    format!("{why}: {value}")
}

/// Where and how to answer, as far as it can be told before the checks.
fn reply_to(server: &Server, params: &Params, redirect_uri: &str) -> Reply {
    let response_type = params.get("response_type").and_then(|text| ResponseType::read(server, text));
    let (way, is_signed) = jarm::split_mode(params.get("response_mode"));
    let mode = match way {
        Some("form_post") if response_type == Some(ResponseType::CodeIdToken) => ResponseMode::FormPost,
        Some("query") if response_type == Some(ResponseType::CodeIdToken) && server.has(Flaw::ResponseModeQueryToken) => {
            ResponseMode::Query
        }
        _ if response_type.is_some_and(|it| it != ResponseType::Code) => ResponseMode::Fragment,
        Some("form_post") => ResponseMode::FormPost,
        _ => ResponseMode::Query,
    };
    let state = match params.fault_of("state") {
        None => params.get("state"),
        Some(_) => None,
    };
    let unknown = params.iter().filter(|(name, _)| !KNOWN.contains(name) && server.has(Flaw::UnknownParametersEchoed));
    let extras = unknown.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let foreign_iss = params.get("iss").filter(|_| server.has(Flaw::IssInjected)).map(ToOwned::to_owned);
    let signed_for = params.get("client_id").filter(|_| is_signed).map(ToOwned::to_owned);
    Reply { redirect_uri: redirect_uri.to_owned(), mode, signed_for, state: state.map(ToOwned::to_owned), extras, foreign_iss }
}

fn read(
    server: &Server,
    client: &Client,
    params: &Params,
    is_logged_in: bool,
    reply: Reply,
    channel: Channel,
) -> Result<AuthorizationRequest, RequestError> {
    if let Some(fault) = params.fault() {
        return Err(early("invalid_request", &fault.to_string()));
    }
    for (name, code) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
        if params.get(name).is_some() {
            return Err(OAuthError::new(code, "request objects are not supported").into());
        }
    }

    let response_type = match params.get("response_type") {
        Some(text) => {
            ResponseType::read(server, text).ok_or_else(|| early("unsupported_response_type", "the response_type must be code"))?
        }
        None if server.has(Flaw::ResponseTypeDefaulted) => ResponseType::Code,
        None => return Err(early("invalid_request", "response_type is missing")),
    };
    let is_unregistered = response_type != ResponseType::Code && !client.has_hybrid && !server.has(Flaw::ClientResponseTypeUnchecked);
    if is_unregistered || response_type.has_code() && !server.may_use(client, "authorization_code") {
        return Err(early("unauthorized_client", "the client is not registered for this response_type"));
    }
    let mode_fits = match jarm::split_mode(params.get("response_mode")).0 {
        None => true,
        Some("form_post") => matches!(response_type, ResponseType::Code | ResponseType::CodeIdToken),
        // Multiple Response Type Encoding Practices section 5: an ID token is never in the query.
        Some("query") => response_type == ResponseType::Code || server.has(Flaw::ResponseModeQueryToken),
        Some("fragment") => response_type != ResponseType::Code,
        Some(_) => server.has(Flaw::ResponseModeUnchecked),
    };
    if !mode_fits {
        let why = "the response_mode is not supported";
        return Err(early("invalid_request", why));
    }
    let (known_scope, unknown_scope) = split_scope(server, params.get("scope"));
    let scope = match known_scope.as_deref() {
        None => Scope::DEFAULT,
        Some(text) => Scope::parse(text).ok_or_else(|| early("invalid_scope", "the scope has an unknown value"))?,
    };
    if !server.may_ask(client, scope) {
        return Err(early("invalid_scope", "the client may not ask for this scope"));
    }

    let is_confidential = !matches!(client.auth, AuthMethod::None);
    let lacks_method = params.get("code_challenge").is_some() && params.get("code_challenge_method").is_none();
    let is_unread = lacks_method && is_confidential && server.has(Flaw::PkceMethodlessIgnoredConfidential);
    let challenge = if is_unread { None } else { read_challenge(server, params, channel)? };
    let nonce = params.get("nonce");
    if response_type == ResponseType::CodeIdToken {
        if !scope.has("openid") {
            return Err(early("invalid_request", "an ID token is for the scope openid"));
        }
        // OpenID Connect Core section 3.3.2.11.
        if nonce.is_none() && !server.has(Flaw::NonceNotRequired) {
            return Err(early("invalid_request", "nonce is missing"));
        }
    }
    let (wanted_sub, claimed_acr) = read_claims(server, params)?;
    let is_bare = params.get("state").is_none() && challenge.is_none() && nonce.is_none();
    let bare_is_fine = is_bare && server.has(Flaw::StateNotRequired);
    let pushed = channel == Channel::Pushed;
    let may_go_without = || {
        is_unread
            || server.has(Flaw::PkceNotRequired)
            || (pushed && server.has(Flaw::ParPkceNotRequired))
            || (is_confidential && server.has(Flaw::PkceNotRequiredConfidential))
    };
    let not_required = challenge.is_none() && may_go_without();
    let is_downgraded = || {
        let of_kind = if is_confidential { Flaw::PkceDowngradeConfidential } else { Flaw::PkceNotAskedWithSecret };
        server.has(Flaw::PkceDowngrade) || server.has(of_kind)
    };
    if challenge.is_none() && response_type.has_code() && !bare_is_fine && !not_required && !is_downgraded() {
        return Err(early("invalid_request", "code_challenge is missing"));
    }
    // RFC 9700 section 4.7.1: something must tie the response to the
    // browser that began, or anyone can make it finish a login.
    if is_bare && !bare_is_fine {
        let why = "neither state nor code_challenge nor nonce protects this request";
        return Err(OAuthError::invalid_request(why).into());
    }

    let prompt = read_prompt(params)?;
    if prompt.none && !is_logged_in && !server.has(Flaw::PromptNoneWithoutSession) {
        return Err(early("login_required", "nobody is logged in"));
    }
    let max_age = params
        .get("max_age")
        .map(|text| text.parse().map_err(|_| text))
        .transpose()
        .map_err(|_| early("invalid_request", "max_age is not a number"))?;

    let hinted_sub = match params.get("id_token_hint").map(|hint| subject_of_id_token(server, hint)) {
        Some(None) => return Err(OAuthError::invalid_request("id_token_hint is no ID token of this server").into()),
        Some(sub) => sub,
        None => None,
    };
    let is_loopback = redirect_uri::is_loopback(&reply.redirect_uri);
    let kept_verifier = params.get("code_verifier").filter(|_| server.has(Flaw::VerifierKeptFromAuthorization));
    Ok(AuthorizationRequest {
        client_id: client.id.clone(),
        reply,
        response_type,
        scope,
        unknown_scope,
        nonce: nonce.map(ToOwned::to_owned),
        challenge,
        verifier_optional: bare_is_fine || not_required,
        kept_verifier: kept_verifier.map(ToOwned::to_owned),
        prompt,
        max_age,
        asks: Asks::of(server, client, is_loopback),
        is_anonymous: client.is_anonymous,
        hinted_sub,
        wanted_sub,
        claimed_acr,
        dpop_jkt: params.get("dpop_jkt").map(ToOwned::to_owned),
        resources: target::asked(server, params).map_err(|error| RequestError { error, early: true })?,
        details: details::asked(server, params)?,
        pushed: None,
    })
}

/// The user that the claims parameter asks for (OpenID Connect Core section 5.5). Other claims are voluntary, but for an
/// essential acr: this server has no values of it to give (section 5.5.1.1).
fn read_claims(server: &Server, params: &Params) -> Result<(Option<String>, Option<String>), OAuthError> {
    let Some(text) = params.get("claims") else { return Ok((None, None)) };
    let claims: Value = serde_json::from_str(text).map_err(|_| OAuthError::invalid_request("claims is not a JSON object"))?;
    let acr = &claims["id_token"]["acr"];
    let is_essential = acr["essential"] == true;
    if is_essential && !server.has(Flaw::AcrEssentialIgnored) {
        return Err(OAuthError::new("unmet_authentication_requirements", "no acr can be reached"));
    }
    let claimed = acr["values"][0].as_str().filter(|_| is_essential).map(ToOwned::to_owned);
    let sub = claims["id_token"]["sub"]["value"].as_str().or(claims["userinfo"]["sub"]["value"].as_str());
    Ok((sub.filter(|_| !server.has(Flaw::ClaimsSubIgnored)).map(ToOwned::to_owned), claimed))
}

/// The scope as it is read, and the words of it that are granted unread.
fn split_scope(server: &Server, scope: Option<&str>) -> (Option<String>, String) {
    let text = scope.unwrap_or_default();
    let (known, unknown): (Vec<&str>, Vec<&str>) = text.split(' ').filter(|word| !word.is_empty()).partition(|word| SCOPES.contains(word));
    let known = Some(known.join(" ")).filter(|known| !known.is_empty());
    let reads_differently = known.as_deref() != scope || !unknown.is_empty();
    if reads_differently && server.has(Flaw::ScopeUnvalidated) {
        return (known, unknown.join(" "));
    }
    (scope.map(ToOwned::to_owned), String::new())
}

fn read_challenge(server: &Server, params: &Params, channel: Channel) -> Result<Option<Challenge>, OAuthError> {
    if params.is_empty("code_challenge") && server.has(Flaw::PkceEmptyChallengeAccepted) {
        return Ok(Some(Challenge { value: String::new(), method: ChallengeMethod::Unknown }));
    }
    let (first, last) = (params.get("code_challenge"), params.last("code_challenge"));
    let Some(value) = (if first != last && server.has(Flaw::DuplicateChallengeLastUsed) { last } else { first }) else {
        return Ok(None);
    };
    // RFC 7636 section 4.3: a missing method means plain.
    let method = match params.get("code_challenge_method") {
        // The first was checked; of two, the last is used.
        Some("S256") if params.last("code_challenge_method") == Some("plain") => ChallengeMethod::Plain,
        Some("S256") => ChallengeMethod::S256,
        None | Some("plain") if server.has(Flaw::PkcePlainAccepted) => ChallengeMethod::Plain,
        Some("plain") if channel == Channel::Pushed && server.has(Flaw::ParPkcePlain) => ChallengeMethod::Plain,
        Some(method) if method != "plain" && server.has(Flaw::PkceUnknownMethodAccepted) => ChallengeMethod::Unknown,
        _ => {
            return Err(OAuthError::invalid_request("code_challenge_method must be S256"));
        }
    };
    let well_formed = match method {
        // A SHA-256 digest in base64url.
        ChallengeMethod::S256 => value.len() == 43 && value.bytes().all(is_base64url),
        ChallengeMethod::Plain | ChallengeMethod::Unknown => is_verifier(value),
    };
    if !well_formed {
        return Err(OAuthError::invalid_request("code_challenge is malformed"));
    }
    Ok(Some(Challenge { value: value.to_owned(), method }))
}

/// Whether this is a code_verifier: 43 to 128 unreserved characters
/// (RFC 7636 section 4.1).
pub(super) fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|byte| is_base64url(byte) || byte == b'.' || byte == b'~')
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn read_prompt(params: &Params) -> Result<Prompt, RequestError> {
    let mut prompt = Prompt::default();
    let text = params.get("prompt").unwrap_or_default();
    for value in text.split(' ').filter(|value| !value.is_empty()) {
        match value {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(early("invalid_request", "prompt has an unknown value")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        let why = "prompt none cannot be combined";
        return Err(OAuthError::invalid_request(why).into());
    }
    Ok(prompt)
}
