//! Runs a plan: controls before, attacks, controls after, and what must be alone at the end.

mod ladder;
mod look;
pub mod pages;
mod runner;
mod setup;
mod spool;
mod waits;

pub use setup::advice;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use crate::engine::Watcher;
use crate::engine::http::Http;
use crate::engine::listener::Listener;
use crate::engine::{self, Engine, Sweeper, clock, discover, leavings, tls};
use crate::model::profile::Profile;
use crate::model::report::{Recording, Run, SCHEMA_VERSION, TargetSummary};
use crate::model::scenario::{Risk, Scenario};
use crate::scenario::catalogue::Catalogue;
use crate::target::Target;

use runner::Runner;
pub use spool::IN_MEMORY;

/// What is going on, for whoever watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Discovering,
    /// How many cases there are.
    Planned {
        cases: usize,
        controls: usize,
    },
    Control {
        name: String,
        granted: bool,
    },
    Finished {
        case: String,
    },
    /// A trial waits, and for how long still; told at its beginning, and each second.
    Waiting {
        case: String,
        left: Duration,
    },
    /// It waits no longer.
    Waited {
        case: String,
    },
}

/// Asks a run to end early: what was measured is kept. The first reason stays.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(OnceLock<String>, tokio::sync::Notify)>);

impl Stop {
    pub fn stop(&self, why: impl Into<String>) {
        // A second reason changes nothing.
        let _ = self.0.0.set(why.into());
        self.0.1.notify_waiters();
    }
    pub fn is_stopped(&self) -> bool {
        self.0.0.get().is_some()
    }
    pub fn reason(&self) -> Option<&str> {
        self.0.0.get().map(String::as_str)
    }
    /// Comes back when the run is to end.
    pub async fn stopped(&self) {
        let told = self.0.1.notified();
        if !self.is_stopped() {
            told.await;
        }
    }
}

/// What an attack may wait for where nobody asked for slow ones.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The longest wait of slow ones, where nobody says another.
pub const SLOW: Duration = Duration::from_secs(15 * 60);

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    pub profile: Profile,
    /// Which shard of the selection this is, for the report.
    pub partition: Option<String>,
    /// The greatest risk that is allowed.
    pub allow: Risk,
    /// Go on when a client or user of the target file does not work.
    pub keep_going: bool,
    /// Trials of each attack that was refused; they must agree.
    pub repeat: u32,
    /// The longest wait of an attack; what waits longer is skipped.
    pub patience: Duration,
    /// Take back what was issued, where the protocol can.
    pub clean_up: bool,
    /// Where pictures of logins that fail are kept.
    pub evidence: Option<PathBuf>,
    /// Bytes of evidence that stay in memory; what is more waits in a temporary file.
    pub in_memory: usize,
    /// Sees each step and each trial when it ends, without secrets.
    pub watcher: Option<Arc<dyn Watcher>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            profile: Profile::Baseline,
            partition: None,
            allow: Risk::Noisy,
            keep_going: false,
            repeat: 1,
            patience: PATIENCE,
            clean_up: false,
            evidence: None,
            in_memory: IN_MEMORY,
            watcher: None,
        }
    }
}

/// Runs the selected scenarios against a target.
pub async fn run(
    catalogue: &Catalogue,
    selected: &[&Scenario],
    target: &Target,
    options: &Options,
    stop: &Stop,
    tell: &(dyn Fn(Event) + Sync),
) -> Recording {
    let started = now();
    let mut record = Recording {
        schema_version: SCHEMA_VERSION.into(),
        run: Run {
            tool: "grantproof".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            source_digest: crate::scenario::catalogue::SOURCE_DIGEST.into(),
            catalogue_digest: catalogue.digest.clone(),
            profile: options.profile,
            partition: options.partition.clone(),
            started: started.clone(),
            finished: started,
            complete: false,
            interrupted: None,
            requests: 0,
            server_millis: 0,
        },
        target: summary(target),
        claims: std::collections::BTreeMap::new(),
        selected: selected.iter().map(|s| s.id.clone()).collect(),
        controls: Vec::new(),
        negative_controls: Vec::new(),
        cases: Vec::new(),
        fatal: None,
        warnings: tls::warning(target).into_iter().collect(),
        cleaned_up: Vec::new(),
        remains: Vec::new(),
    };
    let http = match Http::new(target) {
        Ok(http) => http,
        Err(why) => {
            record.fatal = Some(why);
            return record;
        }
    };
    let listener = match &target.listener {
        Some(section) => match Listener::bind(section).await {
            Ok(listener) => Some(listener),
            Err(why) => {
                record.fatal = Some(why);
                return record;
            }
        },
        None => None,
    };
    let hurry = tokio::spawn({
        let (http, stop) = (http.clone(), stop.clone());
        async move {
            stop.stopped().await;
            http.hurry();
        }
    });
    tell(Event::Discovering);
    match discover::discover(&http, target).await {
        Err(mut why) => {
            engine::without_secrets(target, &mut why);
            record.fatal = Some(why);
        }
        Ok(facts) => {
            record.warnings.extend(facts.warnings.iter().cloned());
            record.claims = facts.claims();
            let engine = Engine::new(target.clone(), http.clone(), facts)
                .with_evidence(options.evidence.clone())
                .with_watcher(options.watcher.clone())
                .with_listener(listener);
            let mut runner = Runner::new(&engine, options, stop, tell, record);
            runner.all(catalogue, selected).await;
            record = runner.record;
            let settled = leavings::settle(&engine, options.clean_up && !stop.is_stopped()).await;
            record.cleaned_up = settled.cleaned_up;
            record.remains = settled.remains;
            sweep(&engine.sweeper(), &mut record);
        }
    }
    hurry.abort();
    record.warnings.extend(clock::warning(http.clock_ahead()));
    let spent = http.spent();
    record.run.requests = spent.requests;
    if spent.throttled > 0 {
        record.warnings.push(format!(
            "the server answered {} requests with “too many requests”; {}",
            spent.throttled,
            match (spent.too_long.is_some(), target.limits.per_second.is_some()) {
                (true, _) => "it asked for a longer pause than `limits.longest_pause` allows",
                (false, true) => "the run waited each time, and went on at a lower rate",
                (false, false) => "the run waited each time: `limits.per_second` would spare it that (0.3 are 18 in a minute)",
            }
        ));
    }
    record.run.server_millis = u64::try_from(spent.waiting.as_millis()).unwrap_or(u64::MAX);
    record.run.finished = now();
    record.run.complete = record.fatal.is_none() && !stop.is_stopped();
    record.run.interrupted = stop.reason().map(str::to_owned);
    record
}

/// Takes out of what is in memory what became known as a secret only after it was kept. What waits on the disk is swept by who reads
/// it back.
fn sweep(sweeper: &Sweeper, record: &mut Recording) {
    for trial in &mut record.controls {
        sweeper.trial(trial);
    }
    for control in &mut record.negative_controls {
        sweeper.answer(control);
    }
    for case in &mut record.cases {
        sweeper.case(case);
    }
    for text in record.fatal.iter_mut().chain(&mut record.warnings).chain(&mut record.cleaned_up).chain(&mut record.remains) {
        sweeper.text(text);
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn summary(target: &Target) -> TargetSummary {
    TargetSummary {
        name: target.name.clone(),
        issuer: target.issuer.clone(),
        source: target.source.clone(),
        digest: target.digest.clone(),
        place: target.place,
        loopback: target.is_loopback(),
        clients: target.clients.iter().map(|(role, client)| (role.name().to_owned(), client.id.clone())).collect(),
        users: target.users().map(|u| u.name.clone()).collect(),
        permission: target.permission.clone(),
    }
}
