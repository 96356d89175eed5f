//! A bad day: whatever a server does, from the start or in mid-run, there is no panic, no hang, no `broken` and no `holds`
//! that was not earned, and what was measured is kept.

mod common;

use common::{Mischief, When, assert_nothing_judged, behind, behind_when, count, lab, run_on, run_with};
use grantproof::model::observation::Trial;
use grantproof::model::verdict::Verdict;
use grantproof::report::gate::Gate;
use grantproof::run::{Options, Stop};

const ALL: &[Mischief] = &[
    Mischief::Cut,
    Mischief::Hang,
    Mischief::Garbage,
    Mischief::Endless,
    Mischief::EndlessHead,
    Mischief::Loop,
    Mischief::Status(429),
    Mischief::Status(500),
    Mischief::Status(503),
    Mischief::Gibberish,
];

/// Each kind of mischief at once: most of the time is spent waiting for what never comes.
async fn each<F, Fut>(test: F)
where
    F: Fn(Mischief) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for mischief in ALL {
        tasks.spawn(test(*mischief));
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_request_on() {
    for path in ["/authorize", "/token"] {
        each(move |mischief| async move {
            let (_lab, target) = lab(&[]).await;
            let (target, _proxy) = behind(&target, 0, path, mischief).await;
            let report = run_on(&target, &["pkce/", "code/"]).await;
            assert_nothing_judged(&report, &format!("{path} {mischief:?}"), &["the control flow does not work"]);
        })
        .await;
    }
}

/// How many requests an endpoint has had when the attacks begin: those of the controls before, and those that nobody may grant.
async fn before_the_attacks(path: &str, scenarios: &[&str]) -> usize {
    let (_lab, target) = lab(&[]).await;
    let report = run_on(&target, scenarios).await;
    let controls = report.controls.iter().filter(|control| control.name.contains("(before")).flat_map(|control| &control.steps);
    let steps = controls.chain(report.negative_controls.iter().map(|negative| &negative.answer));
    let address = format!("{}{path}", target.issuer);
    steps.flat_map(|step| &step.exchanges).filter(|exchange| exchange.url.split('?').next() == Some(&address)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_run() {
    let cases: [(&str, &[&str]); 2] = [("/authorize", &["pkce/", "redirect-uri/"]), ("/token", &["pkce/"])];
    for (path, scenarios) in cases {
        let from = before_the_attacks(path, scenarios).await;
        each(move |mischief| async move {
            let (_lab, target) = lab(&[]).await;
            let (target, proxy) = behind(&target, from, path, mischief).await;
            let report = run_on(&target, scenarios).await;
            let what = format!("{path} {mischief:?}");
            assert!(proxy.requests.load(std::sync::atomic::Ordering::SeqCst) > from, "{what}: the mischief began");
            assert!(report.fatal.is_none(), "{what}: {:?}", report.fatal);
            for verdict in &report.verdicts {
                let certain = matches!(verdict.verdict, Verdict::Holds | Verdict::Broken);
                assert!(!certain, "{what}: {} is {}: {}", verdict.id, verdict.verdict.name(), verdict.reason);
            }
            assert!(report.verdicts.iter().flat_map(|v| &v.variants).any(|v| !v.attempts.is_empty()), "{what}: the evidence is kept");
            assert_eq!(Gate::default().outcome(&report).exit_code, 4, "{what}");
        })
        .await;
    }
}

/// A place of proof that refuses everybody from some moment on has defended nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_refuses_everybody_in_the_middle_of_a_run() {
    let (_lab, target) = lab(&[]).await;
    let run = async |from: usize| {
        let (target, proxy) = behind(&target, from, "/userinfo", Mischief::Status(401)).await;
        let report = run_on(&target, &["jwt-access-token/alg-none", "jwt-access-token/empty-signature"]).await;
        assert_eq!(report.fatal, None);
        (proxy.requests.load(std::sync::atomic::Ordering::SeqCst), report)
    };
    let (all, report) = run(usize::MAX).await;
    assert_eq!(count(&report, Verdict::Holds), 2);
    // Only the control after the attacks is refused.
    let (_, report) = run(all - 1).await;
    assert_eq!((count(&report, Verdict::Holds), count(&report, Verdict::Inconclusive)), (0, 2));
    assert!(report.verdicts.iter().filter(|v| v.selected).all(|v| v.reason.contains("refuses the control too")));
}

/// A server that is asked too often says so for a while: the run waits, goes on more slowly, and judges all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttling_server_is_waited_for() {
    let first = before_the_attacks("/token", &["pkce/"]).await;
    let (_lab, target) = lab(&[]).await;
    let (target, proxy) = behind_when(&target, When::Between(first, first + 3), "/token", Mischief::Status(429)).await;
    let report = run_on(&target, &["pkce/"]).await;
    assert!(proxy.requests.load(std::sync::atomic::Ordering::SeqCst) > first + 3);
    assert_eq!(count(&report, Verdict::Holds), report.verdicts.iter().filter(|v| v.selected).count(), "{:?}", report.warnings);
    assert!(report.warnings.iter().any(|w| w.contains("too many requests")), "{:?}", report.warnings);
    let again = |v: &grantproof::model::report::VariantVerdict| {
        v.attempts.load().expect("evidence").iter().any(Trial::is_throttled) && v.attempts.load().expect("evidence").len() > 1
    };
    assert!(report.verdicts.iter().flat_map(|v| &v.variants).any(again), "the throttled trial stays in the record");
}

/// A connection that is cut once, as by a server that closes what was idle, costs a trial and no verdict. In the midst of the attacks: what is cut
/// before, of a request that no server may grant, is in no trial.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_once_is_made_again() {
    for path in ["/authorize", "/token"] {
        let (_lab, target) = lab(&[]).await;
        let (target, proxy) = behind_when(&target, When::Between(60, 61), path, Mischief::Cut).await;
        let report = run_on(&target, &["pkce/", "code/"]).await;
        assert!(proxy.requests.load(std::sync::atomic::Ordering::SeqCst) > 61, "{path}");
        let lost: Vec<_> =
            report.verdicts.iter().filter(|v| v.selected && v.verdict == Verdict::Inconclusive).map(|v| (&v.id, &v.reason)).collect();
        assert!(lost.is_empty() && report.fatal.is_none(), "{path}: {lost:?} {:?}", report.fatal);
        let mut variants = report.verdicts.iter().flat_map(|v| &v.variants);
        let cut = variants.any(|v| v.attempts.load().expect("evidence").iter().any(Trial::is_unanswered))
            || report.controls.iter().any(Trial::is_unanswered);
        assert!(cut, "{path}: the trial that was lost stays in the record");
    }
}

/// A server that fails once, as one whose store takes no two tokens in one moment, costs a control that is made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_control_in_which_the_server_failed_is_made_again() {
    for path in ["/authorize", "/token"] {
        let (_lab, target) = lab(&[]).await;
        let (target, _proxy) = behind_when(&target, When::Between(0, 1), path, Mischief::Status(500)).await;
        let report = run_on(&target, &["pkce/verifier-wrong", "code/replay"]).await;
        assert!(report.fatal.is_none(), "{path}: {:?}", report.fatal);
        assert_eq!(count(&report, Verdict::Holds), report.verdicts.iter().filter(|v| v.selected).count(), "{path}: {:?}", report.warnings);
        assert!(report.controls.iter().any(|control| control.name.contains("since the server failed")), "{path}");
    }
}

/// A server that refuses what a control bends has no such thing to attack, also where nothing else is selected: the plain request
/// tells. Where that is refused too, the set-up is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn where_only_the_bent_request_is_refused_the_plain_one_is_tried() {
    for (lacks, expected) in [("state=", Some(Verdict::NotApplicable)), ("no such parameter", None)] {
        let (_lab, target) = lab(&[]).await;
        let (target, _proxy) = behind_when(&target, When::Without(lacks), "/authorize", Mischief::Status(400)).await;
        let report = run_on(&target, &["state/absent-injection"]).await;
        let seen = report.verdicts.iter().find(|v| v.selected).map(|v| v.verdict);
        match expected {
            Some(_) => assert_eq!((seen, &report.fatal), (expected, &None), "{lacks}"),
            None => assert_nothing_judged(&report, lacks, &["the control flow does not work", "authorize was refused"]),
        }
    }
}

/// A login that forgets what it was for, and ends on a page of its own: whoever has logged in follows the link of the client once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_leads_astray_is_followed_by_the_request_again() {
    const HOME: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html><title>Home</title><p>Hello, alice";
    let (_lab, target) = lab(&[]).await;
    let when = When::After("password=", std::sync::atomic::AtomicBool::new(false));
    let (target, proxy) = behind_when(&target, when, "/", Mischief::Answer(HOME)).await;
    let mut target = target;
    target.endpoints.authorization = Some(format!("{}/authorize", proxy.base));
    let report = run_on(&target, &["pkce/wrong-verifier"]).await;
    assert_eq!((count(&report, Verdict::Holds), &report.fatal), (1, &None), "{:?}", report.warnings);
    let astray = |control: &Trial| control.steps.iter().flat_map(|step| &step.exchanges).any(|e| e.response_body.contains("Hello, alice"));
    assert!(report.controls.iter().any(astray), "it was led astray indeed");
}

/// An error of the server's own that goes to the client refuses nothing, as little as a 500 does.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_at_the_client_is_no_defense() {
    const ERROR: &str =
        "HTTP/1.1 303 See Other\r\nlocation: https://app.example/cb?error=server_error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (_lab, target) = lab(&[]).await;
    let (target, _proxy) = behind_when(&target, When::With("code_challenge_method=plain"), "/authorize", Mischief::Answer(ERROR)).await;
    let report = run_on(&target, &["pkce/plain-method"]).await;
    assert_eq!(
        (count(&report, Verdict::Holds), count(&report, Verdict::Inconclusive)),
        (0, 1),
        "{:?}",
        report.verdicts.first().map(|v| &v.reason)
    );
}

/// An OAuth error that is called a page is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_read_whatever_it_is_called() {
    const ERROR: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
                         {\"error\":\"invalid_request\",\"error_description\":\"consent in prompt\"}";
    let (_lab, target) = lab(&[]).await;
    let (target, _proxy) = behind_when(&target, When::From(0), "/authorize", Mischief::Answer(ERROR)).await;
    let report = run_on(&target, &["pkce/wrong-verifier"]).await;
    assert_nothing_judged(&report, "an error called a page", &["400 invalid_request"]);
}

/// A session that dies in mid-run is renewed, and nothing is taken for a defense that was only a login page.
#[tokio::test(flavor = "multi_thread")]
async fn lost_sessions_are_renewed() {
    for when in [When::From(0), When::After("code_verifier=", std::sync::atomic::AtomicBool::new(false))] {
        let (_lab, target) = lab(&[]).await;
        let (target, proxy) = behind_when(&target, when, "/authorize", Mischief::Forget).await;
        let report = run_on(&target, &["pkce/", "state/", "code/", "redirect-uri/"]).await;
        let wrong: Vec<_> =
            report.verdicts.iter().filter(|v| v.selected && v.verdict != Verdict::Holds).map(|v| (&v.id, &v.reason)).collect();
        assert!(wrong.is_empty() && report.fatal.is_none(), "{wrong:?}");
        let logins = proxy.seen.lock().expect("the log").iter().filter(|r| r.starts_with("POST /login")).count();
        assert!(logins > 5, "{logins} logins");
    }
}

/// The culprit of a batch is found, and what it did not spoil is judged.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_no_defense() {
    let config = grantproof::lab::LabConfig { rate_limit: Some(6), ..Default::default() };
    let lab = grantproof::lab::start(config).await.expect("a lab");
    let mut target = grantproof::cli::inputs::lab_target(&lab, &std::collections::BTreeSet::new());
    // Nobody waits here for the minute that the lab asks for.
    target.limits.longest_pause = std::time::Duration::from_millis(50);
    let report = run_on(&target, &["pkce/wrong-verifier", "pkce/missing-verifier", "pkce/challenge-as-verifier", "code/replay"]).await;
    assert_eq!(count(&report, Verdict::Broken), 0);
    let undecided: Vec<_> = report.verdicts.iter().filter(|v| v.verdict == Verdict::Inconclusive).collect();
    assert!(!undecided.is_empty());
    assert!(
        undecided.iter().all(|v| v.reason.contains("too many requests")),
        "{:?}",
        undecided.iter().map(|v| &v.reason).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_keeps_what_was_measured() {
    let (_lab, target) = lab(&[]).await;
    let stop = Stop::default();
    let catalogue = common::catalogue();
    let selected: Vec<_> = catalogue.scenarios.values().collect();
    let tell = |event: grantproof::run::Event| {
        if matches!(event, grantproof::run::Event::Finished { .. }) {
            stop.stop("stopped by the user");
        }
    };
    let recording = grantproof::run::run(&catalogue, &selected, &target, &Options::default(), &stop, &tell).await;
    assert!(!recording.run.complete);
    assert_eq!(recording.run.interrupted.as_deref(), Some("stopped by the user"));
    assert!(recording.cases.iter().any(|c| !c.attempts.is_empty()));
    let report = grantproof::report::build::report(&catalogue, recording).expect("evidence in memory");
    assert_eq!(count(&report, Verdict::Broken), 0);
    let text = grantproof::report::Format::by_name("terminal").expect("a format").text(std::slice::from_ref(&report)).expect("a text");
    assert!(text.contains("the run is incomplete: stopped by the user"));
}

/// Hosts that the target file does not declare are never contacted.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_the_declared_hosts() {
    let (_lab, target) = lab(&[]).await;
    let (other, proxy) = behind(&target, 0, "/", Mischief::Status(200)).await;
    let mut target = target;
    target.endpoints.userinfo = other.endpoints.userinfo;
    let report = run_with(&target, &["bearer/", "pkce/wrong"], &Options::default(), &Stop::default()).await;
    assert_eq!(proxy.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert!(report.warnings.iter().any(|w| w.contains("outside the target's hosts")), "{:?}", report.warnings);
}
