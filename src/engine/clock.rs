//! The server's clock beside this machine's, read off Date headers (RFC 9110 §6.6.1).

use super::http::Response;

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
