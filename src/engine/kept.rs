//! What is kept of a step: its observation, without secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::account::Account;
use crate::model::attempts::Attempts;
use crate::model::observation::{CertificateSeen, Exchange, NegativeControl, Outcome, StepObservation, Trial};
use crate::model::report::CaseRecord;
use crate::model::step::StepKind;
use crate::redact::{Redactor, says_nothing, secret_kind};
use crate::target::{ClientAuthentication, Target};
use crate::totp::Totp;
use crate::wire;

use super::dpop;
use super::http::{Failure, Request, Response, Shows};
use super::{Engine, RawStep, RunningTrial};

/// Bytes of a body that the evidence keeps.
const KEPT_BODY: usize = 4096;

/// Bytes of a body that are looked at for it.
const LOOKED_AT: usize = 64 << 10;

/// A redactor that knows the secrets of a target file.
pub fn redactor(target: &Target) -> Redactor {
    let redactor = Redactor::default();
    for client in target.clients.values() {
        if let Some(secret) = client.authentication.secret() {
            redactor.learn_own("client_secret", secret.reveal());
        }
        if let ClientAuthentication::PrivateKeyJwt { key, .. } = &client.authentication {
            private_key(&redactor, key.reveal());
        }
    }
    for user in target.users() {
        let secrets = [("password", &user.password), ("otp_secret", &user.totp), ("cookie", &user.cookie)];
        for (kind, secret) in secrets.into_iter().filter_map(|(kind, secret)| Some((kind, secret.as_ref()?.reveal()))) {
            redactor.learn_own(kind, secret);
            match kind {
                // A Cookie header holds one secret for each cookie.
                "cookie" => {
                    for (_, value) in secret.split(';').filter_map(|pair| pair.split_once('=')) {
                        redactor.learn_own(kind, value.trim());
                    }
                }
                "otp_secret" => {
                    for written in Totp::spellings(secret) {
                        redactor.learn_own(kind, written);
                    }
                }
                _ => {}
            }
        }
    }
    if let Some(token) = &target.extras.initial_access_token {
        redactor.learn_own("initial_access_token", token.reveal());
    }
    redactor
}

/// Takes the secrets of the target file out of a text that its server may have had a say in, where no engine runs.
pub fn without_secrets(target: &Target, text: &mut String) {
    Sweeper::new(redactor(target)).text(text);
}

impl Engine {
    /// Takes every secret that is known by now out of what a run keeps.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.redactor.clone())
    }
}

/// Takes secrets out of what was kept before they became known: what another trial was given at the same moment, or what a server
/// foretold.
#[derive(Debug, Clone)]
pub struct Sweeper(Redactor);

impl Sweeper {
    /// Takes out what this redactor knows, when it is asked.
    pub fn new(redactor: Redactor) -> Sweeper {
        Sweeper(redactor)
    }

    /// Sweeps a trial; whether there was anything to take out.
    pub fn trial(&self, trial: &mut Trial) -> bool {
        let mut found = false;
        // Many trials share their facts, and few servers have a say in them.
        if trial.facts.values().any(|value| matches!(self.0.text(value), Cow::Owned(_))) {
            found = true;
            Arc::make_mut(&mut trial.facts).values_mut().for_each(|value| {
                self.text(value);
            });
        }
        found |= self.texts(trial.variables.values_mut());
        for step in trial.steps.iter_mut().chain(trial.proof.as_deref_mut()) {
            found |= self.step(step);
        }
        found
    }

    /// Sweeps the answer of a negative control.
    pub fn answer(&self, control: &mut NegativeControl) {
        self.step(&mut control.answer);
    }

    /// Sweeps what is kept of a case in memory.
    pub fn case(&self, case: &mut CaseRecord) {
        self.texts(case.account.iter_mut().flat_map(Account::texts_mut));
        if let Attempts::Here(trials) = &mut case.attempts {
            for trial in trials {
                self.trial(trial);
            }
        }
    }

    fn step(&self, step: &mut StepObservation) -> bool {
        let texts = [&mut step.note, &mut step.shape].into_iter().chain(step.undelivered.as_mut());
        let mut found = self.texts(texts.chain(step.fields.values_mut()).chain(step.sent.values_mut()));
        for exchange in &mut step.exchanges {
            let texts = [&mut exchange.url, &mut exchange.request_body, &mut exchange.response_body];
            let headers = exchange.request_headers.iter_mut().chain(&mut exchange.response_headers);
            for (name, value) in headers {
                found |= !is_common(name) && self.text(name);
                found |= !says_nothing(value) && self.text(value);
            }
            found |= self.texts(texts.into_iter().chain(exchange.error.as_mut()));
        }
        found
    }

    fn texts<'t>(&self, texts: impl Iterator<Item = &'t mut String>) -> bool {
        let mut found = false;
        for text in texts {
            found |= self.text(text);
        }
        found
    }

    /// Sweeps a text; whether there was anything to take out.
    pub fn text(&self, text: &mut String) -> bool {
        match self.0.text(text) {
            Cow::Owned(clean) => {
                *text = clean;
                true
            }
            Cow::Borrowed(_) => false,
        }
    }
}

/// A private key as PEM or JWK, and what of it alone would be the key.
fn private_key(redactor: &Redactor, key: &str) {
    redactor.learn_own("private_key", key);
    let body: String = key.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    redactor.learn_own("private_key", &body);
    if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(key) {
        for (_, value) in members.iter().filter(|(name, _)| matches!(name.as_str(), "d" | "p" | "q" | "dp" | "dq" | "qi" | "k")) {
            redactor.learn_own("private_key", value.as_str().unwrap_or_default());
        }
    }
}

impl RunningTrial<'_> {
    /// Secrets are learned before anything is kept, those that came with this very step as well.
    pub(super) fn redacted(&mut self, name: &str, kind: StepKind, mut raw: RawStep) -> StepObservation {
        for (name, kind) in &raw.secret_names {
            self.redactor.learn_name(name, kind);
        }
        for (field, value) in raw.fields.iter().chain(&raw.sent) {
            if let Some(kind) = secret_kind(field) {
                self.redactor.learn(kind, value);
            } else if field == "token" {
                self.redactor.learn("token", value);
            } else if field == "refresh_tokens" {
                value.lines().for_each(|token| self.redactor.learn("refresh_token", token));
            }
        }
        for (request, answer) in &raw.exchanges {
            self.redactor.learn_from(&request.url);
            self.redactor.learn_from(&wire::text(request.body.as_deref().unwrap_or_default()));
            if let Ok(response) = answer {
                self.redactor.learn_from(&response.text());
                self.redactor.learn_from(response.header("location").unwrap_or_default());
                for value in response.all("set-cookie").filter_map(|cookie| Some(cookie.split(';').next()?.split_once('=')?.1)) {
                    learn_cookie(&self.redactor, value);
                }
            }
            for (name, value) in &request.headers {
                if name.eq_ignore_ascii_case(dpop::HEADER) {
                    self.redactor.learn("dpop_proof", value);
                }
            }
        }
        for browser in self.browsers.values() {
            for cookie in browser.secrets() {
                learn_cookie(&self.redactor, cookie);
            }
        }
        let redactor = &self.redactor;
        for values in [&mut raw.fields, &mut raw.sent] {
            redact_values(redactor, values);
        }
        StepObservation {
            step: name.to_owned(),
            kind,
            outcome: raw.outcome.unwrap_or(Outcome::Unclear),
            fields: raw.fields,
            sent: raw.sent,
            note: clean(raw.note, |note| redactor.quoting(note)),
            shape: clean(raw.shape, |shape| redactor.text(shape)),
            waited_millis: 0,
            clock_moved: false,
            undelivered: raw.undelivered.map(|why| clean(why, |why| redactor.text(why))),
            exchanges: raw.exchanges.into_iter().map(|(request, answer)| exchange(redactor, request, answer)).collect(),
        }
    }
}

/// A cookie may remember an address, which is no secret.
fn learn_cookie(redactor: &Redactor, value: &str) {
    if !value.starts_with("http") && !value.starts_with('/') {
        redactor.learn("cookie", value);
    }
}

/// A text after redaction; the text itself where redaction borrows, which says that there was nothing to replace.
fn clean(text: String, redact: impl FnOnce(&str) -> Cow<'_, str>) -> String {
    match redact(&text) {
        Cow::Owned(clean) => clean,
        Cow::Borrowed(_) => text,
    }
}

fn redact_values(redactor: &Redactor, values: &mut BTreeMap<String, String>) {
    for (name, value) in values {
        let clean = if name == "pages" {
            redactor.quoting(value)
        } else if name == "location" {
            redactor.url(value).into()
        } else if name == "authorization" {
            // A parameter that an attack moved into the header.
            redact_header(redactor, name, value)
        } else {
            redactor.parameter(name, value)
        };
        if let Cow::Owned(clean) = clean {
            *value = clean;
        }
    }
}

fn exchange(redactor: &Redactor, request: Request, answer: Result<Response, Failure>) -> Exchange {
    let headers = |list: Vec<(String, String)>| -> Vec<(String, String)> {
        list.into_iter()
            .map(|(name, value)| {
                let value = clean(value, |value| redact_header(redactor, &name, value));
                (if is_common(&name) { name } else { clean(name, |name| redactor.text(name)) }, value)
            })
            .collect()
    };
    let is_form = request.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case("content-type") && v.contains("x-www-form-urlencoded"));
    let body = text_of(request.body.unwrap_or_default());
    let (status, response_headers, response_body, error, elapsed) = match answer {
        Ok(response) => {
            let mut whole = text_of(response.body);
            let cut = whole.len() > KEPT_BODY || response.truncated;
            // Redact first: a secret must not be cut in two and so escape.
            let mut kept = if response.truncated || whole.len() > LOOKED_AT {
                whole.truncate((0..=LOOKED_AT).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or_default());
                redactor.cut_text(&whole)
            } else {
                clean(whole, |whole| redactor.text(whole))
            };
            let mut end = KEPT_BODY.min(kept.len());
            while !kept.is_char_boundary(end) {
                end -= 1;
            }
            kept.truncate(end);
            if cut {
                kept.push_str("… (cut)");
            }
            (response.status, headers(response.headers), kept, None, response.elapsed)
        }
        Err(failure) => {
            (0, Vec::new(), String::new(), Some(clean(failure.to_string(), |why| redactor.text(why))), std::time::Duration::ZERO)
        }
    };
    let certificate = match request.shows {
        Shows::Nothing => None,
        _ if !request.url.starts_with("https:") => None,
        Shows::CertificateOf(client) => Some(CertificateSeen::Of(client)),
        Shows::LikenessOf(client) => Some(CertificateSeen::Like(client)),
    };
    Exchange {
        certificate,
        url: redactor.url(&request.url),
        method: request.method,
        request_headers: headers(request.headers),
        request_body: if is_form { redactor.form(&body) } else { clean(body, |body| redactor.text(body)) },
        status,
        response_headers,
        response_body,
        error,
        server_micros: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    }
}

/// A body as text; what is no UTF-8 is replaced.
fn text_of(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Whether a header is one that nearly every message has: nobody's secret made its name.
fn is_common(header: &str) -> bool {
    matches!(
        header,
        "accept"
            | "authorization"
            | "cache-control"
            | "connection"
            | "content-length"
            | "content-security-policy"
            | "content-type"
            | "cookie"
            | "date"
            | "dpop"
            | "keep-alive"
            | "location"
            | "origin"
            | "pragma"
            | "referer"
            | "referrer-policy"
            | "sec-fetch-dest"
            | "sec-fetch-mode"
            | "sec-fetch-site"
            | "sec-fetch-user"
            | "set-cookie"
            | "strict-transport-security"
            | "user-agent"
            | "vary"
            | "x-content-type-options"
            | "x-frame-options"
    )
}

fn redact_header<'t>(redactor: &Redactor, name: &str, value: &'t str) -> Cow<'t, str> {
    if name.eq_ignore_ascii_case("location") { redactor.url(value).into() } else { redactor.header(name, value) }
}
