//! The control after a batch, and what of the batch it settles.

use std::collections::BTreeSet;

use crate::judge;
use crate::model::report::CaseRecord;
use crate::model::scenario::Control;
use crate::plan;
use crate::run::look::in_front_channel;
use crate::run::pages;
use crate::run::waits::{self, Places};

use super::{Framed, Open, Runner};

/// When the controls of this file are driven.
pub(super) const AFTER: &str = "after";

/// The cases of a group that are over, and the control that follows them.
pub(super) struct Closing<'a> {
    /// Where the group stands in the list of them.
    pub(super) group: usize,
    pub(super) control: Control,
    pub(super) cases: Vec<Open<'a>>,
}

impl Runner<'_> {
    /// The controls after a batch, in the order of their groups. As the attacks were, they are beside each other where they open no pages.
    pub(super) async fn close_all<'a>(&mut self, groups: &mut [Framed<'a>], closing: Vec<Closing<'a>>, paged: &BTreeSet<String>) {
        let places = Places::new(self.engine.target.limits.in_flight);
        let first = self.record.controls.len();
        let this = &*self;
        let driven = closing.iter().enumerate().map(|(at, closing)| {
            let control = &closing.control;
            let is_led = pages::open(&control.steps, paged, &this.engine.target) || control.steps.iter().any(|step| step.burst.is_some());
            let share = places.share(is_led);
            async move {
                let _place = share.take().await;
                Box::pin(this.drive(control, format!("control {} ({AFTER})", first + at))).await
            }
        });
        let driven = futures_util::future::join_all(driven).await;
        let kept: Vec<_> = driven.into_iter().map(|driven| self.record(driven)).collect();
        for (closing, kept) in closing.into_iter().zip(kept) {
            let (number, _) = self.again(&closing.control, AFTER, kept).await;
            let more = self.settle(&closing.control, closing.cases, number, false).await;
            groups[closing.group].controls.extend(more);
        }
    }

    /// The control after a part of a batch.
    async fn close(&mut self, control: &Control, cases: Vec<Open<'_>>) -> Vec<usize> {
        let (number, _) = self.control_patiently(control, AFTER).await;
        self.settle(control, cases, number, true).await
    }

    /// What the control after a batch settles. What it does not grant is split until the culprit is found; `again` says that the batch
    /// is such a part. Returns the numbers of the controls that were run, this one first.
    async fn settle(&mut self, control: &Control, cases: Vec<Open<'_>>, number: usize, again: bool) -> Vec<usize> {
        let mut ran = vec![number];
        let mut suspects = self.keep_settled(cases, number);
        if suspects.is_empty() || self.stop.is_stopped() {
            self.keep_all(suspects, number);
            return ran;
        }
        let smaller = plan::control_of(suspects.iter().map(|o| &o.case), control);
        let failed = self.record.controls.get(number).and_then(|trial| judge::granted(&smaller, trial).err());
        if failed.is_some_and(|failed| in_front_channel(&smaller, &failed)) && self.engine.forget_sessions() {
            // The session may have died, which is lawful after a replayed code. Attacks that passed the front channel
            // were not refused for that; those that were refused there may have been, and are tried again.
            let (second, _) = self.control_once(&smaller, "after, with a new login").await;
            ran.push(second);
            let (there, passed): (Vec<_>, Vec<_>) = suspects.into_iter().partition(|open| open.tried.in_front_channel);
            suspects = self.keep_settled(passed, second);
            suspects.extend(there);
            if suspects.is_empty() {
                return ran;
            }
        }
        if suspects.len() == 1 && again {
            self.keep_all(suspects, number);
            return ran;
        }
        let second_half = suspects.split_off(suspects.len().div_ceil(2));
        for half in [suspects, second_half] {
            if half.is_empty() {
                continue;
            }
            let own = plan::control_of(half.iter().map(|o| &o.case), control);
            let (before, _) = self.control(&own, "before, batch split").await;
            ran.push(before);
            let mut open = Vec::new();
            for old in half {
                if self.grants(before, &old.case.control) && !self.stop.is_stopped() {
                    let tried = self.attempts(&old.case, Some(before), Places::new(1).share(true)).await;
                    open.push(Open { tried, before: Some(before), after: None, ..old });
                } else {
                    // The control does not come back: the evidence is kept and cannot become `holds`.
                    self.keep(Open { after: Some(before), ..old });
                }
            }
            if !open.is_empty() {
                ran.extend(Box::pin(self.close(&own, open)).await);
            }
        }
        ran
    }

    fn grants(&self, number: usize, control: &Control) -> bool {
        self.record.controls.get(number).is_some_and(|trial| judge::granted(control, trial).is_ok())
    }

    /// Keeps the cases that this control after them settles: their own control is granted, or they do not depend on it.
    /// Gives back the others.
    fn keep_settled<'a>(&mut self, cases: Vec<Open<'a>>, number: usize) -> Vec<Open<'a>> {
        let (settled, others): (Vec<_>, Vec<_>) =
            cases.into_iter().partition(|open| !open.tried.refused || self.grants(number, &open.case.control));
        self.keep_all(settled, number);
        others
    }

    fn keep_all(&mut self, cases: Vec<Open<'_>>, after: usize) {
        for open in cases {
            self.keep(Open { after: Some(after), ..open });
        }
    }

    /// Keeps what was seen of a case.
    pub(super) fn keep(&mut self, open: Open<'_>) {
        self.record.cases.push(CaseRecord {
            scenario: open.case.scenario.id.clone(),
            attack: open.case.attack.id.clone(),
            word: open.case.word,
            control_before: open.before,
            control_after: open.after,
            attempts: open.tried.seen.into(),
            account: Some(open.tried.account),
            skipped: open.tried.not_waited.map(waits::too_long),
            not_applicable: None,
            not_waited: open.tried.not_waited.map(|wait| wait.as_secs()),
        });
    }
}
