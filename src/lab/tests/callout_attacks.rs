//! Attacks that make the lab send requests of its own, and what it is meant to fetch.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use serde_json::{Value, json};

use super::forge::{self, read, write};
use super::grant_attacks::register;
use super::{CALLBACK, Outcome, Tester};

/// A place that counts who comes: `/file` lists the callback, `/away` leads to `/there`, `/told` takes logout tokens.
struct Place {
    base: String,
    came: Arc<Mutex<Vec<String>>>,
}

impl Place {
    async fn open() -> Outcome<Place> {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", socket.local_addr()?);
        let came: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, there) = (Arc::clone(&came), format!("{base}/there"));
        let router = Router::new().fallback(move |uri: Uri, body: String| {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{} {body}", uri.path()));
            let is_away = uri.path() == "/away";
            let status = if is_away { StatusCode::FOUND } else { StatusCode::OK };
            let location = if is_away { there.clone() } else { String::new() };
            async move { (status, [(header::LOCATION, location)], json!([CALLBACK]).to_string()) }
        });
        tokio::spawn(async move { axum::serve(socket, router).await });
        Ok(Place { base, came })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What came to a path, its bodies.
    fn came_to(&self, path: &str) -> Vec<String> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.iter().filter_map(|line| line.strip_prefix(path)?.strip_prefix(' ').map(ToOwned::to_owned)).collect()
    }
}

fn is_registered(client: &Value) -> bool {
    client["client_id"].is_string()
}

/// The file of the sector is fetched, and a user is known to two clients of different sectors by different names.
pub(super) async fn honest_sector(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    let mut subs = Vec::new();
    for members in [
        json!({ "subject_type": "pairwise", "sector_identifier_uri": place.at("/file") }),
        json!({ "subject_type": "pairwise" }),
        json!({ "subject_type": "public" }),
    ] {
        let client = register(t, false, members).await?;
        let id = client["client_id"].as_str().unwrap_or_default();
        let code = t.code(&[("client_id", id)]).await?;
        let tokens = t.redeem(&code, &[("client_id", id)]).await?;
        let sub = read(&tokens.text("id_token"))?.1["sub"].clone();
        let bearer = format!("Bearer {}", tokens.text("access_token"));
        let shown = t.send("/userinfo", None, &[("authorization", &bearer)]).await?.json();
        if sub != shown["sub"] || !shown["name"].is_string() {
            return Ok(false);
        }
        subs.push(sub);
    }
    let differ = subs[0] != subs[1] && subs[0] != subs[2] && subs[1] != subs[2];
    Ok(differ && place.came_to("/file").len() == 1)
}

/// A client is told that its user has logged out, and another one is not.
pub(super) async fn honest_logout(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    register(t, false, json!({ "backchannel_logout_uri": place.at("/other") })).await?;
    let (told, id, id_token) = logged_out(t, &place).await?;
    let Some(token) = told else { return Ok(false) };
    let (header, claims) = read(&token)?;
    let sub = read(&id_token)?.1["sub"].clone();
    Ok(header["typ"] == "logout+jwt" && claims["aud"] == *id && claims["sub"] == sub && place.came_to("/other").is_empty())
}

/// The logout token that a client is sent, its id, and the ID token that its user had.
async fn logged_out(t: &Tester, place: &Place) -> Outcome<(Option<String>, String, String)> {
    let client = register(t, false, json!({ "backchannel_logout_uri": place.at("/told") })).await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    let code = t.code(&[("client_id", id)]).await?;
    let id_token = t.redeem(&code, &[("client_id", id)]).await?.text("id_token");
    t.browse(&format!("/logout?id_token_hint={id_token}"), None).await?;
    let came = place.came_to("/told");
    Ok((came.first().and_then(|body| body.strip_prefix("logout_token=")).map(ToOwned::to_owned), id.to_owned(), id_token))
}

pub(super) async fn logout_token_with_nonce(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    let Some(token) = logged_out(t, &place).await?.0 else { return Ok(false) };
    Ok(read(&token)?.1["nonce"].is_string())
}

pub(super) async fn request_uri_of_stranger(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    t.ask(&[("request_uri", &place.at("/request"))]).await?;
    Ok(!place.came_to("/request").is_empty())
}

pub(super) async fn keys_named_by_jwt(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    let jwt = write(&json!({ "alg": "ES256", "jku": place.at("/jku"), "x5u": place.at("/x5u") }), &json!({}), |_| vec![0; 64]);
    t.opens("/userinfo", &jwt).await?;
    t.ask(&[("id_token_hint", &jwt)]).await?;
    t.send("/token", Some(&[("client_assertion", &jwt)]), &[("dpop", &jwt)]).await?;
    Ok(!place.came_to("/jku").is_empty() || !place.came_to("/x5u").is_empty())
}

pub(super) async fn logo_fetched(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    register(t, false, json!({ "logo_uri": place.at("/logo"), "request_uris": [place.at("/request")] })).await?;
    Ok(!place.came_to("/logo").is_empty() || !place.came_to("/request").is_empty())
}

pub(super) async fn logo_by_way_of_the_server(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    let client = register(t, false, json!({ "logo_uri": place.at("/picture") })).await?;
    t.send(&format!("/logo/{}", client["client_id"].as_str().unwrap_or_default()), None, &[]).await?;
    Ok(!place.came_to("/picture").is_empty())
}

pub(super) async fn redirect_followed(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    register(t, false, json!({ "sector_identifier_uri": place.at("/away") })).await?;
    register(t, false, json!({ "jwks_uri": place.at("/away"), "token_endpoint_auth_method": "private_key_jwt" })).await?;
    Ok(!place.came_to("/there").is_empty())
}

pub(super) async fn joined_foreign_sector(t: &Tester) -> Outcome<bool> {
    let place = Place::open().await?;
    let members = json!({ "redirect_uris": ["https://evil.example/cb"], "sector_identifier_uri": place.at("/file") });
    Ok(is_registered(&register(t, false, members).await?))
}

#[tokio::test]
async fn what_cannot_be_called_is_not_registered() -> Outcome {
    let t = Tester::strict().await?;
    for wrong in [
        json!({ "sector_identifier_uri": "https://sector.example/file" }),
        json!({ "sector_identifier_uri": "http://10.0.0.1/file" }),
        json!({ "sector_identifier_uri": 1 }),
        json!({ "backchannel_logout_uri": "http://client.example/out" }),
        json!({ "jwks_uri": "http://127.0.0.1:1/keys" }),
        json!({ "subject_type": "mine" }),
        json!({ "subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://other.example/cb"] }),
        json!({ "token_endpoint_auth_method": "private_key_jwt" }),
    ] {
        assert_eq!(register(&t, false, wrong.clone()).await?["error"], "invalid_client_metadata", "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_behind_an_address_authenticate_the_client() -> Outcome {
    let t = Tester::strict().await?;
    let (key, jwk) = forge::fresh_key();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/keys", socket.local_addr()?);
    let router = Router::new().fallback(move || async move { json!({ "keys": [jwk] }).to_string() });
    tokio::spawn(async move { axum::serve(socket, router).await });
    let client = register(&t, false, json!({ "jwks_uri": address, "token_endpoint_auth_method": "private_key_jwt" })).await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    for (key, error) in [(key, "invalid_grant"), (forge::fresh_key().0, "invalid_client")] {
        let assertion = forge::assertion_of(&t, id, &key);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", "none"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];
        assert_eq!(t.send("/token", Some(&form), &[]).await?.text("error"), error);
    }
    Ok(())
}

/// Whether a client with pairwise subjects is told the subject that every other client knows.
pub(super) async fn same_subject_in_two_sectors(t: &Tester) -> Outcome<bool> {
    let client = register(t, false, json!({ "subject_type": "pairwise" })).await?;
    let id = client["client_id"].as_str().unwrap_or_default();
    let code = t.code(&[("client_id", id), ("scope", "openid")]).await?;
    let pairwise = t.redeem(&code, &[("client_id", id)]).await?.text("access_token");
    let public = t.tokens().await?.text("access_token");
    Ok(read(&pairwise)?.1["sub"] == read(&public)?.1["sub"])
}
