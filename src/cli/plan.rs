//! `plan`: a scope document. What a run would do, before anything is sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::scenario::Scenario;
use crate::model::step::{PlannedStep, StepKind};
use crate::plan::{Plan, draw};
use crate::target::Target;

use super::args;
use super::{Failure, inputs, print, run};

/// # Errors
/// Wrong input (2). Nothing is sent.
pub fn plan(arguments: &args::Plan) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.choose.scenarios.as_deref())?;
    let selected = inputs::selected(&catalogue, &arguments.choose)?;
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
    let users: Vec<&str> = std::iter::once(&target.user).chain(&target.other_user).map(|u| u.name.as_str()).collect();
    let _ = writeln!(
        out,
        "clients  {}\nusers    {}\norigins  {}\n",
        clients.join(", "),
        users.join(", "),
        target.origins.iter().cloned().collect::<Vec<_>>().join(", ")
    );
    let mut by_scenario: BTreeMap<&str, (&Scenario, usize)> = BTreeMap::new();
    for case in plan.groups.iter().flat_map(|g| &g.cases) {
        by_scenario.entry(&case.scenario.id).or_insert((case.scenario, 0)).1 += 1;
    }
    let width = by_scenario.keys().map(|id| id.len()).max().unwrap_or(0);
    for (id, (scenario, cases)) in &by_scenario {
        let alone = if scenario.disturbs { ", runs alone: it provokes the server into revoking" } else { "" };
        let _ = writeln!(out, "{id:width$}  {cases:2} attack(s), {}{alone}", scenario.risk.name());
    }
    for left in &plan.left {
        let _ = writeln!(out, "{:width$}  left out: {}", format!("{}/{}", left.scenario.id, left.attack.id), left.why);
    }
    let controls: usize = plan.groups.iter().map(|g| 2 * requests(&g.control.steps)).sum();
    let attacks: usize = plan.groups.iter().flat_map(|g| &g.cases).map(|c| requests(&c.steps)).sum();
    let cases: usize = plan.groups.iter().map(|g| g.cases.len()).sum();
    let _ = writeln!(
        out,
        "\n{} of {selected} scenarios, {cases} attacks under {} controls: about {} requests, logins apart; each broken defense is tried a second time",
        by_scenario.len(),
        plan.groups.len(),
        controls + attacks
    );
    if let Some(rate) = target.limits.per_second {
        let _ = writeln!(out, "at {rate} requests in a second: at least {} s", (controls + attacks) / rate.max(1) as usize);
    }
    out.push_str("left on the server: sessions, and tokens until they expire; nothing is registered or deleted\n");
    out
}

/// One request for each step of a user who is logged in; a burst counts whole.
fn requests(steps: &[PlannedStep]) -> usize {
    steps
        .iter()
        .map(|s| s.burst.map_or(1, |n| n as usize) * if s.kind == StepKind::AuthorizationRequest && s.logged_out { 3 } else { 1 })
        .sum()
}
