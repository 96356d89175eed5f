//! Real servers: every verdict is compared with what is known to be true of them (tests/interop/README.md).
//!
//! oidc-provider is tested wherever Node.js is. The others take minutes to install, and are tested where they are asked for:
//! GRANTPROOF_INTEROP=keycloak,hydra or =all. What was asked for and cannot be had is a failure; what was not is skipped by
//! name.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::sync::Semaphore;

/// Servers that run at the same moment.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A server that ends with the test, and all that it started with it.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Sends a signal to the whole process group; it may have ended already.
    fn signal(&self, name: &str) {
        let _ = Command::new("kill").args(["-s", name, "--", &format!("-{}", self.child.id())]).stderr(Stdio::null()).status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("TERM");
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        self.signal("KILL");
        let _ = self.child.wait();
    }
}

fn folder(server: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(server)
}

/// Whether a server was asked for by name.
fn asked(server: &str) -> bool {
    let names = std::env::var("GRANTPROOF_INTEROP").unwrap_or_default();
    names.split(',').any(|name| name.trim() == server || name.trim() == "all")
}

/// Starts a mode of a server; Err says why it cannot be had here.
fn start(server: &str, mode: &str, key: &Path) -> Result<Server, String> {
    if server == "oidc-provider" && !Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return Err("there is no Node.js on this machine".into());
    }
    let words = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{server}-{mode}.log"));
    let log = std::fs::File::create(&words).map_err(|e| format!("{}: {e}", words.display()))?;
    let mut child = Command::new("bash")
        .arg(folder(server).join("start.sh"))
        .env("MODE", mode)
        .env("PORT", "0")
        .env("CLIENT_KEY_FILE", key)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|e| format!("bash cannot be started: {e}"))?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let line = BufReader::new(stdout).lines().next();
    match line {
        Some(Ok(line)) if line.starts_with("ready ") => Ok(Server { child, url: line["ready ".len()..].to_owned() }),
        _ => {
            let _ = child.wait();
            Err(format!("it could not be installed or did not start; what it said is in {}", words.display()))
        }
    }
}

async fn compare(server: &str, mode: &str) {
    if server != "oidc-provider" && !asked(server) {
        eprintln!("SKIPPED {server} {mode}: not asked for (GRANTPROOF_INTEROP={server})");
        return;
    }
    let _place = PLACES.acquire().await.expect("an open semaphore");
    let scratch = tempfile::tempdir().expect("a folder");
    let key = scratch.path().join("client-key.pem");
    let running = match start(server, mode, &key) {
        Ok(running) => running,
        Err(why) => {
            assert!(!asked(server), "{server} {mode}: {why}");
            eprintln!("SKIPPED {server} {mode}: {why}");
            return;
        }
    };
    let port = running.url.rsplit(':').next().expect("a port");
    let text = std::fs::read_to_string(folder(server).join(format!("{mode}.yaml"))).expect("a target file");
    let here = folder(server).to_str().expect("a path").to_owned();
    let text = text.replace("@PORT@", port).replace("@KEY@", key.to_str().expect("a path")).replace("@HERE@", &here);
    let target = grantproof::target::load::from_text("target.yaml", &text, scratch.path()).unwrap_or_else(|d| panic!("{}", d[0]));
    let report = common::run_on(&target, &[""]).await;
    assert!(report.fatal.is_none(), "{server} {mode}: {:?}", report.fatal);
    let expected = std::fs::read_to_string(folder(server).join(format!("{mode}.expected.yaml"))).expect("the expected verdicts");
    let expected: BTreeMap<String, String> = serde_yaml::from_str(&expected).expect("a map");
    let seen: BTreeMap<String, String> = report.verdicts.iter().map(|v| (v.id.clone(), v.verdict.name().to_owned())).collect();
    let mut differences = Vec::new();
    for id in expected.keys().chain(seen.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (wanted, got) = (expected.get(id), seen.get(id));
        // Where chance decides, the list has both words, and says why.
        if !wanted.zip(got).is_some_and(|(wanted, got)| wanted.split(" or ").any(|one| one == got)) {
            let reason = report.verdicts.iter().find(|v| v.id == *id).map_or("", |v| v.reason.as_str());
            differences.push(format!("{id}: expected {wanted:?}, seen {got:?}: {reason}"));
        }
    }
    assert!(differences.is_empty(), "{server} {mode}:\n{}", differences.join("\n"));
    eprintln!("{server} {mode}: {} verdicts as expected, {} requests", seen.len(), report.run.requests);
}

/// One test for each server and mode that has a target file.
macro_rules! servers {
    ($($name:ident: $server:literal $mode:literal,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                compare($server, $mode).await;
            }
        )+

        /// No target file is left out.
        #[test]
        fn every_target_file_is_tested() {
            let listed = [$(($server, $mode)),+];
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
            for server in std::fs::read_dir(root).expect("the folder").flatten().filter(|e| e.path().is_dir()) {
                for file in std::fs::read_dir(server.path()).expect("the folder").flatten() {
                    let (server, file) = (server.file_name().into_string().expect("a name"), file.file_name().into_string().expect("a name"));
                    if let Some(mode) = file.strip_suffix(".expected.yaml") {
                        assert!(listed.contains(&(server.as_str(), mode)), "{server}/{file} is compared with nothing");
                    }
                }
            }
        }
    };
}

servers! {
    oidc_provider_default: "oidc-provider" "default",
    oidc_provider_weak: "oidc-provider" "weak",
    oidc_provider_jwt: "oidc-provider" "jwt",
    oidc_provider_strict: "oidc-provider" "strict",
    oidc_provider_mtls: "oidc-provider" "mtls",
    oidc_provider_signed: "oidc-provider" "signed",
    keycloak_default: "keycloak" "default",
    keycloak_strict: "keycloak" "strict",
    keycloak_fapi2: "keycloak" "fapi2",
    hydra_default: "hydra" "default",
    hydra_strict: "hydra" "strict",
    hydra_jwt: "hydra" "jwt",
    django_oauth_toolkit_default: "django-oauth-toolkit" "default",
    django_oauth_toolkit_strict: "django-oauth-toolkit" "strict",
    glewlwyd_default: "glewlwyd" "default",
    glewlwyd_weak: "glewlwyd" "weak",
}

/// From the address of a real server to checked clients and back: `init --register`, `doctor`, `unregister`.
#[test]
fn clients_are_registered_at_oidc_provider() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = match start("oidc-provider", "default", &folder.path().join("unused.pem")) {
        Ok(running) => running,
        Err(why) => {
            assert!(!asked("oidc-provider"), "{why}");
            eprintln!("SKIPPED init at oidc-provider: {why}");
            return;
        }
    };
    let grantproof = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_grantproof"))
            .args(arguments)
            .current_dir(folder.path())
            .env("GRANTPROOF_PASSWORD", "any")
            .env("GRANTPROOF_OTHER_PASSWORD", "any")
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, told) = grantproof(&["init", &running.url, "--register"]);
    assert_eq!((code, told.matches("registered  clients.").count()), (Some(0), 4), "{told}");
    let (code, told) = grantproof(&["doctor", "-t", "grantproof.yaml"]);
    assert_eq!((code, told.matches("ok    redeem").count()), (Some(0), 5), "four clients, and the other user: {told}");
    let (code, told) = grantproof(&["unregister", "-t", "grantproof.yaml"]);
    assert_eq!((code, told.matches("removed  clients.").count()), (Some(0), 4), "{told}");
    let (code, told) = grantproof(&["doctor", "-t", "grantproof.yaml"]);
    assert!(code != Some(0), "they are gone: {told}");
}
