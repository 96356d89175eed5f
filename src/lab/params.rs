//! Request parameters in `application/x-www-form-urlencoded`
//! (RFC 6749 appendix B), decoded without ever failing.

use std::collections::BTreeSet;
use std::fmt;

use percent_encoding::percent_decode;

/// The decoded parameters of a request, with what is wrong about them.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    faults: Vec<Fault>,
    /// Names of parameters that were sent without a value.
    empty: Vec<String>,
}

/// A parameter that cannot be used as sent.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    name: String,
    kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultKind {
    Repeated,
    Malformed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::Repeated => "is given more than once",
            FaultKind::Malformed => "is not encoded properly",
        };
        // The name comes from the request: shown only when it is harmless.
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if self.name.len() <= 40 && self.name.chars().all(plain) {
            write!(f, "parameter {} {what}", self.name)
        } else {
            write!(f, "a parameter {what}")
        }
    }
}

impl Params {
    /// Decodes a query or a body. A parameter with an empty value counts as
    /// omitted (RFC 6749 section 3.1).
    pub(super) fn parse(input: &[u8]) -> Self {
        let mut params = Self::default();
        let mut seen = BTreeSet::new();
        for piece in input.split(|&byte| byte == b'&') {
            let mut halves = piece.splitn(2, |&byte| byte == b'=');
            let (name, name_ok) = decode(halves.next().unwrap_or_default());
            let (value, value_ok) = decode(halves.next().unwrap_or_default());
            if value.is_empty() {
                params.empty.push(name);
                continue;
            }
            let kind = if !seen.insert(name.clone()) {
                Some(FaultKind::Repeated)
            } else if !name_ok || !value_ok {
                Some(FaultKind::Malformed)
            } else {
                None
            };
            if let Some(kind) = kind {
                let name = name.clone();
                params.faults.push(Fault { name, kind });
            }
            params.pairs.push((name, value));
        }
        params
    }

    /// The parameters of a JSON object; what is no text becomes `other`.
    pub(super) fn of_json(members: &serde_json::Map<String, serde_json::Value>, other: &str) -> Self {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or(other).to_owned();
        Self { pairs: members.iter().map(|(name, value)| (name.clone(), text(value))).collect(), faults: Vec::new(), empty: Vec::new() }
    }

    /// Keeps the last value of a repeated parameter only; of the one named
    /// here it keeps `other`.
    pub(super) fn last_only(&mut self, name: &str, other: &str) {
        if self.iter().filter(|(key, _)| *key == name).count() > 1 {
            self.pairs.push((name.to_owned(), other.to_owned()));
        }
        self.allow_repeated(|_| true);
        let mut seen = BTreeSet::new();
        let mut kept: Vec<_> = self.pairs.drain(..).rev().filter(|(name, _)| seen.insert(name.clone())).collect();
        kept.reverse();
        self.pairs = kept;
    }

    /// Parameters that came in another way; one without a value counts as omitted here too.
    pub(super) fn of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { pairs: pairs.collect(), faults: Vec::new(), empty: Vec::new() }
    }

    /// The value of a parameter, the first one if it is repeated.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All values of a parameter that may stand more than once.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter_map(move |(key, value)| (key == name).then_some(value))
    }

    /// The value of a parameter, the last one if it is repeated.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Whether a parameter was sent without a value.
    pub(super) fn is_empty(&self, name: &str) -> bool {
        self.empty.iter().any(|key| key == name)
    }

    /// Whether a parameter stands more than once that must not.
    pub(super) fn is_any_repeated(&self) -> bool {
        self.faults.iter().any(|fault| fault.kind == FaultKind::Repeated)
    }

    /// Lets parameters stand more than once, as a flawed server does.
    pub(super) fn allow_repeated(&mut self, may_repeat: impl Fn(&str) -> bool) {
        self.faults.retain(|fault| fault.kind != FaultKind::Repeated || !may_repeat(&fault.name));
    }

    /// All parameters in the order of the request.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first thing wrong with the request, if any.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.faults.first()
    }

    /// What is wrong with this very parameter.
    pub(super) fn fault_of(&self, name: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.name == name)
    }

    /// All but one of them.
    pub(super) fn without(&self, name: &str) -> Self {
        let mut params = self.clone();
        params.pairs.retain(|(key, _)| key != name);
        params.faults.retain(|fault| fault.name != name);
        params
    }

    /// Adds the parameters of `other` that are not there yet.
    pub(super) fn complete_with(&mut self, other: Params) {
        let present: BTreeSet<String> = self.pairs.iter().map(|(name, _)| name.clone()).collect();
        let missing = other.pairs.into_iter();
        self.pairs.extend(missing.filter(|(name, _)| !present.contains(name)));
    }
}

/// Decodes one name or value; the flag tells whether it was well-formed.
pub(super) fn decode(input: &[u8]) -> (String, bool) {
    let well_formed = input.iter().enumerate().all(|(at, &byte)| {
        byte != b'%'
            || matches!(
                input.get(at + 1..at + 3),
                Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
            )
    });
    let spaced: Vec<u8> = input.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    match String::from_utf8(bytes) {
        Ok(text) => (text, well_formed),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(params: &'a Params, name: &str) -> &'a str {
        params.get(name).unwrap_or("-")
    }

    #[test]
    fn decodes_form_encoding() {
        let params = Params::parse(b"a=1+2&b=%C3%A4%2b&c==x%3D&&=&d&e=");
        assert_eq!(get(&params, "a"), "1 2");
        assert_eq!(get(&params, "b"), "ä+");
        assert_eq!(get(&params, "c"), "=x=");
        assert_eq!(params.get("d"), None, "without a value it counts as omitted");
        assert_eq!(params.get("e"), None);
        assert!(params.fault().is_none());
    }

    #[test]
    fn malformed_input_is_reported_not_fatal() {
        for input in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=x%4%41", b"a=%ff%fe", b"a=\xff", b"%=1"] {
            let params = Params::parse(input);
            assert!(params.fault().is_some(), "{input:?}");
        }
        assert_eq!(get(&Params::parse(b"a=%zz"), "a"), "%zz");
        assert!(Params::parse(b"").fault().is_none());
        assert!(Params::parse(b"&&&==&=").pairs.len() <= 1);
    }

    #[test]
    fn repeated_parameters_are_faults() {
        let params = Params::parse(b"a=1&b=2&a=1");
        assert!(params.fault_of("a").is_some());
        assert!(params.fault_of("b").is_none());
        assert_eq!(params.fault().map(ToString::to_string).as_deref(), Some("parameter a is given more than once"));
        let odd = Params::parse(b"%0D%0A<x>=1&%0D%0A<x>=1");
        assert_eq!(odd.fault().map(ToString::to_string).as_deref(), Some("a parameter is given more than once"));
        assert!(Params::parse(b"a=&a=1").fault().is_none());
        let mut params = Params::parse(b"a=1&b=2&a=3&b=4");
        assert_eq!((params.get("a"), params.last("a"), params.last("c")), (Some("1"), Some("3"), None));
        params.allow_repeated(|name| name == "a");
        assert!(params.fault_of("a").is_none() && params.fault_of("b").is_some());
    }

    #[test]
    fn completing_does_not_override() {
        let mut params = Params::parse(b"a=1");
        params.complete_with(Params::parse(b"a=2&b=3"));
        assert_eq!((get(&params, "a"), get(&params, "b")), ("1", "3"));
    }
}
