//! A hostile server before the lab: it tells everybody every secret that it has seen or issued, in every place of its answers and in
//! every encoding, a few of them in each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantproof::wire;
use serde_json::{Value, json};

use super::canary::{Canary, written};

/// What the target file says, and the lab does not know.
pub const PASSWORD: &str = "W\u{fc}nder/l&nd \"9% x<+>\\";
pub const CLIENT_SECRET: &str = "S3cret/+%?&= ~\u{fc}\\u0041";
pub const OTP_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
pub const INITIAL_TOKEN: &str = "Init1al/acc+ess token?";

/// Bytes of secrets in the headers, and in the body, of one answer.
const IN_HEADERS: usize = 3000;
const IN_BODY: usize = 2200;

#[derive(Debug, Clone)]
pub struct Echo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: String,
    lab: String,
    /// The lab's own password of alice, and the confidential client with its secret.
    password: String,
    client: (String, String),
    http: reqwest::Client,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Each secret once, in order.
    secrets: Vec<Canary>,
    /// Those of this run of the program, and those that every run knows: what another run was given it cannot know.
    current: Vec<Canary>,
    /// Where the next answer goes on: kind → number of its next encoding.
    turn: BTreeMap<&'static str, usize>,
    /// Kind, encoding and place of everything that was told.
    told: BTreeSet<(&'static str, String, &'static str)>,
    registered: usize,
    /// The answer is one of the registration endpoint: only there the secrets of registrations are known to both sides.
    registering: bool,
}

/// Secrets of registrations, which no run knows of.
const OF_REGISTRATION: &[&str] = &["initial_access_token", "registration_access_token", "registered_secret"];

impl Shared {
    fn learn(&mut self, kind: &'static str, value: &str) {
        if value.len() >= 6 && !self.secrets.iter().any(|(_, known)| known == value) {
            self.secrets.push((kind, value.to_owned()));
        }
        if value.len() >= 6 && !self.current.iter().any(|(_, known)| known == value) {
            self.current.push((kind, value.to_owned()));
        }
    }

    /// The next secrets of each kind, the newest and another one, written so that `fits`, within a number of bytes.
    fn tell(&mut self, place: &'static str, most: usize, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let kinds: BTreeSet<&'static str> =
            self.current.iter().map(|(kind, _)| *kind).filter(|kind| OF_REGISTRATION.contains(kind) == self.registering).collect();
        let mut kinds: Vec<&'static str> = kinds.into_iter().collect();
        // What came up last, or is so long that it seldom fits, is told first.
        kinds.sort_by_key(|kind| self.told.iter().filter(|(told, _, _)| told == kind).count());
        let (mut list, mut left) = (Vec::new(), most);
        for kind in kinds {
            let turn = self.turn.entry(kind).or_default();
            *turn += 1;
            let all: Vec<&String> = self.current.iter().filter(|(k, _)| *k == kind).map(|(_, value)| value).collect();
            let secret = if turn.is_multiple_of(3) { all[*turn % all.len()] } else { all[all.len() - 1] };
            let encodings = written(secret);
            let (name, text) = &encodings[*turn % encodings.len()];
            if text.len() <= left && fits(text) {
                left -= text.len();
                self.told.insert((kind, name.clone(), place));
                list.push(text.clone());
            }
        }
        list
    }
}

impl Echo {
    pub async fn open(lab: &str, password: &str, client: (&str, &str)) -> Echo {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
        let echo = Echo(Arc::new(Inner {
            base: format!("http://{}", listener.local_addr().expect("an address")),
            lab: lab.to_owned(),
            password: password.to_owned(),
            client: (client.0.to_owned(), client.1.to_owned()),
            http,
            shared: Mutex::default(),
        }));
        let app = axum::Router::new().fallback(serve).with_state(echo.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        echo
    }

    /// Another run of the program begins, which has these secrets: of what was issued before, only registrations are told.
    pub fn next_run(&self, own: &[(&'static str, &str)]) {
        let mut shared = self.shared();
        shared.current.retain(|(kind, _)| OF_REGISTRATION.contains(kind) && *kind != "initial_access_token");
        for (kind, value) in own {
            shared.learn(kind, value);
        }
    }

    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// Every secret that went over the wire.
    pub fn secrets(&self) -> Vec<Canary> {
        self.shared().secrets.clone()
    }

    /// What was told: kind, encoding, place.
    pub fn told(&self) -> BTreeSet<(&'static str, String, &'static str)> {
        self.shared().told.clone()
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.0.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from pairs of a request or a callback. What an attack makes up is no secret: codes and tokens are learned where they are issued.
    fn learn_pairs(&self, text: &str, names: &[&'static str]) {
        for (name, value) in wire::parse_form(text) {
            if let Some(kind) = names.iter().find(|known| **known == name) {
                self.shared().learn(kind, &value);
            }
        }
    }

    /// What is known of a request, and the request as the lab takes it.
    fn in_lab_words(&self, text: &str) -> String {
        let lab = text.replace(&self.0.base, &self.0.lab).replace(&*wire::encode(&self.0.base), &wire::encode(&self.0.lab));
        let lab = lab.replace(&*wire::encode(PASSWORD), &wire::encode(&self.0.password));
        match lab.split_once("&otp=") {
            Some((before, after)) => format!("{before}{}", after.split_once('&').map(|(_, rest)| format!("&{rest}")).unwrap_or_default()),
            None => lab,
        }
    }

    fn in_own_words(&self, text: &str) -> String {
        text.replace(&self.0.lab, &self.0.base).replace(&*wire::encode(&self.0.lab), &wire::encode(&self.0.base))
    }

    fn register(&self, method: &str, authorization: &str) -> (u16, Vec<(String, String)>, String) {
        let mut shared = self.shared();
        if let Some(token) = authorization.strip_prefix("Bearer ") {
            let of = if method == "POST" { "initial_access_token" } else { "registration_access_token" };
            shared.learn(of, token);
        }
        shared.registered += 1;
        let number = shared.registered;
        let (status, body) = match (method, number % 3) {
            ("POST", 1) | ("DELETE", 0) => {
                (403, json!({"error": "access_denied", "error_description": format!("{authorization} is not enough")}))
            }
            ("POST", _) => {
                let (secret, token) = (format!("Reg1stered/secret+{number}"), format!("Reg1stration/token+{number}"));
                shared.learn("registered_secret", &secret);
                shared.learn("registration_access_token", &token);
                let uri = format!("{}/register/{number}", self.0.base);
                let body = json!({
                    "client_id": format!("client-{number}"), "client_secret": secret, "registration_access_token": token,
                    "registration_client_uri": uri, "redirect_uris": ["https://app.example/cb"],
                });
                (201, body)
            }
            _ => (204, Value::Null),
        };
        (status, vec![("content-type".into(), "application/json".into())], if body.is_null() { String::new() } else { body.to_string() })
    }

    async fn lab_answers(&self, request: Request) -> (u16, Vec<(String, String)>, String) {
        let (head, body) = request.into_parts();
        let body = String::from_utf8_lossy(&to_bytes(body, 1 << 20).await.expect("a body")).into_owned();
        let value = |name: header::HeaderName| head.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let authorization = value(header::AUTHORIZATION).unwrap_or_default();
        if head.uri.path().starts_with("/register") {
            return self.register(head.method.as_str(), &authorization);
        }
        // Proofs are for this server's address, so the lab behind it is not to bind anything to them.
        let query = head.uri.query().unwrap_or_default();
        let query = query.split('&').filter(|pair| !pair.starts_with("dpop_jkt=")).collect::<Vec<_>>().join("&");
        self.learn_pairs(&body, &["client_assertion", "otp"]);
        if let Some(proof) = head.headers.get("dpop").and_then(|v| v.to_str().ok()) {
            self.shared().learn("dpop_proof", proof);
        }
        let sign = if query.is_empty() { "" } else { "?" };
        let url = self.in_lab_words(&format!("{}{}{sign}{query}", self.0.lab, head.uri.path()));
        let mut request = self.0.http.request(head.method, url).body(self.in_lab_words(&body));
        for name in [header::COOKIE, header::CONTENT_TYPE, header::ACCEPT, header::ORIGIN, header::REFERER] {
            if let Some(text) = value(name.clone()) {
                request = request.header(name, self.in_lab_words(&text));
            }
        }
        if !authorization.is_empty() {
            let mine = STANDARD.encode(format!("{}:{}", wire::encode(&self.0.client.0), wire::encode(CLIENT_SECRET)));
            let theirs = STANDARD.encode(format!("{}:{}", wire::encode(&self.0.client.0), wire::encode(&self.0.client.1)));
            request = request.header(header::AUTHORIZATION, authorization.replace(&mine, &theirs));
        }
        let answer = request.send().await.expect("the lab answers");
        let status = answer.status().as_u16();
        if status == 200 {
            self.learn_pairs(&body, &["code_verifier"]);
        }
        let headers: Vec<(String, String)> = answer
            .headers()
            .iter()
            .filter(|(name, _)| **name != header::CONTENT_LENGTH && **name != header::TRANSFER_ENCODING)
            .map(|(name, value)| (name.to_string(), self.in_own_words(value.to_str().unwrap_or_default())))
            .collect();
        (status, headers, self.in_own_words(&answer.text().await.expect("a body")))
    }

    /// Learns what an answer issues.
    fn learn_answer(&self, headers: &[(String, String)], body: &str) {
        for (name, value) in headers {
            match name.as_str() {
                "location" => {
                    for part in value.split(['?', '#']).skip(1) {
                        self.learn_pairs(part, &["code"]);
                    }
                }
                "set-cookie" => {
                    let cookie = value.split(';').next().and_then(|pair| pair.split_once('=')).map_or("", |(_, value)| value);
                    self.shared().learn("cookie", cookie);
                }
                _ => {}
            }
        }
        if let Ok(Value::Object(members)) = serde_json::from_str(body) {
            for kind in ["access_token", "refresh_token", "id_token"] {
                if let Some(token) = members.get(kind).and_then(Value::as_str) {
                    self.shared().learn(kind, token);
                }
            }
        }
    }
}

async fn serve(State(echo): State<Echo>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (status, mut headers, body) = echo.lab_answers(request).await;
    echo.learn_answer(&headers, &body);
    let mut shared = echo.shared();
    shared.registering = path.starts_with("/register");
    let body = in_body(&mut shared, &path, body);
    in_headers(&mut shared, &mut headers);
    drop(shared);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).expect("a response")
}

fn in_headers(shared: &mut Shared, headers: &mut Vec<(String, String)>) {
    let plain = |text: &str| text.bytes().all(|b| (0x20..0x7f).contains(&b));
    let token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%+/=".contains(&b));
    for (place, text) in ["x-echo", "etag", "server", "x-more"].into_iter().zip(shared.tell("header", IN_HEADERS, plain)) {
        headers.push((place.into(), text));
    }
    for text in shared.tell("www-authenticate", 400, |t| plain(t) && !t.contains(['"', '\\'])).iter().take(1) {
        headers.push(("www-authenticate".into(), format!("Echo realm=\"{text}\"")));
    }
    for text in shared.tell("cookie", 300, token).iter().take(1) {
        headers.push(("set-cookie".into(), format!("echo=x{text}; Path=/never{text}")));
    }
    for text in shared.tell("header name", 60, |t| t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())).iter().take(1) {
        headers.push((format!("x-{text}"), "here".into()));
    }
    if let Some((_, location)) = headers.iter_mut().find(|(name, _)| name == "location") {
        for text in shared.tell("location", 800, |t| token(t) && !t.contains(['+', '/'])).iter().take(2) {
            let sign = if location.contains('?') { '&' } else { '?' };
            location.push_str(&format!("{sign}echo={text}"));
        }
        if let Some(text) = shared.tell("fragment", 400, |t| token(t) && !t.contains(['+', '/'])).first() {
            location.push_str(&format!("#{text}"));
        }
    }
}

fn in_body(shared: &mut Shared, path: &str, body: String) -> String {
    let any = |_: &str| true;
    if let Ok(Value::Object(mut members)) = serde_json::from_str(&body) {
        if members.contains_key("token_endpoint") {
            let issuer = members.get("issuer").and_then(Value::as_str).unwrap_or_default();
            members.insert("registration_endpoint".into(), format!("{issuer}/register").into());
        }
        if members.contains_key("error") {
            let list = shared.tell("error_description", IN_BODY / 2, any);
            members.insert("error_description".into(), list.join(" ").into());
            let list = shared.tell("error_uri", 300, any);
            members.insert("error_uri".into(), format!("https://errors.example/{}", list.join("/")).into());
        }
        // Members that are read: metadata and keys of every kind.
        let place = if path.contains("well-known") {
            "metadata"
        } else if members.contains_key("keys") {
            "keys"
        } else {
            "member"
        };
        let list = shared.tell(place, IN_BODY / 2, any);
        if let Some(keys) = members.get_mut("keys").and_then(Value::as_array_mut) {
            keys.extend(list.iter().map(|text| json!({"kty": "oct", "kid": text, "use": "enc"})));
        }
        let claims = shared.tell("jwt", 300, any);
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let jwt = format!("{}.{}.c2ln", part(json!({"alg": "none", "kid": claims.first()})), part(json!({"echo": claims})));
        let mut front = json!({"echo": list, "echoed": {"jwt": jwt, "payload": part(json!({"echo": claims}))}});
        let text = std::mem::take(front.as_object_mut().expect("an object"));
        return Value::Object(text.into_iter().chain(members).collect()).to_string();
    }
    let Some(at) = body.find("<form").or_else(|| body.find("</body")) else { return body };
    let one = |shared: &mut Shared, place, fits: &dyn Fn(&str) -> bool| shared.tell(place, IN_BODY / 5, fits).join(" ");
    let text = one(shared, "text", &|t| !t.contains(['<', '>']));
    let comment = one(shared, "comment", &|t| !t.contains("--"));
    let attribute = one(shared, "attribute", &|t| !t.contains('"'));
    let link = one(shared, "link", &|t| !t.contains(['"', ' ']));
    let script = one(shared, "script", &|t| !t.contains("</"));
    // The title is told in notes; what is cut off at the end of the evidence begins a secret.
    let title = one(shared, "title", &|t| !t.contains('<'));
    let (before, after) = body.split_at(at);
    let told = format!(
        "<p>{text}</p><!-- {comment} --><p title=\"{attribute}\"></p><a href=\"/x?e={link}\">x</a><script type=\"application/json\">{script}</script>"
    );
    let before = before.replace("<title>", &format!("<title>{title} "));
    let otp = "<input name=\"otp\" autocomplete=\"one-time-code\"></form>";
    let after = if after.contains("type=\"password\"") { after.replace("</form>", otp) } else { after.to_owned() };
    let whole = format!("{before}{told}{after}");
    let padding = "x".repeat(4090_usize.saturating_sub(whole.len() + 30));
    let last = one(shared, "cut", &|t| !t.contains("--"));
    format!("{whole}<!-- {padding} {last} -->")
}
