//! Each habit shows, and the strict lab has none.

use std::collections::BTreeSet;

use super::super::{Habit, LabConfig};
use super::{Outcome, Tester, grant_attacks};

/// Whether a lab does what the habit says.
async fn shows(t: &Tester, habit: Habit) -> Outcome<bool> {
    let malformed = async || t.redeem("", &[("code", "")]).await;
    let unknown_code = async || t.redeem("unknown", &[]).await;
    let unknown_client = async || t.ask(&[("client_id", "nobody")]).await;
    Ok(match habit {
        Habit::ErrorsOnPage => t.ask(&[("scope", "unknown")]).await?.location().is_empty(),
        Habit::ErrorPagesAreOk => unknown_client().await?.status == 200,
        Habit::ErrorsElsewhere => t.browse("/authorize?client_id=nobody", None).await?.location() == "/error",
        Habit::AnswersByPage => t.ask(&[]).await?.body.contains("http-equiv=\"refresh\""),
        Habit::LoginEachTime => t.ask(&[]).await?.header("set-cookie").contains("lab_session=;"),
        Habit::ConsentEachTime => {
            t.ask(&[]).await?;
            let path = format!("/authorize?{}", super::encode(&super::with(&BASE, &[])));
            t.browse(&path, None).await?.location().starts_with("/consent")
        }
        Habit::FormsKeepUser => grant_attacks::device_form_of_other_session(t).await?,
        Habit::StateRequired => t.ask(&[("state", "")]).await?.status == 400,
        Habit::UnknownParametersRefused => t.ask(&[("foo", "bar")]).await?.status == 400,
        Habit::CoarseErrors => unknown_code().await?.text("error") == "invalid_request",
        Habit::ErrorsWithoutJson => unknown_code().await?.body == "Bad Request",
        Habit::ErrorsForbidden => unknown_code().await?.status == 403,
        Habit::ErrorsAreOk => unknown_code().await?.status == 200,
        Habit::FailsOnBadInput => malformed().await?.status == 500,
        Habit::OpaqueTokens => {
            let token = t.tokens().await?.text("access_token");
            token.matches('.').count() < 2 && t.opens("/api/me", &token).await? && t.is_active(&token).await?
        }
        Habit::BareTokenResponse => t.tokens().await?.json().get("expires_in").is_none(),
        Habit::NoRefreshTokens => t.tokens().await?.text("refresh_token").is_empty(),
        Habit::OneTokenPerUser => {
            let first = t.tokens().await?.text("access_token");
            t.tokens().await?;
            !t.opens("/api/me", &first).await?
        }
        Habit::OneCodePerUser => {
            let first = t.code(&[]).await?;
            t.code(&[]).await?;
            t.redeem(&first, &[]).await?.status == 400
        }
        Habit::RefreshAsksVerifier => {
            let token = t.tokens().await?.text("refresh_token");
            let bare = t.refresh(&token, &[]).await?;
            let is_granted = t.refresh(&token, &[("code_verifier", super::VERIFIER)]).await?.status == 200;
            bare.text("error") == "invalid_request" && is_granted
        }
        Habit::ReplayEndsSession => {
            let code = t.code(&[]).await?;
            t.redeem(&code, &[]).await?;
            t.redeem(&code, &[]).await?;
            let path = format!("/authorize?{}", super::encode(&super::with(&BASE, &[])));
            t.browse(&path, None).await?.location().starts_with("/login")
        }
        Habit::FewEndpoints => t.send("/introspect", Some(&[]), &[]).await?.status == 404,
    })
}

const BASE: [(&str, &str); 6] = [
    ("response_type", "code"),
    ("client_id", "lab-public"),
    ("redirect_uri", super::CALLBACK),
    ("scope", super::ALL_SCOPES),
    ("code_challenge", super::CHALLENGE),
    ("code_challenge_method", "S256"),
];

#[tokio::test]
async fn each_habit_shows_where_it_is_on_and_nowhere_else() -> Outcome {
    for habit in Habit::ALL {
        let with = Tester::configured(LabConfig { habits: BTreeSet::from([*habit]), ..LabConfig::default() }).await?;
        assert!(shows(&with, *habit).await?, "{habit}");
        assert!(!shows(&Tester::strict().await?, *habit).await?, "{habit}: the strict lab");
    }
    Ok(())
}
