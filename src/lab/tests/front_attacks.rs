//! More attacks on the authorization endpoint, and on what it stores with a
//! code; each function answers whether its attack worked.

use std::time::Duration;

use super::code_attacks::trade;
use super::{CALLBACK, CHALLENGE, Outcome, Pairs, Tester, VERIFIER, encode, with};
use crate::lab::Flaw;
use crate::lab::secrets::s256;

const OTHER: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
const BASE: Pairs<'_> = &[
    ("response_type", "code"),
    ("client_id", "lab-public"),
    ("redirect_uri", CALLBACK),
    ("scope", "openid api:read"),
    ("state", "s-0123456789"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

async fn has_code(t: &Tester, changes: Pairs<'_>) -> Outcome<bool> {
    Ok(t.ask(changes).await?.param("code").is_some())
}

/// What a browser with nobody's session is answered.
async fn afresh(t: &Tester, changes: Pairs<'_>) -> Outcome<super::Answer> {
    t.set_cookie(None);
    t.browse(&format!("/authorize?{}", encode(&with(BASE, changes))), None).await
}

pub(super) async fn downgrade_confidential(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("client_id", "lab-confidential"), ("code_challenge", ""), ("code_challenge_method", "")]).await?;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", OTHER)];
    let answer = t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await?;
    Ok(!code.is_empty() && answer.status == 200)
}

pub(super) async fn confidential_without_method(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("client_id", "lab-confidential"), ("code_challenge_method", "")]).await?;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let answer = t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await?;
    Ok(!code.is_empty() && answer.status == 200)
}

pub(super) async fn empty_challenge(t: &Tester) -> Outcome<bool> {
    let mut params = with(BASE, &[("code_challenge", "")]);
    params.push(("code_challenge", ""));
    let code = t.authorize(&params).await?.param("code").unwrap_or_default();
    Ok(!code.is_empty() && t.redeem(&code, &[("code_verifier", OTHER)]).await?.status == 200)
}

pub(super) async fn method_at_token(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("code_verifier", CHALLENGE), ("code_challenge_method", "plain")]).await
}

pub(super) async fn challenge_at_token(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("code_verifier", OTHER), ("code_challenge", &s256(OTHER))]).await
}

pub(super) async fn longer_verifier(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("code_verifier", &format!("{VERIFIER}A"))]).await
}

pub(super) async fn verifier_of_other_code(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    t.code(&[("code_challenge", &s256(OTHER))]).await?;
    Ok(t.redeem(&code, &[("code_verifier", OTHER)]).await?.status == 200)
}

pub(super) async fn no_methods_in_metadata(t: &Tester) -> Outcome<bool> {
    let document = t.send("/.well-known/openid-configuration", None, &[]).await?.json();
    Ok(document["code_challenge_methods_supported"][0] != "S256")
}

pub(super) async fn second_challenge(t: &Tester) -> Outcome<bool> {
    trade(t, &[("code_challenge", CHALLENGE), ("code_challenge", &s256(OTHER))], &[("code_verifier", OTHER)]).await
}

pub(super) async fn state_in_pages(t: &Tester) -> Outcome<bool> {
    const STATE: &str = "\"><b>";
    let posted = t.ask(&[("state", STATE), ("response_mode", "form_post")]).await?;
    let to_login = afresh(t, &[("state", STATE)]).await?;
    let page = t.browse(to_login.location(), None).await?;
    Ok(posted.body.contains(STATE) && page.body.contains(STATE))
}

pub(super) async fn state_in_header(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("state", "x\r\nplanted: 1")]).await?.header("planted") == "1")
}

pub(super) async fn http_address(t: &Tester) -> Outcome<bool> {
    has_code(t, &[("redirect_uri", "http://app.example/cb")]).await
}

pub(super) async fn dot_in_host(t: &Tester) -> Outcome<bool> {
    has_code(t, &[("redirect_uri", "https://appxexample/cb")]).await
}

pub(super) async fn shorter_address(t: &Tester) -> Outcome<bool> {
    let without_path = has_code(t, &[("redirect_uri", "https://app.example/")]).await?;
    Ok(without_path && has_code(t, &[("redirect_uri", "https://app.exampl")]).await?)
}

pub(super) async fn line_before_address(t: &Tester) -> Outcome<bool> {
    has_code(t, &[("redirect_uri", "https://evil.example/\nhttps://app.example/cb")]).await
}

pub(super) async fn localhost_address(t: &Tester) -> Outcome<bool> {
    has_code(t, &[("redirect_uri", "http://localhost:8443/x")]).await
}

pub(super) async fn relative_address(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("redirect_uri", "https:evil.example/cb")]).await?.location().contains("code="))
}

pub(super) async fn address_of_other_client(t: &Tester) -> Outcome<bool> {
    has_code(t, &[("redirect_uri", "http://127.0.0.1/cb")]).await
}

pub(super) async fn no_address(t: &Tester) -> Outcome<bool> {
    has_code(t, &[("redirect_uri", "")]).await
}

pub(super) async fn by_post(t: &Tester) -> Outcome<bool> {
    t.code(&[]).await?;
    let form = with(BASE, &[("redirect_uri", "https://evil.example/cb")]);
    Ok(t.browse("/authorize", Some(&form)).await?.status == 303)
}

pub(super) async fn words_in_other_order(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("response_type", "token code")]).await?.param("access_token").is_some())
}

pub(super) async fn no_response_type(t: &Tester) -> Outcome<bool> {
    has_code(t, &[("response_type", "")]).await
}

pub(super) async fn unknown_scope(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("scope", "api:read admin")]).await?;
    Ok(t.redeem(&code, &[]).await?.text("scope").contains("admin"))
}

pub(super) async fn nobody_logged_in(t: &Tester) -> Outcome<bool> {
    t.code(&[("scope", "openid api:read")]).await?;
    Ok(afresh(t, &[("prompt", "none")]).await?.param("code").is_some())
}

pub(super) async fn login_not_asked(t: &Tester) -> Outcome<bool> {
    t.code(&[("scope", "openid api:read")]).await?;
    let query = encode(&with(BASE, &[("prompt", "login")]));
    Ok(t.browse(&format!("/authorize?{query}"), None).await?.param("code").is_some())
}

pub(super) async fn forged_hint(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("id_token");
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    has_code(t, &[("prompt", "none"), ("id_token_hint", &format!("{signed}.AAAA"))]).await
}

pub(super) async fn markup_in_error(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("client_id", "<b>")]).await?.body.contains("<b>"))
}

pub(super) async fn expression_in_error(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("client_id", "${7*191}")]).await?.body.contains("1337"))
}

pub(super) async fn session_stays(t: &Tester) -> Outcome<bool> {
    let to_login = afresh(t, &[]).await?;
    t.browse(to_login.location(), None).await?;
    let before = t.cookie();
    t.code(&[]).await?;
    Ok(!before.is_empty() && before == t.cookie())
}

#[tokio::test]
async fn an_old_login_is_renewed_when_max_age_asks_for_it() -> Outcome {
    let flaws = [(&[][..], true, true), (&[Flaw::MaxAgeIgnored], false, false), (&[Flaw::MaxAgeZeroIgnored], true, false)];
    for (flaws, renewed, renewed_at_once) in flaws {
        let t = Tester::flawed(flaws).await?;
        t.code(&[("scope", "openid api:read")]).await?;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        for (max_age, asked) in [("1", renewed), ("0", renewed_at_once), ("1000", false)] {
            let query = encode(&with(BASE, &[("max_age", max_age)]));
            let answer = t.browse(&format!("/authorize?{query}"), None).await?;
            assert_eq!(answer.location().starts_with("/login"), asked, "{flaws:?} {max_age}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_hint_of_another_user_gives_no_code() -> Outcome {
    for (flaws, given) in [(&[][..], false), (&[Flaw::IdTokenHintIgnored], true)] {
        let t = Tester::flawed(flaws).await?;
        let users = &t.lab.directory().users;
        let mut hints = Vec::new();
        for user in [&users[1], &users[0]] {
            t.set_cookie(None);
            let code = t.authorize_as(user, &with(BASE, &[])).await?.param("code").unwrap_or_default();
            hints.push(t.redeem(&code, &[]).await?.text("id_token"));
        }
        for (hint, expected) in [(&hints[0], given), (&hints[1], true)] {
            let query = encode(&with(BASE, &[("prompt", "none"), ("id_token_hint", hint)]));
            let answer = t.browse(&format!("/authorize?{query}"), None).await?;
            assert_eq!(answer.param("code").is_some(), expected, "{flaws:?}");
        }
    }
    Ok(())
}
