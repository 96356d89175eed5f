//! JUnit: the schema of Jenkins' xUnit plugin through xmllint, and that red means what the gate means.

use std::collections::HashSet;
use std::process::Command;

use grantproof::report::gate::of;

use super::{data, passes, render, sample, samples, selected};

/// Whether xmllint is there; says so where it is not.
fn have_xmllint() -> bool {
    if Command::new("xmllint").arg("--version").output().is_ok() {
        return true;
    }
    let why = "xmllint is not on the path (Debian: apt-get install libxml2-utils)";
    assert!(std::env::var_os("GRANTPROOF_REQUIRE_XMLLINT").is_none(), "{why}");
    eprintln!("SKIPPED the JUnit schema: {why}");
    false
}

#[test]
fn jenkins_takes_every_report() {
    if !have_xmllint() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--nonet", "--schema"]).arg(data("junit-10.xsd"));
    for (number, sample) in samples().iter().enumerate() {
        let path = folder.path().join(format!("{number}.xml"));
        std::fs::write(&path, render("junit", &sample.reports)).expect("a file");
        command.arg(path);
    }
    let output = command.output().expect("xmllint runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The values of an attribute, in order.
fn attributes<'x>(xml: &'x str, element: &str, name: &str) -> Vec<&'x str> {
    let value = |tag: &'x str| tag.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
    xml.split(&format!("<{element} ")).skip(1).filter_map(|rest| value(rest.split('>').next().unwrap_or_default())).collect()
}

#[test]
fn red_is_what_fails_the_gate_and_nothing_else() {
    for sample in samples() {
        let xml = render("junit", &sample.reports);
        let red = xml.matches("<failure ").count() + xml.matches("<error ").count();
        assert_eq!(red == 0, passes(&sample.reports), "{}: {red} are red", sample.name);
        let sum = |name: &str| attributes(&xml, "testsuite", name).iter().map(|n| n.parse::<usize>().expect("a number")).sum::<usize>();
        assert_eq!(sum("failures") + sum("errors"), red, "{}", sample.name);
        assert_eq!(sum("tests"), xml.matches("<testcase ").count(), "{}", sample.name);
        assert_eq!(sum("skipped"), xml.matches("<skipped ").count(), "{}", sample.name);
    }
}

#[test]
fn every_selected_scenario_is_one_case_with_a_name_of_its_own() {
    for sample in samples() {
        let xml = render("junit", &sample.reports);
        let names = attributes(&xml, "testcase", "name");
        let gates = names.iter().filter(|n| n.starts_with("gate @")).count();
        assert_eq!(names.len() - gates, selected(&sample.reports), "{}", sample.name);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{}", sample.name);
    }
}

#[test]
fn a_finding_says_what_to_do_and_no_case_is_long() {
    let xml = render("junit", sample("broken"));
    let failure = xml.split("<testcase name=\"refresh/reuse-after-rotation @ ").nth(1).expect("the case");
    for part in
        ["<failure type=\"broken\" message=\"high: ", "fix: ", "harm: ", "change: ", "observed: replay was issued", "by hand: curl "]
    {
        assert!(failure.contains(part), "{part} is missing in {}", &failure[..2000]);
    }
    for sample in samples() {
        for text in render("junit", &sample.reports).split("<testcase ").skip(1) {
            let text = text.split("</testcase>").next().unwrap_or_default();
            // Escapes are counted once.
            let plain =
                ["&quot;", "&apos;", "&lt;", "&gt;", "&amp;"].iter().fold(text.to_owned(), |text, escape| text.replace(escape, "x"));
            assert!(plain.len() < 6000, "{}: {} bytes", sample.name, plain.len());
        }
    }
}

#[test]
fn what_is_accepted_or_not_tested_is_skipped_with_the_reason() {
    let xml = render("junit", sample("accepted"));
    assert!(xml.contains("<skipped message=\"broken, and does not fail the gate: waived until 2027-01-31 by Jane Doe: AS 14.2"), "{xml}");
    assert!(xml.contains("<skipped message=\"broken, and does not fail the gate: known from the baseline: as before"));
    let xml = render("junit", sample("undecided"));
    assert!(xml.contains("<error type=\"inconclusive\""));
    assert!(xml.contains("<error type=\"skipped\" message=\"required and not decided: add `clients.second` to the target file"), "{xml}");
    let xml = render("junit", sample("fatal"));
    assert!(of(&sample("fatal")[0]).exit_code == 3 && xml.contains("<error "), "{xml}");
}

#[test]
fn cases_have_the_time_of_the_server() {
    for name in ["broken", "old"] {
        let xml = render("junit", sample(name));
        let times: Vec<f64> = attributes(&xml, "testcase", "time").iter().map(|t| t.parse().expect("seconds")).collect();
        assert!(times.iter().sum::<f64>() > 0.0, "{name}");
    }
}
