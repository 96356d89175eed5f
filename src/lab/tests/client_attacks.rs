//! Attacks by and on clients that registered themselves; each function answers whether its attack worked.

use p256::ecdsa::SigningKey;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use super::forge::{read, write};
use super::grant_attacks::register;
use super::{CALLBACK, CHALLENGE, Outcome, Tester, basic_header, encode};
use crate::lab::tokens::now;

/// An RSA key; making one takes seconds.
const PEM: &str = include_str!("../keys/signing-key.pem");

/// Id and secret of a client that registered for codes and openid alone.
async fn narrow(t: &Tester) -> Outcome<(String, String)> {
    let members = json!({ "token_endpoint_auth_method": "client_secret_basic", "scope": "openid" });
    let client = register(t, false, members).await?;
    let text = |name: &str| client[name].as_str().unwrap_or_default().to_owned();
    Ok((text("client_id"), text("client_secret")))
}

/// What a client with a secret gets for the code of an authorization request that it makes.
async fn tokens(t: &Tester, (id, secret): &(String, String)) -> Outcome<super::Answer> {
    let code = t.code(&[("client_id", id), ("scope", "openid")]).await?;
    let authorization = basic_header(id, secret);
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", super::VERIFIER)];
    t.send("/token", Some(&form), &[("authorization", &authorization)]).await
}

pub(super) async fn answer_of_other_type(t: &Tester) -> Outcome<bool> {
    let (id, _) = narrow(t).await?;
    let answer = t.ask(&[("client_id", &id), ("scope", "openid"), ("response_type", "code id_token")]).await?;
    Ok(answer.param("id_token").is_some())
}

pub(super) async fn scope_of_others(t: &Tester) -> Outcome<bool> {
    let (id, _) = narrow(t).await?;
    Ok(!t.code(&[("client_id", &id), ("scope", "openid email")]).await?.is_empty())
}

pub(super) async fn grant_of_others(t: &Tester) -> Outcome<bool> {
    let (id, secret) = narrow(t).await?;
    let authorization = basic_header(&id, &secret);
    // The default scope is one that this client may not have.
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", "x")];
    let answer = t.send("/token", Some(&form), &[("authorization", &authorization)]).await?;
    Ok(answer.text("error") != "unauthorized_client")
}

pub(super) async fn assertion_of_other_alg(t: &Tester) -> Outcome<bool> {
    let (ec, rsa) = (SigningKey::random(&mut rand::rngs::OsRng), rsa::RsaPrivateKey::from_pkcs8_pem(PEM)?);
    let number = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    };
    let point = ec.verifying_key().to_encoded_point(false);
    let bytes = |part: Option<&p256::FieldBytes>| part.map(|part| number(part)).unwrap_or_default();
    let ec_jwk = json!({ "kty": "EC", "crv": "P-256", "x": bytes(point.x()), "y": bytes(point.y()) });
    let rsa_jwk = json!({ "kty": "RSA", "n": number(&rsa.n().to_bytes_be()), "e": number(&rsa.e().to_bytes_be()) });
    let members = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": { "keys": [ec_jwk, rsa_jwk] },
    });
    let client = register(t, false, members).await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    let claims = json!({ "iss": id, "sub": id, "aud": t.lab.issuer(), "jti": id, "iat": now(), "exp": now() + 60 });
    let assertion = write(&json!({ "alg": "RS256" }), &claims, |input| {
        use rsa::signature::{SignatureEncoding as _, Signer as _};
        rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new(rsa.clone()).try_sign(input).map(|it| it.to_vec()).unwrap_or_default()
    });
    let code = t.code(&[("client_id", id)]).await?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", super::VERIFIER),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    Ok(t.send("/token", Some(&form), &[]).await?.status == 200)
}

/// An authorization request of a client that a stranger registered.
async fn of_stranger(t: &Tester, changes: super::Pairs<'_>) -> Outcome<super::Answer> {
    let client: Value = register(t, true, json!({})).await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    let base = [
        ("response_type", "code"),
        ("client_id", id),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    t.browse(&format!("/authorize?{}", encode(&super::with(&base, changes))), None).await
}

pub(super) async fn redirected_to_stranger(t: &Tester) -> Outcome<bool> {
    let unknown = of_stranger(t, &[("scope", "unheard-of")]).await?;
    let none = of_stranger(t, &[("prompt", "none")]).await?;
    t.tokens().await?;
    let unasked = of_stranger(t, &[("prompt", "none")]).await?;
    let leaves = |answer: &super::Answer| answer.param("error").is_some();
    Ok([&unknown, &none, &unasked].into_iter().any(leaves))
}

pub(super) async fn code_of_stranger(t: &Tester) -> Outcome<bool> {
    t.tokens().await?;
    Ok(of_stranger(t, &[]).await?.param("code").is_some())
}

pub(super) async fn more_without_question(t: &Tester) -> Outcome<bool> {
    let client = register(t, false, json!({})).await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    t.code(&[("client_id", id), ("scope", "openid")]).await?;
    let answer = {
        let base = [
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", CALLBACK),
            ("scope", "openid profile"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        t.browse(&format!("/authorize?{}", encode(&base)), None).await?
    };
    Ok(answer.param("code").is_some())
}

pub(super) async fn introspected_by_other(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    let client = narrow(t).await?;
    let own = tokens(t, &client).await?.text("access_token");
    let authorization = basic_header(&client.0, &client.1);
    let ask = |token: String| {
        let authorization = authorization.clone();
        async move {
            Ok::<_, Box<dyn std::error::Error>>(
                t.send("/introspect", Some(&[("token", &token)]), &[("authorization", &authorization)]).await?.json(),
            )
        }
    };
    assert_eq!(ask(own).await?["active"], true, "its own token is its business");
    Ok(ask(token).await?["active"] == true)
}

pub(super) async fn refreshed_after_logout(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[("scope", "openid")]).await?;
    let tokens = t.redeem(&code, &[]).await?;
    let (id_token, refresh_token) = (tokens.text("id_token"), tokens.text("refresh_token"));
    read(&id_token)?;
    t.browse(&format!("/logout?{}", encode(&[("id_token_hint", &id_token)])), None).await?;
    Ok(t.refresh(&refresh_token, &[]).await?.status == 200)
}

/// A refresh token with offline_access outlives the session.
pub(super) async fn honest_offline(t: &Tester) -> Outcome<bool> {
    let tokens = t.tokens().await?;
    let (id_token, refresh_token) = (tokens.text("id_token"), tokens.text("refresh_token"));
    t.browse(&format!("/logout?{}", encode(&[("id_token_hint", &id_token)])), None).await?;
    Ok(t.refresh(&refresh_token, &[]).await?.status == 200)
}
