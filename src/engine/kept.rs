//! What is kept of a step: its observation, without secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::observation::{Exchange, Outcome, StepObservation};
use crate::model::step::StepKind;
use crate::redact::{Redactor, secret_kind};
use crate::target::{ClientAuthentication, Target};
use crate::wire;

use super::http::{Failure, Request, Response};
use super::{RawStep, RunningTrial};

/// Bytes of a body that the evidence keeps.
const KEPT_BODY: usize = 4096;

/// A redactor that knows the secrets of a target file.
pub fn redactor(target: &Target) -> Redactor {
    let mut redactor = Redactor::default();
    for client in target.clients.values() {
        if let Some(secret) = client.authentication.secret() {
            redactor.learn("client_secret", secret.reveal());
        }
        if let ClientAuthentication::PrivateKeyJwt { key, .. } = &client.authentication {
            redactor.learn("private_key", key.reveal());
        }
    }
    for user in std::iter::once(&target.user).chain(&target.other_user) {
        let secrets = [("password", &user.password), ("otp_secret", &user.totp), ("cookie", &user.cookie)];
        for (kind, secret) in secrets.into_iter().filter_map(|(kind, secret)| Some((kind, secret.as_ref()?.reveal()))) {
            redactor.learn(kind, secret);
            // A Cookie header holds one secret for each cookie.
            for (_, value) in secret.split(';').filter_map(|pair| pair.split_once('=')).filter(|_| kind == "cookie") {
                redactor.learn(kind, value.trim());
            }
        }
    }
    redactor
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
            }
        }
        for (request, answer) in &raw.exchanges {
            self.redactor.learn_from(&request.url);
            self.redactor.learn_from(&wire::text(request.body.as_deref().unwrap_or_default()));
            if let Ok(response) = answer {
                self.redactor.learn_from(&response.text());
                self.redactor.learn_from(response.header("location").unwrap_or_default());
            }
        }
        for browser in self.browsers.values() {
            for cookie in browser.secrets() {
                self.redactor.learn("cookie", cookie);
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
            note: clean(raw.note, |note| redactor.text(note)),
            shape: raw.shape,
            waited_millis: 0,
            undelivered: raw.undelivered.map(|why| clean(why, |why| redactor.text(why))),
            exchanges: raw.exchanges.into_iter().map(|(request, answer)| exchange(redactor, request, answer)).collect(),
        }
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
        let clean = if name == "location" { redactor.url(value).into() } else { redactor.parameter(name, value) };
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
                (name, value)
            })
            .collect()
    };
    let is_form = request.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case("content-type") && v.contains("x-www-form-urlencoded"));
    let body = text_of(request.body.unwrap_or_default());
    let (status, response_headers, response_body, error, elapsed) = match answer {
        Ok(response) => {
            let whole = text_of(response.body);
            let cut = whole.len() > KEPT_BODY || response.truncated;
            // Redact first: a secret must not be cut in two and so escape.
            let mut kept = clean(whole, |whole| redactor.text(whole));
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
        Err(failure) => (0, Vec::new(), String::new(), Some(failure.to_string()), std::time::Duration::ZERO),
    };
    Exchange {
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

fn redact_header<'t>(redactor: &Redactor, name: &str, value: &'t str) -> Cow<'t, str> {
    if name.eq_ignore_ascii_case("location") { redactor.url(value).into() } else { redactor.header(name, value) }
}
