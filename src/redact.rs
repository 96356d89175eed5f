//! Secrets out of everything that is kept: replaced by their kind and a short hash, equal secrets by equal marks.
//!
//! A reader of the report sees that two tokens are the same, and nobody can use them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::wire;

/// Values shorter than this are masked where they are expected (by parameter name), not wherever they occur: a password
/// `any` must not tear holes into every page.
const SHORTEST_ANYWHERE: usize = 8;

/// The kind of a parameter, member or header that is secret by its name: what its mark names.
pub fn secret_kind(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "access_token" => "access_token",
        "refresh_token" => "refresh_token",
        "id_token" | "id_token_hint" => "id_token",
        "code" => "code",
        "device_code" => "device_code",
        "code_verifier" => "code_verifier",
        "client_secret" => "client_secret",
        "client_assertion" => "client_assertion",
        "registration_access_token" => "registration_access_token",
        "request_uri" => "request_uri",
        "password" => "password",
        "session_code" => "session_code",
        "session_state" => "session_state",
        "otp" | "totp" => "otp",
        "totpSecret" => "otp_secret",
        _ => return None,
    })
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
    secrets: BTreeMap<[u8; 2], Vec<(String, Arc<str>)>>,
    /// Names of fields that took a secret in this trial, with its kind.
    names: BTreeMap<String, &'static str>,
    /// One bit for each pair of bytes that begins a secret: most places of a text are passed over with one look.
    starts: Box<[u64; (1 << 16) / 64]>,
}

impl Default for Redactor {
    fn default() -> Self {
        Redactor { secrets: BTreeMap::new(), names: BTreeMap::new(), starts: Box::new([0; (1 << 16) / 64]) }
    }
}

impl Redactor {
    /// Makes a value known as a secret. Empty and very short values are only masked by parameter name.
    pub fn learn(&mut self, kind: &str, secret: &str) {
        if secret.len() < SHORTEST_ANYWHERE || self.mark_of(secret).is_some() {
            return;
        }
        let mark: Arc<str> = mark(kind, secret).into();
        if let Cow::Owned(encoded) = wire::encode(secret) {
            self.add(encoded, Arc::clone(&mark));
        }
        self.add(STANDARD.encode(secret), Arc::clone(&mark));
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

    fn add(&mut self, secret: String, mark: Arc<str>) {
        let Some(&start) = secret.as_bytes().first_chunk() else { return };
        let bit = u16::from_be_bytes(start);
        self.starts[usize::from(bit / 64)] |= 1 << (bit % 64);
        self.secrets.entry(start).or_default().push((secret, mark));
    }

    fn mark_of(&self, secret: &str) -> Option<&Arc<str>> {
        let start = secret.as_bytes().first_chunk()?;
        self.secrets.get(start)?.iter().find(|(s, _)| s == secret).map(|(_, mark)| mark)
    }

    /// Whether a secret begins with these two bytes.
    fn begins(&self, start: [u8; 2]) -> bool {
        let bit = u16::from_be_bytes(start);
        self.starts[usize::from(bit / 64)] >> (bit % 64) & 1 == 1
    }

    /// The longest secret that a text begins with: its length and its mark.
    fn at(&self, text: &[u8]) -> Option<(usize, &str)> {
        let begins = self.secrets.get(text.first_chunk()?)?.iter().filter(|(secret, _)| text.starts_with(secret.as_bytes()));
        begins.map(|(secret, mark)| (secret.len(), &**mark)).max_by_key(|(length, _)| *length)
    }

    /// Learns what travels under a secret's name: pairs of a form, a query or a fragment, or members of a JSON object.
    pub fn learn_from(&mut self, text: &str) {
        if text.trim_start().starts_with('{') {
            let mut reader = serde_json::Deserializer::from_str(text);
            if reader.deserialize_map(Members(self)).and_then(|()| reader.end()).is_ok() {
                return;
            }
        }
        let ends = |byte: u8| matches!(byte, b'?' | b'#' | b'&');
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('=') {
            let (value, next) = after.split_at(after.bytes().position(ends).unwrap_or(after.len()));
            let name = before.bytes().rposition(ends).map_or(before, |end| &before[end + 1..]);
            // Most names are no secret's: their values need not be decoded.
            if let Some(kind) = secret_kind(&wire::decode(name)) {
                self.learn(kind, &wire::decode(value));
            }
            rest = next;
        }
    }

    /// The text with every known secret replaced, the longest first, and whatever else looks like a JWT. Borrowed where it
    /// has none.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let clean = self.known(text);
        if clean.contains("eyJ") { without_jwts(&clean).into() } else { clean }
    }

    /// Every known secret replaced; where two overlap, nothing of either is left.
    fn known<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let bytes = text.as_bytes();
        let mut clean = String::new();
        // What stands before `kept` is in `clean`; up to `hidden` everything belongs to a secret.
        let (mut kept, mut hidden) = (0, 0);
        let mut from = 0;
        while let Some(more) = bytes[from..].windows(2).position(|pair| self.begins([pair[0], pair[1]])) {
            let place = from + more;
            if let Some((length, mark)) = self.at(&bytes[place..])
                && place + length > hidden
            {
                // A secret begins and ends between characters.
                clean.push_str(text.get(kept..place).unwrap_or_default());
                clean.push_str(mark);
                hidden = place + length;
                kept = hidden;
            }
            from = place + 1;
        }
        if kept == 0 {
            return text.into();
        }
        clean.push_str(text.get(kept..).unwrap_or_default());
        clean.into()
    }

    /// The value of a named parameter: masked by its name, else by content. Borrowed where it is none of these.
    pub fn parameter<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        match self.kind(name) {
            Some(kind) if !value.is_empty() && !value.starts_with('‹') => {
                self.mark_of(value).map_or_else(|| mark(kind, value), |mark| mark.to_string()).into()
            }
            _ => self.text(value),
        }
    }

    /// A header value: cookies and credentials are masked whatever they hold. Borrowed where it is none of these.
    pub fn header<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        let small = if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { Cow::Borrowed(name) };
        let masked = match &*small {
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
                    let known = self.mark_of(credential).map(|mark| mark.to_string());
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
            | "x-xss-protection" => return value.into(),
            _ => return self.text(value),
        };
        masked.into()
    }

    /// A form body or query: parameter by parameter, so that short secrets are masked by name.
    pub fn form(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        self.form_into(text, &mut clean);
        clean
    }

    fn form_into(&self, text: &str, clean: &mut String) {
        for (index, pair) in text.split('&').enumerate() {
            if index > 0 {
                clean.push('&');
            }
            match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && self.kind(&wire::decode(name)).is_some() => {
                    clean.push_str(name);
                    clean.push('=');
                    clean.push_str(&self.parameter(&wire::decode(name), &wire::decode(value)));
                }
                _ => clean.push_str(&self.text(pair)),
            }
        }
    }

    /// A URL: its query and fragment as forms.
    pub fn url(&self, url: &str) -> String {
        let (rest, fragment) = url.split_once('#').map_or((url, None), |(r, f)| (r, Some(f)));
        let (path, query) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q)));
        let mut clean = String::with_capacity(url.len());
        clean.push_str(&self.text(path));
        for (sign, part) in [('?', query), ('#', fragment)] {
            if let Some(part) = part {
                clean.push(sign);
                self.form_into(part, &mut clean);
            }
        }
        clean
    }
}

/// Learns the strings under secret names of a JSON object, and steps over everything else in it.
struct Members<'r>(&'r mut Redactor);

/// A member's name, borrowed where it has no escape.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = members.next_key()? {
            match secret_kind(&name) {
                None => drop(members.next_value::<IgnoredAny>()?),
                Some(kind) => {
                    if let serde_json::Value::String(secret) = members.next_value()? {
                        self.0.learn(kind, &secret);
                    }
                }
            }
        }
        Ok(())
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
            let text = format!("{before}{secret}{after}{secret}");
            let clean = redactor.text(&text);
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
