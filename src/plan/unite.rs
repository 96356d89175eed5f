//! Several controls as one: a flow that holds every one of them, so that one run of it stands for all.
//!
//! A longer flow may stand for a control where what it has besides cannot have made the control's steps succeed, nor
//! spoil them: requests that change nothing, what comes before the control's first step or after its last one, what uses nothing that
//! the rest of it needs, and what other clients or users do meanwhile in sessions of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::scenario::Control;
use crate::model::step::{PlannedStep, StepKind};
use crate::model::value::Reference;

/// Orders of the steps that are looked at before two flows are given up as not to be put together.
const MOST_ORDERS: usize = 4096;

/// How many requests of `more` a flow makes as well, if it can stand for both.
pub fn shared(united: &Control, more: &Control) -> usize {
    if united.flow != more.flow {
        return 0;
    }
    more.steps.iter().filter(|step| is_sent(step) && united.steps.contains(step)).count()
}

/// Adds a control to a flow that stands for `members`; None where no order of the steps stands for all of them.
pub fn unite(members: &[Arc<Control>], united: &Control, more: &Control) -> Option<Control> {
    if united.flow != more.flow {
        return None;
    }
    let mut variables = united.variables.clone();
    for (name, template) in &more.variables {
        match variables.iter().find(|(n, _)| n == name) {
            Some((_, own)) if own == template => {}
            Some(_) => return None,
            None => variables.push((name.clone(), template.clone())),
        }
    }
    let mut bent = united.bent.clone();
    bent.extend(more.bent.iter().filter(|b| !united.bent.contains(b)).cloned());
    let runs = runs(&united.steps, &more.steps)?;
    let orders = runs.iter().try_fold(1_usize, |product, run| product.checked_mul(run.places())).filter(|orders| *orders <= MOST_ORDERS)?;
    let parts: Vec<&Control> = members.iter().map(Arc::as_ref).chain([more]).collect();
    let known: Known = united.steps.iter().chain(&more.steps).map(|step| Uses::of(step)).collect();
    let members: Vec<Member> = parts.iter().map(|part| Member::of(&part.steps, united, more, &known)).collect();
    (0..orders).find_map(|order| {
        let order = in_order(united.steps.len(), &runs, order);
        members.iter().all(|member| member.is_shown_by(&order)).then(|| Control {
            flow: united.flow.clone(),
            variables: variables.clone(),
            steps: order.iter().filter_map(|step| step.of(united, more)).cloned().collect(),
            bent: bent.clone(),
            parts: parts.iter().map(|part| part.steps.iter().map(|step| step.name.clone()).collect()).collect(),
        })
    })
}

fn is_sent(step: &PlannedStep) -> bool {
    !matches!(step.kind, StepKind::ListenerAddress | StepKind::ListenerRequest)
}

/// A step of a flow that is being put together: of the one by its place there, or one that only the other has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    United(usize),
    More(usize),
}

impl Which {
    fn of<'a>(self, united: &'a Control, more: &'a Control) -> Option<&'a Arc<PlannedStep>> {
        match self {
            Which::United(at) => united.steps.get(at),
            Which::More(at) => more.steps.get(at),
        }
    }
}

/// Steps that only the other flow has, one behind another, and between which places of the one they may stand.
struct Run {
    steps: std::ops::Range<usize>,
    /// The first and the last place of the one flow before which they may stand.
    first: usize,
    last: usize,
}

impl Run {
    fn places(&self) -> usize {
        self.last - self.first + 1
    }
}

/// What the other flow has that the one has not. None where they have different steps of one name, or the same steps in another order.
fn runs(united: &[Arc<PlannedStep>], more: &[Arc<PlannedStep>]) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut begun, mut behind) = (None, 0);
    for (at, step) in more.iter().enumerate() {
        match united.iter().position(|own| own.name == step.name) {
            None => begun = begun.or(Some(at)),
            Some(there) if there >= behind && united.get(there) == Some(step) => {
                runs.extend(begun.take().map(|start| Run { steps: start..at, first: behind, last: there }));
                behind = there + 1;
            }
            Some(_) => return None,
        }
    }
    runs.extend(begun.map(|start| Run { steps: start..more.len(), first: behind, last: united.len() }));
    Some(runs)
}

/// The steps of both flows, in one of the orders that there are: the last first, so that what is added stands late.
fn in_order(united: usize, runs: &[Run], mut order: usize) -> Vec<Which> {
    let places: Vec<usize> = runs
        .iter()
        .map(|run| {
            let place = run.last - order % run.places();
            order /= run.places();
            place
        })
        .collect();
    let mut steps = Vec::new();
    for at in 0..=united {
        for (run, _) in runs.iter().zip(&places).filter(|(_, place)| **place == at) {
            steps.extend(run.steps.clone().map(Which::More));
        }
        if at < united {
            steps.push(Which::United(at));
        }
    }
    steps
}

/// A control that the flow is to stand for.
struct Member {
    steps: Vec<Which>,
    /// Of each step of either flow: after how many steps of the control it may stand, if the control is then not yet done.
    united: Vec<Vec<bool>>,
    more: Vec<Vec<bool>>,
}

impl Member {
    fn of(steps: &[Arc<PlannedStep>], united: &Control, more: &Control, known: &Known<'_>) -> Member {
        let at = |control: &Control, name: &str| control.steps.iter().position(|own| own.name == name);
        let which = |step: &Arc<PlannedStep>| at(united, &step.name).map(Which::United).or_else(|| at(more, &step.name).map(Which::More));
        // What the rest of the control hangs on of its first so many steps: what comes later nothing can have spoilt yet.
        let needed: Vec<BTreeSet<&str>> = (0..steps.len())
            .map(|done| {
                let (made, rest) = steps.split_at(done);
                let needed = origins(rest.iter().map(|step| &**step), known, is_lasting);
                made.iter().map(|step| step.name.as_str()).filter(|name| needed.contains(name)).collect()
            })
            .collect();
        let harmless = |step: &Arc<PlannedStep>| -> Vec<bool> {
            let anywhere = is_bystander(step, steps, known);
            let is_fine = |(done, needed): (usize, &BTreeSet<&str>)| {
                let (before, after) = steps.split_at(done);
                // Before the control begins there may be anything: so may another trial before its own.
                let leaves_rest = done == 0 || (anywhere || leaves(step, needed, known)) && leaves_browsers(step, before, after);
                leaves_rest && !takes_consent(step, after, known)
            };
            needed.iter().enumerate().map(is_fine).collect()
        };
        Member {
            steps: steps.iter().filter_map(which).collect(),
            united: united.steps.iter().map(harmless).collect(),
            more: more.steps.iter().map(harmless).collect(),
        }
    }

    /// Whether a run of these steps shows that the control is granted.
    fn is_shown_by(&self, order: &[Which]) -> bool {
        let mut done = 0;
        for step in order {
            if self.steps.get(done) == Some(step) {
                done += 1;
                continue;
            }
            if done == self.steps.len() {
                return true;
            }
            let harmless = match step {
                Which::United(at) => self.united.get(*at),
                Which::More(at) => self.more.get(*at),
            };
            if harmless.and_then(|after| after.get(done)) != Some(&true) {
                return false;
            }
        }
        done == self.steps.len()
    }
}

/// Whether a request leaves alone what these steps gave: it reads, or can neither use that up nor end it.
fn leaves(step: &PlannedStep, needed: &BTreeSet<&str>, known: &Known<'_>) -> bool {
    let uses_none = |unchanged: fn(&str) -> bool| origins([step], known, unchanged).is_disjoint(needed);
    match step.kind {
        StepKind::TokenRequest | StepKind::RevocationRequest => uses_none(|field| is_lasting(field) || is_of_client(field)),
        StepKind::EndpointRequest => uses_none(is_lasting),
        // Some servers keep one grant for each client and user, so that a new one ends the others.
        StepKind::AuthorizationRequest | StepKind::PushedAuthorizationRequest => {
            let is_grant = |kind| matches!(kind, StepKind::AuthorizationRequest | StepKind::TokenRequest);
            !known.iter().any(|grant| is_grant(grant.step.kind) && needed.contains(grant.step.name.as_str()))
        }
        StepKind::ResourceRequest | StepKind::IntrospectionRequest | StepKind::DocumentRequest => true,
        StepKind::ListenerAddress | StepKind::ListenerRequest => true,
        StepKind::LogoutRequest | StepKind::PageRequest => false,
    }
}

/// Whether a request leaves the cookies of the browsers alone that go on after it. The browsers of a user begin with one session, and some
/// servers give it another name when they have asked something: only the browser that was asked knows that.
fn leaves_browsers(step: &PlannedStep, before: &[Arc<PlannedStep>], after: &[Arc<PlannedStep>]) -> bool {
    let is_led = |step: &PlannedStep| matches!(step.kind, StepKind::AuthorizationRequest | StepKind::LogoutRequest | StepKind::PageRequest);
    let goes_on = |later: &PlannedStep| is_led(later) && before.iter().any(|earlier| is_led(earlier) && earlier.session == later.session);
    !is_led(step) || !after.iter().any(|later| later.user == step.user && later.session != step.session && goes_on(later))
}

/// Whether a user who answers this request is not asked about the same client later: of one that was registered in the flow, nobody has agreed to
/// anything before.
fn takes_consent(step: &PlannedStep, after: &[Arc<PlannedStep>], known: &Known<'_>) -> bool {
    let registered =
        |step: &PlannedStep| uses_of(known, &step.name).iter().find(|(_, field)| *field == Some("client_id")).map(|(from, _)| *from);
    let asks = |step: &PlannedStep| step.kind == StepKind::AuthorizationRequest;
    let of = registered(step).filter(|_| asks(step));
    of.is_some() && after.iter().any(|later| asks(later) && later.user == step.user && registered(later) == of)
}

/// What nothing but time takes the use from.
fn is_lasting(field: &str) -> bool {
    field == "id_token"
}

/// What tells who a registered client is, which no use of it changes.
fn is_of_client(field: &str) -> bool {
    matches!(field, "client_id" | "client_secret")
}

/// A step, and what it uses of others: their names, with the field of the answer, or none where it is what was sent.
struct Uses<'s> {
    step: &'s PlannedStep,
    of: Vec<(&'s str, Option<&'s str>)>,
}

/// The steps of both flows. Those of one name are one step.
type Known<'s> = Vec<Uses<'s>>;

impl<'s> Uses<'s> {
    fn of(step: &'s PlannedStep) -> Uses<'s> {
        let used = |reference: &'s Reference| match reference {
            Reference::Field { step, field } | Reference::ControlField { step, field } => Some((step.as_str(), Some(field.as_str()))),
            Reference::Sent { step, .. } => Some((step.as_str(), None)),
            Reference::Variable(_) | Reference::Client(_) | Reference::User(_) | Reference::Target(_) => None,
        };
        Uses { step, of: step.references().into_iter().filter_map(used).collect() }
    }
}

fn uses_of<'k, 's>(known: &'k Known<'s>, name: &str) -> &'k [(&'s str, Option<&'s str>)] {
    known.iter().find(|uses| uses.step.name == name).map_or(&[], |uses| &uses.of)
}

/// The steps whose answers some steps hang on, directly or by another one, but for fields that are of no account.
fn origins<'s, 'k: 's>(
    steps: impl IntoIterator<Item = &'k PlannedStep>,
    known: &Known<'s>,
    but: impl Fn(&str) -> bool,
) -> BTreeSet<&'s str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = steps.into_iter().map(|step| step.name.as_str()).collect();
    while let Some(step) = open.pop() {
        for (name, field) in uses_of(known, step) {
            // What was sent is ours, whatever became of the step.
            if field.is_some_and(|field| !but(field)) && found.insert(*name) {
                open.push(name);
            }
        }
    }
    found
}

/// A step of a session that the member has not, that uses nothing of another session; of another client or user as well, since some servers keep one
/// grant for each pair of them.
fn is_bystander(step: &PlannedStep, member: &[Arc<PlannedStep>], known: &Known<'_>) -> bool {
    let alone = uses_of(known, &step.name).iter().all(|(name, _)| PlannedStep::session_of(name) == step.session);
    let apart = member.iter().all(|m| m.session != step.session && (m.client != step.client || m.user != step.user));
    alone && apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::step::{ClientRole, Origin, Parameter, ResourcePlace, UserRole};
    use crate::model::value::{Expression, Part, Template, Value};

    /// `session.name`, by a client, using what another step was answered.
    fn step(name: &str, kind: StepKind, client: ClientRole, uses: Option<&str>) -> Arc<PlannedStep> {
        let of = |step: &str| if step == "register" { "client_id" } else { "x" };
        let field = |step: &str| Expression::Reference(Reference::Field { step: step.into(), field: of(step).into() });
        let value = uses.map(|step| Value::Text(Template(vec![Part::Expression(field(step))])));
        let parameter = |value| Parameter { name: "p".into(), value, place: None, origin: Origin::Kept };
        Arc::new(PlannedStep {
            name: name.into(),
            session: PlannedStep::session_of(name).into(),
            kind,
            client,
            user: UserRole::Default,
            parameters: Arc::new(value.map(parameter).into_iter().collect()),
            removed: Vec::new(),
            authentication: None,
            certificate: None,
            proof: None,
            carried: None,
            transport: Arc::default(),
            wait: None,
            burst: None,
            each: None,
            probe: false,
            logged_out: false,
            before_login: false,
            conduct: None,
            cookies_of: None,
            at: ResourcePlace::Proof,
            added: false,
            verified: false,
        })
    }

    fn control(steps: &[Arc<PlannedStep>]) -> Control {
        Control { flow: "f".into(), variables: Vec::new(), steps: steps.to_vec(), bent: Vec::new(), parts: Vec::new() }
    }

    fn united(one: &[Arc<PlannedStep>], other: &[Arc<PlannedStep>]) -> Option<Vec<String>> {
        let (one, other) = (control(one), control(other));
        unite(&[Arc::new(one.clone())], &one, &other).map(|c| c.steps.into_iter().map(|s| s.name.clone()).collect())
    }

    #[test]
    fn no_request_of_a_new_client_comes_before_the_one_whose_question_is_looked_at() {
        use ClientRole::Public;
        use StepKind::{AuthorizationRequest as A, EndpointRequest as E};
        let of_new = |name| step(name, A, Public, Some("register"));
        let (register, authorize, again) = (step("register", E, Public, None), of_new("authorize"), of_new("authorize_again"));
        let with = |asks: &Arc<PlannedStep>| [register.clone(), asks.clone()];
        assert_eq!(united(&with(&again), &with(&authorize)), None, "whichever comes second is not asked about");
        let read = step("read", E, Public, None);
        assert!(united(&[register.clone(), authorize.clone(), read.clone()], &[register.clone(), read]).is_some());
    }

    #[test]
    fn flows_are_put_together_where_one_run_shows_both() {
        use ClientRole::{Public, Second};
        use StepKind::{AuthorizationRequest as A, ResourceRequest as R, RevocationRequest as V, TokenRequest as T};
        let (authorize, redeem) = (step("authorize", A, Public, None), step("redeem", T, Public, Some("authorize")));
        let (used, rotate) = (step("use", R, Public, Some("redeem")), step("rotate", T, Public, Some("redeem")));
        let start = [authorize.clone(), redeem.clone()];
        let with = |more: &[Arc<PlannedStep>]| [&start[..], more].concat();

        let names = |list: &[&str]| Some(list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        // A longer flow stands for its beginning; what only reads goes anywhere.
        assert_eq!(united(&with(std::slice::from_ref(&rotate)), &start), names(&["authorize", "redeem", "rotate"]));
        assert_eq!(
            united(&with(std::slice::from_ref(&rotate)), &with(std::slice::from_ref(&used))),
            names(&["authorize", "redeem", "use", "rotate"])
        );
        // Another client in a session of its own: at any place.
        let other = [step("other.authorize", A, Second, None), step("other.redeem", T, Second, Some("other.authorize"))];
        assert_eq!(
            united(&with(std::slice::from_ref(&rotate)), &with(&other)),
            names(&["authorize", "redeem", "rotate", "other.authorize", "other.redeem"])
        );
        // What uses the tokens of the flow, or ends some, may be why the next step is granted or refused.
        for between in [
            step("revoke", V, Public, Some("redeem")),
            step("again", T, Public, Some("redeem")),
            step("other.redeem", T, Second, Some("authorize")),
        ] {
            let last = step("last", T, Public, Some(between.name.as_str()));
            assert_eq!(united(&with(std::slice::from_ref(&rotate)), &with(&[between.clone(), last])), None, "{}", between.name);
        }
        let log_out = [step("log_out", StepKind::LogoutRequest, Public, None), step("last", T, Public, Some("redeem"))];
        assert_eq!(united(&with(std::slice::from_ref(&rotate)), &with(&log_out)), None, "it may end what is needed");
        // A new grant may end an older one, so it comes when nothing of that is needed any more.
        let again = [step("authorize_again", A, Public, None), step("redeem_again", T, Public, Some("authorize_again"))];
        let later = names(&["authorize", "redeem", "rotate", "authorize_again", "redeem_again"]);
        assert_eq!(united(&with(std::slice::from_ref(&rotate)), &with(&again)), later);
        assert_eq!(united(&with(&again), &with(std::slice::from_ref(&rotate))), later);
        // What is not given yet nothing can end.
        let elsewhere = [step("x.authorize", A, Public, None), step("x.redeem", T, Public, Some("x.authorize"))];
        assert_eq!(
            united(&with(&elsewhere), &with(&again)),
            names(&["authorize", "redeem", "authorize_again", "redeem_again", "x.authorize", "x.redeem"])
        );
        // A use of two grants, between which there is a third.
        let both = {
            let mut both = step("both", T, Public, Some("redeem"));
            Arc::make_mut(&mut both).parameters_mut().extend(step("x", T, Public, Some("authorize_again")).parameters.iter().cloned());
            both
        };
        assert_eq!(united(&[authorize.clone(), redeem.clone(), again[0].clone(), both], &with(&[rotate.clone(), used.clone()])), None);
        // Another browser of the same user may have the session under a newer name.
        let silent = [authorize.clone(), step("authorize_again", A, Public, None)];
        let elsewhere = [authorize.clone(), step("other.authorize", A, Second, None)];
        assert_eq!(united(&silent, &elsewhere), names(&["authorize", "authorize_again", "other.authorize"]));
        let with_more = [&elsewhere[..], &[step("other.redeem", T, Second, Some("other.authorize")), silent[1].clone()]].concat();
        assert_eq!(united(&[&silent[..], &[step("x", A, Public, Some("authorize_again"))]].concat(), &with_more), None);
        // Before a flow begins there may be anything; where it ends, too.
        let log_in = step("log_in", A, Second, None);
        assert_eq!(united(&start, &[&[log_in], &start[..]].concat()), names(&["log_in", "authorize", "redeem"]));
        // A registration outlives what its client does.
        let register = step("register", StepKind::EndpointRequest, Public, None);
        let unregister = step("unregister", StepKind::EndpointRequest, Public, Some("register"));
        let as_new = step("authorize", A, Public, Some("register"));
        assert_eq!(
            united(&[register.clone(), unregister.clone()], &[register.clone(), as_new.clone(), unregister.clone()]),
            names(&["register", "authorize", "unregister"])
        );
        let read = step("read", StepKind::EndpointRequest, Public, Some("register"));
        assert_eq!(
            united(&[register.clone(), unregister.clone()], &[register, read, unregister]),
            None,
            "its token may be another one then"
        );
        // One name, two requests.
        assert_eq!(united(&start, &[authorize, step("redeem", T, Public, None)]), None);
    }
    #[test]
    fn a_step_is_left_out_where_every_part_that_has_it_has_failed_before() {
        use StepKind::{AuthorizationRequest as A, TokenRequest as T};
        let [authorize, redeem] =
            [step("authorize", A, ClientRole::Public, None), step("redeem", T, ClientRole::Public, Some("authorize"))];
        let rotate = step("rotate", T, ClientRole::Public, Some("redeem"));
        let again = step("authorize_again", A, ClientRole::Public, None);
        let (long, other) = (control(&[authorize.clone(), redeem, rotate]), control(&[authorize, again]));
        let both = unite(&[Arc::new(long.clone())], &long, &other).expect("they go together");
        let left_out = |control: &Control, failed: &str| -> Vec<String> {
            let mut all = std::collections::BTreeSet::from([failed.to_owned()]);
            for step in &control.steps {
                if control.is_in_vain(step, |name| all.contains(name)) {
                    all.insert(step.name.clone());
                }
            }
            all.remove(failed);
            all.into_iter().collect()
        };
        assert_eq!(left_out(&long, "redeem"), ["rotate"]);
        assert_eq!(left_out(&both, "redeem"), ["rotate"], "the other part needs what comes behind");
        assert_eq!(left_out(&both, "authorize"), ["authorize_again", "redeem", "rotate"]);
        let elsewhere = control(&[step("x.authorize", A, ClientRole::Public, None), step("authorize", A, ClientRole::Public, None)]);
        assert!(left_out(&elsewhere, "x.authorize").is_empty(), "another browser");
    }
}
