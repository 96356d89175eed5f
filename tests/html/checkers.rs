//! Checkers by others, installed by npm once: axe-core, which injects into a page, and the HTML checker of the W3C, which
//! needs Java.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::page::Page;
use crate::render;
use crate::samples::samples;

/// Where the packages are; Err says why they are not.
fn packages() -> Result<&'static Path, String> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let install = || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/html");
        let wanted = std::fs::read(folder.join("package.json")).map_err(|e| format!("package.json: {e}"))?;
        let stamp = folder.join("node_modules/.installed");
        if std::fs::read(&stamp).ok().as_ref() != Some(&wanted) {
            let install = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
            let done = Command::new("npm").args(install).current_dir(&folder).output().map_err(|e| format!("npm: {e}"))?;
            if !done.status.success() {
                return Err(format!("npm could not install them: {}", String::from_utf8_lossy(&done.stderr)));
            }
            std::fs::write(&stamp, &wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
        }
        Ok(folder.join("node_modules"))
    };
    INSTALLED.get_or_init(install).as_deref().map_err(Clone::clone)
}

/// What a test goes on with; it says so where it cannot, and fails where it must.
fn or_skip<T>(test: &str, what: Result<T, String>) -> Option<T> {
    match what {
        Ok(value) => Some(value),
        Err(why) => {
            assert!(std::env::var_os("GRANTPROOF_REQUIRE_CHECKERS").is_none(), "{test}: {why}");
            eprintln!("SKIPPED {test}: {why}");
            None
        }
    }
}

/// The script of axe-core.
pub fn axe(test: &str) -> Option<String> {
    let script = packages().and_then(|p| std::fs::read_to_string(p.join("axe-core/axe.min.js")).map_err(|e| format!("axe-core: {e}")));
    or_skip(test, script)
}

fn vnu(files: &[PathBuf]) -> Result<Vec<Value>, String> {
    let jar = packages()?.join("vnu-jar/build/dist/vnu.jar");
    let mut java = Command::new("java");
    java.arg("-jar").arg(&jar).args(["--format", "json", "--exit-zero-always"]).args(files);
    let output = java.output().map_err(|e| format!("Java: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_str(&said).map_err(|e| format!("the HTML checker does not work here ({e}): {said}"))?;
    Ok(report["messages"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_html_checker_has_nothing_to_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (name, reports) in samples().await {
        let file = folder.path().join(format!("{name}.html"));
        std::fs::write(&file, Page::parse(&render(reports)).text).expect("written");
        files.push(file);
    }
    let Some(messages) = or_skip("the_html_checker", vnu(&files)) else { return };
    let told: Vec<String> = messages
        .iter()
        // A property of SVG 2 that its part for style sheets does not know.
        .filter(|m| m["message"] != "CSS: “paint-order”: Property “paint-order” doesn't exist.")
        .map(|m| format!("{}:{}: {} {} ({})", m["url"], m["lastLine"], m["type"], m["message"], m["extract"]))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    // It does find what is wrong.
    let wrong = folder.path().join("wrong.html");
    std::fs::write(&wrong, "<!DOCTYPE html><html lang=en><title>x</title><p id=a><p id=a>").expect("written");
    assert!(!vnu(&[wrong]).expect("it worked before").is_empty());
}
