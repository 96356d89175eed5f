//! The control of ourselves: with anything wrong in the target file, a whole run judges nothing, says what is wrong, and
//! exits 3. And the opposite: with everything right, it judges.

mod common;

use common::{Mischief, assert_nothing_judged, behind, count, lab, run_on};
use grantproof::model::step::ClientRole;
use grantproof::model::verdict::Verdict;
use grantproof::target::{ClientAuthentication, Secret, Target};

/// A mistake in a target file, and what the message must say.
type Mistake = (&'static str, fn(&mut Target), &'static [&'static str]);

const MISTAKES: &[Mistake] = &[
    (
        "a wrong client secret",
        |t| {
            if let Some(client) = t.clients.get_mut(&ClientRole::Confidential) {
                client.authentication = ClientAuthentication::Basic(Secret::new("not-the-secret"));
            }
        },
        &["lab-confidential", "redeem was refused", "invalid_client"],
    ),
    ("a wrong password", |t| t.user.password = Some(Secret::new("not-the-password")), &["the password of `alice` is refused"]),
    (
        "a wrong client key",
        |t| {
            // A P-256 key of RFC 7515 appendix A.3, which no server of ours knows.
            let jwk = r#"{"kty":"EC","crv":"P-256","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
            if let Some(client) = t.clients.get_mut(&ClientRole::Assertion) {
                client.authentication = ClientAuthentication::PrivateKeyJwt { key: Secret::new(jwk), kid: None };
            }
        },
        &["lab-assertion", "invalid_client"],
    ),
    (
        "a client key that is none",
        |t| {
            if let Some(client) = t.clients.get_mut(&ClientRole::Assertion) {
                client.authentication = ClientAuthentication::PrivateKeyJwt { key: Secret::new("no key"), kid: None };
            }
        },
        &["lab-assertion", "neither a P-256 nor an RSA private key"],
    ),
    (
        "an unregistered redirect_uri",
        |t| t.clients.values_mut().for_each(|c| c.redirect_uri = "https://app.example/elsewhere".into()),
        &["authorize was refused", "error page"],
    ),
    ("a refused scope", |t| t.scope = "openid no-such-scope".into(), &["authorize was refused", "invalid_scope"]),
    ("an unknown client", |t| t.clients.values_mut().for_each(|c| c.id = "nobody".into()), &["`nobody`", "authorize was refused"]),
    ("a dead token endpoint", |t| t.endpoints.token = Some(format!("{}/no-such-path", t.issuer)), &["redeem was refused", "404"]),
    (
        "TLS where none is spoken",
        |t| {
            t.issuer = t.issuer.replace("http:", "https:");
            t.origins = grantproof::target::origin(&t.issuer).into_iter().collect();
        },
        &["cannot be reached", "no connection"],
    ),
    ("a dead issuer", |t| t.issuer = "http://127.0.0.1:9".into(), &["http://127.0.0.1:9 cannot be reached", "no connection"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_judged_with_a_wrong_set_up() {
    for (what, mistake, words) in MISTAKES {
        let (_lab, mut target) = lab(&[]).await;
        mistake(&mut target);
        if *what == "a dead issuer" {
            target.origins = ["http://127.0.0.1:9".to_owned()].into();
        }
        let report = run_on(&target, &[""]).await;
        assert_nothing_judged(&report, what, words);
    }
}

/// A flawed server with a wrong set-up is no finding either.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_broken_with_a_wrong_set_up() {
    use grantproof::lab::Flaw;
    for (what, mistake, words) in MISTAKES.iter().take(2) {
        let (_lab, mut target) = lab(&[Flaw::PkceVerifierIgnored, Flaw::CodeReusable, Flaw::RedirectUriUnchecked]).await;
        mistake(&mut target);
        assert_nothing_judged(&run_on(&target, &[""]).await, what, words);
    }
}

/// An account must not be locked by our tries.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_sent_at_most_twice() {
    let (_lab, mut target) = lab(&[]).await;
    target.user.password = Some(Secret::new("not-the-password"));
    let (target, proxy) = behind(&target, usize::MAX, "/login", Mischief::Cut).await;
    let report = run_on(&target, &[""]).await;
    assert!(report.fatal.is_some());
    let posts = report
        .controls
        .iter()
        .flat_map(|t| &t.steps)
        .flat_map(|s| &s.exchanges)
        .filter(|e| e.method == "POST" && e.request_body.contains("password=") && e.request_body.contains("alice"))
        .count();
    assert!((1..=2).contains(&posts), "{posts} tries");
    assert!(proxy.requests.load(std::sync::atomic::Ordering::SeqCst) > 0, "the login went through the proxy");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_is_judged_when_asked_to_keep_going() {
    let (_lab, mut target) = lab(&[]).await;
    if let Some(client) = target.clients.get_mut(&ClientRole::Confidential) {
        client.authentication = ClientAuthentication::Basic(Secret::new("not-the-secret"));
    }
    let options = grantproof::run::Options { keep_going: true, ..Default::default() };
    let report = common::run_with(&target, &[""], &options, &grantproof::run::Stop::default()).await;
    assert!(report.fatal.is_none() && count(&report, Verdict::Holds) > 20 && count(&report, Verdict::Broken) == 0);
    let verdict = |id: &str| report.verdicts.iter().find(|v| v.id == id).map(|v| v.verdict);
    assert_eq!(verdict("client-auth/wrong-secret"), Some(Verdict::Inconclusive));
    assert_eq!(verdict("client-auth/no-secret"), Some(Verdict::Inconclusive));
}

/// What the target file does not supply is skipped, and the report says what to add.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let (_lab, mut target) = lab(&[]).await;
    target.clients.retain(|role, _| *role == ClientRole::Public);
    let report = run_on(&target, &[""]).await;
    assert_eq!(count(&report, Verdict::Broken) + count(&report, Verdict::Inconclusive), 0);
    let other = report.verdicts.iter().find(|v| v.id == "code/other-client").expect("an entry");
    assert_eq!((other.verdict, other.reason.as_str()), (Verdict::Skipped, "add `clients.second` to the target file"));
}
