//! The secrets of a run, found in one pass over a text however many they are: as they are, in base64 and in hexadecimal.
//!
//! What is looked for is the end of a secret: tokens of one server begin alike and end differently. Of each form its last four
//! bytes are known; where a text has them, the form is made and compared. So learning costs little, and nothing is kept but the
//! secret itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZero;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::views::View;
use super::{Place, Strictness};

/// The last bytes of a form, by which it is found.
const WINDOW: usize = 4;

/// Shorter secrets are not looked for in base64 and hexadecimal: too little of them is certain there.
const SHORTEST_ENCODED: usize = 6;

/// log2 of the number of bits in the filter.
const BITS: u32 = 20;

/// How a secret may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// As it is, with `+` for a space: forms are encoded so.
    Plus,
    /// In base64, with this many other bytes (modulo 3) before it.
    Base64(u8),
    Hex,
}

#[derive(Debug)]
struct Secret {
    bytes: Box<[u8]>,
    mark: Arc<str>,
    strictness: Strictness,
}

/// A form of a secret that ends in some window, and the one before it with the same window. There are some ten for each secret.
#[derive(Debug)]
struct Entry {
    secret: u32,
    before: Option<NonZero<u32>>,
    form: Form,
}

/// Windows are spread well enough by one multiplication.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }
    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[derive(Debug)]
pub struct Needles {
    secrets: Vec<Secret>,
    entries: Vec<Entry>,
    /// The newest entry for each window, counted from one.
    newest: HashMap<u32, NonZero<u32>, BuildHasherDefault<Spread>>,
    /// One bit for the windows that there are: most places of a text are passed over with one look.
    filter: Box<[u64]>,
}

impl Default for Needles {
    fn default() -> Self {
        Needles {
            secrets: Vec::new(),
            entries: Vec::new(),
            newest: HashMap::default(),
            filter: vec![0; 1 << (BITS - 6)].into_boxed_slice(),
        }
    }
}

impl Needles {
    /// Adds a secret of at least four bytes; nothing where it is known.
    pub fn learn(&mut self, secret: &[u8], mark: impl FnOnce() -> Arc<str>, strictness: Strictness) {
        if secret.len() < WINDOW || self.mark_of(secret).is_some() {
            return;
        }
        let mark = mark();
        let number = self.push(secret, Arc::clone(&mark), strictness);
        self.add(number, Form::Plain, window(secret));
        if secret.contains(&b' ') {
            self.add(number, Form::Plus, window(&plus(secret)));
        }
        if secret.len() < SHORTEST_ENCODED {
            return;
        }
        self.add_encoded(number, secret);
        // A client secret is form-encoded before it is put into base64 (RFC 6749 §2.3.1).
        if let Some(Cow::Owned(encoded)) = std::str::from_utf8(secret).ok().map(crate::wire::encode) {
            let number = self.push(encoded.as_bytes(), mark, strictness);
            self.add_encoded(number, encoded.as_bytes());
        }
    }

    fn push(&mut self, secret: &[u8], mark: Arc<str>, strictness: Strictness) -> u32 {
        self.secrets.push(Secret { bytes: secret.into(), mark, strictness });
        u32::try_from(self.secrets.len() - 1).unwrap_or(u32::MAX)
    }

    fn add_encoded(&mut self, number: u32, secret: &[u8]) {
        for before in 0..3_u8 {
            // The end of it is enough to know how it ends: from where a group of three bytes begins.
            let most = secret.len() - WINDOW;
            let from = most - (usize::from(before) + most) % 3;
            let end = URL_SAFE_NO_PAD.encode(&secret[from..]);
            let end = window(&end.as_bytes()[..(secret.len() - from) * 8 / 6]);
            self.add(number, Form::Base64(before), end);
            let standard = u32::from_be_bytes(end.to_be_bytes().map(|b| {
                if b == b'-' {
                    b'+'
                } else if b == b'_' {
                    b'/'
                } else {
                    b
                }
            }));
            if standard != end {
                self.add(number, Form::Base64(before), standard);
            }
        }
        let end: String = secret[secret.len() - WINDOW / 2..].iter().map(|b| format!("{b:02x}")).collect();
        self.add(number, Form::Hex, window(end.as_bytes()));
        if end.bytes().any(|b| b.is_ascii_lowercase()) {
            self.add(number, Form::Hex, window(end.to_ascii_uppercase().as_bytes()));
        }
    }

    fn add(&mut self, secret: u32, form: Form, end: u32) {
        let bit = spot(end);
        self.filter[bit / 64] |= 1 << (bit % 64);
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX - 1);
        let before = self.newest.insert(end, NonZero::<u32>::MIN.saturating_add(number));
        self.entries.push(Entry { secret, before, form });
    }

    fn ending_in(&self, end: u32) -> impl Iterator<Item = (&Secret, Form)> {
        let first = self.newest.get(&end).copied();
        let entry = |number: NonZero<u32>| self.entries.get(number.get() as usize - 1);
        let entries = std::iter::successors(first.and_then(entry), move |newer| newer.before.and_then(entry));
        entries.filter_map(|entry| Some((self.secrets.get(entry.secret as usize)?, entry.form)))
    }

    /// The mark of exactly this secret.
    pub fn mark_of(&self, secret: &[u8]) -> Option<&Arc<str>> {
        if secret.len() < WINDOW {
            return None;
        }
        self.ending_in(window(secret)).find(|(s, form)| *form == Form::Plain && *s.bytes == *secret).map(|(s, _)| &s.mark)
    }

    /// Every place of a text, or of a view of it, that is a secret.
    pub fn search(&self, text: &[u8], view: Option<&View>, places: &mut Vec<Place>) {
        let mut last = 0_u32;
        for (at, byte) in text.iter().enumerate() {
            last = last << 8 | u32::from(*byte);
            let bit = spot(last);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            for (secret, form) in self.ending_in(last) {
                if let Some((start, end)) = secret.ends(form, text, at + 1) {
                    let (start, end) = view.map_or((start, end), |view| view.origin(start, end));
                    places.push(Place { start, end, mark: Arc::clone(&secret.mark) });
                }
            }
        }
    }

    /// Where the beginning of a secret stands at the very end of a text that was cut off there, and its mark: the longest.
    pub fn cut_off(&self, text: &[u8], least: usize) -> Option<(usize, &Arc<str>)> {
        let of = |secret: &Secret| {
            let longest = secret.bytes.len().saturating_sub(1).min(text.len());
            (least..=longest).rev().map(|length| text.len() - length).find(|at| secret.bytes.starts_with(&text[*at..]))
        };
        self.secrets.iter().filter_map(|secret| Some((of(secret)?, &secret.mark))).min_by_key(|(at, _)| *at)
    }
}

impl Secret {
    /// The place of a form of this secret that ends here, with what hangs on it.
    fn ends(&self, form: Form, text: &[u8], end: usize) -> Option<(usize, usize)> {
        let start_of = |length: usize| end.checked_sub(length);
        match form {
            Form::Plain | Form::Plus => {
                let start = start_of(self.bytes.len())?;
                let same = |(a, b): (&u8, &u8)| a == b || form == Form::Plus && *b == b' ' && *a == b'+';
                let found = text[start..end].iter().zip(&*self.bytes).all(same);
                let alone = || {
                    let word = |at: Option<&u8>| at.is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii());
                    !word(start.checked_sub(1).and_then(|at| text.get(at))) && !word(text.get(end))
                };
                (found && (self.strictness == Strictness::Anywhere || alone())).then_some((start, end))
            }
            Form::Hex => {
                let start = start_of(self.bytes.len() * 2)?;
                let digit = |b: u8| char::from(b).to_digit(16);
                let same =
                    |(pair, byte): (&[u8], &u8)| digit(pair[0]).zip(digit(pair[1])) == Some((u32::from(byte >> 4), u32::from(byte & 15)));
                text[start..end].chunks_exact(2).zip(&*self.bytes).all(same).then_some((start, end))
            }
            Form::Base64(before) => {
                let before = usize::from(before);
                let bits = (before + self.bytes.len()) * 8;
                // Characters that have bits of other bytes in them are not certain.
                let (first, certain) = ((before * 8).div_ceil(6), bits / 6);
                let start = start_of(certain - first)?;
                // Few places come so far, and nearly all of them are the secret.
                let encoded = URL_SAFE_NO_PAD.encode([&[0; 2][..before], &self.bytes].concat());
                let same = |(a, b): (&u8, &u8)| a == b || matches!((a, b), (b'+', b'-') | (b'/', b'_'));
                if !text[start..end].iter().zip(&encoded.as_bytes()[first..certain]).all(same) {
                    return None;
                }
                let letter = |at: usize| text.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'));
                let start = start.checked_sub(1).filter(|at| before > 0 && letter(*at)).unwrap_or(start);
                let end = if !bits.is_multiple_of(6) && letter(end) { end + 1 } else { end };
                let padding = (3 - bits / 8 % 3) % 3;
                let padding = text[end..].iter().take(padding).take_while(|b| **b == b'=').count();
                Some((start, end + padding))
            }
        }
    }
}

/// The last bytes of a form.
fn window(form: &[u8]) -> u32 {
    form.iter().rev().take(WINDOW).rev().fold(0, |window, byte| window << 8 | u32::from(*byte))
}

/// The bit of a window in the filter.
fn spot(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

fn plus(secret: &[u8]) -> Vec<u8> {
    secret.iter().map(|b| if *b == b' ' { b'+' } else { *b }).collect()
}
