//! What the program is to a person: requests as they happen, traces, quiet, replays, pages of help.

#[path = "common/program.rs"]
mod program;

use std::path::Path;

use program::{program, run_in};
use serde_json::Value;

const HOLE: [&str; 4] = ["--flaw", "refresh-reuse-accepted", "-s", "refresh"];

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).expect("a folder").flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_finding_is_sent_again_and_told_whether_it_is_still_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = run_in(folder.path(), &[&["run"], &HOLE[..], &["--report", "json=r.json"]].concat());
    assert_eq!(report.0, 1);
    let (code, out, err) = run_in(folder.path(), &["replay", "--from", "r.json", "--flaw", "refresh-reuse-accepted"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("STILL BROKEN  refresh/reuse-after-rotation/replay"), "{out}");
    assert!(out.contains("the same 4 requests as in the report") && out.contains("curl -sS"), "{out}");
    assert!(!out.contains("refresh/family-revoked"), "what follows from it is not a finding of its own: {out}");
    let sent: Vec<&str> = err.lines().filter(|l| l.starts_with("refresh/reuse-after-rotation/replay 1  ")).collect();
    for (line, step) in sent.iter().zip(["authorize", "redeem", "rotate", "replay", "proof"]) {
        assert!(line.contains(&format!("  {step}  ")) && line.contains(" → "), "{line}");
    }
    assert_eq!(sent.len(), 5, "{err}");
    let (code, out, err) = run_in(folder.path(), &["replay", "--from", "r.json", "--quiet"]);
    assert_eq!((code, out.contains("FIXED  refresh/reuse-after-rotation/replay")), (0, true), "{out}");
    assert_eq!(err, "");
    // One variant, one word, a race, a whole scenario.
    for (id, count) in [
        ("pkce/wrong-verifier/random", 1),
        ("redirect-uri/suffix-host/ends-alike[evil.]", 1),
        ("race/code-redeem/burst[2]", 8),
        ("redirect-uri/userinfo", 5),
    ] {
        let (code, out, err) = run_in(folder.path(), &["replay", id, "-q"]);
        assert_eq!(code, 0, "{out}{err}");
        let told = out.lines().filter(|l| l.starts_with("HOLDS  ")).count();
        assert!(if id.contains("userinfo") { told >= count } else { told == count }, "{id}: {out}");
    }
    for (arguments, expected) in [
        (&["replay", "pkce/wrong-verifierr"][..], "did you mean `pkce/wrong-verifier`"),
        (&["replay", "pkce/wrong-verifier/nothing"], "the scenario has pkce/wrong-verifier/random"),
        (&["replay", "redirect-uri/suffix-host/ends-alike[x]"], "no variant"),
        (&["replay", "--from", "nowhere.json"], "nowhere.json"),
        (&["replay"], "required"),
    ] {
        let (code, _, err) = run_in(folder.path(), arguments);
        assert_eq!((code, err.contains(expected)), (2, true), "{err}");
    }
}

#[test]
fn requests_are_shown_as_they_happen() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, _, err) = run_in(folder.path(), &["run", "-s", "pkce/wrong-verifier", "-v"]);
    let lines: Vec<&str> = err.lines().collect();
    assert!(
        lines.iter().any(|l| l.starts_with("pkce/wrong-verifier/random 1  redeem  POST http://127.0.0.1:") && l.contains("/token → 400  ")),
        "{err}"
    );
    assert!(!err.contains("\n  > "), "headers are for -vv");
    let (_, _, err) = run_in(folder.path(), &["run", "-s", "pkce/wrong-verifier", "-vv"]);
    for line in [
        "  > content-type: application/x-www-form-urlencoded",
        "  > grant_type=authorization_code&code=‹code ",
        "  < {\"error\":\"invalid_grant\"",
    ] {
        assert!(err.contains(line), "{line}: {err}");
    }
    assert!(err.lines().all(|l| !l.contains('\u{1b}')), "nothing of the target reaches the terminal as a command");
}

#[test]
fn each_trial_is_kept_as_a_har_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, err) = run_in(folder.path(), &["run", "-s", "pkce/wrong-verifier", "--trace", "tr"]);
    assert_eq!(code, 0, "{err}");
    let names = files(&folder.path().join("tr"));
    assert!(names.iter().any(|n| n.contains("pkce-wrong-verifier-random")) && names.iter().any(|n| n.contains("control")), "{names:?}");
    let schema = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/har-1.2.schema.json")).expect("a schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for name in &names {
        let har: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.path().join("tr").join(name)).expect("a file")).expect("JSON");
        if let Err(error) = validator.validate(&har) {
            panic!("{name}: {error} at {}", error.instance_path());
        }
        assert!(!har["log"]["entries"].as_array().expect("entries").is_empty(), "{name}");
    }
    std::fs::write(folder.path().join("file"), "").expect("a file");
    let (code, _, err) = run_in(folder.path(), &["run", "-s", "pkce", "--trace", "file"]);
    assert_eq!((code, err.contains("nothing was sent")), (5, true), "{err}");
}

#[test]
fn quiet_is_one_line_for_each_target() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, out, err) = run_in(folder.path(), &[&["run"], &HOLE[..], &["-q", "--progress", "lines"]].concat());
    assert_eq!((code, out.as_str(), err.as_str()), (1, "lab (refresh-reuse-accepted): gate: failed: 1 broken\n", ""));
}

#[test]
fn progress_tells_how_far_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, _, err) = run_in(folder.path(), &["run", "-s", "pkce", "--progress", "lines"]);
    let done: Vec<&str> = err.lines().filter(|l| l.starts_with("done ")).collect();
    assert!(done.len() > 5, "{err}");
    for (index, line) in done.iter().enumerate() {
        assert!(line.starts_with(&format!("done {}/{} ", index + 1, done.len())), "{line}");
    }
}

/// A stand-in for the system's opener writes down what it was asked to open.
#[cfg(target_os = "linux")]
#[test]
fn the_html_report_is_opened() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let opener = folder.path().join("xdg-open");
    std::fs::write(&opener, "#!/bin/sh\nprintf '%s' \"$1\" > opened.part && mv opened.part opened\n").expect("a file");
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let status = program()
        .current_dir(folder.path())
        .env("PATH", path)
        .args(["run", "-s", "pkce/wrong-verifier", "--open", "-q"])
        .output()
        .expect("the program runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    // It runs beside us.
    let opened = folder.path().join("opened");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !opened.exists() {
        assert!(std::time::Instant::now() < until, "nothing was opened");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let opened = std::fs::read_to_string(opened).expect("what was opened");
    assert!(opened.ends_with("reports/lab.html"), "{opened}");
    assert!(folder.path().join("reports/lab.html").exists());
}

#[test]
fn two_reports_never_go_to_one_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, err) = run_in(folder.path(), &["run", "--report", "json=x", "--report", "html=x"]);
    assert_eq!((code, err.contains("two reports would be written to x")), (2, true), "{err}");
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, help, _) = run_in(folder.path(), &["--help"]);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|l| !l.starts_with("Commands:"))
        .skip(1)
        .take_while(|l| !l.is_empty())
        // Long descriptions go on in the next line.
        .filter_map(|l| l.strip_prefix("  ").filter(|l| !l.starts_with(' '))?.split_whitespace().next())
        .filter(|c| *c != "help")
        .collect();
    assert!(commands.len() > 15, "{help}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, _) = run_in(folder.path(), &["completions", shell]);
        assert_eq!(code, 0);
        for command in &commands {
            assert!(out.contains(command), "{shell}: {command}");
        }
    }
    let (code, _, err) = run_in(folder.path(), &["man", "man1"]);
    assert_eq!(code, 0, "{err}");
    let names = files(&folder.path().join("man1"));
    for command in &commands {
        assert!(names.contains(&format!("grantproof-{command}.1")), "{command}: {names:?}");
    }
    let page = std::fs::read_to_string(folder.path().join("man1/grantproof-run.1")).expect("a page");
    assert!(page.contains("Examples:") && page.contains("fail\\-on"), "{page}");
}

#[test]
fn explain_opens_with_what_to_do() {
    let (code, out, _) = run_in(Path::new("."), &["explain", "pkce/wrong-verifier"]);
    assert_eq!(code, 0);
    let first: Vec<&str> = out.lines().filter(|l| !l.is_empty()).take(3).collect();
    assert_eq!(first[0], "pkce/wrong-verifier");
    assert!(first[2].starts_with("what to do  "), "{out}");
}
