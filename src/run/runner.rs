//! The order of a run: controls before, attacks beside each other, controls after, and what must be alone at the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;

use crate::engine::Engine;
use crate::judge::{self, Sight};
use crate::model::observation::{NegativeControl, Outcome, Trial};
use crate::model::report::{CaseRecord, Recording};
use crate::model::scenario::{Control, Risk, Scenario};
use crate::model::step::{PlannedStep, StepKind};
use crate::plan::{self, Case, Group, Plan};

use super::{Event, Options, Stop};

/// The steps of the repetition: `confirm_after` stands before the first step that the attack added.
fn confirming(case: &Case<'_>) -> Vec<PlannedStep> {
    let mut steps = case.steps.clone();
    if let (Some(pause), Some(step)) = (&case.attack.confirm_after, steps.iter_mut().find(|s| s.added)) {
        step.wait = Some(pause.clone());
    }
    steps
}

pub struct Runner<'r> {
    engine: &'r Engine,
    options: &'r Options,
    stop: &'r Stop,
    tell: &'r (dyn Fn(Event) + Sync),
    pub record: Recording,
    /// Trials in a row in which the server gave no answer at all.
    silent: AtomicU32,
}

/// After so many trials without an answer the server is dead for everybody, and the run ends.
const MOST_SILENT_TRIALS: u32 = 5;

/// Whether a control failed before anything reached the back channel.
fn in_front_channel(control: &Control, failed: &judge::Failed) -> bool {
    control.steps.iter().any(|s| s.name == failed.step && s.kind == StepKind::AuthorizationRequest)
}

/// Whether an attack got no further than an authorization request.
fn stopped_in_front_channel(open: &Open<'_>) -> bool {
    let last = open.attempts.last();
    last.is_some_and(|t| t.steps.iter().any(|s| s.kind == StepKind::AuthorizationRequest && !s.outcome.granted()))
}

/// A case with what was seen of it so far.
struct Open<'a> {
    case: Case<'a>,
    attempts: Vec<Trial>,
    before: Option<usize>,
    after: Option<usize>,
}

impl<'r> Runner<'r> {
    pub fn new(engine: &'r Engine, options: &'r Options, stop: &'r Stop, tell: &'r (dyn Fn(Event) + Sync), record: Recording) -> Self {
        Runner { engine, options, stop, tell, record, silent: AtomicU32::new(0) }
    }

    /// Runs everything that was selected.
    pub async fn all(&mut self, selected: &[&Scenario]) {
        let plan = plan::draw(selected, &self.engine.target, self.options.allow);
        for left in &plan.left {
            self.record.cases.push(CaseRecord {
                scenario: left.scenario.id.clone(),
                attack: left.attack.id.clone(),
                word: None,
                control_before: None,
                control_after: None,
                attempts: Vec::new(),
                skipped: Some(left.why.clone()),
            });
        }
        (self.tell)(Event::Planned { cases: plan.groups.iter().map(|g| g.cases.len()).sum(), controls: plan.groups.len() });
        let mut groups = self.controls_before(plan).await;
        if self.record.fatal.is_some() {
            return;
        }
        self.learn_refusals(&groups).await;
        self.together(&mut groups).await;
        self.alone(&mut groups).await;
    }

    /// Drives the control of every group, and finds out whether the set-up works at all.
    async fn controls_before<'a>(&mut self, plan: Plan<'a>) -> Vec<(Group<'a>, Option<usize>)> {
        let mut groups = Vec::new();
        let mut problems: Vec<String> = Vec::new();
        let mut any_granted = false;
        for group in plan.groups {
            if self.stop.is_stopped() {
                break;
            }
            let (number, result) = self.control(&group.control, "before").await;
            match result {
                Ok(()) => any_granted = true,
                Err(failed) => {
                    // The first two steps of an unbent flow are what the target file promises.
                    let promised = matches!(failed.step.rsplit('.').next(), Some("authorize" | "redeem"))
                        && !group.control.bent.contains(&failed.step);
                    if promised {
                        let client =
                            group.control.steps.iter().find(|s| s.name == failed.step).and_then(|s| self.engine.target.client(s.client));
                        let problem =
                            format!("client `{}`: {}{}", client.map_or("?", |c| c.id.as_str()), failed.what, super::setup::advice(&failed));
                        if !problems.contains(&problem) {
                            problems.push(problem);
                        }
                    }
                }
            }
            groups.push((group, Some(number)));
        }
        let tolerated = self.options.keep_going && any_granted;
        let broken_setup = !problems.is_empty() && !tolerated;
        if broken_setup || !any_granted && !groups.is_empty() && !self.stop.is_stopped() {
            let problems = if problems.is_empty() { "no control flow was granted".to_owned() } else { problems.join("\n  ") };
            let hint = if any_granted {
                "\n  correct the target file; `--keep-going` judges what works"
            } else {
                "\n  correct the target file and run again"
            };
            self.record.fatal = Some(format!("the control flow does not work, so no refusal would mean anything\n  {problems}{hint}"));
        } else {
            self.record.warnings.extend(problems);
        }
        groups
    }

    /// Runs a control and keeps it; its number, and whether it was granted. Where it fails in a session of earlier
    /// trials, the session may have died: it is driven once more with a login of its own, and both are in the record.
    async fn control(&mut self, control: &Control, when: &str) -> (usize, Result<(), judge::Failed>) {
        let reused = !self.record.controls.is_empty();
        let first = self.control_once(control, when).await;
        match &first.1 {
            Err(failed) if reused && in_front_channel(control, failed) && !self.stop.is_stopped() && self.engine.forget_sessions() => {
                self.control_once(control, &format!("{when}, with a new login")).await
            }
            _ => first,
        }
    }

    async fn control_once(&mut self, control: &Control, when: &str) -> (usize, Result<(), judge::Failed>) {
        let number = self.record.controls.len();
        let name = format!("control {number} ({when})");
        let (trial, negatives, warning) = self.engine.run_control(&name, &control.variables, &control.steps).await;
        self.record.warnings.extend(warning);
        self.record.negative_controls.extend(negatives);
        let result = judge::granted(control, &trial);
        (self.tell)(Event::Control { name, granted: result.is_ok() });
        self.record.controls.push(trial);
        (number, result)
    }

    /// What this server's refusals look like.
    async fn learn_refusals(&mut self, groups: &[(Group<'_>, Option<usize>)]) {
        let controls = Plan {
            groups: groups.iter().map(|(g, _)| Group { control: g.control.clone(), cases: Vec::new() }).collect(),
            left: Vec::new(),
        };
        for blatant in plan::blatant(&controls) {
            if self.stop.is_stopped() {
                return;
            }
            let trial =
                self.engine.run(&format!("negative control: {}", blatant.what), &[], std::slice::from_ref(&blatant.step)).await.finish();
            if let Some(answer) = trial.steps.into_iter().next() {
                if answer.outcome == Outcome::Issued {
                    self.record.warnings.push(format!("the server grants {}", blatant.what));
                }
                self.record.negative_controls.push(NegativeControl { kind: blatant.kind, what: blatant.what.to_owned(), answer });
            }
        }
    }

    /// Everything that may run beside each other, then the controls after.
    async fn together<'a>(&mut self, groups: &mut [(Group<'a>, Option<usize>)]) {
        let mut open: Vec<Vec<Open<'a>>> = Vec::new();
        let mut todo: Vec<(usize, Case<'a>, Option<usize>)> = Vec::new();
        for (index, (group, before)) in groups.iter_mut().enumerate() {
            let (beside, alone): (Vec<_>, Vec<_>) = std::mem::take(&mut group.cases).into_iter().partition(|c| !c.alone());
            group.cases = alone;
            todo.extend(beside.into_iter().map(|case| (index, case, *before)));
            open.push(Vec::new());
        }
        let done: Mutex<Vec<(usize, Open<'a>)>> = Mutex::new(Vec::new());
        {
            let this = &*self;
            let in_flight = if self.logins_need_pages() { 1 } else { self.engine.target.limits.in_flight.max(1) };
            futures_util::stream::iter(todo)
                .for_each_concurrent(in_flight, |(index, case, before)| {
                    let done = &done;
                    async move {
                        if this.stop.is_stopped() {
                            return;
                        }
                        let attempts = this.attempts(&case, before).await;
                        (this.tell)(Event::Finished { case: case.name() });
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((index, Open { case, attempts, before, after: None }));
                    }
                })
                .await;
        }
        for (index, case) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Some(list) = open.get_mut(index) {
                list.push(case);
            }
        }
        for ((group, before), cases) in groups.iter_mut().zip(open) {
            if !cases.is_empty() {
                *before = self.close(&group.control, cases, false).await.or(*before);
            }
        }
    }

    /// Whether the server shows a page again to a client and user that it has shown one before. Then trials of one
    /// session would stumble over each other's pages.
    fn logins_need_pages(&self) -> bool {
        let pages = |step: &crate::model::observation::StepObservation| step.fields.get("form_pages").is_some_and(|n| n != "0");
        let mut seen = std::collections::BTreeSet::new();
        self.record.controls.iter().flat_map(|trial| &trial.steps).filter(|s| s.kind == StepKind::AuthorizationRequest).any(|step| {
            let session = PlannedStep::session_of(&step.step).to_owned();
            let again = !seen.insert((step.sent.get("client_id").cloned(), session, step.sent.get("scope").cloned()));
            again && pages(step)
        })
    }

    /// What must be alone, destructive scenarios last.
    async fn alone<'a>(&mut self, groups: &mut [(Group<'a>, Option<usize>)]) {
        for risk in [Risk::Safe, Risk::Noisy, Risk::Destructive] {
            for (group, before) in groups.iter_mut() {
                let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut group.cases).into_iter().partition(|c| c.scenario.risk <= risk);
                group.cases = later;
                let mut cases = Vec::new();
                for case in now {
                    if self.stop.is_stopped() {
                        break;
                    }
                    let attempts = self.attempts(&case, *before).await;
                    (self.tell)(Event::Finished { case: case.name() });
                    cases.push(Open { case, attempts, before: *before, after: None });
                }
                if !cases.is_empty() {
                    *before = self.close(&group.control, cases, false).await.or(*before);
                }
            }
        }
    }

    /// The trials of one case: the attack, and its repetition where the harm was seen.
    async fn attempts(&self, case: &Case<'_>, before: Option<usize>) -> Vec<Trial> {
        let Some(control) = before.and_then(|number| self.record.controls.get(number)) else {
            return Vec::new();
        };
        if judge::granted(&case.scenario.control, control).is_err() || !self.applies(case, control) {
            return Vec::new();
        }
        let mut attempts = Vec::new();
        loop {
            let name = format!("{} {}", case.name(), attempts.len() + 1);
            // The repetition that confirms a replay waits out a lawful grace window, inside of its own trial.
            let steps = if attempts.is_empty() { case.steps.clone() } else { confirming(case) };
            let (trial, sight) = self.attack(&name, case, &steps, control).await;
            attempts.push(trial);
            match sight {
                Sight::Harm(_) if attempts.len() < 2 => {}
                Sight::Refusal(_) if attempts.len() < self.options.repeat.max(1) as usize => {}
                _ => return attempts,
            }
            if self.stop.is_stopped() {
                return attempts;
            }
        }
    }

    /// One trial of an attack; where it shows the harm, the token is shown to work.
    async fn attack(&self, name: &str, case: &Case<'_>, steps: &[PlannedStep], control: &Trial) -> (Trial, Sight) {
        let mut running = self.engine.run(name, &case.scenario.control.variables, steps).await;
        let sight = judge::sight(case.attack, &running.so_far(), control, &self.record.negative_controls);
        if let (Sight::Harm(_), Some((step, field))) = (&sight, &case.attack.takes) {
            running.prove(step, field).await;
        }
        let trial = running.finish();
        self.listen(&trial);
        (trial, sight)
    }

    /// Ends the run when the server is dead: what comes after says nothing about anything.
    fn listen(&self, trial: &Trial) {
        let dead = |s: &crate::model::observation::StepObservation| matches!(s.outcome, Outcome::Unreachable | Outcome::TimedOut);
        if !trial.steps.iter().any(dead) {
            return self.silent.store(0, Ordering::SeqCst);
        }
        if self.silent.fetch_add(1, Ordering::SeqCst) + 1 == MOST_SILENT_TRIALS {
            self.stop.stop(format!("the server stopped answering (last seen in {})", trial.name));
        }
    }

    fn applies(&self, case: &Case<'_>, control: &Trial) -> bool {
        let all = case.scenario.applies_when.iter().chain(&case.attack.applies_when);
        all.into_iter().all(|c| judge::applies(c, &case.scenario.control, control, &self.record.negative_controls) == judge::Applies::Yes)
    }

    /// The control after a batch. Where it fails, the batch is split until the culprit is found; `again` says that the
    /// batch is such a part. Returns the number of the last control that was granted.
    async fn close(&mut self, control: &Control, mut cases: Vec<Open<'_>>, again: bool) -> Option<usize> {
        let (number, result) = self.control_once(control, "after").await;
        let at_stake = cases.iter().any(|open| self.refused(open));
        let Err(failed) = result else {
            self.keep_all(cases, number);
            return Some(number);
        };
        if !at_stake || self.stop.is_stopped() {
            self.keep_all(cases, number);
            return None;
        }
        let mut last = None;
        if in_front_channel(control, &failed) && self.engine.forget_sessions() {
            // The session may have died, which is lawful after a replayed code. Attacks that passed the front channel
            // were not refused for that; those that were refused there may have been, and are tried again.
            let (second, result) = self.control_once(control, "after, with a new login").await;
            if result.is_ok() {
                let (suspect, fine): (Vec<_>, Vec<_>) = cases.into_iter().partition(|o| self.refused(o) && stopped_in_front_channel(o));
                self.keep_all(fine, second);
                if suspect.is_empty() {
                    return Some(second);
                }
                cases = suspect;
                last = Some(second);
            }
        }
        if cases.len() == 1 && again {
            self.keep_all(cases, number);
            return last;
        }
        let second_half = cases.split_off(cases.len().div_ceil(2));
        for half in [cases, second_half] {
            if half.is_empty() {
                continue;
            }
            let (before, granted) = self.control(control, "before, batch split").await;
            // Where the control does not come back, the evidence is kept and cannot become `holds`.
            let (rerun, settled): (Vec<_>, Vec<_>) = half.into_iter().partition(|open| granted.is_ok() && self.refused(open));
            self.keep_all(settled, before);
            let mut open = Vec::new();
            for old in rerun {
                let attempts = self.attempts(&old.case, Some(before)).await;
                open.push(Open { attempts, before: Some(before), after: None, ..old });
            }
            if !open.is_empty() {
                last = Box::pin(self.close(control, open, true)).await.or(last);
            }
        }
        last
    }

    /// Whether the last trial of a case shows the refusal, so that the control after it decides.
    fn refused(&self, open: &Open<'_>) -> bool {
        let before = open.before.and_then(|n| self.record.controls.get(n));
        open.attempts.last().zip(before).is_some_and(|(trial, before)| {
            matches!(judge::sight(open.case.attack, trial, before, &self.record.negative_controls), Sight::Refusal(_))
        })
    }

    fn keep_all(&mut self, cases: Vec<Open<'_>>, after: usize) {
        for open in cases {
            self.keep(Open { after: Some(after), ..open });
        }
    }

    fn keep(&mut self, open: Open<'_>) {
        self.record.cases.push(CaseRecord {
            scenario: open.case.scenario.id.clone(),
            attack: open.case.attack.id.clone(),
            word: open.case.word,
            control_before: open.before,
            control_after: open.after,
            attempts: open.attempts,
            skipped: None,
        });
    }
}
