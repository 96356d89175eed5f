//! What gates a deploy: waivers that expire, baselines, and what changed between two reports.

#[path = "common/program.rs"]
mod program;

use std::path::Path;

use program::run_in;
use serde_json::Value;

const HOLE: &str = "refresh/reuse-after-rotation";

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a report")).expect("JSON")
}

fn verdict<'r>(report: &'r Value, id: &str) -> &'r Value {
    report["verdicts"].as_array().expect("verdicts").iter().find(|v| v["id"] == id).expect("a verdict")
}

/// The digest that a waiver has to name, as the user finds it.
fn case_of(id: &str) -> String {
    let (_, out, _) = run_in(Path::new("."), &["explain", id]);
    let line = out.lines().find(|l| l.starts_with("case ")).expect("the digest of the case");
    line.split_whitespace().nth(1).expect("a digest").to_owned()
}

fn waiver(id: &str, expires: &str, case: &str) -> String {
    format!(
        "waivers:\n  - id: {id}\n    reason: lands with the next release, SEC-1182\n    owner: identity team\n    expires: {expires}\n    case: {case}\n"
    )
}

/// A day so many days from now.
fn day(days: i64) -> String {
    use jiff::ToSpan as _;
    (jiff::Zoned::now().date() + days.days()).to_string()
}

#[test]
fn a_waiver_passes_the_finding_and_what_follows_from_it_and_hides_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("w.yaml"), waiver(HOLE, &day(30), &case_of(HOLE))).expect("a file");
    let run = ["run", "--flaw", "refresh-reuse-accepted", "-s", "refresh", "--waivers", "w.yaml", "--report", "json=r.json"];
    let (code, out, err) = run_in(folder.path(), &run);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("BROKEN") && out.contains("waived until") && out.contains("identity team"), "{out}");
    let report = read(&folder.path().join("r.json"));
    for id in [HOLE, "refresh/family-revoked", "refresh/family-access-token"] {
        assert_eq!(verdict(&report, id)["verdict"], "broken", "a waiver changes no verdict");
        assert_eq!(verdict(&report, id)["waived"]["reason"], "lands with the next release, SEC-1182");
    }
    assert_eq!(report["summary"]["waived"], 3);
    assert_eq!(report["gate"]["exit_code"], 0);
    let (code, _, _) = run_in(folder.path(), &["run", "--flaw", "refresh-reuse-accepted", "-s", "refresh", "--no-waivers"]);
    assert_eq!(code, 1);
    // Another hole is not passed.
    let two = ["run", "--flaw", "refresh-reuse-accepted,pkce-verifier-ignored", "-s", "refresh,pkce", "--waivers", "w.yaml"];
    assert_eq!(run_in(folder.path(), &two).0, 1);
}

#[test]
fn a_waiver_of_one_variant_passes_no_other_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = "redirect-uri/suffix-host";
    let run = ["run", "--flaw", "redirect-uri-unchecked", "-s", id, "--report", "json=r.json"];
    assert_eq!(run_in(folder.path(), &run).0, 1);
    let report = read(&folder.path().join("r.json"));
    let broken: Vec<String> = verdict(&report, id)["variants"]
        .as_array()
        .expect("variants")
        .iter()
        .filter(|v| v["verdict"] == "broken" && v["lesser"] == false)
        .map(|v| v["id"].as_str().expect("an id").to_owned())
        .collect();
    assert!(broken.len() > 1, "{broken:?}");
    let waive = |ids: &[String]| {
        let all: Vec<String> = ids.iter().map(|v| waiver(&format!("\"{v}\""), &day(30), &case_of(id)).replace("waivers:\n", "")).collect();
        std::fs::write(folder.path().join("w.yaml"), format!("waivers:\n{}", all.concat())).expect("a file");
        run_in(folder.path(), &[&run[..], &["--waivers", "w.yaml"]].concat()).0
    };
    assert_eq!(waive(&broken[..1]), 1, "the others fail the gate");
    assert_eq!(waive(&broken), 0, "each is waived");
}

#[test]
fn waivers_that_are_not_in_order_end_the_run_before_anything_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let case = case_of(HOLE);
    let cases: &[(String, &str)] = &[
        (waiver(HOLE, &day(-1), &case), "expired on"),
        (waiver(HOLE, &day(500), &case), "more than a year ahead"),
        (waiver(HOLE, "soon", &case), "is no date"),
        (waiver(HOLE, &day(30), "0123456789abcdef"), "the case has changed since"),
        (waiver(HOLE, &day(30), "41"), "fewer than 12 digits"),
        (waiver("refresh/reuse-after-rotatoin", &day(30), &case), "did you mean `refresh/reuse-after-rotation`"),
        (waiver("refresh/reuse-after-rotation/nothing", &day(30), &case), "there is no scenario or variant"),
        (waiver(HOLE, &day(30), &case).replace("lands with the next release, SEC-1182", "' '"), "the reason is empty"),
        (waiver(HOLE, &day(30), &case).replace("    owner: identity team\n", ""), "owner"),
        (waiver(HOLE, &day(30), &case).replace(&format!("    case: {case}\n"), ""), "does not say which case"),
        (waiver(HOLE, &day(30), &case) + &waiver(HOLE, &day(30), &case).replace("waivers:\n", ""), "is waived twice"),
        ("waivers: 5\n".into(), "w.yaml:1:"),
    ];
    for (text, expected) in cases {
        std::fs::write(folder.path().join("w.yaml"), text).expect("a file");
        for command in [&["run", "-s", "refresh", "--waivers", "w.yaml", "--report", "json=r.json"][..], &["lint", "w.yaml"]] {
            let (code, out, err) = run_in(folder.path(), command);
            assert_eq!(code, 2, "{text}{out}{err}");
            assert!(err.contains(expected) && err.contains("w.yaml"), "{expected}: {err}");
        }
        assert!(!folder.path().join("r.json").exists(), "nothing was run");
    }
    let (code, _, err) = run_in(folder.path(), &["run", "-s", "refresh", "--waivers", "nowhere.yaml"]);
    assert_eq!((code, err.contains("nowhere.yaml")), (2, true), "{err}");
}

#[test]
fn a_waiver_that_nothing_needs_is_an_error_and_one_that_was_not_tried_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("w.yaml"), waiver(HOLE, &day(30), &case_of(HOLE))).expect("a file");
    let (code, out, err) = run_in(folder.path(), &["run", "-s", "refresh", "--waivers", "w.yaml", "--report", "json=r.json"]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("is not needed any more") && err.contains("w.yaml:2:"), "{err}");
    assert_eq!(read(&folder.path().join("r.json"))["gate"]["unneeded_waivers"][0], HOLE, "the report is written all the same");
    let (code, _, err) = run_in(folder.path(), &["run", "-s", "pkce", "--waivers", "w.yaml"]);
    assert_eq!(code, 0, "it was not tried: {err}");
    let elsewhere = waiver(HOLE, &day(30), &case_of(HOLE)) + "    target: production\n";
    std::fs::write(folder.path().join("w.yaml"), elsewhere).expect("a file");
    let (code, _, _) = run_in(folder.path(), &["run", "--flaw", "refresh-reuse-accepted", "-s", "refresh", "--waivers", "w.yaml"]);
    assert_eq!(code, 1, "a waiver for another target passes nothing here");
}

#[test]
fn with_a_baseline_only_what_is_new_or_worse_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |flaws: &str, more: &[&str]| {
        let mut arguments = vec!["run", "-s", "refresh,pkce", "--report", "json=now.json"];
        if !flaws.is_empty() {
            arguments.extend(["--flaw", flaws]);
        }
        arguments.extend(more);
        run_in(folder.path(), &arguments)
    };
    assert_eq!(run("refresh-reuse-accepted", &[]).0, 1);
    std::fs::rename(folder.path().join("now.json"), folder.path().join("base.json")).expect("a baseline");
    let held = ["--baseline", "base.json"];
    let (code, out, err) = run("refresh-reuse-accepted", &held);
    assert_eq!(code, 0, "as before: {out}{err}");
    assert!(out.contains("since the baseline: as before") && out.contains("known and accepted"), "{out}");
    let (code, out, _) = run("refresh-reuse-accepted,pkce-verifier-ignored", &held);
    assert_eq!(code, 1, "one is new: {out}");
    let report = read(&folder.path().join("now.json"));
    assert_eq!(verdict(&report, "pkce/wrong-verifier")["since_baseline"], "new");
    assert_eq!(verdict(&report, HOLE)["since_baseline"], "same");
    let (code, out, _) = run("", &held);
    assert_eq!(code, 0);
    assert!(out.lines().any(|l| l.starts_with("fixed since: ") && l.contains(HOLE)), "{out}");
    for (text, expected) in [("{", "cut off"), ("{\"schema_version\": \"9.0\", \"verdicts\": []}", "up to"), ("[]", "base.json:1:")] {
        std::fs::write(folder.path().join("base.json"), text).expect("a file");
        let (code, _, err) = run("", &held);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(expected) && err.contains("base.json"), "{err}");
    }
}

#[test]
fn diff_tells_what_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |flaws: &[&str], select: &str, file: &str| {
        let report = format!("json={file}");
        let mut arguments = vec!["run", "-s", select, "--report", &report];
        flaws.iter().for_each(|flaw| arguments.extend(["--flaw", *flaw]));
        run_in(folder.path(), &arguments)
    };
    run(&["refresh-reuse-accepted"], "refresh,pkce", "a.json");
    run(&["pkce-verifier-ignored"], "pkce", "b.json");
    let (code, out, err) = run_in(folder.path(), &["diff", "a.json", "b.json", "--exit-code"]);
    assert_eq!(code, 1, "{out}{err}");
    let at = |words: &str| out.find(words).unwrap_or_else(|| panic!("{words}: {out}"));
    assert!(at("newly broken") < at("pkce/wrong-verifier") && at("pkce/wrong-verifier") < at("no longer tested"), "{out}");
    assert!(out.contains(HOLE) && out.contains("broken → not tested"), "{out}");
    let (code, out, _) = run_in(folder.path(), &["diff", "b.json", "a.json", "--format", "json"]);
    assert_eq!(code, 0);
    let differences: Value = serde_json::from_str(&out).expect("JSON");
    let schema: Value = serde_json::from_str(&grantproof::schema::text("diff").expect("a schema")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema").validate(&differences).expect("it fits its schema");
    let kind = |id: &str| {
        let changes = differences["targets"][0]["changes"].as_array().expect("changes").clone();
        changes.into_iter().find(|c| c["id"] == id).map(|c| c["kind"].clone())
    };
    assert_eq!(kind("pkce/wrong-verifier"), Some("fixed".into()));
    assert_eq!(kind(HOLE), Some("newly_broken".into()));
    let (code, out, _) = run_in(folder.path(), &["diff", "a.json", "a.json", "--exit-code"]);
    assert_eq!((code, out.contains("no verdict changed")), (0, true), "{out}");
}

#[test]
fn exit_zero_leaves_the_gate_to_a_later_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = ["run", "--flaw", "refresh-reuse-accepted", "-s", "refresh", "--exit-zero", "--report", "json=r.json"];
    let (code, out, _) = run_in(folder.path(), &run);
    assert_eq!(code, 0);
    assert!(out.contains("gate: failed"), "{out}");
    assert_eq!(read(&folder.path().join("r.json"))["gate"]["exit_code"], 1);
}
