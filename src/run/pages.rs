//! Which trials would stumble over each other's pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::observation::Trial;
use crate::model::scenario::Control;
use crate::model::step::{Origin, Parameter, PlannedStep, StepKind};
use crate::model::value::Reference;
use crate::plan::Case;
use crate::target::{Client, Target};

/// Parameters with which a client asks for a page: what is asked for is no habit of the server.
const ASK: &[&str] = &["prompt", "max_age", "acr_values", "claims", "authorization_details"];

/// Parameters that stand for others, which may ask for a page too.
const CARRY: &[&str] = &["request", "request_uri"];

/// The clients, by `client_id`, for which the server shows a page to a user to whom it has shown one before, although nobody asked for it. Two trials
/// of such a client that are under way in one session would fill in each other's pages.
pub fn shown_again<'t>(trials: impl IntoIterator<Item = (&'t Control, &'t Trial)>, target: &Target) -> BTreeSet<String> {
    let (mut seen, mut again) = (BTreeSet::new(), BTreeSet::new());
    for (control, trial) in trials {
        for (step, client) in requests(&control.steps, target) {
            let Some(shown) = trial.step(&step.name) else { continue };
            // Another client, which a step before has registered, is new to everybody.
            if shown.sent.get("client_id").is_some_and(|sent| *sent != client.id) {
                continue;
            }
            let scope = shown.sent.get("scope").map(String::as_str);
            let first = seen.insert((client.id.as_str(), step.user, scope));
            // Who was logged out logs in again.
            let before = trial.steps.iter().take_while(|s| s.step != step.name);
            let is_over = before.into_iter().any(|s| s.kind == StepKind::LogoutRequest);
            let asks = ASK.iter().any(|name| shown.sent.contains_key(*name));
            // What a target file has pushed or signed asks for no more than the flow does.
            let carries = step.parameters.iter().any(|parameter| CARRY.contains(&parameter.name.as_str()));
            let asked = asks || carries || step.logged_out || step.before_login || comes_from_elsewhere(step) || is_over;
            if !first && !asked && shown.fields.get("form_pages").is_some_and(|pages| pages != "0") {
                again.insert(client.id.clone());
            }
        }
    }
    again
}

/// Whether a case leads its user through pages: it opens some, asks for them, or speaks for one of the clients for which they are shown again.
pub fn concern(case: &Case<'_>, clients: &BTreeSet<String>, target: &Target) -> bool {
    open(&case.steps, clients, target)
}

/// The same of steps.
pub fn open(steps: &[Arc<PlannedStep>], clients: &BTreeSet<String>, target: &Target) -> bool {
    // Another scope than the control's is one that nobody has agreed to.
    let page =
        |parameter: &Parameter| ASK.contains(&parameter.name.as_str()) || parameter.name == "scope" && parameter.origin != Origin::Kept;
    // Nobody has agreed to a client that was registered a moment ago.
    let is_new = |parameter: &Parameter| parameter.name == "client_id" && parameter.origin == Origin::Kept && !is_own(parameter);
    let asks = |step: &PlannedStep| step.conduct.is_some() || step.parameters.iter().any(|p| page(p) || is_new(p));
    steps.iter().any(|step| match step.kind {
        StepKind::PageRequest | StepKind::LogoutRequest => true,
        StepKind::AuthorizationRequest => {
            asks(step) || comes_from_elsewhere(step) || target.client(step.client).is_some_and(|client| clients.contains(&client.id))
        }
        _ => asks(step),
    })
}

/// A form of another site, without the cookies that stay at home: as if nobody were logged in.
fn comes_from_elsewhere(step: &PlannedStep) -> bool {
    step.transport.method.as_deref() == Some("POST")
}

/// Whether a parameter is the id of the client that the step acts as.
fn is_own(parameter: &Parameter) -> bool {
    let mut named = Vec::new();
    parameter.value.references(&mut named);
    named.iter().all(|reference| matches!(reference, Reference::Client(_)))
}

fn requests<'s>(steps: &'s [Arc<PlannedStep>], target: &'s Target) -> impl Iterator<Item = (&'s PlannedStep, &'s Client)> {
    steps.iter().filter(|step| step.kind == StepKind::AuthorizationRequest).filter_map(|step| Some((&**step, target.client(step.client)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::{Outcome, StepObservation};
    use crate::model::step::ClientRole;
    use crate::target::ClientAuthentication;

    /// A page that comes after a logout, or to another client than the target's, is no habit; one that comes unasked is.
    #[test]
    fn pages_that_come_again() {
        let catalogue = crate::cli::inputs::catalogue(None).expect("the catalogue");
        let control = &catalogue.scenarios["logout/unconfirmed-csrf"].control;
        let mut target = Target::bare("http://127.0.0.1:1");
        target.clients.insert(ClientRole::Public, Client::new("app", "https://app.example/cb", ClientAuthentication::None));
        let step = |name: &str, kind, client: &str, pages: &str| StepObservation {
            fields: [("form_pages".to_owned(), pages.to_owned())].into(),
            sent: [("client_id".to_owned(), client.to_owned()), ("scope".to_owned(), "openid".to_owned())].into(),
            ..StepObservation::new(name, kind, Outcome::Issued)
        };
        let again = |client: &str, pages: &str| {
            let steps = vec![
                // It begins logged out, so that it says nothing by itself.
                step("authorize", StepKind::AuthorizationRequest, "app", "2"),
                step("authorize_again", StepKind::AuthorizationRequest, client, pages),
                step("log_out", StepKind::LogoutRequest, "app", "0"),
                step("authorize_later", StepKind::AuthorizationRequest, "app", "1"),
            ];
            shown_again([(control, &Trial { steps, ..Trial::default() })], &target).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(again("app", "0"), [""; 0]);
        assert_eq!(again("registered", "1"), [""; 0]);
        assert_eq!(again("app", "1"), ["app"]);
    }

    #[test]
    fn who_opens_pages() {
        let catalogue = crate::cli::inputs::catalogue(None).expect("the catalogue");
        let target = Target::bare("http://127.0.0.1:1");
        let opens = |id: &str| open(&catalogue.scenarios[id].control.steps, &BTreeSet::new(), &target);
        assert!(opens("logout/unconfirmed-csrf") && opens("consent/skipped-first-time") && opens("authorize/access-denied-no-code"));
        assert!(!opens("pkce/wrong-verifier") && !opens("refresh/reuse-after-rotation"));
    }
}
