//! Attacks on devices, exchanged tokens and registered clients; each function answers whether its attack worked.

use serde_json::{Value, json};

use super::forge::write;
use super::{Answer, CALLBACK, CHALLENGE, Outcome, Pairs, Tester, basic_header, with};
use crate::lab::device::GRANT_TYPE;

pub(super) async fn device(t: &Tester, changes: Pairs<'_>) -> Outcome<Answer> {
    let base = [("client_id", "lab-public"), ("scope", "openid profile")];
    t.send("/device_authorization", Some(&with(&base, changes)), &[]).await
}

pub(super) async fn poll(t: &Tester, device: &Answer, changes: Pairs<'_>) -> Outcome<Answer> {
    let code = device.text("device_code");
    let base = [("client_id", "lab-public"), ("grant_type", GRANT_TYPE), ("device_code", code.as_str())];
    t.send("/token", Some(&with(&base, changes)), &[]).await
}

/// The user types the code and logs in: the page with the question.
async fn question(t: &Tester, user: usize, device: &Answer) -> Outcome<Answer> {
    let code = device.text("user_code");
    let page = t.browse("/device", Some(&[("user_code", &code)])).await?;
    if !page.body.contains("password") {
        return Ok(page);
    }
    let user = &t.lab.directory().users[user];
    let form = [("user_code", code.as_str()), ("username", &user.name), ("password", &user.password)];
    let answer = t.browse("/device/login", Some(&form)).await?;
    t.browse(answer.location(), None).await
}

pub(super) async fn decide(t: &Tester, device: &Answer, decision: &str) -> Outcome {
    let csrf = question(t, 0, device).await?.field("csrf");
    let code = device.text("user_code");
    t.browse("/device/confirm", Some(&[("user_code", &code), ("csrf", &csrf), ("decision", decision)])).await?;
    Ok(())
}

pub(super) async fn honest_device(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    decide(t, &device, "allow").await?;
    t.opens("/userinfo", &poll(t, &device, &[]).await?.text("access_token")).await
}

pub(super) async fn device_of_other_client(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    decide(t, &device, "allow").await?;
    Ok(poll(t, &device, &[("client_id", "lab-second")]).await?.status == 200)
}

pub(super) async fn device_not_asked(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    Ok(poll(t, &device, &[]).await?.status == 200)
}

pub(super) async fn device_refused(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    decide(t, &device, "deny").await?;
    Ok(poll(t, &device, &[]).await?.status == 200)
}

pub(super) async fn device_twice(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    decide(t, &device, "allow").await?;
    Ok(poll(t, &device, &[]).await?.status == 200 && poll(t, &device, &[]).await?.status == 200)
}

pub(super) async fn device_race(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    decide(t, &device, "allow").await?;
    let (one, other) = tokio::join!(poll(t, &device, &[]), poll(t, &device, &[]));
    Ok(one?.status == 200 && other?.status == 200)
}

pub(super) async fn device_short_code(t: &Tester) -> Outcome<bool> {
    Ok(device(t, &[]).await?.text("user_code").len() < 8)
}

pub(super) async fn device_opened(t: &Tester) -> Outcome<bool> {
    t.tokens().await?;
    let device = device(t, &[]).await?;
    let path = device.text("verification_uri_complete");
    t.browse(path.trim_start_matches(t.lab.issuer()), None).await?;
    let opened = t.browse("/device", Some(&[("user_code", &device.text("user_code"))])).await?;
    // The code is no longer waiting for anybody.
    Ok(opened.status == 400)
}

pub(super) async fn device_polled_at_once(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    poll(t, &device, &[]).await?;
    Ok(poll(t, &device, &[]).await?.text("error") == "authorization_pending")
}

/// A site makes the browser of the user send the form that the attacker was shown.
pub(super) async fn device_form_of_other_session(t: &Tester) -> Outcome<bool> {
    let device = device(t, &[]).await?;
    let own = t.cookie();
    t.set_cookie(None);
    let csrf = question(t, 1, &device).await?.field("csrf");
    t.set_cookie(Some(own).filter(|cookie| !cookie.is_empty()));
    t.tokens().await?;
    let code = device.text("user_code");
    let answer = t.browse("/device/confirm", Some(&[("user_code", &code), ("csrf", &csrf), ("decision", "allow")])).await?;
    Ok(answer.status == 200)
}

pub(super) async fn device_without_secret(t: &Tester) -> Outcome<bool> {
    Ok(device(t, &[("client_id", "lab-confidential")]).await?.status == 200)
}

pub(super) async fn device_with_wrong_secret(t: &Tester) -> Outcome<bool> {
    let authorization = basic_header("lab-confidential", "wrong");
    let answer = t.send("/device_authorization", Some(&[("scope", "openid")]), &[("authorization", &authorization)]).await?;
    Ok(answer.status == 200)
}

async fn exchange(t: &Tester, token: &str, changes: Pairs<'_>) -> Outcome<Answer> {
    let base = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    let basic = t.basic()?;
    t.send("/token", Some(&with(&base, changes)), &[("authorization", &basic)]).await
}

/// Tokens with a narrow scope.
async fn narrow(t: &Tester) -> Outcome<Answer> {
    let code = t.code(&[("scope", "openid profile")]).await?;
    t.redeem(&code, &[]).await
}

pub(super) async fn honest_exchange(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("access_token");
    t.opens("/userinfo", &exchange(t, &token, &[]).await?.text("access_token")).await
}

pub(super) async fn exchange_for_more(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("access_token");
    Ok(exchange(t, &token, &[("scope", "openid email")]).await?.text("scope").contains("email"))
}

pub(super) async fn exchange_by_public_client(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("access_token");
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("client_id", "lab-public"),
        ("subject_token", &token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    Ok(t.send("/token", Some(&form), &[]).await?.status == 200)
}

pub(super) async fn exchange_of_tampered(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("access_token");
    let (rest, signature) = token.rsplit_once('.').unwrap_or_default();
    let flipped: String = signature.chars().rev().collect();
    Ok(exchange(t, &format!("{rest}.{flipped}"), &[]).await?.status == 200)
}

pub(super) async fn exchange_of_revoked(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("access_token");
    t.send("/revoke", Some(&[("client_id", "lab-public"), ("token", &token)]), &[]).await?;
    Ok(exchange(t, &token, &[]).await?.status == 200)
}

pub(super) async fn exchange_of_id_token(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("id_token");
    Ok(exchange(t, &token, &[]).await?.status == 200)
}

pub(super) async fn exchange_for_refresh_token(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("access_token");
    let kind = "urn:ietf:params:oauth:token-type:refresh_token";
    let answer = exchange(t, &token, &[("requested_token_type", kind)]).await?;
    Ok(answer.text("issued_token_type") == kind && answer.text("access_token") != token)
}

pub(super) async fn exchange_for_other_user(t: &Tester) -> Outcome<bool> {
    let token = narrow(t).await?.text("access_token");
    Ok(exchange(t, &token, &[("requested_subject", "u-c4a8e65d90")]).await?.status == 200)
}

/// A registration, with the initial access token unless `as_stranger`.
pub(super) async fn register(t: &Tester, as_stranger: bool, members: Value) -> Outcome<Value> {
    let mut body = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
    if let (Some(body), Some(more)) = (body.as_object_mut(), members.as_object()) {
        body.extend(more.clone());
    }
    let mut request = t.http.post(format!("{}/register", t.lab.issuer())).header("content-type", "application/json").body(body.to_string());
    if !as_stranger {
        request = request.bearer_auth(&t.lab.directory().initial_access_token);
    }
    Ok(serde_json::from_str(&request.send().await?.text().await?)?)
}

pub(super) async fn honest_client(t: &Tester) -> Outcome<bool> {
    let client = register(t, false, json!({ "client_name": "Mine" })).await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    let path = format!("/register/{id}");
    let token = client["registration_access_token"].as_str().unwrap_or_default();
    let gives_codes = !t.code(&[("client_id", id)]).await?.is_empty();
    let is_shown = t.opens(&path, token).await?;
    t.http.delete(format!("{}{path}", t.lab.issuer())).bearer_auth(token).send().await?;
    Ok(gives_codes && is_shown && !t.opens(&path, token).await? && t.code(&[("client_id", id)]).await?.is_empty())
}

pub(super) async fn registered_by_stranger(t: &Tester) -> Outcome<bool> {
    Ok(register(t, true, json!({ "grant_types": ["client_credentials"] })).await?["client_id"].is_string())
}

pub(super) async fn registered_script(t: &Tester) -> Outcome<bool> {
    Ok(register(t, false, json!({ "redirect_uris": ["javascript:alert(1)"] })).await?["client_id"].is_string())
}

pub(super) async fn registration_read_by_other(t: &Tester) -> Outcome<bool> {
    let (one, other) = (register(t, false, json!({})).await?, register(t, false, json!({})).await?);
    let token = other["registration_access_token"].as_str().unwrap_or_default();
    t.opens(&format!("/register/{}", one["client_id"].as_str().unwrap_or_default()), token).await
}

pub(super) async fn registered_id_of_other(t: &Tester) -> Outcome<bool> {
    Ok(register(t, false, json!({ "client_id": "mine" })).await?["client_id"] == "mine")
}

pub(super) async fn registered_statement(t: &Tester) -> Outcome<bool> {
    let statement = write(&json!({ "alg": "none" }), &json!({ "client_name": "Bank" }), |_| Vec::new());
    Ok(register(t, false, json!({ "software_statement": statement })).await?["client_name"] == "Bank")
}

pub(super) async fn registered_markup(t: &Tester) -> Outcome<bool> {
    let client = register(t, false, json!({ "client_name": "<img src=x>" })).await?;
    t.tokens().await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    let query = [
        ("response_type", "code"),
        ("client_id", id),
        ("redirect_uri", CALLBACK),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let answer = t.browse(&format!("/authorize?{}", super::encode(&query)), None).await?;
    Ok(t.browse(answer.location(), None).await?.body.contains("<img src=x>"))
}
