//! Which trials would stumble over each other's pages.

use std::collections::BTreeSet;

use crate::model::observation::Trial;
use crate::model::scenario::Control;
use crate::model::step::{Origin, Parameter, PlannedStep, StepKind};
use crate::plan::Case;
use crate::target::{Client, Target};

/// Parameters with which a client asks for a page: what is asked for is no habit of the server.
const ASK: &[&str] = &["prompt", "max_age", "acr_values", "claims"];

/// The clients, by `client_id`, for which the server shows a page to a user to whom it has shown one before, although nobody asked for it. Two trials
/// of such a client that are under way in one session would fill in each other's pages.
pub fn shown_again<'t>(trials: impl IntoIterator<Item = (&'t Control, &'t Trial)>, target: &Target) -> BTreeSet<String> {
    let (mut seen, mut again) = (BTreeSet::new(), BTreeSet::new());
    for (control, trial) in trials {
        for (step, client) in requests(&control.steps, target) {
            let Some(shown) = trial.step(&step.name) else { continue };
            let scope = shown.sent.get("scope").map(String::as_str);
            let first = seen.insert((client.id.as_str(), step.user, scope));
            let asked = step.logged_out || step.before_login || ASK.iter().any(|name| shown.sent.contains_key(*name));
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
pub fn open(steps: &[PlannedStep], clients: &BTreeSet<String>, target: &Target) -> bool {
    // Another scope than the control's is one that nobody has agreed to.
    let page =
        |parameter: &Parameter| ASK.contains(&parameter.name.as_str()) || parameter.name == "scope" && parameter.origin != Origin::Kept;
    let asks = |step: &PlannedStep| step.conduct.is_some() || step.parameters.iter().any(page);
    steps.iter().any(|step| match step.kind {
        StepKind::PageRequest | StepKind::LogoutRequest => true,
        StepKind::AuthorizationRequest => asks(step) || target.client(step.client).is_some_and(|client| clients.contains(&client.id)),
        _ => asks(step),
    })
}

fn requests<'s>(steps: &'s [PlannedStep], target: &'s Target) -> impl Iterator<Item = (&'s PlannedStep, &'s Client)> {
    steps.iter().filter(|step| step.kind == StepKind::AuthorizationRequest).filter_map(|step| Some((step, target.client(step.client)?)))
}
