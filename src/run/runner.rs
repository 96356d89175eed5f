//! The order of a run: controls before, attacks beside each other, controls after, and what must be alone at the end.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::SemaphorePermit;

use crate::curl;
use crate::engine::{Engine, clock};
use crate::judge;
use crate::model::account::{Account, Shown, Sight};
use crate::model::attempts::Attempts;
use crate::model::observation::{NegativeControl, Outcome, Trial};
use crate::model::report::{CaseRecord, Recording};
use crate::model::scenario::{Control, Risk, Scenario};
use crate::model::step::{PlannedStep, StepKind};
use crate::plan::{self, Case, Group, Lack};
use crate::scenario::catalogue::Catalogue;
use crate::target::LoginDriver;

use super::ladder::{Ladder, confirming, is_next};
use super::look::stopped_in_front_channel;
use super::pages;
use super::spool::{Seen, Spool};
use super::waits::{self, Places, Share};
use super::{Event, Options, Stop};

use closing::Closing;

mod closing;
mod controls;
mod other_clients;

pub struct Runner<'r> {
    engine: &'r Engine,
    options: &'r Options,
    stop: &'r Stop,
    tell: &'r (dyn Fn(Event) + Sync),
    pub record: Recording,
    spool: Spool,
    /// Trials in a row in which the server gave no answer at all.
    silent: AtomicU32,
    /// Trials in a row that the server throttled.
    throttled: AtomicU32,
}

/// How often a trial is made again because the server said "too many requests".
const MOST_THROTTLED: usize = 2;

/// How often a trial is made again because no answer came.
const MOST_UNANSWERED: usize = 1;

/// How often a control is made again in which the server failed: two requests of one moment are too many for some stores.
const MOST_CRASHED: usize = 1;

/// How many bursts are made to see a race a second time.
const MOST_BURSTS: usize = 12;

/// After so many throttled trials in a row, pauses between them, the run ends.
const MOST_THROTTLED_IN_A_ROW: u32 = 5;

/// After so many trials without an answer the server is dead for everybody, and the run ends.
const MOST_SILENT_TRIALS: u32 = 5;

/// Whether a trial was throttled where every flow comes by. An endpoint beside them may have a limit of its own, as registration has at many
/// servers: the others go on.
fn throttles_everybody(trial: &Trial) -> bool {
    let everybodys = [StepKind::AuthorizationRequest, StepKind::TokenRequest, StepKind::ResourceRequest];
    trial.steps.iter().any(|step| step.outcome == Outcome::Throttled && everybodys.contains(&step.kind))
}

/// A group with the numbers of the trials of its control, the newest last.
struct Framed<'a> {
    group: Group<'a>,
    controls: Vec<usize>,
}

/// The trials of a case, put aside, and what of the last one decides how the run goes on.
#[derive(Default)]
struct Tried {
    seen: Seen,
    account: Account,
    /// It shows the harm.
    harmed: bool,
    /// It shows the refusal, so that the control after it decides.
    refused: bool,
    /// It got no further than an authorization request.
    in_front_channel: bool,
    /// It was left out, because it would have waited for so long.
    not_waited: Option<Duration>,
    /// The run was ended before anything of it was seen.
    cut_short: bool,
}

/// A case with what was seen of it so far.
struct Open<'a> {
    case: Case<'a>,
    tried: Tried,
    before: Option<usize>,
    after: Option<usize>,
}

impl<'r> Runner<'r> {
    pub fn new(engine: &'r Engine, options: &'r Options, stop: &'r Stop, tell: &'r (dyn Fn(Event) + Sync), record: Recording) -> Self {
        Runner {
            engine,
            options,
            stop,
            tell,
            record,
            spool: Spool::new(options.in_memory, engine.sweeper()),
            silent: AtomicU32::new(0),
            throttled: AtomicU32::new(0),
        }
    }

    /// Runs everything that was selected.
    pub async fn all(&mut self, catalogue: &Catalogue, selected: &[&Scenario]) {
        let plan = plan::draw(selected, &self.engine.target, self.options.allow);
        for left in &plan.left {
            // Nobody need add a client of a kind that the server has not, nor a second factor.
            let not_applicable = match left.lack {
                Lack::Client(role) => self.engine.facts().knows_no(role).map(str::to_owned),
                Lack::SecondFactor => Some(left.why.clone()),
                Lack::Other => None,
            };
            self.record.cases.push(CaseRecord {
                scenario: left.scenario.id.clone(),
                attack: left.attack.id.clone(),
                word: None,
                control_before: None,
                control_after: None,
                attempts: Attempts::default(),
                account: None,
                skipped: not_applicable.is_none().then(|| left.why.clone()),
                not_applicable,
                not_waited: None,
            });
        }
        (self.tell)(Event::Planned { cases: plan.groups.iter().map(|g| g.cases.len()).sum(), controls: plan.groups.len() });
        let mut groups = self.controls_before(plan, catalogue.plain.as_ref()).await;
        if self.record.fatal.is_some() {
            return;
        }
        self.on_other_clients(&mut groups).await;
        self.learn_refusals(&groups).await;
        if groups.iter().flat_map(|framed| &framed.group.control.steps).any(|s| s.kind == StepKind::ListenerRequest) {
            let unheard = self.unheard();
            self.look_for_the_server(catalogue.reach.as_ref()).await;
            if unheard && !self.unheard() {
                self.listen_again(&mut groups).await;
            }
        }
        let negatives = self.record.negative_controls.len();
        // What is noisy or destructive has controls of its own, so that nothing else hangs on what it does to the server.
        for risk in [Risk::Safe, Risk::Noisy, Risk::Destructive] {
            self.batch(&mut groups, risk).await;
        }
        let mut leads_on = false;
        for negative in &mut self.record.negative_controls {
            // An attack came through a page that looks like it.
            let leads = negative.leads_nowhere && !self.engine.leads_nowhere(&negative.answer.shape);
            negative.leads_nowhere &= !leads;
            leads_on |= leads;
        }
        if leads_on || self.record.negative_controls.len() > negatives {
            // What has been judged without them is read off the evidence again.
            self.record.cases.iter_mut().for_each(|case| case.account = None);
        }
    }

    /// What this server's refusals look like.
    async fn learn_refusals(&mut self, groups: &[Framed<'_>]) {
        // Who must ask somebody else to log in is not asked for nonsense.
        let logs_in = matches!(self.engine.target.login.driver, LoginDriver::Form | LoginDriver::Browser);
        let planned: Vec<&plan::Group> = groups.iter().map(|g| &g.group).collect();
        for blatant in plan::blatant(&planned).into_iter().filter(|b| logs_in || !b.step.logged_out) {
            if self.stop.is_stopped() {
                return;
            }
            let trial =
                self.engine.run(&format!("negative control: {}", blatant.what), &[], std::slice::from_ref(&blatant.step)).await.finish();
            self.listen(&trial);
            if let Some(answer) = trial.steps.into_iter().next() {
                if answer.outcome == Outcome::Issued {
                    self.record.warnings.push(format!("the server grants {}", blatant.what));
                }
                // Without authentication it may be that which is missed.
                if blatant.kind == StepKind::TokenRequest && blatant.step.authentication.is_none() {
                    self.engine.learn_refusal(&answer);
                }
                let leads_nowhere = self.engine.leads_nowhere(&answer.shape);
                self.record.negative_controls.push(NegativeControl {
                    kind: blatant.kind,
                    what: blatant.what.to_owned(),
                    answer,
                    leads_nowhere,
                });
            }
        }
    }

    /// Has the server fetch what it is meant to fetch, where nothing has shown yet that it can come to the listener: only then does
    /// it say something that no request comes.
    async fn look_for_the_server(&mut self, reach: Option<&Control>) {
        let (engine, stopped) = (self.engine, self.stop.is_stopped());
        let (Some(listener), Some(reach), false) = (engine.listener(), reach, stopped) else { return };
        if listener.reached().is_none() {
            // Which of its steps the server takes does not matter.
            let (_number, _granted) = self.control_once(reach, "whether the server comes to the listener").await;
        }
        if listener.reached().is_none() {
            self.record.warnings.push(format!(
                "the server was not seen to fetch anything from the listener at {}, so that no request comes says nothing: where you have seen that it can, say `proven: true` under `listener` in the target file",
                listener.base()
            ));
        }
    }

    /// Whether nothing has shown yet that the server can come to the listener.
    fn unheard(&self) -> bool {
        self.engine.listener().is_some_and(|listener| listener.reached().is_none())
    }

    /// Drives the controls again in which nobody came while it was not known whether anybody could.
    async fn listen_again(&mut self, groups: &mut [Framed<'_>]) {
        let open = |s: &crate::model::observation::StepObservation| s.kind == StepKind::ListenerRequest && s.outcome == Outcome::Unclear;
        for framed in groups {
            let newest = framed.controls.last().and_then(|number| self.record.controls.get(*number));
            if newest.is_some_and(|trial| trial.steps.iter().any(open)) && !self.stop.is_stopped() {
                let (number, _granted) = self.control(&framed.group.control, "before, now that the server was seen to come").await;
                framed.controls.push(number);
            }
        }
    }

    /// The cases of a risk: those that may run beside each other, then those that must be alone, then the controls after.
    async fn batch<'a>(&mut self, groups: &mut [Framed<'a>], risk: Risk) {
        let (mut beside, mut alone) = (Vec::<Ladder<'a>>::new(), Vec::<Ladder<'a>>::new());
        for (index, framed) in groups.iter_mut().enumerate() {
            let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut framed.group.cases).into_iter().partition(|c| c.scenario.risk == risk);
            framed.group.cases = later;
            for case in now {
                let before = self.newest(&framed.controls, &case.control);
                let list = if case.alone() { &mut alone } else { &mut beside };
                match list.last_mut() {
                    Some(last) if is_next(last, &case) => last.push((index, case, before)),
                    _ => list.push(vec![(index, case, before)]),
                }
            }
        }
        let paged = self.with_pages(groups);
        let led = |ladder: &Ladder<'a>| ladder.iter().any(|(_, case, _)| pages::concern(case, &paged, &self.engine.target));
        // What waits is begun first, so that the others go on meanwhile; a trial has a place while it does not wait.
        beside.sort_by_key(|ladder| (!ladder.iter().any(|(_, case, _)| case.waits()), led(ladder)));
        let done = Mutex::new(Vec::new());
        let places = Places::new(self.engine.target.limits.in_flight);
        let this = &*self;
        let attack = |ladder: Ladder<'a>| {
            let (done, share) = (&done, places.share(led(&ladder)));
            async move {
                let mut goes_on = true;
                for (index, case, before) in ladder {
                    if goes_on && !this.stop.is_stopped() {
                        let tried = this.attempts(&case, before, share).await;
                        goes_on = tried.harmed;
                        (this.tell)(Event::Finished { case: case.name() });
                        if tried.cut_short {
                            continue;
                        }
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((index, Open { case, tried, before, after: None }));
                    } else {
                        (this.tell)(Event::Finished { case: case.name() });
                    }
                }
            }
        };
        futures_util::stream::iter(beside).for_each_concurrent(None, attack).await;
        // Also what waits: the grant that somebody else ended meanwhile would look like one that has expired.
        futures_util::stream::iter(alone).for_each(attack).await;
        let mut open: Vec<Vec<Open<'a>>> = groups.iter().map(|_| Vec::new()).collect();
        for (index, case) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Some(list) = open.get_mut(index) {
                list.push(case);
            }
        }
        let mut closing = Vec::new();
        for (group, cases) in open.into_iter().enumerate() {
            // Where nothing was sent, a control after it would say nothing; and a server that asks to be left alone is.
            let left_alone = self.engine.http.spent().too_long.is_some();
            let (untried, cases): (Vec<_>, Vec<_>) = cases.into_iter().partition(|open| left_alone || open.tried.seen.is_empty());
            untried.into_iter().for_each(|open| self.keep(open));
            if !cases.is_empty() {
                let control = plan::control_of(cases.iter().map(|o| &o.case), &groups[group].group.control);
                closing.push(Closing { group, control, cases });
            }
        }
        self.close_all(groups, closing, &paged).await;
    }

    /// The newest of some control trials that grants a control; where none does, the newest.
    fn newest(&self, numbers: &[usize], control: &Control) -> Option<usize> {
        let grants = |number: &&usize| self.record.controls.get(**number).is_some_and(|trial| judge::granted(control, trial).is_ok());
        // The control after cases of another risk is as long as those need it: it may lack a probe that this one asks about.
        let whole = |number: &&usize| {
            let trial = self.record.controls.get(**number);
            grants(number) && trial.is_some_and(|trial| control.steps.iter().all(|step| trial.step(&step.name).is_some()))
        };
        numbers.iter().rev().find(whole).or_else(|| numbers.iter().rev().find(grants)).or(numbers.last()).copied()
    }

    /// The clients whose trials must not be beside each other.
    fn with_pages(&self, groups: &[Framed<'_>]) -> BTreeSet<String> {
        let trials = groups.iter().flat_map(|framed| framed.controls.iter().map(|number| (&framed.group.control, *number)));
        let trials = trials.filter_map(|(control, number)| Some((control, self.record.controls.get(number)?)));
        pages::shown_again(trials, &self.engine.target)
    }

    /// The trials of one case: the attack, and its repetition where the harm was seen.
    async fn attempts(&self, case: &Case<'_>, before: Option<usize>, share: Share<'_>) -> Tried {
        let mut tried = Tried::default();
        let Some(control) = before.and_then(|number| self.record.controls.get(number)) else {
            return tried;
        };
        if judge::granted(&case.control, control).is_err() || !self.applies(case, control) {
            return tried;
        }
        let wait = waits::of(&case.steps, control).filter(|wait| *wait > self.options.patience && self.engine.waits_cost_time());
        if wait.is_some() {
            return Tried { not_waited: wait, ..tried };
        }
        let mut steps = Cow::Borrowed(case.steps.as_slice());
        // Trials that the server throttled, those that it did not answer, and all others.
        let (mut lost, mut cut, mut seen) = (0, 0, 0);
        let race = case.attack.is_race();
        let mut harms = 0;
        loop {
            let name = format!("{} {}", case.name(), lost + cut + seen + 1);
            let place = share.take().await;
            // On the heap, once it has its place: hundreds wait for one, and each would keep room for all that a trial needs.
            let made = clock::of_a_trial(Box::pin(self.attack(&name, case, &steps, control, share, place)));
            let Some((trial, shown)) = made.await else {
                return Tried { cut_short: lost + cut + seen == 0, ..tried };
            };
            let throttled = trial.is_throttled();
            let is_cut = shown.lost && !throttled;
            if throttled {
                lost += 1;
            } else if is_cut {
                cut += 1;
            } else {
                seen += 1;
                if seen == 1 {
                    // The repetition that confirms a replay waits out a lawful grace window, inside of its own trial.
                    steps = confirming(case, &trial);
                }
            }
            tried.harmed = matches!(shown.sight, Sight::Harm(_));
            tried.refused = matches!(shown.sight, Sight::Refusal(_));
            harms += usize::from(tried.harmed);
            tried.in_front_channel = stopped_in_front_channel(&trial);
            let undecided = matches!(shown.sight, Sight::Neither { .. });
            tried.account.add(&trial, shown, curl::decisive(case.attack, &trial));
            self.spool.put(&mut tried.seen, trial);
            // Chance decides who wins a race: after one sight of two winners a second is looked for in more bursts, and a
            // burst that was not answered is made again.
            let another_burst = race && !throttled && (harms == 1 && seen < MOST_BURSTS || undecided && harms == 0 && seen < 3);
            // The client waits as long as the server asks, and goes on more slowly.
            let lost_again = throttled && lost <= MOST_THROTTLED || is_cut && cut <= MOST_UNANSWERED;
            let to_agree = tried.harmed && seen < 2 && !case.attack.measures || tried.refused && seen < self.options.repeat.max(1) as usize;
            if !(another_burst || lost_again || to_agree) {
                return tried;
            }
            if self.stop.is_stopped() {
                return tried;
            }
        }
    }

    /// One trial of an attack; where it shows the harm, the token is shown to work.
    /// None: the run was ended while it waited.
    async fn attack(
        &self,
        name: &str,
        case: &Case<'_>,
        steps: &[Arc<PlannedStep>],
        control: &Trial,
        share: Share<'_>,
        mut place: Option<SemaphorePermit<'_>>,
    ) -> Option<(Trial, Shown)> {
        let mut running = self.engine.begin(name, &case.scenario.control.variables);
        for step in steps {
            let pause = waits::bounded(self.engine, self.options.patience, running.pause_before(step));
            if let Ok(pause) = &pause
                && !pause.is_zero()
            {
                drop(place.take());
                if !waits::wait(self.engine, &case.name(), *pause, self.stop, self.tell).await {
                    return None;
                }
                place = share.take().await;
            }
            running.step_after(step, pause).await;
        }
        let sight = judge::sight(case.attack, running.so_far(), control, &self.record.negative_controls);
        if let (Sight::Harm(_), Some((step, field))) = (&sight, &case.attack.takes) {
            running.prove(step, field).await;
        }
        let trial = running.finish();
        self.listen(&trial);
        let shown = judge::with(case.attack, &trial, sight);
        Some((trial, shown))
    }

    /// Ends the run when the server is dead: what comes after says nothing about anything.
    fn listen(&self, trial: &Trial) {
        if let (true, Some(asked)) = (trial.is_throttled(), self.engine.http.spent().too_long) {
            self.stop.stop(format!(
                "the server answers “too many requests” and asks to be left alone for {} s (last in {}), and `limits.longest_pause` is {} s: raise it, lower `limits.per_second`, or run later",
                asked.as_secs(),
                trial.name,
                self.engine.target.limits.longest_pause.as_secs()
            ));
        }
        if throttles_everybody(trial) {
            if self.throttled.fetch_add(1, Ordering::SeqCst) + 1 == MOST_THROTTLED_IN_A_ROW {
                self.stop.stop(format!(
                    "the server goes on answering “too many requests” (last in {}): lower `limits.per_second`, or run later",
                    trial.name
                ));
            }
        } else if !trial.is_throttled() {
            self.throttled.store(0, Ordering::SeqCst);
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::StepObservation;

    /// An endpoint with a limit of its own keeps nobody from the others.
    #[test]
    fn who_is_throttled() {
        let throttled = |kind| {
            let steps = vec![
                StepObservation::new("a", StepKind::AuthorizationRequest, Outcome::Issued),
                StepObservation::new("b", kind, Outcome::Throttled),
            ];
            throttles_everybody(&Trial { steps, ..Trial::default() })
        };
        assert!(throttled(StepKind::TokenRequest) && throttled(StepKind::AuthorizationRequest));
        assert!(!throttled(StepKind::EndpointRequest) && !throttled(StepKind::IntrospectionRequest));
    }
}
