//! Secrets out of everything that is kept: replaced by their kind and a short hash, equal secrets by equal marks.
//!
//! A reader of the report sees that two tokens are the same, and nobody can use them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Values shorter than this are masked where they are expected (by parameter name), not wherever they occur: a password
/// `any` must not tear holes into every page.
const SHORTEST_ANYWHERE: usize = 8;

/// Parameters, members and headers whose value is a secret, with the kind that the mark names.
const SECRET_NAMES: &[(&str, &str)] = &[
    ("access_token", "access_token"),
    ("refresh_token", "refresh_token"),
    ("id_token", "id_token"),
    ("id_token_hint", "id_token"),
    ("code", "code"),
    ("device_code", "device_code"),
    ("code_verifier", "code_verifier"),
    ("client_secret", "client_secret"),
    ("client_assertion", "client_assertion"),
    ("registration_access_token", "registration_access_token"),
    ("request_uri", "request_uri"),
    ("password", "password"),
    ("session_code", "session_code"),
    ("session_state", "session_state"),
    ("otp", "otp"),
    ("totp", "otp"),
    ("totpSecret", "otp_secret"),
];

/// The kind of a parameter that is secret by its name.
pub fn secret_kind(parameter: &str) -> Option<&'static str> {
    SECRET_NAMES.iter().find(|(name, _)| *name == parameter).map(|(_, kind)| *kind)
}

/// What stands for a secret: `‹access_token 9f2c41›`. Passwords and client secrets may be guessable, so their mark
/// carries no hash.
pub fn mark(kind: &str, secret: &str) -> String {
    // Six digits are guessed from any hash of them.
    if matches!(kind, "password" | "client_secret" | "otp") {
        return format!("‹{kind}›");
    }
    let digest = Sha256::digest(secret.as_bytes());
    format!("‹{kind} {:02x}{:02x}{:02x}›", digest[0], digest[1], digest[2])
}

/// The secrets of one trial: those of the target, and what was issued and drawn on the way.
#[derive(Debug, Clone)]
pub struct Redactor {
    /// Secrets and their marks, in every encoding in which they may travel, by their first two bytes.
    secrets: BTreeMap<[u8; 2], Vec<(String, String)>>,
    /// Names of fields that took a secret in this trial, with its kind.
    names: BTreeMap<String, &'static str>,
    /// One bit for each pair of bytes that begins a secret: most places of a text are passed over with one look.
    starts: Box<[u64]>,
}

impl Default for Redactor {
    fn default() -> Self {
        Redactor { secrets: BTreeMap::new(), names: BTreeMap::new(), starts: vec![0; (1 << 16) / 64].into_boxed_slice() }
    }
}

impl Redactor {
    /// Makes a value known as a secret. Empty and very short values are only masked by parameter name.
    pub fn learn(&mut self, kind: &str, secret: &str) {
        if secret.len() < SHORTEST_ANYWHERE || self.mark_of(secret).is_some() {
            return;
        }
        let mark = mark(kind, secret);
        let encoded = crate::wire::encode(secret);
        if encoded != secret {
            self.add(encoded, mark.clone());
        }
        self.add(STANDARD.encode(secret), mark.clone());
        self.add(secret.to_owned(), mark);
    }

    /// Makes a field known as one that takes secrets, whatever it is called and however short they are.
    pub fn learn_name(&mut self, field: &str, kind: &'static str) {
        self.names.insert(field.to_owned(), kind);
    }

    /// The kind of a parameter that is secret by its name, everywhere or in this trial.
    fn kind(&self, parameter: &str) -> Option<&'static str> {
        secret_kind(parameter).or_else(|| self.names.get(parameter).copied())
    }

    fn add(&mut self, secret: String, mark: String) {
        let Some(&start) = secret.as_bytes().first_chunk() else { return };
        let bit = u16::from_be_bytes(start) as usize;
        if let Some(word) = self.starts.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
        self.secrets.entry(start).or_default().push((secret, mark));
    }

    fn mark_of(&self, secret: &str) -> Option<&String> {
        let start = secret.as_bytes().first_chunk()?;
        self.secrets.get(start)?.iter().find(|(s, _)| s == secret).map(|(_, mark)| mark)
    }

    /// The longest secret that a text begins with: its length and its mark.
    fn at(&self, text: &[u8]) -> Option<(usize, &str)> {
        let start = text.first_chunk()?;
        let bit = u16::from_be_bytes(*start) as usize;
        if self.starts.get(bit / 64).is_none_or(|word| word >> (bit % 64) & 1 == 0) {
            return None;
        }
        let begins = self.secrets.get(start)?.iter().filter(|(secret, _)| text.starts_with(secret.as_bytes()));
        begins.map(|(secret, mark)| (secret.len(), mark.as_str())).max_by_key(|(length, _)| *length)
    }

    /// Learns what travels under a secret's name: pairs of a form, a query or a fragment, or members of a JSON object.
    pub fn learn_from(&mut self, text: &str) {
        if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(text) {
            for (name, value) in &members {
                if let (Some(kind), Some(value)) = (secret_kind(name), value.as_str()) {
                    self.learn(kind, value);
                }
            }
            return;
        }
        for part in text.split(['?', '#']) {
            // Most names are no secret's: their values need not be decoded.
            for (name, value) in part.split('&').filter_map(|pair| pair.split_once('=')) {
                let plain = if name.contains(['%', '+']) { crate::wire::decode(name).into() } else { std::borrow::Cow::Borrowed(name) };
                if let Some(kind) = secret_kind(&plain) {
                    self.learn(kind, &crate::wire::decode(value));
                }
            }
        }
    }

    /// The text with every known secret replaced, the longest first, and whatever else looks like a JWT.
    pub fn text(&self, text: &str) -> String {
        let clean = self.known(text);
        if clean.contains("eyJ") { without_jwts(&clean) } else { clean }
    }

    /// Every known secret replaced; where two overlap, nothing of either is left.
    fn known(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut clean = String::new();
        // What stands before `kept` is in `clean`; up to `hidden` everything belongs to a secret.
        let (mut kept, mut hidden) = (0, 0);
        for place in 0..bytes.len() {
            if let Some((length, mark)) = self.at(&bytes[place..])
                && place + length > hidden
            {
                // A secret begins and ends between characters.
                clean.push_str(text.get(kept..place).unwrap_or_default());
                clean.push_str(mark);
                hidden = place + length;
                kept = hidden;
            }
        }
        if kept == 0 {
            return text.to_owned();
        }
        clean.push_str(text.get(kept..).unwrap_or_default());
        clean
    }

    /// The value of a named parameter: masked by its name, else by content.
    pub fn parameter(&self, name: &str, value: &str) -> String {
        match self.kind(name) {
            Some(kind) if !value.is_empty() && !value.starts_with('‹') => {
                self.mark_of(value).cloned().unwrap_or_else(|| mark(kind, value))
            }
            _ => self.text(value),
        }
    }

    /// A header value: cookies and credentials are masked whatever they hold.
    pub fn header(&self, name: &str, value: &str) -> String {
        match name.to_ascii_lowercase().as_str() {
            "cookie" => value
                .split("; ")
                .map(|pair| pair.split_once('=').map_or_else(|| mark("cookie", pair), |(n, v)| format!("{n}={}", mark("cookie", v))))
                .collect::<Vec<_>>()
                .join("; "),
            "set-cookie" => {
                let (pair, attributes) = value.split_once(';').map_or((value, ""), |(p, a)| (p, a));
                let pair = pair.split_once('=').map_or_else(|| mark("cookie", pair), |(n, v)| format!("{n}={}", mark("cookie", v)));
                if attributes.is_empty() { pair } else { format!("{pair};{attributes}") }
            }
            "authorization" => match value.split_once(' ') {
                Some((scheme, credential)) => {
                    let known = self.mark_of(credential).cloned();
                    format!("{scheme} {}", known.unwrap_or_else(|| mark("credential", credential)))
                }
                None => mark("credential", value),
            },
            "dpop" => mark("dpop_proof", value),
            // What no server puts a secret into; most headers are of these, and each text costs a search for every secret.
            "accept"
            | "cache-control"
            | "connection"
            | "content-length"
            | "content-security-policy"
            | "content-type"
            | "date"
            | "etag"
            | "keep-alive"
            | "pragma"
            | "referrer-policy"
            | "server"
            | "strict-transport-security"
            | "transfer-encoding"
            | "user-agent"
            | "vary"
            | "x-content-type-options"
            | "x-frame-options"
            | "x-xss-protection" => value.to_owned(),
            _ => self.text(value),
        }
    }

    /// A form body or query: parameter by parameter, so that short secrets are masked by name.
    pub fn form(&self, text: &str) -> String {
        text.split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && self.kind(&crate::wire::decode(name)).is_some() => {
                    format!("{name}={}", self.parameter(&crate::wire::decode(name), &crate::wire::decode(value)))
                }
                _ => self.text(pair),
            })
            .collect::<Vec<_>>()
            .join("&")
    }

    /// A URL: its query and fragment as forms.
    pub fn url(&self, url: &str) -> String {
        let (rest, fragment) = url.split_once('#').map_or((url, None), |(r, f)| (r, Some(f)));
        let (path, query) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q)));
        let mut clean = self.text(path);
        for (sign, part) in [('?', query), ('#', fragment)] {
            if let Some(part) = part {
                clean.push(sign);
                clean.push_str(&self.form(part));
            }
        }
        clean
    }
}

/// A compact JWS begins with the base64url of `{"`. One that nobody told us of is still a token.
fn without_jwts(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        clean.push_str(&rest[..at]);
        let tail = &rest[at..];
        let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(tail.len());
        let (token, after) = tail.split_at(end);
        if token.matches('.').count() >= 2 {
            clean.push_str(&mark("jwt", token))
        } else {
            clean.push_str(token)
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_have_equal_marks_in_every_encoding() {
        let mut redactor = Redactor::default();
        redactor.learn("code", "a/secret+code");
        let clean = redactor.text("x=a/secret+code&y=a%2Fsecret%2Bcode");
        assert!(!clean.contains("secret"), "{clean}");
        let marks: Vec<&str> = clean.split(['=', '&']).filter(|p| p.starts_with('‹')).collect();
        assert_eq!(marks.len(), 2);
        assert_eq!(marks[0], marks[1]);
    }

    #[test]
    fn of_secrets_that_overlap_nothing_is_left() {
        let mut redactor = Redactor::default();
        redactor.learn("code", "aaaa-bbbb-cccc");
        redactor.learn("refresh_token", "cccc-dddd-eeee");
        redactor.learn("access_token", "aaaa-bbbb-cccc-and-more");
        redactor.learn("cookie", "ünïcode-wert-ß");
        let clean = redactor.text("x aaaa-bbbb-cccc-dddd-eeee y ünïcode-wert-ß z aaaa-bbbb-cccc-and-more");
        assert!(!clean.contains("bbbb") && !clean.contains("dddd") && !clean.contains("and-more") && !clean.contains("wert"), "{clean}");
        assert!(clean.starts_with("x ‹code ") && clean.contains("› y ‹cookie ") && clean.contains("› z ‹access_token "), "{clean}");
    }

    proptest::proptest! {
        #[test]
        fn no_known_secret_survives(secret in "[a-c%+/é]{8,12}", before in "[a-c%+/é]{0,12}", after in "[a-c%+/é]{0,12}") {
            let mut redactor = Redactor::default();
            redactor.learn("code", &secret);
            let clean = redactor.text(&format!("{before}{secret}{after}{secret}"));
            proptest::prop_assert!(!clean.contains(&secret), "{}", clean);
        }
    }

    #[test]
    fn short_secrets_are_masked_by_name_only() {
        let mut redactor = Redactor::default();
        redactor.learn("password", "any");
        assert_eq!(redactor.form("login=alice&password=any&company=any"), "login=alice&password=‹password›&company=any");
        redactor.learn_name("j_pw", "password");
        assert_eq!(redactor.form("login=alice&j%5Fpw=any&company=any"), "login=alice&j%5Fpw=‹password›&company=any");
    }

    #[test]
    fn what_travels_under_a_secret_name_is_learnt() {
        let mut redactor = Redactor::default();
        redactor.learn_from(r#"{"access_token":"opaque-token-1","scope":"openid"}"#);
        redactor.learn_from("https://app.example/cb?code=secret-code-1&state=public-state");
        let clean = redactor.text("opaque-token-1 secret-code-1 public-state openid eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0. end");
        assert!(!clean.contains("opaque-token-1") && !clean.contains("secret-code-1") && !clean.contains("eyJ"), "{clean}");
        assert!(clean.contains("public-state openid ‹jwt ") && clean.ends_with("› end"), "{clean}");
    }

    #[test]
    fn cookies_and_credentials_never_stand_in_headers() {
        let redactor = Redactor::default();
        assert!(!redactor.header("Cookie", "sid=abcdef; t=ghi").contains("abcdef"));
        assert!(!redactor.header("authorization", "Basic YTpi").contains("YTpi"));
        assert!(redactor.header("Set-Cookie", "sid=abcdef; HttpOnly").ends_with("; HttpOnly"));
    }
}
