//! What will be run: cases under shared controls, and what cannot run and why. Needs are read off the steps themselves.

mod unite;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::authentication::{Authentication, ShownCertificate};
use crate::model::scenario::{Attack, Control, Risk, Scenario, case_name};
use crate::model::step::{ClientRole, Origin, Parameter, Place, PlannedStep, StepKind, UserRole};
use crate::model::value::{Expression, Part, Reference, Template, Value};
use crate::scenario::change::attack_steps;
use crate::scenario::resolve::roles;
use crate::target::Target;

/// One trial to be made: an attack of a scenario, with one word of its `for_each`.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    pub scenario: &'a Scenario,
    pub attack: &'a Attack,
    pub word: Option<String>,
    pub steps: Vec<Arc<PlannedStep>>,
    /// The flow that must be granted for this case to be judged; the cases of an attack share it.
    pub control: Arc<Control>,
}

impl Case<'_> {
    /// What it is called.
    pub fn name(&self) -> String {
        case_name(&self.scenario.id, &self.attack.id, self.word.as_deref())
    }

    /// It may not run beside another trial.
    pub fn alone(&self) -> bool {
        self.scenario.disturbs || self.scenario.risk == Risk::Destructive || self.steps.iter().any(|s| s.burst.is_some())
    }

    /// It has a pause in it.
    pub fn waits(&self) -> bool {
        self.steps.iter().any(|s| s.wait.is_some())
    }
}

/// Cases that are framed by the same trials of a control.
#[derive(Debug)]
pub struct Group<'a> {
    /// Stands for the control of every case of the group.
    pub control: Control,
    pub cases: Vec<Case<'a>>,
}

/// What cannot run, and what the target file lacks for it.
#[derive(Debug, Clone)]
pub struct Left<'a> {
    pub scenario: &'a Scenario,
    pub attack: &'a Attack,
    pub why: String,
    pub lack: Lack,
}

/// What is lacking for an attack. Some of it a server need not have: then there is nothing to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The client of a role: its metadata may say that a server knows none of this kind.
    Client(ClientRole),
    /// A user with a second factor: no login can be half done.
    SecondFactor,
    /// What the owner of the target file can add or allow, whatever the server is.
    Other,
}

#[derive(Debug, Default)]
pub struct Plan<'a> {
    pub groups: Vec<Group<'a>>,
    pub left: Vec<Left<'a>>,
}

/// The control of a client, as it is written and with its clients by name, and what the target file lacks for it.
type OfClient = (Arc<Control>, Arc<Control>, Option<(String, Lack)>);

/// Steps as they are written, which others hold as well, and the same with their client by name: nearly all steps of a plan are copies of few.
type Named = HashMap<*const PlannedStep, [Arc<PlannedStep>; 2]>;

/// Draws the plan: which cases run, under which controls.
pub fn draw<'a>(scenarios: &[&'a Scenario], target: &Target, allowed: Risk) -> Plan<'a> {
    let mut plan = Plan::default();
    let mut named = Named::new();
    for scenario in scenarios {
        // Most attacks of a scenario are on one client, and share its control.
        let mut controls: BTreeMap<Option<ClientRole>, OfClient> = BTreeMap::new();
        for attack in &scenario.attacks {
            let words: Vec<Option<&str>> = match &attack.for_each {
                Some((_, words)) => words.iter().map(|w| Some(w.as_str())).collect(),
                None => vec![None],
            };
            let (written, control, mut lacking) = controls
                .entry(attack.client)
                .or_insert_with(|| {
                    let written = scenario.control.as_client(attack.client);
                    let lacking = missing(&written.steps, target);
                    let mut control = written.clone();
                    by_name(&mut control.steps, target, None, &mut named);
                    (Arc::new(written), Arc::new(control), lacking)
                })
                .clone();
            let cases: Vec<Case> = words
                .into_iter()
                .filter_map(|word| {
                    let mut steps = attack_steps(&written, attack, word).ok()?;
                    lacking = lacking.take().or_else(|| missing(&steps, target));
                    by_name(&mut steps, target, None, &mut named);
                    Some(Case { scenario, attack, word: word.map(str::to_owned), steps, control: Arc::clone(&control) })
                })
                .collect();
            let missing = lacking.or_else(|| {
                let name = scenario.risk.name();
                (scenario.risk > allowed).then(|| (format!("it is {name}: allow it with `--allow {name}`"), Lack::Other))
            });
            match missing {
                Some((why, lack)) => plan.left.push(Left { scenario, attack, why, lack }),
                None => add(&mut plan.groups, &control, cases),
            }
        }
    }
    merge(plan)
}

/// Steps of "the default client", or of who may introspect, name the client that this is: two controls that differ in the word alone are one.
/// `default`: who plays the default client, if not the first that can.
fn by_name(steps: &mut [Arc<PlannedStep>], target: &Target, default: Option<ClientRole>, named: &mut Named) {
    for step in steps.iter_mut().filter(|s| matches!(s.client, ClientRole::Default | ClientRole::Introspection)) {
        if let Some([_, known]) = named.get(&Arc::as_ptr(step)) {
            *step = Arc::clone(known);
            continue;
        }
        let default = default.filter(|_| step.client == ClientRole::Default);
        let Some(client) = default.or_else(|| target.role(step.client)) else { continue };
        // What an attack has changed is its own.
        let shared = (Arc::strong_count(step) > 1).then(|| Arc::clone(step));
        Arc::make_mut(step).client = client;
        if let Some(written) = shared {
            named.insert(Arc::as_ptr(&written), [written, Arc::clone(step)]);
        }
    }
}

/// Who plays the default client in a case; None: the case is about clients that it names.
pub fn default_client(case: &Case<'_>) -> Option<ClientRole> {
    if case.attack.client.is_some() {
        return None;
    }
    let at = case.scenario.control.steps.iter().position(|step| step.client == ClientRole::Default)?;
    case.control.steps.get(at).map(|step| step.client)
}

/// The same case with the next client of the target file as the default one; None: there is none, or the case is about clients that it names.
pub fn with_next_client<'a>(case: &Case<'a>, target: &Target) -> Option<Case<'a>> {
    let next = target.default_client_after(default_client(case)?)?;
    let mut control = case.scenario.control.clone();
    let mut steps = attack_steps(&case.scenario.control, case.attack, case.word.as_deref()).ok()?;
    let mut named = Named::new();
    by_name(&mut control.steps, target, Some(next), &mut named);
    by_name(&mut steps, target, Some(next), &mut named);
    let lacking = missing(&control.steps, target).or_else(|| missing(&steps, target));
    lacking.is_none().then(|| Case { steps, control: Arc::new(control), ..case.clone() })
}

/// Cases under the controls that they share.
pub fn grouped(cases: Vec<Case<'_>>) -> Vec<Group<'_>> {
    let mut plan = Plan::default();
    for case in cases {
        let control = Arc::clone(&case.control);
        add(&mut plan.groups, &control, vec![case]);
    }
    merge(plan).groups
}

fn add<'a>(groups: &mut Vec<Group<'a>>, control: &Control, cases: Vec<Case<'a>>) {
    match groups.iter_mut().find(|g| g.control == *control) {
        Some(group) => group.cases.extend(cases),
        None => groups.push(Group { control: control.clone(), cases }),
    }
}

/// Groups whose controls fit into one flow share its trials.
fn merge(mut plan: Plan<'_>) -> Plan<'_> {
    plan.groups.sort_by_key(|g| std::cmp::Reverse(g.control.steps.len()));
    let mut kept: Vec<Group> = Vec::new();
    for group in plan.groups.drain(..) {
        // With the one that has most of it already: each request that is shared is made once for both.
        let mut partners: Vec<(usize, usize)> = kept
            .iter()
            .enumerate()
            .map(|(at, other)| (unite::shared(&other.control, &group.control), at))
            .filter(|(shared, _)| *shared > 0)
            .collect();
        partners.sort_by_key(|(shared, at)| (std::cmp::Reverse(*shared), *at));
        let united = partners.into_iter().find_map(|(_, at)| {
            let other = kept.get(at)?;
            unite::unite(&controls(&other.cases), &other.control, &group.control).map(|united| (at, united))
        });
        match united.and_then(|(at, control)| Some((kept.get_mut(at)?, control))) {
            Some((other, control)) => {
                other.control = control;
                other.cases.extend(group.cases);
            }
            None => kept.push(group),
        }
    }
    // Short controls first: what fails early is the set-up.
    kept.reverse();
    plan.groups = kept;
    plan
}

/// The different controls of some cases.
fn controls<'c, 'a: 'c>(cases: impl IntoIterator<Item = &'c Case<'a>>) -> Vec<Arc<Control>> {
    let mut all: Vec<Arc<Control>> = Vec::new();
    for case in cases {
        if !all.iter().any(|known| Arc::ptr_eq(known, &case.control) || *known == case.control) {
            all.push(Arc::clone(&case.control));
        }
    }
    all
}

/// The shortest flow that stands for the controls of some cases of a group.
pub fn control_of<'c, 'a: 'c>(cases: impl IntoIterator<Item = &'c Case<'a>>, group: &Control) -> Control {
    let mut members = controls(cases);
    // As the group was put together: the longest first.
    members.sort_by_key(|c| std::cmp::Reverse(c.steps.len()));
    let mut done: Vec<Arc<Control>> = Vec::new();
    let mut united: Option<Control> = None;
    for member in members {
        united = match united {
            None => Some(Control::clone(&member)),
            Some(so_far) => match unite::unite(&done, &so_far, &member) {
                Some(control) => Some(control),
                None => return group.clone(),
            },
        };
        done.push(member);
    }
    united.unwrap_or_else(|| group.clone())
}

/// What the target file lacks for these steps, in words and by kind.
fn missing(steps: &[Arc<PlannedStep>], target: &Target) -> Option<(String, Lack)> {
    let roles = roles(steps);
    if let Some(role) = roles.iter().copied().find(|role| target.client(*role).is_none()) {
        let why = match role {
            ClientRole::Default => "the target has no client: add `clients.public`".to_owned(),
            ClientRole::Introspection => "no client may introspect: add `clients.confidential` to the target file".to_owned(),
            other => format!("add `clients.{}` to the target file", other.name()),
        };
        return Some((why, Lack::Client(role)));
    }
    let unheard = || {
        let listens = steps.iter().any(|s| matches!(s.kind, StepKind::ListenerAddress | StepKind::ListenerRequest));
        (listens && target.listener.is_none()).then(|| {
            "add `listener: {listen: …, url: …}` to the target file: an address of ours that the server can reach (docs/targets.md)"
                .to_owned()
        })
    };
    let alone = || {
        let shows_another = |step: &&Arc<PlannedStep>| step.certificate == Some(ShownCertificate::OtherClient);
        let client = steps.iter().find(shows_another).and_then(|step| target.client(step.client))?;
        let why = "give another client of the target file a `certificate` too: this attack shows it in the place of the client's own";
        target.other_with_certificate(client).is_none().then(|| why.to_owned())
    };
    if let Some(why) = one_for_two(&roles, target).or_else(unheard).or_else(alone) {
        return Some((why, Lack::Other));
    }
    let is_half_done = steps.iter().any(|step| step.user == UserRole::SecondFactor);
    (is_half_done && target.user_with_second_factor().is_none()).then(|| {
        let why = "no user of the target file has a login that asks for a password and then for a one-time code (`users.second_factor` with \
                   `totp` would be one)";
        (why.to_owned(), Lack::SecondFactor)
    })
}

/// An attack of one client on what belongs to another says nothing where both are one: what it gets is its own. Who introspects may be
/// anybody.
fn one_for_two(roles: &BTreeSet<ClientRole>, target: &Target) -> Option<String> {
    let roles: BTreeSet<ClientRole> =
        roles.iter().filter(|role| **role != ClientRole::Introspection).filter_map(|role| target.role(*role)).collect();
    let mut seen: BTreeMap<&str, ClientRole> = BTreeMap::new();
    roles.into_iter().find_map(|role| {
        let first = seen.insert(&target.client(role)?.id, role)?;
        Some(format!("`clients.{}` and `clients.{}` are one client, and this needs two that differ", first.name(), role.name()))
    })
}

/// The grant by which a client asks for a token of its own (RFC 6749 §4.4).
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// A request that no server may grant, to learn what its refusal looks like.
#[derive(Debug, Clone)]
pub struct Blatant {
    pub kind: StepKind,
    pub what: &'static str,
    pub step: Arc<PlannedStep>,
}

/// The blatantly invalid requests for the kinds of steps that the controls of some groups have.
pub fn blatant<'g>(groups: &[&'g Group<'g>]) -> Vec<Blatant> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for step in groups.iter().flat_map(|g| &g.control.steps) {
        let (name, what) = match step.kind {
            StepKind::AuthorizationRequest => ("client_id", "a client that never existed"),
            StepKind::PushedAuthorizationRequest => ("client_id", "a client that never existed"),
            StepKind::TokenRequest => ("code", "a code that never existed"),
            StepKind::IntrospectionRequest => ("token", "a token that never existed"),
            // The resource has its own, when the proof endpoint is chosen; the revocation endpoint grants everything.
            StepKind::ResourceRequest | StepKind::RevocationRequest | StepKind::LogoutRequest | StepKind::DocumentRequest => continue,
            // Of any endpoint, and a page: there is no one request that none of them may grant.
            StepKind::EndpointRequest | StepKind::PageRequest => continue,
            // Nothing is sent.
            StepKind::ListenerAddress | StepKind::ListenerRequest => continue,
        };
        if !step.parameters.iter().any(|p| p.name == name) || !seen.insert(step.kind) {
            continue;
        }
        let mut step = PlannedStep::clone(step);
        step.name = format!("negative control: {what}");
        step.session = "negative".into();
        for parameter in step.parameters_mut() {
            let mut references = Vec::new();
            parameter.value.references(&mut references);
            let from_answer =
                references.iter().any(|r| matches!(r, Reference::Field { .. } | Reference::Sent { .. } | Reference::Variable(_)));
            if parameter.name == name {
                parameter.value = Value::Text(Template::literal(&format!("grantproof-{}", crate::engine::eval::random(24))));
            } else if parameter.name == "redirect_uri" && from_answer {
                parameter.value = client_redirect_uri();
            } else if from_answer {
                parameter.value = Value::Text(Template::literal(&crate::engine::eval::random(43)));
            }
        }
        all.extend(others(&step));
        all.push(Blatant { kind: step.kind, what, step: Arc::new(step) });
    }
    let attacked = groups.iter().flat_map(|g| &g.cases).flat_map(|case| &case.steps);
    all.extend(unknown_clients(groups.iter().flat_map(|g| &g.control.steps).chain(attacked)));
    all
}

/// Clients that never existed ask for a token of their own, as the steps of a run do, if any: a server may look for a client in another
/// place where no user is in play, and refuse one that it does not find in words of their own.
fn unknown_clients<'s>(steps: impl Iterator<Item = &'s Arc<PlannedStep>>) -> Vec<Blatant> {
    let mut all: Vec<Blatant> = Vec::new();
    for step in steps.filter(|s| s.kind == StepKind::TokenRequest && asks_for_itself(s)) {
        let is_public = step.client == ClientRole::Public;
        let what = match is_public {
            true => "a client that never existed, asking for a token of its own",
            false => "a client that never existed, asking for a token of its own with a secret",
        };
        if all.iter().any(|blatant| blatant.what == what) {
            continue;
        }
        let id = format!("grantproof-{}", crate::engine::eval::random(24));
        let parameter = |name: &str, value: &str, place| Parameter {
            name: name.into(),
            value: Value::Text(Template::literal(value)),
            place,
            origin: Origin::Kept,
        };
        // The way of a secret that every server must know (RFC 6749 §2.3.1).
        let own = match is_public {
            true => parameter("client_id", &id, None),
            false => parameter("authorization", &crate::engine::eval::basic(&id, &crate::engine::eval::random(32)), Some(Place::Header)),
        };
        let step = PlannedStep {
            name: format!("negative control: {what}"),
            session: "negative".into(),
            parameters: Arc::new(vec![parameter("grant_type", CLIENT_CREDENTIALS, None), own]),
            removed: Vec::new(),
            authentication: Some(Authentication::Nothing),
            certificate: None,
            proof: None,
            transport: Arc::default(),
            wait: None,
            burst: None,
            each: None,
            cookies_of: None,
            added: false,
            verified: false,
            ..PlannedStep::clone(step)
        };
        all.push(Blatant { kind: step.kind, what, step: Arc::new(step) });
    }
    all
}

/// Whether a token request uses the client credentials grant.
fn asks_for_itself(step: &PlannedStep) -> bool {
    let grant = Value::Text(Template::literal(CLIENT_CREDENTIALS));
    step.parameters.iter().any(|p| p.name == "grant_type" && p.value == grant)
}

/// The same nonsense in the forms in which attacks come: a server may refuse a refresh, or somebody whom it does not know at
/// all, in words of their own.
fn others(step: &PlannedStep) -> Vec<Blatant> {
    let mut all = Vec::new();
    let mut add = |what: &'static str, change: &dyn Fn(&mut PlannedStep)| {
        let mut other = step.clone();
        other.name = format!("negative control: {what}");
        change(&mut other);
        all.push(Blatant { kind: step.kind, what, step: Arc::new(other) });
    };
    let refresh = |step: &mut PlannedStep| {
        let text = |value: &str| Value::Text(Template::literal(value));
        let parameter = |name: &str, value| Parameter { name: name.into(), value, place: None, origin: Origin::Kept };
        let token = format!("grantproof-{}", crate::engine::eval::random(24));
        step.parameters = Arc::new(vec![parameter("grant_type", text("refresh_token")), parameter("refresh_token", text(&token))]);
    };
    let nobody = |step: &mut PlannedStep| step.authentication = Some(Authentication::Nothing);
    match step.kind {
        StepKind::AuthorizationRequest => {
            add("a client that never existed, asked for while nobody is logged in", &|step| step.logged_out = true);
            // The first page after a login may greet the user, whatever else it says.
            add("a client that never existed, asked for again", &|_| ());
            let silently = |step: &mut PlannedStep| {
                step.logged_out = true;
                let none = Value::Text(Template::literal("none"));
                step.parameters_mut().retain(|p| p.name != "prompt");
                step.parameters_mut().push(Parameter { name: "prompt".into(), value: none, place: None, origin: Origin::Kept });
            };
            add("a client that never existed, asked for silently while nobody is logged in", &silently);
        }
        StepKind::TokenRequest => {
            add("a refresh token that never existed", &refresh);
            add("a code that never existed, from nobody", &nobody);
            add("a refresh token that never existed, from nobody", &|step| {
                refresh(step);
                nobody(step);
            });
            add("a request without parameters", &|step| {
                step.parameters_mut().clear();
                nobody(step);
            });
        }
        StepKind::PushedAuthorizationRequest
        | StepKind::IntrospectionRequest
        | StepKind::ResourceRequest
        | StepKind::RevocationRequest
        | StepKind::LogoutRequest
        | StepKind::DocumentRequest
        | StepKind::EndpointRequest
        | StepKind::PageRequest
        | StepKind::ListenerAddress
        | StepKind::ListenerRequest => {}
    }
    all
}

fn client_redirect_uri() -> Value {
    Value::Text(Template(vec![Part::Expression(Expression::Reference(Reference::Client("redirect_uri".into())))]))
}
