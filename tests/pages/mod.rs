//! A small authorization server whose login and consent pages are made by a script altogether.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantproof::totp::Totp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// The authenticator of its user.
pub const TOTP: &str = "GEZDGNBVGY3TQOJQ";

/// How the server behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config {
    /// It asks for consent at each authorization request, and not once for each session.
    pub always_asks: bool,
    pub second_factor: bool,
    /// How long the server thinks about a password, and how long its pages wait before they go on.
    pub slow: Duration,
    /// Its login page comes once for each request; asked for again, it is an error page.
    pub once: bool,
    /// It takes any code_verifier.
    pub ignores_verifier: bool,
}

#[derive(Default)]
struct Session {
    half: bool,
    logged_in: bool,
    consented: bool,
}

#[derive(Default)]
struct Seen {
    sessions: HashMap<String, Session>,
    /// Code → challenge.
    codes: HashMap<String, String>,
    tokens: Vec<String>,
    /// Addresses of pages that came.
    came: HashSet<String>,
    /// Requests to the API of the pages, by path.
    calls: Vec<String>,
}

pub struct Pages {
    pub base: String,
    /// Where the client is said to listen.
    pub redirect_uri: String,
    seen: Arc<Mutex<Seen>>,
    callback: TcpListener,
}

#[derive(Clone)]
struct Server {
    base: String,
    redirect_uri: String,
    config: Config,
    seen: Arc<Mutex<Seen>>,
}

impl Pages {
    pub async fn start(config: Config) -> Pages {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let callback = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let redirect_uri = format!("http://{}/cb", callback.local_addr().expect("an address"));
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let server = Server { base: base.clone(), redirect_uri: redirect_uri.clone(), config, seen: Arc::clone(&seen) };
        let router = Router::new().fallback(answer).with_state(server);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Pages { base, redirect_uri, seen, callback }
    }

    /// How often the pages asked their API for something.
    pub fn calls(&self, path: &str) -> usize {
        self.seen.lock().expect("what was seen").calls.iter().filter(|call| *call == path).count()
    }

    /// Nobody has connected to the redirect_uri.
    pub async fn callback_was_left_alone(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(20), self.callback.accept()).await.is_err()
    }
}

async fn answer(State(server): State<Server>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let query: HashMap<String, String> = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let cookie = headers.get("cookie").and_then(|c| c.to_str().ok()).unwrap_or_default();
    let session = cookie.split("; ").find_map(|pair| pair.strip_prefix("sid=")).unwrap_or_default().to_owned();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (method.as_str(), uri.path()) {
        ("GET", "/.well-known/openid-configuration") => json_answer(200, &server.metadata()),
        ("GET", "/authorize") => server.authorize(&uri, &query, &session),
        ("GET", "/login" | "/consent") => {
            let again = !server.seen.lock().expect("what was seen").came.insert(uri.to_string());
            match again && server.config.once {
                true => (StatusCode::BAD_REQUEST, [("content-type", "text/html")], "<title>Error</title><p>This page has been shown.")
                    .into_response(),
                false => shell(200, &session),
            }
        }
        ("GET", "/app.js") => ([("content-type", "text/javascript")], include_str!("app.js")).into_response(),
        ("POST", path) if path.starts_with("/api/") => server.api(path, &sent, &session).await,
        ("POST", "/token") => server.token(&body),
        ("GET", "/userinfo") => {
            let known = server.seen.lock().expect("what was seen");
            let shown = headers.get("authorization").and_then(|h| h.to_str().ok()).and_then(|h| h.strip_prefix("Bearer "));
            match shown.is_some_and(|token| known.tokens.iter().any(|t| t == token)) {
                true => json_answer(200, &json!({"sub": "alice"})),
                false => (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer error=\"invalid_token\"")]).into_response(),
            }
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>())
}

fn json_answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("content-type", "application/json"), ("cache-control", "no-store")], body.to_string()).into_response()
}

fn redirect(to: &str) -> Response {
    (StatusCode::FOUND, [("location", to)]).into_response()
}

/// All that the HTML of a page has. A browser without a session is given one.
fn shell(status: u16, session: &str) -> Response {
    let page = "<!doctype html><title>Pages login</title><div id=root>Loading…</div><script src=/app.js></script>";
    let cookie = if session.is_empty() { format!("sid={}; HttpOnly; Path=/", random()) } else { "seen=1".to_owned() };
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("content-type", "text/html"), ("x-frame-options", "DENY"), ("set-cookie", cookie.as_str())], page).into_response()
}

impl Server {
    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.base);
        json!({"issuer": self.base, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
            "userinfo_endpoint": at("userinfo"), "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]})
    }

    fn authorize(&self, uri: &Uri, query: &HashMap<String, String>, session: &str) -> Response {
        let value = |name: &str| query.get(name).map_or("", String::as_str);
        if value("client_id") != "spa" || value("redirect_uri") != self.redirect_uri {
            return shell(400, session);
        }
        let mut back = url::Url::parse(&self.redirect_uri).expect("a URL");
        back.query_pairs_mut().append_pair("state", value("state"));
        if value("response_type") != "code" || value("code_challenge").is_empty() || value("code_challenge_method") != "S256" {
            back.query_pairs_mut().append_pair("error", "invalid_request");
            return redirect(back.as_str());
        }
        let mut seen = self.seen.lock().expect("what was seen");
        let known = seen.sessions.get_mut(session);
        let page = match &known {
            Some(s) if s.logged_in && s.consented => None,
            Some(s) if s.logged_in => Some("consent"),
            _ => Some("login"),
        };
        if let Some(page) = page {
            let there = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("return", &there).finish();
            return redirect(&format!("/{page}?{query}"));
        }
        if let (true, Some(session)) = (self.config.always_asks, known) {
            session.consented = false;
        }
        let code = random();
        seen.codes.insert(code.clone(), value("code_challenge").to_owned());
        back.query_pairs_mut().append_pair("code", &code);
        redirect(back.as_str())
    }

    async fn api(&self, path: &str, sent: &Value, session: &str) -> Response {
        self.seen.lock().expect("what was seen").calls.push(path.to_owned());
        let text = |name: &str| sent.get(name).and_then(Value::as_str).unwrap_or_default();
        if path == "/api/login" {
            tokio::time::sleep(self.config.slow).await;
        }
        let mut seen = self.seen.lock().expect("what was seen");
        let known = seen.sessions.entry(session.to_owned()).or_default();
        let no = || json_answer(401, &json!({}));
        match path {
            "/api/config" => return json_answer(200, &json!({"wait": self.config.slow.as_millis() as u64})),
            "/api/login" if text("user") != "alice" || text("password") != "wonderland-1" => return no(),
            "/api/login" if self.config.second_factor => known.half = true,
            "/api/login" => known.logged_in = true,
            "/api/otp" => {
                let now = u64::try_from(jiff::Timestamp::now().as_second()).expect("after 1970");
                let totp = Totp::read(TOTP).expect("a secret");
                let near = (Totp::step_at(now) - 1..=Totp::step_at(now) + 1).any(|step| totp.code(step) == text("code"));
                if !known.half || !near {
                    return no();
                }
                known.logged_in = true;
            }
            "/api/consent" if known.logged_in => known.consented = true,
            _ => return no(),
        }
        json_answer(200, &json!({"otp": known.half && !known.logged_in}))
    }

    fn token(&self, body: &[u8]) -> Response {
        let sent: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let value = |name: &str| sent.get(name).map_or("", String::as_str);
        let mut seen = self.seen.lock().expect("what was seen");
        let challenge = seen.codes.remove(value("code")).unwrap_or_default();
        let right = challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier"))) || self.config.ignores_verifier;
        if challenge.is_empty() || !right || value("redirect_uri") != self.redirect_uri || value("client_id") != "spa" {
            return json_answer(400, &json!({"error": "invalid_grant"}));
        }
        let token = random();
        seen.tokens.push(token.clone());
        json_answer(200, &json!({"access_token": token, "token_type": "Bearer", "expires_in": 600}))
    }
}
