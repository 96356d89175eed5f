//! Attacks on authorization requests and codes; each function answers
//! whether its attack worked.

use super::{CALLBACK, CHALLENGE, Outcome, Pairs, Tester, VERIFIER, encode};

const OTHER_VERIFIER: &str = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww";
const NO_PKCE: Pairs<'_> = &[("code_challenge", ""), ("code_challenge_method", "")];
const BARE: Pairs<'_> = &[("code_challenge", ""), ("code_challenge_method", ""), ("state", ""), ("nonce", "")];

/// Asks for a code with `asked`, redeems it with `redeemed`.
pub(super) async fn trade(t: &Tester, asked: Pairs<'_>, redeemed: Pairs<'_>) -> Outcome<bool> {
    let code = t.code(asked).await?;
    Ok(!code.is_empty() && t.redeem(&code, redeemed).await?.status == 200)
}

pub(super) async fn plain(t: &Tester) -> Outcome<bool> {
    let plain = [("code_challenge", VERIFIER), ("code_challenge_method", "plain")];
    trade(t, &plain, &[]).await
}

pub(super) async fn plain_unstated(t: &Tester) -> Outcome<bool> {
    let plain = [("code_challenge", VERIFIER), ("code_challenge_method", "")];
    trade(t, &plain, &[]).await
}

pub(super) async fn no_challenge_no_verifier(t: &Tester) -> Outcome<bool> {
    trade(t, NO_PKCE, &[("code_verifier", "")]).await
}

pub(super) async fn no_challenge_any_verifier(t: &Tester) -> Outcome<bool> {
    trade(t, NO_PKCE, &[("code_verifier", OTHER_VERIFIER)]).await
}

/// Whether each way to show a secret that a public client cannot have spares the verifier, and nothing else does.
pub(super) async fn no_challenge_any_secret(t: &Tester) -> Outcome<bool> {
    let by_post = trade(t, NO_PKCE, &[("code_verifier", ""), ("client_secret", "x")]).await?;
    let code = t.code(NO_PKCE).await?;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let by_basic = t.send("/token", Some(&form), &[("authorization", &super::basic_header("lab-public", ""))]).await?.status == 200;
    assert_eq!(by_post, by_basic);
    Ok(by_post && !trade(t, NO_PKCE, &[("code_verifier", "")]).await?)
}

pub(super) async fn wrong_verifier(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("code_verifier", OTHER_VERIFIER)]).await
}

pub(super) async fn missing_verifier(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("code_verifier", "")]).await
}

pub(super) async fn challenge_as_verifier(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("code_verifier", CHALLENGE)]).await
}

pub(super) async fn verifier_at_authorization(t: &Tester) -> Outcome<bool> {
    trade(t, &[("code_verifier", VERIFIER)], &[("code_verifier", "")]).await
}

pub(super) async fn parameters_in_query(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let query = encode(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", "lab-public"),
    ]);
    let answer = t.send(&format!("/token?{query}"), Some(&[]), &[]).await?;
    Ok(answer.status == 200)
}

pub(super) async fn echo(t: &Tester) -> Outcome<bool> {
    let answer = t.ask(&[("injected", "1")]).await?;
    Ok(answer.param("injected").is_some())
}

pub(super) async fn bare_request(t: &Tester) -> Outcome<bool> {
    trade(t, BARE, &[("code_verifier", "")]).await
}

pub(super) async fn state_changed(t: &Tester) -> Outcome<bool> {
    let state = t.ask(&[]).await?.param("state");
    Ok(state.as_deref() != Some("a b+c%2Bd"))
}

pub(super) async fn state_from_nowhere(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[("state", "")]).await?.param("state").is_some())
}

pub(super) async fn state_lost_on_error(t: &Tester) -> Outcome<bool> {
    let answer = t.ask(&[("scope", "admin")]).await?;
    Ok(answer.param("error").is_some() && answer.param("state").is_none())
}

pub(super) async fn replay(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let first = t.redeem(&code, &[]).await?;
    let second = t.redeem(&code, &[]).await?;
    Ok(first.status == 200 && second.status == 200)
}

/// Whether the access token of a replayed code lives on. With reusable codes
/// there is no replay.
pub(super) async fn replay_keeps_tokens(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let first = t.redeem(&code, &[]).await?;
    t.redeem(&code, &[]).await?;
    t.opens("/api/me", &first.text("access_token")).await
}

pub(super) async fn replay_keeps_refresh_token(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let first = t.redeem(&code, &[]).await?;
    t.redeem(&code, &[]).await?;
    let answer = t.refresh(&first.text("refresh_token"), &[]).await?;
    Ok(answer.status == 200)
}

pub(super) async fn replay_keeps_renewed_refresh_token(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let first = t.redeem(&code, &[]).await?;
    let renewed = t.refresh(&first.text("refresh_token"), &[]).await?.text("refresh_token");
    t.redeem(&code, &[]).await?;
    Ok(t.refresh(&renewed, &[]).await?.status == 200)
}

pub(super) async fn race(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let (a, b) = tokio::join!(t.redeem(&code, &[]), t.redeem(&code, &[]));
    let (a, b) = (a?, b?);
    let both = a.status == 200 && b.status == 200;
    Ok(both && t.opens("/api/me", &a.text("access_token")).await? && t.opens("/api/me", &b.text("access_token")).await?)
}

pub(super) async fn race_for_refresh_tokens(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let (a, b) = tokio::join!(t.redeem(&code, &[]), t.redeem(&code, &[]));
    let (a, b) = (a?.text("refresh_token"), b?.text("refresh_token"));
    Ok(a != b && t.refresh(&a, &[]).await?.status == 200 && t.refresh(&b, &[]).await?.status == 200)
}

pub(super) async fn code_of_other_client(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("client_id", "lab-second")]).await
}

pub(super) async fn code_by_authenticated_client(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    Ok(t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await?.status == 200)
}

/// Whether a code is for whoever logs in between its issue and its redemption.
pub(super) async fn code_of_newest_user(t: &Tester) -> Outcome<bool> {
    let read = [("scope", "api:read")];
    t.set_cookie(None);
    let code = t.code(&read).await?;
    t.set_cookie(None);
    let asked = [("response_type", "code"), ("client_id", "lab-public"), ("redirect_uri", CALLBACK), ("scope", "api:read"), ("state", "x")];
    let asked = [&asked[..], &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]].concat();
    t.authorize_as(&t.lab.directory().users[1], &asked).await?;
    let late = t.redeem(&code, &[]).await?.text("access_token");
    t.set_cookie(None);
    let code = t.code(&read).await?;
    let at_once = t.redeem(&code, &[]).await?.text("access_token");
    let sub = async |token: &str| -> Outcome<String> {
        Ok(t.send("/api/me", None, &[("authorization", &format!("Bearer {token}"))]).await?.text("sub"))
    };
    Ok(sub(&late).await? != sub(&at_once).await?)
}

pub(super) async fn wider_scope_at_redemption(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("scope", "api:read")]).await?;
    let tokens = t.redeem(&code, &[("scope", "api:read api:write")]).await?;
    Ok(tokens.text("scope") == "api:read api:write")
}

/// Whether wildcards and conditions count in a code; a condition that is false finds nothing.
pub(super) async fn code_by_query(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let finds = async |text: String| -> Outcome<bool> { Ok(t.redeem(&text, &[]).await?.status == 200) };
    assert!(!finds(format!("{code}'and'1'='2")).await? && !finds(format!("{code}'and'1'=1")).await?);
    let by_condition = finds(format!("{code}'and'1'='1")).await?;
    let code = t.code(&[]).await?;
    Ok(by_condition && finds(format!("{}%", &code[..code.len() / 2])).await?)
}

pub(super) async fn code_of_other_client_by_own_uri(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("client_id", "lab-second"), ("redirect_uri", "http://127.0.0.1/cb")]).await
}

/// Whether a request with this redirect URI is answered with a redirect.
async fn redirected(t: &Tester, changes: Pairs<'_>) -> Outcome<bool> {
    Ok(t.ask(changes).await?.status == 303)
}

pub(super) async fn evil_redirect(t: &Tester) -> Outcome<bool> {
    redirected(t, &[("redirect_uri", "https://evil.example/cb")]).await
}

pub(super) async fn early_error(t: &Tester) -> Outcome<bool> {
    let mut worked = true;
    let parameters = [("scope", "admin"), ("response_type", "x"), ("response_mode", "x"), ("code_challenge", "")];
    for error in parameters.into_iter().chain([("prompt", "x"), ("max_age", "x"), ("resource", "x")]) {
        worked &= redirected(t, &[("redirect_uri", "https://evil.example/"), error]).await?;
    }
    worked &= redirected(t, &[("redirect_uri", "https://evil.example/"), ("state", "x"), ("state", "y")]).await?;
    Ok(worked)
}

pub(super) async fn early_error_of_nobody(t: &Tester) -> Outcome<bool> {
    redirected(t, &[("redirect_uri", "https://evil.example/"), ("client_id", "")]).await
}

pub(super) async fn unknown_client(t: &Tester) -> Outcome<bool> {
    let unknown = [("client_id", "nobody"), ("redirect_uri", "https://evil.example/")];
    redirected(t, &unknown).await
}

pub(super) async fn implicit(t: &Tester) -> Outcome<bool> {
    let answer = t.ask(&[("response_type", "token"), ("code_challenge", "")]).await?;
    let token = answer.param("access_token").unwrap_or_default();
    Ok(answer.location().contains("#access_token=") && t.opens("/api/me", &token).await?)
}

pub(super) async fn no_iss(t: &Tester) -> Outcome<bool> {
    Ok(t.ask(&[]).await?.param("iss").as_deref() != Some(t.lab.issuer()))
}

pub(super) async fn framing(t: &Tester) -> Outcome<bool> {
    let page = t.send("/login?tx=x", None, &[]).await?;
    let policy = page.header("content-security-policy");
    Ok(!policy.contains("frame-ancestors 'none'") && page.header("x-frame-options") != "DENY")
}

pub(super) async fn password(t: &Tester) -> Outcome<bool> {
    let user = &t.lab.directory().users[1];
    let form = [("grant_type", "password"), ("client_id", "lab-public"), ("username", &user.name), ("password", &user.password)];
    Ok(t.send("/token", Some(&form), &[]).await?.status == 200)
}

pub(super) async fn cacheable(t: &Tester) -> Outcome<bool> {
    let answer = t.tokens().await?;
    Ok(answer.header("cache-control") != "no-store" || answer.header("pragma") != "no-cache")
}

pub(super) async fn unknown_method(t: &Tester) -> Outcome<bool> {
    trade(t, &[("code_challenge_method", "S999")], &[("code_verifier", "")]).await
}

/// Whether the confidential client gets tokens without PKCE.
pub(super) async fn confidential_without_challenge(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("client_id", "lab-confidential"), NO_PKCE[0], NO_PKCE[1]]).await?;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let answer = t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await?;
    Ok(!code.is_empty() && answer.status == 200)
}

pub(super) async fn short_verifier(t: &Tester) -> Outcome<bool> {
    let challenge = crate::lab::secrets::s256("abc");
    trade(t, &[("code_challenge", &challenge)], &[("code_verifier", "abc")]).await
}

pub(super) async fn state_cut(t: &Tester) -> Outcome<bool> {
    let state = "s".repeat(65);
    Ok(t.ask(&[("state", &state)]).await?.param("state") != Some(state))
}

pub(super) async fn replay_without_verifier(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let first = t.redeem(&code, &[]).await?;
    let again = t.redeem(&code, &[("code_verifier", "")]).await?;
    Ok(first.status == 200 && again.status == 200)
}

pub(super) async fn other_redirect_uri(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("redirect_uri", "https://app.example/cb/other")]).await
}

pub(super) async fn no_redirect_uri(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("redirect_uri", "")]).await
}

pub(super) async fn empty_redirect_uri(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", ""),
        ("code_verifier", super::VERIFIER),
        ("client_id", "lab-public"),
    ];
    Ok(t.send("/token", Some(&form), &[]).await?.status == 200)
}

pub(super) async fn code_without_client(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("client_id", "")]).await
}

pub(super) async fn code_of_secret_client_without_client(t: &Tester) -> Outcome<bool> {
    trade(t, &[("client_id", "lab-confidential")], &[("client_id", "")]).await
}

/// Whether a code goes to the second of two redirect URIs.
pub(super) async fn doubled_redirect_uri(t: &Tester) -> Outcome<bool> {
    let twice = [("redirect_uri", CALLBACK), ("redirect_uri", "https://evil.example/cb")];
    let answer = t.ask(&twice).await?;
    Ok(answer.location().starts_with("https://evil.example/") && answer.param("code").is_some())
}

/// Whether a code goes to the first of two redirect URIs.
pub(super) async fn doubled_redirect_uri_before(t: &Tester) -> Outcome<bool> {
    let twice = [("redirect_uri", "https://evil.example/cb"), ("redirect_uri", CALLBACK)];
    let answer = t.ask(&twice).await?;
    Ok(answer.location().starts_with("https://evil.example/") && answer.param("code").is_some())
}

pub(super) async fn doubled_method(t: &Tester) -> Outcome<bool> {
    let twice = [("code_challenge", VERIFIER), ("code_challenge_method", "S256"), ("code_challenge_method", "plain")];
    trade(t, &twice, &[]).await
}

pub(super) async fn hybrid(t: &Tester) -> Outcome<bool> {
    let mut worked = true;
    for (response_type, code, id_token) in
        [("id_token token", false, true), ("code token", true, false), ("code id_token token", true, true)]
    {
        let answer = t.ask(&[("response_type", response_type)]).await?;
        let token = answer.param("access_token").unwrap_or_default();
        worked &= t.opens("/api/me", &token).await?
            && answer.location().contains('#')
            && answer.param("code").is_some() == code
            && answer.param("id_token").is_some() == id_token;
    }
    Ok(worked)
}

pub(super) async fn token_by_get(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let query = encode(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", "lab-public"),
    ]);
    Ok(t.send(&format!("/token?{query}"), None, &[]).await?.status == 200)
}
