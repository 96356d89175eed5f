//! The target files to start from are well-formed, and say whether they were tested.

use std::path::{Path, PathBuf};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/targets");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 7, "{files:?}");
    files
}

/// What stands outside of the file is put in its place: secrets and keys, and a day that never comes.
fn with_placeholders(text: &str) -> String {
    text.replace("env:GP_", "plain:GP_")
        .replace("\"file:client-key.pem\"", "\"plain:key\"")
        .replace("until: 2027-03-01", "until: 2999-12-31")
}

#[test]
fn every_example_is_read() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).expect("a file");
        let name = path.display().to_string();
        let target =
            grantproof::target::load::from_text(&name, &with_placeholders(&text), Path::new(".")).unwrap_or_else(|d| panic!("{}", d[0]));
        assert!(target.is_loopback() || target.permission.is_some(), "{name}: names who permitted it");
        assert!(target.clients.len() >= 2 && target.other_user.is_some(), "{name}: two clients and two users");
    }
}

#[test]
fn every_example_says_whether_it_was_tested() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/targets/README.md")).expect("a README");
    for path in examples() {
        let text = std::fs::read_to_string(&path).expect("a file");
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        let row = readme.lines().find(|line| line.contains(&format!("`{name}`"))).unwrap_or_else(|| panic!("{name} is not in the README"));
        let head = text.lines().next().unwrap_or_default();
        assert_ne!(head.contains("UNTESTED"), head.contains("Tested: tests/interop/"), "{name}: {head}");
        assert_eq!(head.contains("UNTESTED"), row.ends_with("| no |"), "{name}: {row}");
    }
}
