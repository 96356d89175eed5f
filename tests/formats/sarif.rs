//! SARIF: the schema of the specification, and what GitHub code scanning asks for beyond it.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use grantproof::model::verdict::Verdict;

use super::{data, passes, render, sample, samples};

fn log(name: &str) -> Value {
    serde_json::from_str(&render("sarif", sample(name))).expect("JSON")
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn the_schema_takes_every_report() {
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(data("sarif-2.1.0.schema.json")).expect("a file")).expect("JSON");
    // Two of its patterns are no regular expressions of ECMA 262: they end a class that they have not begun. We write no language.
    for part in ["run", "toolComponent"] {
        let language = schema.pointer_mut(&format!("/definitions/{part}/properties/language")).and_then(Value::as_object_mut);
        assert!(language.is_some_and(|l| l.remove("pattern").is_some()), "{part}");
    }
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    for sample in samples() {
        let log: Value = serde_json::from_str(&render("sarif", &sample.reports)).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&log).map(|e| format!("{e} at {}", e.instance_path())).take(5).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", sample.name);
    }
}

/// Microsoft's validator, with the rules that it has for GitHub's ingestion. It is an npm package of 90 MB, and is run where
/// GRANTPROOF_SARIF_MULTITOOL names its program.
#[test]
fn the_sarif_multitool_finds_no_error() {
    let Some(program) = std::env::var_os("GRANTPROOF_SARIF_MULTITOOL") else {
        eprintln!(
            "SKIPPED the SARIF multitool: GRANTPROOF_SARIF_MULTITOOL does not name it (npm install @microsoft/sarif-multitool-linux)"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new(&program);
    command.args(["validate", "--rule-kind", "Sarif;Ghas", "--level", "Error", "--kind", "Fail", "--log", "ForceOverwrite", "--output"]);
    command.arg(folder.path().join("found"));
    for (number, sample) in samples().iter().enumerate() {
        let path = folder.path().join(format!("{number}.sarif"));
        std::fs::write(&path, render("sarif", &sample.reports)).expect("a file");
        command.arg(path);
    }
    // It needs no words of other languages, and so no ICU.
    let output = command.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1").output().expect("the multitool runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors: Vec<&str> = text.lines().filter(|l| l.contains(": error ")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(text.contains(&format!("{} files scanned", samples().len())) && text.contains("Analysis completed successfully"), "{text}");
}

/// What GitHub asks for: https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support-for-code-scanning
#[test]
fn github_takes_every_report() {
    for sample in samples() {
        let log: Value = serde_json::from_str(&render("sarif", &sample.reports)).expect("JSON");
        assert!(list(&log, "/runs").len() <= 20);
        let mut categories = HashSet::new();
        for run in list(&log, "/runs") {
            let category = text(run, "/automationDetails/id");
            assert!(category.starts_with("grantproof/") && category.ends_with('/') && categories.insert(category), "{category}");
            let rules = list(run, "/tool/driver/rules");
            for rule in rules {
                for part in ["/id", "/shortDescription/text", "/fullDescription/text", "/help/text", "/help/markdown"] {
                    let hostile = sample.name.starts_with("hostile");
                    assert!(hostile || !text(rule, part).is_empty(), "{}: a rule without {part}", sample.name);
                }
                assert!(text(rule, "/shortDescription/text").len() <= 1024 && text(rule, "/fullDescription/text").len() <= 1024);
                let severity: f32 = text(rule, "/properties/security-severity").parse().expect("a number in a string");
                assert!((0.1..=10.0).contains(&severity));
                let tags: Vec<&str> = list(rule, "/properties/tags").iter().filter_map(Value::as_str).collect();
                assert!(tags.contains(&"security") && tags.len() <= 20);
            }
            let mut fingerprints = BTreeSet::new();
            for result in list(run, "/results") {
                let number = result["ruleIndex"].as_u64().expect("a number") as usize;
                assert_eq!(rules[number]["id"], result["ruleId"]);
                assert_eq!(list(result, "/locations").len(), 1, "GitHub shows no result without a place");
                let region = result.pointer("/locations/0/physicalLocation/region").expect("a region");
                assert!(["startLine", "startColumn", "endLine", "endColumn"].iter().all(|n| region[n].as_u64().is_some_and(|n| n >= 1)));
                let uri = text(result, "/locations/0/physicalLocation/artifactLocation/uri");
                assert!(!uri.is_empty() && !uri.starts_with('/') && !uri.contains(".."), "{uri}");
                assert!(!text(result, "/partialFingerprints/primaryLocationLineHash").is_empty());
                let steps = list(result, "/codeFlows/0/threadFlows/0/locations").len();
                assert!(steps <= 30, "{steps} steps");
                if !sample.name.starts_with("hostile") {
                    assert!(
                        fingerprints.insert(text(result, "/partialFingerprints/grantproof~1v1").to_owned()),
                        "two results with one fingerprint"
                    );
                }
            }
        }
    }
}

#[test]
fn results_are_what_is_broken_or_fails_the_gate() {
    for sample in samples().iter().filter(|s| !s.name.starts_with("hostile")) {
        let log: Value = serde_json::from_str(&render("sarif", &sample.reports)).expect("JSON");
        let results: Vec<&Value> = list(&log, "/runs").iter().flat_map(|r| list(r, "/results")).collect();
        let errors = results.iter().filter(|r| r["level"] == "error").count();
        if passes(&sample.reports) {
            assert_eq!(errors, 0, "{}", sample.name);
        }
        let broken = sample.reports.iter().flat_map(|r| &r.verdicts).filter(|v| v.verdict == Verdict::Broken);
        let broken: BTreeSet<&str> = broken.filter(|v| v.implied_by.is_none()).map(|v| v.id.as_str()).collect();
        let told: BTreeSet<&str> =
            results.iter().filter(|r| text(r, "/properties/verdict") == "broken").map(|r| text(r, "/ruleId")).collect();
        assert_eq!(broken, told, "{}", sample.name);
    }
    let undecided = log("undecided");
    let results = list(&undecided, "/runs/0/results");
    assert!(!results.is_empty() && results.iter().all(|r| r["level"] == "note"));
    assert_eq!(log("fatal").pointer("/runs/0/invocations/0/executionSuccessful"), Some(&Value::Bool(false)));
}

#[test]
fn a_finding_points_at_the_issuer_in_the_target_file() {
    let log = log("of a file");
    let results = list(&log, "/runs/0/results");
    let result = results.iter().find(|r| r["ruleId"] == "refresh/reuse-after-rotation").expect("the finding");
    let place = serde_json::json!({ "artifactLocation": { "uri": "targets/staging.yaml" }, "region": { "startLine": 3, "startColumn": 9, "endLine": 3, "endColumn": 40 } });
    assert_eq!(result.pointer("/locations/0/physicalLocation"), Some(&place));
    assert!(text(result, "/locations/0/logicalLocations/0/fullyQualifiedName").ends_with("/token"));
    assert!(text(result, "/message/text").starts_with("Broken at staging: "), "{result}");
    assert!(text(result, "/message/text").contains("Broken by this as well: race/refresh, refresh/family-revoked"), "{result}");
    assert!(!list(result, "/codeFlows/0/threadFlows/0/locations").is_empty());
    let rule = &list(&log, "/runs/0/tool/driver/rules")[result["ruleIndex"].as_u64().expect("a number") as usize];
    assert!(text(rule, "/help/markdown").contains("[`RFC9700#2.2.2`](<https://"), "{rule}");
    assert!(list(rule, "/properties/tags").contains(&"external/cwe/cwe-294".into()), "{rule}");
}

/// The fingerprint survives another run, another port of the server and an edit of the target file.
#[test]
fn fingerprints_are_those_of_the_finding_and_not_of_the_run() {
    let prints = |name: &str, edit: &dyn Fn(&mut grantproof::model::report::Report)| -> Vec<String> {
        let mut report = sample(name)[0].clone();
        edit(&mut report);
        let log: Value = serde_json::from_str(&render("sarif", &[report])).expect("JSON");
        list(&log, "/runs/0/results").iter().map(|r| text(r, "/partialFingerprints/primaryLocationLineHash").to_owned()).collect()
    };
    let before = prints("of a file", &|_| ());
    let after = prints("of a file", &|r| {
        r.target.place = None;
        r.target.issuer = "https://other.example".into();
        r.run.version = "9.9.9".into();
        r.run.started = "2031-01-01T00:00:00Z".into();
        r.controls.clear();
    });
    assert_eq!(before, after);
    assert_ne!(before, prints("of a file", &|r| r.target.name = "production".into()));
}

#[test]
fn waivers_are_suppressions_and_the_baseline_is_a_state() {
    let log = log("accepted");
    let results = list(&log, "/runs/0/results");
    let waived: Vec<&Value> = results.iter().filter(|r| !list(r, "/suppressions").is_empty()).collect();
    assert!(!waived.is_empty() && waived.len() < results.len());
    for result in waived {
        let suppression = &list(result, "/suppressions")[0];
        assert_eq!((suppression["kind"].as_str(), suppression["status"].as_str()), (Some("external"), Some("accepted")));
        assert!(text(suppression, "/justification").contains("Jane Doe"));
    }
    assert!(results.iter().any(|r| r["baselineState"] == "unchanged") && results.iter().all(|r| r["level"] != "error"));
}

#[test]
fn more_targets_than_a_file_may_have_share_runs() {
    let one = sample("broken")[0].clone();
    let many: Vec<_> = (0..45)
        .map(|n| grantproof::model::report::Report {
            target: grantproof::model::report::TargetSummary { name: format!("t{n}"), ..one.target.clone() },
            ..one.clone()
        })
        .collect();
    let log: Value = serde_json::from_str(&render("sarif", &many)).expect("JSON");
    let results: usize = list(&log, "/runs").iter().map(|r| list(r, "/results").len()).sum();
    let single: Value = serde_json::from_str(&render("sarif", &many[..1])).expect("JSON");
    assert!(list(&log, "/runs").len() <= 20);
    assert_eq!(results, 45 * list(&single, "/runs/0/results").len());
}
