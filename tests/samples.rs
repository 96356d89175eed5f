//! The samples in `reports/`: one run of the lab with three flaws, in every format.
//!
//! `GRANTPROOF_REGENERATE=1 cargo test --test samples` makes them anew.

#[path = "common/program.rs"]
mod program;

use std::path::{Path, PathBuf};

use grantproof::report::FORMATS;
use program::run_in;
use serde_json::Value;

/// As reports/README.md has it.
const RUN: [&str; 5] =
    ["run", "--flaw", "refresh-reuse-accepted,pkce-verifier-ignored,redirect-uri-prefix-match", "--select", "pkce,refresh,redirect-uri"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports")
}

fn sample(extension: &str) -> PathBuf {
    folder().join(format!("sample.{extension}"))
}

fn render(format: &str, into: &Path) {
    let report = format!("{format}={}", into.display());
    let (code, _, err) = run_in(&folder(), &["render", "sample.json", "-q", "--report", &report]);
    assert_eq!(code, 0, "{format}: {err}");
}

/// What a run says that does not differ from run to run.
fn facts(report: &Value) -> Value {
    let verdicts = report["verdicts"].as_array().expect("verdicts").iter().map(|v| {
        let variants: Vec<Value> = v["variants"]
            .as_array()
            .expect("variants")
            .iter()
            .map(|x| serde_json::json!([x["id"], x["verdict"], x["change"], x["expected"]]))
            .collect();
        serde_json::json!([
            v["id"],
            v["title"],
            v["verdict"],
            v["confirmed"],
            v["implied_by"],
            v["severity"],
            v["case"],
            v["fix"],
            variants
        ])
    });
    serde_json::json!([report["schema_version"], report["summary"], report["standards"], report["gate"], verdicts.collect::<Vec<_>>()])
}

#[test]
fn the_samples_are_what_the_program_writes() {
    let scratch = tempfile::tempdir().expect("a folder");
    let fresh = scratch.path().join("fresh.json");
    let (code, out, err) = run_in(scratch.path(), &[&RUN[..], &["-q", "--report", &format!("json={}", fresh.display())]].concat());
    assert_eq!(code, 1, "{out}{err}");
    let regenerate = std::env::var_os("GRANTPROOF_REGENERATE").is_some();
    if regenerate {
        std::fs::copy(&fresh, sample("json")).expect("the sample is written");
    }
    let read = |path: &Path| -> Value { serde_json::from_str(&std::fs::read_to_string(path).expect("a report")).expect("JSON") };
    let hint = "`GRANTPROOF_REGENERATE=1 cargo test --test samples` makes the samples anew";
    assert!(facts(&read(&fresh)) == facts(&read(&sample("json"))), "reports/sample.json is not of this program: {hint}");
    for format in FORMATS.iter().filter(|f| f.name != "json") {
        let path = if regenerate { sample(format.extension) } else { scratch.path().join(format.extension) };
        render(format.name, &path);
        let same = std::fs::read(&path).ok() == std::fs::read(sample(format.extension)).ok();
        assert!(same, "reports/sample.{} is not what `render` writes: {hint}", format.extension);
    }
    let (code, out, _) = run_in(&folder(), &["verify", "sample.json"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn the_readme_of_the_samples_has_their_command_and_each_format() {
    let readme = std::fs::read_to_string(folder().join("README.md")).expect("a README").replace("\\\n", "");
    let words: Vec<&str> = readme.split_whitespace().collect();
    assert!(words.windows(RUN.len()).any(|w| w == RUN), "{}", RUN.join(" "));
    for format in FORMATS {
        assert!(readme.contains(&format!("(sample.{})", format.extension)), "{}", format.name);
    }
}
