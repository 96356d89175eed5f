//! `plan`: a scope document. What a run would do, before anything is sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::model::step::{PlannedStep, StepKind, UserRole};
use crate::model::value::{Reference, Template};
use crate::plan::{Case, Plan, draw};
use crate::target::Target;

use super::args;
use super::{Failure, inputs, print, run};

/// # Errors
/// Wrong input (2). Nothing is sent.
pub fn plan(arguments: &args::Plan) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.choose.scenarios.as_deref())?;
    let selected = inputs::selected(catalogue.scenarios.values(), &arguments.choose, Some(arguments.choose.profile()))?;
    let target = crate::target::load::from_file(&arguments.target).map_err(|list| inputs::diagnostics(&list))?;
    let plan = draw(&selected, &target, run::allowed(&arguments.allow, Some(&target)));
    print(&text(&plan, &target, selected.len()))?;
    Ok(0)
}

fn text(plan: &Plan, target: &Target, selected: usize) -> String {
    let mut out = format!("{}  {}\n", target.name, target.issuer);
    if let Some(permission) = &target.permission {
        let _ = writeln!(out, "permitted by {} until {}", permission.by, permission.until);
    }
    let clients: Vec<String> = target.clients.iter().map(|(role, c)| format!("{} `{}`", role.name(), c.id)).collect();
    let users: Vec<&str> = target.users().map(|u| u.name.as_str()).collect();
    let _ = writeln!(
        out,
        "clients  {}\nusers    {}\norigins  {}\n",
        clients.join(", "),
        users.join(", "),
        target.origins.iter().cloned().collect::<Vec<_>>().join(", ")
    );
    let mut by_scenario: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in plan.groups.iter().flat_map(|g| &g.cases) {
        by_scenario.entry(&case.scenario.id).or_default().push(case);
    }
    let width = by_scenario.keys().map(|id| id.len()).max().unwrap_or(0);
    for (id, cases) in &by_scenario {
        let risk = cases.first().map_or("", |case| case.scenario.risk.name());
        let _ = writeln!(out, "{id:width$}  {:2} attack(s), {risk}; needs {}; {}", cases.len(), needs(cases, target), changes(cases));
    }
    for left in &plan.left {
        let _ = writeln!(out, "{:width$}  left out: {}", format!("{}/{}", left.scenario.id, left.attack.id), left.why);
    }
    out.push_str(&not_yet_known(&by_scenario, target));
    out.push_str(&estimate(plan, target, by_scenario.len(), selected));
    let registers = by_scenario.values().any(|cases| registers(cases));
    let _ = writeln!(
        out,
        "left on the server: sessions and consents of the users, and tokens until they expire; {}",
        if registers { "clients that were registered, where it does not let them be removed" } else { "nothing is registered or deleted" }
    );
    out
}

/// Clients, second user and values that the trials of a scenario rest on.
fn needs(cases: &[&Case], target: &Target) -> String {
    let steps = || cases.iter().flat_map(|case| case.control.steps.iter().chain(&case.steps));
    let mut needs: Vec<String> = Vec::new();
    let mut need = |what: String| {
        if !needs.contains(&what) {
            needs.push(what);
        }
    };
    for step in steps() {
        if let Some(role) = target.role(step.client) {
            need(format!("client {}", role.name()));
        }
    }
    let mut references = Vec::new();
    steps().flat_map(|s| s.parameters.iter()).for_each(|p| p.value.references(&mut references));
    for reference in references {
        match reference {
            Reference::Field { field, .. } if field == "refresh_token" => need("a refresh token".into()),
            Reference::Target(fact) if fact == "extra_scope" => need("`extra_scope`".into()),
            _ => {}
        }
    }
    for role in [UserRole::Other, UserRole::SecondFactor] {
        if steps().any(|s| s.user == role) {
            need(format!("user {}", role.name()));
        }
    }
    if steps().any(|s| s.kind == StepKind::ResourceRequest) {
        need("a place that takes the token".into());
    }
    needs.join(", ")
}

/// What the trials of a scenario change on the server.
fn changes(cases: &[&Case]) -> String {
    let steps = || cases.iter().flat_map(|case| case.control.steps.iter().chain(&case.steps));
    let has = |kind: StepKind| steps().any(|s| s.kind == kind);
    let mut changes = vec![if has(StepKind::TokenRequest) { "leaves tokens" } else { "leaves unused codes" }];
    if registers(cases) {
        changes.push("registers clients, and removes them where the server lets it");
    }
    if has(StepKind::RevocationRequest) {
        changes.push("revokes tokens of its own");
    }
    if cases.iter().any(|case| case.scenario.disturbs) {
        changes.push("runs alone: it provokes the server into revoking the grant or ending the session");
    }
    let burst = steps().filter_map(|s| s.burst).max().map(|n| format!("bursts of {n} simultaneous requests"));
    changes.into_iter().map(str::to_owned).chain(burst).collect::<Vec<_>>().join(", ")
}

/// Whether clients are registered. The only documents in JSON that a flow sends are registrations.
fn registers(cases: &[&Case]) -> bool {
    let mut steps = cases.iter().flat_map(|case| case.control.steps.iter().chain(&case.steps));
    steps.any(|s| s.kind == StepKind::EndpointRequest && s.transport.content_type.is_some())
}

/// Attacks at endpoints that the target file does not name: whether they run is seen in the metadata, which `plan` does not read.
fn not_yet_known(by_scenario: &BTreeMap<&str, Vec<&Case>>, target: &Target) -> String {
    let mut out = String::new();
    for (kind, what, named) in [
        (StepKind::IntrospectionRequest, "an introspection endpoint", target.endpoints.introspection.is_some()),
        (StepKind::RevocationRequest, "a revocation endpoint", target.endpoints.revocation.is_some()),
        (
            StepKind::EndpointRequest,
            "an endpoint for devices or for registration",
            target.endpoints.device_authorization.is_some() && target.endpoints.registration.is_some(),
        ),
        (StepKind::ResourceRequest, "a userinfo endpoint", target.endpoints.userinfo.is_some() || target.resource.is_some()),
    ] {
        let uses = |case: &&Case| case.control.steps.iter().chain(&case.steps).any(|s| s.kind == kind);
        let ids: Vec<&str> = by_scenario.iter().filter(|(_, cases)| cases.iter().any(uses)).map(|(id, _)| *id).collect();
        if !named && !ids.is_empty() {
            let _ = writeln!(out, "only if the metadata, which is not read here, names {what}: {}", ids.join(", "));
        }
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// Requests and time.
fn estimate(plan: &Plan, target: &Target, scenarios: usize, selected: usize) -> String {
    let controls: usize = plan.groups.iter().map(|g| 2 * requests(&g.control.steps)).sum();
    let cases = || plan.groups.iter().flat_map(|g| &g.cases);
    let total = controls + cases().map(|c| requests(&c.steps)).sum::<usize>();
    let mut out = format!(
        "\n{scenarios} of {selected} scenarios, {} attacks under {} controls: about {total} requests, logins apart; each broken defense is tried a second time\n",
        cases().count(),
        plan.groups.len(),
    );
    if let Some(rate) = target.limits.per_second {
        let _ = writeln!(out, "at {rate} requests in a second: at least {} s", (total as f64 / rate).ceil());
    }
    out.push_str(&waits(plan, target));
    let pauses: Vec<Duration> = cases().filter_map(|c| length(c.attack.confirm_after.as_ref()?, target)).filter(|p| !p.is_zero()).collect();
    if !pauses.is_empty() {
        let _ = writeln!(
            out,
            "pauses: none while replays are refused; up to {} s more where all of {} are accepted, because each is tried again after the grace that a server may have; state `refresh_grace` and `code_grace` to shorten them",
            pauses.iter().sum::<Duration>().as_secs(),
            pauses.len()
        );
    }
    out
}

/// What a run would wait for, where it does.
fn waits(plan: &Plan, target: &Target) -> String {
    let (mut known, mut learnt) = (Vec::new(), 0_usize);
    for case in plan.groups.iter().flat_map(|g| &g.cases).filter(|case| case.waits()) {
        let waits = case.steps.iter().filter_map(|step| step.wait.as_ref());
        match waits.map(|wait| length(wait, target)).collect::<Option<Vec<_>>>() {
            Some(waits) => known.push(waits.iter().sum::<Duration>()),
            None => learnt += 1,
        }
    }
    known.retain(|wait| *wait > crate::run::PATIENCE);
    let Some(longest) = known.iter().max() else { return String::new() };
    format!(
        "waits, with `run --slow`: {} attacks for up to {}, beside the others; {learnt} more for as long as the server says that its tokens and requests live\n",
        known.len(),
        crate::duration::words(*longest)
    )
}

/// How long a wait is; None: the server will say it.
fn length(wait: &Template, target: &Target) -> Option<Duration> {
    let stated = |fact: &str| match fact {
        "refresh_grace" => Some(target.refresh_grace_or_assumed()),
        "code_grace" => Some(target.code_grace_or_assumed()),
        "stated_code_grace" => Some(target.code_grace.unwrap_or_default()),
        "code_lifetime" => Some(target.code_lifetime_or_assumed()),
        "refresh_lifetime" => target.refresh_lifetime,
        _ => None,
    };
    crate::duration::parse(&wait.text_with(|reference| match reference {
        Reference::Target(fact) => Some(format!("{}ms", stated(fact)?.as_millis())),
        _ => None,
    })?)
}

/// One request for each step of a user who is logged in; a burst counts whole.
fn requests(steps: &[Arc<PlannedStep>]) -> usize {
    steps
        .iter()
        .map(|s| s.burst.map_or(1, |n| n as usize) * if s.kind == StepKind::AuthorizationRequest && s.logged_out { 3 } else { 1 })
        .sum()
}
