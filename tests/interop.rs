//! Real servers: every verdict is compared with what is known to be true of them (tests/interop/README.md).
//!
//! Without Node.js, or without a network for the first installation, these tests say so by name and are skipped;
//! GRANTPROOF_REQUIRE_INTEROP=1 makes that a failure.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where the server has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/oidc-provider")
}

/// Starts a mode of the server; Err says why it cannot be had here.
fn start(mode: &str, key: &Path) -> Result<Server, String> {
    let node = Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success());
    if !node {
        return Err("there is no Node.js on this machine".into());
    }
    let mut child = Command::new("bash")
        .arg(folder().join("start.sh"))
        .env("MODE", mode)
        .env("PORT", "0")
        .env("CLIENT_KEY_FILE", key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("bash cannot be started: {e}"))?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let line = BufReader::new(stdout).lines().next();
    match line {
        Some(Ok(line)) if line.starts_with("ready ") => Ok(Server { child, url: line["ready ".len()..].to_owned() }),
        _ => {
            let _ = child.wait();
            Err("the server could not be installed or did not start (run its start.sh by hand to see why)".into())
        }
    }
}

async fn compare(mode: &str) {
    let scratch = tempfile::tempdir().expect("a folder");
    let key = scratch.path().join("client-key.pem");
    let server = match start(mode, &key) {
        Ok(server) => server,
        Err(why) => {
            assert!(std::env::var_os("GRANTPROOF_REQUIRE_INTEROP").is_none(), "oidc-provider {mode}: {why}");
            eprintln!("SKIPPED oidc-provider {mode}: {why}");
            return;
        }
    };
    let port = server.url.rsplit(':').next().expect("a port");
    let text = std::fs::read_to_string(folder().join(format!("{mode}.yaml"))).expect("a target file");
    let text = text.replace("@PORT@", port).replace("@KEY@", key.to_str().expect("a path"));
    let target = grantproof::target::load::from_text("target.yaml", &text, scratch.path()).unwrap_or_else(|d| panic!("{}", d[0]));
    let report = common::run_on(&target, &[""]).await;
    assert!(report.fatal.is_none(), "{:?}", report.fatal);
    let expected = std::fs::read_to_string(folder().join(format!("{mode}.expected.yaml"))).expect("the expected verdicts");
    let expected: BTreeMap<String, String> = serde_yaml::from_str(&expected).expect("a map");
    let seen: BTreeMap<String, String> = report.verdicts.iter().map(|v| (v.id.clone(), v.verdict.name().to_owned())).collect();
    let mut differences = Vec::new();
    for id in expected.keys().chain(seen.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (wanted, got) = (expected.get(id), seen.get(id));
        if wanted != got {
            let reason = report.verdicts.iter().find(|v| v.id == *id).map_or("", |v| v.reason.as_str());
            differences.push(format!("{id}: expected {wanted:?}, seen {got:?}: {reason}"));
        }
    }
    assert!(differences.is_empty(), "oidc-provider {mode}:\n{}", differences.join("\n"));
    eprintln!("oidc-provider {mode}: {} verdicts as expected, {} requests", seen.len(), report.run.requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_provider_default() {
    compare("default").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_provider_weak() {
    compare("weak").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_provider_jwt() {
    compare("jwt").await;
}
