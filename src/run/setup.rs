//! A set-up that does not work: where in the target file to look, and what the server's words mean.

use crate::judge;
use crate::model::observation::{Outcome, StepObservation, Trial};
use crate::model::step::StepKind;

/// Advice that is wrong where the same client was granted a flow with PKCE.
const PKCE: &str = "the server objects to PKCE as grantproof does it (S256): see which method is set at the client";

/// Words of a refusal, in small letters, and what to do about it. All words of an entry must be there; the first entry that
/// fits speaks. What is more telling stands first.
const WORDS: &[(&[&str], &str)] = &[
    (
        &["consent", "prompt"],
        "with `offline_access` some servers want the user to be asked each time: add `authorization_parameters: {prompt: consent}`, or take `offline_access` out of `scope` (OpenID Connect Core §11)",
    ),
    (
        &["pushed authorization"],
        "the server demands pushed authorization requests (RFC 9126) of this client: use a client that need not push",
    ),
    (
        &["pushed_authorization"],
        "the server demands pushed authorization requests (RFC 9126) of this client: use a client that need not push",
    ),
    (&["request_uri"], "the server demands pushed authorization requests (RFC 9126) of this client: use a client that need not push"),
    (&["request object"], "the server demands signed request objects (RFC 9101) of this client: use a client that need not sign"),
    (&["dpop"], "the server demands DPoP proofs (RFC 9449) of this client: use a client whose tokens are not bound to a key"),
    (
        &["nonce"],
        "the server demands a `nonce`: write `authorization_parameters: {nonce: random}` into the target file; where it wants one of its own in a proof, use a client of which it is not asked",
    ),
    (&["invalid_target"], "the server wants to know for which API the token is (RFC 8707): see which `resource` the client may name"),
    (&["audience"], "the server wants to know for which API the token is: see which audience it takes, and give the client a default one"),
    (
        &["resource", "parameter"],
        "the server wants to know for which API the token is (RFC 8707): see which `resource` the client may name",
    ),
    (&["state", "length"], "the server objects to the length of `state`: grantproof sends 22 characters, change the server's limit"),
    (&["state", "entropy"], "the server finds `state` too short: grantproof sends 22 characters, change the server's limit"),
    (&["state", "characters"], "the server objects to the length of `state`: grantproof sends 22 characters, change the server's limit"),
    (&["code_challenge"], PKCE),
    (&["code challenge"], PKCE),
    (&["code_verifier"], PKCE),
    (&["code verifier"], PKCE),
    (&["https required"], "the server takes no plain http: write https in `issuer`, or allow http for this test"),
    (&["offline"], "take `offline_access` out of `scope`, or allow offline tokens to this user and client at the server"),
    (&["invalid_scope"], "look at `scope`: the client may not ask for a word of it"),
    (&["unsupported_response_type"], "look at the client's registration: it needs the response type `code`"),
    (&["redirect_uri"], "look at the client's `redirect_uri`: it must stand in the registration character by character"),
    (&["redirect uri"], "look at the client's `redirect_uri`: it must stand in the registration character by character"),
    (&["unsupported_grant_type"], "the server does not have this grant: switch it on, or leave it"),
    (&["unauthorized_client", "refresh"], "give the client the refresh grant at the server"),
    (&["unauthorized_client"], "look at the client's registration: it needs the authorization code grant, and refresh tokens"),
    (&["interaction_required"], "the server wants a person: log in by hand once as this user, finish what it asks for, and try again"),
    (&["login_required"], "the session was not kept: look at `hosts`, which must name every host of the login"),
];

/// Where in the target file to look, or what to change at the server; empty where nothing is known.
pub fn advice(failed: &judge::Failed) -> String {
    // Where the answer came to is no word of the server's.
    let what = failed.what.to_lowercase().replace("at the registered redirect_uri", "");
    let says = |words: &[&str]| words.iter().any(|w| what.contains(w));
    let refused = failed.outcome == Outcome::Refused || failed.outcome == Outcome::Crashed;
    let named = WORDS.iter().find(|(words, _)| refused && words.iter().all(|word| what.contains(word)));
    let advice = match failed.outcome {
        _ if named.is_some() => named.map_or("", |(_, advice)| advice),
        Outcome::Stuck => "look at `users` and `login`",
        Outcome::Refused if says(&["invalid_client", "401"]) => {
            "look at the client's `id`, `auth`, `secret`, `key`, `kid` and `audience`, and at its registration"
        }
        Outcome::Refused if says(&["error page"]) && says(&["status 403"]) => {
            "look at what this user and this client may do at the server, at the client's `id` and `redirect_uri`, and at its registration"
        }
        Outcome::Refused if says(&["error page"]) => "look at the client's `id` and `redirect_uri`, and at its registration",
        Outcome::Refused => "look at the client's registration and at `endpoints`",
        Outcome::Strayed => "look at `hosts` and at the client's `redirect_uri`",
        Outcome::NotSent => "look at what the client is given in the target file",
        Outcome::Throttled => "the server limits requests: lower `limits.per_second`, or lift its limit for this test",
        _ => "",
    };
    if advice.is_empty() { String::new() } else { format!("\n    {advice}") }
}

/// The advice for a client of which other trials are known: who was granted a flow with PKCE has no wrong method in its registration.
pub fn advice_beside(failed: &judge::Failed, client: &str, others: &[Trial]) -> String {
    let advice = advice(failed);
    match others.iter().find(|trial| grants_pkce(trial, client)).filter(|_| advice.contains(PKCE)) {
        Some(other) => format!(
            "\n    the server refuses here what it granted the same client in {}: it refuses at times, or what comes at the same moment as something else; look for a \
             cache or a store that several of its processes do not share",
            other.name
        ),
        None => advice,
    }
}

/// Whether this client was given tokens for a code that it had asked for with a challenge (S256).
fn grants_pkce(trial: &Trial, client: &str) -> bool {
    let is = |step: &&StepObservation, name: &str, value: &str| step.sent.get(name).is_some_and(|v| v == value);
    let asks = trial.steps.iter().filter(|s| s.kind == StepKind::AuthorizationRequest);
    let mut asks = asks.filter(|s| is(s, "client_id", client) && is(s, "code_challenge_method", "S256"));
    asks.any(|asked| {
        let code = asked.fields.get("code");
        let redeems = |s: &&StepObservation| s.kind == StepKind::TokenRequest && s.outcome == Outcome::Issued;
        code.is_some() && trial.steps.iter().filter(redeems).any(|s| s.sent.get("code") == code && s.sent.contains_key("code_verifier"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::verdict::Party;

    #[test]
    fn words_of_real_refusals_have_advice_of_their_own() {
        let advice = |what: &str, outcome: Outcome| {
            advice(&judge::Failed { step: "authorize".into(), what: what.into(), fault: Party::Configuration, outcome })
        };
        for (what, words) in [
            ("authorize was refused: invalid_request (Pushed Authorization Request not used)", "RFC 9126"),
            ("authorize was refused: invalid_request (Parameter 'request_uri' is required)", "RFC 9126"),
            ("authorize was refused: invalid_request (Missing parameter: code_challenge_method)", "S256"),
            ("redeem was refused: 400 invalid_dpop_proof (DPoP proof is missing)", "RFC 9449"),
            ("authorize was refused: invalid_state (the state is missing or has less than 8 characters entropy)", "22 characters"),
            ("authorize was refused: an error page “We are sorry... — HTTPS required”", "https in `issuer`"),
            ("redeem was refused: 400 not_allowed (Offline tokens not allowed for the user or client)", "take `offline_access` out"),
            ("authorize was refused: invalid_request (consent in prompt)", "prompt: consent"),
            ("authorize was refused: invalid_scope (x)", "look at `scope`"),
            ("authorize was refused: an error page “We are sorry... — Invalid parameter: redirect_uri”", "`redirect_uri`"),
            ("redeem was refused: 401 invalid_client (no)", "look at the client's `id`"),
            ("authorize was refused: an error page “Error” with the status 400, no redirect", "`id` and `redirect_uri`"),
            ("authorize was refused: an error page “Error” with the status 403, no redirect", "this user and this client may do"),
        ] {
            assert!(advice(what, Outcome::Refused).contains(words), "{what}: {}", advice(what, Outcome::Refused));
        }
        assert!(advice("authorize was stuck at the login: the audience", Outcome::Stuck).contains("look at `users`"));
    }

    #[test]
    fn a_client_that_was_granted_pkce_elsewhere_has_the_right_method() {
        let step = |step: &str, kind, outcome, fields: &[(&str, &str)], sent: &[(&str, &str)]| {
            let map = |list: &[(&str, &str)]| list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            StepObservation { fields: map(fields), sent: map(sent), ..StepObservation::new(step, kind, outcome) }
        };
        let asked = [("client_id", "app"), ("code_challenge_method", "S256")];
        let redeemed = [("code", "‹code 1›"), ("code_verifier", "‹code_verifier 1›")];
        let trial = |outcome| Trial {
            name: "control 4 (before)".into(),
            steps: vec![
                step("authorize", StepKind::AuthorizationRequest, Outcome::Issued, &[("code", "‹code 1›")], &asked),
                step("redeem", StepKind::TokenRequest, outcome, &[], &redeemed),
            ],
            ..Trial::default()
        };
        let what = "redeem was refused: 400 invalid_grant (code_verifier is wrong)";
        let failed = judge::Failed { step: "redeem".into(), what: what.into(), fault: Party::Configuration, outcome: Outcome::Refused };
        assert!(advice_beside(&failed, "app", &[trial(Outcome::Refused)]).contains("objects to PKCE"));
        assert!(advice_beside(&failed, "other", &[trial(Outcome::Issued)]).contains("objects to PKCE"));
        let granted = advice_beside(&failed, "app", &[trial(Outcome::Refused), trial(Outcome::Issued)]);
        assert!(granted.contains("granted the same client in control 4 (before)") && !granted.contains("objects to PKCE"), "{granted}");
    }
}
