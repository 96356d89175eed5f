//! A gate before the lab that speaks what the lab does not: pushed and signed authorization requests, DPoP with nonces,
//! assertions signed with the client secret. It checks them, and asks the lab in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantproof::engine::{eval, forge, keys};
use grantproof::wire;
use serde_json::{Map, Value, json};

/// What the gate insists on.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Authorization requests are pushed.
    pub pushed: bool,
    /// Authorization requests are signed.
    pub signed: bool,
    /// Proofs with a nonce of the gate.
    pub dpop: bool,
    /// The one audience of assertions that is taken: a path of the gate, or a whole URL.
    pub audience: Option<String>,
    /// Tokens are said to be Bearer tokens, in spite of the proofs.
    pub unbound: bool,
    /// The secret that the client has here, and shows in a Basic header as it stands, not form-encoded.
    pub bare_secret: Option<&'static str>,
    /// `client_id` must stand in the body beside the pair in a Basic header.
    pub named_beside_pair: bool,
}

/// The gate, and what it saw.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: String,
    lab: String,
    /// Client id and secret.
    client: (String, String),
    rules: Rules,
    http: reqwest::Client,
    pushed: Mutex<BTreeMap<String, Pairs>>,
    used: Mutex<BTreeSet<String>>,
    log: Mutex<Vec<String>>,
    /// Requests without any assertion: the negative controls from nobody.
    nobody: AtomicUsize,
}

type Pairs = Vec<(String, String)>;

const NONCE: &str = "nonce-of-the-gate";

impl Gate {
    /// Opens a gate before a lab, for one of its clients.
    pub async fn open(lab: &str, client: (&str, &str), rules: Rules) -> Gate {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
        let gate = Gate(Arc::new(Inner {
            base: format!("http://{}", listener.local_addr().expect("an address")),
            lab: lab.to_owned(),
            client: (client.0.to_owned(), client.1.to_owned()),
            rules,
            http,
            pushed: Mutex::default(),
            used: Mutex::default(),
            log: Mutex::default(),
            nobody: AtomicUsize::new(0),
        }));
        let app = axum::Router::new().fallback(serve).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        gate
    }

    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// `path answer` of each request that the gate answered itself, in order.
    pub fn log(&self) -> Vec<String> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many assertions were refused.
    pub fn refused_assertions(&self) -> usize {
        self.log().iter().filter(|l| l.ends_with("invalid_client")).count() - self.0.nobody.load(Ordering::SeqCst)
    }

    fn refuse(&self, path: &str, status: u16, error: &str) -> Response {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{path} {error}"));
        let status = StatusCode::from_u16(status).expect("a status");
        (status, [("dpop-nonce", NONCE)], json!({ "error": error }).to_string()).into_response()
    }

    /// RFC 9449 §4.3.
    fn proof(&self, method: &str, path: &str, headers: &HeaderMap, token: Option<&str>) -> Result<(), &'static str> {
        let proof = headers.get("dpop").and_then(|v| v.to_str().ok()).ok_or("invalid_dpop_proof")?;
        let (header, claims) = parts(proof).ok_or("invalid_dpop_proof")?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("nonce") != NONCE {
            return Err("use_dpop_nonce");
        }
        let fresh = self.0.used.lock().unwrap_or_else(PoisonError::into_inner).insert(text("jti").to_owned());
        let right = keys::verifies(proof, "ES256", header.get("jwk").unwrap_or(&Value::Null))
            && text("htm") == method
            && text("htu") == format!("{}{path}", self.0.base)
            && token.is_none_or(|token| text("ath") == eval::s256(token));
        if fresh && right { Ok(()) } else { Err("invalid_dpop_proof") }
    }

    /// RFC 7523 §3; and the form without the assertion.
    fn authenticated(&self, mut form: Pairs) -> Result<Pairs, &'static str> {
        let Some(assertion) = form.iter().find(|(n, _)| n == "client_assertion").map(|(_, v)| v.clone()) else {
            self.0.nobody.fetch_add(1, Ordering::SeqCst);
            return Err("invalid_client");
        };
        let (_, claims) = parts(&assertion).ok_or("invalid_client")?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let fresh = self.0.used.lock().unwrap_or_else(PoisonError::into_inner).insert(text("jti").to_owned());
        let wanted = self.0.rules.audience.as_ref().map(|a| if a.starts_with('/') { format!("{}{a}", self.0.base) } else { a.clone() });
        if !fresh || !self.signed(&assertion) || text("sub") != self.0.client.0 || wanted.is_some_and(|aud| aud != text("aud")) {
            return Err("invalid_client");
        }
        form.retain(|(name, _)| !name.starts_with("client_"));
        Ok(form)
    }

    /// Whether the client signed a JWS with its secret.
    fn signed(&self, jws: &str) -> bool {
        let Some((input, signature)) = jws.rsplit_once('.') else { return false };
        let right = forge::hmac("HS256", self.0.client.1.as_bytes(), input.as_bytes()).expect("a tag");
        URL_SAFE_NO_PAD.encode(right) == signature
    }

    async fn lab(&self, method: &str, path: &str, query: &str, headers: &HeaderMap, body: Vec<u8>, as_client: bool) -> Response {
        let sign = if query.is_empty() { "" } else { "?" };
        let mut request = self.0.http.request(method.parse().expect("a method"), format!("{}{path}{sign}{query}", self.0.lab)).body(body);
        for name in [header::COOKIE, header::CONTENT_TYPE, header::ACCEPT, header::ORIGIN, header::REFERER, header::AUTHORIZATION] {
            if let Some(value) = headers.get(&name).filter(|_| name != header::AUTHORIZATION || !as_client) {
                request = request.header(name, value.to_str().expect("text").replacen("DPoP ", "Bearer ", 1));
            }
        }
        if as_client {
            let pair = format!("{}:{}", wire::encode(&self.0.client.0), wire::encode(&self.0.client.1));
            request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
        }
        let answer = request.send().await.expect("the lab answers");
        let mut response = Response::builder().status(answer.status().as_u16());
        for (name, value) in answer.headers().iter().filter(|(n, _)| *n != header::CONTENT_LENGTH && *n != header::TRANSFER_ENCODING) {
            response = response.header(name.as_str(), value.as_bytes());
        }
        let mut text = answer.text().await.expect("a body");
        if self.0.rules.dpop && !self.0.rules.unbound {
            text = text.replace("\"token_type\":\"Bearer\"", "\"token_type\":\"DPoP\"");
        }
        response.body(Body::from(text)).expect("a response")
    }
}

fn parts(jws: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let parts = forge::split(jws)?;
    Some((forge::object(parts.header)?, forge::object(parts.payload)?))
}

fn joined(pairs: &Pairs) -> String {
    wire::form(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str(), false)))
}

async fn serve(State(gate): State<Gate>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str(), head.uri.path());
    let query = head.uri.query().unwrap_or_default();
    let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
    let form = wire::parse_form(&String::from_utf8_lossy(&body));
    let rules = &gate.0.rules;
    match path {
        "/par" | "/token" | "/device_authorization" if method == "POST" => {
            if rules.named_beside_pair {
                let (id, secret) = &gate.0.client;
                let is_named = form.iter().any(|(name, value)| name == "client_id" && value == id);
                let shown = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                return match is_named && shown == Some(eval::basic(id, secret).as_str()) {
                    true => gate.lab("POST", path, "", &head.headers, joined(&nameless(form)).into_bytes(), true).await,
                    false => gate.refuse(path, 401, "invalid_client"),
                };
            }
            if let Some(secret) = rules.bare_secret {
                let expected = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", gate.0.client.0)));
                let shown = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                return match shown == Some(expected.as_str()) {
                    true => gate.lab("POST", path, "", &head.headers, body, true).await,
                    false => gate.refuse(path, 401, "invalid_client"),
                };
            }
            if let (true, Err(error)) = (rules.dpop, gate.proof(method, path, &head.headers, None)) {
                return gate.refuse(path, 400, error);
            }
            let form = match gate.authenticated(form) {
                Ok(form) => form,
                Err(error) => return gate.refuse(path, 401, error),
            };
            if path != "/par" {
                return gate.lab("POST", path, "", &head.headers, joined(&form).into_bytes(), true).await;
            }
            let uri = format!("urn:gate:{}", eval::random(20));
            gate.0.pushed.lock().unwrap_or_else(PoisonError::into_inner).insert(uri.clone(), form);
            (StatusCode::CREATED, json!({ "request_uri": uri, "expires_in": 60 }).to_string()).into_response()
        }
        "/authorize" => {
            let given = wire::parse_form(query);
            let value = |name: &str| given.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let mut pairs = given.clone();
            if rules.pushed {
                let uri = value("request_uri").unwrap_or_default();
                let Some(pushed) = gate.0.pushed.lock().unwrap_or_else(PoisonError::into_inner).remove(&uri) else {
                    return gate.refuse(path, 400, "invalid_request_uri");
                };
                pairs = pushed;
            }
            if rules.signed {
                let object = pairs.iter().find(|(n, _)| n == "request").map(|(_, v)| v.clone()).unwrap_or_default();
                let Some((_, claims)) = parts(&object).filter(|_| gate.signed(&object)) else {
                    return gate.refuse(path, 400, "invalid_request_object");
                };
                let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
                pairs = claims.into_iter().filter_map(text).filter(|(n, _)| !matches!(n.as_str(), "iss" | "aud" | "jti")).collect();
            }
            // Whether a code is bound to a key is the gate's business.
            pairs.retain(|(name, _)| !matches!(name.as_str(), "client_id" | "dpop_jkt"));
            pairs.extend(value("client_id").map(|id| ("client_id".to_owned(), id)));
            gate.lab(method, path, &joined(&pairs), &head.headers, Vec::new(), false).await
        }
        "/userinfo" if rules.dpop && !rules.unbound => {
            let token = head.headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("DPoP "));
            if let (Some(token), true) = (token, method == "GET") {
                if let Err(error) = gate.proof(method, path, &head.headers, Some(token)) {
                    return gate.refuse(path, 401, error);
                }
                return gate.lab(method, path, query, &head.headers, body, false).await;
            }
            gate.refuse(path, 401, "invalid_token")
        }
        _ => gate.lab(method, path, query, &head.headers, body, false).await,
    }
}

/// The lab takes one way of naming a client at a time.
fn nameless(form: Pairs) -> Pairs {
    form.into_iter().filter(|(name, _)| name != "client_id").collect()
}
