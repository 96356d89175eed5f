//! Observations → verdicts. Pure: no I/O, no clock, no crypto; a recording suffices.
//!
//! ```text
//! control before   applies   attack        control after   verdict
//! fails                                                    inconclusive: the control failed at step s
//! granted          no                                      not applicable, with the proof
//! granted          yes       the harm      any             broken, once a repetition agrees
//! granted          yes       the refusal   granted         holds, with deviations where the wording is off
//! granted          yes       the refusal   fails           inconclusive: the server now refuses the control too
//! granted          yes       neither       any             inconclusive: what came instead
//! ```

mod predicate;

use std::sync::Arc;

pub use predicate::View;

pub use crate::model::account::{Account, Shown, Sight, Truth};
use crate::model::observation::{INSUFFICIENT_SCOPE, NegativeControl, Outcome, StepObservation, Trial};
use crate::model::predicate::{Condition, Predicate, Test, Word};
use crate::model::scenario::{Applicability, Attack, Control};
use crate::model::step::{PlannedStep, StepKind};
use crate::model::value::Reference;
use crate::model::verdict::{Judgement, Party, Verdict};

/// Everything that was seen of one case of an attack.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// None: the control was never run.
    pub before: Option<&'a Trial>,
    /// What the attack and its repetitions showed, in order.
    pub attempts: &'a [Shown],
    pub after: Option<&'a Trial>,
    pub negatives: &'a [NegativeControl],
    /// Every control of the run: what the plain flow of a client was granted.
    pub controls: &'a [Trial],
}

/// The scenario under which everything is filed that rests on a resource that takes any token.
pub const OPEN_RESOURCE: &str = "bearer/no-token";

/// Judges one case.
pub fn case(control: &Control, conditions: &[&[Applicability]], attack: &Attack, evidence: Evidence) -> Judgement {
    let Some(before) = evidence.before else {
        return Judgement::new(Verdict::Inconclusive, "the control was not run").fault(Party::Grantproof);
    };
    let granted = granted(control, before);
    for condition in conditions.iter().flat_map(|list| list.iter()) {
        match applies(condition, control, before, evidence.negatives) {
            Applies::Yes => {}
            Applies::No => {
                let verdict = if supplied(condition) { Verdict::Skipped } else { Verdict::NotApplicable };
                return Judgement::new(verdict, with_answer(condition, before));
            }
            Applies::Unknown(why, fault) => {
                return match &granted {
                    Ok(()) => Judgement::new(Verdict::Inconclusive, why).fault(fault),
                    Err(failed) => failed.judgement("before"),
                };
            }
        }
    }
    if let Err(failed) = granted {
        return bent_refused(control, &failed, before, &evidence).unwrap_or_else(|| failed.judgement("before"));
    }
    if let Some(why) = evidence.attempts.iter().find_map(|shown| shown.impossible.clone()) {
        return Judgement::new(Verdict::NotApplicable, why);
    }
    // A trial that was lost and made again shows nothing; one that never came through says why.
    let some_came = evidence.attempts.iter().any(|shown| !shown.lost);
    let attempts: Vec<&Shown> = evidence.attempts.iter().filter(|shown| !some_came || !shown.lost).collect();
    let mut sights: Vec<Sight> = attempts.iter().map(|shown| shown.sight.clone()).collect();
    if sights.is_empty() {
        return Judgement::new(Verdict::Inconclusive, "the attack was not run").fault(Party::Grantproof);
    }
    if let Some(Sight::Moot(seen)) = sights.first().filter(|_| sights.iter().all(|s| matches!(s, Sight::Moot(_)))) {
        return Judgement::new(Verdict::NotApplicable, format!("there was nothing to attack: {seen}"));
    }
    let harms = sights.iter().filter(|s| matches!(s, Sight::Harm(_))).count();
    if attack.is_race() && harms == 0 {
        // A burst that came to nothing says nothing; those that were answered decide.
        let answered: Vec<Sight> = sights.iter().filter(|s| matches!(s, Sight::Refusal(_))).cloned().collect();
        if !answered.is_empty() {
            sights = answered;
        }
    }
    let refusals = sights.iter().filter(|s| matches!(s, Sight::Refusal(_))).count();
    if harms > 0 {
        return broken_or_not(control, attack, &sights, harms, &attempts, evidence);
    }
    if refusals == sights.len() {
        return match evidence.after {
            None => Judgement::new(Verdict::Inconclusive, "the control was not run again after the attack").fault(Party::Grantproof),
            Some(after) => match self::granted(control, after).and_then(|()| still_granted(conditions, after)) {
                Err(failed) => failed.judgement("after"),
                Ok(()) => {
                    let Some(Sight::Refusal(truth)) = sights.pop() else {
                        return Judgement::new(Verdict::Inconclusive, "no attempt").fault(Party::Grantproof);
                    };
                    Judgement { deviations: truth.deviations, ..Judgement::new(Verdict::Holds, truth.seen) }
                }
            },
        };
    }
    let count = sights.len();
    match sights.into_iter().find(|s| matches!(s, Sight::Neither { .. })) {
        Some(Sight::Neither { what, fault, .. }) if refusals == 0 => Judgement::new(Verdict::Inconclusive, what).fault(fault),
        Some(Sight::Neither { what, fault, .. }) => {
            Judgement::new(Verdict::Inconclusive, format!("unstable: refused in {refusals} of {count} attempts, else {what}")).fault(fault)
        }
        _ => Judgement::new(Verdict::Inconclusive, "no attempt").fault(Party::Grantproof),
    }
}

fn broken_or_not(control: &Control, attack: &Attack, sights: &[Sight], harms: usize, attempts: &[&Shown], evidence: Evidence) -> Judgement {
    let harm = sights.iter().find_map(|s| match s {
        Sight::Harm(seen) => Some(seen.clone()),
        _ => None,
    });
    let harm = harm.unwrap_or_default();
    if attack.is_race() && harms >= 2 {
        let seen = format!("{harm}, in {harms} of {} bursts", sights.len());
        let proved = attempts.iter().any(|shown| shown.proved);
        return Judgement { confirmed: proved && resource_refuses(evidence.negatives), ..Judgement::new(Verdict::Broken, seen) };
    }
    if harms == sights.len() && harms >= 2 {
        let proved = attempts.last().is_some_and(|shown| shown.proved || shown.at_the_resource);
        return Judgement { confirmed: proved && resource_refuses(evidence.negatives), ..Judgement::new(Verdict::Broken, harm) };
    }
    if harms == sights.len() {
        return Judgement::new(Verdict::Inconclusive, format!("{harm}, but the repetition is missing")).fault(Party::Grantproof);
    }
    // At once it was accepted and after the pause it is refused: a grace window, which is lawful and is reported.
    if let (Some(_), [Sight::Harm(_), Sight::Refusal(truth)], Some(after)) = (&attack.confirm_after, sights, evidence.after)
        && attempts.last().is_some_and(|shown| shown.paused)
        && granted(control, after).is_ok()
    {
        let mut deviations = truth.deviations.clone();
        deviations.push("a grace window: accepted at once, refused after the pause".into());
        return Judgement { deviations, ..Judgement::new(Verdict::Holds, truth.seen.clone()) };
    }
    let others = sights.len() - harms;
    Judgement::new(Verdict::Inconclusive, format!("unstable: {harm} in {harms} of {} attempts, and not in {others}", sights.len()))
        .fault(Party::AuthorizationServer)
}

/// What one trial of an attack shows, and what else of it bears on the verdict.
pub fn shown(attack: &Attack, trial: &Trial, control: &Trial, negatives: &[NegativeControl]) -> Shown {
    with(attack, trial, sight(attack, trial, control, negatives))
}

/// The same, where the sight of the trial is known. Its proof is no part of that, and may have come since.
pub fn with(attack: &Attack, trial: &Trial, sight: Sight) -> Shown {
    Shown {
        lost: is_lost(attack, trial, &sight),
        impossible: trial.steps.iter().find(|s| s.outcome == Outcome::Impossible).map(|step| step.note.clone()),
        paused: trial.steps.iter().any(|s| s.waited_millis > 0),
        proved: trial.proof.as_ref().is_some_and(|proof| proof.outcome.granted()),
        at_the_resource: at_the_resource(attack, trial),
        sight,
    }
}

/// What one trial of an attack shows: the harm, the refusal, or neither.
pub fn sight(attack: &Attack, trial: &Trial, control: &Trial, negatives: &[NegativeControl]) -> Sight {
    if let Some((step, what)) = trial.steps.iter().find_map(|s| s.undelivered.as_ref().map(|u| (&s.step, u))) {
        return Sight::Neither { what: format!("{step}: {what}"), fault: Party::Grantproof, filed_under: None };
    }
    let view = View { trial, control: Some(control), negatives };
    if let Some(step) = spoilt(attack, trial, control) {
        let what = format!("{}, although the attack does not change it and the control was granted it", described(step));
        return Sight::Neither { what, fault: fault(step), filed_under: None };
    }
    let nothing = |step: &StepObservation, truth: &Truth| Sight::Neither {
        what: format!("{}; what came after it ({}) shows nothing", described(step), truth.seen),
        fault: fault(step),
        filed_under: None,
    };
    if let Some((list, truth)) = alternative(&view, &attack.broken).filter(|_| is_led(attack, trial)) {
        if let Some(step) = open_before(&view, list, StepObservation::is_unanswered) {
            return nothing(step, &truth);
        }
        if at_the_resource(attack, trial) && !attack.negative_control && !resource_refuses(negatives) {
            return Sight::Neither {
                what: format!(
                    "{}; but this endpoint takes a made-up token as well, so that shows nothing (see {OPEN_RESOURCE})",
                    truth.seen
                ),
                fault: Party::Resource,
                filed_under: Some(OPEN_RESOURCE),
            };
        }
        return Sight::Harm(truth.seen);
    }
    if let Some((list, truth)) = alternative(&view, &attack.holds) {
        if let Some(step) = open_before(&view, list, |step| has_failed(attack, step, control)) {
            return nothing(step, &truth);
        }
        if let Some(anything) = renewed_from_anything(negatives).filter(|_| lives_by_renewal(attack, trial)) {
            let what = format!("{}; but this server grants {} as well, so that shows nothing", truth.seen, anything.what);
            return Sight::Neither { what, fault: Party::AuthorizationServer, filed_under: None };
        }
        return Sight::Refusal(truth);
    }
    if let Some((list, truth)) = attack.moot.as_ref().and_then(|moot| alternative(&view, moot)) {
        return match open_before(&view, list, |step| has_failed(attack, step, control)) {
            Some(step) => nothing(step, &truth),
            None => Sight::Moot(truth.seen),
        };
    }
    let (what, fault) = neither(attack, trial, negatives);
    Sight::Neither { what, fault, filed_under: None }
}

/// Whether a trial says nothing of the attack, so that it is made again: the server throttled it, or did not answer before
/// anything was decided. A burst that came to nothing is counted among the bursts.
fn is_lost(attack: &Attack, trial: &Trial, sight: &Sight) -> bool {
    trial.is_throttled() || trial.is_unanswered() && !attack.is_race() && matches!(sight, Sight::Neither { .. })
}

/// The first step before the last one that a list of predicates asks about which came to this, where the list does not ask about it and the server
/// does not so refuse what never existed. What was seen after it may be so because the step came to nothing, and not by the defense: nobody was
/// logged in.
fn open_before<'t>(view: &View<'t>, list: &[Predicate], came_to: impl Fn(&StepObservation) -> bool) -> Option<&'t StepObservation> {
    let is_named = |s: &StepObservation| list.iter().any(|p| p.step() == Some(s.step.as_str()));
    let last = view.trial.steps.iter().rposition(is_named)?;
    let before = view.trial.steps.get(..last)?;
    before.iter().find(|s| came_to(s) && !is_named(s) && view.learned(s).is_none())
}

/// Whether a step was neither granted nor refused by anybody who had read it. That the server fails on what the attack sends is an answer, whatever it is
/// worth, and what came of it is seen; where a browser was to be led it is none.
fn has_failed(attack: &Attack, step: &StepObservation, control: &Trial) -> bool {
    match step.outcome {
        Outcome::TimedOut | Outcome::Throttled | Outcome::Stuck | Outcome::Unreachable => true,
        Outcome::Crashed => step.is_unanswered() || step.kind == StepKind::AuthorizationRequest || !is_changed(attack, &step.step, control),
        _ => false,
    }
}

/// Whether a step is the attack's own, or not as the control has it.
fn is_changed(attack: &Attack, step: &str, control: &Trial) -> bool {
    attack.change.iter().any(|(changed, _)| changed == step) || control.step(step).is_none()
}

/// Whether the browser went where the attack leads it: what comes after a changed request that was never sent is not the attack's doing.
fn is_led(attack: &Attack, trial: &Trial) -> bool {
    let is_changed = |name: &str| attack.change.iter().any(|(step, _)| step == name);
    let is_unsent = |s: &StepObservation| matches!(s.outcome, Outcome::NotSent | Outcome::Impossible);
    !trial.steps.iter().any(|s| s.kind == StepKind::AuthorizationRequest && is_unsent(s) && is_changed(&s.step))
}

/// A step before the first change that was not granted although the control was granted the same: what comes after is
/// not the change's doing (rule 3).
fn spoilt<'t>(attack: &Attack, trial: &'t Trial, control: &Trial) -> Option<&'t StepObservation> {
    let before = trial.steps.iter().take_while(|s| !is_changed(attack, &s.step, control));
    before.into_iter().find(|s| !s.outcome.granted() && control.step(&s.step).is_some_and(|c| c.outcome.granted()))
}

/// Where the harm is a token that was accepted: what another endpoint accepts, a registration say, is no token.
fn at_the_resource(attack: &Attack, trial: &Trial) -> bool {
    let takes_token =
        |step: &str| trial.step(step).is_some_and(|step| matches!(step.kind, StepKind::ResourceRequest | StepKind::IntrospectionRequest));
    let accepted = |p: &Predicate| matches!(p, Predicate::Outcome { step, word: Word::Accepted, .. } if takes_token(step));
    attack.broken.predicates().any(accepted)
}

/// The proof endpoint has been seen to refuse a made-up token and no token (rule 4).
fn resource_refuses(negatives: &[NegativeControl]) -> bool {
    let mut own = negatives.iter().filter(|n| n.kind == StepKind::ResourceRequest).peekable();
    own.peek().is_some() && own.all(|n| !n.answer.outcome.granted())
}

/// A refresh that no server may grant, and that was granted.
fn renewed_from_anything(negatives: &[NegativeControl]) -> Option<&NegativeControl> {
    negatives.iter().find(|n| is_refresh(&n.answer) && n.answer.outcome.granted())
}

/// Whether the defense is seen by a refresh that is granted: the token is alive.
fn lives_by_renewal(attack: &Attack, trial: &Trial) -> bool {
    let granted = |step: &str| trial.step(step).is_some_and(|seen| is_refresh(seen) && seen.outcome.granted());
    attack.holds.predicates().any(|p| matches!(p, Predicate::Outcome { step, word: Word::Issued, .. } if granted(step)))
}

fn is_refresh(step: &StepObservation) -> bool {
    step.kind == StepKind::TokenRequest && step.sent.get("grant_type").is_some_and(|grant| grant == "refresh_token")
}

/// The first alternative of which every predicate is true, and what is seen by it.
fn alternative<'c>(view: &View, condition: &'c Condition) -> Option<(&'c [Predicate], Truth)> {
    condition.alternatives().iter().find_map(|list| {
        if list.iter().any(|p| is_for_scope_alone(view, p) && !names_scope(list, p)) {
            return None;
        }
        let truths: Vec<Truth> = list.iter().map(|p| view.holds(p)).collect::<Option<_>>()?;
        let truth = Truth {
            seen: truths.iter().map(|t| t.seen.as_str()).collect::<Vec<_>>().join(", and "),
            deviations: truths.into_iter().flat_map(|t| t.deviations).collect(),
        };
        Some((list.as_slice(), truth))
    })
}

/// Whether a refusal is asked about, and the token that came was refused for its scope alone. No defense has been seen then but that of the
/// scope: whatever else is wrong with the token was not noticed. A place that says the same to a token that never existed says nothing by it.
fn is_for_scope_alone(view: &View, predicate: &Predicate) -> bool {
    let Predicate::Outcome { step, word: Word::Refused, .. } = predicate else { return false };
    view.step(step).is_some_and(|seen| refused_for_scope(seen, view.negatives))
}

fn refused_for_scope(step: &StepObservation, negatives: &[NegativeControl]) -> bool {
    let is_for_scope = |s: &StepObservation| s.fields.get("error").is_some_and(|error| error == INSUFFICIENT_SCOPE);
    let says_so_always = |n: &NegativeControl| {
        n.kind == StepKind::ResourceRequest
            && n.answer.sent.contains_key("access_token")
            && n.answer.fields.get("endpoint") == step.fields.get("endpoint")
            && is_for_scope(&n.answer)
    };
    step.kind == StepKind::ResourceRequest
        && step.outcome == Outcome::Refused
        && is_for_scope(step)
        && !negatives.iter().any(says_so_always)
}

/// Whether an alternative names that error for the step: then the scope is what it is about.
fn names_scope(list: &[Predicate], refusal: &Predicate) -> bool {
    list.iter().filter(|p| p.step() == refusal.step()).any(|p| match p {
        Predicate::Outcome { error, .. } => error.iter().any(|error| error == INSUFFICIENT_SCOPE),
        Predicate::Field { subject: Reference::Field { field, .. }, test: Test::Equals(text) } => {
            field == "error" && text.to_string() == INSUFFICIENT_SCOPE
        }
        Predicate::Field { .. } => false,
    })
}

/// What came instead of harm and refusal: the first step that the protocol did not answer, else the last one that the attack asks about
/// (what cleans up after it decides nothing).
fn neither(attack: &Attack, trial: &Trial, negatives: &[NegativeControl]) -> (String, Party) {
    let predicates = || attack.holds.predicates().chain(attack.broken.predicates());
    let asked_about = |s: &&StepObservation| predicates().any(|p| p.step().is_some_and(|name| name == s.step));
    let odd = trial.steps.iter().find(|s| !s.outcome.answered() && s.outcome != Outcome::NotSent);
    let odd = odd.or_else(|| trial.steps.iter().filter(asked_about).find(|s| !s.outcome.answered()));
    let odd = odd.or_else(|| trial.steps.iter().rfind(asked_about)).or(trial.steps.last());
    match odd {
        Some(step) if refused_for_scope(step, negatives) => {
            (format!("{}, so that the token was taken for genuine, and lacked nothing but a scope", described(step)), fault(step))
        }
        Some(step) => (described(step), fault(step)),
        None => ("nothing was sent".into(), Party::Grantproof),
    }
}

fn described(step: &StepObservation) -> String {
    let note = if step.note.is_empty() { String::new() } else { format!(": {}", step.note) };
    format!("{} {} {}{note}", step.step, if step.outcome == Outcome::Crashed { "has" } else { "was" }, step.outcome.words())
}

/// Whose fault an outcome is (rule 8).
fn fault(step: &StepObservation) -> Party {
    match step.outcome {
        Outcome::Throttled | Outcome::TimedOut | Outcome::Unreachable => Party::Edge,
        Outcome::Stuck => Party::LoginPage,
        Outcome::NotSent => Party::Configuration,
        // Whether the server can come to the listener is for the target file to say.
        Outcome::Unclear if step.kind == StepKind::ListenerRequest => Party::Configuration,
        _ if step.kind == StepKind::ResourceRequest => Party::Resource,
        _ => Party::AuthorizationServer,
    }
}

/// A control that was not granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    pub step: String,
    pub what: String,
    pub fault: Party,
    pub outcome: Outcome,
}

impl Failed {
    fn judgement(&self, when: &str) -> Judgement {
        let reason = match when {
            "before" => format!("the control failed: {}", self.what),
            _ => format!("the server now refuses the control too: {}", self.what),
        };
        Judgement::new(Verdict::Inconclusive, reason).fault(self.fault)
    }
}

/// A server that refuses what the control itself bends (a request without state, say), or what follows from it, and grants the plain
/// flow of the same client, leaves nothing to attack: that refusal is the proof.
fn bent_refused(control: &Control, failed: &Failed, before: &Trial, evidence: &Evidence) -> Option<Judgement> {
    let at = before.step(&failed.step)?;
    let view = View { trial: before, control: None, negatives: evidence.negatives };
    let refused = at.outcome == Outcome::Refused || view.learned(at).is_some();
    let bend = Bend::before(control, before, failed).filter(|bend| refused && bend.is_granted_plain(evidence.controls))?;
    let what = if bend.step.step == failed.step {
        "the request that the attack would begin with".to_owned()
    } else {
        format!("what follows where {} is as the attack needs it", bend.step.step)
    };
    Some(Judgement::new(Verdict::NotApplicable, format!("the server refuses {what}: {}", failed.what)))
}

/// What a control bends of a flow that then failed.
pub struct Bend<'t> {
    /// The last bent step before the failure, or the one that failed.
    step: &'t StepObservation,
    /// What failed.
    failed: StepKind,
}

impl<'t> Bend<'t> {
    /// None: nothing is bent up to the failure, in the browser that it happened in and by a part that has the step.
    pub fn before(control: &Control, trial: &'t Trial, failed: &Failed) -> Option<Bend<'t>> {
        let at = control.steps.iter().position(|s| s.name == failed.step)?;
        let (before, step) = (control.steps.get(..=at)?, control.steps.get(at)?);
        let own = |s: &&Arc<PlannedStep>| {
            s.session == step.session && control.bent.contains(&s.name) && control.has_together(&s.name, &step.name)
        };
        let bent = before.iter().rev().find(own)?;
        Some(Bend { step: trial.step(&bent.name)?, failed: step.kind })
    }

    /// Whether the client was granted as much where nothing was bent, or bent otherwise.
    pub fn is_granted_plain(&self, controls: &[Trial]) -> bool {
        let client = self.step.sent.get("client_id");
        let granted = |s: &StepObservation, kind: StepKind| s.kind == kind && s.outcome.granted();
        let same = |s: &&StepObservation| granted(s, self.step.kind) && s.sent.get("client_id") == client;
        // In the same browser: another client's token says nothing of this one.
        let far = |trial: &Trial, session: &str| {
            trial.steps.iter().any(|s| granted(s, self.failed) && PlannedStep::session_of(&s.step) == session)
        };
        let comes_as_far = |trial: &Trial| trial.steps.iter().filter(same).any(|s| far(trial, PlannedStep::session_of(&s.step)));
        controls.iter().any(comes_as_far)
    }

    /// Whether the plain flow of a code has such a step.
    pub fn is_of_plain_flow(&self) -> bool {
        matches!(self.step.kind, StepKind::AuthorizationRequest | StepKind::TokenRequest)
    }
}

/// Whether a trial grants a control: every step that is no probe, as far as this control goes (a longer one that begins
/// the same may stand for it).
///
/// # Errors
/// The step at which it failed.
pub fn granted(control: &Control, trial: &Trial) -> Result<(), Failed> {
    for planned in control.steps.iter().filter(|s| !s.probe) {
        match trial.step(&planned.name) {
            Some(step) if step.outcome.granted() => {}
            Some(step) => return Err(failed(step)),
            None => {
                return Err(Failed {
                    step: planned.name.clone(),
                    what: format!("{} was not reached", planned.name),
                    fault: Party::Configuration,
                    outcome: Outcome::NotSent,
                });
            }
        }
    }
    Ok(())
}

/// What a scenario applies for must be granted after the attack as well, where it is a probe of the control: an API that has died meanwhile
/// refuses everything.
fn still_granted(conditions: &[&[Applicability]], after: &Trial) -> Result<(), Failed> {
    for condition in conditions.iter().flat_map(|list| list.iter()) {
        if let Predicate::Outcome { word: Word::Issued | Word::Accepted, .. } = &condition.predicate
            && let Some(seen) = step_of(condition).and_then(|step| after.step(step))
            && !seen.outcome.granted()
        {
            return Err(failed(seen));
        }
    }
    Ok(())
}

/// Every step of a control that was tried and not granted, probes apart; those that merely lacked a value only where nothing
/// else explains them.
pub fn failures(control: &Control, trial: &Trial) -> Vec<Failed> {
    let tried = control.steps.iter().filter(|s| !s.probe).filter_map(|s| trial.step(&s.name));
    let all: Vec<Failed> = tried.filter(|s| !s.outcome.granted()).map(failed).collect();
    let (lacking, causes): (Vec<_>, Vec<_>) = all.into_iter().partition(|f| f.outcome == Outcome::NotSent);
    if causes.is_empty() { lacking } else { causes }
}

/// An answer that refuses the genuine flow is a matter of the set-up, not of a defense.
fn failed(step: &StepObservation) -> Failed {
    let fault = if step.outcome == Outcome::Refused { Party::Configuration } else { fault(step) };
    Failed { step: step.step.clone(), what: described(step), fault, outcome: step.outcome }
}

/// Facts of the target that its file alone gives.
const SUPPLIED: &[&str] = &[
    "extra_scope",
    "resource",
    "second_resource",
    "login",
    "refresh_lifetime",
    "ciba_approval",
    "authorization_details",
    "other_authorization_details",
];

/// Whether the target file alone decides a condition: then nothing is proved, something could be added.
fn supplied(condition: &Applicability) -> bool {
    let Predicate::Field { subject, .. } = &condition.predicate else { return false };
    match subject {
        Reference::Target(fact) => SUPPLIED.contains(&fact.as_str()),
        Reference::Client(fact) => fact == "other_redirect_uri",
        _ => false,
    }
}

/// Whether the client that a step acts as was given tokens earlier in the trial: its credentials are right.
fn given_tokens(control: &Control, trial: &Trial, step: &str) -> bool {
    let Some(at) = control.steps.iter().position(|s| s.name == step) else { return false };
    let own = |s: &&Arc<PlannedStep>| s.kind == StepKind::TokenRequest && s.client == control.steps[at].client;
    control.steps[..at].iter().filter(own).any(|s| trial.step(&s.name).is_some_and(|seen| seen.outcome.granted()))
}

/// The answer to a condition of applicability.
#[derive(Debug, Clone, PartialEq)]
pub enum Applies {
    Yes,
    No,
    /// The control did not come to an answer on which it could be decided.
    Unknown(String, Party),
}

/// The step of the control that a condition looks at.
fn step_of(condition: &Applicability) -> Option<&str> {
    match &condition.predicate {
        Predicate::Outcome { step, .. } => Some(step.strip_prefix("control.").unwrap_or(step)),
        Predicate::Field { subject: Reference::ControlField { step, .. }, .. } => Some(step.as_str()),
        Predicate::Field { .. } => None,
    }
}

/// Why there is nothing to attack, and what the server said to it where it refused: its reader may know better.
fn with_answer(condition: &Applicability, control: &Trial) -> String {
    let refused = step_of(condition).and_then(|step| control.step(step)).filter(|seen| seen.outcome.answered() && !seen.outcome.granted());
    let said = refused.filter(|seen| !seen.note.is_empty()).map(|seen| format!(" ({})", described(seen)));
    format!("{}{}", condition.otherwise, said.unwrap_or_default())
}

/// Decides a condition on the control. "Not applicable" needs a proof: a step that crashed proves nothing.
pub fn applies(condition: &Applicability, control: &Control, trial: &Trial, negatives: &[NegativeControl]) -> Applies {
    let view = View { trial, control: Some(trial), negatives };
    if view.holds(&condition.predicate).is_some() {
        return Applies::Yes;
    }
    let Some(step) = step_of(condition) else { return Applies::No };
    // What the control was granted before this step: only then is a step that could not be sent a fact of the target
    // (there is no such endpoint, or nobody who may ask it).
    let reached = || {
        let earlier = control.steps.iter().take_while(|s| s.name != step).filter(|s| !s.probe);
        earlier.into_iter().all(|s| trial.step(&s.name).is_some_and(|seen| seen.outcome.granted()))
    };
    let is_front = |seen: &StepObservation| seen.kind == StepKind::AuthorizationRequest;
    match trial.step(step) {
        // A client that may not even ask says nothing about what it would have been told; that it may not revoke is a fact,
        // where the same client was given tokens in the same trial.
        Some(seen)
            if seen.kind == StepKind::RevocationRequest && seen.outcome == Outcome::Refused && given_tokens(control, trial, step) =>
        {
            Applies::No
        }
        // At the authorization endpoint the same client was given a code in this trial: what is refused is the request.
        Some(seen) if seen.fields.get("error").is_some_and(|e| e == "invalid_client") && !(is_front(seen) && reached()) => {
            Applies::Unknown(format!("whether the attack applies is not known: {}", described(seen)), Party::Configuration)
        }
        // A request that the server finds malformed says nothing about what comes with a good one.
        Some(seen) if is_field(&condition.predicate) && is_malformed(seen) => {
            Applies::Unknown(format!("whether the attack applies is not known: {}", described(seen)), Party::Configuration)
        }
        Some(seen) if seen.outcome.answered() => Applies::No,
        // It is answered as this server answers what no server may grant.
        Some(seen) if view.learned(seen).is_some() => Applies::No,
        Some(seen) if seen.outcome == Outcome::NotSent && reached() => Applies::No,
        Some(seen) => Applies::Unknown(format!("whether the attack applies is not known: {}", described(seen)), fault(seen)),
        None => Applies::Unknown(format!("whether the attack applies is not known: {step} was not reached"), Party::Configuration),
    }
}

/// Whether a condition looks at what an answer carries, and not at what became of the request.
fn is_field(predicate: &Predicate) -> bool {
    matches!(predicate, Predicate::Field { subject: Reference::ControlField { .. }, .. })
}

/// Whether the token endpoint refused a renewal for its form or its token, which the control had from it (RFC 6749 §5.2).
fn is_malformed(seen: &StepObservation) -> bool {
    let by = |codes: &[&str]| seen.fields.get("error").is_some_and(|error| codes.contains(&error.as_str()));
    is_refresh(seen) && seen.outcome == Outcome::Refused && by(&["invalid_request", "invalid_grant"])
}

/// The verdict of several cases or variants together: the worst; of `not_applicable` and `skipped` beside others, the
/// others.
pub fn worst(judgements: &[Judgement]) -> Judgement {
    let Some(worst) = judgements.iter().max_by_key(|j| j.verdict.weight()) else {
        return Judgement::new(Verdict::Skipped, "nothing was selected");
    };
    // Of several with the same verdict the first speaks.
    let first = judgements.iter().find(|j| j.verdict == worst.verdict).unwrap_or(worst);
    let mut deviations: Vec<String> = Vec::new();
    for deviation in judgements.iter().flat_map(|j| &j.deviations) {
        if !deviations.contains(deviation) {
            deviations.push(deviation.clone());
        }
    }
    let confirmed = judgements.iter().any(|j| j.verdict == worst.verdict && j.confirmed);
    Judgement { deviations, confirmed, ..first.clone() }
}

#[cfg(test)]
mod tests;
