//! What a careful reader notices in metadata before a test: endpoints elsewhere, another issuer, plain http, things that
//! grantproof cannot do. Each with what to do.

use std::collections::BTreeSet;

use crate::target;

use super::Notice;
use super::look::Found;

/// The issuer that the target file names, and whether it must name the document as well.
pub fn issuer(found: &mut Found) -> (String, bool) {
    let asked = found.asked.clone();
    let Some(named) = found.text("issuer").map(str::to_owned) else {
        found
            .notices
            .push(Notice::new("the metadata names no issuer (RFC 8414 §2)", "tell who runs the server; `issuer` is what you asked for"));
        return (asked, true);
    };
    if named.trim_end_matches('/') == asked.trim_end_matches('/') {
        return (named, found.only_there);
    }
    let (one, other) = (target::origin(&named), target::origin(&asked));
    let same_machine = one.as_deref().is_some_and(target::is_loopback) && other.as_deref().is_some_and(target::is_loopback);
    let what = format!("{asked} was asked for, and the metadata says that its issuer is `{named}` (RFC 8414 §3.3: they must be the same)");
    if one == other || same_machine {
        found.notices.push(Notice::new(
            what,
            format!("the file says `issuer: {named}` and where the document is; if that is a mistake of the server, correct it there"),
        ));
        return (named, true);
    }
    found.notices.push(Notice::new(
        what,
        format!("a client must refuse such metadata. If `{named}` is the server that you mean, use `grantproof init {named}`; the file keeps to the one that you asked for"),
    ));
    (asked, true)
}

/// Origins that the metadata names beside that of the issuer, each with the endpoints that are there.
pub fn elsewhere(found: &Found, issuer: &str) -> Vec<(String, Vec<String>)> {
    let own: BTreeSet<String> = [target::origin(issuer), target::origin(&found.place)].into_iter().flatten().collect();
    let mut origins: Vec<(String, Vec<String>)> = Vec::new();
    for (name, url) in endpoints(found) {
        if let Some(origin) = target::origin(url).filter(|origin| !own.contains(origin)) {
            match origins.iter_mut().find(|(known, _)| *known == origin) {
                Some((_, names)) => names.push(name.to_owned()),
                None => origins.push((origin, vec![name.to_owned()])),
            }
        }
    }
    origins
}

/// The members that are addresses and that a run or a registration uses.
fn endpoints(found: &Found) -> impl Iterator<Item = (&str, &str)> {
    let used = |name: &str| {
        matches!(
            name,
            "authorization_endpoint"
                | "token_endpoint"
                | "userinfo_endpoint"
                | "introspection_endpoint"
                | "revocation_endpoint"
                | "jwks_uri"
                | "registration_endpoint"
                | "pushed_authorization_request_endpoint"
        )
    };
    found.metadata.iter().filter(move |(name, _)| used(name)).filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

/// What is doubtful beside issuer and hosts.
pub fn others(found: &Found) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut notice = |what: String, todo: &str| notices.push(Notice::new(what, todo));
    let https = found.asked.starts_with("https:");
    for (name, url) in endpoints(found) {
        if target::origin(url).is_none() {
            notice(format!("`{name}` is no http or https URL: `{url}`"), "name the right one under `endpoints`");
        } else if https && url.starts_with("http:") {
            notice(
                format!("`{name}` is an http address in the metadata of an https issuer: {url}"),
                "what is sent there can be read on the way. Tell who runs the server; name the https address under `endpoints`",
            );
        }
    }
    for (name, key) in [("authorization_endpoint", "authorization"), ("token_endpoint", "token")] {
        if found.text(name).is_none() {
            notice(
                format!("the metadata names no `{name}`"),
                &format!("write `endpoints: {{{key}: https://…}}`, or nothing can be tested"),
            );
        }
    }
    let lacks = |name: &str, value: &str| found.list(name).is_some_and(|list| !list.contains(&value));
    if lacks("grant_types_supported", "authorization_code") || lacks("response_types_supported", "code") {
        notice(
            "the metadata does not offer the authorization code grant".into(),
            "every control rests on it: without it nothing can be tested",
        );
    }
    if lacks("token_endpoint_auth_methods_supported", "none") {
        notice(
            "the metadata does not list `none` as a client authentication: public clients may not be possible".into(),
            "some servers have them and do not list it; if this one has none, remove `clients.public`",
        );
    }
    let demands = [
        ("require_pushed_authorization_requests", "pushed authorization requests (RFC 9126)", "clients that push"),
        ("require_signed_request_object", "signed request objects (RFC 9101)", "clients that sign"),
    ];
    for (name, what, who) in demands {
        if found.metadata.get(name) == Some(&serde_json::Value::Bool(true)) {
            notice(
                format!("the metadata demands {what}"),
                &format!("see docs/targets.md for what grantproof can do of it; register {who}, or clients that are exempt from it"),
            );
        }
    }
    notices
}
