//! Which redirect URIs are accepted, and how a response is put into one.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Flaw;

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What cannot stand in a header field as it is.
const HEADER: &AsciiSet = &CONTROLS.add(b' ');

/// The spellings in which a dot segment can hide from a comparison.
const DOT_SEGMENTS: [&str; 5] = ["/../", "/%2e%2e/", "/..%2f", "/..;/", "\\..\\"];

/// Whether `given` may be redirected to. Strictly it must equal a registered
/// URI character by character (RFC 9700 section 4.1.3); each redirect flaw
/// lets one more kind of value through.
pub(super) fn is_accepted(has: impl Fn(Flaw) -> bool, registered: &[String], given: &str) -> bool {
    type Rule = fn(&str, &str) -> bool;
    const RULES: [(Flaw, Rule); 18] = [
        (Flaw::RedirectUriUnchecked, |_, _| true),
        (Flaw::RedirectUriPrefixMatch, |uri, given| given.starts_with(uri)),
        (Flaw::RedirectUriBeginningMatch, is_beginning),
        (Flaw::RedirectUriLineMatch, |uri, given| given.split('\n').any(|line| line == uri)),
        (Flaw::RedirectUriLocalhost, |_, given| ["http://localhost:", "http://localhost/"].iter().any(|start| given.starts_with(start))),
        (Flaw::RedirectUriNormalisedAfterCheck, |uri, given| before_dot_segment(given) == uri),
        (Flaw::RedirectUriAuthorityConfusion, authority_confused),
        (Flaw::RedirectUriHostPrefixMatch, host_prefix_matches),
        (Flaw::RedirectUriHostSuffixMatch, host_suffix_matches),
        (Flaw::RedirectUriQueryIgnored, |uri, given| !given.contains('#') && without_query(uri) == without_query(given)),
        (Flaw::RedirectUriCaseInsensitive, path_matches_in_any_case),
        (Flaw::RedirectUriFragmentAccepted, |uri, given| given.split_once('#').is_some_and(|(before, _)| before == uri)),
        (Flaw::RedirectUriPortIgnored, matches_but_for_port),
        (Flaw::RedirectUriSchemeIgnored, matches_but_for_scheme),
        (Flaw::RedirectUriLoopbackLax, |uri, given| is_loopback(uri) && given.starts_with("http://127.0.0.1")),
        (Flaw::RedirectUriRegex, matches_as_pattern),
        (Flaw::RedirectUriRelativeAccepted, |_, given| is_relative(given)),
        (Flaw::RedirectUriDangerousScheme, |_, given| has_dangerous_scheme(given)),
    ];
    // RFC 8252 section 7.3: the application takes the port that is free.
    let is_same = |uri: &str| given == uri || (is_loopback(uri) && matches_but_for_port(uri, given));
    registered.iter().any(|uri| is_same(uri) || RULES.iter().any(|(flaw, rule)| rule(uri, given) && has(*flaw)))
}

/// Whether the registered address begins so, with a part of its host at least.
fn is_beginning(registered: &str, given: &str) -> bool {
    registered.starts_with(given) && split(given).is_some_and(|(_, authority, _)| !authority.is_empty())
}

/// Whether this is an address on the user's own machine.
pub(super) fn is_loopback(uri: &str) -> bool {
    split(uri).is_some_and(|(scheme, authority, _)| scheme == "http" && host_and_port(authority).0 == "127.0.0.1")
}

fn host_suffix_matches(uri: &str, given: &str) -> bool {
    let (Some((scheme, rest)), Some((other, longer))) = (uri.split_once("://"), given.split_once("://")) else {
        return false;
    };
    let before = longer.strip_suffix(rest).unwrap_or_default();
    scheme == other && !before.is_empty() && !before.contains(['/', '?', '#', '@', '\\'])
}

fn before_dot_segment(given: &str) -> &str {
    let lower = given.to_ascii_lowercase();
    let cut = DOT_SEGMENTS.iter().filter_map(|spelling| lower.find(spelling)).min();
    cut.and_then(|at| given.get(..at)).unwrap_or(given)
}

pub(super) fn without_query(uri: &str) -> &str {
    uri.split_once('?').map_or(uri, |(before, _)| before)
}

fn has_dangerous_scheme(given: &str) -> bool {
    given
        .split_once(':')
        .is_some_and(|(scheme, _)| ["javascript", "data", "vbscript"].iter().any(|dangerous| scheme.eq_ignore_ascii_case(dangerous)))
}

/// Splits `scheme://authority/rest` the way a careless parser does: the
/// authority ends at the first slash and nowhere else.
fn split(uri: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((scheme, authority, path))
}

fn authority_confused(registered: &str, given: &str) -> bool {
    let (Some(known), Some(seen)) = (split(registered), split(given)) else {
        return false;
    };
    let Some((userinfo, host)) = seen.1.rsplit_once('@') else {
        return false;
    };
    if known.0 != seen.0 || known.2 != seen.2 || userinfo.is_empty() {
        return false;
    }
    if host == known.1 {
        // evil.example\@app.example: browsers take the backslash, or the
        // decoded number sign, for the end of the host.
        return ["\\", "%23", "#"].iter().any(|end| userinfo.ends_with(end));
    }
    // app.example@evil.example, app.example:443@evil.example
    userinfo
        .strip_prefix(known.1)
        .is_some_and(|after| after.is_empty() || after.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())))
}

fn host_prefix_matches(registered: &str, given: &str) -> bool {
    let (Some(known), Some(seen)) = (split(registered), split(given)) else {
        return false;
    };
    let (known_host, known_port) = host_and_port(known.1);
    let (seen_host, seen_port) = host_and_port(seen.1);
    known.0 == seen.0
        && known.2 == seen.2
        && known_port == seen_port
        && seen_host.starts_with(known_host)
        && seen_host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
}

fn path_matches_in_any_case(registered: &str, given: &str) -> bool {
    let (Some(known), Some(seen)) = (split(registered), split(given)) else {
        return false;
    };
    known.0 == seen.0 && known.1 == seen.1 && known.2.eq_ignore_ascii_case(seen.2)
}

fn matches_but_for_port(registered: &str, given: &str) -> bool {
    let (Some(known), Some(seen)) = (split(registered), split(given)) else {
        return false;
    };
    let (seen_host, seen_port) = host_and_port(seen.1);
    known.0 == seen.0
        && known.2 == seen.2
        && host_and_port(known.1).0 == seen_host
        && seen_port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn matches_but_for_scheme(registered: &str, given: &str) -> bool {
    let (Some((_, known)), Some((scheme, seen))) = (registered.split_once("://"), given.split_once("://")) else {
        return false;
    };
    known == seen && matches!(scheme, "http" | "https")
}

fn matches_as_pattern(registered: &str, given: &str) -> bool {
    registered.len() == given.len() && registered.bytes().zip(given.bytes()).all(|(known, seen)| known == b'.' || known == seen)
}

/// What browsers resolve to another host although it is no absolute URI.
fn is_relative(given: &str) -> bool {
    given.starts_with(['/', '\t']) || given.strip_prefix("https:").is_some_and(|rest| !rest.starts_with('/'))
}

fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
}

/// Where the parameters of a response go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Query,
    Fragment,
}

/// Appends parameters to a URI, keeping its own query (RFC 6749 section
/// 3.1.2). The result can stand in a `Location` header.
pub(super) fn with_params(uri: &str, part: Part, pairs: &[(&str, &str)]) -> String {
    let (before, fragment) = match uri.split_once('#') {
        Some((before, fragment)) => (before, Some(fragment)),
        None => (uri, None),
    };
    let mut location = utf8_percent_encode(before, HEADER).to_string();
    let mut separator = match part {
        Part::Fragment => "#",
        Part::Query if before.ends_with(['?', '&']) => "",
        Part::Query if before.contains('?') => "&",
        Part::Query => "?",
    };
    for (name, value) in pairs {
        location.push_str(separator);
        location.extend(utf8_percent_encode(name, VALUE));
        location.push('=');
        location.extend(utf8_percent_encode(value, VALUE));
        separator = "&";
    }
    if let (Part::Query, Some(fragment)) = (part, fragment) {
        location.push('#');
        location.extend(utf8_percent_encode(fragment, HEADER));
    }
    location
}

/// What a web client may be redirected to: https without user information, fragment and pattern, or an application on the user's
/// own machine (RFC 8252 section 7.3).
pub(super) fn is_harmless(uri: &str) -> bool {
    let rest = uri.strip_prefix("https://");
    let is_whole = rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric())) || is_loopback(uri);
    is_whole && uri.bytes().all(|b| b.is_ascii_graphic()) && !uri.contains(['#', '*', '@', '\\', '"', '<', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTERED: &str = "https://app.example/cb";

    /// Values that are not the registered one, and the flaws (other than
    /// `redirect-uri-unchecked`) that let each of them through.
    const TABLE: &[(&str, &[Flaw])] = &[
        ("https://evil.example/cb", &[]),
        ("https://app.example/", &[Flaw::RedirectUriBeginningMatch]),
        ("https://app.example/c", &[Flaw::RedirectUriBeginningMatch]),
        ("https://app.exampl", &[Flaw::RedirectUriBeginningMatch]),
        ("https://", &[]),
        ("https://evil.example/\nhttps://app.example/cb", &[Flaw::RedirectUriLineMatch]),
        ("https://app.example/cb\r\nx", &[Flaw::RedirectUriPrefixMatch]),
        ("http://localhost:8443/x", &[Flaw::RedirectUriLocalhost]),
        ("http://localhost.evil.example/x", &[]),
        ("HTTPS://app.example/cb", &[]),
        ("https://APP.example/cb", &[]),
        ("http://app.example/cb", &[Flaw::RedirectUriSchemeIgnored]),
        ("https://app.example:443/cb", &[Flaw::RedirectUriPortIgnored]),
        ("https://app.example:8443/cb", &[Flaw::RedirectUriPortIgnored]),
        ("https://app.example:8443/other", &[]),
        ("https://app.example:/cb", &[]),
        ("https://app.example/CB", &[Flaw::RedirectUriCaseInsensitive]),
        ("https://APP.example/CB", &[]),
        ("https://sub.app.example/cb", &[Flaw::RedirectUriHostSuffixMatch]),
        ("https://app.example/%63b", &[]),
        ("https://app.example//cb", &[]),
        ("//app.example/cb", &[Flaw::RedirectUriRelativeAccepted]),
        ("/\\evil.example/cb", &[Flaw::RedirectUriRelativeAccepted]),
        ("https:evil.example/cb", &[Flaw::RedirectUriRelativeAccepted]),
        ("\thttps://evil.example/cb", &[Flaw::RedirectUriRelativeAccepted]),
        ("https://appxexample/cb", &[Flaw::RedirectUriRegex]),
        ("https://app.example", &[Flaw::RedirectUriBeginningMatch]),
        ("https://evil.example/?https://app.example/cb", &[]),
        ("https://app.example/cb/more", &[Flaw::RedirectUriPrefixMatch]),
        ("https://app.example/cbx", &[Flaw::RedirectUriPrefixMatch]),
        ("https://app.example/cb#f", &[Flaw::RedirectUriPrefixMatch, Flaw::RedirectUriFragmentAccepted]),
        ("https://app.example/other#f", &[]),
        ("https://app.example/cb/", &[Flaw::RedirectUriPrefixMatch]),
        ("https://app.example/cb/../evil", &[Flaw::RedirectUriPrefixMatch, Flaw::RedirectUriNormalisedAfterCheck]),
        ("https://app.example/cb/%2e%2E/evil", &[Flaw::RedirectUriPrefixMatch, Flaw::RedirectUriNormalisedAfterCheck]),
        ("https://app.example/cb/..%2Fevil", &[Flaw::RedirectUriPrefixMatch, Flaw::RedirectUriNormalisedAfterCheck]),
        ("https://app.example/cb/..;/evil", &[Flaw::RedirectUriPrefixMatch, Flaw::RedirectUriNormalisedAfterCheck]),
        ("https://app.example/cb\\..\\evil", &[Flaw::RedirectUriPrefixMatch, Flaw::RedirectUriNormalisedAfterCheck]),
        ("https://app.example/x/../cb", &[]),
        ("https://app.example@evil.example/cb", &[Flaw::RedirectUriAuthorityConfusion]),
        ("https://app.example:443@evil.example/cb", &[Flaw::RedirectUriAuthorityConfusion]),
        ("https://evil.example\\@app.example/cb", &[Flaw::RedirectUriAuthorityConfusion]),
        ("https://evil.example%23@app.example/cb", &[Flaw::RedirectUriAuthorityConfusion]),
        ("https://evil.example@app.example/cb", &[]),
        ("https://app.example@evil.example/other", &[]),
        ("https://user@evil.example/cb", &[]),
        ("https://app.example.evil.example/cb", &[Flaw::RedirectUriHostPrefixMatch]),
        ("https://app.exampleevil.test/cb", &[Flaw::RedirectUriHostPrefixMatch]),
        ("https://evilapp.example/cb", &[Flaw::RedirectUriHostSuffixMatch]),
        ("https://evil.app.example/cb", &[Flaw::RedirectUriHostSuffixMatch]),
        ("https://evil.example/app.example/cb", &[]),
        ("https://app.example.evil.example/cb/x", &[]),
        ("https://app.example/cb?next=evil", &[Flaw::RedirectUriPrefixMatch, Flaw::RedirectUriQueryIgnored]),
        ("https://app.example/cb/x?next=evil", &[Flaw::RedirectUriPrefixMatch]),
        ("https://app.example/other?next=evil", &[]),
        ("javascript:alert(1)", &[Flaw::RedirectUriDangerousScheme]),
        ("JavaScript:alert(1)", &[Flaw::RedirectUriDangerousScheme]),
        ("data:text/html,https://app.example/cb", &[Flaw::RedirectUriDangerousScheme]),
        ("vbscript:x", &[Flaw::RedirectUriDangerousScheme]),
        ("ftp://app.example/cb", &[]),
        ("ä", &[]),
        ("", &[]),
    ];

    #[test]
    fn each_flaw_lets_its_own_values_through_and_no_others() {
        let registered = [REGISTERED.to_owned()];
        for (given, enabling) in TABLE {
            assert!(!is_accepted(|_| false, &registered, given), "strict: {given}");
            for &flaw in Flaw::ALL {
                let expected = flaw == Flaw::RedirectUriUnchecked || enabling.contains(&flaw);
                assert_eq!(is_accepted(|other| other == flaw, &registered, given), expected, "{flaw}: {given}");
                assert!(is_accepted(|other| other == flaw, &registered, REGISTERED), "{flaw}");
            }
        }
    }

    #[test]
    fn a_loopback_address_has_any_port_and_nothing_else() {
        let registered = ["http://127.0.0.1/cb".to_owned()];
        let strictly = |given| is_accepted(|_| false, &registered, given);
        assert!(strictly("http://127.0.0.1/cb") && strictly("http://127.0.0.1:8443/cb"));
        for given in ["http://127.0.0.1:8443/cb/other", "http://127.0.0.1.evil.example:8443/cb", "http://localhost:8443/cb"] {
            assert!(!strictly(given), "{given}");
        }
        let lax = |flaw| flaw == Flaw::RedirectUriLoopbackLax;
        assert!(is_accepted(lax, &registered, "http://127.0.0.1:8443/cb/other"));
        assert!(is_accepted(lax, &registered, "http://127.0.0.1.evil.example:8443/cb"));
    }

    #[test]
    fn parameters_are_appended_and_encoded() {
        let pairs = [("code", "a b"), ("state", "ä&=#\r\n")];
        let encoded = "code=a%20b&state=%C3%A4%26%3D%23%0D%0A";
        for (uri, start) in [
            ("https://a.example/cb", "https://a.example/cb?"),
            ("https://a.example/cb?", "https://a.example/cb?"),
            ("https://a.example/cb?x=1", "https://a.example/cb?x=1&"),
            ("https://a.example/c b\r\nX: y", "https://a.example/c%20b%0D%0AX:%20y?"),
            ("javascript:alert(1)", "javascript:alert(1)?"),
        ] {
            assert_eq!(with_params(uri, Part::Query, &pairs), format!("{start}{encoded}"));
        }
        assert_eq!(with_params("https://a.example/cb#f", Part::Query, &[("a", "1")]), "https://a.example/cb?a=1#f");
        assert_eq!(with_params("https://a.example/cb?x=1", Part::Fragment, &[("a", "1")]), "https://a.example/cb?x=1#a=1");
    }
}
