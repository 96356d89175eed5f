//! The text for a reader: nothing of a target or of a stored report can pass for a line of ours, or be a command.

use super::{render, samples};

/// How lines at the edge begin.
const OURS: &[&str] = &[
    "BROKEN  ",
    "INCONCLUSIVE  ",
    "HOLDS  ",
    "NOT APPLICABLE ",
    "SKIPPED ",
    "fatal: nothing was judged",
    "warning ",
    "permitted by ",
    "cleaned up: ",
    "left on the server: ",
    "waived: ",
    "held against ",
    "fixed since: ",
    "no longer decided: ",
    "not tested: ",
    "advertised: ",
    "measured: ",
    "left out, ",
    "gate: ",
];

fn is_ours(line: &str) -> bool {
    line.is_empty()
        || line.starts_with(' ')
        || OURS.iter().any(|start| line.starts_with(start))
        || line.contains(" holds") && line.contains(" broken") && line.ends_with(" skipped")
        || line.contains(" scenarios, ") && line.contains(" requests, profile ")
}

#[test]
fn every_line_is_one_of_ours() {
    for sample in samples() {
        let text = render("terminal", &sample.reports);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{}", sample.name);
        for line in text.lines() {
            assert!(is_ours(line), "{}: {line:?}", sample.name);
        }
        let gates = text.lines().filter(|l| l.starts_with("gate: ")).count();
        assert_eq!(gates, sample.reports.len(), "{}", sample.name);
    }
    assert!(!is_ours("::error::x") && !is_ours("<b>"), "the check can fail");
}

#[test]
fn differences_are_told_in_lines_of_ours() {
    for sample in samples().iter().filter(|s| s.name.starts_with("hostile")) {
        for text in [grantproof::report::diff::diff(&samples()[1].reports, &sample.reports).text(), {
            let other = &samples()[0].reports;
            grantproof::report::diff::diff(&sample.reports, other).text()
        }] {
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{}", sample.name);
            assert!(text.lines().all(|l| !l.starts_with("::") && !l.starts_with("##[")), "{}: {text}", sample.name);
        }
    }
}
