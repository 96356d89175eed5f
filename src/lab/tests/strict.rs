//! The strict lab, step by step.

use serde_json::{Value, json};

use super::forge;
use super::{ALL_SCOPES, CALLBACK, CHALLENGE, Outcome, Pairs, Tester, VERIFIER, encode};

#[tokio::test]
async fn the_whole_flow_of_a_user() -> Outcome {
    let t = Tester::strict().await?;
    let base = [
        ("response_type", "code"),
        ("client_id", "lab-public"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email"),
        ("state", "s t&ä"),
        ("nonce", "n-0"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let query = encode(&base);
    let first = t.browse(&format!("/authorize?{query}"), None).await?;
    assert_eq!(first.status, 303);
    assert!(first.location().starts_with("/login?tx="));

    // A wrong password, then the right one.
    let page = t.browse(first.location(), None).await?;
    assert_eq!((page.status, page.header("x-frame-options")), (200, "DENY"));
    assert_eq!(page.header("cache-control"), "no-store");
    let (tx, csrf) = (page.field("tx"), page.field("csrf"));
    let user = &t.lab.directory().users[0];
    let login = |password| [("tx", tx.clone()), ("csrf", csrf.clone()), ("username", user.name.clone()), ("password", password)];
    let wrong = login("wrong".to_owned());
    let wrong = t.browse("/login", Some(&borrowed(&wrong))).await?;
    assert_eq!(wrong.status, 200);
    assert!(wrong.body.contains("Name or password is wrong"));
    let right = login(user.password.clone());
    let right = t.browse("/login", Some(&borrowed(&right))).await?;
    assert_eq!(right.status, 303);
    let cookie = right.header("set-cookie");
    assert!(cookie.starts_with("lab_session=") && cookie.ends_with("HttpOnly; Secure; SameSite=Lax"));

    let page = t.browse(right.location(), None).await?;
    assert_eq!(page.body.matches("type=\"submit\"").count(), 2);
    assert!(page.body.find("Cancel") < page.body.find(">Allow<"));
    let decision = [("tx", &*tx), ("csrf", &*page.field("csrf")), ("decision", "allow")];
    let done = t.browse("/consent", Some(&decision)).await?;
    assert_eq!(done.status, 303);
    assert!(done.location().starts_with(CALLBACK));
    assert_eq!(done.param("state").as_deref(), Some("s t&ä"));
    assert_eq!(done.param("iss").as_deref(), Some(t.lab.issuer()));

    // The consent is remembered: now the answer comes at once.
    let direct = t.browse(&format!("/authorize?{query}"), None).await?;
    assert!(direct.location().starts_with(CALLBACK));

    let answer = t.redeem(&done.param("code").unwrap_or_default(), &[]).await?;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.text("scope"), "openid email");
    let (header, claims) = forge::read(&answer.text("id_token"))?;
    assert_eq!(header["alg"], "RS256");
    assert_eq!((&claims["nonce"], &claims["aud"]), (&json!("n-0"), &json!("lab-public")));
    assert!(claims["auth_time"].is_u64() && claims["at_hash"].is_string());
    let access = answer.text("access_token");
    let (header, claims) = forge::read(&access)?;
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(claims["aud"], json!(t.lab.directory().resource));

    let bearer = format!("Bearer {access}");
    let info = t.send("/userinfo", None, &[("authorization", &bearer)]).await?;
    assert_eq!(info.text("email"), "alice@users.example");
    assert_eq!(info.json()["name"], Value::Null);
    // The ID token is not an access token.
    assert!(!t.opens("/userinfo", &answer.text("id_token")).await?);
    assert!(t.is_active(&access).await?);
    assert!(t.is_active(&answer.text("refresh_token")).await?);
    assert!(!t.is_active("made-up").await?);
    Ok(())
}

fn borrowed<'a>(pairs: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    pairs.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test]
async fn tokens_end_as_they_should() -> Outcome {
    let t = Tester::strict().await?;
    // Rotation and reuse.
    let first = t.tokens().await?;
    let second = t.refresh(&first.text("refresh_token"), &[]).await?;
    assert_eq!(second.status, 200);
    assert!(!t.is_active(&first.text("refresh_token")).await?);
    let reuse = t.refresh(&first.text("refresh_token"), &[]).await?;
    assert_eq!((reuse.status, &*reuse.text("error")), (400, "invalid_grant"));
    let newest = t.refresh(&second.text("refresh_token"), &[]).await?;
    assert_eq!(newest.status, 400);
    assert!(!t.opens("/api/me", &second.text("access_token")).await?);
    assert!(!t.opens("/api/me", &first.text("access_token")).await?);

    // A refused scope does not use the refresh token up.
    let code = t.code(&[("scope", "api:read api:write")]).await?;
    let token = t.redeem(&code, &[]).await?.text("refresh_token");
    let wider = t.refresh(&token, &[("scope", ALL_SCOPES)]).await?;
    assert_eq!(wider.text("error"), "invalid_scope");
    let narrow = t.refresh(&token, &[("scope", "api:read")]).await?;
    assert_eq!(narrow.text("scope"), "api:read");
    let back = t.refresh(&narrow.text("refresh_token"), &[]).await?;
    assert_eq!(back.text("scope"), "api:read api:write");

    // Revocation of one access token, then of everything.
    let tokens = t.tokens().await?;
    let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
    let revoke = |token: String, client: &'static str| {
        let form = [("token", token), ("client_id", client.to_owned())];
        let t = &t;
        async move { t.send("/revoke", Some(&borrowed(&form)), &[]).await }
    };
    assert_eq!(revoke(access.clone(), "lab-second").await?.status, 400);
    assert!(t.opens("/api/me", &access).await?);
    assert_eq!(revoke(access.clone(), "lab-public").await?.status, 200);
    assert!(!t.opens("/api/me", &access).await?);
    let tokens = t.refresh(&refresh, &[]).await?;
    assert_eq!(revoke(tokens.text("refresh_token"), "lab-public").await?.status, 200);
    assert!(!t.opens("/api/me", &tokens.text("access_token")).await?);
    assert_eq!(revoke("unknown".to_owned(), "lab-public").await?.status, 200);
    assert_eq!(revoke(access, "nobody").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_wrong_verifier_does_not_use_the_code_up() -> Outcome {
    let t = Tester::strict().await?;
    let code = t.code(&[]).await?;
    let wrong = "w".repeat(43);
    for (change, error) in [
        (("code_verifier", wrong.as_str()), "invalid_grant"),
        (("code_verifier", ""), "invalid_grant"),
        (("code_verifier", "short"), "invalid_request"),
        (("redirect_uri", ""), "invalid_grant"),
        (("redirect_uri", "https://app.example/cb/"), "invalid_grant"),
        (("client_id", "lab-second"), "invalid_grant"),
        (("client_id", "nobody"), "invalid_client"),
        (("grant_type", ""), "invalid_request"),
        (("grant_type", "password"), "unsupported_grant_type"),
        (("client_secret", "x"), "invalid_client"),
    ] {
        let answer = t.redeem(&code, &[change]).await?;
        assert_eq!(answer.text("error"), error, "{change:?}");
    }
    let twice = [("code_verifier", VERIFIER), ("code_verifier", VERIFIER)];
    assert_eq!(t.redeem(&code, &twice).await?.text("error"), "invalid_request");
    assert_eq!(t.redeem(&code, &[]).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn authorization_errors_go_where_they_belong() -> Outcome {
    let t = Tester::strict().await?;
    t.ask(&[]).await?;
    let pages: &[Pairs<'_>] = &[
        &[("client_id", "")],
        &[("client_id", "nobody")],
        &[("redirect_uri", "")],
        &[("redirect_uri", "https://evil.example/")],
        &[("redirect_uri", CALLBACK), ("redirect_uri", CALLBACK)],
        &[("scope", "admin"), ("redirect_uri", "https://evil.example/")],
    ];
    for changes in pages {
        let answer = t.ask(changes).await?;
        assert_eq!((answer.status, answer.location()), (400, ""), "{changes:?}");
    }
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", "id_token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("scope", "openid admin"), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("request", "x"), "request_not_supported"),
        (("request_uri", "x"), "request_uri_not_supported"),
        (("max_age", "x"), "invalid_request"),
    ] {
        let answer = t.ask(&[change]).await?;
        assert_eq!(answer.param("error").as_deref(), Some(error), "{change:?}");
        assert_eq!(answer.param("state").as_deref(), Some("a b+c%2Bd"));
        assert_eq!(answer.param("iss").as_deref(), Some(t.lab.issuer()));
    }
    let twice = t.ask(&[("nonce", "a"), ("nonce", "b")]).await?;
    assert_eq!(twice.param("error").as_deref(), Some("invalid_request"));
    assert_eq!(t.ask(&[("state", "")]).await?.param("state"), None);

    let fresh = t.ask(&[("prompt", "login")]).await?;
    assert!(fresh.header("set-cookie").starts_with("lab_session="));
    let post = t.ask(&[("response_mode", "form_post")]).await?;
    assert_eq!((post.status, &*post.field("state")), (200, "a b+c%2Bd"));
    assert!(post.header("content-security-policy").contains("script-src 'sha256-"));
    t.set_cookie(None);
    let none = t.ask(&[("prompt", "none")]).await?;
    assert_eq!(none.param("error").as_deref(), Some("login_required"));
    Ok(())
}

#[tokio::test]
async fn a_user_may_refuse_and_passwords_may_not_be_guessed() -> Outcome {
    let t = Tester::strict().await?;
    let query = encode(&[
        ("response_type", "code"),
        ("client_id", "lab-public"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let start = t.browse(&format!("/authorize?{query}"), None).await?;
    let page = t.browse(start.location(), None).await?;
    let (tx, csrf) = (page.field("tx"), page.field("csrf"));
    let user = &t.lab.directory().users[0];
    let mut form = vec![("tx", tx.as_str()), ("csrf", csrf.as_str()), ("username", &user.name), ("password", "x")];
    for status in [200, 200, 200, 200, 400] {
        assert_eq!(t.browse("/login", Some(&form)).await?.status, status);
    }
    form[3].1 = &user.password;
    assert_eq!(t.browse("/login", Some(&form)).await?.status, 400, "over");

    t.ask(&[]).await?;
    let start = t.browse(&format!("/authorize?{query}"), None).await?;
    assert!(start.location().starts_with("/consent?tx="));
    let page = t.browse(start.location(), None).await?;
    let (tx, csrf) = (page.field("tx"), page.field("csrf"));
    let mut form = [("tx", &*tx), ("csrf", "x"), ("decision", "deny")];
    assert_eq!(t.browse("/consent", Some(&form)).await?.status, 400);
    let other = t.send("/consent", Some(&form), &[]).await?;
    assert_eq!(other.status, 400, "without the session");
    form[1].1 = &csrf;
    let denied = t.browse("/consent", Some(&form)).await?;
    assert_eq!(denied.param("error").as_deref(), Some("access_denied"));
    assert_eq!(t.browse("/consent", Some(&form)).await?.status, 400);
    Ok(())
}
