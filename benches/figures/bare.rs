//! The yardstick: a client that makes the exchanges of a recorded run again, and does nothing else. It redacts, keeps and judges nothing, knows the
//! lab by heart, and speaks just as much HTTP/1.1 as the lab does.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantproof::engine::bend::Bend;
use grantproof::engine::keys::SigningKey;
use grantproof::engine::{dpop, forge};
use grantproof::target::{Client, ClientAuthentication, Target};
use grantproof::wire;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Failed;
use crate::replay::{Counts, HERE, HERE_ENCODED, Op, Piece, Plan, Source, value_byte};

fn secret<'t>(target: &'t Target, id: &str) -> &'t str {
    let client = target.clients.values().find(|client| client.id == id);
    client.and_then(|client| client.authentication.secret()).map_or("", |secret| secret.reveal())
}

/// The credentials of RFC 6749 §2.3.1.
pub fn credential(target: &Target, id: &str) -> String {
    STANDARD.encode(format!("{}:{}", wire::encode(id), wire::encode(secret(target, id))))
}

fn random() -> String {
    let mut bytes = [0; 32];
    rand::thread_rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The server, and who may speak to it as whom.
pub struct Site<'t> {
    target: &'t Target,
    address: String,
    assertion: Option<(&'t str, SigningKey)>,
    proofs: SigningKey,
    /// What was issued, by the name that it has in the recording.
    issued: RefCell<HashMap<String, String>>,
    verifiers: RefCell<HashMap<String, String>>,
}

impl<'t> Site<'t> {
    pub fn new(target: &'t Target) -> Result<Site<'t>, Failed> {
        let key = |client: &'t Client| match &client.authentication {
            ClientAuthentication::PrivateKeyJwt { key, .. } => Some((client.id.as_str(), key.reveal())),
            _ => None,
        };
        let assertion = match target.clients.values().find_map(key) {
            Some((id, key)) => Some((id, SigningKey::read(key)?)),
            None => None,
        };
        Ok(Site {
            target,
            address: target.issuer.trim_start_matches("http://").to_owned(),
            assertion,
            proofs: SigningKey::p256(),
            issued: RefCell::default(),
            verifiers: RefCell::default(),
        })
    }

    /// Makes the exchanges: `width` chains at the same moment where the run did so, or, with `throughout`, everywhere.
    pub async fn run(&self, plan: &Plan, width: usize, throughout: bool) -> Result<Counts, Failed> {
        let mut connections: Vec<Connection> = (0..width).map(|_| Connection::default()).collect();
        let counts = RefCell::new(Counts::new());
        for (at, phase) in plan.phases.iter().enumerate() {
            // The first login comes before everything else, as in the run.
            let wide = if phase.beside || throughout && at > 0 { width } else { 1 };
            let queue = RefCell::new(phase.chains.iter().collect::<VecDeque<_>>());
            let workers = connections.iter_mut().take(wide).map(|connection| async {
                loop {
                    let next = queue.borrow_mut().pop_front();
                    let Some(chain) = next else { return Ok::<(), Failed>(()) };
                    for op in chain {
                        let status = self.exchange(connection, op).await?;
                        *counts.borrow_mut().entry((op.path.clone(), status)).or_default() += 1;
                    }
                }
            });
            futures_util::future::join_all(workers).await.into_iter().collect::<Result<(), Failed>>()?;
        }
        Ok(counts.into_inner())
    }

    /// Makes one exchange, and says what status it came to.
    async fn exchange(&self, connection: &mut Connection, op: &Op) -> Result<u16, Failed> {
        let target = self.text(&op.target, op, "")?;
        let mut request = format!("{} {target} HTTP/1.1\r\nhost: {}\r\n", op.method, self.address);
        let mut shown = String::new();
        let authorization_first = |name: &str| !name.eq_ignore_ascii_case("authorization");
        let mut headers: Vec<_> = op.headers.iter().collect();
        // A proof names the token beside it.
        headers.sort_by_key(|(name, _)| authorization_first(name));
        for (name, value) in headers {
            let value = self.text(value, op, &shown)?;
            if name.eq_ignore_ascii_case("authorization") {
                shown = value.strip_prefix("DPoP ").unwrap_or_default().to_owned();
            }
            request.push_str(name);
            request.push_str(": ");
            request.push_str(&value);
            request.push_str("\r\n");
        }
        let body = self.text(&op.body, op, "")?;
        if op.method == "POST" {
            request.push_str("content-length: ");
            request.push_str(&body.len().to_string());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request.push_str(&body);
        let (status, answer) = connection.send(&self.address, &request).await?;
        let answer = answer.replace(&self.target.issuer, HERE).replace(&*wire::encode(&self.target.issuer), HERE_ENCODED);
        let mut issued = self.issued.borrow_mut();
        for kept in &op.kept {
            if let Some((at, _)) = answer.match_indices(&kept.before).nth(kept.nth) {
                let rest = &answer[at + kept.before.len()..];
                let end = rest.find(|c: char| !value_byte(c) && !matches!(c, '.' | ':' | '~')).unwrap_or(rest.len());
                issued.insert(kept.name.clone(), rest[..end].to_owned());
            }
        }
        Ok(status)
    }

    fn text(&self, pieces: &[Piece], op: &Op, shown: &str) -> Result<String, Failed> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Plain(plain) if plain.contains(HERE) => {
                    text.push_str(&plain.replace(HERE_ENCODED, &wire::encode(&self.target.issuer)).replace(HERE, &self.target.issuer));
                }
                Piece::Plain(plain) => text.push_str(plain),
                Piece::From { source, encoded } => {
                    let value = self.value(source, op, shown)?;
                    if *encoded { text.push_str(&wire::encode(&value)) } else { text.push_str(&value) }
                }
            }
        }
        Ok(text)
    }

    fn verifier(&self, name: &str) -> String {
        self.verifiers.borrow_mut().entry(name.to_owned()).or_insert_with(random).clone()
    }

    fn value(&self, source: &Source, op: &Op, shown: &str) -> Result<String, Failed> {
        Ok(match source {
            Source::Issued(name) => self.issued.borrow().get(name).cloned().unwrap_or_else(random),
            Source::Verifier(name) => self.verifier(name),
            Source::Challenge(name) => URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier(name))),
            Source::Password(name) => {
                let user = std::iter::once(&self.target.user).chain(&self.target.other_user).find(|user| user.name == *name);
                user.and_then(|user| user.password.as_ref()).map_or_else(random, |password| password.reveal().to_owned())
            }
            Source::Secret(id) => secret(self.target, id).to_owned(),
            Source::Basic(id) => credential(self.target, id),
            Source::Registration => self.target.extras.initial_access_token.as_ref().map_or_else(random, |token| token.reveal().to_owned()),
            Source::Assertion => match &self.assertion {
                Some((id, key)) => {
                    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
                    let issuer = &self.target.issuer;
                    let claims = serde_json::json!({"iss": id, "sub": id, "aud": issuer, "jti": random(), "iat": now, "exp": now + 60});
                    forge::jws(&serde_json::json!({"alg": key.alg()}), &claims, Some(key))?
                }
                None => random(),
            },
            Source::Proof => {
                let url = format!("{}{}", self.target.issuer, op.path);
                let token = (!shown.is_empty()).then_some(shown);
                dpop::proof(&self.proofs, &op.method, &url, None, token, &Bend::default()).map_err(|missing| format!("{missing:?}"))?
            }
            Source::RequestObject(members) => match &self.assertion {
                Some((id, key)) => {
                    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
                    let mut claims = serde_json::json!({"iss": id, "aud": &self.target.issuer, "jti": random(), "iat": now, "nbf": now, "exp": now + 60});
                    for (name, value) in members {
                        claims[name] = serde_json::Value::String(self.text(value, op, "")?);
                    }
                    forge::jws(&serde_json::json!({"alg": key.alg(), "typ": "oauth-authz-req+jwt"}), &claims, Some(key))?
                }
                None => random(),
            },
            Source::Made => random(),
        })
    }
}

/// A connection that is kept, as long as the server keeps it.
#[derive(Default)]
struct Connection {
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

impl Connection {
    /// Sends a request; status and text of the answer.
    async fn send(&mut self, host: &str, request: &str) -> Result<(u16, String), Failed> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(host).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        let head = loop {
            if let Some(at) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            more(&mut stream, &mut self.read).await.map_err(|why| format!("{why} at: {}", request.lines().next().unwrap_or_default()))?;
        };
        let mut slots = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut slots);
        parsed.parse(&self.read[..head])?;
        let value =
            |name: &str| parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| String::from_utf8_lossy(h.value));
        let length: usize = value("content-length").map_or(Ok(0), |v| v.parse())?;
        let (status, stays) = (parsed.code.unwrap_or(0), value("connection").is_none_or(|c| c != "close"));
        if value("transfer-encoding").is_some() {
            return Err("the lab answers in chunks, which this client does not read".into());
        }
        while self.read.len() < head + length {
            more(&mut stream, &mut self.read).await?;
        }
        if stays {
            self.stream = Some(stream);
        }
        Ok((status, String::from_utf8_lossy(&self.read[..head + length]).into_owned()))
    }
}

async fn more(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<(), Failed> {
    match stream.read_buf(read).await? {
        0 => Err("the lab closed the connection".into()),
        _ => Ok(()),
    }
}
