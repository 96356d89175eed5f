//! Answers that come as one JWT (JARM, §2.3): what it says, and what a client looks at in it (§2.4).

use std::collections::BTreeMap;

use crate::engine::step::claims;
use crate::engine::{RawStep, RunningTrial, answer, forge};

/// The parameter with the JWT.
const RESPONSE: &str = "response";
/// What must not stand beside it.
const SECRETS: [&str; 3] = ["code", "access_token", "id_token"];

/// Adds what the JWT of a callback says to the parameters that stand beside it, which win; and notes the JWT itself, and which secrets
/// stand in the clear all the same. True: there is a JWT, and it cannot be read here (it may be encrypted).
pub(super) fn open(raw: &mut RawStep, values: &mut BTreeMap<String, String>) -> bool {
    let Some(response) = values.get(RESPONSE).filter(|response| !response.is_empty()).cloned() else { return false };
    let beside: Vec<&str> = SECRETS.into_iter().filter(|name| values.get(*name).is_some_and(|value| !value.is_empty())).collect();
    raw.field("response_beside", Some(beside.join(" ")).filter(|beside| !beside.is_empty()));
    let said = forge::split(&response).and_then(|parts| forge::object(parts.payload));
    raw.field(RESPONSE, Some(response));
    let Some(said) = said else { return true };
    for name in said.keys() {
        if let Some(value) = answer::text(&said, name) {
            values.entry(name.clone()).or_insert(value);
        }
    }
    false
}

/// What the JWT says of itself: `response_key` and the like.
pub(super) async fn look(trial: &mut RunningTrial<'_>, raw: &mut RawStep) {
    if let Some(response) = raw.fields.get(RESPONSE).cloned() {
        claims::of_jwt(trial, raw, RESPONSE, &response).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(pairs: &[(&str, &str)]) -> (bool, RawStep, BTreeMap<String, String>) {
        let mut values: BTreeMap<String, String> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut raw = RawStep::default();
        let unreadable = open(&mut raw, &mut values);
        (unreadable, raw, values)
    }

    /// `{"alg":"none"}`, `{"code":"c1","iss":"https://as.example"}` and no signature.
    const JWT: &str = "eyJhbGciOiJub25lIn0.eyJjb2RlIjoiYzEiLCJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUifQ.";

    #[test]
    fn what_the_jwt_says_is_the_answer() {
        let (unreadable, raw, values) = opened(&[("response", JWT)]);
        assert!(!unreadable);
        assert_eq!((values["code"].as_str(), values["iss"].as_str()), ("c1", "https://as.example"));
        assert_eq!(raw.fields.get("response_beside"), None);
    }

    #[test]
    fn a_code_in_the_clear_is_noted() {
        let (_, raw, values) = opened(&[("response", JWT), ("code", "c2"), ("state", "s")]);
        assert_eq!(raw.fields.get("response_beside").map(String::as_str), Some("code"));
        assert_eq!(values["code"], "c2");
    }

    #[test]
    fn what_is_encrypted_or_no_jwt_says_nothing() {
        assert!(opened(&[("response", "a.b.c.d.e")]).0);
        assert!(opened(&[("response", "text")]).0);
        assert!(!opened(&[("code", "c")]).0);
    }
}
