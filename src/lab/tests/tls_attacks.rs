//! Attacks by the certificate of the connection (RFC 8705); each function answers whether its attack worked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::{CALLBACK, Outcome, Pairs, Tester, VERIFIER, encode};
use crate::lab::certificates::{CLIENT, PUBLIC_CLIENT, Pair, thumbprint};

/// A request to the address of clients with a certificate: status and body.
async fn send(t: &Tester, shows: Option<Pair>, path: &str, form: Option<Pairs<'_>>, headers: Pairs<'_>) -> Outcome<(u16, Value)> {
    let authority = reqwest::Certificate::from_pem(t.lab.directory().authority.as_bytes())?;
    let mut http = reqwest::Client::builder().no_proxy().tls_certs_only([authority]);
    if let Some(Pair { certificate, key, .. }) = shows {
        http = http.identity(reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes())?);
    }
    let (http, url) = (http.build()?, format!("{}{path}", t.lab.mtls()));
    let mut request = match form {
        None => http.get(url),
        Some(pairs) => http.post(url).header("content-type", "application/x-www-form-urlencoded").body(encode(pairs)),
    };
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await?;
    Ok((response.status().as_u16(), serde_json::from_str(&response.text().await?).unwrap_or_default()))
}

/// Redeems a fresh code of a client.
async fn redeem(t: &Tester, id: &str, shows: Option<Pair>, headers: Pairs<'_>) -> Outcome<(u16, Value)> {
    let code = t.code(&[("client_id", id)]).await?;
    let form =
        [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER), ("client_id", id)];
    send(t, shows, "/token", Some(&form), headers).await
}

fn text<'v>(body: &'v Value, name: &str) -> &'v str {
    body[name].as_str().unwrap_or_default()
}

fn der(pair: Pair) -> Outcome<Vec<u8>> {
    Ok(CertificateDer::from_pem_slice(pair.certificate.as_bytes())?.to_vec())
}

pub(super) async fn without_certificate(t: &Tester) -> Outcome<bool> {
    let (status, body) = redeem(t, "lab-mtls", None, &[]).await?;
    assert!(status == 200 || text(&body, "error") == "invalid_client", "{body}");
    Ok(status == 200)
}

pub(super) async fn with_certificate_of_another(t: &Tester) -> Outcome<bool> {
    let (status, body) = redeem(t, "lab-mtls", Some(PUBLIC_CLIENT), &[]).await?;
    assert!(status == 200 || text(&body, "error") == "invalid_client", "{body}");
    Ok(status == 200)
}

pub(super) async fn with_certificate_in_header(t: &Tester) -> Outcome<bool> {
    let value = format!(":{}:", STANDARD.encode(der(CLIENT)?));
    Ok(redeem(t, "lab-mtls", None, &[("client-cert", &value)]).await?.0 == 200)
}

/// A header must not win over the connection either.
pub(super) async fn with_certificate_beside_header(t: &Tester) -> Outcome<bool> {
    let value = format!(":{}:", STANDARD.encode(der(CLIENT)?));
    Ok(redeem(t, "lab-mtls", Some(PUBLIC_CLIENT), &[("client-cert", &value)]).await?.0 == 200)
}

pub(super) async fn bound_token_elsewhere(t: &Tester) -> Outcome<bool> {
    let (_, body) = redeem(t, "lab-mtls", Some(CLIENT), &[]).await?;
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let headers: Pairs<'_> = &[("authorization", &bearer)];
    let (own, _) = send(t, Some(CLIENT), "/userinfo", None, headers).await?;
    assert_eq!(own, 200, "its own certificate opens it");
    let (none, _) = send(t, None, "/userinfo", None, headers).await?;
    let (other, _) = send(t, Some(PUBLIC_CLIENT), "/userinfo", None, headers).await?;
    let plain = t.send("/api/me", None, headers).await?.status;
    assert!(none == other && other == plain, "{none} {other} {plain}");
    Ok(none == 200)
}

pub(super) async fn refresh_with_another(t: &Tester) -> Outcome<bool> {
    let (_, body) = redeem(t, "lab-mtls-public", Some(PUBLIC_CLIENT), &[]).await?;
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&body, "refresh_token")), ("client_id", "lab-mtls-public")];
    let (status, body) = send(t, Some(CLIENT), "/token", Some(&form), &[]).await?;
    assert!(status == 200 || text(&body, "error") == "invalid_grant", "{body}");
    Ok(status == 200)
}

#[tokio::test]
async fn tokens_say_what_they_are_bound_to_and_a_public_client_cannot_go_without() -> Outcome {
    let t = Tester::strict().await?;
    let (status, body) = redeem(&t, "lab-mtls", Some(CLIENT), &[]).await?;
    assert_eq!(status, 200, "{body}");
    let form = [("token", text(&body, "access_token")), ("client_id", "lab-mtls")];
    let (_, introspected) = send(&t, Some(CLIENT), "/introspect", Some(&form), &[]).await?;
    assert_eq!(introspected["cnf"]["x5t#S256"], thumbprint(&der(CLIENT)?), "{introspected}");
    let (_, refused) = redeem(&t, "lab-mtls-public", None, &[]).await?;
    assert_eq!(text(&refused, "error"), "invalid_request", "{refused}");
    Ok(())
}
