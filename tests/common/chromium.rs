//! A headless Chromium for tests, by the WebDriver client of the login driver `browser`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use grantproof::engine::chromium::Session;
use serde_json::{Value, json};

const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The first of some programs that is on the path.
pub fn on_path(names: &[&str]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

/// Whether both programs are on the path; says so where they are not. GRANTPROOF_REQUIRE_BROWSER makes that a failure.
pub fn have_browser(test: &str) -> bool {
    if on_path(BROWSERS).is_some() && on_path(&["chromedriver"]).is_some() {
        return true;
    }
    let why = "Chromium and ChromeDriver are not on the path (Debian: apt-get install chromium chromium-driver)";
    assert!(std::env::var_os("GRANTPROOF_REQUIRE_BROWSER").is_none(), "{test}: {why}");
    eprintln!("SKIPPED {test}: {why}");
    false
}

/// A browser that reads pages from files. Dropped, it ends.
pub struct Viewer {
    pub session: Session,
    driver: Child,
    profile: tempfile::TempDir,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // ChromeDriver leaves its browser alone when it is ended, and asking it to end that takes a runtime, which is none
        // here: the folder of the profile is in the command line of each of the browser's processes, and in no other.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let profile = self.profile.path().display().to_string();
        let _ = Command::new("pkill").args(["-KILL", "-f", "--", &profile]).status();
    }
}

impl Viewer {
    pub async fn start() -> Viewer {
        let profile = tempfile::tempdir().expect("a folder");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ChromeDriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
        let port = lines
            .find_map(|line| line.ok()?.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok())
            .expect("ChromeDriver says its port");
        // What else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let data = format!("--user-data-dir={}", profile.path().join("profile").display());
        // Without its sandbox, because root has none; the pages are ours.
        let arguments =
            [&data, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--window-size=1440,1000"];
        let capabilities = json!({
            "goog:chromeOptions": {"args": arguments, "binary": on_path(BROWSERS).expect("a browser")},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "unhandledPromptBehavior": "ignore",
        });
        let mut session = Session::start(port, &capabilities).await.expect("Chromium starts");
        // A busy machine may need minutes for every rule on a long page.
        session.allow_scripts(Duration::from_secs(600)).await.expect("scripts may take their time");
        Viewer { session, driver, profile }
    }

    /// Opens a file.
    pub async fn open(&self, file: &Path) {
        self.session.open(&format!("file://{}", file.display())).await.expect("the page opens");
    }

    /// As it is shown to whoever prefers `light` or `dark`.
    pub async fn prefer(&self, scheme: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.session.devtools("Emulation.setEmulatedMedia", media).await.expect("the preference is set");
    }

    pub async fn run(&self, script: &str) -> Value {
        self.session.execute(script, json!([])).await.expect("the script runs")
    }

    /// What the console said since the last call: errors, and violations of the page's policy.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.session.command("POST", "/se/log", json!({"type": "browser"})).await.expect("the log");
        entries.as_array().expect("a list").iter().map(|e| e["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Addresses that pages from files asked for since the last call.
    pub async fn requests(&self) -> Vec<String> {
        let log = self.session.network_log().await.expect("the log");
        // Chromium's own first page asks for its own parts.
        let of_file = |m: &&Value| m["params"]["documentURL"].as_str().is_some_and(|url| url.starts_with("file://"));
        let sent = log.iter().filter(|m| m["method"] == "Network.requestWillBeSent").filter(of_file);
        sent.map(|m| m["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
