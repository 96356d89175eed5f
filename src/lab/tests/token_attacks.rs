//! Attacks on client authentication and on tokens; each function answers
//! whether its attack worked.

use serde_json::json;

use super::forge::{self, With};
use super::{Answer, Outcome, Pairs, Tester, basic_header};
use crate::lab::tokens::now;

async fn client_credentials(t: &Tester, changes: Pairs<'_>, header: &str) -> Outcome<Answer> {
    let form = super::with(&[("grant_type", "client_credentials")], changes);
    let headers = [("authorization", header)];
    let headers = if header.is_empty() { &[][..] } else { &headers };
    t.send("/token", Some(&form), headers).await
}

pub(super) async fn wrong_secret(t: &Tester) -> Outcome<bool> {
    let wrong = basic_header("lab-confidential", "wrong");
    Ok(client_credentials(t, &[], &wrong).await?.status == 200)
}

pub(super) async fn secret_in_other_case(t: &Tester) -> Outcome<bool> {
    let secret = t.client("confidential")?.secret.clone().unwrap_or_default();
    let upper = basic_header("lab-confidential", &secret.to_ascii_uppercase());
    Ok(client_credentials(t, &[], &upper).await?.status == 200)
}

pub(super) async fn empty_secret(t: &Tester) -> Outcome<bool> {
    let empty = basic_header("lab-confidential", "");
    Ok(client_credentials(t, &[], &empty).await?.status == 200)
}

pub(super) async fn secret_in_body(t: &Tester) -> Outcome<bool> {
    let secret = t.client("confidential")?.secret.clone().unwrap_or_default();
    let body = [("client_id", "lab-confidential"), ("client_secret", &secret)];
    Ok(client_credentials(t, &body, "").await?.status == 200)
}

pub(super) async fn no_secret(t: &Tester) -> Outcome<bool> {
    let id_only = [("client_id", "lab-confidential")];
    Ok(client_credentials(t, &id_only, "").await?.status == 200)
}

async fn asserted(t: &Tester, with: With, changes: serde_json::Value) -> Outcome<bool> {
    let assertion = forge::assertion(t, with, &changes)?;
    let answer = present(t, &assertion).await?;
    // Past the authentication the grant type is not for this client, unless a flaw says otherwise.
    Ok(answer.status == 200 || answer.text("error") == "unauthorized_client")
}

/// A token request with this assertion.
pub(super) async fn present(t: &Tester, assertion: &str) -> Outcome<Answer> {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    t.send("/token", Some(&form), &[]).await
}

pub(super) async fn assertion_of_other_key(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OtherKey, json!({})).await
}

pub(super) async fn unsigned_assertion(t: &Tester) -> Outcome<bool> {
    let mut worked = true;
    for alg in ["none", "nOnE", "ES256"] {
        worked &= asserted(t, With::Nothing(alg), json!({})).await?;
    }
    Ok(worked)
}

pub(super) async fn assertion_for_other_server(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OwnKey, json!({ "aud": "https://other.example" })).await
}

pub(super) async fn reuse_refresh_token(t: &Tester) -> Outcome<bool> {
    let old = t.tokens().await?.text("refresh_token");
    t.refresh(&old, &[]).await?;
    Ok(t.refresh(&old, &[]).await?.status == 200)
}

pub(super) async fn reuse_renewed_refresh_token(t: &Tester) -> Outcome<bool> {
    let first = t.tokens().await?.text("refresh_token");
    let renewed = t.refresh(&first, &[]).await?.text("refresh_token");
    t.refresh(&renewed, &[]).await?;
    Ok(t.refresh(&renewed, &[]).await?.status == 200)
}

/// Whether the reuse of an old token lives on, and the token that it was exchanged for is dead.
pub(super) async fn reuse_takes_over(t: &Tester) -> Outcome<bool> {
    let old = t.tokens().await?.text("refresh_token");
    let new = t.refresh(&old, &[]).await?.text("refresh_token");
    let again = t.refresh(&old, &[]).await?.text("refresh_token");
    Ok(t.refresh(&new, &[]).await?.status != 200 && t.refresh(&again, &[]).await?.status == 200)
}

/// Whether of four simultaneous uses two tokens live.
pub(super) async fn refresh_race(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("refresh_token");
    let (a, b, c, d) = tokio::join!(t.refresh(&token, &[]), t.refresh(&token, &[]), t.refresh(&token, &[]), t.refresh(&token, &[]));
    let given: std::collections::BTreeSet<String> = [a?, b?, c?, d?].iter().map(|answer| answer.text("refresh_token")).collect();
    let mut living = 0;
    for token in given {
        living += usize::from(t.refresh(&token, &[]).await?.status == 200);
    }
    Ok(living > 1)
}

pub(super) async fn reuse_of_grandparent_leaves_family(t: &Tester) -> Outcome<bool> {
    let first = t.tokens().await?.text("refresh_token");
    let second = t.refresh(&first, &[]).await?.text("refresh_token");
    let third = t.refresh(&second, &[]).await?.text("refresh_token");
    t.refresh(&first, &[]).await?;
    Ok(t.refresh(&third, &[]).await?.status == 200)
}

pub(super) async fn reuse_leaves_family(t: &Tester) -> Outcome<bool> {
    let old = t.tokens().await?.text("refresh_token");
    let new = t.refresh(&old, &[]).await?;
    t.refresh(&old, &[]).await?;
    let access = t.opens("/api/me", &new.text("access_token")).await?;
    Ok(access && t.refresh(&new.text("refresh_token"), &[]).await?.status == 200)
}

pub(super) async fn refresh_by_other_client(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("refresh_token");
    let answer = t.refresh(&token, &[("client_id", "lab-second")]).await?;
    Ok(answer.status == 200)
}

pub(super) async fn renewed_by_other_client(t: &Tester) -> Outcome<bool> {
    let first = t.tokens().await?.text("refresh_token");
    let renewed = t.refresh(&first, &[]).await?.text("refresh_token");
    Ok(t.refresh(&renewed, &[("client_id", "lab-second")]).await?.status == 200)
}

pub(super) async fn refresh_by_authenticated_client(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    Ok(t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await?.status == 200)
}

pub(super) async fn wider_scope_unasked(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("scope", "api:read")]).await?;
    let token = t.redeem(&code, &[]).await?.text("refresh_token");
    Ok(t.refresh(&token, &[]).await?.text("scope") != "api:read")
}

pub(super) async fn wider_scope(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("scope", "api:read")]).await?;
    let token = t.redeem(&code, &[]).await?.text("refresh_token");
    let wider = t.refresh(&token, &[("scope", "api:read api:write")]).await?;
    Ok(wider.text("scope") == "api:read api:write")
}

pub(super) async fn anonymous_introspection(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let form = [("token", token.as_str())];
    let answer = t.send("/introspect", Some(&form), &[]).await?;
    Ok(answer.json()["active"] == true)
}

pub(super) async fn introspection_by_empty_secret(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let form = [("token", token.as_str())];
    let answer = t.send("/introspect", Some(&form), &[("authorization", &basic_header("lab-public", ""))]).await?;
    Ok(answer.json()["active"] == true)
}

pub(super) async fn introspection_by_id_only(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let mut worked = false;
    for id in ["lab-public", "lab-confidential", "lab-assertion"] {
        let form = [("token", token.as_str()), ("client_id", id)];
        worked |= t.send("/introspect", Some(&form), &[]).await?.status == 200;
    }
    Ok(worked)
}

async fn revoke(t: &Tester, client: &str, token: &str) -> Outcome<u16> {
    let form = [("token", token), ("client_id", client)];
    Ok(t.send("/revoke", Some(&form), &[]).await?.status)
}

pub(super) async fn survives_revocation(t: &Tester) -> Outcome<bool> {
    let tokens = t.tokens().await?;
    let status = revoke(t, "lab-public", &tokens.text("refresh_token")).await?;
    Ok(status == 200 && t.opens("/api/me", &tokens.text("access_token")).await?)
}

/// Whether a refresh token outlives its revocation with this hint because that is refused.
async fn outlives(t: &Tester, hint: &[(&str, &str)]) -> Outcome<bool> {
    let refresh = t.tokens().await?.text("refresh_token");
    let form = [&[("token", refresh.as_str()), ("client_id", "lab-public")], hint].concat();
    let status = t.send("/revoke", Some(&form), &[]).await?.status;
    Ok(status == 400 && t.refresh(&refresh, &[]).await?.status == 200)
}

pub(super) async fn revocation_refused_for_hint(t: &Tester) -> Outcome<bool> {
    outlives(t, &[("token_type_hint", "access_token")]).await
}

pub(super) async fn revocation_refused_without_hint(t: &Tester) -> Outcome<bool> {
    outlives(t, &[]).await
}

pub(super) async fn revocation_by_other(t: &Tester) -> Outcome<bool> {
    let tokens = t.tokens().await?;
    let access = tokens.text("access_token");
    revoke(t, "lab-second", &access).await?;
    Ok(!t.opens("/api/me", &access).await?)
}

/// Whether a forged token is taken by userinfo; then the API, which may believe more, takes it too.
async fn forged(t: &Tester, token: &str) -> Outcome<bool> {
    let userinfo = t.opens("/userinfo", token).await?;
    let api = t.opens("/api/me", token).await?;
    assert!(api || !userinfo, "the API takes what userinfo takes");
    Ok(userinfo)
}

pub(super) async fn alg_confusion(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let mut worked = 0;
    let secrets = forge::public_keys(t).await?;
    for secret in &secrets {
        let token = forge::with_alg(&token, "HS256", |message| forge::hs256(secret, message))?;
        worked += usize::from(forged(t, &token).await?);
    }
    assert!(worked == 0 || worked == secrets.len());
    Ok(worked > 0)
}

pub(super) async fn hs256_with_guessed_secret(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let token = forge::with_alg(&token, "HS256", |message| forge::hs256(b"secret", message))?;
    forged(t, &token).await
}

pub(super) async fn alg_none(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let mut worked = true;
    for alg in ["none", "None", "NONE"] {
        let token = forge::with_alg(&token, alg, |_| Vec::new())?;
        worked &= forged(t, &token).await?;
    }
    Ok(worked)
}

pub(super) async fn alg_none_at_api(t: &Tester) -> Outcome<bool> {
    let token = forge::with_alg(&t.tokens().await?.text("access_token"), "none", |_| Vec::new())?;
    t.opens("/api/me", &token).await
}

pub(super) async fn tampered(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let token = forge::with_alg(&token, "RS256", |_| vec![0; 256])?;
    forged(t, &token).await
}

pub(super) async fn tampered_is_active(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    t.is_active(&forge::with_alg(&token, "RS256", |_| vec![0; 256])?).await
}

pub(super) async fn expired_assertion(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OwnKey, json!({ "iat": now() - 360, "exp": now() - 300 })).await
}

pub(super) async fn assertion_without_end(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OwnKey, json!({ "exp": null })).await
}

pub(super) async fn early_assertion(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OwnKey, json!({ "nbf": now() + 600, "exp": now() + 900 })).await
}

pub(super) async fn early_short_assertion(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OwnKey, json!({ "nbf": now() + 200, "exp": now() + 260 })).await
}

pub(super) async fn assertion_without_subject(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OwnKey, json!({ "sub": null })).await
}

pub(super) async fn id_token_as_assertion(t: &Tester) -> Outcome<bool> {
    let genuine = forge::assertion(t, With::OwnKey, &json!({}))?;
    let own = [
        ("client_id", "lab-assertion"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", genuine.as_str()),
    ];
    let code = t.code(&[("client_id", "lab-assertion")]).await?;
    let id_token = t.redeem(&code, &own).await?.text("id_token");
    Ok(present(t, &id_token).await?.text("error") == "unauthorized_client")
}

pub(super) async fn assertion_of_other_issuer(t: &Tester) -> Outcome<bool> {
    asserted(t, With::OwnKey, json!({ "iss": "https://other.example" })).await
}

pub(super) async fn assertion_twice(t: &Tester) -> Outcome<bool> {
    let assertion = forge::assertion(t, With::OwnKey, &json!({}))?;
    present(t, &assertion).await?;
    Ok(present(t, &assertion).await?.text("error") == "unauthorized_client")
}

pub(super) async fn credentials_of_public_client(t: &Tester) -> Outcome<bool> {
    Ok(client_credentials(t, &[("client_id", "lab-public")], "").await?.status == 200)
}

/// By the body and by the header, with a secret and with an empty one.
pub(super) async fn credentials_of_public_client_with_secret(t: &Tester) -> Outcome<bool> {
    let mut worked = client_credentials(t, &[("client_id", "lab-public"), ("client_secret", "x")], "").await?.status == 200;
    for secret in ["", "x"] {
        worked &= client_credentials(t, &[], &basic_header("lab-public", secret)).await?.status == 200;
    }
    Ok(worked)
}

pub(super) async fn credentials_give_refresh_token(t: &Tester) -> Outcome<bool> {
    Ok(!client_credentials(t, &[], &t.basic()?).await?.text("refresh_token").is_empty())
}

pub(super) async fn refresh_token_opens(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("refresh_token");
    t.opens("/api/me", &token).await
}

pub(super) async fn part_of_refresh_token(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("refresh_token");
    Ok(t.refresh(&token[..token.len() - 1], &[]).await?.status == 200)
}

pub(super) async fn token_by_query(t: &Tester) -> Outcome<bool> {
    t.opens("/api/me", "a%").await
}

pub(super) async fn id_token_opens(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("id_token");
    t.opens("/userinfo", &token).await
}

pub(super) async fn claims_beyond_scope(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("scope", "openid")]).await?;
    let token = t.redeem(&code, &[]).await?.text("access_token");
    let bearer = format!("Bearer {token}");
    Ok(!t.send("/userinfo", None, &[("authorization", &bearer)]).await?.text("email").is_empty())
}

pub(super) async fn access_token_survives(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let status = revoke(t, "lab-public", &token).await?;
    Ok(status == 200 && t.opens("/api/me", &token).await?)
}

pub(super) async fn active_after_revocation(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    revoke(t, "lab-public", &token).await?;
    t.is_active(&token).await
}

pub(super) async fn revocation_by_get(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let status = t.send(&format!("/revoke?token={token}&client_id=lab-public"), None, &[]).await?.status;
    Ok(status == 200 && !t.opens("/api/me", &token).await?)
}

pub(super) async fn no_token(t: &Tester) -> Outcome<bool> {
    Ok(t.send("/userinfo", None, &[]).await?.status == 200)
}

pub(super) async fn no_token_at_the_api(t: &Tester) -> Outcome<bool> {
    let without = t.send("/api/me", None, &[]).await?.status == 200;
    assert_eq!(without, t.opens("/api/me", "made-up").await?);
    Ok(without)
}

/// A correct login, so that no flaw breaks what must work.
pub(super) async fn honest_flow(t: &Tester) -> Outcome<bool> {
    let tokens = t.tokens().await?;
    let again = t.refresh(&tokens.text("refresh_token"), &[]).await?;
    let access = again.text("access_token");
    let basic = t.basic()?;
    Ok(t.opens("/userinfo", &access).await?
        && t.is_active(&access).await?
        && client_credentials(t, &[], &basic).await?.status == 200
        && asserted(t, With::OwnKey, json!({})).await?)
}

pub(super) async fn refresh_token_stays(t: &Tester) -> Outcome<bool> {
    let old = t.tokens().await?.text("refresh_token");
    let answer = t.refresh(&old, &[]).await?;
    Ok(answer.text("refresh_token") == old)
}

pub(super) async fn refresh_without_client(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("refresh_token");
    Ok(t.refresh(&token, &[("client_id", "")]).await?.status == 200)
}

/// Whether a refresh token of the client with a secret is taken with this name and secret.
async fn refreshed_as(t: &Tester, id: &str, secret: &str) -> Outcome<bool> {
    refreshed_with(t, &[("authorization", &basic_header(id, secret))]).await
}

pub(super) async fn refresh_of_secret_client_without_client(t: &Tester) -> Outcome<bool> {
    refreshed_with(t, &[]).await
}

/// The same with these headers.
async fn refreshed_with(t: &Tester, headers: Pairs<'_>) -> Outcome<bool> {
    let code = t.code(&[("client_id", "lab-confidential")]).await?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", super::CALLBACK),
        ("code_verifier", super::VERIFIER),
    ];
    let token = t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await?.text("refresh_token");
    assert!(!token.is_empty());
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    Ok(t.send("/token", Some(&form), headers).await?.status == 200)
}

pub(super) async fn refresh_with_wrong_secret(t: &Tester) -> Outcome<bool> {
    refreshed_as(t, "lab-confidential", "wrong").await
}

pub(super) async fn refresh_with_empty_secret(t: &Tester) -> Outcome<bool> {
    refreshed_as(t, "lab-confidential", "").await
}

pub(super) async fn refresh_of_unknown_client(t: &Tester) -> Outcome<bool> {
    refreshed_as(t, "nobody", "wrong").await
}

pub(super) async fn token_in_query(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let answer = t.send(&format!("/userinfo?access_token={token}"), None, &[]).await?;
    Ok(answer.status == 200)
}

/// Whether a client's own token names a user.
pub(super) async fn client_as_user(t: &Tester) -> Outcome<bool> {
    let token = client_credentials(t, &[], &t.basic()?).await?.text("access_token");
    Ok(forge::read(&token)?.1["sub"].as_str().is_some_and(|sub| sub.starts_with("u-")))
}
