//! Annotations of GitHub Actions, read as the runner reads them.

use std::collections::BTreeMap;

use grantproof::model::report::Report;

use super::{passes, render, sample, samples};

/// A command as the runner's `ActionCommand.TryParseV2` takes a line of standard output apart.
#[derive(Debug)]
struct Command {
    name: String,
    properties: BTreeMap<String, String>,
    data: String,
}

fn parse(line: &str) -> Option<Command> {
    let rest = line.trim_start().strip_prefix("::")?;
    let (info, data) = rest.split_once("::")?;
    let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
    let unescape = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%");
    let properties = properties.split(',').filter_map(|p| p.split_once('=')).map(|(n, v)| (n.trim().to_owned(), unescape(v))).collect();
    Some(Command { name: name.to_owned(), properties, data: unescape(data) })
}

fn commands(reports: &[Report]) -> Vec<Command> {
    let text = render("github", reports);
    // The runner ends lines at either sign.
    let lines = text.split(['\n', '\r']).filter(|l| !l.is_empty());
    lines.map(|line| parse(line).unwrap_or_else(|| panic!("no command: {line}"))).collect()
}

#[test]
fn nothing_but_at_most_ten_annotations_is_written() {
    for sample in samples() {
        let commands = commands(&sample.reports);
        assert!(commands.len() <= 10, "{}: {}", sample.name, commands.len());
        for command in &commands {
            assert!(["error", "warning", "notice"].contains(&command.name.as_str()), "{}: {command:?}", sample.name);
            let known = ["file", "line", "col", "endColumn", "title"];
            assert!(command.properties.keys().all(|p| known.contains(&p.as_str())), "{}: {command:?}", sample.name);
            assert!(command.data.chars().all(|c| c == '\n' || !c.is_control()), "{}: {command:?}", sample.name);
        }
        let red = commands.iter().any(|c| c.name == "error");
        assert_eq!(red, !passes(&sample.reports), "{}: an error is what fails the gate", sample.name);
    }
}

#[test]
fn a_finding_stands_at_the_issuer_in_the_target_file() {
    let commands = commands(sample("of a file"));
    let finding = commands.iter().find(|c| c.properties["title"].contains("refresh/reuse-after-rotation")).expect("the finding");
    assert_eq!(finding.name, "error");
    let property = |name: &str| finding.properties.get(name).map(String::as_str);
    assert_eq!((property("file"), property("line"), property("col")), (Some("targets/staging.yaml"), Some("3"), Some("9")));
    assert!(finding.data.contains("fix: ") && finding.data.contains("replay was issued"), "{finding:?}");
    assert!(!commands.iter().any(|c| c.properties["title"].contains("refresh/family-revoked")), "what follows from another is told there");
}

#[test]
fn the_worst_nine_are_shown_and_the_rest_counted() {
    let mut report = sample("broken")[0].clone();
    let finding = report.verdicts[0].clone();
    report.verdicts =
        (0..30).map(|n| grantproof::model::report::ScenarioVerdict { id: format!("a/{n}"), implied_by: None, ..finding.clone() }).collect();
    report.gate = None;
    let commands = commands(&[report]);
    assert_eq!(commands.len(), 10);
    assert_eq!(commands[9].data, "and 21 more: see the report");
}

#[test]
fn what_is_accepted_is_a_notice() {
    let commands = commands(sample("accepted"));
    assert!(!commands.is_empty() && commands.iter().all(|c| c.name == "notice"), "{commands:?}");
    assert!(commands.iter().any(|c| c.data.contains("does not fail the gate: waived until 2027-01-31 by Jane Doe")));
}
