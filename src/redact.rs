//! Secrets out of everything that is kept: replaced by their kind and a short hash, equal secrets by equal marks.
//!
//! A reader of the report sees that two tokens are the same, and nobody can use them. docs/reports.md says in which encodings
//! a secret is found, and what cannot be.

mod members;
mod needles;
#[cfg(test)]
mod tests;
mod views;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard};

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem::Finder;
use serde::de::DeserializeSeed as _;
use sha2::{Digest, Sha256};

use crate::wire;

/// Secrets of at least this length are looked for everywhere, also as a part of longer words.
const SHORTEST_ANYWHERE: usize = 8;

/// The same for secrets that have a digit or a sign in them, and so are no word: one-time codes have six digits.
const SHORTEST_NO_WORD: usize = 6;

/// Secrets of four and five characters, one a letter and one none, are masked as words of their own. Whatever is shorter, a word or a number is
/// masked by the name of its field only: a password `any` or `2026` must not tear holes into every page.
const SHORTEST_ALONE: usize = 4;

/// What a server issues is a word of the protocol, such as `invalid_grant`, rather than a secret where it has letters of one case
/// alone and is shorter than this.
const LONGEST_WORD: usize = 24;

/// At the end of a text that was cut off, so many bytes that begin a secret are taken for one.
const SHORTEST_BEGINNING: usize = 6;

/// The kind of a parameter, member or header that is secret by its name: what its mark names.
pub fn secret_kind(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "access_token" | "other_access_token" => "access_token",
        "refresh_token" | "other_refresh_token" => "refresh_token",
        "id_token" | "id_token_hint" => "id_token",
        "logout_token" => "logout_token",
        "code" => "code",
        "response" => "authorization_response",
        "auth_req_id" => "auth_req_id",
        "device_code" => "device_code",
        "code_verifier" => "code_verifier",
        "client_secret" => "client_secret",
        "client_assertion" => "client_assertion",
        "registration_access_token" => "registration_access_token",
        "request_uri" => "request_uri",
        "dpop" => "dpop_proof",
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
pub fn mark(kind: &str, secret: impl AsRef<[u8]>) -> String {
    // Six digits are guessed from any hash of them.
    if matches!(kind, "password" | "client_secret" | "otp") {
        return format!("‹{kind}›");
    }
    let digest = Sha256::digest(secret);
    format!("‹{kind} {:02x}{:02x}{:02x}›", digest[0], digest[1], digest[2])
}

/// base64url with or without padding, also where it was cut off.
const GENEROUS: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// How a JWT begins: the base64url of `{"`.
static JWT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"eyJ"));

/// Where a secret is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// Wherever it stands, also inside of a longer word.
    Anywhere,
    /// As a word of its own: no letter or digit beside it.
    Word,
}

/// A piece of a text that is a secret, or a part of one.
#[derive(Debug)]
struct Place {
    start: usize,
    end: usize,
    mark: Arc<str>,
}

/// The secrets of a run: those of the target, and what was issued and drawn on the way. Clones share them, so that what one trial was
/// given is no news in another one; each has field names of its own.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    secrets: Arc<RwLock<needles::Needles>>,
    /// Names of fields that took a secret in this trial, with its kind.
    names: BTreeMap<String, &'static str>,
}

impl Redactor {
    /// Makes known what a server issued, or what was drawn. Values that are short, or words, are only masked by parameter name.
    pub fn learn(&self, kind: &str, secret: &str) {
        let between = |b: u8| matches!(b, b'_' | b'-' | b' ');
        let word =
            secret.bytes().all(|b| b.is_ascii_lowercase() || between(b)) || secret.bytes().all(|b| b.is_ascii_uppercase() || between(b));
        if secret.len() >= SHORTEST_ANYWHERE && (secret.len() >= LONGEST_WORD || !word) {
            self.add(kind, secret.as_bytes(), Strictness::Anywhere);
        }
    }

    /// Makes known what the target file holds, or what was made of it: passwords may be words, and one-time codes are short.
    pub fn learn_own(&self, kind: &str, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref();
        let (letters, digits) = (secret.iter().all(u8::is_ascii_alphabetic), secret.iter().all(u8::is_ascii_digit));
        let anywhere = if letters { SHORTEST_ANYWHERE } else { SHORTEST_NO_WORD };
        if secret.len() >= anywhere {
            self.add(kind, secret, Strictness::Anywhere);
        } else if secret.len() >= SHORTEST_ALONE && !letters && !digits {
            self.add(kind, secret, Strictness::Word);
        }
    }

    fn add(&self, kind: &str, secret: &[u8], strictness: Strictness) {
        // Nearly everything is learned again and again.
        if self.known().mark_of(secret).is_none() {
            self.secrets.write().unwrap_or_else(PoisonError::into_inner).learn(secret, || mark(kind, secret).into(), strictness);
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, needles::Needles> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a field known as one that takes secrets, whatever it is called and however short they are.
    pub fn learn_name(&mut self, field: &str, kind: &'static str) {
        self.names.insert(field.to_owned(), kind);
    }

    /// The kind of a parameter that is secret by its name, everywhere or in this trial.
    fn kind(&self, parameter: &str) -> Option<&'static str> {
        secret_kind(parameter).or_else(|| self.names.get(parameter).copied())
    }

    fn mark_of(&self, secret: &str) -> Option<String> {
        self.known().mark_of(secret.as_bytes()).map(|mark| mark.to_string())
    }

    /// Learns what travels under a secret's name: pairs of a form, a query or a fragment, also of links in a page, or members of JSON.
    pub fn learn_from(&self, text: &str) {
        if text.trim_start().starts_with(['{', '[']) {
            let mut reader = serde_json::Deserializer::from_str(text);
            let members = members::Members { redactor: self, kind: None };
            if members.deserialize(&mut reader).and_then(|()| reader.end()).is_ok() {
                return;
            }
        }
        let begins = |byte: u8| matches!(byte, b'?' | b'#' | b'&' | b';');
        let ends = |byte: u8| begins(byte) || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'\\') || byte.is_ascii_whitespace();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('=') {
            let (value, next) = after.split_at(after.bytes().position(ends).unwrap_or(after.len()));
            let name = before.bytes().rposition(begins).map_or(before, |end| &before[end + 1..]);
            // Most names are no secret's: their values need not be decoded.
            if let Some(kind) = secret_kind(&wire::decode(name)) {
                self.learn(kind, &wire::decode(value));
            }
            rest = next;
        }
    }

    /// The text with every known secret replaced, in whatever encoding it stands there, and whatever else looks like a JWT. Borrowed where it
    /// has none.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let bytes = text.as_bytes();
        let views = if views::any(bytes) { views::of(bytes) } else { Vec::new() };
        let mut places = Vec::new();
        let known = self.known();
        known.search(bytes, None, &mut places);
        for view in &views {
            known.search(&view.bytes, Some(view), &mut places);
        }
        drop(known);
        self.tokens(bytes, None, &mut places);
        for view in &views {
            self.tokens(&view.bytes, Some(view), &mut places);
        }
        // A password such as `password` stands in its own mark.
        places.retain(|place| {
            let kind = place.mark.trim_matches(['‹', '›']).split(' ').next();
            !(text.get(..place.start).is_some_and(|before| before.ends_with('‹')) && text.get(place.start..place.end) == kind)
        });
        if places.is_empty() { text.into() } else { without(text, places).into() }
    }

    /// The same of a text that quotes others, shortened with an ellipsis: what begins a secret before one is replaced too.
    pub fn quoting<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains('…') {
            return self.text(text);
        }
        let known = self.known();
        let mut pieces: Vec<Cow<'_, str>> = text.split('…').map(Cow::Borrowed).collect();
        let last = pieces.len() - 1;
        for piece in &mut pieces[..last] {
            let begins = known
                .cut_off(piece.as_bytes(), SHORTEST_BEGINNING)
                .map(|(at, mark)| format!("{}{mark}", piece.get(..at).unwrap_or_default()));
            if let Some(clean) = begins {
                *piece = clean.into();
            }
        }
        drop(known);
        self.text(&pieces.join("…")).into_owned().into()
    }

    /// A compact JWS or JWE begins with the base64url of `{"`. One that nobody told us of is still a token; and a part of one is a secret where
    /// what it says holds a secret.
    fn tokens(&self, text: &[u8], view: Option<&views::View>, places: &mut Vec<Place>) {
        let known = places.len();
        let mut from = 0;
        while let Some(at) = JWT.find(&text[from..]).map(|at| from + at) {
            let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let end = at + text[at..].iter().take_while(|b| letter(b)).count();
            let token = &text[at..end];
            from = end;
            let (start, end) = view.map_or((at, end), |view| view.origin(at, end));
            // A full stop behind a token that is known is none of its own.
            if places[..known].iter().any(|place| place.start == start) {
                continue;
            }
            let mut parts = token.split(|b| *b == b'.');
            if token.iter().filter(|b| **b == b'.').count() >= 2 || parts.any(|part| self.holds_secret(part)) {
                places.push(Place { start, end, mark: mark("jwt", token).into() });
            }
        }
    }

    /// Whether a part of a JWT says a secret, in any encoding.
    fn holds_secret(&self, part: &[u8]) -> bool {
        let decoded = GENEROUS.decode(&part[..part.len() - usize::from(part.len() % 4 == 1)]).unwrap_or_default();
        matches!(self.text(&String::from_utf8_lossy(&decoded)), Cow::Owned(_))
    }

    /// The same of a text that was cut off at its end: the word in which it was cut is left out, and what begins a secret before it.
    pub fn cut_text(&self, text: &str) -> String {
        let begins = self.known().cut_off(text.as_bytes(), SHORTEST_BEGINNING).map_or(text.len(), |(at, _)| at);
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>');
        let word = text.char_indices().rev().find(|(_, c)| ends(*c)).map_or(0, |(at, c)| at + c.len_utf8());
        self.text(text.get(..begins.min(word)).unwrap_or_default()).into_owned()
    }

    /// The value of a named parameter: masked by its name, else by content. Borrowed where it is none of these.
    pub fn parameter<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        match self.kind(name) {
            Some(kind) if !value.is_empty() && !is_mark(value) => self.mark_of(value).unwrap_or_else(|| mark(kind, value)).into(),
            Some(_) => value.into(),
            None => self.text(value),
        }
    }

    /// A header value: cookies and credentials are masked whatever they hold. Borrowed where it is none of these.
    pub fn header<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        let masked = |kind: &str, value: &str| if is_mark(value) { value.to_owned() } else { mark(kind, value) };
        let cookie = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", masked("cookie", value)),
            None => masked("cookie", pair),
        };
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("cookie") {
            self.text(value).split("; ").map(cookie).collect::<Vec<_>>().join("; ").into()
        } else if is("set-cookie") {
            let value = self.text(value);
            let (pair, attributes) = value.split_at(value.find(';').unwrap_or(value.len()));
            (cookie(pair) + attributes).into()
        } else if is("authorization") {
            match value.split_once(' ') {
                Some((scheme, credential)) => {
                    format!("{scheme} {}", self.mark_of(credential).unwrap_or_else(|| masked("credential", credential))).into()
                }
                None => masked("credential", value).into(),
            }
        } else if is("dpop") {
            masked("dpop_proof", value).into()
        } else if says_nothing(value) {
            value.into()
        } else {
            self.text(value)
        }
    }

    /// A form body or query: what is known by content, then parameter by parameter, so that short secrets are masked by name.
    pub fn form(&self, text: &str) -> String {
        self.named(&self.text(text), &['&'])
    }

    /// A URL: its query and fragment as forms.
    pub fn url(&self, url: &str) -> String {
        self.named(&self.text(url), &['?', '#', '&'])
    }

    /// The values of pairs with a secret's name masked, where pairs begin behind these signs.
    fn named(&self, text: &str, signs: &[char]) -> String {
        let mut clean = String::with_capacity(text.len());
        for piece in text.split_inclusive(signs) {
            let pair = piece.trim_end_matches(signs);
            match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && self.kind(&wire::decode(name)).is_some() => {
                    clean.push_str(name);
                    clean.push('=');
                    clean.push_str(&self.parameter(&wire::decode(name), &wire::decode(value)));
                    clean.push_str(&piece[pair.len()..]);
                }
                _ => clean.push_str(piece),
            }
        }
        clean
    }
}

/// Whether a header's value is a word of HTTP that nearly every message has: it is nobody's secret, even where somebody's password is the
/// same word.
pub fn says_nothing(value: &str) -> bool {
    matches!(
        value,
        "" | "*/*"
            | "0"
            | "?1"
            | "DENY"
            | "application/json"
            | "application/x-www-form-urlencoded"
            | "cross-site"
            | "document"
            | "navigate"
            | "no-cache"
            | "no-store"
            | "none"
            | "nosniff"
            | "same-origin"
            | "text/html; charset=utf-8"
    )
}

/// Whether a value is one mark and nothing else.
fn is_mark(value: &str) -> bool {
    value.starts_with('‹') && value.find('›').is_some_and(|end| end + '›'.len_utf8() == value.len())
}

/// A text with marks in these places. Where two overlap, nothing of either is left.
fn without(text: &str, mut places: Vec<Place>) -> String {
    places.sort_by_key(|place| (place.start, Reverse(place.end)));
    let mut clean = String::with_capacity(text.len());
    // What stands before it is in `clean`, or is a part of a secret.
    let mut done = 0;
    for Place { start, end, mark } in places {
        if end > done {
            // A secret begins and ends between characters; half of one is none.
            clean.push_str(text.get(done..start).unwrap_or_default());
            clean.push_str(&mark);
            done = (end..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        }
    }
    clean.push_str(text.get(done..).unwrap_or_default());
    clean
}
