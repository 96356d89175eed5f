//! The yardstick: a client that makes the exchanges of a recorded run and does nothing else. It forges, redacts, keeps and
//! judges nothing, knows the lab by heart, and speaks just as much HTTP/1.1 as the lab does.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantproof::model::observation::{Exchange, StepObservation, Trial};
use grantproof::model::report::Recording;
use grantproof::target::{Client, ClientAuthentication, Target};
use grantproof::wire;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

type Failed = Box<dyn Error + Send + Sync>;

/// What an exchange came to, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Metadata,
    Keys,
    AuthorizeToCode,
    AuthorizeToLogin,
    AuthorizeToConsent,
    AuthorizeToError,
    AuthorizeRefused,
    LoginPage,
    LoginForm,
    ConsentPage,
    ConsentForm,
    TokenByCode,
    TokenByRefresh,
    TokenRefused,
    Resource,
    ResourceRefused,
    Introspection,
    IntrospectionRefused,
    Revocation,
    RevocationRefused,
    /// Nothing that the bare client knows how to make.
    Other,
}

impl Kind {
    fn of(method: &str, path: &str, status: u16, location: &str, grant: &str) -> Kind {
        let good = (200..300).contains(&status);
        let pick = |yes: Kind, no: Kind| if good { yes } else { no };
        match path {
            "/.well-known/openid-configuration" => Kind::Metadata,
            "/jwks.json" => Kind::Keys,
            "/authorize" if (300..400).contains(&status) => {
                let names = wire::parse_form(wire::query_of(location));
                match () {
                    () if location.starts_with("/login") => Kind::AuthorizeToLogin,
                    () if location.starts_with("/consent") => Kind::AuthorizeToConsent,
                    () if names.iter().any(|(name, _)| name == "code") => Kind::AuthorizeToCode,
                    () => Kind::AuthorizeToError,
                }
            }
            "/authorize" if status >= 400 => Kind::AuthorizeRefused,
            "/login" => pick(Kind::LoginPage, if method == "POST" { Kind::LoginForm } else { Kind::Other }),
            "/consent" => pick(Kind::ConsentPage, if method == "POST" { Kind::ConsentForm } else { Kind::Other }),
            "/token" if grant == "refresh_token" => pick(Kind::TokenByRefresh, Kind::TokenRefused),
            "/token" => pick(Kind::TokenByCode, Kind::TokenRefused),
            "/userinfo" | "/api/me" => pick(Kind::Resource, Kind::ResourceRefused),
            "/introspect" => pick(Kind::Introspection, Kind::IntrospectionRefused),
            "/revoke" => pick(Kind::Revocation, Kind::RevocationRefused),
            _ => Kind::Other,
        }
    }
}

/// How many exchanges of each kind.
pub type Counts = BTreeMap<Kind, usize>;

/// One exchange to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Op {
    pub kind: Kind,
    pub path: String,
    /// The client_id that it speaks for; empty: none.
    pub client: String,
    /// The client proves who it is.
    pub authenticated: bool,
    /// It shows a token that the server issued, and does not merely make one up.
    pub genuine: bool,
    /// The consent page is to be shown, whatever was agreed to before.
    pub ask: bool,
}

/// The exchanges of a run: each list is a chain of which every exchange needs the one before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    pub before: Vec<Vec<Op>>,
    /// Chains that ran beside each other.
    pub beside: Vec<Vec<Op>>,
    pub after: Vec<Vec<Op>>,
}

impl Plan {
    /// Reads the exchanges off a recording. What is in no record (metadata, keys, the search for a place that takes the
    /// genuine token) is added, so that the sum is that of the run. `alone` says which cases ran by themselves.
    pub fn of(recording: &Recording, alone: impl Fn(&str, &str, Option<&str>) -> bool) -> Plan {
        let issued = issued(recording);
        let chain = |steps: &[StepObservation], proof: Option<&StepObservation>| -> Vec<Op> {
            let mut ops: Vec<Op> = steps.iter().chain(proof).flat_map(|s| &s.exchanges).map(|e| op(e, recording, &issued)).collect();
            for at in 0..ops.len() {
                let next = ops.iter().skip(at + 1).find(|o| o.path == "/authorize" || o.kind == Kind::ConsentPage);
                ops[at].ask = next.is_some_and(|o| o.kind == Kind::ConsentPage);
            }
            ops
        };
        let trial = |t: &Trial| chain(&t.steps, t.proof.as_deref());
        let plain =
            |kind, path: &str| Op { kind, path: path.into(), client: String::new(), authenticated: false, genuine: true, ask: false };
        let mut plan = Plan::default();
        plan.before.push(vec![plain(Kind::Metadata, "/.well-known/openid-configuration"), plain(Kind::Keys, "/jwks.json")]);
        for control in &recording.controls {
            if control.name.contains("(before") { plan.before.push(trial(control)) } else { plan.after.push(trial(control)) }
        }
        let negatives = recording.negative_controls.iter().map(|n| chain(std::slice::from_ref(&n.answer), None));
        plan.before.extend(negatives);
        for case in &recording.cases {
            let list = if alone(&case.scenario, &case.attack, case.word.as_deref()) { &mut plan.after } else { &mut plan.beside };
            list.extend(case.attempts.load().expect("evidence").iter().map(trial));
        }
        let unrecorded = (recording.run.requests as usize).saturating_sub(plan.requests());
        plan.before.push(vec![plain(Kind::Resource, "/userinfo"); unrecorded]);
        plan
    }

    pub fn chains(&self) -> impl Iterator<Item = &Vec<Op>> {
        self.before.iter().chain(&self.beside).chain(&self.after)
    }

    pub fn requests(&self) -> usize {
        self.chains().map(Vec::len).sum()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for op in self.chains().flatten() {
            *counts.entry(op.kind).or_default() += 1;
        }
        counts
    }
}

/// The marks of all access tokens that the server issued.
fn issued(recording: &Recording) -> Vec<String> {
    let attempts: Vec<_> = recording.cases.iter().map(|c| c.attempts.load().expect("evidence")).collect();
    let trials = recording.controls.iter().chain(attempts.iter().flat_map(|list| list.iter()));
    trials.flat_map(|t| &t.steps).filter_map(|s| s.fields.get("access_token").cloned()).collect()
}

fn op(exchange: &Exchange, recording: &Recording, issued: &[String]) -> Op {
    let header = |list: &[(String, String)], name: &str| -> String {
        list.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let path = url::Url::parse(&exchange.url).map(|u| u.path().to_owned()).unwrap_or_default();
    let form = wire::parse_form(&exchange.request_body);
    let query = wire::parse_form(wire::query_of(&exchange.url));
    let get = |name: &str| form.iter().chain(&query).find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    let authorization = header(&exchange.request_headers, "authorization");
    let with_assertion = !get("client_assertion").is_empty();
    let by_role = |role: &str| recording.target.clients.iter().find(|(r, _)| r == role).map(|(_, id)| id.clone()).unwrap_or_default();
    let client = match get("client_id") {
        "" if with_assertion => by_role("assertion"),
        "" if authorization.starts_with("Basic ") => by_role("confidential"),
        id => id.to_owned(),
    };
    Op {
        kind: Kind::of(&exchange.method, &path, exchange.status, &header(&exchange.response_headers, "location"), get("grant_type")),
        path,
        client,
        authenticated: with_assertion || authorization.starts_with("Basic "),
        genuine: issued.iter().any(|mark| authorization.ends_with(mark) || get("token") == mark),
        ask: false,
    }
}

/// The server, and who may speak to it as whom.
pub struct Site<'t> {
    target: &'t Target,
    address: String,
    key: Option<SigningKey>,
    /// The session of the last login.
    session: Mutex<String>,
    /// The last access token.
    access: Mutex<String>,
    /// Codes that their own chain had no use for.
    spare: Mutex<Vec<Code>>,
}

struct Code {
    client: String,
    code: String,
    verifier: String,
}

/// What a chain has in hand.
#[derive(Default)]
struct Hand {
    session: String,
    codes: Vec<Code>,
    refresh: Vec<(String, String)>,
    /// The verifier and the client of the authorization under way, and where it goes on.
    verifier: String,
    client: String,
    location: String,
    page: String,
}

struct Answer {
    status: u16,
    location: String,
    cookie: String,
    body: String,
}

fn random() -> String {
    let mut bytes = [0; 32];
    rand::thread_rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(found, _)| found)
}

impl<'t> Site<'t> {
    pub fn new(target: &'t Target) -> Result<Site<'t>, Failed> {
        let key = target.clients.values().find_map(|c| match &c.authentication {
            ClientAuthentication::PrivateKeyJwt { key, .. } => Some(SigningKey::from_pkcs8_pem(key.reveal())),
            _ => None,
        });
        let address = target.issuer.trim_start_matches("http://").to_owned();
        Ok(Site { target, address, key: key.transpose()?, session: Mutex::default(), access: Mutex::default(), spare: Mutex::default() })
    }

    /// Makes the exchanges: `width` chains at the same moment where the run did so, or, with `throughout`, everywhere.
    pub async fn run(&self, plan: &Plan, width: usize, throughout: bool) -> Result<Counts, Failed> {
        let mut connections = Vec::new();
        for _ in 0..width {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            connections.push(Connection { stream, read: Vec::with_capacity(16 << 10) });
        }
        let counts = Mutex::new(Counts::new());
        for (chains, beside) in [(&plan.before, false), (&plan.beside, true), (&plan.after, false)] {
            // The first login comes before everything else, as in the run.
            let wide = if beside || throughout && !std::ptr::eq(chains, &plan.before) { width } else { 1 };
            let queue = Mutex::new(chains.iter().collect::<VecDeque<_>>());
            let workers = connections.iter_mut().take(wide).map(|connection| async {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(chain) = next else { return Ok::<(), Failed>(()) };
                    self.chain(connection, chain, &counts).await?;
                }
            });
            futures_util::future::join_all(workers).await.into_iter().collect::<Result<(), Failed>>()?;
        }
        Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn chain(&self, connection: &mut Connection, chain: &[Op], counts: &Mutex<Counts>) -> Result<(), Failed> {
        let mut hand = Hand { session: self.session.lock().unwrap_or_else(PoisonError::into_inner).clone(), ..Hand::default() };
        for op in chain {
            let kind = self.exchange(connection, op, &mut hand).await?;
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        }
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).append(&mut hand.codes);
        Ok(())
    }

    fn client(&self, id: &str) -> Result<&Client, Failed> {
        let found = self.target.clients.values().find(|c| c.id == id).or_else(|| self.target.clients.values().next());
        found.ok_or_else(|| "the target has no client".into())
    }

    fn authorize(&self, op: &Op, hand: &mut Hand) -> Result<String, Failed> {
        let client = self.client(&op.client)?;
        hand.verifier = random();
        hand.client.clone_from(&client.id);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&hand.verifier));
        let state = random();
        let good = op.kind != Kind::AuthorizeRefused;
        let mut pairs = vec![
            ("response_type", if op.kind == Kind::AuthorizeToError { "unknown" } else { "code" }),
            ("client_id", &client.id),
            ("redirect_uri", if good { &client.redirect_uri } else { "https://elsewhere.example/cb" }),
            ("scope", &self.target.scope),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if op.ask {
            pairs.push(("prompt", "consent"));
        }
        Ok(format!("/authorize?{}", form(&pairs)))
    }

    /// The header or the parameters with which a client says who it is.
    fn identify(&self, client: &Client, authenticated: bool, pairs: &mut Vec<(&str, String)>) -> Result<String, Failed> {
        match (&client.authentication, &self.key) {
            (ClientAuthentication::Basic(secret), _) if authenticated => {
                let credentials = STANDARD.encode(format!("{}:{}", wire::encode(&client.id), wire::encode(secret.reveal())));
                return Ok(format!("authorization: Basic {credentials}\r\n"));
            }
            (ClientAuthentication::PrivateKeyJwt { .. }, Some(key)) if authenticated => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
                let claims = serde_json::json!({
                    "iss": client.id, "sub": client.id, "aud": self.target.issuer, "jti": random(), "iat": now, "exp": now + 60,
                });
                let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(claims.to_string()));
                let signature: Signature = key.sign(input.as_bytes());
                pairs.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into()));
                pairs.push(("client_assertion", format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))));
            }
            _ => pairs.push(("client_id", client.id.clone())),
        }
        Ok(String::new())
    }

    /// Makes one exchange, and says what it came to.
    async fn exchange(&self, connection: &mut Connection, op: &Op, hand: &mut Hand) -> Result<Kind, Failed> {
        let mut method = "POST";
        let mut target = op.path.clone();
        let mut headers = String::new();
        let mut pairs: Vec<(&str, String)> = Vec::new();
        match op.kind {
            Kind::Metadata | Kind::Keys | Kind::Other => method = "GET",
            Kind::AuthorizeToCode | Kind::AuthorizeToLogin | Kind::AuthorizeToConsent | Kind::AuthorizeToError | Kind::AuthorizeRefused => {
                method = "GET";
                target = self.authorize(op, hand)?;
                if op.kind != Kind::AuthorizeToLogin {
                    headers = format!("cookie: {}\r\n", hand.session);
                }
            }
            Kind::LoginPage | Kind::ConsentPage => {
                method = "GET";
                target.clone_from(&hand.location);
                headers = format!("cookie: {}\r\n", hand.session);
            }
            Kind::LoginForm | Kind::ConsentForm => {
                for name in ["csrf", "tx"] {
                    pairs.push((name, between(&hand.page, &format!("name=\"{name}\" value=\""), "\"").to_owned()));
                }
                if op.kind == Kind::LoginForm {
                    pairs.push(("username", self.target.user.name.clone()));
                    pairs.push(("password", self.target.user.password.as_ref().map(|p| p.reveal().to_owned()).unwrap_or_default()));
                } else {
                    headers = format!("cookie: {}\r\n", hand.session);
                    pairs.push(("decision", "allow".into()));
                }
            }
            Kind::TokenByCode | Kind::TokenByRefresh | Kind::TokenRefused => {
                let mut client = self.client(&op.client)?;
                if op.kind == Kind::TokenByRefresh {
                    let (id, token) = hand.refresh.pop().unwrap_or_default();
                    client = self.client(&id)?;
                    pairs.push(("grant_type", "refresh_token".into()));
                    pairs.push(("refresh_token", token));
                } else {
                    let code = (op.kind == Kind::TokenByCode).then(|| self.code(op, hand)).flatten();
                    let code = code.unwrap_or_else(|| Code { client: client.id.clone(), code: random(), verifier: random() });
                    pairs.push(("grant_type", "authorization_code".into()));
                    pairs.push(("code", code.code));
                    pairs.push(("redirect_uri", client.redirect_uri.clone()));
                    pairs.push(("code_verifier", code.verifier));
                }
                headers = self.identify(client, op.authenticated, &mut pairs)?;
                hand.client.clone_from(&client.id);
            }
            Kind::Resource | Kind::ResourceRefused => {
                method = "GET";
                headers = format!("authorization: Bearer {}\r\n", self.shown(op, op.kind == Kind::Resource));
            }
            Kind::Introspection | Kind::IntrospectionRefused => {
                let client = self.client(&op.client)?;
                let authenticated = op.kind == Kind::Introspection;
                pairs.push(("token", self.shown(op, authenticated)));
                headers = self.identify(client, authenticated, &mut pairs)?;
            }
            Kind::Revocation | Kind::RevocationRefused => {
                pairs.push(("token", random()));
                if op.kind == Kind::Revocation {
                    headers = self.identify(self.client(&op.client)?, op.authenticated, &mut pairs)?;
                } else {
                    pairs.push(("client_id", random()));
                }
            }
        }
        let body = form(&pairs.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
        let answer = connection.send(&self.address, method, &target, &headers, &body).await?;
        let path = target.split('?').next().unwrap_or_default();
        let grant = pairs.iter().find(|(n, _)| *n == "grant_type").map_or("", |(_, v)| v.as_str());
        let kind = Kind::of(method, path, answer.status, &answer.location, grant);
        self.keep(kind, answer, hand);
        Ok(kind)
    }

    /// A code of this client: the chain's own, else one that another chain had no use for.
    fn code(&self, op: &Op, hand: &mut Hand) -> Option<Code> {
        let take = |codes: &mut Vec<Code>| codes.iter().rposition(|c| c.client == op.client).map(|at| codes.remove(at));
        take(&mut hand.codes).or_else(|| take(&mut self.spare.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A token to show: one that is good; one that the server checks to the end and refuses; or one that is made up.
    fn shown(&self, op: &Op, good: bool) -> String {
        let token = self.access.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match token.rsplit_once('.') {
            Some(_) if good => token,
            // Of the right length, so that the server has to try it against its key.
            Some((signed, signature)) if op.genuine => format!("{signed}.{}", "A".repeat(signature.len())),
            _ => random(),
        }
    }

    fn keep(&self, kind: Kind, answer: Answer, hand: &mut Hand) {
        if !answer.cookie.is_empty() {
            hand.session.clone_from(&answer.cookie);
            self.session.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&answer.cookie);
        }
        if matches!(kind, Kind::AuthorizeToCode | Kind::LoginForm | Kind::ConsentForm) {
            let code = between(&format!("{}&", answer.location), "code=", "&").to_owned();
            if !code.is_empty() {
                hand.codes.push(Code { client: hand.client.clone(), code, verifier: hand.verifier.clone() });
            }
        }
        if matches!(kind, Kind::TokenByCode | Kind::TokenByRefresh) {
            hand.refresh.push((hand.client.clone(), between(&answer.body, "\"refresh_token\":\"", "\"").to_owned()));
            *self.access.lock().unwrap_or_else(PoisonError::into_inner) = between(&answer.body, "\"access_token\":\"", "\"").to_owned();
        }
        hand.location = answer.location;
        hand.page = answer.body;
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    wire::form(pairs.iter().map(|(name, value)| (*name, *value, false)))
}

/// A connection that is kept.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn send(&mut self, host: &str, method: &str, target: &str, headers: &str, body: &str) -> Result<Answer, Failed> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\nuser-agent: bare\r\n{headers}");
        if method == "POST" {
            request.push_str("content-type: application/x-www-form-urlencoded\r\ncontent-length: ");
            request.push_str(&body.len().to_string());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        let head = loop {
            if let Some(at) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let mut slots = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut slots);
        parsed.parse(&self.read[..head])?;
        let value =
            |name: &str| parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| String::from_utf8_lossy(h.value));
        let length: usize = value("content-length").map_or(Ok(0), |v| v.parse())?;
        let (status, location) = (parsed.code.unwrap_or(0), value("location").unwrap_or_default().into_owned());
        let cookie = value("set-cookie").unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
        if value("transfer-encoding").is_some() {
            return Err("the lab answers in chunks, which this client does not read".into());
        }
        while self.read.len() < head + length {
            self.more().await?;
        }
        Ok(Answer { status, location, cookie, body: String::from_utf8_lossy(&self.read[head..head + length]).into_owned() })
    }

    async fn more(&mut self) -> Result<(), Failed> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err("the lab closed the connection".into()),
            _ => Ok(()),
        }
    }
}
