//! The strict lab: the details of its endpoints and of its configuration.

use std::time::Duration;

use serde_json::{Value, json};

use super::forge::{self, With};
use super::token_attacks::present;
use super::{Outcome, Tester, basic_header};
use crate::lab::{Flaw, LabConfig};

#[tokio::test]
async fn client_assertions_are_verified() -> Outcome {
    let t = Tester::strict().await?;
    let past = |age: u64| json!(crate::lab::tokens::now() - age);
    let far = json!(crate::lab::tokens::now() + 7200);
    for wrong in [
        json!({ "iss": "lab-public" }),
        json!({ "sub": "lab-confidential" }),
        json!({ "aud": null }),
        json!({ "aud": "https://other.example" }),
        json!({ "exp": null }),
        json!({ "exp": past(1) }),
        json!({ "exp": far }),
        json!({ "iat": past(7200) }),
        json!({ "nbf": far }),
        json!({ "jti": null }),
    ] {
        let assertion = forge::assertion(&t, With::OwnKey, &wrong)?;
        let answer = present(&t, &assertion).await?;
        assert_eq!((answer.status, &*answer.text("error")), (401, "invalid_client"), "{wrong}");
    }
    let token_endpoint = format!("{}/token", t.lab.issuer());
    let assertion = forge::assertion(&t, With::OwnKey, &json!({ "aud": [token_endpoint] }))?;
    assert_eq!(present(&t, &assertion).await?.text("error"), "unauthorized_client");
    assert_eq!(present(&t, &assertion).await?.text("error"), "invalid_client", "used");
    assert_eq!(present(&t, "not a JWT").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn protocol_details_of_the_endpoints() -> Outcome {
    let t = Tester::strict().await?;
    assert_eq!(t.send("/token", None, &[]).await?.status, 405);
    assert_eq!(t.send("/nothing", None, &[]).await?.status, 404);
    let json = [("content-type", "application/json")];
    let answer = t.send("/token", Some(&[("grant_type", "x")]), &json).await?;
    assert_eq!(answer.status, 400);
    let long = "x".repeat(70_000);
    assert_eq!(t.send("/token", Some(&[("a", &long)]), &[]).await?.status, 413);

    let basic = basic_header("lab-confidential", "wrong");
    let form = [("grant_type", "client_credentials")];
    let answer = t.send("/token", Some(&form), &[("authorization", &basic)]).await?;
    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"lab\"");
    let two = [("grant_type", "client_credentials"), ("client_secret", "x")];
    let answer = t.send("/token", Some(&two), &[("authorization", &basic)]).await?;
    assert_eq!(answer.text("error"), "invalid_request");
    let right = t.basic()?;
    let answer = t.send("/token", Some(&form), &[("authorization", &right)]).await?;
    assert_eq!(answer.json()["refresh_token"], Value::Null);

    let bare = t.send("/userinfo", None, &[]).await?;
    assert_eq!((bare.status, bare.header("www-authenticate")), (401, "Bearer realm=\"lab\""));
    let bad = t.send("/userinfo", None, &[("authorization", "Bearer x")]).await?;
    assert!(bad.header("www-authenticate").contains("error=\"invalid_token\""));
    let access = answer.text("access_token");
    let bearer = format!("Bearer {access}");
    let poor = t.send("/userinfo", None, &[("authorization", &bearer)]).await?;
    assert_eq!(poor.status, 401, "no user stands behind it");
    assert!(poor.header("www-authenticate").contains("error=\"invalid_token\""));
    let wants_user = [("grant_type", "client_credentials"), ("scope", "openid profile")];
    let answer = t.send("/token", Some(&wants_user), &[("authorization", &right)]).await?;
    assert_eq!(answer.text("scope"), "api:read", "the scopes that need a user are left out");
    let me = t.send("/api/me", None, &[("authorization", &bearer)]).await?;
    assert_eq!(me.text("client_id"), "lab-confidential");
    let query = t.send(&format!("/api/me?access_token={access}"), None, &[]).await?;
    assert_eq!(query.status, 401);

    let metadata = t.send("/.well-known/openid-configuration", None, &[]).await?;
    assert_eq!(metadata.text("issuer"), t.lab.issuer());
    let flawed = Tester::flawed(&[Flaw::IssParameterMissing]).await?;
    let home = flawed.send("/", None, &[]).await?;
    assert!(home.body.contains("iss-parameter-missing: "));
    Ok(())
}

#[tokio::test]
async fn limits_and_lifetimes_of_the_configuration() -> Outcome {
    let t = Tester::configured(LabConfig {
        rate_limit: Some(2),
        code_lifetime: Duration::ZERO,
        access_token_lifetime: Duration::MAX,
        ..LabConfig::default()
    })
    .await?;
    assert_eq!(t.tokens().await?.text("error"), "invalid_grant", "expired");
    assert_eq!(t.redeem("x", &[]).await?.status, 400);
    let limited = t.redeem("x", &[]).await?;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").parse::<u64>().is_ok_and(|wait| wait <= 60));

    let t = Tester::configured(LabConfig { access_token_lifetime: Duration::ZERO, ..LabConfig::default() }).await?;
    let access = t.tokens().await?.text("access_token");
    assert!(!t.opens("/api/me", &access).await?);
    let issuer = t.lab.issuer().to_owned();
    t.lab.stop().await;
    assert!(t.http.get(issuer).send().await.is_err());
    Ok(())
}
