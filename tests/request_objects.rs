//! What stands beside a request object (RFC 9101 §5, OpenID Connect Core §6.1) is found out in a control; what rests on request objects is
//! decided on servers of both kinds.

mod common;

use std::collections::BTreeSet;

use common::run_on;
use grantproof::cli::inputs;
use grantproof::lab::{Flaw, Lab, LabConfig};
use grantproof::model::observation::{StepObservation, Trial};
use grantproof::model::report::Report;
use grantproof::model::step::ClientRole;
use grantproof::model::verdict::Verdict;
use grantproof::target::Target;
use grantproof::wire;

/// The lab, which may want more beside a request object than `client_id`.
async fn subject(flaws: &[Flaw], request_beside: bool) -> (Lab, Target) {
    let flaws: BTreeSet<Flaw> = flaws.iter().copied().collect();
    let config = LabConfig { flaws: flaws.clone(), request_beside, movable_clock: true, ..LabConfig::default() };
    let lab = grantproof::lab::start(config).await.expect("a lab");
    let target = inputs::lab_target(&lab, &flaws);
    (lab, target)
}

fn verdict(report: &Report, id: &str) -> (Verdict, String) {
    let found = report.verdicts.iter().find(|v| v.id == id).unwrap_or_else(|| panic!("no {id}"));
    (found.verdict, found.reason.clone())
}

/// The parameters beside each request object that a step brought to the authorization endpoint, `client_id` and the object left out.
fn beside(step: &StepObservation) -> Vec<Vec<(String, String)>> {
    let queries = step.exchanges.iter().map(|exchange| wire::parse_form(wire::query_of(&exchange.url)));
    let objects = queries.filter(|query| query.iter().any(|(name, _)| name == "request"));
    objects.map(|query| query.into_iter().filter(|(name, _)| name != "request" && name != "client_id").collect()).collect()
}

/// The same of every step of some trials that brought any.
fn beside_all<'t>(trials: impl Iterator<Item = &'t Trial>) -> Vec<Vec<Vec<(String, String)>>> {
    trials.flat_map(|trial| &trial.steps).map(beside).filter(|objects| !objects.is_empty()).collect()
}

fn attacks(report: &Report) -> Vec<Trial> {
    let cases = report.verdicts.iter().flat_map(|verdict| &verdict.variants);
    cases.flat_map(|case| case.attempts.load().expect("evidence").into_owned()).collect()
}

fn warnings(report: &Report) -> Vec<&String> {
    report.warnings.iter().filter(|warning| warning.contains("request object")).collect()
}

/// Everything that says nothing of what stands beside its request objects.
const SILENT: &[&str] = &[
    "jar/alg-confusion",
    "jar/alg-none",
    "jar/assertion-as-request-object",
    "jar/encrypted-unsigned",
    "jar/expired-replayed",
    "jar/signature-unchecked",
    "jar/wrong-aud-iss",
    "authorize/client-id-mismatch-request-par",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_more_beside_an_object_is_tested_all_the_same() {
    let (_lab, target) = subject(&[], true).await;
    let report = run_on(&target, SILENT).await;
    for id in SILENT {
        let (verdict, reason) = verdict(&report, id);
        assert_eq!(verdict, Verdict::Holds, "{id}: {reason}");
    }
    let uri = &target.client(ClientRole::Assertion).expect("a client").redirect_uri;
    let whole = [("response_type", "code"), ("scope", &target.scope), ("redirect_uri", uri)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let controls = beside_all(report.controls.iter());
    // Found out once: the evidence has both requests, and all others are sent in the form that was taken.
    assert_eq!(controls.iter().filter(|objects| **objects == [Vec::new(), whole.clone()]).count(), 1, "{controls:?}");
    assert_eq!(controls.iter().filter(|objects| **objects != [whole.clone()]).count(), 1, "{controls:?}");
    let attacks = attacks(&report);
    let attacks = beside_all(attacks.iter());
    assert!(attacks.len() > 15 && attacks.iter().all(|objects| *objects == [whole.clone()]), "{attacks:?}");
    let warnings = warnings(&report);
    assert!(warnings.len() == 1 && warnings[0].contains("`response_type`, `scope`, `redirect_uri`"), "{warnings:?}");
}

/// RFC 9126 §4 wants `client_id` alone beside the `request_uri` of what was pushed; servers that want more are found out in the same way.
#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_that_wants_more_beside_what_was_pushed() {
    for (flaw, expected) in [(None, Verdict::Holds), (Some(Flaw::ParRequestUriNotBound), Verdict::Broken)] {
        let (_lab, target) = subject(flaw.as_slice(), true).await;
        let report = run_on(&target, &["par/"]).await;
        let undecided: Vec<_> =
            report.verdicts.iter().filter(|v| v.selected && v.verdict == Verdict::Inconclusive).map(|v| &v.reason).collect();
        assert!(undecided.is_empty(), "{undecided:?}");
        let (verdict, reason) = verdict(&report, "par/request-uri-other-client");
        assert_eq!(verdict, expected, "{reason}");
        let told = report.warnings.iter().filter(|warning| warning.contains("is refused with `client_id` alone")).count();
        assert_eq!(told, 1, "{:?}", report.warnings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holes_of_such_a_server_are_found() {
    for (flaw, id) in [
        (Flaw::JarExpiryUnchecked, "jar/expired-replayed"),
        (Flaw::JarSignatureUnchecked, "jar/signature-unchecked"),
        (Flaw::JarAlgNone, "jar/alg-none"),
        (Flaw::JarAudienceUnchecked, "jar/wrong-aud-iss"),
        (Flaw::JarTypeConfusion, "jar/assertion-as-request-object"),
        (Flaw::JarJweSkipsSignature, "jar/encrypted-unsigned"),
        (Flaw::ClientIdConfusion, "authorize/client-id-mismatch-request-par"),
    ] {
        let (_lab, target) = subject(&[flaw], true).await;
        let report = run_on(&target, &[id]).await;
        let (verdict, reason) = verdict(&report, id);
        assert_eq!(verdict, Verdict::Broken, "{flaw}: {id}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_an_object_by_itself_sees_nothing_else() {
    let (_lab, target) = subject(&[], false).await;
    let report = run_on(&target, SILENT).await;
    for id in SILENT {
        assert_eq!(verdict(&report, id).0, Verdict::Holds, "{id}");
    }
    let attacks = attacks(&report);
    let all = beside_all(report.controls.iter().chain(&attacks));
    assert!(all.len() > 20 && all.iter().all(|objects| *objects == [Vec::new()]), "{all:?}");
    assert_eq!(warnings(&report), [""; 0]);
}

/// The lab knows no request objects of a client without a key: what stands beside them changes nothing, and the first refusal stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_reads_no_objects_teaches_nothing() {
    let (_lab, mut target) = subject(&[], false).await;
    let client = target.client(ClientRole::Confidential).expect("a client").clone();
    target.clients.insert(ClientRole::Assertion, client);
    let report = run_on(&target, &["jar/expired-replayed"]).await;
    let (verdict, reason) = verdict(&report, "jar/expired-replayed");
    assert_eq!(verdict, Verdict::NotApplicable, "{reason}");
    let controls = beside_all(report.controls.iter());
    assert!(controls.len() == 1 && controls[0].len() == 2, "{controls:?}");
    assert_eq!(warnings(&report), [""; 0]);
}
