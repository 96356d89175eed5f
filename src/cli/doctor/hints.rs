//! What would make a run say more, though nothing failed.

use std::fmt::Write as _;

use serde_json::Value;

use crate::report::safe::terminal as safe;
use crate::target::Target;

use super::Seen;

/// Adds the hints below what was told.
pub fn add(seen: &mut Seen, target: &Target) {
    let mut hints: Vec<String> = Vec::new();
    hints.extend(refresh(seen, target));
    hints.extend(extra_scope(seen, target));
    if !hints.is_empty() {
        seen.out.push('\n');
    }
    for hint in hints {
        let _ = writeln!(seen.out, "warn  {}", safe(&hint));
    }
}

fn supported(seen: &Seen) -> Vec<&str> {
    let metadata = seen.facts.metadata.as_ref();
    let list = metadata.and_then(|m| m.get("scopes_supported")).and_then(Value::as_array);
    list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn has(scope: &str, word: &str) -> bool {
    scope.split_whitespace().any(|s| s == word)
}

/// No refresh token came: what to ask for.
fn refresh(seen: &Seen, target: &Target) -> Option<String> {
    let without: Vec<&str> = seen
        .works
        .iter()
        .filter(|(_, trial)| trial.step("redeem").is_some_and(|s| !s.fields.contains_key("refresh_token")))
        .map(|(role, _)| role.name())
        .collect();
    if without.is_empty() {
        return None;
    }
    let who = without.join(", ");
    if supported(seen).contains(&"offline_access") && !has(&target.scope, "offline_access") {
        return Some(format!(
            "no refresh token came for {who}; the metadata lists `offline_access`: add it to `scope`, or the refresh scenarios do not apply"
        ));
    }
    Some(format!(
        "no refresh token came for {who}: give these clients the refresh grant at the server, or the refresh scenarios do not apply"
    ))
}

/// The extra scope must be one that is not granted unasked.
fn extra_scope(seen: &Seen, target: &Target) -> Option<String> {
    let granted = seen.works.values().find_map(|trial| trial.step("redeem")?.fields.get("scope")).map(String::as_str)?;
    let free = |word: &&str| !has(granted, word) && !has(&target.scope, word) && !matches!(*word, "openid" | "offline_access");
    let list = supported(seen);
    let other =
        ["phone", "address", "email"].into_iter().filter(|w| list.contains(w)).find(free).or_else(|| list.iter().copied().find(free));
    let write = other.map_or_else(|| "name another scope that the clients may get".into(), |word| format!("write `extra_scope: {word}`"));
    match &target.extra_scope {
        Some(extra) if has(granted, extra) && !has(&target.scope, extra) => Some(format!(
            "`extra_scope: {extra}` is granted unasked (the granted scope is `{granted}`), so no refresh can be seen to add it: {write}, if the clients may ask for it"
        )),
        None if other.is_some() => {
            Some(format!("without `extra_scope` no scope escalation is tried: {write}, if the clients may ask for it"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::{Outcome, StepObservation, Trial};
    use crate::model::step::{ClientRole, StepKind};

    /// A client that was given this scope, and what the metadata lists.
    fn seen(granted: &str, refresh_token: bool, listed: &[&str]) -> Seen {
        let mut fields = std::collections::BTreeMap::from([("scope".to_owned(), granted.to_owned())]);
        if refresh_token {
            fields.insert("refresh_token".into(), "‹refresh_token›".into());
        }
        let step = StepObservation { fields, ..StepObservation::new("redeem", StepKind::TokenRequest, Outcome::Issued) };
        let mut seen = Seen::default();
        seen.works.insert(ClientRole::Public, Trial { steps: vec![step], ..Trial::default() });
        seen.facts.metadata = serde_json::json!({ "scopes_supported": listed }).as_object().cloned();
        seen
    }

    fn told(mut seen: Seen, scope: &str, extra: Option<&str>) -> String {
        let target = Target { scope: scope.into(), extra_scope: extra.map(str::to_owned), ..Target::bare("http://127.0.0.1:1") };
        add(&mut seen, &target);
        seen.out
    }

    #[test]
    fn an_extra_scope_that_comes_unasked_is_told_with_another() {
        let listed = ["openid", "email", "phone", "offline_access"];
        let out = told(seen("openid email profile", true, &listed), "openid", Some("email"));
        assert!(out.contains("`extra_scope: email` is granted unasked") && out.contains("write `extra_scope: phone`"), "{out}");
        assert_eq!(told(seen("openid", true, &listed), "openid", Some("email")), "");
        assert!(told(seen("openid", true, &listed), "openid", None).contains("without `extra_scope`"));
        assert!(
            told(seen("openid email", true, &["openid", "email", "files:read"]), "openid", Some("email"))
                .contains("extra_scope: files:read")
        );
    }

    #[test]
    fn a_refresh_token_that_did_not_come_is_told_with_what_to_ask_for() {
        let out = told(seen("openid", false, &["openid", "offline_access"]), "openid", Some("email"));
        assert!(out.contains("no refresh token came for public") && out.contains("add it to `scope`"), "{out}");
        let out = told(seen("openid", false, &["openid"]), "openid offline_access", Some("email"));
        assert!(out.contains("give these clients the refresh grant"), "{out}");
    }
}
