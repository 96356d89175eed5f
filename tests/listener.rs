//! Requests of the server's own: what they show, and above all what it does not show that none comes.

mod common;

use common::{assert_nothing_judged, lab, run_on};
use grantproof::lab::Flaw;
use grantproof::model::report::Report;
use grantproof::model::verdict::{Party, Verdict};
use grantproof::target::Listener;

const REQUEST_URI: &str = "ssrf/request-uri";

fn verdict(report: &Report) -> (Verdict, &str) {
    let found = report.verdicts.iter().find(|v| v.id == REQUEST_URI).expect("it was selected");
    (found.verdict, found.reason.as_str())
}

/// A listener that the server is told to look for where nobody is.
fn out_of_reach() -> Listener {
    Listener { url: Some("http://127.0.0.1:1/{port}".into()), wait: std::time::Duration::ZERO, ..Listener::on_loopback() }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_listener_it_is_skipped_and_says_what_to_add() {
    let (_lab, mut target) = lab(&[]).await;
    target.listener = None;
    let report = run_on(&target, &[REQUEST_URI, "code/replay"]).await;
    let (verdict, reason) = verdict(&report);
    assert_eq!(verdict, Verdict::Skipped);
    assert!(reason.contains("add `listener:"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nobody_comes_says_nothing_where_nobody_can() {
    // The flawed one would come, and cannot.
    for flaws in [&[][..], &[Flaw::SsrfRequestUri]] {
        let (_lab, mut target) = lab(flaws).await;
        target.listener = Some(out_of_reach());
        let report = run_on(&target, &["ssrf/", "dcr/sector-identifier"]).await;
        let (verdict, reason) = verdict(&report);
        assert_eq!(verdict, Verdict::Inconclusive, "{flaws:?}: {reason}");
        assert!(reason.contains("nothing has shown that the server can come"), "{reason}");
        let sure: Vec<_> =
            report.verdicts.iter().filter(|v| matches!(v.verdict, Verdict::Holds | Verdict::Broken)).map(|v| &v.id).collect();
        assert!(sure.is_empty(), "{sure:?}");
        assert!(report.verdicts.iter().any(|v| v.id == REQUEST_URI && v.at_fault == Some(Party::Configuration)));
        assert!(report.warnings.iter().any(|w| w.contains("was not seen to fetch anything")), "{:?}", report.warnings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_the_operator_counts() {
    let (_lab, mut target) = lab(&[]).await;
    target.listener = Some(Listener { proven: true, ..out_of_reach() });
    let report = run_on(&target, &[REQUEST_URI]).await;
    assert_eq!(verdict(&report).0, Verdict::Holds);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_scenario_alone_finds_out_whether_the_server_comes() {
    for (flaws, expected) in [(&[][..], Verdict::Holds), (&[Flaw::SsrfRequestUri], Verdict::Broken)] {
        let (_lab, target) = lab(flaws).await;
        let report = run_on(&target, &[REQUEST_URI]).await;
        assert_eq!(verdict(&report).0, expected, "{flaws:?}");
        assert!(report.warnings.iter().all(|w| !w.contains("listener")), "{:?}", report.warnings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_ends_the_run_before_anything_is_sent() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (_lab, mut target) = lab(&[]).await;
    target.listener = Some(Listener { listen: taken.local_addr().expect("an address"), ..Listener::on_loopback() });
    let report = run_on(&target, &[REQUEST_URI]).await;
    assert_nothing_judged(&report, "taken", &["the listener cannot be opened at 127.0.0.1:", "give `listener.listen` another"]);
    assert_eq!(report.run.requests, 0);
}
