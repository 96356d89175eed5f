//! Attacks on authorization requests and codes; each function answers
//! whether its attack worked.

use super::{CALLBACK, CHALLENGE, Outcome, Pairs, Tester, VERIFIER, encode};

const OTHER_VERIFIER: &str = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww";
const NO_PKCE: Pairs<'_> = &[("code_challenge", ""), ("code_challenge_method", "")];
const BARE: Pairs<'_> = &[("code_challenge", ""), ("code_challenge_method", ""), ("state", ""), ("nonce", "")];

/// Asks for a code with `asked`, redeems it with `redeemed`.
async fn trade(t: &Tester, asked: Pairs<'_>, redeemed: Pairs<'_>) -> Outcome<bool> {
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

pub(super) async fn race(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let (a, b) = tokio::join!(t.redeem(&code, &[]), t.redeem(&code, &[]));
    let (a, b) = (a?, b?);
    let both = a.status == 200 && b.status == 200;
    Ok(both && t.opens("/api/me", &a.text("access_token")).await? && t.opens("/api/me", &b.text("access_token")).await?)
}

pub(super) async fn code_of_other_client(t: &Tester) -> Outcome<bool> {
    trade(t, &[], &[("client_id", "lab-second")]).await
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
    for error in [("scope", "admin"), ("response_type", "x"), ("response_mode", "x"), ("code_challenge", "")] {
        worked &= redirected(t, &[("redirect_uri", "https://evil.example/"), error]).await?;
    }
    Ok(worked)
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
