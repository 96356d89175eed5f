//! The time of a trial; and the server's clock beside this machine's, read off Date headers (RFC 9110 §6.6.1).
//!
//! A trial that waits sleeps. The embedded lab believes a header that says how much later a request counts as sent: there a
//! wait moves the clock of the trial, and takes no time.

use std::cell::Cell;
use std::time::Duration;

use super::http::Response;

tokio::task_local! {
    /// By how much the time of the trial that runs is ahead of this machine's.
    static LATER: Cell<Duration>;
}

/// Runs a trial with a clock of its own.
pub async fn of_a_trial<F: Future>(trial: F) -> F::Output {
    LATER.scope(Cell::new(Duration::ZERO), trial).await
}

/// By how much the clock of this trial was moved.
pub fn later() -> Duration {
    LATER.try_with(Cell::get).unwrap_or_default()
}

/// Moves the clock of this trial.
pub fn pass(duration: Duration) {
    // Outside of a trial there is no clock to move.
    let _ = LATER.try_with(|later| later.set(later.get() + duration));
}

/// The time of this trial, in seconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second().saturating_add_unsigned(later().as_secs())
}

/// The `iat` and `nbf` of what is signed now: a second ago. A server may refuse what comes from its future, and its clock may be
/// a little behind this one, if only since it ticks in steps; a right proof that is refused by chance would spoil a verdict.
pub fn issued_at() -> i64 {
    now() - 1
}

/// Seconds of difference that are worth a warning: assertions and tokens live for minutes, and many servers allow for 30 s.
pub const MOST: i64 = 30;

/// Seconds by which the server's clock is ahead, as far as one answer says it: whole seconds, and what the answer took on its
/// way. None without a Date header, and where a cache may have kept it.
pub fn ahead(response: &Response) -> Option<i64> {
    if response.header("age").is_some() {
        return None;
    }
    let date = jiff::fmt::rfc2822::parse(response.header("date")?).ok()?.timestamp();
    Some(date.as_second() - jiff::Timestamp::now().as_second())
}

/// The warning for a difference, where it is worth one.
pub fn warning(ahead: Option<i64>) -> Option<String> {
    let ahead = ahead.filter(|seconds| seconds.abs() > MOST)?;
    let (seconds, way) = (ahead.unsigned_abs(), if ahead > 0 { "ahead of" } else { "behind" });
    Some(format!(
        "the server's clock is {seconds} s {way} this machine's: client assertions and tokens may count as expired or as not valid yet; set both clocks (NTP)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(text: &str) -> Response {
        Response { headers: vec![("Date".into(), text.into())], ..Response::default() }
    }

    #[test]
    fn the_difference_is_read_off_the_date() {
        let at = |seconds: i64| {
            let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            dated(&moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        };
        let close = |difference: Option<i64>, wanted: i64| difference.is_some_and(|d| (d - wanted).abs() <= 1);
        assert!(close(ahead(&at(0)), 0) && close(ahead(&at(-3600)), -3600));
        assert!(warning(ahead(&at(0))).is_none());
        assert!(warning(ahead(&at(95))).is_some_and(|w| w.contains(" s ahead of")));
        assert!(warning(ahead(&at(-3600))).is_some_and(|w| w.contains(" s behind")));
        assert_eq!(ahead(&dated("yesterday")), None);
        let mut kept = at(-3600);
        kept.headers.push(("Age".into(), "3600".into()));
        assert_eq!(ahead(&kept), None);
    }
}
