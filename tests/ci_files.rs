//! The commands in templates and docs are ones that the program takes.

use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Commands and the options that are given to them, out of any text: a line that goes on behind a backslash is one.
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        for part in line.split("grantproof ").skip(1) {
            let before_comment = part.split(['`', ';']).next().unwrap_or(part).split(" #").next().unwrap_or(part);
            let mut words = before_comment.split_whitespace();
            let Some(command) = words.next().filter(|w| w.chars().all(|c| c.is_ascii_lowercase())) else { continue };
            let options = words
                .map(|w| w.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-').split('=').next().unwrap_or(w).to_owned())
                .filter(|w| w.starts_with("--") && w.len() > 2)
                .collect();
            found.push((command.to_owned(), options));
        }
    }
    found
}

fn help(command: &str) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_grantproof")).args([command, "--help"]).output().expect("the program runs");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_command_and_option_exists() {
    let files = ["action.yml", "ci/gitlab.yml", "docs/ci.md", "docs/verify.md", "docs/reports.md", "README.md", "reports/README.md"];
    let mut checked = 0;
    for file in files {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for (command, options) in commands(&text) {
            let Some(help) = help(&command) else {
                // A sentence about the program, not a command: it has no options.
                assert!(options.is_empty(), "{file}: there is no command `{command}`");
                continue;
            };
            for option in options {
                let known = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == option);
                assert!(known, "{file}: `{command}` has no option {option}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn the_options_of_the_action_are_of_run() {
    let action = std::fs::read_to_string(root().join("action.yml")).expect("the action");
    let help = help("run").expect("help");
    let given: Vec<&str> =
        action.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|w| w.starts_with("--") && w.len() > 2).collect();
    assert!(given.len() > 8, "{given:?}");
    for option in given.iter().filter(|o| !["--locked", "--path"].contains(*o)) {
        assert!(help.contains(option), "{option}");
    }
}

#[test]
fn templates_are_yaml_and_pass_no_input_as_shell() {
    for file in ["action.yml", "ci/gitlab.yml", ".github/workflows/ci.yml"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let value: serde_json::Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        scripts(&value, &mut |script| assert!(!script.contains("${{"), "{file}: an expression inside a script: {script}"));
    }
    let formats: Vec<&str> = grantproof::report::FORMATS.iter().map(|f| f.name).collect();
    let action = std::fs::read_to_string(root().join("action.yml")).expect("the action");
    for report in action.split("--report ").skip(1) {
        let format = report.split('=').next().unwrap_or_default();
        assert!(formats.contains(&format), "{format}");
    }
}

fn scripts(value: &serde_json::Value, see: &mut dyn FnMut(&str)) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                if let ("run", Some(script)) = (name.as_str(), value.as_str()) {
                    see(script);
                }
                scripts(value, see);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| scripts(item, see)),
        _ => {}
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let found = commands("x\n  grantproof run --target a \\\n    --nothing=b # --comment\ngrantproof is a program\n");
    assert_eq!(found[0], ("run".to_owned(), vec!["--target".to_owned(), "--nothing".to_owned()]));
    assert_eq!(found[1], ("is".to_owned(), Vec::new()));
}
