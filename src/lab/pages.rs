//! The HTML pages, with the headers that protect them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Flaw;
use super::authorization_request::AuthorizationRequest;
use super::details;
use super::directory::{USERS, User};
use super::metadata;
use super::scope::Scope;
use super::server::Server;
use super::store::Transaction;

const SUBMIT: &str = "document.forms[0].submit()";

/// Makes text safe in HTML, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Whether a page shows something else where a text is not made safe.
fn is_markup(text: &str) -> bool {
    escape(text) != text
}

/// The login form.
pub(super) fn login(server: &Server, tx: &str, transaction: &Transaction, message: Option<&str>) -> Response {
    let (csrf, request) = (&transaction.csrf, &transaction.request);
    let state = request.reply.state.as_deref().filter(|state| is_markup(state) && server.has(Flaw::StateReflectedUnescaped));
    let state = state.unwrap_or_default();
    let message = message.map_or_else(String::new, |message| format!("<p role=\"alert\">{}</p>\n", escape(message)));
    let body = format!(
        "<h1>Log in</h1>\n<p>to continue to {client}</p>\n{message}\
         <form method=\"post\" action=\"/login\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <input type=\"hidden\" name=\"tx\" value=\"{tx}\">\n\
         <p><label>User name <input type=\"text\" name=\"username\" autocomplete=\"username\" required></label></p>\n\
         <p><label>Password <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required></label></p>\n\
         <p><button type=\"submit\">Log in</button></p>\n</form>\n{state}",
        client = escape(&request.client_id),
        csrf = escape(csrf),
        tx = escape(tx),
    );
    page(server, StatusCode::OK, "Log in", &body, None)
}

/// The form for a one-time code, after the password.
pub(super) fn second_factor(server: &Server, tx: &str, csrf: &str, message: Option<&str>) -> Response {
    let message = message.map_or_else(String::new, |message| format!("<p role=\"alert\">{}</p>\n", escape(message)));
    let body = format!(
        "<h1>One more step</h1>\n{message}\
         <form method=\"post\" action=\"/second-factor\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <input type=\"hidden\" name=\"tx\" value=\"{tx}\">\n\
         <p><label>The code that your authenticator shows <input type=\"text\" name=\"code\" inputmode=\"numeric\" \
         autocomplete=\"one-time-code\" required></label></p>\n\
         <p><button type=\"submit\">Log in</button></p>\n</form>",
        csrf = escape(csrf),
        tx = escape(tx),
    );
    page(server, StatusCode::OK, "One more step", &body, None)
}

/// The consent form. Its first button refuses.
pub(super) fn consent(server: &Server, tx: &str, csrf: &str, request: &AuthorizationRequest) -> Response {
    let (redirect_uri, scope) = (&request.reply.redirect_uri, request.scope.to_string());
    let scopes: String = request.scope.names().map(|name| format!("<li>{}</li>\n", escape(name))).collect();
    let details: String = details::lines(&request.details).iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    // What the form repeats is compared when it comes back.
    let repeated = match request.details.is_empty() {
        true => String::new(),
        false => format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", details::NAME, escape(&json!(request.details).to_string())),
    };
    let body = format!(
        "<h1>Allow access?</h1>\n{logo}<p>{client} asks for:</p>\n<ul>\n{scopes}{details}</ul>\n\
         <form method=\"post\" action=\"/consent\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <input type=\"hidden\" name=\"tx\" value=\"{tx}\">\n\
         <input type=\"hidden\" name=\"redirect_uri\" value=\"{redirect_uri}\">\n\
         <input type=\"hidden\" name=\"scope\" value=\"{scope}\">\n{repeated}\
         <p><button type=\"submit\" name=\"decision\" value=\"deny\">Cancel</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button></p>\n</form>",
        logo = logo(server, &request.client_id),
        client = called(server, &request.client_id),
        csrf = escape(csrf),
        tx = escape(tx),
        redirect_uri = escape(redirect_uri),
        scope = escape(&scope),
    );
    page(server, StatusCode::OK, "Allow access?", &body, None)
}

/// The page that takes a user code.
pub(super) fn device_code(server: &Server, code: &str) -> Response {
    let body = format!(
        "<h1>Connect a device</h1>\n<form method=\"post\" action=\"/device\">\n\
         <p><label>The code that the device shows <input type=\"text\" name=\"user_code\" value=\"{}\" required></label></p>\n\
         <p><button type=\"submit\">Continue</button></p>\n</form>",
        escape(code)
    );
    page(server, StatusCode::OK, "Connect a device", &body, None)
}

/// The login form that comes after the code.
pub(super) fn device_login(server: &Server, code: &str, message: Option<&str>) -> Response {
    let message = message.map_or_else(String::new, |message| format!("<p role=\"alert\">{}</p>\n", escape(message)));
    let body = format!(
        "<h1>Log in</h1>\n<p>to connect a device</p>\n{message}<form method=\"post\" action=\"/device/login\">\n\
         <input type=\"hidden\" name=\"user_code\" value=\"{}\">\n\
         <p><label>User name <input type=\"text\" name=\"username\" autocomplete=\"username\" required></label></p>\n\
         <p><label>Password <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required></label></p>\n\
         <p><button type=\"submit\">Log in</button></p>\n</form>",
        escape(code)
    );
    page(server, StatusCode::OK, "Log in", &body, None)
}

/// The question whether a device may be connected: with its code and its client (RFC 8628 section 5.4).
pub(super) fn device_question(server: &Server, code: &str, shows: &str, csrf: &str, client_id: &str, scope: Scope) -> Response {
    let scopes: String = scope.names().map(|name| format!("<li>{}</li>\n", escape(name))).collect();
    let body = format!(
        "<h1>Connect this device?</h1>\n<p>It shows {shows}, it is {client}, and it asks for:</p>\n<ul>\n{scopes}</ul>\n\
         <form method=\"post\" action=\"/device/confirm\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <input type=\"hidden\" name=\"user_code\" value=\"{code}\">\n\
         <p><button type=\"submit\" name=\"decision\" value=\"deny\">Cancel</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button></p>\n</form>",
        code = escape(code),
        shows = escape(shows),
        client = called(server, client_id),
        csrf = escape(csrf),
    );
    page(server, StatusCode::OK, "Connect this device?", &body, None)
}

/// What a client is called: the name that it registered, else its id.
fn called(server: &Server, client_id: &str) -> String {
    match server.client(client_id).and_then(|client| client.name.as_deref()) {
        Some(name) if server.has(Flaw::DcrMetadataXss) => name.to_owned(),
        Some(name) => escape(name),
        None => escape(client_id),
    }
}

/// The picture of a client, by way of the server.
fn logo(server: &Server, client_id: &str) -> String {
    let is_shown = server.client(client_id).is_some_and(|client| client.logo_uri.is_some()) && server.has(Flaw::ClientLogoFetched);
    if is_shown { format!("<img src=\"/logo/{}\" alt=\"\">\n", escape(client_id)) } else { String::new() }
}

/// A page that says what was done.
pub(super) fn said(server: &Server, title: &str, words: &str) -> Response {
    let body = format!("<h1>{}</h1>\n<p>{}</p>", escape(title), escape(words));
    page(server, StatusCode::OK, title, &body, None)
}

/// The question whether the user wants to log out.
pub(super) fn logout(server: &Server, tx: &str, csrf: &str) -> Response {
    let body = format!(
        "<h1>Log out?</h1>\n<form method=\"post\" action=\"/logout\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <input type=\"hidden\" name=\"tx\" value=\"{tx}\">\n\
         <p><button type=\"submit\" name=\"decision\" value=\"stay\">Stay</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"logout\">Log out</button></p>\n</form>",
        csrf = escape(csrf),
        tx = escape(tx),
    );
    page(server, StatusCode::OK, "Log out?", &body, None)
}

/// What a user sees who is logged out.
pub(super) fn logged_out(server: &Server) -> Response {
    page(server, StatusCode::OK, "Logged out", "<h1>Logged out</h1>\n<p>You are logged out.</p>", None)
}

/// A page that says what is wrong.
pub(super) fn error(server: &Server, status: StatusCode, why: &str) -> Response {
    let escaped = escape(why);
    let text = if escaped != why && server.has(Flaw::ErrorPageUnescaped) { why.to_owned() } else { escaped };
    let why = evaluate(&text).filter(|_| server.has(Flaw::ExpressionsEvaluated)).unwrap_or(text);
    let body = format!("<h1>Error</h1>\n<p>{why}</p>");
    page(server, status, "Error", &body, None)
}

/// A page that leads on by itself.
pub(super) fn leading_to(server: &Server, location: &str) -> Response {
    let location = escape(location);
    let body =
        format!("<meta http-equiv=\"refresh\" content=\"0; url={location}\">\n<p><a href=\"{location}\">Back to the application</a></p>");
    page(server, StatusCode::OK, "You are being led back", &body, None)
}

/// A form that posts the response to the client by itself (OAuth 2.0 Form
/// Post Response Mode).
pub(super) fn form_post(server: &Server, action: &str, params: &[(&str, &str)]) -> Response {
    let inputs: String = params
        .iter()
        .map(|(name, value)| {
            let is_raw = *name == "state" && is_markup(value) && server.has(Flaw::StateReflectedUnescaped);
            let (name, value) = (escape(name), if is_raw { (*value).to_owned() } else { escape(value) });
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n")
        })
        .collect();
    let body = format!(
        "<form method=\"post\" action=\"{}\">\n{inputs}\
         <noscript><button type=\"submit\">Continue</button></noscript>\n</form>\n\
         <script>{SUBMIT}</script>",
        escape(action),
    );
    page(server, StatusCode::OK, "Continue", &body, Some(SUBMIT))
}

/// The text with the product of two numbers in place of `${a*b}`; None: there is no such thing in it.
fn evaluate(text: &str) -> Option<String> {
    let product = |before: &str, rest: &str| {
        let (inside, after) = rest.split_once('}')?;
        let (a, b) = inside.split_once('*')?;
        let (a, b): (u64, u64) = (a.parse().ok()?, b.parse().ok()?);
        Some(format!("{before}{}{after}", a.checked_mul(b)?))
    };
    text.split_once("${").and_then(|(before, rest)| product(before, rest))
}

/// The page for humans who open the root.
pub(super) fn home(server: &Server) -> Response {
    let list = |items: Vec<String>| -> String { items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect() };
    let endpoints = list(metadata::endpoints(server));
    let second = |user: &User| user.authenticator.as_ref().map_or_else(String::new, |it| format!(" / authenticator {}", it.shown));
    let users = list(USERS.iter().map(|user| format!("{} / {}{}", user.name, user.password, second(user))).collect());
    let clients = list(server.clients.iter().map(|it| it.id.clone()).collect());
    let flaws = list(server.flaws().iter().map(|flaw| format!("{flaw}: {}", flaw.describes())).collect());
    let flaws = if flaws.is_empty() { "<p>None: this server is strict.</p>".to_owned() } else { format!("<ul>\n{flaws}</ul>") };
    let body = format!(
        "<h1>Lab authorization server</h1>\n\
         <p>An OAuth 2.0 and OpenID Connect server to test against. It listens on \
         loopback only, its users and keys are for demonstration, and it protects nothing.</p>\n\
         <h2>Endpoints</h2>\n<ul>\n{endpoints}</ul>\n\
         <h2>Clients</h2>\n<ul>\n{clients}</ul>\n\
         <h2>Users</h2>\n<ul>\n{users}</ul>\n\
         <h2>Flaws that are on</h2>\n{flaws}"
    );
    page(server, StatusCode::OK, "Lab authorization server", &body, None)
}

/// A whole page. The only script it can run is `script`.
fn page(server: &Server, status: StatusCode, title: &str, body: &str, script: Option<&str>) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{}</title>\n</head>\n<body>\n{body}\n{help}</body>\n</html>\n",
        escape(title),
        help = if server.has(Flaw::ReferrerLeak) { "<p><a href=\"https://help.example/\">Help</a></p>\n" } else { "" },
    );
    // No form-action: browsers apply it to the redirect that follows a form
    // as well, which goes to the client.
    let mut policy = "default-src 'none'; base-uri 'none'".to_owned();
    if let Some(script) = script {
        let hash = STANDARD.encode(Sha256::digest(script));
        policy.push_str(&format!("; script-src 'sha256-{hash}'"));
    }
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_TYPE, "text/html; charset=utf-8");
    let (cached, leaks) = (server.has(Flaw::LoginPageCacheable), server.has(Flaw::ReferrerLeak));
    set(header::CACHE_CONTROL, if cached { "public, max-age=300" } else { "no-store" });
    set(header::REFERRER_POLICY, if leaks { "unsafe-url" } else { "no-referrer" });
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if !server.has(Flaw::Clickjacking) {
        policy.push_str("; frame-ancestors 'none'");
        set(header::X_FRAME_OPTIONS, "DENY");
    }
    if let Ok(value) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, value);
    }
    (status, headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn everything_that_matters_in_html_is_escaped() {
        assert_eq!(escape("<a href=\"x\" b='y'>&amp;ä"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;ä");
    }
}
