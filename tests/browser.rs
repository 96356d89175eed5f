//! The login driver `browser` on pages that a script makes. Where Chromium or ChromeDriver is missing these tests are
//! skipped, and say so; GRANTPROOF_REQUIRE_BROWSER makes that a failure.

mod common;
mod pages;

use std::path::{Path, PathBuf};

use common::chromium::have_browser;
use common::{run_on, run_with};
use grantproof::model::report::Report;
use grantproof::model::verdict::Verdict;
use grantproof::run::{Options, Stop};
use grantproof::target::Target;
use pages::{Config, Pages};

fn target(pages: &Pages, user: &str, login: &str) -> Target {
    let text = format!(
        "name: pages\nissuer: {}\nclients:\n  public: {{id: spa, redirect_uri: \"{}\"}}\nusers:\n  default: {{name: alice, {user}}}\nlogin: {login}\n",
        pages.base, pages.redirect_uri
    );
    grantproof::target::load::from_text("t.yaml", &text, Path::new(".")).unwrap_or_else(|d| panic!("{}", d[0]))
}

const USER: &str = "password: \"plain:wonderland-1\"";

fn verdicts(report: &Report) -> Vec<(&str, Verdict, &str)> {
    report.verdicts.iter().filter(|v| v.selected).map(|v| (v.id.as_str(), v.verdict, v.reason.as_str())).collect()
}

fn assert_all(report: &Report, verdict: Verdict) {
    assert!(report.fatal.is_none(), "{:?}", report.fatal);
    assert!(verdicts(report).iter().all(|(_, v, _)| *v == verdict), "{:#?}", verdicts(report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_a_script_makes_is_passed_once_and_the_session_is_kept() {
    if !have_browser("a_login_that_a_script_makes") {
        return;
    }
    let pages = Pages::start(Config::default()).await;
    let target = target(&pages, USER, "{driver: browser}");
    let report = run_on(&target, &["pkce/wrong-verifier", "state/echo-exact", "redirect-uri/foreign-host", "pkce/missing-verifier"]).await;
    assert_all(&report, Verdict::Holds);
    assert_eq!((pages.calls("/api/login"), pages.calls("/api/consent"), pages.calls("/api/mistake")), (1, 1, 0));
    assert!(pages.callback_was_left_alone().await, "the redirect_uri was contacted");
    assert!(!serde_json::to_string(&report).expect("JSON").contains("wonderland-1"), "a password is in the report");
}

/// What the pages of the driver `browser` send and forbid is seen as with `form`.
#[tokio::test(flavor = "multi_thread")]
async fn pages_made_by_a_script_are_judged() {
    if !have_browser("pages_made_by_a_script") {
        return;
    }
    let pages = Pages::start(Config::default()).await;
    let report = run_on(&target(&pages, USER, "{driver: browser}"), &["tls-headers/frame-protection", "authorize/redirect-307"]).await;
    assert_all(&report, Verdict::Holds);
}

/// A server that asks at each request is driven through its page at each request, and what it does wrong is found there.
#[tokio::test(flavor = "multi_thread")]
async fn a_consent_page_that_a_script_makes_each_time() {
    if !have_browser("a_consent_page_that_a_script_makes") {
        return;
    }
    for (ignores_verifier, verdict) in [(false, Verdict::Holds), (true, Verdict::Broken)] {
        let pages = Pages::start(Config { always_asks: true, ignores_verifier, ..Config::default() }).await;
        let report = run_on(&target(&pages, USER, "{driver: browser}"), &["pkce/wrong-verifier"]).await;
        assert_all(&report, verdict);
        assert_eq!((pages.calls("/api/login"), pages.calls("/api/mistake")), (1, 0));
        assert!(pages.calls("/api/consent") > 2, "{}", pages.calls("/api/consent"));
        assert!(pages.callback_was_left_alone().await, "the redirect_uri was contacted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_code_is_typed_in() {
    if !have_browser("a_one_time_code") {
        return;
    }
    let pages = Pages::start(Config { second_factor: true, ..Config::default() }).await;
    let user = format!("{USER}, totp: \"plain:{}\"", pages::TOTP);
    assert_all(&run_on(&target(&pages, &user, "{driver: browser}"), &["pkce/wrong-verifier"]).await, Verdict::Holds);
    assert_eq!((pages.calls("/api/login"), pages.calls("/api/otp")), (1, 1));
    // Without the authenticator the step says what is missing.
    let report = run_on(&target(&pages, USER, "{driver: browser}"), &["pkce/wrong-verifier"]).await;
    common::assert_nothing_judged(&report, "no authenticator", &["asks `alice` for a one-time code: add `totp`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_takes_its_time_is_waited_for() {
    if !have_browser("a_login_that_takes_its_time") {
        return;
    }
    let pages = Pages::start(Config { slow: std::time::Duration::from_millis(1500), ..Config::default() }).await;
    assert_all(&run_on(&target(&pages, USER, "{driver: browser}"), &["pkce/wrong-verifier"]).await, Verdict::Holds);
    assert_eq!(pages.calls("/api/login"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_leaves_a_picture_and_no_password() {
    if !have_browser("a_login_that_fails") {
        return;
    }
    let pages = Pages::start(Config::default()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join("pages-login");
    let options = Options { evidence: Some(folder.clone()), ..Options::default() };
    let target =
        target(&pages, "password: \"plain:queen-of-hearts\"", "{driver: browser, user_field: \"#who\", password_field: \"input#secret\"}");
    let report = run_with(&target, &["pkce/", "state/"], &options, &Stop::default()).await;
    let picture = folder.join("login-1.png");
    let words = ["the name or the password of `alice` is refused", picture.to_str().expect("a path")];
    common::assert_nothing_judged(&report, "a wrong password", &words);
    assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"));
    let page = std::fs::read_to_string(folder.join("login-1.html")).expect("a page");
    assert!(page.contains("That is not right.") && page.contains("alice") && !page.contains("queen-of-hearts"), "{page}");
    assert_eq!(pages.calls("/api/login"), 2, "a refused password is not sent a third time");
}

/// What a server answers to a page that is fetched twice refuses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_comes_only_once_is_no_refusal() {
    if !have_browser("a_page_that_comes_only_once") {
        return;
    }
    let pages = Pages::start(Config { once: true, ..Config::default() }).await;
    let report = run_on(&target(&pages, USER, "{driver: browser}"), &["pkce/wrong-verifier"]).await;
    let words = ["authorize was answered unclearly", "the page answered 200 and, opened again in Chromium, 400"];
    common::assert_nothing_judged(&report, "a page that comes once", &words);
}

/// A hint that matches nothing is named, and a page that a script makes is known by the driver that runs none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let pages = Pages::start(Config::default()).await;
    let report = run_on(&target(&pages, USER, "{driver: form}"), &["pkce/wrong-verifier"]).await;
    let words = ["a script makes the page “Pages login”", "`login.driver: browser`", "`session`", "`command`"];
    common::assert_nothing_judged(&report, "the driver `form`", &words);
    if have_browser("what_is_wrong_is_said") {
        let report = run_on(&target(&pages, USER, "{driver: browser, password_field: \"#pass\"}"), &["pkce/wrong-verifier"]).await;
        common::assert_nothing_judged(&report, "a wrong hint", &["`login.password_field: #pass` matches nothing on the page"]);
    }
}

/// The profiles of the browsers that this process started.
fn profiles() -> Vec<PathBuf> {
    let ours = format!("grantproof-{}-", std::process::id());
    let files = std::fs::read_dir(std::env::temp_dir()).expect("a folder").flatten();
    files.map(|f| f.path()).filter(|p| p.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&ours))).collect()
}

/// The browser and its profile go away with the run, also with one that is given up half-way.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_browser() {
    if !have_browser("nothing_is_left_of_a_browser") {
        return;
    }
    let pages = Pages::start(Config { slow: std::time::Duration::from_secs(600), ..Config::default() }).await;
    let target = target(&pages, USER, "{driver: browser}");
    let mine = {
        let before = profiles();
        let run = run_on(&target, &["pkce/wrong-verifier"]);
        let started = async {
            while pages.calls("/api/login") == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = run => panic!("a login of ten minutes has ended"),
            () = started => profiles().into_iter().filter(|p| !before.contains(p)).collect::<Vec<_>>(),
        }
    };
    assert!(!mine.is_empty());
    let alive = || {
        let processes = std::fs::read_dir("/proc").expect("a folder").flatten();
        let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
        lines.filter(|line| mine.iter().any(|p| String::from_utf8_lossy(line).contains(&*p.to_string_lossy()))).count()
    };
    let gone = async {
        while alive() > 0 || mine.iter().any(|profile| profile.exists()) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("the browser and its profile go away");
}
