//! What the target file says of clients reaches the server, and the verdicts stay what they are: pushed and signed requests,
//! DPoP, audiences, added parameters, certificates.

mod common;
#[path = "common/gate.rs"]
mod gate;

use std::sync::Arc;

use common::{Mischief, behind, lab, run_on};
use gate::{Gate, Rules};
use grantproof::engine::http::{Failure, Http, Request, Shows};
use grantproof::lab::Flaw;
use grantproof::model::report::Report;
use grantproof::model::step::ClientRole;
use grantproof::model::verdict::Verdict;
use grantproof::target::{Audience, Client, ClientAuthentication, ExtraValue, Secret, Target, Use, load, origin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The lab behind a gate, with its confidential client alone, which signs with its secret.
async fn gated(flaws: &[Flaw], rules: Rules) -> (grantproof::lab::Lab, Gate, Target) {
    let (lab, mut target) = lab(flaws).await;
    let client = target.client(ClientRole::Confidential).expect("a client").clone();
    let secret = client.authentication.secret().expect("a secret").clone();
    let gate = Gate::open(&target.issuer, (&client.id, secret.reveal()), rules.clone()).await;
    let at = |path: &str| Some(format!("{}{path}", gate.base()));
    (target.endpoints.authorization, target.endpoints.token, target.endpoints.userinfo) = (at("/authorize"), at("/token"), at("/userinfo"));
    target.origins.extend(origin(gate.base()));
    target.endpoints.pushed_authorization = at("/par");
    target.extras.pushed = if rules.pushed { Use::Always } else { Use::Never };
    target.extras.request_objects = if rules.signed { Use::Always } else { Use::Never };
    target.resource = None;
    // The gate does not hand on what moves the lab's clock.
    target.clock_header = None;
    let own = Client { dpop: rules.dpop, ..Client::new(&client.id, &client.redirect_uri, ClientAuthentication::SecretJwt(secret)) };
    target.clients = [(ClientRole::Confidential, own)].into();
    (lab, gate, target)
}

fn verdict(report: &Report, id: &str) -> Verdict {
    report.verdicts.iter().find(|v| v.id == id).unwrap_or_else(|| panic!("no {id}")).verdict
}

fn undecided(report: &Report) -> Vec<String> {
    let open = |v: &&grantproof::model::report::ScenarioVerdict| v.selected && v.verdict == Verdict::Inconclusive;
    report.verdicts.iter().filter(open).map(|v| format!("{}: {}", v.id, v.reason)).collect()
}

const GROUPS: &[&str] =
    &["pkce", "redirect-uri", "code", "refresh", "client-auth", "state/", "race/code", "race/refresh", "bearer", "jwt-access-token"];

#[tokio::test(flavor = "multi_thread")]
async fn pushed_requests_with_proofs() {
    let rules = Rules { pushed: true, dpop: true, ..Rules::default() };
    let (_lab, gate, target) = gated(&[], rules.clone()).await;
    let report = run_on(&target, GROUPS).await;
    assert!(report.fatal.is_none(), "{:?}", report.fatal);
    assert_eq!(undecided(&report), [""; 0]);
    assert_eq!(common::count(&report, Verdict::Broken), 0, "{:?}", report.verdicts.iter().find(|v| v.verdict == Verdict::Broken));
    assert!(common::count(&report, Verdict::Holds) > 35);
    let all = serde_json::to_string(&report).expect("JSON");
    assert!(all.contains("‹request_uri ") && all.contains("‹dpop_proof ") && all.contains("‹client_assertion "));
    // An attack forges from a JWT that stands in its scenario; and thousands of drawn letters may have these three in them.
    let all = all.replace("eyJ0eXAiOiJKV1QifQ.e30.AA", "");
    let begins_word = |at: usize| !all[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let token = all.match_indices("eyJ").find(|(at, _)| begins_word(*at)).map(|(at, _)| all.get(at.saturating_sub(120)..at + 60));
    assert_eq!(token, None, "a token is in the report");
    assert!(!all.contains("urn:gate:"), "a request_uri is in the report");
    // One try without a nonce at the gate, and then never again.
    let wanting: Vec<_> = gate.log().into_iter().filter(|l| l.contains("use_dpop_nonce")).collect();
    assert_eq!(wanting, ["/par use_dpop_nonce"]);
    assert!(!gate.log().iter().any(|l| l.contains("invalid_dpop_proof")), "{:?}", gate.log());

    // What is broken is broken by this way too, and nothing else is.
    let flaws = [(Flaw::PkcePlainAccepted, "pkce/plain-method"), (Flaw::RedirectUriUnchecked, "redirect-uri/foreign-host")];
    for (flaw, id) in flaws {
        let (_lab, _gate, target) = gated(&[flaw], rules.clone()).await;
        let report = run_on(&target, &[id, "pkce/wrong-verifier"]).await;
        assert_eq!(verdict(&report, id), Verdict::Broken, "{id}");
        assert_eq!(verdict(&report, "pkce/wrong-verifier"), Verdict::Holds);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_requests_pushed_or_not() {
    for pushed in [false, true] {
        let (_lab, _gate, target) = gated(&[], Rules { pushed, signed: true, ..Rules::default() }).await;
        let report = run_on(&target, &["pkce", "redirect-uri", "state/"]).await;
        assert_eq!((undecided(&report), common::count(&report, Verdict::Broken)), (Vec::new(), 0));
        // JSON has each member once.
        assert_eq!(verdict(&report, "redirect-uri/duplicate-parameter"), Verdict::NotApplicable);
        let (_lab, _gate, target) = gated(&[Flaw::PkcePlainAccepted], Rules { pushed, signed: true, ..Rules::default() }).await;
        let report = run_on(&target, &["pkce/plain-method"]).await;
        assert_eq!(verdict(&report, "pkce/plain-method"), Verdict::Broken);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_that_bind_nothing_are_told() {
    let (_lab, _gate, target) = gated(&[], Rules { dpop: true, unbound: true, ..Rules::default() }).await;
    let report = run_on(&target, &["pkce/wrong-verifier", "bearer/no-token"]).await;
    assert!(report.warnings.iter().any(|w| w.contains("its tokens are of type `Bearer`")), "{:?}", report.warnings);
    assert_eq!(verdict(&report, "bearer/no-token"), Verdict::Holds, "shown as the Bearer tokens that they are");
    let facts = &report.controls.last().expect("a control").facts;
    assert_eq!(facts.get("client.sender_constrained").map(String::as_str), Some("false"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audience_of_assertions() {
    let wants = |audience: &str| Rules { audience: Some(audience.to_owned()), ..Rules::default() };
    // The default, refused: once more with the token endpoint, once for the run, and with a word about it.
    let (_lab, gate, target) = gated(&[], wants("/token")).await;
    let report = run_on(&target, &["pkce"]).await;
    assert!(report.warnings.iter().any(|w| w.contains("write `audience: token_endpoint`")), "{:?}", report.warnings);
    assert_eq!(verdict(&report, "pkce/wrong-verifier"), Verdict::Holds);
    assert_eq!(gate.refused_assertions(), 1);
    let report = run_on(&target, &["client-auth"]).await;
    assert_eq!(verdict(&report, "client-auth/wrong-secret"), Verdict::Holds);

    // What the file says is what is sent.
    for (key, wanted) in [(Audience::TokenEndpoint, "/token"), (Audience::Url("https://as.example/".into()), "https://as.example/")] {
        let (_lab, gate, mut target) = gated(&[], wants(wanted)).await;
        target.clients.get_mut(&ClientRole::Confidential).expect("a client").audience = Some(key);
        let report = run_on(&target, &["pkce/wrong-verifier"]).await;
        assert_eq!((verdict(&report, "pkce/wrong-verifier"), gate.refused_assertions()), (Verdict::Holds, 0));
    }
    let (_lab, gate, mut target) = gated(&[], wants("/token")).await;
    target.clients.get_mut(&ClientRole::Confidential).expect("a client").audience = Some(Audience::Issuer);
    let report = run_on(&target, &["pkce/wrong-verifier"]).await;
    common::assert_nothing_judged(&report, "the wrong audience", &["invalid_client", "`audience`"]);
    assert_eq!(gate.refused_assertions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_the_target_file_adds() {
    let (_lab, target) = lab(&[]).await;
    let (mut target, proxy) = behind(&target, usize::MAX, "/", Mischief::Cut).await;
    target.extras.parameters = vec![("nonce".into(), ExtraValue::Random), ("audience".into(), ExtraValue::Text("https://api".into()))];
    let api = target.resource.clone().expect("the lab has an API");
    target.extras.resource_indicator = Some(api.clone());
    let ids = ["pkce/challenge-missing-confidential", "authorize/implicit-token", "state/missing"];
    let report = run_on(&target, &ids).await;
    for id in ids {
        let found = report.verdicts.iter().find(|v| v.id == id).map(|v| &v.reason);
        assert_eq!(verdict(&report, id), Verdict::Holds, "{id}: {found:?}");
    }
    let seen = proxy.seen.lock().expect("the log").clone();
    let pairs = |r: &String| grantproof::wire::parse_form(grantproof::wire::query_of(r.split(' ').nth(1).unwrap_or_default()));
    let requests: Vec<_> = seen.iter().filter(|r| r.starts_with("GET /authorize?")).map(pairs).filter(|p| !p.is_empty()).collect();
    let mut nonces = std::collections::BTreeSet::new();
    let mut bare = 0;
    for request in &requests {
        let all = |name: &str| -> Vec<&str> { request.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect() };
        if all("response_type").is_empty() || all("client_id").iter().any(|id| id.starts_with("grantproof-")) {
            continue; // on the way back from the login
        }
        assert_eq!((all("audience"), all("resource")), (vec!["https://api"], vec![api.as_str()]), "{request:?}");
        match all("nonce").as_slice() {
            // What happens with neither challenge nor nonce is the question of these attacks.
            [] => bare += usize::from(all("code_challenge").is_empty() && all("response_type") == ["code"]),
            // An attack's own nonce is the only one.
            [nonce] => assert!(nonces.insert((*nonce).to_owned()), "a nonce came twice"),
            more => panic!("{more:?}"),
        }
    }
    assert!(bare >= 3, "{requests:#?}");
    assert!(nonces.len() > 5);
    let tokens = seen.iter().filter(|r| r.starts_with("POST /token") && r.contains("grant_type=authorization_code&"));
    assert!(tokens.clone().count() > 0 && tokens.clone().all(|r| r.contains(&format!("resource={}", grantproof::wire::encode(&api)))));
}

/// RFC 6749 §2.3.1 has name and secret form-encoded; servers that read them as they stand are met half-way, and only in a control.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_goes_out_as_the_server_takes_it() {
    const SECRET: &str = "a/b+c=%41 d";
    let told = |report: &Report| report.warnings.iter().any(|warning| warning.contains("taken as they stand"));
    for (flaw, expected) in [(None, Verdict::Holds), (Some(Flaw::CodeReusable), Verdict::Broken)] {
        let (_lab, gate, mut target) = gated(flaw.as_slice(), Rules { bare_secret: Some(SECRET), ..Rules::default() }).await;
        let client = target.clients.get_mut(&ClientRole::Confidential).expect("a client");
        client.authentication = ClientAuthentication::Basic(Secret::new(SECRET));
        let report = run_on(&target, &["code/replay", "client-auth/wrong-secret"]).await;
        assert_eq!(report.fatal, None);
        assert!(told(&report), "{:?}", report.warnings);
        assert_eq!(verdict(&report, "client-auth/wrong-secret"), Verdict::Holds);
        assert_eq!(verdict(&report, "code/replay"), expected, "{flaw:?}");
        // One try form-encoded, the wrong secrets of the attack at both grants, and nothing else that is refused.
        assert!(gate.log().len() < 13, "{:?}", gate.log());
    }
    // A secret that is wrong either way is wrong.
    let (_lab, _gate, mut target) = gated(&[], Rules { bare_secret: Some(SECRET), ..Rules::default() }).await;
    let client = target.clients.get_mut(&ClientRole::Confidential).expect("a client");
    client.authentication = ClientAuthentication::Basic(Secret::new("x/y"));
    let report = run_on(&target, &["client-auth/wrong-secret"]).await;
    assert!(!told(&report) && report.fatal.is_some_and(|why| why.contains("invalid_client")));
}

/// Some servers look for `client_id` in the body alone, whatever the Basic header says (RFC 6749 §2.3.1 asks it of no client): found out in a control, and
/// then said beside every pair, wrong ones too.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_stands_beside_the_pair_where_the_server_wants_it() {
    let (lab, _gate, mut target) = gated(&[], Rules { named_beside_pair: true, ..Rules::default() }).await;
    let clients = &lab.directory().clients;
    let secret = clients.iter().find(|client| client.role == "confidential").and_then(|client| client.secret.clone());
    let client = target.clients.get_mut(&ClientRole::Confidential).expect("a client");
    client.authentication = ClientAuthentication::Basic(Secret::new(secret.expect("a secret")));
    let report = run_on(&target, &["client-auth/wrong-secret"]).await;
    assert_eq!(report.fatal, None);
    let told = report.warnings.iter().filter(|warning| warning.contains("only where `client_id` stands in the body")).count();
    assert_eq!(told, 1, "{:?}", report.warnings);
    assert_eq!(verdict(&report, "client-auth/wrong-secret"), Verdict::Holds);
    // The pair of the attack is wrong, and nothing else about its request.
    let variants = report.verdicts.iter().flat_map(|v| &v.variants);
    let trials: Vec<_> = variants.flat_map(|v| v.attempts.load().expect("evidence").into_owned()).collect();
    let redeemed = trials.iter().flat_map(|trial| &trial.steps).filter(|step| step.step == "redeem");
    let bodies: Vec<_> = redeemed.flat_map(|step| &step.exchanges).map(|exchange| &exchange.request_body).collect();
    assert!(!bodies.is_empty() && bodies.iter().all(|body| body.contains("client_id=")), "{bodies:?}");
}

/// A server that answers a registration with a client that it has already: the run says so, registers nothing more, and removes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_target_file_is_never_removed() {
    let (_lab, mut target) = lab(&[]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = serde_json::json!({
        "client_id": target.client(ClientRole::Public).expect("a client").id,
        "registration_client_uri": format!("{base}/manage"),
        "registration_access_token": "management",
    });
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let server = axum::Router::new().fallback(move |request: axum::extract::Request| async move {
        told.lock().expect("a lock").push(format!("{} {}", request.method(), request.uri().path()));
        (axum::http::StatusCode::CREATED, [("content-type", "application/json")], answer.to_string())
    });
    tokio::spawn(async move { axum::serve(listener, server).await });
    target.endpoints.registration = Some(format!("{base}/register"));
    target.origins.extend(origin(&base));
    let report = run_on(&target, &["dcr/", "consent/", "pkce/wrong-verifier"]).await;
    assert_eq!(*seen.lock().expect("a lock"), ["POST /register"]);
    assert!(report.warnings.iter().any(|warning| warning.contains("answered a registration with client")), "{:?}", report.warnings);
    assert_eq!(report.fatal, None);
    let certain = |v: &&grantproof::model::report::ScenarioVerdict| matches!(v.verdict, Verdict::Holds | Verdict::Broken);
    let certain: Vec<&str> = report.verdicts.iter().filter(certain).map(|v| v.id.as_str()).collect();
    assert!(certain.contains(&"pkce/wrong-verifier") && !certain.iter().any(|id| id.starts_with("dcr/")), "{certain:?}");
}

/// A public client without the refresh grant, as many servers have them: what it does not get, the next client of the target file may.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_client_shows_what_the_first_does_not_get() {
    for (flaw, expected) in [(None, Verdict::Holds), (Some(Flaw::RefreshScopeEscalation), Verdict::Broken)] {
        let (lab, mut target) = lab(flaw.as_slice()).await;
        let public = target.client(ClientRole::Public).expect("a client").clone();
        let wish = serde_json::json!({
            "redirect_uris": [public.redirect_uri],
            "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "none",
        });
        let http = Http::new(&target).expect("a client");
        let request = Request {
            method: "POST".into(),
            url: format!("{}/register", lab.issuer()),
            headers: vec![
                ("content-type".into(), "application/json".into()),
                ("authorization".into(), format!("Bearer {}", lab.directory().initial_access_token)),
            ],
            body: Some(wish.to_string().into_bytes()),
            ..Request::default()
        };
        let answer = http.send(&request).await.expect("an answer");
        let answer: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
        let id = answer["client_id"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let own = Client::new(id, &public.redirect_uri, ClientAuthentication::None);
        target.clients.insert(ClientRole::Public, own);
        let report = run_on(&target, &["refresh/scope-escalation", "refresh/rotation"]).await;
        assert_eq!(report.fatal, None);
        // Which client it is, does not matter to the first; the second is about public ones.
        assert_eq!(verdict(&report, "refresh/scope-escalation"), expected);
        assert_eq!(verdict(&report, "refresh/rotation"), Verdict::NotApplicable);
        assert!(report.controls.iter().any(|control| control.name.contains("as another client")));

        target.clients.retain(|role, _| *role == ClientRole::Public);
        let report = run_on(&target, &["refresh/scope-escalation"]).await;
        assert_eq!(verdict(&report, "refresh/scope-escalation"), Verdict::NotApplicable);
    }
}

fn load(text: &str) -> Result<Target, Vec<String>> {
    let head = "name: t\nissuer: http://127.0.0.1:1\nusers: {default: {name: a, password: \"plain:secret-of-a-test\"}}\n";
    let folder = std::path::Path::new(".");
    load::from_text("t.yaml", &format!("{head}{text}"), folder).map_err(|d| d.iter().map(ToString::to_string).collect())
}

#[test]
fn mistakes_in_the_target_file() {
    let conf = |more: &str| format!("clients: {{confidential: {{id: c, redirect_uri: \"https://a/cb\", {more}}}}}\n");
    let table = [
        (conf("secret: \"plain:x\", audience: issuer"), "client_secret_basic has none"),
        (conf("auth: client_secret_jwt, secret: \"plain:x\", audience: tokens"), "`tokens` is no audience"),
        (conf("auth: client_secret_jwt"), "the client has no secret"),
        (conf("auth: tls_client_auth"), "a client certificate is a certificate and its key"),
        (conf("secret: \"plain:x\", certificate: \"plain:x\""), "a client certificate is a certificate and its key"),
        (conf("secret: \"plain:x\", certificate: \"plain:x\", certificate_key: \"plain:x\""), "the file holds no certificate"),
        (format!("{}authorization_parameters: {{state: x}}\n", conf("secret: \"plain:x\"")), "fills in `state` itself"),
        (format!("{}authorization_parameters: {{resource: x}}\n", conf("secret: \"plain:x\"")), "write `resource_indicator: URL`"),
        (format!("{}resource_indicator: api\n", conf("secret: \"plain:x\"")), "no absolute URI"),
        (format!("{}pushed_authorization: sometimes\n", conf("secret: \"plain:x\"")), "sometimes"),
    ];
    for (text, said) in table {
        let found = load(&text).map(|_| ()).expect_err(said);
        assert!(found.iter().any(|d| d.contains(said) && d.contains("t.yaml:")), "{text}: {found:?}");
    }
    let target = load(&format!("{}tls: {{insecure: true}}\n", conf("secret: \"plain:x\", dpop: true"))).expect("a target");
    assert!(target.insecure_tls && target.clients[&ClientRole::Confidential].sender_constrained);
}

/// A TLS server that asks for a client certificate, takes any or none, and answers with how many it was shown.
async fn counting(identity: &rcgen::CertifiedKey<rcgen::KeyPair>, versions: &[&'static rustls::SupportedProtocolVersion]) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rustls::pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der()).expect("a key");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(identity.cert.der().clone()).expect("a root");
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build().expect("a verifier");
    let config = rustls::ServerConfig::builder_with_protocol_versions(versions)
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.cert.der().clone()], key)
        .expect("a set-up");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let shown = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
                let mut request = Vec::new();
                while !request.windows(4).any(|w| w == b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|n| n > 0) {}
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n{shown}");
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_in_both_drivers() {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let base = counting(&identity, rustls::ALL_VERSIONS).await;
    let scratch = tempfile::tempdir().expect("a folder");
    std::fs::write(scratch.path().join("c.pem"), identity.cert.pem()).expect("a file");
    std::fs::write(scratch.path().join("c.key"), identity.signing_key.serialize_pem()).expect("a file");
    let text = |tls: &str| {
        format!(
            "name: t\nissuer: {base}\nusers: {{default: {{name: a, password: \"plain:secret-of-a-test\"}}}}\ntls: {{{tls}}}\nclients: {{confidential: \
             {{id: c, redirect_uri: \"https://a/cb\", auth: self_signed_tls_client_auth, certificate: file:c.pem, certificate_key: file:c.key}}}}\n"
        )
    };
    let http = |tls: &str| {
        let target = load::from_text("t.yaml", &text(tls), scratch.path()).unwrap_or_else(|d| panic!("{}", d[0]));
        Http::new(&target).expect("a client")
    };
    let ask = |path: &str, client: Option<&str>| Request {
        method: "GET".into(),
        url: format!("{base}{path}"),
        shows: client.map_or(Shows::Nothing, |client| Shows::CertificateOf(client.to_owned())),
        ..Request::default()
    };
    // The second path is one that only the raw driver sends as it stands.
    for tls in ["ca: c.pem", "insecure: true"] {
        let http = http(tls);
        for path in ["/plain", "/a/../b"] {
            for (client, shown) in [(Some("c"), "1"), (None, "0"), (Some("c"), "1")] {
                let answer = http.send(&ask(path, client)).await.unwrap_or_else(|e| panic!("{tls} {path}: {e}"));
                assert_eq!(answer.text(), shown, "{tls} {path} {client:?}");
            }
        }
        let burst = http.burst(&[ask("/x", Some("c")), ask("/x", Some("c"))]).await;
        assert!(burst.iter().all(|answer| answer.as_ref().is_ok_and(|r| r.text() == "1")), "{burst:?}");
    }
    // Without either, a certificate that nobody vouches for is refused.
    assert!(matches!(http("").send(&ask("/plain", None)).await, Err(Failure::Unreachable(_))));
}

/// A certificate that the server refuses is no server that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_likeness_is_shown_and_refused_with_an_alert() {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    // In TLS 1.3 the alert and the end of the connection may come in either order, while the client still writes.
    let base = counting(&identity, &[&rustls::version::TLS12]).await;
    let scratch = tempfile::tempdir().expect("a folder");
    std::fs::write(scratch.path().join("c.pem"), identity.cert.pem()).expect("a file");
    std::fs::write(scratch.path().join("c.key"), identity.signing_key.serialize_pem()).expect("a file");
    let text = format!(
        "name: t\nissuer: {base}\nusers: {{default: {{name: a, password: \"plain:secret-of-a-test\"}}}}\ntls: {{ca: c.pem}}\nclients: {{mtls: {{id: c, \
         redirect_uri: \"https://a/cb\", auth: tls_client_auth, certificate: file:c.pem, certificate_key: file:c.key}}, public: {{id: p, redirect_uri: \
         \"https://a/cb\"}}}}\n"
    );
    let target = load::from_text("t.yaml", &text, scratch.path()).unwrap_or_else(|d| panic!("{}", d[0]));
    let http = Http::new(&target).expect("a client");
    // The second path is one that only the raw driver sends as it stands.
    for path in ["/plain", "/a/../b"] {
        let ask = |shows| Request { method: "GET".into(), url: format!("{base}{path}"), shows, ..Request::default() };
        let like = ask(Shows::LikenessOf("c".into()));
        let answer = http.send(&like).await;
        assert!(matches!(answer, Err(Failure::Alert(_))), "{path}: {answer:?}");
        assert!(http.was_asked(&like));
        for (shows, shown) in [(Shows::Nothing, "0"), (Shows::CertificateOf("c".into()), "1")] {
            let answer = http.send(&ask(shows)).await.unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(answer.text(), shown, "{path}");
        }
    }
}
