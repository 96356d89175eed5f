//! Attacks with what should have expired; each function answers whether its attack worked. Nobody waits: the lab is told that a
//! request was sent later.

use std::sync::atomic::Ordering;

use super::{Outcome, Tester, grant_attacks as grants, request_attacks as requests};
use crate::lab::LabConfig;

/// Does something so many seconds later, and comes back.
async fn later<T>(t: &Tester, seconds: u64, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    t.later.store(seconds, Ordering::Relaxed);
    let done = work.await;
    t.later.store(0, Ordering::Relaxed);
    done
}

pub(super) async fn code_late(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    Ok(!later(t, 61, t.redeem(&code, &[])).await?.text("access_token").is_empty())
}

pub(super) async fn code_again_late(t: &Tester) -> Outcome<bool> {
    let code = t.code(&[]).await?;
    let first = t.redeem(&code, &[]).await?.text("access_token");
    Ok(!first.is_empty() && !later(t, 31, t.redeem(&code, &[])).await?.text("access_token").is_empty())
}

pub(super) async fn pushed_late(t: &Tester) -> Outcome<bool> {
    let uri = requests::push(t, &[]).await?;
    Ok(!later(t, 61, requests::bring(t, &uri, &[])).await?.is_empty())
}

pub(super) async fn token_late(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("access_token");
    later(t, 3601, t.opens("/api/me", &token)).await
}

pub(super) async fn token_after_expires_in(t: &Tester) -> Outcome<bool> {
    let tokens = t.tokens().await?;
    let seconds = tokens.json()["expires_in"].as_u64().unwrap_or_default();
    later(t, seconds + 1, t.opens("/api/me", &tokens.text("access_token"))).await
}

pub(super) async fn refresh_late(t: &Tester) -> Outcome<bool> {
    let token = t.tokens().await?.text("refresh_token");
    Ok(!later(t, 30 * 24 * 3600 + 1, t.refresh(&token, &[])).await?.text("access_token").is_empty())
}

pub(super) async fn device_late(t: &Tester) -> Outcome<bool> {
    let device = grants::device(t, &[]).await?;
    let work = async {
        grants::decide(t, &device, "allow").await?;
        grants::poll(t, &device, &[]).await
    };
    Ok(!later(t, 601, work).await?.text("access_token").is_empty())
}

#[tokio::test]
async fn the_clock_is_moved_where_it_may_be_and_for_one_request() -> Outcome {
    let t = Tester::strict().await?;
    let code = t.code(&[]).await?;
    assert_eq!(later(&t, 61, t.redeem(&code, &[])).await?.text("error"), "invalid_grant");
    assert!(!t.redeem(&code, &[]).await?.text("access_token").is_empty(), "nothing has grown older");

    let t = Tester::configured(LabConfig::default()).await?;
    let code = t.code(&[]).await?;
    assert!(!later(&t, 61, t.redeem(&code, &[])).await?.text("access_token").is_empty(), "a lab for others has its own clock");
    Ok(())
}
