//! `explain`: the page of a scenario, and the requests that it sends.

use std::fmt::Write as _;

use crate::diagnostic::suggestion;
use crate::model::scenario::{Attack, Scenario};
use crate::model::step::{Origin, PlannedStep};
use crate::report::build::changes;
use crate::scenario::catalogue::{self, Catalogue};
use crate::scenario::change::attack_steps;

use super::args::Explain;
use super::{Failure, inputs, print};

/// # Errors
/// No such scenario.
pub fn explain(arguments: &Explain) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.scenarios.as_deref())?;
    let Some(scenario) = catalogue.scenarios.get(&arguments.id) else {
        let help = suggestion(&arguments.id, catalogue.scenarios.keys().map(String::as_str)).filter(|s| s.starts_with("did you"));
        return Err(Failure::input(format!(
            "error: no scenario `{}`\n  = help: {}",
            arguments.id,
            help.unwrap_or_else(|| "see `grantproof list`".into())
        )));
    };
    let text = if arguments.requests { requests(scenario) } else { page(&catalogue, scenario)? };
    print(&text)?;
    Ok(0)
}

fn page(catalogue: &Catalogue, scenario: &Scenario) -> Result<String, Failure> {
    let mut out = String::new();
    let levels: Vec<String> = scenario.level.iter().map(|(p, l)| format!("{} {}", p.name(), l.name())).collect();
    let _ = writeln!(out, "{}\n{}\n", scenario.id, scenario.title);
    // Who comes from a finding wants to know this first.
    let _ = writeln!(out, "what to do  {}", scenario.fix);
    let settings = catalogue::settings().map_err(|wrong| inputs::diagnostics(&wrong))?;
    for (product, setting) in settings.of(&scenario.id) {
        let _ = writeln!(out, "  in {}  {}", product.product, setting.set);
    }
    out.push('\n');
    let _ = writeln!(out, "defense   {}\nharm      {}", scenario.defense, scenario.harm);
    let _ = writeln!(
        out,
        "severity  {}{}\nlevels    {}",
        scenario.severity.name(),
        scenario.cwe.as_ref().map(|c| format!(", {c}")).unwrap_or_default(),
        levels.join(", ")
    );
    let steps: Vec<&str> = scenario.control.steps.iter().map(|s| s.name.as_str()).collect();
    let _ = writeln!(out, "control   {} (granted before and after the attack)", steps.join(" → "));
    for condition in &scenario.applies_when {
        let _ = writeln!(out, "applies   when {}, else: {}", condition.predicate, condition.otherwise);
    }
    for claim in &scenario.claimed_by {
        let _ = writeln!(out, "claimed   by {}: {} in the metadata; its verdict says whether that is enforced", claim.member, claim.says);
    }
    for measure in &scenario.measures {
        let _ = writeln!(out, "measures  {} in {} ({}); advised: {}", measure.name, measure.unit, measure.by, measure.advice);
    }
    for attack in &scenario.attacks {
        let _ = writeln!(out, "\nattack {}: {}", attack.id, attack.title);
        if let Some((variable, words)) = &attack.for_each {
            let _ = writeln!(out, "  for each {variable} of {}", words.join(", "));
        }
        if let Some(attacker) = &attack.attacker {
            let has = if attacker.has.is_empty() { "nothing but public facts".to_owned() } else { attacker.has.join(", ") };
            let _ = writeln!(out, "  the attacker sends {} and has {has}", attacker.does.join(", "));
        }
        for line in changes(attack, None) {
            let _ = writeln!(out, "  change   {line}");
        }
        for condition in &attack.applies_when {
            let _ = writeln!(out, "  applies  when {}, else: {}", condition.predicate, condition.otherwise);
        }
        let (holds, broken) = if attack.measures { ("refused", "taken  ") } else { ("holds  ", "broken ") };
        let _ = writeln!(out, "  {holds}  if {}\n  {broken}  if {}", attack.holds, attack.broken);
        if let Some(flaw) = attack.proved_by.first() {
            let _ = writeln!(out, "  see it   grantproof run --flaw {flaw} -s {}", scenario.id);
        }
        if let Some(why) = &attack.unproved {
            let _ = writeln!(out, "  unproved {why}");
        }
    }
    let _ = writeln!(out, "\nsee it again  grantproof replay {} -t TARGET", scenario.id);
    let _ = writeln!(out, "case      {} (what a waiver names)", &scenario.digest[..scenario.digest.len().min(12)]);
    let _ = writeln!(out, "\nrequirements");
    for id in &scenario.basis {
        if let Some(requirement) = catalogue.requirements.get(id) {
            let _ = writeln!(out, "  {id}  {}\n    {}\n    {}", requirement.keyword.name(), requirement.asks.trim(), requirement.link);
        }
    }
    Ok(out)
}

/// Control and attacks request by request; `+` is sent by the attack only, `-` by the control only.
fn requests(scenario: &Scenario) -> String {
    let mut out = format!("{}: the control\n\n{}", scenario.id, control_requests(scenario));
    for attack in &scenario.attacks {
        let _ = writeln!(out, "\n{}/{}: {}\n", scenario.id, attack.id, attack.title);
        attack_requests(&mut out, scenario, attack);
    }
    out
}

/// The steps of the control, each with its parameters.
pub(super) fn control_requests(scenario: &Scenario) -> String {
    let mut out = String::new();
    for step in &scenario.control.steps {
        let _ = writeln!(out, "{}", heading(step));
        for parameter in step.parameters.iter() {
            let _ = writeln!(out, "    {} = {}", parameter.name, parameter.value);
        }
        for added in added(step) {
            let _ = writeln!(out, "    with {added}");
        }
    }
    out
}

/// The steps of an attack as they differ from the control's.
pub(super) fn attack_requests(out: &mut String, scenario: &Scenario, attack: &Attack) {
    let Ok(steps) = attack_steps(&scenario.control, attack, None) else {
        return;
    };
    for control in &scenario.control.steps {
        if !steps.iter().any(|s| s.name == control.name) {
            let _ = writeln!(out, "- {}", heading(control));
        }
    }
    for step in &steps {
        let _ = writeln!(out, "{}{}", if step.added { "+ " } else { "" }, heading(step));
        let control = scenario.control.steps.iter().find(|s| s.name == step.name);
        let was = |name: &str| control.and_then(|c| c.parameters.iter().find(|p| p.name == name));
        for name in &step.removed {
            if let Some(parameter) = was(name) {
                let _ = writeln!(out, "  - {} = {}", parameter.name, parameter.value);
            } else {
                let _ = writeln!(out, "  - {name}, if the target file adds one");
            }
        }
        for parameter in step.parameters.iter() {
            let place = parameter.place.map(|p| format!(" (in the {})", format!("{p:?}").to_lowercase())).unwrap_or_default();
            if let (Origin::Replaced | Origin::Moved, Some(old)) = (parameter.origin, was(&parameter.name)) {
                let _ = writeln!(out, "  - {} = {}", old.name, old.value);
            }
            let sign = if parameter.origin == Origin::Kept { ' ' } else { '+' };
            let _ = writeln!(out, "  {sign} {} = {}{place}", parameter.name, parameter.value);
        }
        if let Some(authentication) = &step.authentication {
            let _ = writeln!(out, "  + client authentication: {authentication}");
        }
        for added in added(step) {
            let _ = writeln!(out, "  + {added}");
        }
        if let Some(count) = step.burst {
            let _ = writeln!(out, "  + {count} times at the same moment");
        }
    }
}

/// What a step has beside its parameters, in words.
fn added(step: &PlannedStep) -> impl Iterator<Item = String> {
    let certificate = step.certificate.iter().map(ToString::to_string);
    certificate.chain(step.proof.iter().map(ToString::to_string)).chain(step.carried.iter().map(ToString::to_string))
}

fn heading(step: &PlannedStep) -> String {
    format!("{}  ({}, as the {} client)", step.name, step.kind.name(), step.client.name())
}
