//! The controls: before the attacks, where they find out whether the set-up works at all, and how each of them is driven.

use std::collections::BTreeSet;

use crate::engine::clock;
use crate::judge;
use crate::model::observation::{NegativeControl, Outcome, Trial};
use crate::model::scenario::Control;
use crate::model::step::{ClientRole, StepKind};
use crate::plan::Plan;
use crate::run::look::{excluded, may_be_the_session};
use crate::run::{Event, setup};

use super::closing::AFTER;
use super::{Framed, MOST_CRASHED, MOST_THROTTLED, MOST_UNANSWERED, Runner};

/// The flow that every client of a target file must be granted. What another one asks for, a server need not have.
const PLAIN_FLOW: &str = "authorization_code";

/// What was seen of a control.
pub(super) struct Driven {
    trial: Trial,
    granted: Result<(), judge::Failed>,
    negatives: Vec<NegativeControl>,
    warnings: Vec<String>,
}

/// A step of an unbent flow that a client was not granted.
struct Broken {
    client: String,
    failed: judge::Failed,
}

impl Runner<'_> {
    /// Drives the control of every group, and finds out whether the set-up works at all.
    pub(super) async fn controls_before<'a>(&mut self, plan: Plan<'a>, plain: Option<&Control>) -> Vec<Framed<'a>> {
        let mut groups = Vec::new();
        let mut broken: Vec<Broken> = Vec::new();
        let mut any_granted = false;
        // The place of proof is chosen with the first token, so that this is one that anybody may show, and has the scope that the target file names:
        // bound ones come last, and pushed requests, devices and other flows after the plain one. And what is wrong with the set-up shows where
        // nothing is bent.
        let mut planned = plan.groups;
        planned.sort_by_key(|group| {
            let control = &group.control;
            let is_bound = control.steps.iter().any(|step| step.proof.is_some() || step.certificate.is_some());
            let first = control.steps.first();
            let is_bent = first.is_some_and(|first| control.bent.contains(&first.name));
            (is_bound, is_bent, first.is_none_or(|first| first.kind != StepKind::AuthorizationRequest))
        });
        for group in planned {
            if self.stop.is_stopped() {
                break;
            }
            let (number, _) = self.control(&group.control, "before").await;
            if let Some(trial) = self.record.controls.get(number) {
                any_granted |= group
                    .cases
                    .iter()
                    .any(|case| judge::granted(&case.control, trial).is_ok() || case.control.flow != PLAIN_FLOW && excluded(case, trial));
                self.broken_promises(&group.control, trial, &mut broken);
            }
            groups.push(Framed { group, controls: vec![number] });
        }
        for client in self.only_bent(&groups) {
            if let (Some(plain), false) = (plain, self.stop.is_stopped()) {
                let plain = plain.as_client(Some(client));
                let (number, granted) = self.control(&plain, "the plain request, of which a bent one was refused").await;
                any_granted |= granted.is_ok();
                if let Some(trial) = self.record.controls.get(number) {
                    self.broken_promises(&plain, trial, &mut broken);
                }
            }
        }
        // What another control was granted, also a later one, tells what a refusal is not about.
        let problems = self.problems(&broken);
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

    /// Adds what of the target file's promises a control shows to be wrong: the first two steps of an unbent flow.
    fn broken_promises(&self, control: &Control, trial: &Trial, broken: &mut Vec<Broken>) {
        for failed in judge::failures(control, trial) {
            // What a bend spoils, also further on, is not the target file's.
            let promised = control.flow == PLAIN_FLOW
                && matches!(failed.step.rsplit('.').next(), Some("authorize" | "redeem"))
                && judge::Bend::before(control, trial, &failed).is_none()
                && !is_second(control, &failed.step);
            if promised {
                let step = control.steps.iter().find(|s| s.name == failed.step);
                let client = step.and_then(|s| self.engine.target.client(s.client));
                broken.push(Broken { client: client.map_or("?", |c| c.id.as_str()).to_owned(), failed });
            }
        }
    }

    /// What is wrong with the set-up, each thing once.
    fn problems(&self, broken: &[Broken]) -> Vec<String> {
        let mut problems: Vec<String> = Vec::new();
        for Broken { client, failed } in broken {
            let problem = format!("client `{client}`: {}{}", failed.what, setup::advice_beside(failed, client, &self.record.controls));
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems
    }

    /// The clients of which the controls so far show nothing but that what they bend is refused: whether the server lacks that or the
    /// set-up is wrong, the plain request tells.
    fn only_bent(&self, groups: &[Framed<'_>]) -> BTreeSet<ClientRole> {
        let mut clients = BTreeSet::new();
        for framed in groups {
            let control = &framed.group.control;
            let Some(trial) = framed.controls.last().and_then(|number| self.record.controls.get(*number)) else { continue };
            if let Err(failed) = judge::granted(control, trial)
                && let Some(bend) = judge::Bend::before(control, trial, &failed)
                && bend.is_of_plain_flow()
                && !bend.is_granted_plain(&self.record.controls)
            {
                clients.extend(control.steps.iter().find(|step| step.name == failed.step).map(|step| step.client));
            }
        }
        clients
    }

    /// Runs a control and keeps it; its number, and whether it was granted. Where it fails in a session of earlier
    /// trials, the session may have died: it is driven once more with a login of its own, and both are in the record.
    pub(super) async fn control(&mut self, control: &Control, when: &str) -> (usize, Result<(), judge::Failed>) {
        let reused = !self.record.controls.is_empty();
        let first = self.control_patiently(control, when).await;
        let may_be_dead = first.1.is_err() && self.record.controls.get(first.0).is_some_and(|trial| may_be_the_session(control, trial));
        if reused && may_be_dead && !self.stop.is_stopped() && self.engine.forget_sessions() {
            return self.control_once(control, &format!("{when}, with a new login")).await;
        }
        first
    }

    /// Runs a control, and again where the server throttled it, did not answer or, before any attack, failed; every one of them is in the record.
    pub(super) async fn control_patiently(&mut self, control: &Control, when: &str) -> (usize, Result<(), judge::Failed>) {
        let first = self.control_once(control, when).await;
        self.again(control, when, first).await
    }

    /// Runs a control again whose first trial says too little.
    pub(super) async fn again(
        &mut self,
        control: &Control,
        when: &str,
        first: (usize, Result<(), judge::Failed>),
    ) -> (usize, Result<(), judge::Failed>) {
        let mut last = first;
        let (mut throttled, mut cut, mut crashed) = (0, 0, 0);
        while let (Some(trial), false) = (self.record.controls.get(last.0), self.stop.is_stopped()) {
            let why = if trial.is_throttled() && throttled < MOST_THROTTLED {
                throttled += 1;
                "after a pause"
            } else if trial.is_unanswered() && cut < MOST_UNANSWERED {
                cut += 1;
                "since no answer came"
            } else if when != AFTER && crashed < MOST_CRASHED && last.1.as_ref().is_err_and(|failed| failed.outcome == Outcome::Crashed) {
                // After attacks it may be their doing.
                crashed += 1;
                "since the server failed"
            } else {
                break;
            };
            last = self.control_once(control, &format!("{when}, {why}")).await;
        }
        last
    }

    pub(super) async fn control_once(&mut self, control: &Control, when: &str) -> (usize, Result<(), judge::Failed>) {
        let driven = self.drive(control, format!("control {} ({when})", self.record.controls.len())).await;
        self.record(driven)
    }

    /// Drives a control.
    pub(super) async fn drive(&self, control: &Control, name: String) -> Driven {
        let (trial, negatives, warnings) = clock::of_a_trial(Box::pin(self.engine.run_control(&name, control))).await;
        self.listen(&trial);
        let granted = judge::granted(control, &trial);
        (self.tell)(Event::Control { name, granted: granted.is_ok() });
        Driven { trial, granted, negatives, warnings }
    }

    /// Keeps what was seen of a control; its number, and whether it was granted.
    pub(super) fn record(&mut self, driven: Driven) -> (usize, Result<(), judge::Failed>) {
        let Driven { trial, granted, negatives, warnings } = driven;
        self.record.warnings.extend(warnings);
        self.record.negative_controls.extend(negatives);
        let number = self.record.controls.len();
        self.record.controls.push(trial);
        (number, granted)
    }
}

/// Whether the same user has asked for a code for the same client more than once before a step: a server may end what it gave first.
fn is_second(control: &Control, step: &str) -> bool {
    let before = control.steps.iter().take_while(|s| s.name != step);
    let asked: Vec<_> = before.filter(|s| s.kind == StepKind::AuthorizationRequest).map(|s| (s.client, s.user)).collect();
    asked.iter().enumerate().any(|(at, who)| asked[..at].contains(who))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_code_is_asked_for() {
        let catalogue = crate::cli::inputs::catalogue(None).expect("the catalogue");
        let second = |id: &str, step: &str| is_second(&catalogue.scenarios[id].control, step);
        assert!(second("pkce/code-swap-between-sessions", "redeem_first"));
        assert!(!second("pkce/code-swap-between-sessions", "authorize_again"), "it is the second itself");
        assert!(!second("pkce/wrong-verifier", "redeem"));
        assert!(!second("code/other-client", "redeem"), "another client's");
    }
}
