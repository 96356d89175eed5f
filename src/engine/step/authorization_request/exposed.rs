//! What was pushed and comes back to the browser all the same (RFC 9126 §1): in the addresses that it is sent to, and in its cookies.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use crate::engine::RunningTrial;
use crate::engine::http::Response;

use super::super::pushed::pushed_under;
use super::{Journey, Leads};
use crate::engine::submission;

/// A value shorter than this may stand anywhere by chance.
const SHORTEST: usize = 16;
/// Encodings inside of encodings are undone so often: a JWT in a percent-encoded cookie, with base64 in it.
const DEEPEST: usize = 4;
/// Nobody has a longer cookie or address.
const LONGEST: usize = 1 << 16;
/// What the browser brings itself, or is given with the code in any case.
const ITS_OWN: &[&str] = &["client_id", "redirect_uri", "request_uri", "state", "response_type", "scope"];

/// The parameters of the request that was pushed under the `request_uri` that the browser brings, as far as their values tell them.
pub(super) fn pushed(trial: &RunningTrial<'_>, request_uri: Option<&str>) -> BTreeMap<String, String> {
    let sent = request_uri.and_then(|uri| pushed_under(trial, uri));
    let is_watched = |name: &str, value: &str| value.len() >= SHORTEST && !ITS_OWN.contains(&name);
    sent.into_iter().flatten().filter(|(name, value)| is_watched(name, value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Journey<'_, '_> {
    /// Notes what an answer gives the browser of a request that was pushed.
    pub(super) fn look_for_exposed(&mut self, here: &str, response: &Response) {
        if self.pushed.is_empty() {
            return;
        }
        let next = response.header("location").and_then(|location| submission::resolve(here, location));
        // The answer to the client may have what the client is to have.
        let next = next.filter(|url| matches!(self.leads(url), Leads::Inside)).map(String::from);
        let cookies = response.all("set-cookie").filter_map(|cookie| cookie.split(';').next()).map(str::to_owned);
        let found: Vec<String> = next.into_iter().chain(cookies).flat_map(|text| exposed(&self.pushed, &text)).collect();
        for name in found {
            let known = self.raw.fields.get("exposed_parameters").cloned().unwrap_or_default();
            if !known.split(' ').any(|word| word == name) {
                self.raw.field("exposed_parameters", Some(format!("{known} {name}").trim()));
            }
        }
    }
}

/// The parameters whose values stand in a text, as it is or encoded.
fn exposed(pushed: &BTreeMap<String, String>, text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut look = |text: &str| {
        names.extend(pushed.iter().filter(|(_, value)| text.contains(value.as_str())).map(|(name, _)| name.clone()));
    };
    undone(text, DEEPEST, &mut look);
    names.sort();
    names.dedup();
    names
}

/// Shows a text, and what its percent-encoding and its pieces of base64 mean.
fn undone(text: &str, depth: usize, look: &mut impl FnMut(&str)) {
    if text.len() > LONGEST {
        return;
    }
    look(text);
    if depth == 0 {
        return;
    }
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    if decoded != text {
        undone(&decoded, depth - 1, look);
    }
    for (alphabet, signs) in [(&URL_SAFE, "-_"), (&STANDARD, "+/")] {
        let config =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
        let engine = GeneralPurpose::new(alphabet, config);
        let pieces = text.split(|c: char| !c.is_ascii_alphanumeric() && !signs.contains(c));
        for bytes in pieces.filter(|piece| piece.len() >= SHORTEST).filter_map(|piece| engine.decode(piece).ok()) {
            undone(&String::from_utf8_lossy(&bytes), depth - 1, look);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};

    #[test]
    fn values_are_found_in_what_they_are_wrapped_in() {
        let marker = "m4rk3r-0123456789abcdef";
        let pushed: BTreeMap<String, String> = [("nonce".to_owned(), marker.to_owned())].into();
        let found = |text: &str| !exposed(&pushed, text).is_empty();
        let json = format!(r#"{{"nonce":"{marker}","more":"???>>>"}}"#);
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(&json));
        let padded = BASE64.encode(&json);
        for text in [
            format!("https://as.example/login?nonce={marker}"),
            format!("session={}", crate::wire::encode(&json)),
            format!("KC_RESTART={jwt}"),
            format!("session={padded}"),
            format!("session={}", crate::wire::encode(&padded)),
            format!("session={}", URL_SAFE_NO_PAD.encode(&jwt)),
        ] {
            assert!(found(&text), "{text}");
        }
        assert!(!found("session=0123456789abcdef0123456789abcdef"));
        assert!(!found(&format!("session={}", URL_SAFE_NO_PAD.encode("something else altogether"))));
    }
}
