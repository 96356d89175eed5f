//! Looks for secrets in whatever a program wrote, in every encoding. It shares no code with the redactor: a mistake that both make would
//! find nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// A secret and what it is.
pub type Canary = (&'static str, String);

/// The ways in which a server writes a secret, by name.
pub fn written(secret: &str) -> Vec<(String, String)> {
    let bytes = |format: fn(u8) -> String| secret.bytes().map(format).collect::<String>();
    let escaped = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect::<String>();
    let in_json = |text: &str| {
        let quoted = serde_json::to_string(text).expect("JSON");
        quoted[1..quoted.len() - 1].to_owned()
    };
    let json = in_json(secret);
    let one = |index: usize| -> String {
        let each = secret.chars().enumerate();
        each.map(|(at, c)| if at == index { escaped(c) } else { in_json(&c.to_string()) }).collect()
    };
    let percent = bytes(|b| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).into() } else { format!("%{b:02X}") });
    let middle = secret.chars().count() / 2;
    let mut all: Vec<(String, String)> = [
        ("plain", secret.to_owned()),
        ("percent, large", percent.clone()),
        ("percent, small", bytes(|b| if b.is_ascii_alphanumeric() { char::from(b).into() } else { format!("%{b:02x}") })),
        ("percent, every byte", bytes(|b| format!("%{b:02X}"))),
        ("percent, twice", percent.replace('%', "%25")),
        ("percent, every byte twice", bytes(|b| format!("%25{b:02x}"))),
        ("form", percent.replace("%20", "+")),
        ("hex, small", bytes(|b| format!("{b:02x}"))),
        ("hex, large", bytes(|b| format!("{b:02X}"))),
        ("JSON", json.clone()),
        ("JSON, slashes", json.replace('/', "\\/")),
        ("JSON, every character", secret.chars().map(escaped).collect()),
        ("JSON, first character", one(0)),
        ("JSON, one character", one(middle)),
        ("HTML, decimal", secret.chars().map(|c| format!("&#{};", u32::from(c))).collect()),
        ("HTML, hexadecimal", secret.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect()),
        ("HTML, named", secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&apos;")),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into();
    for (at, before) in ["", "x", "xy"].into_iter().enumerate() {
        let engines = [("standard", STANDARD), ("standard, bare", STANDARD_NO_PAD), ("url", URL_SAFE), ("url, bare", URL_SAFE_NO_PAD)];
        for (name, engine) in engines {
            all.push((format!("base64 {name}, behind {at}"), engine.encode(format!("{before}{secret}"))));
            all.push((format!("base64 {name}, behind {at}, in the middle"), engine.encode(format!("{before}{secret}zz"))));
            all.push((format!("base64 {name} of percent, behind {at}"), engine.encode(format!("{before}{percent}"))));
        }
    }
    all
}

/// What cannot be escaped any further: as it is, and what is certain of it in base64 and hexadecimal.
fn forms(secret: &str) -> Vec<(String, String)> {
    let mut all = vec![("plain".to_owned(), secret.to_owned())];
    if secret.contains(' ') {
        all.push(("plain, +".into(), secret.replace(' ', "+")));
    }
    if secret.len() < 6 {
        return all;
    }
    for before in 0..3 {
        let text = URL_SAFE_NO_PAD.encode([&vec![0; before], secret.as_bytes()].concat());
        let certain = &text[(before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6];
        all.push((format!("base64 url, behind {before}"), certain.to_owned()));
        all.push((format!("base64 standard, behind {before}"), certain.replace('-', "+").replace('_', "/")));
    }
    let hex = |upper: bool| secret.bytes().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect::<String>();
    all.extend([("hex, small".into(), hex(false)), ("hex, large".into(), hex(true))]);
    all
}

/// Pieces of a form that give it away: where a secret was cut off, its beginning is left.
fn pieces(kind: &str, form: &str) -> Vec<String> {
    const PIECE: usize = 20;
    let bytes = form.len();
    if bytes <= PIECE || !form.is_ascii() {
        return vec![form.to_owned()];
    }
    // Every token of a server begins alike, and says so in public.
    let public_head = form.starts_with("eyJ") || kind == "private_key" || kind == "request_uri";
    let mut all = vec![form[bytes - PIECE..].to_owned(), form[bytes / 2 - PIECE / 2..][..PIECE].to_owned()];
    if !public_head {
        all.push(form[..PIECE].to_owned());
    }
    all
}

/// Looks for all forms of all secrets at once.
pub struct Search {
    needles: AhoCorasick,
    what: Vec<String>,
}

impl Search {
    pub fn new<'c>(secrets: impl IntoIterator<Item = &'c Canary>) -> Search {
        let mut known = BTreeSet::new();
        let (mut needles, mut what) = (Vec::new(), Vec::new());
        for (kind, secret) in secrets {
            let percent = grantproof::wire::encode(secret).into_owned();
            let inner = if percent == *secret { Vec::new() } else { forms(&percent).split_off(1) };
            for (form, text) in forms(secret).into_iter().chain(inner) {
                // The middle of a JWT in base64 may be public; its plain form is what counts there.
                for piece in pieces(kind, &text).into_iter().take(if secret.starts_with("eyJ") { 1 } else { 3 }) {
                    if known.insert(piece.clone()) {
                        needles.push(piece);
                        what.push(format!("{kind} ({form})"));
                    }
                }
            }
        }
        Search { needles: AhoCorasick::new(needles).expect("an automaton"), what }
    }

    /// What is found in some bytes and in whatever they say once escapes are undone: the secret's kind, its form, and what stands around it.
    pub fn find(&self, bytes: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut views: Vec<(String, Vec<u8>)> = vec![(String::new(), bytes.to_vec())];
        let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
        while let Some((how, view)) = views.pop() {
            for hit in self.needles.find_iter(&view) {
                if is_a_duration(&view[..hit.start()]) {
                    continue;
                }
                let around = &view[hit.start().saturating_sub(60)..(hit.end() + 20).min(view.len())];
                let what = &self.what[hit.pattern().as_usize()];
                if found.len() < 20 {
                    found.insert(format!("{what}{how}: …{}…", String::from_utf8_lossy(around)));
                }
            }
            if how.matches(',').count() < 3 {
                for (name, decode) in [("percent", percent as fn(&[u8]) -> Vec<u8>), ("JSON", json), ("HTML", html)] {
                    let inner = decode(&view);
                    if inner.len() != view.len() && seen.insert(inner.clone()) {
                        views.push((format!("{how}, {name}"), inner));
                    }
                }
            }
        }
        found
    }
}

/// Whether what follows is a measured time. Among thousands of them one has the digits of a one-time code.
fn is_a_duration(before: &[u8]) -> bool {
    let digits = before.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let name = before[..before.len() - digits].trim_ascii_end();
    name.ends_with(b"_micros\":") || name.ends_with(b"_millis\":")
}

fn number(text: Option<&[u8]>, radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(text?).ok().filter(|t| !t.starts_with('+'))?;
    u32::from_str_radix(text, radix).ok()
}

fn percent(text: &[u8]) -> Vec<u8> {
    undo(text, b'%', |rest| Some((3, vec![u8::try_from(number(rest.get(1..3), 16)?).ok()?])))
}

fn json(text: &[u8]) -> Vec<u8> {
    undo(text, b'\\', |rest| match rest.get(1)? {
        b'u' => {
            let unit = number(rest.get(2..6), 16)?;
            let pair = || number(rest.get(6..8).filter(|t| *t == b"\\u").and(rest.get(8..12)), 16);
            match char::from_u32(unit) {
                Some(c) => Some((6, c.to_string().into_bytes())),
                None => Some((12, char::from_u32(0x10000 + ((unit & 0x3ff) << 10) + (pair()? & 0x3ff))?.to_string().into_bytes())),
            }
        }
        plain @ (b'"' | b'\\' | b'/') => Some((2, vec![*plain])),
        _ => None,
    })
}

fn html(text: &[u8]) -> Vec<u8> {
    undo(text, b'&', |rest| {
        let end = rest.iter().take(12).position(|b| *b == b';')?;
        let c = match &rest[1..end] {
            b"amp" => '&',
            b"lt" => '<',
            b"gt" => '>',
            b"quot" => '"',
            b"apos" => '\'',
            [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(Some(digits), 16)?)?,
            [b'#', digits @ ..] => char::from_u32(number(Some(digits), 10)?)?,
            _ => return None,
        };
        Some((end + 1, c.to_string().into_bytes()))
    })
}

fn undo(text: &[u8], sign: u8, read: impl Fn(&[u8]) -> Option<(usize, Vec<u8>)>) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == sign) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (length, meaning) = read(rest).unwrap_or_else(|| (1, vec![sign]));
        plain.extend(meaning);
        rest = &rest[length..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
    all
}
