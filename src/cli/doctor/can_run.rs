//! Which attacks can really run after what was seen, and what stands in the way of the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::judge::{self, Applies};
use crate::model::observation::Trial;
use crate::model::predicate::{Predicate, Test};
use crate::model::scenario::{Risk, Scenario};
use crate::model::step::{ClientRole, PlannedStep, StepKind};
use crate::model::value::Reference;
use crate::plan::{self, Case};
use crate::report::safe::terminal as safe;
use crate::scenario::resolve::roles;
use crate::target::Target;

use super::Seen;

/// The count, and each obstacle with the attacks that it stops.
pub fn text(scenarios: &[&Scenario], target: &Target, seen: &Seen) -> String {
    let plan = plan::draw(scenarios, target, Risk::Destructive);
    // By obstacle: the scenarios, each with the number of attacks that it stops.
    let mut stopped: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for left in &plan.left {
        *stopped.entry(left.why.clone()).or_default().entry(&left.scenario.id).or_default() += 1;
    }
    let (mut can, mut controls) = (0, 0);
    for group in &plan.groups {
        let before = can;
        for case in &group.cases {
            // What the default client cannot, the next one may: a run tries them in turn.
            let mut others = std::iter::successors(plan::with_next_client(case, target), |last| plan::with_next_client(last, target));
            match obstacle(case, target, seen).filter(|_| others.all(|other| obstacle(&other, target, seen).is_some())) {
                Some(why) => *stopped.entry(why).or_default().entry(&case.scenario.id).or_default() += 1,
                None => can += 1,
            }
        }
        controls += usize::from(can > before);
    }
    if can == 0 {
        return "\nno attack can run: no control works\n".to_owned();
    }
    let mut out = format!("\n{can} attacks can run under {controls} controls");
    if seen.works.len() < target.clients.len() {
        out.push_str(" with `grantproof run --keep-going`; without it, a run judges nothing until every client works");
    }
    out.push('\n');
    for (why, scenarios) in stopped {
        let all: usize = scenarios.values().sum();
        let ids: Vec<&str> = scenarios.into_keys().collect();
        let _ = writeln!(out, "{all} left out, {}: {}", safe(&why), ids.join(", "));
    }
    out
}

/// Why a case could not be judged here; None: nothing is known against it.
fn obstacle(case: &Case, target: &Target, seen: &Seen) -> Option<String> {
    let steps = || case.control.steps.iter().chain(&case.steps);
    for role in roles(&case.control.steps).into_iter().chain(roles(&case.steps)) {
        let own = target.role(role)?;
        if !seen.works.contains_key(&own) {
            return Some(format!("the client {} does not work", own.name()));
        }
    }
    for (role, _) in target.more_users() {
        if !seen.users.contains(&role) && steps().any(|s| s.user == role) {
            return Some(format!("the user {} does not work", role.name()));
        }
    }
    let endpoints = &seen.facts.endpoints;
    for (kind, there, what) in [
        (StepKind::IntrospectionRequest, endpoints.introspection.is_some(), "there is no introspection endpoint"),
        (StepKind::RevocationRequest, endpoints.revocation.is_some(), "there is no revocation endpoint"),
        (StepKind::ResourceRequest, seen.proof, "no place takes the genuine access token"),
    ] {
        if !there && steps().any(|s| s.kind == kind) {
            return Some(what.into());
        }
    }
    let trial = |role: ClientRole| target.role(role).and_then(|own| seen.works.get(&own));
    let refreshes = |s: &&Arc<PlannedStep>| !s.probe && s.parameters.iter().any(|p| names_refresh_token(&p.value));
    for step in case.control.steps.iter().filter(refreshes) {
        let given = trial(step.client)?.step("redeem").is_some_and(|s| s.fields.contains_key("refresh_token"));
        if !given {
            return Some("no refresh token comes".into());
        }
    }
    let first = trial(case.control.steps.first()?.client)?;
    // What this short flow did not come to is not known, and neither is what comes of a request that the control bends.
    let at = |name: &str| case.control.steps.iter().position(|s| s.name == name);
    let bent = case.control.bent.iter().filter_map(|name| at(name)).min();
    let is_plain = |name: &str| bent.is_none_or(|bent| at(name).is_none_or(|at| at < bent));
    let conditions = case.scenario.applies_when.iter().chain(&case.attack.applies_when);
    let mut conditions = conditions.filter(|c| c.predicate.step().is_none_or(is_plain) && was_seen(&c.predicate, first));
    conditions.find(|c| judge::applies(c, &case.control, first, &[]) == Applies::No).map(|c| c.otherwise.clone())
}

/// Whether this trial has every step that a predicate asks about: what is held against a step that was not driven says nothing.
fn was_seen(predicate: &Predicate, trial: &Trial) -> bool {
    let mut named = Vec::new();
    if let Predicate::Field {
        test: Test::Equals(t) | Test::Differs(t) | Test::Contains(t) | Test::Lacks(t) | Test::Includes(t) | Test::Excludes(t),
        ..
    } = predicate
    {
        t.references(&mut named);
    }
    named.iter().all(|reference| match reference {
        Reference::Field { step, .. } | Reference::Sent { step, .. } | Reference::ControlField { step, .. } => trial.step(step).is_some(),
        _ => true,
    })
}

fn names_refresh_token(value: &crate::model::value::Value) -> bool {
    let mut found = Vec::new();
    value.references(&mut found);
    found.iter().any(|r| matches!(r, Reference::Field { field, .. } if field == "refresh_token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plain_flow_of_one_user_cannot_show_is_no_obstacle() {
        let catalogue = crate::cli::inputs::catalogue(None).expect("the catalogue");
        let scenario = &catalogue.scenarios["authorize/resource-owner-sub-claim"];
        let seen = |condition: &str| {
            let condition = scenario.applies_when.iter().find(|c| c.otherwise == condition).expect("a condition");
            was_seen(&condition.predicate, &Trial::default())
        };
        assert!(!seen("the target file names one user, or the server calls both the same"));
        assert!(seen("the metadata does not say that the claims parameter is supported"));
    }
}
