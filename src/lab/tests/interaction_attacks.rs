//! Attacks on what a browser does between an authorization request and its
//! answer, and on the logout; each function answers whether its attack worked.

use super::forge::read;
use super::{Answer, CALLBACK, CHALLENGE, Outcome, Pairs, Tester, encode, with};
use crate::lab::secrets::s256;

const BASE: Pairs<'_> = &[
    ("response_type", "code"),
    ("client_id", "lab-public"),
    ("redirect_uri", CALLBACK),
    ("scope", "openid"),
    ("state", "s-0123456789"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
    ("prompt", "consent"),
];

const EVIL: &str = "https://evil.example/cb";

/// The page at which a request ends up: login, or consent where somebody is
/// logged in.
async fn page(t: &Tester, changes: Pairs<'_>) -> Outcome<(String, Answer)> {
    let to_page = t.browse(&format!("/authorize?{}", encode(&with(BASE, changes))), None).await?;
    let path = to_page.location().to_owned();
    Ok((path.clone(), t.browse(&path, None).await?))
}

fn fields(page: &Answer) -> [(&'static str, String); 2] {
    [("tx", page.field("tx")), ("csrf", page.field("csrf"))]
}

/// Sends a form of a page, with more beside its hidden fields.
async fn answer(t: &Tester, path: &str, hidden: &[(&'static str, String)], more: Pairs<'_>) -> Outcome<Answer> {
    let mut form: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
    form.extend(more);
    t.browse(path, Some(&form)).await
}

fn has_code(answer: &Answer) -> bool {
    answer.param("code").is_some()
}

/// Logs the first user in afresh.
async fn logged_in(t: &Tester) -> Outcome {
    t.set_cookie(None);
    t.ask(&[("scope", "openid")]).await?;
    Ok(())
}

pub(super) async fn login_of_other_browser(t: &Tester) -> Outcome<bool> {
    t.set_cookie(None);
    let hidden = fields(&page(t, &[]).await?.1);
    t.set_cookie(None);
    let user = &t.lab.directory().users[1];
    let sent = answer(t, "/login", &hidden, &[("username", &user.name), ("password", &user.password)]).await?;
    Ok(sent.status < 400)
}

pub(super) async fn login_of_other_browser_without_value(t: &Tester) -> Outcome<bool> {
    t.set_cookie(None);
    let hidden = fields(&page(t, &[]).await?.1);
    t.set_cookie(None);
    let user = &t.lab.directory().users[1];
    let sent = answer(t, "/login", &hidden[..1], &[("username", &user.name), ("password", &user.password)]).await?;
    Ok(sent.status < 400)
}

/// Gives the password of the user with a second factor, and no more; returns the hidden fields of the page for the code.
async fn half_way(t: &Tester) -> Outcome<[(&'static str, String); 2]> {
    t.set_cookie(None);
    let hidden = fields(&page(t, &[]).await?.1);
    let user = &t.lab.directory().users[2];
    let sent = answer(t, "/login", &hidden, &[("username", &user.name), ("password", &user.password)]).await?;
    let path = sent.location().to_owned();
    if !path.starts_with("/second-factor") {
        return Err(format!("the login goes on at {path}").into());
    }
    Ok(fields(&t.browse(&path, None).await?))
}

pub(super) async fn code_without_second_factor(t: &Tester) -> Outcome<bool> {
    half_way(t).await?;
    let (path, _) = page(t, &[("prompt", "")]).await?;
    Ok(path.starts_with("/consent"))
}

pub(super) async fn consent_without_second_factor(t: &Tester) -> Outcome<bool> {
    let hidden = half_way(t).await?;
    Ok(has_code(&answer(t, "/consent", &hidden, &[("decision", "allow")]).await?))
}

/// The code of this time is taken once, and a wrong one a few times at most; nothing but it opens the login.
#[tokio::test]
async fn a_second_factor_completes_a_login() -> Outcome {
    let t = Tester::strict().await?;
    let authenticator = super::super::directory::USERS[2].authenticator.as_ref().ok_or("no authenticator")?;
    let code_at = |later: u64| authenticator.code((super::super::tokens::now() + later) / 30).ok_or("no code");
    let hidden = half_way(&t).await?;
    for wrong in ["", "12345", "not a code"] {
        let page = answer(&t, "/second-factor", &hidden, &[("code", wrong)]).await?;
        assert_eq!((page.status, page.location()), (200, ""));
    }
    let right = code_at(0)?;
    let sent = answer(&t, "/second-factor", &hidden, &[("code", &right)]).await?;
    assert!(sent.location().starts_with("/consent"), "{}", sent.location());
    assert!(has_code(&answer(&t, "/consent", &hidden, &[("decision", "allow")]).await?));

    let hidden = half_way(&t).await?;
    let again = answer(&t, "/second-factor", &hidden, &[("code", &right)]).await?;
    assert_eq!((again.status, again.location()), (200, ""));
    for _ in 1..4 {
        assert_eq!(answer(&t, "/second-factor", &hidden, &[("code", "000")]).await?.status, 200);
    }
    assert_eq!(answer(&t, "/second-factor", &hidden, &[("code", "000")]).await?.status, 400);
    // Another browser cannot finish the login, and whoever has not given a password is not asked for a code.
    let hidden = half_way(&t).await?;
    t.later.store(90, std::sync::atomic::Ordering::Relaxed);
    let cookie = t.cookie();
    t.set_cookie(None);
    assert_eq!(answer(&t, "/second-factor", &hidden, &[("code", &code_at(90)?)]).await?.status, 400);
    t.set_cookie(Some(cookie));
    let sent = answer(&t, "/second-factor", &hidden, &[("code", &code_at(90)?)]).await?;
    assert!(sent.location().starts_with("/consent"), "{}", sent.location());
    t.set_cookie(None);
    let hidden = fields(&page(&t, &[]).await?.1);
    let sent = answer(&t, "/second-factor", &hidden, &[("code", &code_at(120)?)]).await?;
    assert!(sent.location().starts_with("/login"), "{}", sent.location());

    // Who starts again and again has no fresh tries for ever: in the end the right code does not help any more.
    for _ in 0..20 {
        let hidden = half_way(&t).await?;
        answer(&t, "/second-factor", &hidden, &[("code", "000")]).await?;
    }
    let hidden = half_way(&t).await?;
    t.later.store(180, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(answer(&t, "/second-factor", &hidden, &[("code", &code_at(180)?)]).await?.location(), "");
    Ok(())
}

pub(super) async fn consent_of_other_question(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    let victim = t.cookie();
    t.set_cookie(None);
    t.authorize_as(&t.lab.directory().users[1], &with(BASE, &[])).await?;
    let hidden = fields(&page(t, &[]).await?.1);
    t.set_cookie(Some(victim));
    page(t, &[]).await?;
    Ok(has_code(&answer(t, "/consent", &hidden, &[("decision", "allow")]).await?))
}

pub(super) async fn consent_by_link(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    let (path, _) = page(t, &[]).await?;
    let sent = t.browse(&path.replace("?tx=", "?decision=allow&tx=another&was="), None).await?;
    Ok(has_code(&sent))
}

pub(super) async fn consent_page_elsewhere(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    let (path, _) = page(t, &[]).await?;
    t.set_cookie(None);
    let hidden = fields(&t.browse(&path, None).await?);
    Ok(has_code(&answer(t, "/consent", &hidden, &[("decision", "allow")]).await?))
}

/// Whether who has to log in at somebody else's question is given that one's code.
pub(super) async fn consent_of_who_was_asked_first(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    let (path, _) = page(t, &[]).await?;
    t.set_cookie(None);
    let login = t.browse(&path, None).await?.location().to_owned();
    if !login.starts_with("/login") {
        return Ok(false);
    }
    let hidden = fields(&t.browse(&login, None).await?);
    let other = &t.lab.directory().users[1];
    let question = answer(t, "/login", &hidden, &[("username", &other.name), ("password", &other.password)]).await?;
    let hidden = fields(&t.browse(question.location(), None).await?);
    let code = answer(t, "/consent", &hidden, &[("decision", "allow")]).await?.param("code").ok_or("no code")?;
    let claims = read(&t.redeem(&code, &[]).await?.text("id_token"))?.1;
    Ok(claims["sub"] == super::super::directory::USERS[0].sub)
}

pub(super) async fn consent_form_changed(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    let hidden = fields(&page(t, &[]).await?.1);
    let sent = answer(t, "/consent", &hidden, &[("decision", "allow"), ("redirect_uri", EVIL)]).await?;
    Ok(sent.location().starts_with(EVIL))
}

/// Whether the second client gets a code without a question in the session in which the first was consented to.
pub(super) async fn code_of_unasked_client(t: &Tester) -> Outcome<bool> {
    t.set_cookie(None);
    t.authorize(BASE).await?;
    let asked = with(BASE, &[("client_id", "lab-second"), ("redirect_uri", "http://127.0.0.1/cb")]);
    Ok(has_code(&t.browse(&format!("/authorize?{}", encode(&asked)), None).await?))
}

pub(super) async fn code_after_refusal(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    let hidden = fields(&page(t, &[]).await?.1);
    Ok(has_code(&answer(t, "/consent", &hidden, &[("decision", "deny")]).await?))
}

pub(super) async fn redirect_of_second_request(t: &Tester) -> Outcome<bool> {
    Ok(after_second_request(t, &[("redirect_uri", EVIL)]).await?.location().starts_with(EVIL))
}

pub(super) async fn challenge_of_second_request(t: &Tester) -> Outcome<bool> {
    const OTHER: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
    let second = [("client_id", "lab-confidential"), ("code_challenge", &s256(OTHER))];
    let code = after_second_request(t, &second).await?.param("code").unwrap_or_default();
    Ok(t.redeem(&code, &[("code_verifier", OTHER)]).await?.status == 200)
}

/// What a login comes to where its browser sends another authorization request before it goes on.
async fn after_second_request(t: &Tester, changes: Pairs<'_>) -> Outcome<Answer> {
    t.set_cookie(None);
    let hidden = fields(&page(t, &[("prompt", "")]).await?.1);
    page(t, changes).await?;
    let user = &t.lab.directory().users[0];
    let mut sent = answer(t, "/login", &hidden, &[("username", &user.name), ("password", &user.password)]).await?;
    if sent.location().starts_with("/consent") {
        let path = sent.location().to_owned();
        let hidden = fields(&t.browse(&path, None).await?);
        sent = answer(t, "/consent", &hidden, &[("decision", "allow")]).await?;
    }
    Ok(sent)
}

pub(super) async fn consent_of_newest_request(t: &Tester) -> Outcome<bool> {
    t.set_cookie(None);
    let hidden = fields(&page(t, &[("prompt", "consent")]).await?.1);
    let user = &t.lab.directory().users[0];
    let asked = answer(t, "/login", &hidden, &[("username", &user.name), ("password", &user.password)]).await?;
    let hidden = fields(&t.browse(asked.location(), None).await?);
    page(t, &[("client_id", "lab-confidential"), ("state", "of-another-client"), ("prompt", "consent")]).await?;
    let sent = answer(t, "/consent", &hidden, &[("decision", "allow")]).await?;
    Ok(sent.param("state").as_deref() == Some("of-another-client"))
}

pub(super) async fn cookie_for_scripts(t: &Tester) -> Outcome<bool> {
    t.set_cookie(None);
    let hidden = fields(&page(t, &[]).await?.1);
    let user = &t.lab.directory().users[0];
    let sent = answer(t, "/login", &hidden, &[("username", &user.name), ("password", &user.password)]).await?;
    Ok(!sent.header("set-cookie").is_empty() && !sent.header("set-cookie").contains("HttpOnly"))
}

pub(super) async fn page_tells_address(t: &Tester) -> Outcome<bool> {
    Ok(page(t, &[]).await?.1.header("referrer-policy") == "unsafe-url")
}

pub(super) async fn page_is_kept(t: &Tester) -> Outcome<bool> {
    Ok(page(t, &[]).await?.1.header("cache-control").contains("public"))
}

pub(super) async fn read_by_scripts(t: &Tester) -> Outcome<bool> {
    let path = format!("/authorize?{}", encode(BASE));
    let sent = t.send(&path, None, &[("origin", "https://evil.example")]).await?;
    Ok(sent.header("access-control-allow-origin") == "https://evil.example")
}

pub(super) async fn unknown_mode(t: &Tester) -> Outcome<bool> {
    Ok(has_code(&t.ask(&[("response_mode", "x")]).await?))
}

pub(super) async fn posted_elsewhere(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("response_mode", "form_post"), ("redirect_uri", EVIL)]).await?.body.contains(&format!("action=\"{EVIL}")))
}

pub(super) async fn hybrid_without_nonce(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("response_type", "code id_token"), ("nonce", "")]).await?.param("id_token").is_some())
}

pub(super) async fn id_token_in_query(t: &Tester) -> Outcome<bool> {
    let sent = t.ask(&[("response_type", "code id_token"), ("response_mode", "query")]).await?;
    Ok(sent.location().split('#').next().is_some_and(|url| url.contains("id_token=")))
}

pub(super) async fn other_sub(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    let claims = r#"{"id_token":{"sub":{"value":"u-c4a8e65d90"}}}"#;
    Ok(has_code(&t.ask(&[("claims", claims), ("prompt", "none"), ("scope", "openid")]).await?))
}

pub(super) async fn essential_acr(t: &Tester) -> Outcome<bool> {
    let claims = r#"{"id_token":{"acr":{"essential":true,"values":["x"]}}}"#;
    Ok(has_code(&t.ask(&[("claims", claims)]).await?))
}

/// Whether the browser, or one with these cookies, is still logged in.
async fn is_logged_in(t: &Tester) -> Outcome<bool> {
    let path = format!("/authorize?{}", encode(&with(BASE, &[("prompt", "none")])));
    Ok(has_code(&t.browse(&path, None).await?))
}

async fn id_token(t: &Tester) -> Outcome<String> {
    t.set_cookie(None);
    let code = t.code(&[("scope", "openid")]).await?;
    Ok(t.redeem(&code, &[]).await?.text("id_token"))
}

pub(super) async fn logout_unasked(t: &Tester) -> Outcome<bool> {
    logged_in(t).await?;
    t.browse("/logout", None).await?;
    Ok(!is_logged_in(t).await?)
}

pub(super) async fn logout_by_forged_hint(t: &Tester) -> Outcome<bool> {
    let hint = id_token(t).await?;
    let forged = format!("{}.AAAA", hint.rsplit_once('.').ok_or("no token")?.0);
    t.browse(&format!("/logout?id_token_hint={forged}"), None).await?;
    Ok(!is_logged_in(t).await?)
}

pub(super) async fn logout_leads_elsewhere(t: &Tester) -> Outcome<bool> {
    let hint = id_token(t).await?;
    let query = encode(&[("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", EVIL)]);
    Ok(t.browse(&format!("/logout?{query}"), None).await?.location() == EVIL)
}

pub(super) async fn session_outlives_logout(t: &Tester) -> Outcome<bool> {
    let hint = id_token(t).await?;
    let before = t.cookie();
    t.browse(&format!("/logout?id_token_hint={hint}"), None).await?;
    t.set_cookie(Some(before));
    is_logged_in(t).await
}

#[tokio::test]
async fn a_logout_with_the_right_hint_goes_where_the_client_wants() -> Outcome {
    let t = Tester::strict().await?;
    let hint = id_token(&t).await?;
    assert!(is_logged_in(&t).await?);
    let query = encode(&[("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", "https://app.example/signed-out"), ("state", "x")]);
    let sent = t.browse(&format!("/logout?{query}"), None).await?;
    assert_eq!(sent.location(), "https://app.example/signed-out?state=x");
    assert!(!is_logged_in(&t).await?);
    // Without a hint the user is asked.
    logged_in(&t).await?;
    let asked = t.browse("/logout", None).await?;
    assert!(is_logged_in(&t).await?);
    let hidden = fields(&asked);
    assert_eq!(answer(&t, "/logout", &hidden, &[("decision", "logout")]).await?.status, 200);
    assert!(!is_logged_in(&t).await?);
    Ok(())
}

#[tokio::test]
async fn an_id_token_comes_with_the_code_that_it_names() -> Outcome {
    let t = Tester::strict().await?;
    let sent = t.ask(&[("response_type", "code id_token")]).await?;
    assert!(sent.location().contains('#') && has_code(&sent) && sent.param("id_token").is_some());
    let posted = t.ask(&[("response_type", "code id_token"), ("response_mode", "form_post")]).await?;
    assert!(posted.body.contains("id_token"));
    Ok(())
}
