//! The program as a user runs it: exit codes, outputs, help, signals.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantproof"));
    // What the caller's environment says must not decide a test.
    for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CI", "GRANTPROOF_COLOR", "GRANTPROOF_TARGET", "GRANTPROOF_PROFILE"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn grantproof(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program().args(arguments).output().expect("the program runs");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// How many scenarios the catalogue has.
fn scenarios() -> usize {
    grantproof::cli::inputs::catalogue(None).map(|c| c.scenarios.len()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn in_baseline() -> usize {
    let (_, out, _) = grantproof(&["list", "--count", "--profile", "baseline"]);
    out.trim().parse().expect("a number")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn the_main_job_works_with_nothing_configured() {
    let (code, out, err) = grantproof(&["run"]);
    assert_eq!(code, 0, "{out}{err}");
    // Three insist on what this lab leaves to its clients: pushed requests, proofs, nonces.
    let all = format!("lab: {} holds, 0 broken, 0 inconclusive, 3 not applicable", in_baseline() - 3);
    assert!(out.contains(&all) && out.contains("\ngate: passed\n"), "{out}");
    assert_eq!(err, "", "nothing but the result when nobody watches");
}

#[test]
fn a_hole_is_found_and_fails_the_gate() {
    let (code, out, _) = grantproof(&["run", "--flaw", "refresh-reuse-accepted"]);
    assert_eq!(code, 1, "{out}");
    let broken: Vec<&str> = out.lines().filter(|l| l.starts_with("BROKEN")).collect();
    assert_eq!(broken.len(), 4, "{out}");
    assert!(broken[0].contains("refresh/reuse-after-rotation"), "{out}");
    assert_eq!(out.matches("follows from refresh/reuse-after-rotation").count(), 3, "one root: {out}");
    for word in ["control", "change", "expected", "observed", "harm", "fix", "by hand", "curl -sS"] {
        assert!(out.contains(word), "a finding shows its {word}:\n{out}");
    }
    assert!(!out.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn what_a_run_made_is_taken_back_and_its_time_is_told() {
    let (code, out, err) = grantproof(&["run", "--clean-up", "always", "--timings", "pkce/wrong-verifier", "-s", "refresh/*"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("\ncleaned up: ") && out.contains("refresh token(s) of client `lab-public` revoked"), "{out}");
    assert!(out.contains("the session of `alice` ended"), "{out}");
    assert!(out.contains("\nleft on the server: consents that the users gave"), "{out}");
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines.iter().any(|l| l.starts_with("refresh/reuse-after-rotation ")), "{err}");
    assert!(lines.last().is_some_and(|l| l.starts_with("wall ") && l.contains("waiting for the server")), "{err}");
    let folder = folder();
    let file = folder.path().join("r.json");
    let (_, out, _) = grantproof(&["run", "-s", "pkce/wrong-verifier", "--report", &format!("json={}", text(&file))]);
    assert!(!out.contains("cleaned up"), "on loopback nothing is taken back unless it is asked for: {out}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("a report")).expect("JSON");
    assert!(report["remains"].to_string().contains("nothing was taken back"), "{}", report["remains"]);
}

#[test]
fn exit_codes_of_wrong_input() {
    let folder = folder();
    let target = folder.path().join("t.yaml");
    std::fs::write(&target, "name: x\nisuer: y\n").expect("a file");
    let table: &[(&[&str], &str)] = &[
        (&["run", "--flaw", "refresh-reuse-accept"], "did you mean `refresh-reuse-accepted`"),
        (&["run", "-s", "pkce/wrong-verifer"], "did you mean `pkce/wrong-verifier`"),
        (&["run", "pkce/wrong-verifer"], "did you mean `pkce/wrong-verifier`"),
        (&["run", "staging.yaml"], "`--target staging.yaml`"),
        (&["run", "-s", "state", "--profile", "fapi2", "-x", "state"], "nothing is selected"),
        (&["run", "jar", "pkce/wrong-verifier"], "`jar` selects nothing in the profile baseline"),
        (&["run", "--profile", "fapi3"], "no profile `fapi3`"),
        (&["run", "--target", "no-such.yaml"], "no-such.yaml"),
        (&["run", "--target", text(&target)], "t.yaml:2:1"),
        (&["run", "--format", "pdf"], "no format `pdf`"),
        (&["run", "--report", "out.json"], "no format `out.json`"),
        (&["run", "--report", "json="], "FORMAT=FILE"),
        (&["run", "--scenarios", "no-such-folder"], "no-such-folder"),
        (&["explain", "pkce/plain"], "did you mean `pkce/plain-method`"),
        (&["lint", text(&target)], "did you mean `issuer`"),
        (&["judge", text(folder.path())], "run --record DIR"),
        (&["attack"], "unrecognized subcommand"),
    ];
    for (arguments, words) in table {
        let (code, out, err) = grantproof(arguments);
        assert_eq!(code, 2, "{arguments:?}: {out}{err}");
        assert!(err.contains(words), "{arguments:?} should say `{words}`:\n{err}");
        assert_eq!(out, "", "{arguments:?}: no result on standard output");
    }
}

#[test]
fn nothing_can_be_tested() {
    let folder = folder();
    let target = folder.path().join("t.yaml");
    std::fs::write(
        &target,
        "name: nowhere\nissuer: http://127.0.0.1:9\nclients:\n  public: {id: a, redirect_uri: \"https://a.example/\"}\nusers:\n  default: {name: a, password: \"plain:b\"}\n",
    )
    .expect("a file");
    let (code, out, err) = grantproof(&["run", "--target", text(&target)]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.starts_with("fatal: nothing was judged\n"), "{out}");
    assert!(out.contains("cannot be reached") && out.contains("is the server up"), "says what to do: {out}");
}

#[test]
fn an_unwritable_report_is_found_before_the_run() {
    let (code, out, err) = grantproof(&["run", "--report", "json=/no/such/folder/out.json"]);
    assert_eq!((code, out.as_str()), (5, ""), "{err}");
    assert!(err.contains("/no/such/folder/out.json cannot be written") && err.contains("nothing was sent"), "{err}");
}

#[test]
fn reports_are_written_beside_the_terminal_and_a_recording_is_judged_the_same() {
    let folder = folder();
    let json = folder.path().join("out.json");
    let record = folder.path().join("rec");
    let report = format!("json={}", text(&json));
    let (code, _, err) =
        grantproof(&["run", "-s", "pkce,refresh", "--flaw", "pkce-verifier-ignored", "--report", &report, "--record", text(&record)]);
    assert_eq!(code, 1, "{err}");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&json).expect("a report")).expect("JSON");
    assert_eq!(written["schema_version"], grantproof::model::report::SCHEMA_VERSION);
    assert_eq!(written["verdicts"].as_array().map(Vec::len), Some(scenarios()), "one verdict for each id of the catalogue");
    let (code, out, err) = grantproof(&["judge", text(&record), "--format", "json"]);
    assert_eq!(code, 1, "{err}");
    let judged: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(judged, written, "the same report from the recording");
    // A recording is a file like any other: what is wrong with it is no fault of the program.
    let path = record.join("recording.json");
    let recorded = std::fs::read_to_string(&path).expect("a recording");
    std::fs::write(&path, recorded.replacen("\"method\": \"", "\"methud\": \"", 1000)).expect("a file");
    let (code, _, err) = grantproof(&["judge", text(&record)]);
    assert!(code == 2 && err.contains("recording.json") && err.contains("methud"), "{code} {err}");
}

/// Where there is a folder `reports`, a run leaves its report there; where there is none, it makes none.
#[test]
fn runs_write_to_the_reports_folder() {
    let folder = folder();
    let run = |arguments: &[&str]| {
        let output =
            program().current_dir(folder.path()).args(["run", "-s", "token/no-store"]).args(arguments).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(0));
        let mut files: Vec<String> = std::fs::read_dir(folder.path().join("reports"))
            .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        files.sort();
        files
    };
    assert!(run(&[]).is_empty() && !folder.path().join("reports").exists());
    std::fs::create_dir(folder.path().join("reports")).expect("a folder");
    assert!(run(&["--no-report"]).is_empty());
    assert_eq!(run(&[]), ["lab.json"]);
    assert_eq!(run(&["--report", "terminal"]), ["lab.json", "lab.txt"]);
}

#[test]
fn every_broken_verdict_carries_its_evidence() {
    let (_, out, _) = grantproof(&["run", "-s", "pkce", "--flaw", "pkce-verifier-ignored", "-f", "json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let controls = report["controls"].as_array().map_or(0, Vec::len) as u64;
    let mut seen = 0;
    for verdict in report["verdicts"].as_array().expect("verdicts").iter().filter(|v| v["verdict"] == "broken") {
        for variant in verdict["variants"].as_array().expect("variants").iter().filter(|v| v["verdict"] == "broken") {
            seen += 1;
            for control in ["control_before", "control_after"] {
                assert!(variant[control].as_u64().is_some_and(|n| n < controls), "{}", variant["id"]);
            }
            let attempts = variant["attempts"].as_array().expect("attempts");
            assert!(attempts.len() >= 2, "{} was repeated", variant["id"]);
            assert!(attempts.iter().all(|a| a["steps"][0]["exchanges"][0]["status"].as_u64().is_some()), "{}", variant["id"]);
            assert!(variant["curl"].as_str().is_some_and(|c| c.starts_with("curl ")), "{}", variant["id"]);
            // These redeem the code once more at their end, which ends what it gave.
            let ends_its_token = variant["id"].as_str().is_some_and(|id| id.starts_with("pkce/code-swap-between-sessions/while-"));
            assert!(variant["confirmed"] == true || ends_its_token, "{}: the token was shown to work", variant["id"]);
        }
    }
    assert!(seen >= 3, "{seen} broken variants");
}

/// No secret of the lab in any output: passwords, client secrets, keys, tokens, codes, verifiers, cookies.
#[test]
fn no_secret_in_any_output() {
    let folder = folder();
    let record = folder.path().join("rec");
    let (_, json, _) = grantproof(&["run", "--flaw", "code-reusable", "-f", "json", "--record", text(&record)]);
    let (_, terminal, _) = grantproof(&["run", "--flaw", "code-reusable", "-v"]);
    let recording = std::fs::read_to_string(record.join("recording.json")).expect("a recording");
    for (name, sink) in [("json", &json), ("terminal", &terminal), ("recording", &recording)] {
        // A random state may hold these three letters; a token has two dots behind them.
        let jwt = |at: usize| {
            let token = sink[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            let token: String = token.collect();
            // The software statement of a scenario is nobody's secret: its iss is https://grantproof.example.
            let is_own = token.contains("eyJpc3MiOiJodHRwczovL2dyYW50cHJvb2YuZXhhbXBsZSI");
            token.matches('.').count() >= 2 && !is_own
        };
        assert!(!sink.match_indices("eyJ").any(|(at, _)| jwt(at)), "{name} holds a JWT");
        assert!(!sink.contains("BEGIN PRIVATE KEY"), "{name} holds a key");
        assert!(!sink.contains("Basic bGFi"), "{name} holds a credential");
        for pattern in ["code=", "code_verifier=", "refresh_token=", "password=", "lab_session="] {
            for (at, _) in sink.match_indices(pattern) {
                let before = sink[..at].chars().next_back().unwrap_or(' ');
                let after = sink[at + pattern.len()..].chars().next().unwrap_or(' ');
                let planted = sink[at + pattern.len()..].starts_with("grantproof-");
                let own_word = !before.is_ascii_alphanumeric() && before != '_' && !planted;
                assert!(!own_word || !after.is_ascii_alphanumeric(), "{name}: {}", sink[at..].chars().take(60).collect::<String>());
            }
        }
    }
    assert!(json.contains("‹access_token ") && json.contains("‹code "), "marks stand for them");
}

#[test]
fn colour_is_decided_by_flag_and_environment() {
    let colours = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = program().args(arguments).envs(environment.iter().copied()).output().expect("the program runs");
        String::from_utf8_lossy(&output.stdout).contains('\u{1b}')
    };
    let run = ["run", "-s", "token/no-store"];
    assert!(!colours(&run, &[]));
    assert!(colours(&run, &[("FORCE_COLOR", "1")]));
    assert!(!colours(&run, &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
    assert!(colours(&["--color", "always", "run", "-s", "token/no-store"], &[("NO_COLOR", "1")]));
    assert!(!colours(&["--color", "never", "run", "-s", "token/no-store"], &[("FORCE_COLOR", "1")]));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = program().args(["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn ci_gets_a_line_for_each_attack() {
    let output = program().args(["run", "-s", "pkce"]).env("CI", "true").output().expect("the program runs");
    let lines = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(lines.lines().filter(|l| l.starts_with("done ") && l.contains(" pkce/")).count() >= 7, "{lines}");
}

/// The first signal ends the run with a partial report.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_a_partial_report() {
    let folder = folder();
    let json = folder.path().join("out.json");
    let mut child = program()
        .args(["run", "--repeat", "20", "--progress", "lines", "--report", &format!("json={}", text(&json))])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // The first line of progress shows that the run is under way.
    let mut reader = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("done ") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut reader, &mut line).expect("progress") > 0, "the run ended too early");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    std::io::copy(&mut reader, &mut std::io::sink()).expect("the rest");
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).expect("a report")).expect("JSON");
    assert_eq!((&report["run"]["complete"], &report["run"]["interrupted"]), (&Value::Bool(false), &Value::from("stopped by the user")));
}

/// The lab as a server of its own, ended with the test.
struct ServedLab(std::process::Child, String);

impl Drop for ServedLab {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve_lab() -> ServedLab {
    let mut child = program().args(["lab"]).stdout(Stdio::piped()).spawn().expect("the lab starts");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().expect("a pipe")), &mut line).expect("a line");
    let issuer = line.split_whitespace().find(|w| w.starts_with("http://")).expect("an address").to_owned();
    ServedLab(child, issuer)
}

/// From an address to a checked target file: `init`, `plan`, `doctor`, `run`.
#[test]
fn from_an_issuer_to_a_run() {
    let lab = serve_lab();
    let folder = folder();
    let file = folder.path().join("grantproof.yaml");
    let (code, out, err) = grantproof(&["init", &lab.1, "--output", text(&file)]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("grantproof doctor -t"), "{out}");
    let (code, _, err) = grantproof(&["init", &lab.1, "--output", text(&file)]);
    assert_eq!(code, 2, "a file is not overwritten");
    assert!(err.contains("--force"), "{err}");
    // What a person fills in.
    let written = std::fs::read_to_string(&file).expect("a file");
    let public = written.split("\n  second:").next().expect("the first client");
    let filled = public.replace("grantproof-public", "lab-public") + "\nusers:\n  default: {name: alice, password: \"plain:wonderland\"}\n";
    std::fs::write(&file, &filled).expect("a file");
    let (code, out, _) = grantproof(&["plan", "-t", text(&file)]);
    assert_eq!(code, 0);
    assert!(out.contains("left out: add `clients.second`") && out.contains("about "), "{out}");
    let (code, out, _) = grantproof(&["doctor", "-t", text(&file)]);
    assert_eq!(code, 3, "that is not her password: {out}");
    assert!(out.contains("the password of `alice` is refused") && out.contains("look at `users`"), "{out}");
    let (code, _, err) = grantproof(&["init", "http://127.0.0.1:9", "--stdout"]);
    assert_eq!(code, 3);
    assert!(err.contains("cannot be reached") && err.contains("nothing was written"), "{err}");
}

/// The lab's clients and users in a target file; `change` makes mistakes in it.
fn doctor_of_the_lab(change: impl Fn(String) -> String) -> (i32, String) {
    let lab = serve_lab();
    let folder = folder();
    let file = folder.path().join("lab.yaml");
    let yaml = format!(
        "name: a lab\nissuer: {}\nscope: openid profile\nextra_scope: email\nclients:\n  public: {{id: lab-public, redirect_uri: \"https://app.example/cb\"}}\n  second: {{id: lab-second, redirect_uri: \"https://app.example/cb\"}}\nusers:\n  default: {{name: alice, password: \"plain:wonderland-demo-1\"}}\n",
        lab.1
    );
    std::fs::write(&file, change(yaml)).expect("a file");
    let (code, out, err) = grantproof(&["doctor", "-t", text(&file)]);
    assert_eq!(err, "");
    (code, out)
}

#[test]
fn the_doctor_tells_what_was_done_with_each_page() {
    let (code, out) = doctor_of_the_lab(|text| text);
    assert_eq!(code, 0, "{out}");
    for words in
        ["(login), filled `username` (name), `password` (password), pressed “", "(consent), pressed “", "attacks can run under", "  clock "]
    {
        assert!(out.contains(words), "{words}:\n{out}");
    }
    assert!(!out.contains("wonderland") && !out.contains("FAIL"), "{out}");
}

#[test]
fn the_doctor_tells_a_failed_login_once() {
    let (code, out) = doctor_of_the_lab(|text| text.replace("wonderland-demo-1", "wrong"));
    assert_eq!(code, 3, "{out}");
    assert_eq!(out.matches("the password of `alice` is refused").count(), 1, "{out}");
    assert!(out.contains("not tried: the login of `alice` failed above") && out.contains("no attack can run"), "{out}");
}

#[test]
fn the_doctor_counts_what_is_left_when_a_client_does_not_work() {
    let (code, out) = doctor_of_the_lab(|text| text.replace("lab-second", "nobody"));
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("attacks can run under") && out.contains("--keep-going"), "{out}");
    assert!(out.contains("the client second does not work: code/other-client"), "{out}");
}

/// What does not stop a run is a warning, with what to change.
#[test]
fn the_doctor_warns_of_what_a_run_could_not_see() {
    let (code, out) =
        doctor_of_the_lab(|text| text.replace("openid profile", "profile").replace("extra_scope: email", "extra_scope: profile"));
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("warn  no place takes the genuine access token") && !out.contains("FAIL"), "{out}");
    assert!(out.contains("no place takes the genuine access token: "), "what rests on it is not counted: {out}");
}

#[test]
fn explain_shows_the_change_as_requests() {
    let (code, out, _) = grantproof(&["explain", "pkce/wrong-verifier", "--requests"]);
    assert_eq!(code, 0);
    assert!(out.contains("  - code_verifier = ${verifier}\n  + code_verifier = ${random(43)}\n"), "{out}");
    let (code, out, _) = grantproof(&["explain", "jwt-access-token/forged-hs256"]);
    assert_eq!(code, 0);
    for word in ["defense", "harm", "what to do", "applies", "RFC8725#3.1", "grantproof run --flaw jwt-alg-confusion"] {
        assert!(out.contains(word), "{word}:\n{out}");
    }
}

#[test]
fn lists_are_complete_and_helps_teach() {
    let (code, out, _) = grantproof(&["list", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Value>(&out).ok().and_then(|v| v.as_array().map(Vec::len)), Some(scenarios()));
    let (_, out, _) = grantproof(&["lab", "--list-flaws"]);
    assert_eq!(out.lines().count(), grantproof::lab::Flaw::ALL.len());
    for command in ["run", "explain", "lint", "lab"] {
        let (code, out, _) = grantproof(&[command, "--help"]);
        assert!(code == 0 && out.contains("Example"), "{command} --help has an example:\n{out}");
    }
    let (code, out, _) = grantproof(&["lint"]);
    assert_eq!((code, out.as_str()), (0, format!("{} scenarios are well-formed\n", scenarios()).as_str()));
}

/// Scenario files of the user's own extend and override the catalogue.
#[test]
fn own_scenarios_extend_and_override() {
    let folder = folder();
    let own = folder.path().join("pkce");
    std::fs::create_dir(&own).expect("a folder");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let sample = std::fs::read_to_string(root.join("scenarios/pkce/wrong-verifier.yaml")).expect("a scenario");
    std::fs::write(own.join("wrong-verifier.yaml"), sample.replace("title: A code is not", "title: Overridden")).expect("a file");
    std::fs::write(own.join("mine.yaml"), sample.replace("id: pkce/wrong-verifier", "id: pkce/mine")).expect("a file");
    let (code, out, err) = grantproof(&["list", "-s", "pkce", "--scenarios", text(folder.path())]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("pkce/mine") && out.contains("Overridden"), "{out}");
    let (code, out, _) = grantproof(&["run", "-s", "pkce/mine", "--scenarios", text(folder.path())]);
    assert!(code == 0 && out.contains("1 holds"), "{out}");
}
