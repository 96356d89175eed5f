use serde_json::{Value, json};

use super::*;

fn answers() -> Answers {
    Answers {
        register: false,
        redirect_uri: "https://app.example/cb".into(),
        user: "alice".into(),
        other_user: "bob".into(),
        permission_by: String::new(),
        permission_until: String::new(),
    }
}

/// The file for some metadata that was found at an address on loopback, and what was doubtful.
fn written(asked: &str, metadata: &Value) -> (String, Vec<Notice>) {
    let metadata = metadata.as_object().expect("an object").clone();
    let place = format!("{asked}/.well-known/openid-configuration");
    let mut found = Found { asked: asked.into(), metadata, place, ..Found::default() };
    let (issuer, names_document) = doubts::issuer(&mut found);
    let mut notices = found.notices.clone();
    notices.extend(doubts::others(&found));
    let elsewhere = doubts::elsewhere(&found, &issuer);
    let hosts: Vec<(String, bool)> = elsewhere.into_iter().map(|(origin, _)| (origin.clone(), target::is_loopback(&origin))).collect();
    let scope = propose::scope(&found);
    let extra = propose::extra_scope(&found, &scope);
    let text = file::text(&file::Facts {
        found: &found,
        issuer: &issuer,
        names_document,
        hosts: &hosts,
        scope: &scope,
        extra_scope: extra.as_deref(),
        methods: &propose::methods(&found),
        answers: &answers(),
        enrolment: None,
        notices: &notices,
        loopback: true,
        ca: None,
    });
    (text, notices)
}

fn read_back(text: &str) -> Target {
    let with_secrets = text.replace("env:GRANTPROOF", "plain:GRANTPROOF").replace("file:client-key.pem", "plain:key");
    target::load::from_text("t.yaml", &with_secrets, Path::new(".")).unwrap_or_else(|d| panic!("{}\n{text}", d[0]))
}

#[test]
fn what_is_written_is_read_back() {
    let (text, notices) = written(
        "http://127.0.0.1:1/realms/x",
        &json!({
            "issuer": "http://127.0.0.1:1/realms/x", "authorization_endpoint": "http://127.0.0.1:1/a", "token_endpoint": "http://127.0.0.1:2/t",
            "scopes_supported": ["openid", "email", "offline_access"], "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
        }),
    );
    let target = read_back(&text);
    assert_eq!((target.issuer.as_str(), target.scope.as_str()), ("http://127.0.0.1:1/realms/x", "openid offline_access"));
    assert_eq!((target.extra_scope.as_deref(), target.name.as_str()), (Some("email"), "127.0.0.1/realms/x"));
    assert!(target.origins.contains("http://127.0.0.1:2"), "another port of this machine is declared");
    assert!(text.contains("auth: client_secret_post") && text.contains("no `assertion`"), "{text}");
    assert_eq!(notices, []);
}

#[test]
fn a_host_elsewhere_is_not_contacted_before_a_person_says_so() {
    let (text, _) = written(
        "http://127.0.0.1:1",
        &json!({ "issuer": "http://127.0.0.1:1", "authorization_endpoint": "https://evil.example/a", "token_endpoint": "http://127.0.0.1:1/t" }),
    );
    assert!(text.contains("\n# hosts: [https://evil.example:443]"), "{text}");
    assert!(!read_back(&text).origins.iter().any(|o| o.contains("evil")), "{text}");
}

#[test]
fn another_issuer_does_not_move_the_test() {
    let (text, notices) = written(
        "http://127.0.0.1:1",
        &json!({ "issuer": "https://evil.example", "authorization_endpoint": "http://127.0.0.1:1/a", "token_endpoint": "http://127.0.0.1:1/t" }),
    );
    let target = read_back(&text);
    assert_eq!(target.issuer, "http://127.0.0.1:1");
    assert!(target.metadata.is_some() && !target.origins.iter().any(|o| o.contains("evil")), "{text}");
    assert!(notices[0].what.contains("https://evil.example") && text.contains("# WARNING"), "{notices:?}");
    // Another spelling of this machine is the server's own.
    let (text, _) = written(
        "http://localhost:1",
        &json!({ "issuer": "http://127.0.0.1:1", "authorization_endpoint": "http://127.0.0.1:1/a", "token_endpoint": "http://127.0.0.1:1/t" }),
    );
    assert_eq!(read_back(&text).issuer, "http://127.0.0.1:1");
}

#[test]
fn a_hostile_document_stays_text() {
    let evil = "http://127.0.0.1:1/\"\nname: evil\n#";
    let (text, _) =
        written(evil, &json!({ "issuer": evil, "scopes_supported": ["openid", "x\nname: evil"], "token_endpoint": "ftp://x\nname: evil" }));
    assert_eq!(text.lines().filter(|l| l.starts_with("name:")).count(), 1, "{text}");
}

#[test]
fn an_https_issuer_with_http_endpoints_and_demands_is_doubtful() {
    let found = Found {
        asked: "https://a.example".into(),
        metadata: json!({
            "issuer": "https://a.example", "authorization_endpoint": "https://a.example/a", "token_endpoint": "http://a.example/t",
            "require_pushed_authorization_requests": true, "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        })
        .as_object()
        .expect("an object")
        .clone(),
        ..Found::default()
    };
    let words: Vec<String> = doubts::others(&found).into_iter().map(|n| n.what).collect();
    for expected in ["`token_endpoint` is an http address", "RFC 9126", "does not list `none`"] {
        assert!(words.iter().any(|w| w.contains(expected)), "{expected}: {words:?}");
    }
}
