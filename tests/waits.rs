//! Attacks that wait: not at all where nobody asked for it, beside the others where somebody did, and not on where the run is ended.

mod common;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use grantproof::cli::inputs;
use grantproof::lab::{Flaw, LabConfig};
use grantproof::model::finding::Enforced;
use grantproof::model::verdict::Verdict;
use grantproof::report::gate::Gate;
use grantproof::report::{build, html, markdown, terminal};
use grantproof::run::{Event, Options, SLOW, Stop, run};
use grantproof::target::Target;

/// A lab whose clock nobody moves: it takes real time to wait for it.
async fn real_lab(flaws: &[Flaw], code_lifetime: Duration) -> (grantproof::lab::Lab, Target) {
    let flaws: BTreeSet<Flaw> = flaws.iter().copied().collect();
    let lab = grantproof::lab::start(LabConfig { flaws: flaws.clone(), code_lifetime, ..LabConfig::default() }).await.expect("a lab");
    let target = inputs::lab_target(&lab, &flaws);
    (lab, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_waited_for_is_skipped_and_named_and_fails_no_gate() {
    let (_lab, target) = real_lab(&[], Duration::from_secs(60)).await;
    let options = Options::default();
    let prefixes = ["code/expired", "jwt-access-token/expired-accepted", "refresh/absolute-expiry", "pkce/wrong-verifier"];
    let begun = Instant::now();
    let report = common::run_with(&target, &prefixes, &options, &Stop::default()).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "nobody waited");
    let verdict = |id: &str| report.verdicts.iter().find(|v| v.id == id).expect("an entry");
    for (id, reason, seconds) in [
        ("code/expired", "it would wait for 1 min 5 s: `--slow` waits", 65),
        ("jwt-access-token/expired-accepted", "it would wait for 1 h 1 min: `--slow=", 3660),
        ("refresh/absolute-expiry", "it would wait for 30 d 5 s: `--slow=", 30 * 24 * 3600 + 5),
    ] {
        let entry = verdict(id);
        assert_eq!(entry.verdict, Verdict::Skipped, "{id}: {}", entry.reason);
        assert!(entry.reason.starts_with(reason), "{}", entry.reason);
        let about = entry.not_waited.expect("what would have been waited for");
        assert!((seconds..=seconds + 1).contains(&about), "{id}: {about}");
        assert!(entry.variants.iter().all(|v| v.attempts.is_empty()), "nothing was sent for {id}");
    }
    assert_eq!(verdict("pkce/wrong-verifier").verdict, Verdict::Holds);
    assert_eq!(Gate::default().outcome(&report).exit_code, 0, "a required attack that nobody waited for is no lack");
    let mut text = Vec::new();
    terminal::plain(&[report], &mut text).expect("a text");
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.contains("not waited for (`--slow` waits): code/expired (1 min 5 s), "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_holds_nobody_up() {
    // One place for all: with it the wait would hold up everybody.
    let (_lab, mut target) = real_lab(&[], Duration::from_secs(3)).await;
    target.limits.in_flight = 1;
    let catalogue = common::catalogue();
    let selected: Vec<_> = catalogue
        .scenarios
        .values()
        .filter(|s| s.id == "code/expired" || s.id.starts_with("pkce/wrong") || s.id == "state/missing")
        .collect();
    let options = Options { patience: Duration::from_secs(30), ..Options::default() };
    let (ended, waited) = (Mutex::new(Vec::new()), Mutex::new(0));
    let begun = Instant::now();
    let recording = run(&catalogue, &selected, &target, &options, &Stop::default(), &|event| match event {
        Event::Finished { case } => ended.lock().unwrap_or_else(PoisonError::into_inner).push(case),
        Event::Waiting { .. } => *waited.lock().unwrap_or_else(PoisonError::into_inner) += 1,
        _ => {}
    })
    .await;
    let (begun, ended) = (begun.elapsed(), ended.into_inner().unwrap_or_else(PoisonError::into_inner));
    let place = |part: &str| ended.iter().position(|case| case.contains(part)).unwrap_or_else(|| panic!("{part} in {ended:?}"));
    assert!(place("pkce/wrong-verifier") < place("code/expired/after-its-time"), "{ended:?}");
    assert!(begun >= Duration::from_secs(8), "it did wait: {begun:?}");
    assert!(waited.into_inner().unwrap_or_else(PoisonError::into_inner) >= 8, "it was told each second");
    let report = build::report(&catalogue, recording).expect("evidence in memory");
    let expired = report.verdicts.iter().find(|v| v.id == "code/expired").expect("an entry");
    // The minute of the other variant is longer than this run waits.
    assert_eq!(expired.verdict, Verdict::Holds, "{}", expired.reason);
    assert!(expired.variants.iter().any(|v| v.not_waited == Some(65)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_run() {
    let (_lab, target) = real_lab(&[], Duration::from_secs(60)).await;
    let catalogue = common::catalogue();
    let selected: Vec<_> = catalogue.scenarios.values().filter(|s| s.id == "code/expired").collect();
    let stop = Stop::default();
    let options = Options { patience: SLOW, ..Options::default() };
    let tell = |event| {
        if matches!(event, Event::Waiting { .. }) {
            stop.stop("stopped by the user");
        }
    };
    let work = run(&catalogue, &selected, &target, &options, &stop, &tell);
    let recording = tokio::time::timeout(Duration::from_secs(30), work).await.expect("it does not wait on");
    let report = build::report(&catalogue, recording).expect("evidence in memory");
    let expired = report.verdicts.iter().find(|v| v.id == "code/expired").expect("an entry");
    assert_eq!((expired.verdict, expired.reason.as_str()), (Verdict::Inconclusive, "nothing was judged: stopped by the user"));
    assert!(report.run.interrupted.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_claimed_is_held_against_what_is_enforced() {
    let enforced = |report: &grantproof::model::report::Report, member: &str| {
        let claim = report.advertised.iter().find(|a| a.claim.starts_with(member)).unwrap_or_else(|| panic!("{member}"));
        (claim.enforced, claim.told())
    };
    let prefixes = ["pkce/plain-method", "pkce/unknown-method", "issuer/", "dpop/token-as-bearer"];
    let (_lab, target) = common::lab(&[]).await;
    let strict = common::run_on(&target, &prefixes).await;
    for member in ["code_challenge_methods_supported: S256", "authorization_response_iss_parameter_supported: true", "dpop_signing_alg"] {
        assert_eq!(enforced(&strict, member).0, Enforced::Yes, "{:?}", strict.advertised);
    }
    // The lab says so that it requires neither pushed nor signed requests: that is no claim.
    assert_eq!(strict.advertised.len(), 3, "{:?}", strict.advertised);
    let (_lab, target) = common::lab(&[Flaw::PkcePlainAccepted]).await;
    let flawed = common::run_on(&target, &prefixes).await;
    let (no, told) = enforced(&flawed, "code_challenge_methods_supported: S256");
    assert_eq!((no, told.as_str()), (Enforced::No, "code_challenge_methods_supported: S256: not enforced (pkce/plain-method)"));
    assert_eq!(flawed.advertised.first().map(|a| a.enforced), Some(Enforced::No), "what is not enforced stands first");
    for write in [terminal::plain, markdown::write, html::write] {
        let mut text = Vec::new();
        write(std::slice::from_ref(&flawed), &mut text).expect("a text");
        let text = String::from_utf8(text).expect("UTF-8").replace('\\', "");
        assert!(text.contains("not enforced") && text.contains("code_challenge_methods_supported: S256"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_found_between_what_is_taken_and_what_is_refused() {
    let of = |report: &grantproof::model::report::Report, name: &str| {
        let found =
            report.measurements.iter().find(|m| m.name.contains(name)).unwrap_or_else(|| panic!("{name}: {:?}", report.measurements));
        (found.stated, found.taken, found.refused)
    };
    let (_lab, target) = common::lab(&[]).await;
    let prefixes = ["code/expired", "dpop/stale-iat", "client-auth/assertion-", "refresh/reuse", "token/lifetime-access"];
    let report = common::run_on(&target, &prefixes).await;
    assert_eq!(of(&report, "a code can be redeemed"), (None, Some(55), Some(65)));
    assert_eq!(of(&report, "how old a DPoP proof"), (None, Some(60), Some(120)));
    assert_eq!(of(&report, "nbf of an assertion"), (None, Some(60), Some(120)));
    assert_eq!(of(&report, "after its exp"), (None, None, Some(5)));
    assert_eq!(of(&report, "after its use a refresh token"), (None, None, Some(0)));
    assert_eq!(of(&report, "lifetime of an access token"), (Some(3600), None, None));
    let proofs = report.verdicts.iter().find(|v| v.id == "dpop/stale-iat").expect("an entry");
    let tried: Vec<_> = proofs.variants.iter().filter(|v| v.id.contains("/age[")).collect();
    assert_eq!(tried.len(), 3, "none after the first that is refused");
    assert!(tried.iter().all(|v| v.verdict == Verdict::NotApplicable && !v.attempts.is_empty()), "no verdict, and the evidence");
    assert_eq!(proofs.verdict, Verdict::Holds);
    let (_lab, target) = common::lab(&[Flaw::CodeLifetimeTooLong, Flaw::RefreshReuseAccepted]).await;
    let report = common::run_on(&target, &["code/expired", "refresh/reuse"]).await;
    assert_eq!(of(&report, "a code can be redeemed"), (None, Some(605), None));
    assert_eq!(of(&report, "after its use a refresh token"), (None, Some(120), None));
}
