//! Durations as people write them.

use std::time::Duration;

/// A year and a day: the longest that means anything here.
const MOST: Duration = Duration::from_secs(366 * 24 * 3600);

/// `500ms`, `30s`, `2m`, `1h`, `30d`, and sums of them: `60s + 5s`; at most 366 days.
pub fn parse(text: &str) -> Option<Duration> {
    let sum = text.split(" + ").try_fold(Duration::ZERO, |sum, term| sum.checked_add(one(term)?))?;
    (sum <= MOST).then_some(sum)
}

fn one(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..split].parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match &text[split..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(24 * 3600),
        _ => None,
    }
}

/// In words, rounded up to whole seconds: `2 s`, `10 min 5 s`, `1 h 1 min`, `30 d`.
pub fn words(duration: Duration) -> String {
    let mut left = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let mut words = Vec::new();
    for (each, unit) in [(24 * 3600, "d"), (3600, "h"), (60, "min"), (1, "s")] {
        if left >= each && words.len() < 2 {
            words.push(format!("{} {unit}", left / each));
            left %= each;
        }
    }
    if words.is_empty() { "0 s".into() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_a_limit() {
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Some(Duration::from_secs(3600)));
        assert_eq!(parse("60s + 5s"), Some(Duration::from_secs(65)));
        assert_eq!(parse("60000ms + 1m + 1s"), Some(Duration::from_secs(121)));
        for wrong in ["", "5", "s", "-1s", "1w", "367d", "366d + 1s", "99999999999999999999s", "1 s", "5s + ", "5s+5s", "60 + 5s"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_told_in_two_units() {
        for (seconds, told) in [(0, "0 s"), (2, "2 s"), (605, "10 min 5 s"), (3661, "1 h 1 min"), (30 * 24 * 3600, "30 d"), (600, "10 min")]
        {
            assert_eq!(words(Duration::from_secs(seconds)), told);
        }
        assert_eq!(words(Duration::from_millis(1500)), "2 s");
    }
}
