//! Attacks on signed answers, on assertions as grants and on backchannel authentication; each function answers whether its attack worked.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use serde_json::{Value, json};

use super::forge::{self, With};
use super::{Answer, Outcome, Pairs, Tester, with};
use crate::lab::tokens::now;
use crate::lab::{ciba, jwt_grant};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The answer in a JWT: header and claims, and the code that stands in the clear beside it.
async fn answer_in_jwt(t: &Tester) -> Outcome<(Value, Value, Option<String>)> {
    let answer = t.ask(&[("response_mode", "jwt")]).await?;
    let (header, claims) = forge::read(&answer.param("response").ok_or("no response")?)?;
    Ok((header, claims, answer.param("code")))
}

pub(super) async fn answer_malformed(t: &Tester) -> Outcome<bool> {
    let (header, claims, code) = answer_in_jwt(t).await?;
    Ok(header["alg"] == "none" && claims["aud"].is_null() && claims["exp"].is_null() && code.is_some())
}

async fn introspected(t: &Tester) -> Outcome<(Value, Value)> {
    let (token, basic) = (t.tokens().await?.text("access_token"), t.basic()?);
    let headers = [("authorization", basic.as_str()), ("accept", "application/token-introspection+jwt")];
    let answer = t.send("/introspect", Some(&[("token", &token)]), &headers).await?;
    assert_eq!(answer.header("content-type"), "application/token-introspection+jwt");
    forge::read(&answer.body)
}

pub(super) async fn introspection_lax(t: &Tester) -> Outcome<bool> {
    let (header, claims) = introspected(t).await?;
    Ok(header["typ"] != "token-introspection+jwt" && claims["active"] == true && claims["aud"] != "lab-confidential")
}

pub(super) async fn honest_answers(t: &Tester) -> Outcome<bool> {
    let (header, claims, code) = answer_in_jwt(t).await?;
    let issuer = t.lab.issuer();
    let lives = claims["exp"].as_u64().is_some_and(|exp| (now()..=now() + 600).contains(&exp));
    let is_answer = header["alg"] == "RS256" && claims["iss"] == issuer && claims["aud"] == "lab-public" && lives && code.is_none();
    let tokens = t.redeem(claims["code"].as_str().unwrap_or_default(), &[]).await?;
    let (header, claims) = introspected(t).await?;
    let inner = &claims["token_introspection"];
    let is_introspection = header["typ"] == "token-introspection+jwt" && claims["aud"] == "lab-confidential" && claims["iss"] == issuer;
    Ok(is_answer && tokens.status == 200 && is_introspection && inner["active"] == true && claims["sub"].is_null())
}

/// Brings an assertion about the first user, with changed claims, as the confidential client.
async fn bring(t: &Tester, key: &SigningKey, changes: &Value) -> Outcome<Answer> {
    let mut claims = json!({
        "iss": t.lab.directory().trusted_issuer.issuer, "sub": "u-7f3d09c2b1", "aud": t.lab.issuer(),
        "iat": now(), "exp": now() + 60, "jti": crate::lab::secrets::random(),
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    let sign = |message: &[u8]| {
        let signature: Signature = key.sign(message);
        signature.to_bytes().to_vec()
    };
    let assertion = forge::write(&json!({ "alg": "ES256" }), &claims, sign);
    let form = [("grant_type", jwt_grant::GRANT_TYPE), ("assertion", assertion.as_str()), ("scope", "openid profile")];
    t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await
}

fn trusted_key(t: &Tester) -> Outcome<SigningKey> {
    Ok(SigningKey::from_pkcs8_pem(&t.lab.directory().trusted_issuer.private_key_pem)?)
}

pub(super) async fn assertion_of_anybody(t: &Tester) -> Outcome<bool> {
    let (key, _) = forge::fresh_key();
    Ok(bring(t, &key, &json!({ "iss": "lab-confidential" })).await?.status == 200)
}

pub(super) async fn honest_assertion(t: &Tester) -> Outcome<bool> {
    let answer = bring(t, &trusted_key(t)?, &json!({})).await?;
    t.opens("/userinfo", &answer.text("access_token")).await
}

#[tokio::test]
async fn assertions_as_grants_are_verified() -> Outcome {
    let t = Tester::strict().await?;
    let key = trusted_key(&t)?;
    for wrong in [
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "https://evil.example" }),
        json!({ "exp": now() - 1 }),
        json!({ "exp": now() + 7200 }),
        json!({ "exp": null }),
        json!({ "nbf": now() + 600 }),
        json!({ "sub": "u-nobody" }),
        json!({ "jti": null }),
    ] {
        assert_eq!(bring(&t, &key, &wrong).await?.text("error"), "invalid_grant", "{wrong}");
    }
    let once = json!({ "jti": "once" });
    assert_eq!(bring(&t, &key, &once).await?.status, 200);
    assert_eq!(bring(&t, &key, &once).await?.text("error"), "invalid_grant", "used");
    Ok(())
}

/// A backchannel request of the confidential client; a `client_id` takes the place of its authentication.
async fn request(t: &Tester, changes: Pairs<'_>) -> Outcome<Answer> {
    let base = [("scope", "openid profile"), ("login_hint", "alice"), ("binding_message", "W4SCT")];
    let form = with(&base, changes);
    let basic = t.basic()?;
    let headers = [("authorization", basic.as_str())];
    let is_named = changes.iter().any(|(name, _)| *name == "client_id");
    t.send("/backchannel_authentication", Some(&form), if is_named { &[] } else { &headers }).await
}

/// A poll of the confidential client, or of the one with assertions.
async fn poll(t: &Tester, asked: &Answer, by_other: bool) -> Outcome<Answer> {
    let (id, basic) = (asked.text("auth_req_id"), t.basic()?);
    let assertion = forge::assertion(t, With::OwnKey, &json!({}))?;
    let base = [("grant_type", ciba::GRANT_TYPE), ("auth_req_id", id.as_str())];
    let own = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())];
    match by_other {
        true => t.send("/token", Some(&with(&base, &own)), &[]).await,
        false => t.send("/token", Some(&base), &[("authorization", &basic)]).await,
    }
}

/// A user opens the page of a message, logs in and decides; false: he is not asked.
async fn decide(t: &Tester, message: &str, user: usize, decision: &str) -> Outcome<bool> {
    let page = t.browse(&format!("/approve?binding_message={message}"), None).await?;
    let code = page.field("user_code");
    let user = &t.lab.directory().users[user];
    let form = [("user_code", code.as_str()), ("username", &user.name), ("password", &user.password)];
    let answer = t.browse("/device/login", Some(&form)).await?;
    let csrf = t.browse(answer.location(), None).await?.field("csrf");
    let form = [("user_code", code.as_str()), ("csrf", &csrf), ("decision", decision)];
    Ok(t.browse("/device/confirm", Some(&form)).await?.status == 200)
}

pub(super) async fn asked_without_authentication(t: &Tester) -> Outcome<bool> {
    Ok(request(t, &[("client_id", "lab-confidential")]).await?.status == 200)
}

pub(super) async fn asked_by_two_hints(t: &Tester) -> Outcome<bool> {
    let id_token = t.tokens().await?.text("id_token");
    Ok(request(t, &[("id_token_hint", &id_token)]).await?.status == 200)
}

pub(super) async fn asked_by_forged_hint(t: &Tester) -> Outcome<bool> {
    let id_token = t.tokens().await?.text("id_token");
    let (header, claims) = forge::read(&id_token)?;
    let forged = forge::write(&header, &claims, |_| vec![1]);
    Ok(request(t, &[("login_hint", ""), ("id_token_hint", &forged)]).await?.status == 200)
}

/// Asks, lets the user agree in a browser of his own, and gives what was asked.
async fn agreed(t: &Tester) -> Outcome<Answer> {
    t.set_cookie(None);
    // A message of its own: the requests of other attacks may wait still.
    let message = crate::lab::secrets::random();
    let asked = request(t, &[("binding_message", &message)]).await?;
    decide(t, &message, 0, "allow").await?;
    Ok(asked)
}

pub(super) async fn polled_by_other(t: &Tester) -> Outcome<bool> {
    let asked = agreed(t).await?;
    Ok(poll(t, &asked, true).await?.status == 200)
}

pub(super) async fn polled_twice(t: &Tester) -> Outcome<bool> {
    let asked = agreed(t).await?;
    Ok(poll(t, &asked, false).await?.status == 200 && poll(t, &asked, false).await?.status == 200)
}

pub(super) async fn polled_unasked(t: &Tester) -> Outcome<bool> {
    let asked = request(t, &[]).await?;
    Ok(poll(t, &asked, false).await?.status == 200)
}

/// A signed request of the client with assertions, with changed claims (null removes one).
async fn signed(t: &Tester, key: With, changes: &Value) -> Outcome<Answer> {
    let assertion = forge::assertion(t, With::OwnKey, &json!({}))?;
    let mut claims = json!({ "scope": "openid", "login_hint": "alice", "nbf": now(), "sub": null });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    let object = forge::assertion(t, key, &claims)?;
    let form = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str()), ("request", object.as_str())];
    t.send("/backchannel_authentication", Some(&form), &[]).await
}

pub(super) async fn asked_by_unsigned_request(t: &Tester) -> Outcome<bool> {
    Ok(signed(t, With::Nothing("none"), &json!({})).await?.status == 200)
}

pub(super) async fn honest_backchannel(t: &Tester) -> Outcome<bool> {
    let token = poll(t, &agreed(t).await?, false).await?.text("access_token");
    Ok(t.opens("/userinfo", &token).await? && signed(t, With::OwnKey, &json!({})).await?.status == 200)
}

#[tokio::test]
async fn signed_backchannel_requests_are_verified() -> Outcome {
    let t = Tester::strict().await?;
    for wrong in [
        json!({ "aud": "https://evil.example" }),
        json!({ "iss": "lab-public" }),
        json!({ "sub": "lab-assertion" }),
        json!({ "exp": now() - 1 }),
        json!({ "exp": null }),
        json!({ "nbf": null }),
        json!({ "iat": null }),
        json!({ "jti": null }),
    ] {
        assert_eq!(signed(&t, With::OwnKey, &wrong).await?.text("error"), "invalid_request", "{wrong}");
    }
    assert_eq!(signed(&t, With::OtherKey, &json!({})).await?.text("error"), "invalid_request");
    Ok(())
}

#[tokio::test]
async fn a_backchannel_request_waits_for_its_own_user() -> Outcome {
    let t = Tester::strict().await?;
    let asked = request(&t, &[]).await?;
    assert_eq!(poll(&t, &asked, false).await?.text("error"), "authorization_pending");
    assert_eq!(poll(&t, &asked, false).await?.text("error"), "slow_down");
    assert!(!decide(&t, "W4SCT", 1, "allow").await?, "another user decides");
    t.set_cookie(None);
    assert!(decide(&t, "W4SCT", 0, "deny").await?);
    assert_eq!(poll(&t, &asked, false).await?.text("error"), "access_denied");
    // A device code it is none.
    let id = asked.text("auth_req_id");
    let form = [("grant_type", crate::lab::device::GRANT_TYPE), ("device_code", id.as_str())];
    assert_eq!(t.send("/token", Some(&form), &[("authorization", &t.basic()?)]).await?.text("error"), "invalid_grant");
    for (name, value, error) in [
        ("scope", "profile", "invalid_scope"),
        ("login_hint", "nobody", "unknown_user_id"),
        ("login_hint", "", "invalid_request"),
        ("binding_message", "two words", "invalid_binding_message"),
        ("requested_expiry", "0", "invalid_request"),
        ("client_id", "lab-public", "invalid_client"),
    ] {
        assert_eq!(request(&t, &[(name, value)]).await?.text("error"), error, "{name}={value}");
    }
    Ok(())
}
