//! Addresses as a browser sees them, and what protects a page there.

use url::Url;

use crate::engine::http::Response;
use crate::wire;

pub(super) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// The path alone, as reports name a page.
pub(super) fn path_of(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.path().to_owned())
}

/// Scheme, user information, host, port and path are the same.
pub(super) fn same_place(one: &Url, other: &Url) -> bool {
    same_page(one, other) && one.username() == other.username()
}

/// A browser shows the same page: user information says nothing of where it is.
pub(super) fn same_page(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
        && one.path() == other.path()
}

/// The asked-for address is the registered one with another query or fragment, and the callback has that difference.
pub(super) fn carries_asked(url: &Url, asked: &Url, registered: &Url) -> bool {
    let difference = |u: &Url| -> Vec<(String, String)> {
        let own = wire::parse_form(registered.query().unwrap_or_default());
        wire::parse_form(u.query().unwrap_or_default()).into_iter().filter(|pair| !own.contains(pair)).collect()
    };
    let wanted = difference(asked);
    let has = wire::parse_form(url.query().unwrap_or_default());
    let query = !wanted.is_empty() && wanted.iter().all(|pair| has.contains(pair));
    let fragment = asked.fragment().is_some_and(|f| !f.is_empty() && url.fragment().is_some_and(|u| u.contains(f)));
    query || fragment
}

/// CSP frame-ancestors without a wildcard, or X-Frame-Options DENY or SAMEORIGIN (RFC 9700 §4.16). ALLOW-FROM and a
/// report-only policy protect nothing.
pub(super) fn protected_from_framing(response: &Response) -> bool {
    let options = response.all("x-frame-options").any(|v| matches!(v.trim().to_ascii_lowercase().as_str(), "deny" | "sameorigin"));
    let policies = response.all("content-security-policy").flat_map(|v| v.split([';', ','])).filter_map(|directive| {
        let mut words = directive.split_whitespace();
        words.next().filter(|w| w.eq_ignore_ascii_case("frame-ancestors"))?;
        Some(words.map(str::to_owned).collect::<Vec<_>>())
    });
    let anybody = |source: &String| matches!(source.as_str(), "*" | "https:" | "http:" | "https://*" | "http://*");
    // Each policy must allow it; and where one says who may, browsers do not look at the older header (CSP 3, frame-ancestors).
    let mut said = policies.map(|sources| !sources.iter().any(anybody)).peekable();
    if said.peek().is_some() { said.any(|protects| protects) } else { options }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(name: &str, value: &str) -> Response {
        Response { headers: vec![(name.into(), value.into())], ..Response::default() }
    }

    #[test]
    fn what_protects_from_framing() {
        assert!(protected_from_framing(&with_header("X-Frame-Options", "SAMEORIGIN")));
        assert!(protected_from_framing(&with_header("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")));
        assert!(!protected_from_framing(&with_header("X-Frame-Options", "ALLOW-FROM https://x")));
        assert!(!protected_from_framing(&with_header("Content-Security-Policy", "frame-ancestors *")));
        assert!(!protected_from_framing(&with_header("Content-Security-Policy-Report-Only", "frame-ancestors 'none'")));
        let both = |policy: &str| Response {
            headers: vec![("X-Frame-Options".into(), "DENY".into()), ("Content-Security-Policy".into(), policy.into())],
            ..Response::default()
        };
        assert!(!protected_from_framing(&both("frame-ancestors *")), "the policy counts, and not the older header");
        assert!(protected_from_framing(&both("default-src 'self'")));
    }

    #[test]
    fn places_are_compared_as_browsers_resolve_them() {
        let parse = |text: &str| Url::parse(text).expect("a URL");
        let registered = parse("https://app.example/cb");
        assert!(same_place(&parse("https://app.example:443/x/../cb?code=1"), &registered));
        assert!(!same_place(&parse("https://app.example@evil.example/cb"), &registered));
        assert!(!same_place(&parse("https://evil.example\\@app.example/cb"), &registered));
        let asked = parse("https://app.example/cb?evil=1");
        assert!(carries_asked(&parse("https://app.example/cb?evil=1&code=2"), &asked, &registered));
        assert!(!carries_asked(&parse("https://app.example/cb?code=2"), &asked, &registered));
    }
}
