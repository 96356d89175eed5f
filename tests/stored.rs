//! Stored reports: rendered, joined, verified; and whatever else a file may be that claims to be one.

#[path = "common/program.rs"]
mod program;

use std::path::{Path, PathBuf};
use std::process::Command;

use program::run_in;
use serde_json::Value;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/sample.json")
}

/// A signed report in a folder of its own: the folder, and the report's text.
fn signed() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run_in(folder.path(), &["keygen", "audit"]).0, 0);
    let run = ["run", "--flaw", "refresh-reuse-accepted", "-s", "refresh", "--report", "json=r.json", "--sign-key", "audit.key"];
    assert_eq!(run_in(folder.path(), &run).0, 1);
    let text = std::fs::read_to_string(folder.path().join("r.json")).expect("a report");
    (folder, text)
}

#[test]
fn a_signed_report_verifies_and_every_change_is_told() {
    let (folder, text) = signed();
    let verify = |text: &str, more: &[&str]| {
        std::fs::write(folder.path().join("x.json"), text).expect("a file");
        run_in(folder.path(), &[&["verify", "x.json"], more].concat())
    };
    let (code, out, err) = verify(&text, &["--key", "audit.pub"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("unchanged") && out.contains("signed by") && out.contains("does not prove"), "{out}");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    // Another layout is the same report: what is digested is canonical.
    assert_eq!(verify(&report.to_string(), &["--key", "audit.pub"]).0, 0);
    let id = report["verdicts"][0]["variants"][0]["id"].as_str().expect("an id").to_owned();
    type Change<'c> = (&'c str, &'c dyn Fn(&mut Value), &'c str);
    let changes: &[Change<'_>] = &[
        ("a verdict", &|r| r["verdicts"][0]["verdict"] = "holds".into(), "outside of the evidence"),
        ("the permission", &|r| r["target"]["name"] = "another".into(), "outside of the evidence"),
        ("the gate", &|r| r["gate"]["exit_code"] = 0.into(), "outside of the evidence"),
        ("a requirement", &|r| r["standards"][0]["requirements"][0]["asks"] = "nothing".into(), "outside of the evidence"),
        ("the evidence", &|r| r["verdicts"][0]["variants"][0]["attempts"][0]["steps"][0]["outcome"] = "refused".into(), &id),
        ("a control", &|r| r["controls"][0]["steps"][0]["outcome"] = "refused".into(), "the evidence of controls"),
        ("a negative control", &|r| r["negative_controls"][0]["what"] = "else".into(), "the evidence of negative_controls"),
        ("evidence taken out", &|r| r["verdicts"][0]["variants"][0]["attempts"] = Value::Array(Vec::new()), &id),
        ("a verdict taken out", &|r| drop(r["verdicts"].as_array_mut().expect("verdicts").remove(0)), "CHANGED"),
        ("a link", &|r| r["integrity"]["chain"][1]["sha256"] = "00".into(), "CHANGED"),
        ("a digest", &|r| r["integrity"]["digest"] = "00".into(), "CHANGED"),
        ("a signature", &|r| r["integrity"]["signature"]["signature"] = "AAAA".into(), "WRONG SIGNATURE"),
        ("no integrity", &|r| drop(r.as_object_mut().expect("a report").remove("integrity")), "it has no digests"),
    ];
    for (what, change, told) in changes {
        let mut changed = report.clone();
        change(&mut changed);
        let (code, out, err) = verify(&changed.to_string(), &[]);
        assert_eq!(code, 1, "{what}: {out}{err}");
        assert!(out.contains(told), "{what}: {out}");
    }
    // A stranger signs the changed report with a key of his own.
    let mut unsigned = report.clone();
    unsigned["integrity"].as_object_mut().expect("integrity").remove("signature");
    let (code, out, _) = verify(&unsigned.to_string(), &[]);
    assert_eq!((code, out.contains("not signed")), (0, true), "{out}");
    let (code, out, _) = verify(&unsigned.to_string(), &["--key", "audit.pub"]);
    assert_eq!((code, out.contains("NOT SIGNED by the key")), (1, true), "{out}");
    assert_eq!(run_in(folder.path(), &["keygen", "stranger"]).0, 0);
    assert_eq!(verify(&text, &["--key", "stranger.pub"]).0, 1);
    for (file, why) in [("nowhere.pub", "nowhere.pub"), ("audit.key", "no Ed25519 public key")] {
        let (code, _, err) = verify(&text, &["--key", file]);
        assert_eq!((code, err.contains(why)), (2, true), "{err}");
        assert!(!err.contains("PRIVATE KEY"), "the key is not quoted");
    }
}

#[test]
fn keys_are_never_written_over_and_only_their_owner_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run_in(folder.path(), &["keygen", "audit"]).0, 0);
    let key = std::fs::read(folder.path().join("audit.key")).expect("a key");
    let (code, _, err) = run_in(folder.path(), &["keygen", "audit"]);
    assert_eq!((code, err.contains("is there already")), (2, true), "{err}");
    assert_eq!(std::fs::read(folder.path().join("audit.key")).expect("a key"), key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("audit.key")).expect("a key").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
    let (code, _, err) = run_in(folder.path(), &["run", "-s", "pkce", "--sign-key", "audit.pub"]);
    assert_eq!((code, err.contains("no Ed25519 private key")), (2, true), "{err}");
}

/// Somebody else's program checks the signature.
#[test]
fn openssl_takes_the_signature() {
    let (folder, text) = signed();
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl_takes_the_signature: there is no openssl");
        return;
    }
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let word = |name: &str| report["integrity"]["signature"][name].as_str().expect("a text").to_owned();
    let digest = report["integrity"]["digest"].as_str().expect("a digest");
    use base64::Engine as _;
    let signature = base64::engine::general_purpose::STANDARD.decode(word("signature")).expect("base64");
    std::fs::write(folder.path().join("sig"), signature).expect("a file");
    std::fs::write(folder.path().join("text"), format!("grantproof report sha256:{digest}")).expect("a file");
    let verified = Command::new("openssl")
        .current_dir(folder.path())
        .args(["pkeyutl", "-verify", "-pubin", "-inkey", "audit.pub", "-rawin", "-in", "text", "-sigfile", "sig"])
        .output()
        .expect("openssl runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// The lines of Python in docs/verify.md make the same digest.
#[test]
fn the_digest_can_be_made_by_anybody() {
    let (folder, _) = signed();
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: the_digest_can_be_made_by_anybody: there is no python3");
        return;
    }
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify.md")).expect("the docs");
    let script = docs.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    std::fs::write(folder.path().join("check.py"), script).expect("a file");
    let output = Command::new("python3").current_dir(folder.path()).args(["check.py", "r.json"]).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "unchanged");
    let text = std::fs::read_to_string(folder.path().join("r.json")).expect("a report").replace("303", "302");
    std::fs::write(folder.path().join("r.json"), text).expect("a file");
    let output = Command::new("python3").current_dir(folder.path()).args(["check.py", "r.json"]).output().expect("python runs");
    assert!(!output.status.success());
}

#[test]
fn a_stored_report_renders_as_it_did_when_it_was_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let reports: Vec<String> = grantproof::report::FORMATS
        .iter()
        .flat_map(|f| ["--report".to_owned(), format!("{}=run.{}.{}", f.name, f.name, f.extension)])
        .collect();
    let mut run = vec!["run", "--flaw", "refresh-reuse-accepted", "-s", "refresh"];
    run.extend(reports.iter().map(String::as_str));
    assert_eq!(run_in(folder.path(), &run).0, 1);
    for format in grantproof::report::FORMATS {
        let file = format!("{0}=again.{0}.{1}", format.name, format.extension);
        let (code, _, err) = run_in(folder.path(), &["render", "run.json.json", "--report", &file]);
        assert_eq!(code, 0, "{err}");
        let text =
            |which: &str| std::fs::read(folder.path().join(format!("{which}.{}.{}", format.name, format.extension))).expect("a file");
        assert!(text("run") == text("again"), "{} differs", format.name);
    }
}

#[test]
fn shards_become_one_report_and_none_may_be_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |more: &[&str]| run_in(folder.path(), &[&["run", "--flaw", "refresh-reuse-accepted", "-s", "refresh,pkce"], more].concat());
    for shard in 1..=3 {
        run(&["--partition", &format!("{shard}/3"), "--report", &format!("json=s{shard}.json")]);
    }
    run(&["--report", "json=whole.json"]);
    let (code, out, err) = run_in(folder.path(), &["merge", "s1.json", "s2.json", "s3.json", "--report", "json=merged.json"]);
    assert_eq!(code, 1, "{out}{err}");
    let read =
        |name: &str| -> Value { serde_json::from_str(&std::fs::read_to_string(folder.path().join(name)).expect("a file")).expect("JSON") };
    let facts = |report: &Value| -> Vec<(String, String, String)> {
        let text = |v: &Value| v.to_string();
        report["verdicts"]
            .as_array()
            .expect("verdicts")
            .iter()
            .map(|v| (text(&v["id"]), text(&v["verdict"]), text(&v["implied_by"])))
            .collect()
    };
    let (merged, whole) = (read("merged.json"), read("whole.json"));
    assert_eq!(facts(&merged), facts(&whole), "as if it had been one run");
    assert_eq!(merged["summary"], whole["summary"]);
    assert_eq!(merged["made_of"].as_array().map(Vec::len), Some(3));
    for variant in merged["verdicts"].as_array().expect("verdicts").iter().flat_map(|v| v["variants"].as_array().expect("variants")) {
        let number = variant["control_before"].as_u64().expect("a control");
        assert!(merged["controls"][usize::try_from(number).expect("a number")].is_object(), "its control is there");
    }
    assert_eq!(run_in(folder.path(), &["verify", "merged.json"]).0, 0);
    for (files, expected) in [
        (&["s1.json", "s3.json"][..], "missing shards: 2/3"),
        (&["s1.json", "s2.json", "s3.json", "s2.json"], "both judged"),
        (&["whole.json", "s2.json"], "both judged"),
        (&["s1.json", "nowhere.json"], "nowhere.json"),
    ] {
        let (code, _, err) = run_in(folder.path(), &[&["merge"], files].concat());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(expected) || err.contains("missing shards"), "{expected}: {err}");
    }
    for wrong in ["0/3", "4/3", "x", "auto"] {
        let (code, _, err) = run(&["--partition", wrong]);
        assert_eq!((code, err.contains("--partition")), (2, true), "{err}");
    }
}

#[test]
fn several_targets_stand_side_by_side_and_none_can_be_taken_out() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run_in(folder.path(), &["keygen", "audit"]).0, 0);
    run_in(folder.path(), &["run", "-s", "pkce", "--report", "json=a.json"]);
    run_in(folder.path(), &["run", "-s", "pkce", "--flaw", "pkce-verifier-ignored", "--report", "json=b.json"]);
    let merge = ["merge", "a.json", "b.json", "--report", "json=all.json", "--sign-key", "audit.key"];
    let (code, out, err) = run_in(folder.path(), &merge);
    assert_eq!(code, 1, "the worst gate decides: {out}{err}");
    let (code, out, _) = run_in(folder.path(), &["verify", "all.json", "--key", "audit.pub"]);
    assert_eq!(code, 0, "{out}");
    let path = folder.path().join("all.json");
    let mut all: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a file")).expect("JSON");
    all["reports"].as_array_mut().expect("reports").remove(1);
    std::fs::write(&path, all.to_string()).expect("a file");
    let (code, out, _) = run_in(folder.path(), &["verify", "all.json"]);
    assert_eq!((code, out.contains("which reports are in it")), (1, true), "{out}");
}

#[test]
fn older_schema_versions_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut old: Value = serde_json::from_str(&std::fs::read_to_string(sample()).expect("the sample")).expect("JSON");
    // What 1.2 added.
    old["schema_version"] = "1.1".into();
    let report = old.as_object_mut().expect("a report");
    for name in ["gate", "baseline", "standards", "made_of", "integrity"] {
        report.remove(name);
    }
    report["run"].as_object_mut().expect("a run").remove("source_digest");
    report["summary"].as_object_mut().expect("a summary").remove("waived");
    for verdict in report["verdicts"].as_array_mut().expect("verdicts") {
        for name in ["case", "defense"] {
            verdict.as_object_mut().expect("a verdict").remove(name);
        }
    }
    std::fs::write(folder.path().join("old.json"), old.to_string()).expect("a file");
    for format in grantproof::report::FORMATS {
        let (code, out, err) = run_in(folder.path(), &["render", "old.json", "--format", format.name]);
        assert_eq!((code, out.is_empty()), (0, false), "{}: {err}", format.name);
    }
    assert_eq!(run_in(folder.path(), &["diff", "old.json", text(&sample())]).0, 0);
    let (code, out, _) = run_in(folder.path(), &["verify", "old.json"]);
    assert_eq!((code, out.contains("it has no digests")), (1, true), "{out}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn what_is_no_report_is_told_and_never_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read_to_string(sample()).expect("the sample");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    let deep = "[".repeat(100_000);
    let newer = whole.replacen(grantproof::model::report::SCHEMA_VERSION, "1.999", 1);
    let major = whole.replacen(grantproof::model::report::SCHEMA_VERSION, "2.0", 1);
    let unknown = whole.replacen("\"run\": {", "\"run\": {\"surprise\": 1,", 1);
    let twice = whole.replacen("\"warnings\": [", "\"warnings\": [], \"warnings\": [", 1);
    let cases: &[(&str, &[u8], &str)] = &[
        ("empty", b"", "cut off"),
        ("cut", &whole.as_bytes()[..whole.len() / 2], "cut off"),
        ("cut in the evidence", &whole.as_bytes()[..whole.len() - 10_000], "cut off"),
        ("not JSON", b"<html>", "x.json:1:1"),
        ("not UTF-8", b"{\"schema_version\": \"\xff\"}", "no UTF-8"),
        ("other JSON", b"{\"a\": 1}", "no report of grantproof"),
        ("a list", b"[1, 2]", "x.json:1:"),
        ("deep", deep.as_bytes(), "x.json:1:"),
        ("newer", newer.as_bytes(), "1.999"),
        ("newer still", major.as_bytes(), "2.0"),
        ("no version", b"{\"schema_version\": \"x\", \"verdicts\": []}", "schema x"),
        ("an unknown field", unknown.as_bytes(), "surprise"),
        ("a field twice", twice.as_bytes(), "duplicate"),
        ("a wrong type", b"{\"schema_version\": \"1.2\", \"verdicts\": {}}", "x.json:1:"),
        ("escapes", b"{\"schema_version\": \"1.2\", \"verdicts\": [], \"\\u001b[2J\": 1}", "x.json:1:"),
    ];
    for (what, bytes, expected) in cases {
        write("x.json", bytes);
        for command in [
            &["render", "x.json"][..],
            &["verify", "x.json"],
            &["merge", "x.json"],
            &["diff", "x.json", "x.json"],
            &["run", "-s", "pkce", "--baseline", "x.json"],
        ] {
            let (code, out, err) = run_in(folder.path(), command);
            assert_eq!(code, 2, "{what}: {command:?}: {out}{err}");
            assert!(err.contains(expected) && err.contains("x.json") && err.contains("help"), "{what}: {err}");
            assert!(!err.contains('\u{1b}'), "{what}: nothing reaches the terminal as a command");
        }
    }
    // A gigabyte that takes no room on the disk.
    let huge = std::fs::File::create(folder.path().join("x.json")).expect("a file");
    huge.set_len(1 << 30).expect("a sparse file");
    let (code, _, err) = run_in(folder.path(), &["render", "x.json"]);
    assert_eq!((code, err.contains("1024 MiB")), (2, true), "{err}");
}

/// Evidence is looked at only when it is needed: what is wrong there is told then.
#[test]
fn broken_evidence_is_told_by_whoever_needs_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut report: Value = serde_json::from_str(&std::fs::read_to_string(sample()).expect("the sample")).expect("JSON");
    report["verdicts"][0]["variants"][0]["attempts"] = serde_json::json!([{"name": 5}]);
    std::fs::write(folder.path().join("x.json"), report.to_string()).expect("a file");
    let (code, _, err) = run_in(folder.path(), &["render", "x.json", "--report", "terminal=x.txt"]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("the evidence of a case is not as the schema has it"), "{err}");
    assert!(!folder.path().join("x.txt").exists(), "no half report");
}
