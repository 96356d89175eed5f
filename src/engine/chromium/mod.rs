//! A headless Chromium, for login pages that need one. It can reach the target's hosts only, starts each time with the
//! cookies of the browser that it stands for, and gives them back.

mod process;
mod relay;
pub mod traffic;
mod webdriver;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use webdriver::{ENTER, Session, Trouble};

use crate::target::Target;

use super::browser::{Browser, Cookie, same_site};
use super::http::Http;
use process::Process;
use relay::Relay;
use webdriver::ELEMENT;

/// What the distributions call them.
const BINARIES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
const DRIVERS: &[&str] = &["chromedriver"];

/// One browser for one run. Dropped, its processes end and its profile goes away.
#[derive(Debug)]
pub struct Chromium {
    pub session: Session,
    /// Its own name and ours, for the target's logs.
    agent: String,
    /// The frame that is the window.
    pub frame: String,
    _relay: Relay,
    _process: Process,
}

/// A page at one moment, as a person sees it.
#[derive(Debug)]
pub struct Snapshot {
    pub html: String,
    /// References to its controls, by the numbers that they have in `html`.
    controls: Vec<String>,
    /// The document and all that belongs to it is loaded.
    pub ready: bool,
    pub url: String,
}

impl Chromium {
    /// # Errors
    /// What is missing or does not start, and what to do.
    pub async fn start(http: &Http, target: &Target) -> Result<Chromium, String> {
        let programs = &target.login.browser;
        let binary = find(programs.binary.as_deref(), BINARIES, "binary")?;
        let driver = find(programs.driver.as_deref(), DRIVERS, "driver")?;
        let process = Process::start(&driver).await?;
        let relay = Relay::open(http.clone()).await.map_err(|e| format!("no port on loopback: {e}"))?;
        let failed = |trouble: Trouble| {
            format!("Chromium does not start: {trouble}; `{}` and `{}` must be of one version", binary.display(), driver.display())
        };
        let session = Session::start(process.port, &capabilities(&binary, &process.profile, relay.port, target.insecure_tls))
            .await
            .map_err(failed)?;
        let (agent, frame) = name(&session).await.map_err(failed)?;
        Ok(Chromium { session, agent, frame, _relay: relay, _process: process })
    }

    /// Takes the part of a browser: its cookies, and nothing of whoever was here before.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn become_browser(&self, browser: &Browser, http: &Http) -> Result<(), Trouble> {
        self.session.open("about:blank").await?;
        self.session.devtools("Network.clearBrowserCookies", json!({})).await?;
        for origin in http.origins() {
            self.session.devtools("Storage.clearDataForOrigin", json!({"origin": origin, "storageTypes": "all"})).await?;
        }
        // What it would not have taken from the server it must not be given by us: it could never renew it.
        let cookies: Vec<Value> = browser.kept().iter().filter(|cookie| cookie.is_kept_by_browsers()).map(to_devtools).collect();
        self.session.devtools("Network.setCookies", json!({ "cookies": cookies })).await?;
        // What was logged until now is none of the journey's.
        self.session.network_log().await.map(drop)
    }

    /// Gives the cookies back, with the name under which they were got: servers may tie a session to it.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn hand_back(&self, browser: &mut Browser) -> Result<(), Trouble> {
        let all = self.session.devtools("Network.getAllCookies", json!({})).await?;
        let cookies = all.get("cookies").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        browser.replace(cookies.iter().filter_map(from_devtools));
        browser.agent = Some(self.agent.clone());
        Ok(())
    }

    /// The page as it is now; None: it is just being left, or cannot be read.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn snapshot(&self) -> Result<Option<Snapshot>, Trouble> {
        let seen = match self.session.execute(include_str!("snapshot.js"), json!([])).await {
            Ok(seen) => seen,
            Err(Trouble::Refused { .. }) => return Ok(None),
            Err(gone) => return Err(gone),
        };
        let text = |name: &str| seen.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let controls = seen.get("controls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let reference = |control: &Value| control.get(ELEMENT).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(Snapshot {
            html: text("html"),
            controls: controls.iter().map(reference).collect(),
            ready: seen.get("ready").and_then(Value::as_bool).unwrap_or(false),
            url: text("url"),
        }))
    }

    /// Empties passwords and `typed` values in the page, and takes a picture of it as PNG.
    ///
    /// # Errors
    /// The browser is gone, or has nothing to show.
    pub async fn picture(&self, typed: &[String]) -> Result<Vec<u8>, Trouble> {
        self.session.execute(include_str!("forget.js"), json!([typed])).await?;
        self.session.screenshot().await
    }
}

impl Snapshot {
    pub fn control(&self, live: usize) -> Option<&str> {
        self.controls.get(live).map(String::as_str).filter(|reference| !reference.is_empty())
    }
}

fn capabilities(binary: &Path, profile: &Path, relay: u16, insecure: bool) -> Value {
    let mut arguments = vec![
        "--headless".to_owned(),
        "--disable-gpu".into(),
        "--disable-quic".into(),
        "--no-first-run".into(),
        "--disable-background-networking".into(),
        "--disable-component-update".into(),
        "--disable-sync".into(),
        // An address is opened as it is written: http stays http.
        "--disable-features=HttpsUpgrades".into(),
        "--window-size=1280,1024".into(),
        format!("--user-data-dir={}", profile.display()),
        // Chromium ends when ChromeDriver does.
        "--remote-debugging-pipe".into(),
        // Everything goes through the relay, loopback too; no name is looked up elsewhere, and nothing goes by UDP.
        format!("--proxy-server=socks5://127.0.0.1:{relay}"),
        "--proxy-bypass-list=<-loopback>".into(),
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1".into(),
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp".into(),
    ];
    if is_root(profile) {
        // Chromium refuses its sandbox to root.
        arguments.push("--no-sandbox".into());
    }
    json!({
        // Navigation returns at once: it is the page that is waited for.
        "pageLoadStrategy": "none",
        "unhandledPromptBehavior": "dismiss",
        "acceptInsecureCerts": insecure,
        "goog:chromeOptions": {"args": arguments, "binary": binary},
        "goog:loggingPrefs": {"performance": "ALL"},
    })
}

/// Names us in the browser's name for itself, and finds its window.
async fn name(session: &Session) -> Result<(String, String), Trouble> {
    let version = session.devtools("Browser.getVersion", json!({})).await?;
    let own = version.get("userAgent").and_then(Value::as_str).unwrap_or_default();
    let agent = format!("{own} {}", super::USER_AGENT);
    session.devtools("Network.setUserAgentOverride", json!({ "userAgent": agent })).await?;
    let tree = session.devtools("Page.getFrameTree", json!({})).await?;
    let frame = tree.pointer("/frameTree/frame/id").and_then(Value::as_str).unwrap_or_default();
    Ok((agent, frame.to_owned()))
}

/// A program that the target file names, or the first one on the path.
fn find(named: Option<&Path>, usual: &[&str], key: &str) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = usual.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file());
    found.ok_or_else(|| {
        format!(
            "the login driver `browser` needs {}, which is not on PATH: install it (Debian: apt-get install chromium chromium-driver), or name it as `login.browser.{key}`",
            usual.join(" or ")
        )
    })
}

#[cfg(unix)]
fn is_root(made: &Path) -> bool {
    // The owner of what we made is who we are; the system can only be asked with unsafe code.
    std::fs::metadata(made).is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

#[cfg(not(unix))]
fn is_root(_made: &Path) -> bool {
    false
}

fn to_devtools(cookie: &Cookie) -> Value {
    let scheme = if cookie.secure { "https" } else { "http" };
    let mut parameter = json!({
        "name": cookie.name, "value": cookie.value, "path": cookie.path, "secure": cookie.secure, "httpOnly": cookie.http_only,
        "url": format!("{scheme}://{}{}", cookie.host, cookie.path),
    });
    if let Some(same_site) = cookie.same_site {
        parameter["sameSite"] = same_site.into();
    }
    if cookie.with_subdomains {
        // Without the dot it would be a cookie of this host alone, which no page could take back.
        parameter["domain"] = format!(".{}", cookie.host).into();
    }
    parameter
}

fn from_devtools(cookie: &Value) -> Option<Cookie> {
    let text = |name: &str| cookie.get(name).and_then(Value::as_str).map(str::to_owned);
    let truth = |name: &str| cookie.get(name).and_then(Value::as_bool).unwrap_or(false);
    let domain = text("domain")?;
    Some(Cookie {
        name: text("name")?,
        value: text("value")?,
        host: domain.trim_start_matches('.').to_owned(),
        with_subdomains: domain.starts_with('.'),
        path: text("path")?,
        secure: truth("secure"),
        http_only: truth("httpOnly"),
        same_site: text("sameSite").and_then(|said| same_site(&said)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_cure() {
        let why = find(None, &["no-such-program-of-grantproof"], "driver").expect_err("it is not there");
        assert!(why.contains("apt-get install chromium chromium-driver") && why.contains("login.browser.driver"), "{why}");
    }

    #[test]
    fn cookies_keep_their_properties_on_the_way_to_the_browser_and_back() {
        for (with_subdomains, secure, domain, same_site) in
            [(false, true, "as.example", Some("Lax")), (true, false, ".as.example", None), (false, true, "as.example", Some("None"))]
        {
            let cookie = Cookie {
                name: "sid".into(),
                value: "a b".into(),
                host: "as.example".into(),
                with_subdomains,
                path: "/login".into(),
                secure,
                http_only: true,
                same_site,
            };
            let mut sent = to_devtools(&cookie);
            assert_eq!(sent["url"], format!("{}://as.example/login", if secure { "https" } else { "http" }));
            if with_subdomains {
                assert_eq!(sent["domain"], domain);
            } else {
                assert!(sent.get("domain").is_none());
                sent["domain"] = domain.into();
            }
            assert_eq!(from_devtools(&sent), Some(cookie));
        }
    }
}
