//! What a correct client library refuses to send goes out as the scenario says, byte for byte, and arrives so.

mod common;

use common::{Mischief, behind, lab};
use grantproof::model::report::Report;
use grantproof::run::{Options, Stop, run};

/// Runs one attack, written as its `change`, and gives what arrived at the server.
async fn arrived(change: &str) -> (Vec<String>, Report) {
    let text = format!(
        "id: test/sending\ntitle: t\ndefense: d\nseverity: low\nbasis: [RFC6749#3.2]\nlevel: {{baseline: may}}\nharm: h\nfix: f\n\
         control:\n  flow: authorization_code\n  steps: [authorize, redeem]\nattacks:\n  - id: a\n    change:\n{change}\
         \x20   holds_if_any:\n      - redeem: refused\n    broken_if_any:\n      - redeem: issued\n    unproved: only what is sent matters\n"
    );
    let mut catalogue = common::catalogue();
    let library = catalogue.library(&grantproof::cli::inputs::flaw_names());
    let scenario =
        grantproof::scenario::resolve::scenario("test.yaml", &text, None, &library).unwrap_or_else(|d| panic!("{}\n{text}", d[0]));
    catalogue.scenarios.insert(scenario.id.clone(), scenario);
    let (_lab, target) = lab(&[]).await;
    let (target, proxy) = behind(&target, usize::MAX, "/", Mischief::Cut).await;
    let selected: Vec<_> = catalogue.scenarios.values().filter(|s| s.id == "test/sending").collect();
    let recording = run(&catalogue, &selected, &target, &Options::default(), &Stop::default(), &|_| {}).await;
    let report = grantproof::report::build::report(&catalogue, recording).expect("evidence in memory");
    assert!(report.fatal.is_none(), "{:?}", report.fatal);
    let seen = proxy.seen.lock().expect("the log").clone();
    (seen, report)
}

fn has(seen: &[String], words: &[&str]) -> bool {
    seen.iter().any(|request| words.iter().all(|word| request.contains(word)))
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicated_parameters_in_both_orders() {
    let (seen, _) = arrived(
        "      redeem:\n        duplicate:\n          grant_type: second\n        duplicate_before:\n          redirect_uri: first\n",
    )
    .await;
    assert!(
        has(&seen, &["POST /token", "grant_type=authorization_code&grant_type=second", "redirect_uri=first&redirect_uri=https%3A"]),
        "{seen:#?}"
    );
    let (seen, _) = arrived("      authorize:\n        duplicate:\n          scope: openid second\n").await;
    assert!(has(&seen, &["GET /authorize?", "scope=openid%20profile&scope=openid%20second"]), "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_encodings_and_raw_bytes() {
    let (seen, _) =
        arrived("      redeem:\n        replace:\n          code_verifier: \"a%zz%&b c\\\"<\"\n        unencoded: [code_verifier]\n").await;
    assert!(has(&seen, &["POST /token", "code_verifier=a%zz%&b c\"<"]), "{seen:#?}");
    // A space, quotes and dots in a request target are what URL libraries rewrite.
    let (seen, _) = arrived("      authorize:\n        replace:\n          state: \"x y'z\\\"\"\n        unencoded: [state]\n").await;
    assert!(has(&seen, &["GET /authorize?", "state=x y'z\""]), "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_paths() {
    let (seen, _) = arrived("      redeem:\n        path_suffix: \"/../..;/%2e%2e/x\"\n").await;
    assert!(seen.iter().any(|r| r.starts_with("POST /token/../..;/%2e%2e/x HTTP/1.1\r\n")), "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_content_types_and_places() {
    let (seen, _) = arrived("      redeem:\n        method: GET\n").await;
    assert!(seen.iter().any(|r| r.starts_with("GET /token?grant_type=authorization_code&code=")), "{seen:#?}");
    let (seen, _) = arrived("      redeem:\n        content_type: application/json\n").await;
    assert!(has(&seen, &["POST /token", "content-type: application/json", "{\"grant_type\":\"authorization_code\""]), "{seen:#?}");
    let (seen, _) = arrived("      redeem:\n        move:\n          code: query\n").await;
    assert!(seen.iter().any(|r| r.starts_with("POST /token?code=") && !r.contains("&code=")), "{seen:#?}");
    let (seen, _) = arrived("      redeem:\n        content_type: text/plain\n        method: PUT\n").await;
    assert!(has(&seen, &["PUT /token", "content-type: text/plain"]), "{seen:#?}");
}

/// The repetition is the very same request.
#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_the_same_bytes() {
    let (seen, _) = arrived("      redeem:\n        repeat: again\n").await;
    let bodies: Vec<&str> = seen.iter().filter(|r| r.starts_with("POST /token")).filter_map(|r| r.split("\r\n\r\n").nth(1)).collect();
    assert!(bodies.windows(2).any(|pair| pair[0] == pair[1]), "{bodies:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_arrives_together() {
    let (seen, report) = arrived("      redeem:\n        burst: 8\n").await;
    let bodies: Vec<&str> = seen.iter().filter(|r| r.starts_with("POST /token")).filter_map(|r| r.split("\r\n\r\n").nth(1)).collect();
    assert!(bodies.iter().any(|body| bodies.iter().filter(|b| b == &body).count() == 8), "{bodies:#?}");
    let winners = report
        .verdicts
        .iter()
        .find(|v| v.id == "test/sending")
        .and_then(|v| v.variants[0].attempts.load().expect("evidence")[0].step("redeem")?.fields.get("winners").cloned());
    assert_eq!(winners.as_deref(), Some("1"), "the lab consumes a code once");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_goes_out_by_itself() {
    let (seen, report) = arrived("      redeem:\n        each: code\n        replace:\n          code: \"first\\nsecond\\nthird\"\n").await;
    for code in ["first", "second", "third"] {
        assert!(has(&seen, &["POST /token", &format!("&code={code}&")]), "{code}: {seen:#?}");
    }
    let tried = report.verdicts.iter().find(|v| v.id == "test/sending").expect("its verdict");
    let trials = tried.variants[0].attempts.load().expect("evidence");
    let redeem = trials[0].step("redeem").expect("the step");
    assert_eq!(redeem.fields.get("granted_answers").map(String::as_str), Some("0"));
    assert_eq!((redeem.exchanges.len(), redeem.undelivered.as_deref()), (3, None));
}

/// Nobody but the server reads it, so that a change inside of it cannot be read back from the request.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_inside_of_an_encrypted_request_object_counts_as_not_delivered() {
    let change = "      authorize:\n        as: assertion\n        request_object: {encrypted: signed}\n        replace:\n          state: other-state\n";
    let (seen, report) = arrived(change).await;
    let object = |request: &String| request.split_once("&request=")?.1.split([' ', '&']).next().map(str::to_owned);
    let objects: Vec<String> = seen.iter().filter_map(object).collect();
    assert!(!objects.is_empty() && objects.iter().all(|object| object.split('.').count() == 5), "{seen:#?}");
    assert!(!has(&seen, &["GET /authorize?", "state=other-state"]), "{seen:#?}");
    let tried = report.verdicts.iter().find(|v| v.id == "test/sending").expect("its verdict");
    let trials = tried.variants[0].attempts.load().expect("evidence");
    let why = trials[0].step("authorize").and_then(|step| step.undelivered.as_deref()).unwrap_or_default();
    assert!(why.contains("encrypted request object"), "{why}");
}

/// A value that is bound to the name of a browser is of no use in another one: who attacks has a machine of his own.
#[tokio::test(flavor = "multi_thread")]
async fn an_attackers_browser_is_another_one() {
    let (_lab, target) = lab(&[]).await;
    let report = common::run_on(&target, &["session/login-csrf"]).await;
    let variant = report.verdicts.iter().find(|v| v.selected).and_then(|v| v.variants.first()).expect("a variant");
    let trials = variant.attempts.load().expect("evidence");
    let agents = |session: &str| {
        let steps = trials.iter().flat_map(|trial| &trial.steps).filter(|step| step.step.starts_with(session));
        let headers = steps.flat_map(|step| &step.exchanges).flat_map(|exchange| &exchange.request_headers);
        headers.filter(|(name, _)| name == "user-agent").map(|(_, value)| value.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    let (attacker, victim) = (agents("attacker."), agents("victim."));
    assert_eq!((attacker.len(), victim.len()), (1, 1), "{attacker:?} {victim:?}");
    assert!(attacker.is_disjoint(&victim) && attacker.iter().chain(&victim).all(|agent| agent.starts_with("grantproof/")));
}
