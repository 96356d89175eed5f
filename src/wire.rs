//! How parameters are written on the wire, and read back from it.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 §2.3 is encoded; a space becomes `%20`, which is right in
/// queries and in form bodies alike.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a name or value; borrowed where nothing needs it.
pub fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, RESERVED).into()
}

/// Decodes one name or value of a query or form: `+` is a space, broken escapes stay as they are. Borrowed where there is
/// nothing to decode.
pub fn decode(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned().into()
    } else {
        text.into()
    }
}

/// Bytes as text; what is no UTF-8 is replaced. Nearly everything is, and that much is borrowed after one quick look.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The first words of a text: at most so many characters, and an ellipsis where there are more. The word in which it would be cut is left
/// out whole: half of a secret is one that the redactor does not know.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(most) else { return text.into() };
    let words = text.get(..end).unwrap_or_default();
    let whole = words.rfind(char::is_whitespace).map_or("", |at| &words[..at]);
    format!("{}…", whole.trim_end()).into()
}

/// Joins pairs as `application/x-www-form-urlencoded`. A pair marked raw goes out byte for byte.
pub fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str, bool)>) -> String {
    let mut joined = String::new();
    for (name, value, raw) in pairs {
        if !joined.is_empty() {
            joined.push('&');
        }
        joined.extend(utf8_percent_encode(name, RESERVED));
        joined.push('=');
        if raw {
            joined.push_str(value);
        } else {
            joined.extend(utf8_percent_encode(value, RESERVED));
        }
    }
    joined
}

/// Reads pairs back, in order, duplicates kept.
pub fn parse_form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name).into_owned(), decode(value).into_owned())
        })
        .collect()
}

/// The query of a URL as text, without the fragment.
pub fn query_of(url: &str) -> &str {
    let without_fragment = url.split('#').next().unwrap_or(url);
    without_fragment.split_once('?').map_or("", |(_, query)| query)
}

/// Appends a query to a URL, keeping what it has.
pub fn with_query(url: &str, query: &str) -> String {
    if query.is_empty() {
        return url.to_owned();
    }
    let (rest, fragment) = url.split_once('#').map_or((url, String::new()), |(r, f)| (r, format!("#{f}")));
    let sign = if !rest.contains('?') {
        "?"
    } else if rest.ends_with('?') || rest.ends_with('&') {
        ""
    } else {
        "&"
    };
    format!("{rest}{sign}{query}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_query_is_appended_where_it_belongs() {
        assert_eq!(with_query("https://a/cb", "x=1"), "https://a/cb?x=1");
        assert_eq!(with_query("https://a/cb?y=2#f", "x=1"), "https://a/cb?y=2&x=1#f");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(pairs in proptest::collection::vec(("[a-z]{1,8}", ".{0,20}"), 0..6)) {
            let text = form(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str(), false)));
            prop_assert_eq!(parse_form(&text), pairs);
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = parse_form(&text);
            let _ = with_query(&text, &text);
            let _ = query_of(&text);
        }
    }
}
