//! Who may import whom: the dependency rule of ARCHITECTURE.md, read off the `use` lines.

use std::path::{Path, PathBuf};

/// Module → what it may name of ours, and which outside crates only it may name.
const MAY_USE: &[(&str, &[&str])] = &[
    // The core types know nothing; the report quotes the permission of the target file.
    ("model", &["model", "target"]),
    ("judge", &["judge", "model"]),
    // Written from the RFCs, independent of what attacks it.
    ("lab", &["lab"]),
    ("engine", &["duration", "engine", "model", "redact", "selector", "target", "totp", "wire"]),
    ("scenario", &["scenario", "model", "diagnostic", "duration", "place", "yaml"]),
    ("target", &["target", "model", "diagnostic", "duration", "place", "selector", "totp", "yaml"]),
    ("plan", &["engine", "model", "scenario", "target"]),
    ("curl", &["model"]),
    ("run", &["curl", "duration", "engine", "judge", "model", "plan", "run", "scenario", "target"]),
    ("redact", &["redact", "wire"]),
    ("wire", &["wire"]),
    ("diagnostic", &["place"]),
    ("place", &[]),
    ("yaml", &["diagnostic"]),
    ("duration", &[]),
    ("totp", &[]),
    ("selector", &[]),
    ("report", &["curl", "diagnostic", "duration", "report", "judge", "model", "scenario"]),
];

/// Outside crate → the only files or folders that may name it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("reqwest", &["engine/pool.rs"]),
    ("colored", &["report/terminal.rs"]),
    ("maud", &["report/html"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli/man.rs"]),
    ("ed25519_dalek", &["report/integrity.rs", "report/signing.rs", "report/json.rs", "cli"]),
    ("maud", &["report/html"]),
    ("open", &["cli/outputs.rs"]),
    ("serde_json_canonicalizer", &["report/integrity.rs"]),
    ("tempfile", &["run/spool.rs"]),
    ("indicatif", &["cli/progress.rs"]),
    ("axum", &["lab", "engine/listener.rs"]),
    ("lol_html", &["engine/html.rs", "selector.rs"]),
    ("httparse", &["engine/raw.rs"]),
    ("cookie_store", &["engine/browser.rs"]),
    ("x509_cert", &["target/certificate.rs", "lab/certificates.rs"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn modules_keep_to_their_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let inside = path.strip_prefix(&root).expect("inside").to_string_lossy().replace('\\', "/");
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        // Tests may use what they need.
        if inside.contains("tests") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            if let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) {
                for part in line.split("crate::").skip(1) {
                    let used: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    if !used.is_empty() && !allowed.contains(&used.as_str()) {
                        wrong.push(format!("src/{inside}:{}: `{module}` may not use `{used}`", number + 1));
                    }
                }
            }
            for (name, homes) in ONLY_IN {
                if line.contains(&format!("{name}::")) && !homes.iter().any(|home| inside.starts_with(home)) {
                    wrong.push(format!("src/{inside}:{}: only {} may name `{name}`", number + 1, homes.join(" and ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
