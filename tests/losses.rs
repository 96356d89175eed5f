//! One request that gets no answer makes no defense hold and none broken: what was not seen is said to be open, or is tried again.
//!
//! `GRANTPROOF_LOSSES=5 cargo test --release --test losses` loses one request in five of every scenario, on the strict lab and with each flaw
//! that it declares; by default those are tried in which a lost step once made an attack hold.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use common::catalogue;
use grantproof::cli::inputs;
use grantproof::lab::{Flaw, LabConfig, Loss};
use grantproof::model::report::Report;
use grantproof::model::verdict::Verdict;
use grantproof::report::build;
use grantproof::run::{Options, Stop, run};
use grantproof::scenario::catalogue::Catalogue;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(catalogue);

/// Where a login, a logout or a page that came to nothing was once taken for the defense.
const ONCE_HELD: &[(&str, &str)] = &[
    ("session-fixation", "session/fixation"),
    ("session-cookie-flags", "session/cookie-flags"),
    ("redirect-uri-from-session", "redirect-uri/session-poisoning"),
    ("pkce-challenge-from-session", "pkce/code-swap-between-sessions"),
    ("logout-hint-unverified", "logout/modified-hint"),
    ("logout-csrf", "logout/unconfirmed-csrf"),
    ("device-approval-csrf", "device/csrf-approval"),
    ("device-no-confirmation", "device/no-confirmation"),
];

/// One in so many requests is lost by default.
const ONE_IN: u64 = 7;

/// Runs at a time: most of their time is waiting for the answer that never comes.
const AT_ONCE: usize = 12;

async fn report(flaw: &str, scenario: &str, loss: Option<Loss>) -> Report {
    let flaws: BTreeSet<Flaw> = flaw.parse::<Flaw>().into_iter().collect();
    let config = LabConfig { flaws: flaws.clone(), movable_clock: true, loss, ..LabConfig::default() };
    let lab = grantproof::lab::start(config).await.expect("a lab");
    let mut target = inputs::lab_target(&lab, &flaws);
    if loss.is_some() {
        target.limits.timeout = Duration::from_millis(400);
    }
    let (options, stop) = (Options::default(), Stop::default());
    let recording = run(&CATALOGUE, &[&CATALOGUE.scenarios[scenario]], &target, &options, &stop, &|_| {}).await;
    build::report(&CATALOGUE, recording).expect("evidence in memory")
}

/// The cases of a report with one of these verdicts.
fn cases(report: &Report, scenario: &str, verdicts: &[Verdict]) -> BTreeSet<String> {
    let own = report.verdicts.iter().filter(|v| v.id == scenario).flat_map(|v| &v.variants);
    own.filter(|case| verdicts.contains(&case.verdict))
        .map(|case| format!("{} {}: {}", case.id, case.verdict.name(), case.reason))
        .collect()
}

fn id(case: &str) -> &str {
    case.split(' ').next().unwrap_or_default()
}

/// What is said wrongly of a scenario on a lab with a flaw ("" is the strict one) where one request is lost.
async fn wrong(flaw: &'static str, scenario: &'static str, one_in: u64, turn: Arc<Semaphore>) -> Vec<String> {
    let whole = report(flaw, scenario, None).await;
    let broken = cases(&whole, scenario, &[Verdict::Broken]);
    assert!(flaw.is_empty() == broken.is_empty(), "{flaw} {scenario}: {broken:?}");
    let broken: BTreeSet<String> = broken.iter().map(|case| id(case).to_owned()).collect();
    let mut runs = JoinSet::new();
    for number in (1..=whole.run.requests).filter(|number| number % one_in == one_in / 2) {
        for loss in [Loss::Request(number), Loss::Answer(number)] {
            let (turn, broken) = (Arc::clone(&turn), broken.clone());
            runs.spawn(async move {
                let _turn = turn.acquire_owned().await.expect("never closed");
                let with_loss = report(flaw, scenario, Some(loss)).await;
                let is_wrong = |case: &String| match flaw {
                    "" => true,
                    _ => broken.contains(id(case)),
                };
                let certain = if flaw.is_empty() { &[Verdict::Broken][..] } else { &[Verdict::Holds, Verdict::NotApplicable] };
                let cases = cases(&with_loss, scenario, certain).into_iter().filter(is_wrong);
                cases.map(|case| format!("{flaw} {loss:?}: {case}")).collect::<Vec<_>>()
            });
        }
    }
    runs.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_decides_nothing() {
    let every: Option<u64> = std::env::var("GRANTPROOF_LOSSES").ok().map(|one_in| one_in.parse().expect("a number"));
    // Of a race each burst is a case of its own, and chance decides it; they are judged together.
    let decided = CATALOGUE.scenarios.values().filter(|scenario| !scenario.attacks.iter().any(|attack| attack.is_race()));
    let declared = decided.flat_map(|scenario| {
        let flaws: BTreeSet<&str> = scenario.attacks.iter().flat_map(|attack| &attack.proved_by).map(String::as_str).collect();
        std::iter::once("").chain(flaws).map(|flaw| (flaw, scenario.id.as_str())).collect::<Vec<_>>()
    });
    let pairs: Vec<(&str, &str)> = if every.is_some() { declared.collect() } else { ONCE_HELD.to_vec() };
    let turn = Arc::new(Semaphore::new(AT_ONCE));
    let mut all = JoinSet::new();
    for (flaw, scenario) in pairs {
        all.spawn(wrong(flaw, scenario, every.unwrap_or(ONE_IN), Arc::clone(&turn)));
    }
    let problems: Vec<String> = all.join_all().await.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{} wrong:\n{}", problems.len(), problems.join("\n"));
}
