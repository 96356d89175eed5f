//! Attacks on pushed and signed requests and on proofs of possession; each function answers whether its attack worked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use super::forge::{encrypted, hs256, read, write};
use super::{Answer, CALLBACK, CHALLENGE, Outcome, Pairs, Tester, VERIFIER, with};
use crate::lab::secrets;
use crate::lab::tokens::now;

const PUSHED: Pairs<'static> = &[
    ("response_type", "code"),
    ("client_id", "lab-public"),
    ("redirect_uri", CALLBACK),
    ("scope", "openid profile"),
    ("state", "s-1"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

pub(super) async fn push(t: &Tester, changes: Pairs<'_>) -> Outcome<String> {
    Ok(t.send("/par", Some(&with(PUSHED, changes)), &[]).await?.text("request_uri"))
}

/// The code for a pushed request, "" where it is refused.
pub(super) async fn bring(t: &Tester, request_uri: &str, more: Pairs<'_>) -> Outcome<String> {
    let base = [("client_id", "lab-public"), ("request_uri", request_uri)];
    Ok(t.authorize(&with(&base, more)).await?.param("code").unwrap_or_default())
}

pub(super) async fn pushed_by_other_client(t: &Tester) -> Outcome<bool> {
    let uri = push(t, &[]).await?;
    Ok(!bring(t, &uri, &[("client_id", "lab-second")]).await?.is_empty())
}

pub(super) async fn pushed_used_twice(t: &Tester) -> Outcome<bool> {
    let uri = push(t, &[]).await?;
    Ok(!bring(t, &uri, &[]).await?.is_empty() && !bring(t, &uri, &[]).await?.is_empty())
}

pub(super) async fn pushed_guessed(t: &Tester) -> Outcome<bool> {
    push(t, &[]).await?;
    Ok(!bring(t, "urn:ietf:params:oauth:request_uri:guess", &[]).await?.is_empty())
}

pub(super) async fn pushed_without_secret(t: &Tester) -> Outcome<bool> {
    Ok(!push(t, &[("client_id", "lab-confidential")]).await?.is_empty())
}

pub(super) async fn pushed_and_overridden(t: &Tester) -> Outcome<bool> {
    let uri = push(t, &[]).await?;
    let code = bring(t, &uri, &[("scope", "openid profile email")]).await?;
    Ok(t.redeem(&code, &[]).await?.text("scope").contains("email"))
}

pub(super) async fn pushed_reference(t: &Tester) -> Outcome<bool> {
    Ok(!push(t, &[("request_uri", "urn:x")]).await?.is_empty())
}

pub(super) async fn pushed_foreign_redirect_uri(t: &Tester) -> Outcome<bool> {
    Ok(!push(t, &[("redirect_uri", "https://evil.example/cb")]).await?.is_empty())
}

pub(super) async fn pushed_without_challenge(t: &Tester) -> Outcome<bool> {
    let uri = push(t, &[("code_challenge", ""), ("code_challenge_method", "")]).await?;
    let code = bring(t, &uri, &[]).await?;
    Ok(t.redeem(&code, &[("code_verifier", "")]).await?.status == 200)
}

pub(super) async fn pushed_plain(t: &Tester) -> Outcome<bool> {
    let uri = push(t, &[("code_challenge", VERIFIER), ("code_challenge_method", "plain")]).await?;
    let code = bring(t, &uri, &[]).await?;
    Ok(t.redeem(&code, &[]).await?.status == 200)
}

fn public_jwk(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_encoded_point(false);
    let number = |bytes: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(bytes.map(|b| b.to_vec()).unwrap_or_default());
    json!({ "kty": "EC", "crv": "P-256", "x": number(point.x()), "y": number(point.y()) })
}

/// Claims with some changed; null removes one.
fn changed(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    if let Some(claims) = claims.as_object_mut() {
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    write(header, claims, |message| {
        let signature: Signature = key.sign(message);
        signature.to_bytes().to_vec()
    })
}

/// A proof for the token endpoint.
fn proof(t: &Tester, key: &SigningKey, header: &Value, claims: &Value) -> String {
    let own = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(key) });
    let base = json!({ "jti": secrets::random(), "htm": "POST", "htu": format!("{}/token", t.lab.issuer()), "iat": now() });
    signed(key, &changed(own, header), &changed(base, claims))
}

fn key() -> SigningKey {
    SigningKey::random(&mut rand::rngs::OsRng)
}

/// A fresh code, redeemed with these proofs.
async fn redeem_with(t: &Tester, changes: Pairs<'_>, proofs: &[&str]) -> Outcome<Answer> {
    let code = t.code(changes).await?;
    token_request(
        t,
        &[("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)],
        proofs,
    )
    .await
}

async fn token_request(t: &Tester, form: Pairs<'_>, proofs: &[&str]) -> Outcome<Answer> {
    let headers: Vec<(&str, &str)> = proofs.iter().map(|proof| ("dpop", *proof)).collect();
    t.send("/token", Some(&with(&[("client_id", "lab-public")], form)), &headers).await
}

/// Whether tokens were given that are bound to the key of a proof.
fn is_bound(answer: &Answer) -> bool {
    answer.status == 200 && answer.text("token_type") == "DPoP"
}

async fn takes(t: &Tester, header: Value, claims: Value) -> Outcome<bool> {
    Ok(is_bound(&redeem_with(t, &[], &[&proof(t, &key(), &header, &claims)]).await?))
}

/// Whether a request with a proof that is none gets a token that is bound to nothing.
pub(super) async fn proof_ignored(t: &Tester) -> Outcome<bool> {
    let answer = redeem_with(t, &[], &["no proof"]).await?;
    Ok(answer.status == 200 && answer.text("token_type") == "Bearer")
}

pub(super) async fn proof_of_other_type(t: &Tester) -> Outcome<bool> {
    takes(t, json!({ "typ": "JWT" }), json!({})).await
}

pub(super) async fn proof_for_other_method(t: &Tester) -> Outcome<bool> {
    takes(t, json!({}), json!({ "htm": "GET" })).await
}

pub(super) async fn proof_for_other_address(t: &Tester) -> Outcome<bool> {
    takes(t, json!({}), json!({ "htu": "https://evil.example/token" })).await
}

pub(super) async fn proof_of_yesterday(t: &Tester) -> Outcome<bool> {
    takes(t, json!({}), json!({ "iat": now() - 86400 })).await
}

pub(super) async fn proof_signed_by_other(t: &Tester) -> Outcome<bool> {
    takes(t, json!({ "jwk": public_jwk(&key()) }), json!({})).await
}

pub(super) async fn proof_twice(t: &Tester) -> Outcome<bool> {
    let proof = proof(t, &key(), &json!({}), &json!({}));
    redeem_with(t, &[], &[&proof]).await?;
    Ok(is_bound(&redeem_with(t, &[], &[&proof]).await?))
}

pub(super) async fn two_proofs(t: &Tester) -> Outcome<bool> {
    let one = |claims| proof(t, &key(), &json!({}), &claims);
    let (wrong, right) = (one(json!({ "htm": "GET" })), one(json!({})));
    Ok(is_bound(&redeem_with(t, &[], &[&wrong, &right]).await?))
}

pub(super) async fn code_of_other_key(t: &Tester) -> Outcome<bool> {
    let proof = proof(t, &key(), &json!({}), &json!({}));
    Ok(redeem_with(t, &[("dpop_jkt", "another")], &[&proof]).await?.status == 200)
}

pub(super) async fn refresh_with_other_key(t: &Tester) -> Outcome<bool> {
    let one = || proof(t, &key(), &json!({}), &json!({}));
    let token = redeem_with(t, &[], &[&one()]).await?.text("refresh_token");
    Ok(token_request(t, &[("grant_type", "refresh_token"), ("refresh_token", &token)], &[&one()]).await?.status == 200)
}

/// Shows a bound token at the API, with a proof of this key.
async fn shown(t: &Tester, scheme: &str, by: impl Fn(&SigningKey, &str) -> Option<(SigningKey, Value)>) -> Outcome<bool> {
    let own = key();
    let token = redeem_with(t, &[], &[&proof(t, &own, &json!({}), &json!({}))]).await?.text("access_token");
    let authorization = format!("{scheme} {token}");
    let made = by(&own, &token).map(|(key, claims)| {
        let here = json!({ "htm": "GET", "htu": format!("{}/api/me", t.lab.issuer()) });
        proof(t, &key, &json!({}), &changed(here, &claims))
    });
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(made.as_deref().map(|proof| ("dpop", proof)));
    Ok(t.send("/api/me", None, &headers).await?.status == 200)
}

pub(super) async fn bound_token_as_bearer(t: &Tester) -> Outcome<bool> {
    shown(t, "Bearer", |_, _| None).await
}

pub(super) async fn bound_token_of_other_key(t: &Tester) -> Outcome<bool> {
    shown(t, "DPoP", |_, token| Some((key(), json!({ "ath": secrets::s256(token) })))).await
}

pub(super) async fn bound_token_without_ath(t: &Tester) -> Outcome<bool> {
    shown(t, "DPoP", |own, _| Some((own.clone(), json!({})))).await
}

/// What a client does; the strict lab has to take it.
pub(super) async fn honest_proof(t: &Tester) -> Outcome<bool> {
    shown(t, "DPoP", |own, token| Some((own.clone(), json!({ "ath": secrets::s256(token) })))).await
}

/// A request object of the client with a key.
fn object(t: &Tester, header: &Value, claims: &Value, sign: impl Fn(&SigningKey, &[u8]) -> Vec<u8>) -> Outcome<String> {
    let client = t.client("assertion")?;
    let key = SigningKey::from_pkcs8_pem(client.private_key_pem.as_deref().unwrap_or_default())?;
    let base = json!({
        "response_type": "code", "client_id": client.id, "redirect_uri": CALLBACK, "scope": "openid", "state": "s-1",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        "iss": client.id, "aud": t.lab.issuer(), "iat": now(), "nbf": now(), "exp": now() + 60, "jti": secrets::random(),
    });
    let header = changed(json!({ "alg": "ES256", "typ": "oauth-authz-req+jwt" }), header);
    Ok(write(&header, &changed(base, claims), |message| sign(&key, message)))
}

/// The code for a request object, "" where it is refused.
async fn sent(t: &Tester, object: &str, beside: Pairs<'_>) -> Outcome<String> {
    let front = [("client_id", t.client("assertion")?.id.as_str()), ("request", object)];
    Ok(t.authorize(&with(&front, beside)).await?.param("code").unwrap_or_default())
}

/// The same for one that is made for it.
async fn requested(
    t: &Tester,
    header: Value,
    claims: Value,
    sign: impl Fn(&SigningKey, &[u8]) -> Vec<u8>,
    beside: Pairs<'_>,
) -> Outcome<String> {
    sent(t, &object(t, &header, &claims, sign)?, beside).await
}

fn own(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: Signature = key.sign(message);
    signature.to_bytes().to_vec()
}

pub(super) async fn object_of_other_key(t: &Tester) -> Outcome<bool> {
    Ok(!requested(t, json!({}), json!({}), |_, message| own(&key(), message), &[]).await?.is_empty())
}

pub(super) async fn object_unsigned(t: &Tester) -> Outcome<bool> {
    Ok(!requested(t, json!({ "alg": "none" }), json!({}), |_, _| Vec::new(), &[]).await?.is_empty())
}

pub(super) async fn object_by_public_key(t: &Tester) -> Outcome<bool> {
    let tag = |key: &SigningKey, message: &[u8]| {
        let public = p256::PublicKey::from(key.verifying_key()).to_public_key_pem(LineEnding::LF).unwrap_or_default();
        hs256(public.as_bytes(), message)
    };
    Ok(!requested(t, json!({ "alg": "HS256" }), json!({}), tag, &[]).await?.is_empty())
}

pub(super) async fn object_for_other_server(t: &Tester) -> Outcome<bool> {
    Ok(!requested(t, json!({}), json!({ "aud": "https://evil.example" }), own, &[]).await?.is_empty())
}

pub(super) async fn object_of_yesterday(t: &Tester) -> Outcome<bool> {
    Ok(!requested(t, json!({}), json!({ "exp": now() - 86400 }), own, &[]).await?.is_empty())
}

pub(super) async fn object_of_other_type(t: &Tester) -> Outcome<bool> {
    Ok(!requested(t, json!({ "typ": "JWT" }), json!({}), own, &[]).await?.is_empty())
}

/// The right scope stands beside the object, and inside of it one that does not exist.
pub(super) async fn object_overridden(t: &Tester) -> Outcome<bool> {
    Ok(!requested(t, json!({}), json!({ "scope": "nonsense" }), own, &[("scope", "openid")]).await?.is_empty())
}

pub(super) async fn object_encrypted_unsigned(t: &Tester) -> Outcome<bool> {
    let inside = object(t, &json!({ "alg": "none" }), &json!({}), |_, _| Vec::new())?;
    Ok(!sent(t, &encrypted(t, &inside).await?, &[]).await?.is_empty())
}

pub(super) async fn object_encrypted_of_other_key(t: &Tester) -> Outcome<bool> {
    let inside = object(t, &json!({}), &json!({}), |_, message| own(&key(), message))?;
    Ok(!sent(t, &encrypted(t, &inside).await?, &[]).await?.is_empty())
}

/// What is encrypted is no JWT: the claims alone.
pub(super) async fn object_encrypted_claims(t: &Tester) -> Outcome<bool> {
    let (_, claims) = read(&object(t, &json!({}), &json!({}), own)?)?;
    Ok(!sent(t, &encrypted(t, &claims.to_string()).await?, &[]).await?.is_empty())
}

/// Signed, then encrypted; with one byte of the tag, the content or the key changed it is nothing.
pub(super) async fn honest_encrypted_object(t: &Tester) -> Outcome<bool> {
    let whole = encrypted(t, &object(t, &json!({}), &json!({}), own)?).await?;
    let parts: Vec<&str> = whole.split('.').collect();
    for changed in 0..parts.len() {
        let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let first = if parts[changed].starts_with('A') { "B" } else { "A" };
        parts[changed].replace_range(..1, first);
        if !sent(t, &parts.join("."), &[]).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(!sent(t, &whole, &[]).await?.is_empty())
}

pub(super) async fn honest_object(t: &Tester) -> Outcome<bool> {
    Ok(!requested(t, json!({}), json!({}), own, &[]).await?.is_empty())
}

/// Whether the browser is handed what the client pushed.
pub(super) async fn pushed_in_cookie(t: &Tester) -> Outcome<bool> {
    let uri = push(t, &[("nonce", "n-of-the-pushed-request")]).await?;
    let front = super::encode(&[("client_id", "lab-public"), ("request_uri", &uri)]);
    let answer = t.browse(&format!("/authorize?{front}"), None).await?;
    let values = answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()?.split_once('=')?.1.split(';').next());
    let decoded = values.filter_map(|value| URL_SAFE_NO_PAD.decode(value).ok());
    Ok(decoded.into_iter().any(|bytes| String::from_utf8_lossy(&bytes).contains("n-of-the-pushed-request")))
}
