//! The exchanges of a recorded run, as the bare client makes them again.
//!
//! What a server issued is found in an answer of the recording, with the text before it; live, what stands behind that text is put where the
//! recording sent it again. Secrets are known by their marks, which are equal where secrets are.

use std::collections::{BTreeMap, HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantproof::model::observation::{Exchange, StepObservation, Trial};
use grantproof::model::report::Recording;
use grantproof::model::scenario::case_name;
use grantproof::redact::mark;
use grantproof::target::Target;
use grantproof::wire;
use serde::{Deserialize, Serialize};

use crate::bare::credential;

/// Values of at least this length may be issued ones.
const SHORTEST: usize = 8;
/// Stand for the address of the server, plain and in a form.
pub const HERE: &str = "⌂";
pub const HERE_ENCODED: &str = "⌂⌂";
/// So much of the text before a value tells where it stands.
const BEFORE: usize = 24;

/// Where a value comes from that the recording sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Source {
    /// An answer, under this name.
    Issued(String),
    /// A code_verifier, by the beginning of its hash, and the challenge made of it.
    Verifier(String),
    Challenge(String),
    Password(String),
    Secret(String),
    Basic(String),
    Assertion,
    /// The initial access token of RFC 7591 §3.
    Registration,
    Proof,
    /// A request object (RFC 9101) with these claims.
    RequestObject(Vec<(String, Vec<Piece>)>),
    /// Anything: what was sent in its place was refused.
    Made,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Piece {
    Plain(String),
    /// `encoded`: it stands in a form.
    From {
        source: Source,
        encoded: bool,
    },
}

/// A value to keep of an answer: the n-th (from 0) that stands behind a text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    pub name: String,
    pub before: String,
    pub nth: usize,
}

/// One exchange to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Op {
    pub method: String,
    pub target: Vec<Piece>,
    pub headers: Vec<(String, Vec<Piece>)>,
    pub body: Vec<Piece>,
    pub kept: Vec<Kept>,
    /// What it came to: path and status.
    pub path: String,
    pub status: u16,
}

pub type Chain = Vec<Op>;

/// Chains of a time of the run: beside each other, or one after another.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Phase {
    pub chains: Vec<Chain>,
    pub beside: bool,
}

/// The exchanges of a run, in its order; in a chain every exchange may need the one before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The first is what comes before every attack.
    pub phases: Vec<Phase>,
}

/// How many exchanges came to what: path and status.
pub type Counts = BTreeMap<(String, u16), usize>;

impl Plan {
    /// Reads the exchanges off a recording. What is in no record (metadata, keys, the search for a place that takes the genuine token) is added, so
    /// that the sum is that of the run. `order` names controls and cases as they ended: a session that one of them began or ended is another's.
    /// `alone` says which cases ran by themselves.
    pub fn of(recording: &Recording, target: &Target, order: &[String], alone: impl Fn(&str) -> bool) -> Plan {
        let mut reader = Reader { target, issued: HashSet::new(), own: HashSet::new() };
        let unrecorded = |url: &str| Exchange {
            method: "GET".into(),
            url: url.to_owned(),
            request_headers: Vec::new(),
            request_body: String::new(),
            certificate: None,
            status: 200,
            response_headers: Vec::new(),
            response_body: String::new(),
            error: None,
            server_micros: 0,
        };
        let metadata = format!("{}/.well-known/openid-configuration", target.issuer);
        let none = Sent::new();
        let mut first = Phase { chains: vec![reader.chain([(&unrecorded(&metadata), &none)])], beside: false };
        let trial = |reader: &mut Reader<'_>, t: &Trial| reader.chain(exchanges(&t.steps, t.proof.as_deref()));
        let mut controls: HashMap<&str, &Trial> = recording.controls.iter().map(|control| (control.name.as_str(), control)).collect();
        let mut cases: HashMap<String, _> =
            recording.cases.iter().map(|case| (case_name(&case.scenario, &case.attack, case.word.as_deref()), &case.attempts)).collect();
        let mut phases = Vec::<Phase>::new();
        for name in order {
            let control = controls.remove(name.as_str());
            if let Some(control) = control.filter(|_| phases.is_empty()) {
                first.chains.push(trial(&mut reader, control));
                continue;
            }
            if phases.is_empty() {
                for negative in &recording.negative_controls {
                    first.chains.push(reader.chain(exchanges(std::slice::from_ref(&negative.answer), None)));
                }
            }
            let beside = control.is_some() || !alone(name);
            if phases.last().is_none_or(|last| last.beside != beside) {
                phases.push(Phase { chains: Vec::new(), beside });
            }
            let Some(phase) = phases.last_mut() else { continue };
            phase.chains.extend(control.map(|control| trial(&mut reader, control)));
            if let Some(attempts) = cases.remove(name) {
                phase.chains.extend(attempts.load().expect("evidence").iter().map(|t| trial(&mut reader, t)));
            }
        }
        phases.insert(0, first);
        let mut plan = Plan { phases };
        let more = (recording.run.requests as usize).saturating_sub(plan.requests());
        plan.phases[0].chains.extend((0..more).map(|_| reader.chain([(&unrecorded(&format!("{}/jwks.json", target.issuer)), &none)])));
        plan.forget();
        plan
    }

    fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.phases.iter().flat_map(|phase| &phase.chains)
    }

    pub fn requests(&self) -> usize {
        self.chains().map(Vec::len).sum()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for op in self.chains().flatten() {
            *counts.entry((op.path.clone(), op.status)).or_default() += 1;
        }
        counts
    }

    /// Forgets what no request needs.
    fn forget(&mut self) {
        let pieces = |op: &Op| op.target.iter().chain(op.headers.iter().flat_map(|(_, v)| v)).chain(&op.body).cloned().collect::<Vec<_>>();
        let needed: HashSet<String> = self
            .chains()
            .flatten()
            .flat_map(pieces)
            .filter_map(|piece| match piece {
                Piece::From { source: Source::Issued(name), .. } => Some(name),
                _ => None,
            })
            .collect();
        for op in self.phases.iter_mut().flat_map(|phase| &mut phase.chains).flatten() {
            op.kept.retain(|kept| needed.contains(&kept.name));
        }
    }
}

type Sent = BTreeMap<String, String>;

/// Exchanges, each with the parameters of its step.
fn exchanges<'t>(steps: &'t [StepObservation], proof: Option<&'t StepObservation>) -> impl Iterator<Item = (&'t Exchange, &'t Sent)> {
    steps.iter().chain(proof).flat_map(|step| step.exchanges.iter().map(|exchange| (exchange, &step.sent)))
}

/// Reads exchanges in the order in which they were made.
struct Reader<'t> {
    target: &'t Target,
    /// What stood in an answer first.
    issued: HashSet<String>,
    /// What stood in a request first.
    own: HashSet<String>,
}

impl Reader<'_> {
    fn chain<'t>(&mut self, exchanges: impl IntoIterator<Item = (&'t Exchange, &'t Sent)>) -> Chain {
        // What the server asked of us it asks again by itself, or not.
        let ours = |exchange: &Exchange| exchange.url.starts_with(&self.target.issuer);
        let list: Vec<_> = exchanges.into_iter().filter(|(exchange, _)| ours(exchange)).collect();
        list.into_iter().map(|(exchange, sent)| self.op(exchange, sent)).collect()
    }

    /// A text without the address of the recorded server.
    fn placeless(&self, text: &str) -> String {
        text.replace(&self.target.issuer, HERE).replace(&*wire::encode(&self.target.issuer), HERE_ENCODED)
    }

    fn op(&mut self, exchange: &Exchange, sent: &Sent) -> Op {
        let url = exchange.url.strip_prefix(&self.target.issuer).unwrap_or(&exchange.url);
        let target = self.pieces(url, exchange, true, sent);
        let headers =
            exchange.request_headers.iter().map(|(name, value)| (name.clone(), self.pieces(value, exchange, false, sent))).collect();
        let body = self.pieces(&exchange.request_body, exchange, !exchange.request_body.starts_with('{'), sent);
        let answer = exchange.response_headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        let kept = self.kept(&self.placeless(&(answer + "\r\n" + &exchange.response_body)));
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let path = if path.starts_with("/register/") { "/register/…" } else { path };
        Op { method: exchange.method.clone(), target, headers, body, kept, path: path.to_owned(), status: exchange.status }
    }

    /// What an answer issues.
    fn kept(&mut self, answer: &str) -> Vec<Kept> {
        let mut kept = Vec::new();
        let mut last = 0;
        for (start, end) in values(answer) {
            let value = &answer[start..end];
            if !self.own.contains(value) {
                let from = start.saturating_sub(BEFORE).max(last);
                let from = (from..=start).find(|at| answer.is_char_boundary(*at)).unwrap_or(start);
                let before = &answer[from..start];
                if !before.is_empty() {
                    self.issued.insert(value.to_owned());
                    kept.push(Kept {
                        name: value.to_owned(),
                        before: before.to_owned(),
                        nth: answer[..start - before.len()].matches(before).count(),
                    });
                }
            }
            last = end;
        }
        kept
    }

    fn pieces(&mut self, text: &str, exchange: &Exchange, encoded: bool, sent: &Sent) -> Vec<Piece> {
        let text = &self.placeless(text);
        let mut pieces = Vec::new();
        let mut last = 0;
        for (start, end) in values(text) {
            if let Some(source) = self.source(&text[..start], &text[start..end], exchange, sent) {
                pieces.push(Piece::Plain(text[last..start].to_owned()));
                pieces.push(Piece::From { source, encoded });
                last = end;
            }
        }
        pieces.push(Piece::Plain(text[last..].to_owned()));
        pieces
    }

    /// Where a value of a request comes from; none: it is sent as it was.
    fn source(&mut self, before: &str, value: &str, exchange: &Exchange, sent: &Sent) -> Option<Source> {
        let refused = exchange.status == 401;
        let form = || wire::parse_form(&exchange.request_body);
        let field = |name: &str| form().into_iter().find(|(n, _)| n == name).map(|(_, v)| v).unwrap_or_default();
        let Some((kind, hash)) =
            value.strip_prefix('‹').map(|v| v.trim_end_matches('›').split_once(' ').unwrap_or((v.trim_end_matches('›'), "")))
        else {
            let digest = URL_SAFE_NO_PAD.decode(value).ok().filter(|digest| digest.len() == 32);
            if let Some(digest) =
                digest.filter(|_| before.ends_with("code_challenge=") || sent.get("code_challenge").is_some_and(|c| c == value))
            {
                return Some(Source::Challenge(digest.iter().take(3).map(|b| format!("{b:02x}")).collect()));
            }
            if self.issued.contains(value) {
                return Some(Source::Issued(value.to_owned()));
            }
            self.own.insert(value.to_owned());
            return None;
        };
        Some(match kind {
            "jwt" if before.ends_with("request=") && exchange.status < 400 => {
                let member = |(name, value): (&String, &String)| (name.clone(), self.pieces(value, exchange, false, sent));
                Source::RequestObject(sent.iter().filter(|(name, _)| *name != "request").map(member).collect())
            }
            "code_verifier" => Source::Verifier(hash.to_owned()),
            "password" if exchange.status >= 400 => Source::Made,
            "password" => Source::Password(field("username")),
            "client_secret" if !refused => Source::Secret(field("client_id")),
            "initial_access_token" => Source::Registration,
            "credential" => self.basic(value),
            "client_assertion" if !refused => Source::Assertion,
            "dpop_proof" if exchange.status < 400 => Source::Proof,
            _ if self.issued.contains(value) => Source::Issued(value.to_owned()),
            _ => Source::Made,
        })
    }

    /// The credentials of RFC 6749 §2.3.1 whose mark this is.
    fn basic(&self, value: &str) -> Source {
        let is = |id: &&str| mark("credential", credential(self.target, id)) == value;
        let ids = self.target.clients.values().map(|client| client.id.as_str());
        ids.into_iter().find(is).map_or(Source::Made, |id| Source::Basic(id.to_owned()))
    }
}

/// The places of a text that are marks, or long enough to be something that was issued.
fn values(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match c {
            '‹' => rest.find('›').map_or(rest.len(), |end| end + '›'.len_utf8()),
            // What is percent-encoded ends a value.
            '%' => rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at),
            _ if value_byte(c) => rest.find(|c| !value_byte(c)).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        // A word of the protocol is not issued.
        let drawn = |value: &str| value.len() >= SHORTEST && value.bytes().any(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if c == '‹' || value_byte(c) && drawn(&rest[..length]) {
            found.push((at, at + length));
        }
        at += length;
    }
    found
}

pub fn value_byte(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}
