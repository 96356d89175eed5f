//! What a trial says about how the run goes on.

use crate::judge;
use crate::model::observation::Trial;
use crate::model::scenario::Control;
use crate::model::step::StepKind;
use crate::plan::Case;

/// Whether a control failed before anything reached the back channel.
pub fn in_front_channel(control: &Control, failed: &judge::Failed) -> bool {
    control.steps.iter().any(|s| s.name == failed.step && s.kind == StepKind::AuthorizationRequest)
}

/// Errors of an authorization request that speak of the user, or of the server itself (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6). All others
/// speak of the request.
const ABOUT_NO_REQUEST: &[&str] = &[
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
    "unmet_authentication_requirements",
];

/// Whether a control may have failed because the session of the browser has died: in the front channel, with something sent, and not for an error that
/// the client was told and that no login would mend.
pub fn may_be_the_session(control: &Control, trial: &Trial) -> bool {
    judge::failures(control, trial).iter().filter(|failed| in_front_channel(control, failed)).any(|failed| {
        trial.step(&failed.step).is_some_and(|step| {
            let error = step.fields.get("error").filter(|_| step.fields.get("delivered_to").is_some_and(|to| to == "registered"));
            !step.exchanges.is_empty() && error.is_none_or(|error| ABOUT_NO_REQUEST.contains(&error.as_str()))
        })
    })
}

/// Whether a control shows that there is nothing to attack: what the server does not have, it need not grant.
pub fn excluded(case: &Case<'_>, trial: &Trial) -> bool {
    let conditions = case.scenario.applies_when.iter().chain(&case.attack.applies_when);
    conditions.into_iter().any(|condition| judge::applies(condition, &case.control, trial, &[]) == judge::Applies::No)
}

/// Whether an attack got no further than an authorization request.
pub fn stopped_in_front_channel(trial: &Trial) -> bool {
    trial.steps.iter().any(|s| s.kind == StepKind::AuthorizationRequest && !s.outcome.granted())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::{Exchange, Outcome, StepObservation};

    fn exchange() -> Exchange {
        Exchange {
            method: "GET".into(),
            url: "https://as.example/authorize".into(),
            request_headers: Vec::new(),
            request_body: String::new(),
            certificate: None,
            status: 302,
            response_headers: Vec::new(),
            response_body: String::new(),
            error: None,
            server_micros: 0,
        }
    }

    #[test]
    fn a_new_login_mends_no_request() {
        let catalogue = crate::cli::inputs::catalogue(None).expect("the catalogue");
        let control = &catalogue.scenarios["pkce/wrong-verifier"].control;
        let failed = |sent: bool, fields: &[(&str, &str)]| {
            let mut step = StepObservation::new("authorize", StepKind::AuthorizationRequest, Outcome::Refused);
            step.fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            step.exchanges.extend(sent.then(exchange));
            may_be_the_session(control, &Trial { steps: vec![step], ..Trial::default() })
        };
        assert!(failed(true, &[]), "a page");
        assert!(failed(true, &[("error", "login_required"), ("delivered_to", "registered")]));
        assert!(failed(true, &[("error", "invalid_request")]), "a page that says so, as servers do that have lost the login");
        assert!(!failed(true, &[("error", "invalid_target"), ("delivered_to", "registered")]));
        assert!(!failed(false, &[]), "nothing was sent");
    }
}
