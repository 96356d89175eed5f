//! Logins that grantproof does not do itself: a session that was handed in, a program, a person.

mod common;

use common::{assert_nothing_judged, count, lab, run_on};
use grantproof::engine::browser::Browser;
use grantproof::engine::html;
use grantproof::engine::http::{Http, Request};
use grantproof::model::verdict::Verdict;
use grantproof::target::{LoginDriver, Secret, Target};
use url::Url;

/// Logs alice in at the lab as a browser does; the Cookie header of her session.
async fn session(target: &Target) -> String {
    let http = Http::new(target).expect("a client");
    let mut browser = Browser::default();
    let client = target.client(grantproof::model::step::ClientRole::Public).expect("a client");
    let query = format!(
        "response_type=code&client_id={}&redirect_uri={}&scope=openid&code_challenge={}&code_challenge_method=S256",
        client.id,
        grantproof::wire::encode(&client.redirect_uri),
        "a".repeat(43)
    );
    let mut request = Request { method: "GET".into(), url: format!("{}/authorize?{query}", target.issuer), ..Request::default() };
    loop {
        let (sent, answer) = browser.navigate(&http, request, false).await.expect("an answer");
        let here = Url::parse(&sent.url).expect("a URL");
        if let Some(location) = answer.header("location") {
            let next = here.join(location).expect("a URL");
            if next.as_str().starts_with(&client.redirect_uri) || next.path() == "/consent" {
                return browser.cookies(&here).expect("cookies");
            }
            request = Request { method: "GET".into(), url: next.to_string(), ..Request::default() };
            continue;
        }
        let page = html::read(&answer.body);
        let form = page.forms.first().expect("a login form");
        let password = target.user.password.as_ref().expect("a password").reveal();
        let pairs: Vec<(&str, &str, bool)> = form
            .fields
            .iter()
            .map(|f| match f.kind.as_str() {
                "password" => (f.name.as_str(), password, false),
                "hidden" => (f.name.as_str(), f.value.as_str(), false),
                _ => (f.name.as_str(), target.user.name.as_str(), false),
            })
            .collect();
        request = Request {
            method: "POST".into(),
            url: here.join(&form.action).expect("a URL").to_string(),
            headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
            body: Some(grantproof::wire::form(pairs).into_bytes()),
            ..Request::default()
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_handed_in() {
    let (_lab, mut target) = lab(&[]).await;
    target.other_user = None;
    let cookie = session(&target).await;
    target.login.driver = LoginDriver::Session;
    target.user.password = None;
    target.user.cookie = Some(Secret::new(&cookie));
    let report = run_on(&target, &["pkce/", "authorize/redirect-307"]).await;
    assert!(report.fatal.is_none(), "{:?}", report.fatal);
    assert_eq!(count(&report, Verdict::Holds), report.verdicts.iter().filter(|v| v.id.starts_with("pkce/")).count());
    let own = report.verdicts.iter().find(|v| v.id == "authorize/redirect-307").map(|v| (v.verdict, v.reason.as_str()));
    assert!(own.is_some_and(|(verdict, reason)| verdict == Verdict::Skipped && reason.contains("login.driver")), "{own:?}");
    // The session is a secret like any other.
    let text = serde_json::to_string(&report).expect("JSON");
    for (_, value) in cookie.split("; ").filter_map(|pair| pair.split_once('=')) {
        assert!(!text.contains(value), "a cookie stands in the report");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over() {
    let (_lab, mut target) = lab(&[]).await;
    target.login.driver = LoginDriver::Session;
    target.user.cookie = Some(Secret::new("lab_session=over"));
    assert_nothing_judged(&run_on(&target, &["pkce/"]).await, "an old session", &["is over", "`cookie`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_prints_a_session() {
    let (_lab, mut target) = lab(&[]).await;
    target.other_user = None;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("session"), format!("Cookie: {}\n", session(&target).await)).expect("a file");
    target.login.driver = LoginDriver::Command;
    target.login.command = ["sh", "-c", "cat session"].map(str::to_owned).into();
    target.login.folder = folder.path().to_owned();
    let report = run_on(&target, &["pkce/", "code/"]).await;
    assert!(report.fatal.is_none(), "{:?}", report.fatal);
    assert_eq!(count(&report, Verdict::Broken) + count(&report, Verdict::Inconclusive), 0);
    assert!(count(&report, Verdict::Holds) > 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_and_a_person_who_is_not_there() {
    let (_lab, mut target) = lab(&[]).await;
    target.login.driver = LoginDriver::Command;
    target.login.command = ["sh", "-c", "echo 'the vault is locked' >&2; exit 3"].map(str::to_owned).into();
    assert_nothing_judged(&run_on(&target, &["pkce/"]).await, "a failing command", &["login command `sh`", "the vault is locked"]);
    target.login.driver = LoginDriver::Manual;
    // Tests have no terminal on standard input, or must not ask whoever sits there.
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        assert_nothing_judged(&run_on(&target, &["pkce/"]).await, "nobody there", &["needs a terminal"]);
    }
}
