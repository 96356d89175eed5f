//! Reports of every kind, made of real runs against the lab.

use grantproof::lab::Flaw;
use grantproof::model::report::{Baseline, Integrity, Link, Report, Signature, Since, Waived};
use grantproof::model::step::ClientRole;
use grantproof::model::verdict::Verdict;
use grantproof::report::build;
use grantproof::run::{Options, Stop};
use grantproof::target::{ClientAuthentication, Permission, Secret};
use tokio::sync::OnceCell;

use crate::common::{lab, run_on, run_with};

/// Name and reports.
type Sample = (&'static str, Vec<Report>);

static SAMPLES: OnceCell<Vec<Sample>> = OnceCell::const_new();

/// Of each kind one; run once for all tests.
pub async fn samples() -> &'static [Sample] {
    SAMPLES
        .get_or_init(|| async {
            let (_strict_lab, target) = lab(&[]).await;
            let strict = run_on(&target, &[""]).await;
            let part = run_on(&target, &["refresh/", "token/"]).await;
            let (_flawed_lab, flawed) =
                lab(&[Flaw::RefreshReuseAccepted, Flaw::RedirectUriPrefixMatch, Flaw::UserinfoOpen, Flaw::CodeRace]).await;
            let flaws = run_on(&flawed, &[""]).await;
            let mut wrong = target.clone();
            if let Some(client) = wrong.clients.get_mut(&ClientRole::Confidential) {
                client.authentication = ClientAuthentication::Basic(Secret::new("not-the-secret"));
            }
            wrong.clients.remove(&ClientRole::Second);
            let fatal = run_on(&wrong, &[""]).await;
            let keep_going = Options { keep_going: true, ..Options::default() };
            let undecided = run_with(&wrong, &[""], &keep_going, &Stop::default()).await;
            assert!(fatal.fatal.is_some() && undecided.summary.inconclusive > 0 && flaws.summary.implied > 0);
            vec![
                ("strict", vec![strict.clone()]),
                ("part", vec![part]),
                ("flaws", vec![flaws.clone()]),
                ("full", vec![full(flaws.clone())]),
                ("fatal", vec![fatal.clone()]),
                ("undecided", vec![undecided]),
                ("several", vec![strict, full(flaws), fatal]),
            ]
        })
        .await
}

/// The flawed lab's verdicts again and again.
pub async fn many(scenarios: usize, targets: usize) -> Vec<Report> {
    let flaws = samples().await.iter().find(|(name, _)| *name == "flaws").expect("a sample");
    crate::common::many::many(&flaws.1[0], scenarios, targets)
}

/// With everything that a report may have.
fn full(mut report: Report) -> Report {
    let broken: Vec<usize> = (0..report.verdicts.len()).filter(|i| report.verdicts[*i].verdict == Verdict::Broken).collect();
    let since = [Since::New, Since::Worse, Since::Same, Since::Better];
    for (number, index) in broken.iter().enumerate() {
        report.verdicts[*index].since_baseline = Some(since[number % since.len()]);
    }
    let (waived, broken) = broken.split_last().expect("a finding");
    let id = report.verdicts[*waived].id.clone();
    report.verdicts[*waived].waived = Some(Waived {
        id,
        reason: "Rotation lands with SEC-1182".into(),
        owner: "a.person@example.org".into(),
        expires: "2027-01-31".into(),
    });
    assert!(!broken.is_empty());
    report.baseline = Some(Baseline {
        file: "baseline.json".into(),
        started: "2026-11-20T10:00:00Z".into(),
        version: "0.1.0".into(),
        catalogue_digest: "0".repeat(64),
        fixed: vec!["code/replay".into()],
        lost: vec!["gone/scenario".into()],
    });
    report.target.permission = Some(Permission {
        by: "Jane Doe, platform security".into(),
        until: "2027-03-01".into(),
        what: Some("all scenarios, at night".into()),
    });
    report.warnings.push("the metadata names `another` issuer".into());
    report.cleaned_up.push("3 tokens revoked".into());
    report.remains.push("one consent of alice".into());
    report.integrity = Some(Integrity {
        method: "sha256, RFC 8785".into(),
        chain: vec![Link { of: "controls".into(), sha256: "ab".repeat(32) }],
        digest: "cd".repeat(32),
        signature: Some(Signature { algorithm: "Ed25519".into(), public_key: "A".repeat(44), signature: "B".repeat(88) }),
    });
    report.summary = build::summary(&report.verdicts);
    report
}
