//! A client of the W3C WebDriver protocol, as much of it as a login needs, and ChromeDriver's two additions to it: the log
//! of the browser's network and commands of the DevTools protocol. ChromeDriver is on loopback and answers in plain HTTP, so
//! the raw driver does: a crate for this would bring two dozen others.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::engine::http::Request;
use crate::engine::raw;
use crate::target::Limits;

/// The key of an element reference (WebDriver §12.2).
pub const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The Enter key (WebDriver §17.4.2).
pub const ENTER: &str = "\u{e007}";

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The driver or the browser is gone, or answers no WebDriver.
    Gone(String),
    /// The command was refused: the error code of the protocol, and words.
    Refused { error: String, message: String },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Gone(why) => f.write_str(why),
            Trouble::Refused { error, message } => {
                // ChromeDriver adds the versions and a stack to its words.
                write!(f, "{error}: {}", message.lines().next().unwrap_or_default())
            }
        }
    }
}

/// One browser under control.
#[derive(Debug)]
pub struct Session {
    address: String,
    limits: Limits,
}

impl Session {
    /// Starts a browser through the ChromeDriver on a port.
    ///
    /// # Errors
    /// The browser does not start.
    pub async fn start(port: u16, capabilities: &Value) -> Result<Session, Trouble> {
        let limits = Limits { timeout: Duration::from_secs(60), max_body: 64 << 20, ..Limits::default() };
        let mut session = Session { address: format!("http://127.0.0.1:{port}/session"), limits };
        let started = session.command("POST", "", json!({ "capabilities": { "alwaysMatch": capabilities } })).await?;
        let id = started.get("sessionId").and_then(Value::as_str).unwrap_or_default();
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Trouble::Gone("the driver gives no session".into()));
        }
        session.address = format!("{}/{id}", session.address);
        Ok(session)
    }

    /// Lets scripts take longer than half a minute, which is what the driver gives them (WebDriver §9.1).
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn allow_scripts(&mut self, most: Duration) -> Result<(), Trouble> {
        self.limits.timeout = self.limits.timeout.max(most + Duration::from_secs(10));
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        self.command("POST", "/timeouts", json!({ "script": millis })).await.map(drop)
    }

    /// One command; the `value` of its answer.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn command(&self, method: &str, path: &str, body: Value) -> Result<Value, Trouble> {
        let request = Request {
            method: method.into(),
            url: format!("{}{path}", self.address),
            headers: vec![("content-type".into(), "application/json; charset=utf-8".into())],
            body: (method == "POST").then(|| body.to_string().into_bytes()),
            ..Request::default()
        };
        let answer = raw::send(&request, None, &self.limits).await.map_err(|e| Trouble::Gone(e.to_string()))?;
        let value = match serde_json::from_slice::<Value>(&answer.body) {
            Ok(mut body) => body.get_mut("value").map(Value::take).unwrap_or_default(),
            Err(error) => return Err(Trouble::Gone(format!("the driver's answer is no JSON: {error}"))),
        };
        if answer.status == 200 {
            return Ok(value);
        }
        let member = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (error, message) = (member("error"), member("message"));
        match error.as_str() {
            "invalid session id" | "no such window" | "session not created" => {
                Err(Trouble::Gone(format!("{error}: {}", message.lines().next().unwrap_or_default())))
            }
            _ => Err(Trouble::Refused { error, message }),
        }
    }

    /// Begins to navigate.
    pub async fn open(&self, url: &str) -> Result<(), Trouble> {
        self.command("POST", "/url", json!({ "url": url })).await.map(drop)
    }

    /// Runs a script in the page; what it returns.
    pub async fn execute(&self, script: &str, arguments: Value) -> Result<Value, Trouble> {
        self.command("POST", "/execute/sync", json!({ "script": script, "args": arguments })).await
    }

    pub async fn clear(&self, element: &str) -> Result<(), Trouble> {
        self.command("POST", &format!("/element/{element}/clear"), json!({})).await.map(drop)
    }

    pub async fn send_keys(&self, element: &str, text: &str) -> Result<(), Trouble> {
        self.command("POST", &format!("/element/{element}/value"), json!({ "text": text })).await.map(drop)
    }

    /// Clicks where a person would; where something lies over the element, its script is called all the same.
    pub async fn click(&self, element: &str) -> Result<(), Trouble> {
        match self.command("POST", &format!("/element/{element}/click"), json!({})).await {
            Err(Trouble::Refused { error, .. }) if error == "element click intercepted" || error == "element not interactable" => {
                self.execute("arguments[0].click()", json!([{ ELEMENT: element }])).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    /// What the window shows, as PNG.
    pub async fn screenshot(&self) -> Result<Vec<u8>, Trouble> {
        let image = self.command("GET", "/screenshot", Value::Null).await?;
        STANDARD.decode(image.as_str().unwrap_or_default()).map_err(|e| Trouble::Gone(format!("the screenshot is no base64: {e}")))
    }

    /// What the network of the browser did since the last call: messages of the DevTools protocol, oldest first.
    pub async fn network_log(&self) -> Result<Vec<Value>, Trouble> {
        let entries = self.command("POST", "/se/log", json!({ "type": "performance" })).await?;
        let message = |entry: &Value| {
            let text = entry.get("message")?.as_str()?;
            Some(serde_json::from_str::<Value>(text).ok()?.get_mut("message")?.take())
        };
        Ok(entries.as_array().map(|list| list.iter().filter_map(message).collect()).unwrap_or_default())
    }

    /// A command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value, Trouble> {
        self.command("POST", "/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }
}
