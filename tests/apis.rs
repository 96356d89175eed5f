//! APIs of other kinds than the lab's: with opaque tokens, with a memory of their own, an MCP server that answers to messages alone.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use common::{lab, run_on};
use grantproof::engine::eval;
use grantproof::lab::{Flaw, Lab};
use grantproof::model::report::{Report, ScenarioVerdict};
use grantproof::model::verdict::Verdict;
use grantproof::target::{Target, origin};
use serde_json::{Value, json};

/// How the front differs from the lab behind it.
#[derive(Debug, Clone, Copy, Default)]
struct Ways {
    /// Access tokens are words without a meaning.
    opaque: bool,
    /// The API takes what was a token once, whoever has revoked it.
    remembers: bool,
    /// The API answers to POST alone.
    messages: bool,
    /// The API takes a refresh token for an access token that lacks a scope.
    scoped: bool,
    /// Whatever type of token an exchange asks for, an access token is given, and called this.
    exchanges_as: Option<&'static str>,
}

/// A front before the lab: token, introspection and revocation endpoint, and the API.
#[derive(Debug)]
struct Front {
    lab: String,
    /// The header that moves the lab's clock.
    clock: Option<&'static str>,
    ways: Ways,
    http: reqwest::Client,
    /// Each token as clients have it, and as the lab has it.
    tokens: Mutex<BTreeMap<String, String>>,
    refresh_tokens: Mutex<Vec<String>>,
}

impl Front {
    fn tokens(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A text with the tokens that the lab knows in it.
    fn in_lab_words(&self, text: &str) -> String {
        self.tokens().iter().fold(text.to_owned(), |text, (own, of_lab)| text.replace(own, of_lab))
    }
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str(), head.uri.path());
    let body = String::from_utf8(to_bytes(body, 1 << 20).await.expect("a body").to_vec()).expect("text");
    let is_asked = |pair: &&str| front.ways.exchanges_as.is_none() || !pair.starts_with("requested_token_type=");
    let body = body.split('&').filter(is_asked).collect::<Vec<_>>().join("&");
    let text = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    if path == "/api/me" {
        if front.ways.messages && method == "GET" {
            return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
        }
        let shown = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ").map(ToOwned::to_owned));
        let refreshes = |token: &String| front.refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner).contains(token);
        if front.ways.scoped && shown.as_ref().is_some_and(refreshes) {
            return (StatusCode::FORBIDDEN, [(header::WWW_AUTHENTICATE, "Bearer error=\"insufficient_scope\"")]).into_response();
        }
        if front.ways.remembers && shown.is_some_and(|token| front.tokens().contains_key(&token)) {
            return ([(header::CONTENT_TYPE, "application/json")], json!({ "name": "Alice" }).to_string()).into_response();
        }
    }
    let query = head.uri.query().map(|query| format!("?{}", front.in_lab_words(query))).unwrap_or_default();
    let mut forwarded = front.http.request(head.method.clone(), format!("{}{path}{query}", front.lab)).body(front.in_lab_words(&body));
    let clock = front.clock.map(header::HeaderName::from_static);
    for name in [header::CONTENT_TYPE, header::ACCEPT, header::AUTHORIZATION].into_iter().chain(clock) {
        if let Some(value) = text(name.clone()) {
            forwarded = forwarded.header(name, front.in_lab_words(&value));
        }
    }
    let answer = forwarded.send().await.expect("the lab answers");
    let mut response = Response::builder().status(answer.status().as_u16());
    for (name, value) in answer.headers().iter().filter(|(n, _)| *n != header::CONTENT_LENGTH && *n != header::TRANSFER_ENCODING) {
        response = response.header(name.as_str(), value.as_bytes());
    }
    let mut text = answer.text().await.expect("a body");
    if path == "/token"
        && let Some(token) = serde_json::from_str::<Value>(&text).ok().and_then(|said| said["access_token"].as_str().map(ToOwned::to_owned))
    {
        let own = if front.ways.opaque { eval::random(40) } else { token.clone() };
        text = text.replace(&token, &own);
        if let Some(token) =
            serde_json::from_str::<Value>(&text).ok().and_then(|said| said["refresh_token"].as_str().map(ToOwned::to_owned))
        {
            front.refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner).push(token);
        }
        front.tokens().insert(own, token);
        if let Some(called) = front.ways.exchanges_as {
            text = text.replace("token-type:access_token", &format!("token-type:{called}"));
        }
    }
    response.body(Body::from(text)).expect("a response")
}

/// The lab behind a front, where introspection is the place of proof: userinfo is for the scope `openid`, which nobody asks for.
async fn fronted(flaws: &[Flaw], ways: Ways) -> (Lab, Target) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (lab, mut target) = lab(flaws).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
    let front = Arc::new(Front {
        lab: lab.issuer().to_owned(),
        clock: lab.clock_header(),
        ways,
        http,
        tokens: Mutex::default(),
        refresh_tokens: Mutex::default(),
    });
    let app = axum::Router::new().fallback(serve).with_state(front);
    tokio::spawn(async move { axum::serve(listener, app).await });
    target.origins.extend(origin(&base));
    let at = |path: &str| Some(format!("{base}{path}"));
    (target.endpoints.token, target.endpoints.introspection, target.endpoints.revocation) =
        (at("/token"), at("/introspect"), at("/revoke"));
    target.extras.resource_indicator = target.resource.take();
    target.resource = at("/api/me");
    target.scope = "profile offline_access".into();
    // As at other servers, where a pause takes time.
    target.clock_header = None;
    (lab, target)
}

fn seen<'r>(report: &'r Report, id: &str) -> &'r ScenarioVerdict {
    report.verdicts.iter().find(|v| v.id == id).unwrap_or_else(|| panic!("no {id}"))
}

/// What each scenario came to, with the reason for who reads a failure.
fn assert_all(report: &Report, ids: &[&str], expected: Verdict) {
    for id in ids {
        let verdict = seen(report, id);
        assert_eq!(verdict.verdict, expected, "{id}: {}", verdict.reason);
    }
}

/// Where introspection calls a token dead and the API goes on taking it, the token lives. An API that verifies JWTs by itself cannot know.
#[tokio::test(flavor = "multi_thread")]
async fn what_introspection_calls_dead_is_shown_to_the_api() {
    let ids = ["revocation/access-token-dead", "revocation/refresh-kills-access", "code/replay-revokes-access"];
    for (opaque, remembers, expected) in
        [(true, false, Verdict::Holds), (true, true, Verdict::Broken), (false, false, Verdict::Holds), (false, true, Verdict::Holds)]
    {
        let (_lab, target) = fronted(&[], Ways { opaque, remembers, ..Ways::default() }).await;
        let report = run_on(&target, &ids).await;
        assert_eq!(report.fatal, None);
        assert_all(&report, &ids, expected);
        if expected == Verdict::Holds {
            // That a token is not active is all that introspection says of it (RFC 7662 §2.2).
            let deviations: Vec<&String> = ids.iter().filter_map(|id| seen(&report, id).deviation.as_ref()).collect();
            assert_eq!(deviations, [""; 0]);
        } else {
            let reason = &seen(&report, ids[0]).reason;
            assert!(reason.contains("introspection did not take it; at "), "{reason}");
        }
    }
}

/// A JWT that introspection refuses as it has expired is refused by an API that looks at its time.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_shown_to_the_api() {
    for (remembers, expected) in [(false, Verdict::Holds), (true, Verdict::Broken)] {
        let (lab, mut target) = fronted(&[], Ways { remembers, ..Ways::default() }).await;
        target.clock_header = lab.clock_header();
        let report = run_on(&target, &["jwt-access-token/expired-accepted"]).await;
        assert_all(&report, &["jwt-access-token/expired-accepted"], expected);
    }
}

/// Introspection may answer for any token: where it is the place of proof, the API says whether one opens something.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_other_kinds_are_shown_to_the_api() {
    for (flaw, expected) in [(None, Verdict::Holds), (Some(Flaw::TokenTypeConfusion), Verdict::Broken)] {
        for opaque in [true, false] {
            let (_lab, target) = fronted(flaw.as_slice(), Ways { opaque, ..Ways::default() }).await;
            let report = run_on(&target, &["refresh/as-access-token", "bearer/tampered-opaque"]).await;
            assert_all(&report, &["refresh/as-access-token"], expected);
            assert_all(&report, &["bearer/tampered-opaque"], Verdict::Holds);
            assert_eq!(seen(&report, "bearer/tampered-opaque").deviation, None);
        }
    }
}

/// Whoever misses a scope has taken the token for genuine: no defense was seen but that of the scope.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lacks_a_scope_was_not_refused() {
    for (scoped, expected) in [(false, Verdict::Holds), (true, Verdict::NotApplicable)] {
        let (_lab, target) = fronted(&[], Ways { scoped, ..Ways::default() }).await;
        let report = run_on(&target, &["refresh/as-access-token"]).await;
        let variant = |id: &str| {
            let variants = &seen(&report, "refresh/as-access-token").variants;
            let found = variants.iter().find(|v| v.id.ends_with(id)).unwrap_or_else(|| panic!("no {id}"));
            (found.verdict, &found.reason)
        };
        assert_eq!(variant("/refresh-as-access").0, expected, "{}", variant("/refresh-as-access").1);
        assert_eq!(variant("/code-as-access").0, Verdict::Holds);
    }
}

/// An MCP server that knows no GET takes a token with the message that begins a session.
#[tokio::test(flavor = "multi_thread")]
async fn an_mcp_server_takes_tokens_with_a_message() {
    let ids = ["bearer/no-token", "bearer/query-parameter", "refresh/as-access-token"];
    let run = async |flaws: &[Flaw], opaque: bool| {
        let (_lab, mut target) = fronted(flaws, Ways { opaque, messages: true, ..Ways::default() }).await;
        // Nobody may introspect either: what is shown, is shown to the MCP server.
        target.clients.retain(|role, _| matches!(role.name(), "public" | "second"));
        run_on(&target, &["bearer/", "refresh/as-access-token", "jwt-access-token/alg-none", "mcp/unauthenticated-resource"]).await
    };
    for opaque in [true, false] {
        let report = run(&[], opaque).await;
        assert_all(&report, &ids, Verdict::Holds);
        assert_all(&report, &["mcp/unauthenticated-resource", "bearer/tampered-opaque"], Verdict::Holds);
        assert_all(&report, &["jwt-access-token/alg-none"], if opaque { Verdict::NotApplicable } else { Verdict::Holds });
    }
    for (flaw, id) in [(Flaw::BearerInQuery, ids[1]), (Flaw::TokenTypeConfusion, ids[2])] {
        let report = run(&[flaw], true).await;
        assert_all(&report, &[id], Verdict::Broken);
        assert_all(&report, &["bearer/no-token"], Verdict::Holds);
    }
    // A session that begins without any token shows nothing of one.
    let report = run(&[Flaw::McpResourceOpen], true).await;
    assert_all(&report, &ids[..2], Verdict::NotApplicable);
    assert_all(&report, &["mcp/unauthenticated-resource"], Verdict::Broken);
}

/// A refusal of an unknown resource is seen whatever the token says; what an opaque one is good for is not.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_resources_with_opaque_tokens() {
    for (flaw, expected) in [(None, Verdict::Holds), (Some(Flaw::ResourceUnvalidated), Verdict::NotApplicable)] {
        let (_lab, target) = fronted(flaw.as_slice(), Ways { opaque: true, ..Ways::default() }).await;
        let report = run_on(&target, &["resource-indicators/unknown-target"]).await;
        assert_all(&report, &["resource-indicators/unknown-target"], expected);
    }
}

/// A token that was asked for a stranger's MCP server: what it is good for is seen where this one takes it, whatever it says.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_stranger_is_shown_to_the_mcp_server() {
    let id = "resource-indicators/aud-restricted";
    let cases =
        [(None, Verdict::Holds), (Some(Flaw::ResourceUnvalidated), Verdict::Holds), (Some(Flaw::ResourceUnchecked), Verdict::Broken)];
    for (flaw, expected) in cases {
        let (_lab, target) = fronted(flaw.as_slice(), Ways { opaque: true, ..Ways::default() }).await;
        let report = run_on(&target, &[id]).await;
        assert_all(&report, &[id], expected);
    }
}

/// What an exchange gives is known by where it is taken, and not by what the answer calls it (RFC 8693 §2.2.1).
#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_is_called_a_refresh_token_is_none() {
    let id = "token-exchange/type-confusion";
    for called in ["access_token", "refresh_token", "jwt"] {
        let (_lab, mut target) = fronted(&[], Ways { exchanges_as: Some(called), ..Ways::default() }).await;
        target.scope = "openid profile offline_access".into();
        let report = run_on(&target, &[id]).await;
        assert_all(&report, &[id], Verdict::Holds);
        let wanted = seen(&report, id).variants.iter().find(|v| v.id.ends_with("/refresh-token-wanted")).expect("the variant");
        assert_eq!(wanted.verdict, Verdict::Holds, "{called}: {}", wanted.reason);
    }
}
