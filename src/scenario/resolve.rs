//! File → scenario: names are resolved, changes are tried on the control, and every rule of the language is checked.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, suggestion};
use crate::model::profile::{Level, Profile};
use crate::model::scenario::{Attack, Attacker, Control, Operation, Scenario};
use crate::model::step::{ClientRole, Origin, Parameter, Place, PlannedStep, Transport, UserRole};
use crate::model::value::{Reference, Template, Value};
use crate::place::{At, Names};

use super::beside;
use super::change;
use super::conditions::{applies, condition};
use super::expression::{Scope, template};
use super::file::{AttackFile, ControlFile, FlowFile, FlowStepFile, LevelFile, ScenarioFile, SessionFile};
use super::lint;
use super::operations::{known_step, read_authentication, read_operations};

/// What a scenario may name outside of itself.
#[derive(Debug, Default)]
pub struct Library {
    /// Flows by name.
    pub flows: BTreeMap<String, FlowFile>,
    /// Ids of requirements.
    pub requirements: BTreeSet<String>,
    /// Names of the lab's flaws.
    pub flaws: BTreeSet<String>,
    /// What the steps of flows send, as it was resolved for other controls.
    pub sent: Sent,
}

/// What a step of a flow sends, by the step and what there is before it: nearly all controls send the same.
#[derive(Debug, Default)]
pub struct Sent(RefCell<BTreeMap<String, Arc<Vec<Parameter>>>>);

impl Sent {
    fn of(&self, step: &str, resolve: impl FnOnce() -> Option<Vec<Parameter>>) -> Option<Arc<Vec<Parameter>>> {
        if let Some(known) = self.0.borrow().get(step) {
            return Some(Arc::clone(known));
        }
        let resolved = Arc::new(resolve()?);
        self.0.borrow_mut().insert(step.to_owned(), Arc::clone(&resolved));
        Some(resolved)
    }
}

/// Reads one scenario file.
///
/// `expected_id` is the id that the file's path gives it, where it stands in a scenario directory.
///
/// # Errors
/// Every mistake found, each with its place and its cure.
pub fn scenario(name: &str, text: &str, expected_id: Option<&str>, library: &Library) -> Result<Scenario, Vec<Diagnostic>> {
    let file: ScenarioFile = crate::yaml::read(name, text)?;
    checked(&file, name, text, expected_id, library)
}

/// Resolves a scenario file that has been read; `text` is what diagnostics show a line of.
///
/// # Errors
/// Every mistake found.
pub fn checked(
    file: &ScenarioFile,
    name: &str,
    text: &str,
    expected_id: Option<&str>,
    library: &Library,
) -> Result<Scenario, Vec<Diagnostic>> {
    let mut found = Diagnostics::new(name, text);
    let scenario = build(file, name, expected_id, library, &mut found);
    match scenario {
        Some(scenario) if found.is_empty() => Ok(scenario),
        _ => Err(found.into_vec()),
    }
}

fn build(file: &ScenarioFile, name: &str, expected_id: Option<&str>, library: &Library, found: &mut Diagnostics) -> Option<Scenario> {
    meta(file, expected_id, library, found);
    let Some(flow) = library.flows.get(&file.control.flow.value) else {
        let help = suggestion(&file.control.flow.value, library.flows.keys().map(String::as_str));
        found.at(&file.control.flow, format!("no flow `{}`", file.control.flow.value), help);
        return None;
    };
    let (mut control, scope) = control(&file.control, flow, &library.sent, found)?;
    let applies = applies(&file.applies_when, &scope, found);
    let mut attacks = Vec::with_capacity(file.attacks.len());
    let mut seen = BTreeSet::new();
    for attack_file in &file.attacks {
        if !seen.insert(attack_file.id.value.clone()) {
            found.at(&attack_file.id, format!("a second attack with the id `{}`", attack_file.id.value), None);
        }
        if let Some(attack) = attack(file, attack_file, &control, &scope, library, found) {
            lint::attack(attack_file, &attack, &control, found);
            attacks.push(attack);
        }
    }
    if file.attacks.is_empty() {
        found.at(&file.id, "a scenario needs an attack", Some("add one under `attacks:`".into()));
    }
    let conditions = applies.iter().chain(attacks.iter().flat_map(|attack| &attack.applies_when));
    change::verify_where_asked(&mut control.steps, conditions.map(|condition| &condition.predicate));
    Some(Scenario {
        id: file.id.value.clone(),
        title: file.title.value.clone(),
        defense: file.defense.value.clone(),
        severity: file.severity.value,
        cwe: file.cwe.as_ref().map(|c| c.value.clone()),
        basis: file.basis.iter().map(|b| b.value.clone()).collect(),
        level: levels(&file.level),
        harm: text_of(file.harm.as_ref()),
        fix: text_of(file.fix.as_ref()),
        risk: file.risk,
        disturbs: file.disturbs,
        card: file.card,
        applies_when: applies,
        claimed_by: beside::claims(file, found),
        measures: beside::measures(file, &scope, library, found),
        control,
        attacks,
        file: name.to_owned(),
        digest: String::new(),
    })
}

fn text_of(text: Option<&At<String>>) -> String {
    text.map(|t| t.value.trim().to_owned()).unwrap_or_default()
}

pub(super) fn levels(file: &LevelFile) -> Vec<(Profile, Level)> {
    [
        (Profile::Baseline, file.baseline),
        (Profile::OAuth21, file.oauth21),
        (Profile::Fapi2, file.fapi2),
        (Profile::Oidc, file.oidc),
        (Profile::Mcp, file.mcp),
    ]
    .into_iter()
    .filter_map(|(profile, level)| level.map(|l| (profile, l)))
    .collect()
}

fn meta(file: &ScenarioFile, expected_id: Option<&str>, library: &Library, found: &mut Diagnostics) {
    let id = &file.id;
    let well_formed = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if id.value.split('/').count() != 2 || !id.value.split('/').all(well_formed) {
        found.at(id, format!("`{}` is no id", id.value), Some("write `group/name` in small letters, digits and hyphens".into()));
    } else if let Some(expected) = expected_id
        && expected != id.value
    {
        found.at(
            id,
            format!("the id `{}` does not fit the file's path", id.value),
            Some(format!("write `{expected}`, or rename the file")),
        );
    }
    for (what, value) in [("harm", &file.harm), ("fix", &file.fix)] {
        if value.as_ref().is_none_or(|v| v.value.trim().is_empty()) {
            let help = match what {
                "harm" => "say what an attacker walks away with",
                _ => "say what to change in the server",
            };
            found.at(id, format!("the scenario has no `{what}`"), Some(help.into()));
        }
    }
    if file.basis.is_empty() {
        found.at(id, "the scenario has no `basis`", Some("name the requirement that asks for the defense, such as `RFC9700#2.1.1`".into()));
    }
    for basis in &file.basis {
        if !library.requirements.contains(&basis.value) {
            let help = suggestion(&basis.value, library.requirements.iter().map(String::as_str))
                .filter(|s| s.starts_with("did you"))
                .or(Some("add it to a file of `standards/` first".into()));
            found.at(basis, format!("no requirement `{}` in standards/", basis.value), help);
        }
    }
    if levels(&file.level).is_empty() {
        found.at(id, "`level` names no profile", Some("write for example `level: {baseline: must}`".into()));
    }
}

/// The steps of a flow that are taken, in their order.
///
/// # Errors
/// Every mistake found.
pub fn flow_of(name: &str, flow: &FlowFile, takes: impl Fn(&str) -> bool) -> Result<Control, Vec<Diagnostic>> {
    let mut found = Diagnostics::new(name, "");
    let steps = flow.steps.0.iter().map(|(step, _)| step).filter(|step| takes(&step.value)).cloned().collect();
    let file = ControlFile { flow: flow.flow.clone(), steps, client: None, sessions: Names::default(), change: Names::default() };
    match control(&file, flow, &Sent::default(), &mut found) {
        Some((control, _)) if found.is_empty() => Ok(control),
        _ => Err(found.into_vec()),
    }
}

fn control(file: &ControlFile, flow: &FlowFile, known_sent: &Sent, found: &mut Diagnostics) -> Option<(Control, Scope)> {
    let variables_of_flow: BTreeSet<String> = flow.vars.0.iter().map(|(n, _)| n.value.clone()).collect();
    let mut scope = Scope { variables: Arc::new(variables_of_flow), ..Scope::default() };
    let sessions: BTreeMap<&str, &SessionFile> = file.sessions.0.iter().map(|(n, s)| (n.value.as_str(), s)).collect();
    for step in &file.steps {
        let session = PlannedStep::session_of(&step.value);
        if !session.is_empty() {
            scope.sessions.insert(session.to_owned());
        }
    }
    for (name, _) in &file.sessions.0 {
        if !scope.sessions.contains(&name.value) {
            found.at(
                name,
                format!("no step runs in the session `{}`", name.value),
                Some(format!("write `{}.authorize` under `steps:`", name.value)),
            );
        }
    }
    let known: Vec<&str> = flow.steps.0.iter().map(|(n, _)| n.value.as_str()).collect();
    let mut steps: Vec<Arc<PlannedStep>> = Vec::with_capacity(file.steps.len());
    let mut sound = true;
    // What a step may name: the steps before it, and the sessions.
    let mut before = format!("{}: {:?}", flow.flow.value, scope.sessions);
    for step in &file.steps {
        let session = PlannedStep::session_of(&step.value).to_owned();
        let base = step.value.rsplit('.').next().unwrap_or(&step.value);
        let Some((_, flow_step)) = flow.steps.0.iter().find(|(n, _)| n.value == base) else {
            found.at(step, format!("the flow `{}` has no step `{base}`", flow.flow.value), suggestion(base, known.iter().copied()));
            sound = false;
            continue;
        };
        if scope.steps.iter().any(|(n, _)| *n == step.value) {
            found.at(step, format!("the step `{}` stands here twice", step.value), None);
            sound = false;
            continue;
        }
        scope.own_session.clone_from(&session);
        before.push(' ');
        before.push_str(&step.value);
        let parameters = known_sent.of(&before, || parameters(step, flow_step, &scope, found)).unwrap_or_else(|| {
            sound = false;
            Arc::default()
        });
        let authentication = flow_step.authenticate.as_ref().and_then(|a| read_authentication(a, &scope, found));
        scope.own_session.clear();
        Arc::make_mut(&mut scope.sent).insert(step.value.clone(), parameters.iter().map(|p| p.name.clone()).collect());
        Arc::make_mut(&mut scope.steps).push((step.value.clone(), flow_step.send));
        let session_file = sessions.get(session.as_str());
        let session_client = session_file.map(|s| s.client).or(file.client.filter(|_| session.is_empty())).unwrap_or_default();
        steps.push(Arc::new(PlannedStep {
            name: step.value.clone(),
            session,
            kind: flow_step.send,
            client: flow_step.client.unwrap_or(session_client),
            user: session_file.map_or(UserRole::Default, |s| s.user),
            parameters,
            removed: Vec::new(),
            authentication,
            certificate: None,
            proof: None,
            carried: None,
            transport: Arc::new(Transport {
                method: flow_step.method.clone(),
                content_type: flow_step.content_type.clone(),
                ..Transport::default()
            }),
            wait: None,
            burst: None,
            each: None,
            probe: flow_step.probe,
            at: flow_step.at,
            logged_out: false,
            before_login: false,
            conduct: None,
            cookies_of: None,
            added: false,
            verified: false,
        }));
    }
    if steps.is_empty() {
        found.at(&file.flow, "the control has no steps", Some(format!("choose from: {}", known.join(", "))));
        return None;
    }
    let mut bent = Vec::new();
    for (step, operations) in &file.change.0 {
        if !known_step(step, &scope, found) {
            sound = false;
            continue;
        }
        for (place, target, operation) in read_operations(step, operations, &scope, found) {
            if let Err((message, help)) = change::apply(&mut steps, &target, &operation) {
                found.add(place.0, place.1, message, help);
                sound = false;
            }
        }
        if !bent.contains(&step.value) {
            bent.push(step.value.clone());
        }
    }
    if !bent.is_empty() {
        // What the control repeats under a new name is a step like any other.
        scope.steps = Arc::new(steps.iter().map(|s| (s.name.clone(), s.kind)).collect());
        scope.sent = Arc::new(steps.iter().map(|step| (step.name.clone(), sent(step))).collect());
    }
    let variables = variables(flow, &steps, &scope, found);
    sound.then_some((Control { flow: flow.flow.value.clone(), variables, steps, bent, parts: Vec::new() }, scope))
}

/// What a step of a flow sends; None: something in it cannot be named where the step stands.
fn parameters(step: &At<String>, flow_step: &FlowStepFile, scope: &Scope, found: &mut Diagnostics) -> Option<Vec<Parameter>> {
    let headers = flow_step.headers.0.iter().map(|header| (header, Some(Place::Header)));
    let written = flow_step.params.0.iter().map(|parameter| (parameter, None)).chain(headers);
    let read = written.map(|((name, text), place)| match template(&text.value, scope) {
        Ok(value) => Some(Parameter { name: name.value.clone(), value: Value::Text(value), place, origin: Origin::Kept }),
        Err((message, _)) => {
            let help = Some("put the step that it needs before it".into());
            found.at(step, format!("the step `{}` cannot stand here: {message}", step.value), help);
            None
        }
    });
    // Every mistake is told, not the first one alone.
    read.collect::<Vec<_>>().into_iter().collect()
}

/// The variables of the flow, once for each session that runs in it.
fn variables(flow: &FlowFile, steps: &[Arc<PlannedStep>], scope: &Scope, found: &mut Diagnostics) -> Vec<(String, Template)> {
    let sessions: BTreeSet<&str> = steps.iter().map(|s| s.session.as_str()).collect();
    let mut all = Vec::new();
    let mut own = scope.clone();
    for session in sessions {
        own.own_session = session.to_owned();
        for (name, text) in &flow.vars.0 {
            match template(&text.value, &own) {
                Ok(value) if session.is_empty() => all.push((name.value.clone(), value)),
                Ok(value) => all.push((format!("{session}.{}", name.value), value)),
                Err((message, help)) => found.at(name, message, help),
            }
        }
    }
    all
}

fn attack(
    file: &ScenarioFile,
    attack: &AttackFile,
    control: &Control,
    control_scope: &Scope,
    library: &Library,
    found: &mut Diagnostics,
) -> Option<Attack> {
    let mut scope = control_scope.clone();
    let for_each = match attack.for_each.0.as_slice() {
        [] => None,
        [(name, words)] => {
            if words.is_empty() {
                found.at(name, "`for_each` has no words", None);
            }
            scope.each = Some(name.value.clone());
            Some((name.value.clone(), words.iter().map(|w| w.value.clone()).collect::<Vec<_>>()))
        }
        [_, (second, _), ..] => {
            found.at(second, "`for_each` has one variable", Some("make an attack of its own for each value of the other".into()));
            return None;
        }
    };
    // Repetitions are steps that values and predicates may name.
    for (step, operations) in &attack.change.0 {
        if let (Some(repeat), Some((at, kind))) =
            (&operations.repeat, scope.steps.iter().position(|(n, _)| *n == step.value).map(|i| (i, scope.steps[i].1)))
        {
            let session = PlannedStep::session_of(&step.value);
            let name = if session.is_empty() { repeat.value.clone() } else { format!("{session}.{}", repeat.value) };
            Arc::make_mut(&mut scope.steps).insert(at + 1, (name, kind));
        }
    }
    let mut steps = control.steps.clone();
    let mut sound = true;
    let mut changes: Vec<(String, Vec<Operation>)> = Vec::new();
    for (step, operations) in &attack.change.0 {
        if !known_step(step, &scope, found) {
            sound = false;
            continue;
        }
        for (place, target, operation) in read_operations(step, operations, &scope, found) {
            match change::apply(&mut steps, &target, &operation) {
                Ok(()) => match changes.last_mut() {
                    Some((last, list)) if *last == target => list.push(operation),
                    _ => changes.push((target, vec![operation])),
                },
                Err((message, help)) => {
                    found.add(place.0, place.1, message, help);
                    sound = false;
                }
            }
        }
    }
    if attack.change.0.is_empty() {
        found.at(&attack.id, "the attack changes nothing", Some("name a step of the control and what differs in it".into()));
        sound = false;
    }
    // After a `set` the attack sends what the control does not: predicates may name it.
    for step in &steps {
        let is_unchanged = |own: &Arc<PlannedStep>| own.name == step.name && own.parameters == step.parameters && own.proof == step.proof;
        if !control.steps.iter().any(is_unchanged) {
            Arc::make_mut(&mut scope.sent).insert(step.name.clone(), sent(step));
        }
    }
    let holds = condition("holds", &attack.holds_if_any, &attack.holds_if_all, &attack.id, &scope, found);
    let broken = condition("broken", &attack.broken_if_any, &attack.broken_if_all, &attack.id, &scope, found);
    let moot = match &attack.moot_if_any {
        Some(_) => Some(condition("moot", &attack.moot_if_any, &None, &attack.id, &scope, found)?),
        None => None,
    };
    let takes = attack.takes.as_ref().and_then(|takes| match scope.resolve(&takes.value) {
        Ok(Reference::Field { step, field }) if field == "access_token" => Some((step, field)),
        Ok(_) => {
            found.at(takes, "`takes` names an access token", Some("write `redeem.access_token`".into()));
            None
        }
        Err((message, help)) => {
            found.at(takes, message, help);
            None
        }
    });
    let confirm_after =
        attack.confirm_after.as_ref().and_then(|wait| match template(&wait.value, &scope).and_then(|t| change::pause(&t).map(|()| t)) {
            Ok(template) => Some(template),
            Err((message, help)) => {
                found.at(wait, message, help);
                None
            }
        });
    let measures = beside::is_measure(file, &attack.id.value);
    match (attack.proved_by.0.is_empty(), &attack.unproved) {
        // What gives no verdict proves nothing.
        (true, None) if measures => {}
        (true, None) => found.at(
            &attack.id,
            format!("the attack `{}` has neither `proved_by` nor `unproved`", attack.id.value),
            Some("name the lab's flaw that it finds, or say why there is none".into()),
        ),
        (false, Some(unproved)) => found.at(unproved, "`unproved` stands beside `proved_by`", Some("keep one of the two".into())),
        _ => {}
    }
    for flaw in &attack.proved_by.0 {
        if !library.flaws.contains(&flaw.value) {
            found.at(
                flaw,
                format!("the lab has no flaw `{}`", flaw.value),
                suggestion(&flaw.value, library.flaws.iter().map(String::as_str)),
            );
        }
    }
    if !sound {
        return None;
    }
    Some(Attack {
        id: attack.id.value.clone(),
        title: attack.title.as_ref().map_or_else(|| file.title.value.clone(), |t| t.value.clone()),
        applies_when: applies(&attack.applies_when, control_scope, found),
        for_each,
        client: attack.client,
        attacker: attack.attacker.as_ref().map(|a| Attacker {
            does: a.does.iter().map(|d| d.value.clone()).collect(),
            has: a.has.iter().map(|h| h.value.clone()).collect(),
        }),
        change: changes,
        holds: holds?,
        broken: broken?,
        moot,
        takes,
        confirm_after,
        implied_by: attack.implied_by.iter().map(|i| i.value.clone()).collect(),
        proved_by: attack.proved_by.0.iter().map(|p| p.value.clone()).collect(),
        unproved: attack.unproved.as_ref().map(|u| u.value.clone()),
        lesser: attack.lesser,
        negative_control: attack.negative_control,
        measures,
    })
}

/// What a step sends, by name: its parameters and, where it has one, its proof.
fn sent(step: &PlannedStep) -> BTreeSet<String> {
    let proof = step.proof.iter().map(|_| "dpop".to_owned());
    step.parameters.iter().map(|p| p.name.clone()).chain(proof).collect()
}

/// The client roles that a plan needs, for "skipped: add clients.second".
pub fn roles(steps: &[Arc<PlannedStep>]) -> BTreeSet<ClientRole> {
    steps.iter().map(|s| s.client).collect()
}
