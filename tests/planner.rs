//! What the planner saves and what it must not save: one login for each user, controls shared, each verdict with its own two
//! controls, the culprit of a batch found, what is risky last.

mod common;

use common::{Mischief, When, behind, behind_when, lab, run_on};
use grantproof::model::scenario::Risk;
use grantproof::model::step::ClientRole;
use grantproof::model::verdict::Verdict;

#[tokio::test(flavor = "multi_thread")]
async fn one_login_for_each_user() {
    let (_lab, target) = lab(&[]).await;
    let (target, proxy) = behind(&target, usize::MAX, "/", Mischief::Cut).await;
    // No attack of these is one on the login.
    let report = run_on(&target, &["token/", "client-auth/"]).await;
    assert!(report.summary.holds > 20, "{}", report.summary.holds);
    let logins = proxy.seen.lock().expect("the log").iter().filter(|r| r.starts_with("POST /login")).count();
    assert_eq!(logins, 1, "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn controls_are_shared_and_named() {
    let (_lab, target) = lab(&[]).await;
    let report = run_on(&target, &[""]).await;
    let judged: Vec<_> = report.verdicts.iter().flat_map(|v| &v.variants).filter(|v| v.verdict == Verdict::Holds).collect();
    assert!(judged.len() > 90);
    for variant in &judged {
        let (Some(before), Some(after)) = (variant.control_before, variant.control_after) else {
            panic!("{} names no controls", variant.id)
        };
        assert!(before < after && after < report.controls.len(), "{}: {before}, {after}", variant.id);
    }
    let used: std::collections::BTreeSet<_> = judged.iter().flat_map(|v| [v.control_before, v.control_after]).collect();
    assert!(used.len() * 2 < judged.len(), "{} controls for {} verdicts", used.len(), judged.len());
}

/// What a client gets with a code of its own is no theft, whatever two names the target file has for it.
#[tokio::test(flavor = "multi_thread")]
async fn one_client_does_not_play_two() {
    let (_lab, mut target) = lab(&[]).await;
    let public = target.clients.get(&ClientRole::Public).expect("a client").clone();
    target.clients.insert(ClientRole::Second, public);
    let report = run_on(&target, &["code/other-client", "pkce/wrong-verifier"]).await;
    let of = |id: &str| report.verdicts.iter().find(|v| v.id == id).expect("a verdict");
    assert_eq!(of("pkce/wrong-verifier").verdict, Verdict::Holds);
    let variants = &of("code/other-client").variants;
    assert!(variants.iter().any(|v| v.verdict == Verdict::Skipped && v.reason.contains("are one client")), "{variants:?}");
    assert!(variants.iter().all(|v| v.verdict != Verdict::Broken), "{variants:?}");
}

/// After a password grant this server fails the next token request. What ran in the same batch is judged all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_culprit_of_a_batch_is_found() {
    let (_lab, mut target) = lab(&[]).await;
    target.limits.in_flight = 1;
    // One attack of the batch is the culprit, and it comes last.
    target.clients.remove(&grantproof::model::step::ClientRole::Confidential);
    let when = When::After("grant_type=password", std::sync::atomic::AtomicBool::new(false));
    let (target, _proxy) = behind_when(&target, when, "/token", Mischief::Status(500)).await;
    let report =
        run_on(&target, &["pkce/wrong-verifier", "pkce/missing-verifier", "pkce/challenge-as-verifier", "token/password-grant"]).await;
    let verdict = |id: &str| report.verdicts.iter().find(|v| v.id == id).map(|v| (v.verdict, v.reason.clone()));
    for id in ["pkce/wrong-verifier", "pkce/missing-verifier", "pkce/challenge-as-verifier"] {
        assert_eq!(verdict(id).map(|v| v.0), Some(Verdict::Holds), "{id}: {:?}", verdict(id));
    }
    let (culprit, reason) = verdict("token/password-grant").expect("an entry");
    assert_eq!(culprit, Verdict::Inconclusive);
    assert!(reason.contains("refuses the control too") || reason.contains("crashed"), "{reason}");
    assert!(report.controls.iter().any(|c| c.name.contains("batch split")), "the batch was split");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_skipped_by_name() {
    let (_lab, target) = lab(&[]).await;
    let options = grantproof::run::Options { allow: Risk::Safe, ..Default::default() };
    let report = common::run_with(&target, &["race/", "token/no-store"], &options, &grantproof::run::Stop::default()).await;
    let race = report.verdicts.iter().find(|v| v.id == "race/code-redeem").expect("an entry");
    assert_eq!((race.verdict, race.reason.as_str()), (Verdict::Skipped, "it is noisy: allow it with `--allow noisy`"));
    assert!(race.variants.iter().all(|v| v.attempts.is_empty()), "nothing was sent");
}
