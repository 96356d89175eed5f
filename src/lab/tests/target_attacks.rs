//! Attacks on which API a token is for (RFC 8707); each function answers whether its attack worked.

use super::forge::{hs256, read};
use super::{Outcome, Tester};

/// The audience of an access token, as text.
fn audience(token: &str) -> Outcome<String> {
    Ok(read(token)?.1["aud"].to_string())
}

/// Tokens of a flow whose two requests name these APIs; "" names none.
async fn tokens(t: &Tester, authorized: &str, wanted: &str) -> Outcome<super::Answer> {
    let code = t.code(&[("resource", authorized)]).await?;
    t.redeem(&code, &[("resource", wanted)]).await
}

pub(super) async fn token_for_both(t: &Tester) -> Outcome<bool> {
    let directory = t.lab.directory();
    let token = tokens(t, &directory.resource, &directory.resource).await?.text("access_token");
    Ok(audience(&token)?.contains(&directory.second_resource))
}

pub(super) async fn token_for_unauthorized(t: &Tester) -> Outcome<bool> {
    let directory = t.lab.directory();
    let answer = tokens(t, &directory.resource, &directory.second_resource).await?;
    Ok(answer.status == 200 && !audience(&answer.text("access_token"))?.contains(&directory.resource))
}

pub(super) async fn refreshed_for_unauthorized(t: &Tester) -> Outcome<bool> {
    let directory = t.lab.directory();
    let token = tokens(t, &directory.resource, "").await?.text("refresh_token");
    let answer = t.refresh(&token, &[("resource", &directory.second_resource)]).await?;
    Ok(answer.status == 200 && !audience(&answer.text("access_token"))?.contains(&directory.resource))
}

pub(super) async fn token_for_anything(t: &Tester) -> Outcome<bool> {
    let unknown = "https://evil.example/api";
    let code = t.code(&[("resource", unknown)]).await?;
    Ok(!code.is_empty())
}

pub(super) async fn token_of_a_stranger(t: &Tester) -> Outcome<bool> {
    let stranger = "https://evil.example/mcp";
    let code = t.code(&[("resource", stranger)]).await?;
    let token = t.redeem(&code, &[("resource", stranger)]).await?.text("access_token");
    Ok(!token.is_empty() && t.opens("/api/me", &token).await?)
}

pub(super) async fn token_at_other_api(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    t.opens("/api/orders", &token).await
}

pub(super) async fn token_by_guessed_secret(t: &Tester) -> Outcome<bool> {
    let second = &t.lab.directory().second_resource;
    let token = tokens(t, second, second).await?.text("access_token");
    let (input, signature) = token.rsplit_once('.').ok_or("no JWT")?;
    Ok(signature == super::encode_part(&hs256(b"secret", input.as_bytes())))
}

/// Each API takes its own token and refuses the other's.
pub(super) async fn honest_targets(t: &Tester) -> Outcome<bool> {
    let directory = t.lab.directory();
    let first = tokens(t, &directory.resource, &directory.resource).await?.text("access_token");
    let second = tokens(t, &directory.second_resource, "").await?.text("access_token");
    Ok(t.opens("/api/me", &first).await?
        && !t.opens("/api/me", &second).await?
        && t.opens("/api/orders", &second).await?
        && t.is_active(&second).await?)
}

/// The `authorization_details` of the tokens of a flow whose two requests name these; "" names none.
async fn details(t: &Tester, authorized: &str, wanted: &str) -> Outcome<serde_json::Value> {
    let code = t.code(&[("authorization_details", authorized)]).await?;
    let answer = t.redeem(&code, &[("authorization_details", wanted)]).await?;
    Ok(answer.json()["authorization_details"].clone())
}

pub(super) async fn details_of_no_type(t: &Tester) -> Outcome<bool> {
    Ok(details(t, r#"[{"type":"loan","amount":"1.00"}]"#, "").await?.is_array())
}

pub(super) async fn details_in_token_request(t: &Tester) -> Outcome<bool> {
    let [small, large] = t.lab.directory().authorization_details;
    Ok(details(t, small, large).await? == serde_json::from_str::<serde_json::Value>(large)?)
}

/// Approved details come back in the answer, in the token and from introspection, after a refresh as well.
pub(super) async fn honest_details(t: &Tester) -> Outcome<bool> {
    let [small, _] = t.lab.directory().authorization_details;
    let expected: serde_json::Value = serde_json::from_str(small)?;
    let code = t.code(&[("authorization_details", small)]).await?;
    let tokens = t.redeem(&code, &[]).await?;
    let refreshed = t.refresh(&tokens.text("refresh_token"), &[]).await?;
    Ok([&tokens, &refreshed].iter().all(|answer| answer.json()["authorization_details"] == expected)
        && read(&tokens.text("access_token"))?.1["authorization_details"] == expected)
}

pub(super) async fn mcp_without_token(t: &Tester) -> Outcome<bool> {
    // The body is no message, which is seen by whoever looks at it before he asks for a token.
    let answer = t.send("/api/me", Some(&[("jsonrpc", "2.0")]), &[]).await?;
    Ok(answer.status != 401)
}

pub(super) async fn metadata_of_another_resource(t: &Tester) -> Outcome<bool> {
    let answer = t.send("/.well-known/oauth-protected-resource/api/me", None, &[]).await?;
    let nowhere = t.send("/.well-known/oauth-protected-resource/api", None, &[]).await?;
    Ok(answer.text("resource") != t.lab.directory().resource || nowhere.status != 404)
}
