//! What the browser did on the network, out of its log: where its window was sent, with which answers, and what is still
//! under way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A request that takes longer than this waits for news (long polling), and the page does not wait for it.
const LONG: Duration = Duration::from_secs(10);

/// One request of the window itself or of a script, and its answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hop {
    id: String,
    /// The window goes there; else a script asked.
    pub is_document: bool,
    pub method: String,
    /// With its fragment.
    pub url: String,
    pub posted: String,
    /// None: no answer came (yet).
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    /// Why no answer came.
    pub error: Option<String>,
}

impl Hop {
    /// One redirected the browser to the other.
    pub fn is_same_request(&self, other: &Hop) -> bool {
        self.id == other.id
    }
}

#[derive(Debug, Default)]
pub struct Traffic {
    frame: String,
    pub hops: Vec<Hop>,
    under_way: BTreeMap<String, Instant>,
    /// Requests of any kind that went to the network.
    pub requests: u64,
}

impl Traffic {
    /// The traffic of the window with this frame.
    pub fn of(frame: &str) -> Traffic {
        Traffic { frame: frame.to_owned(), ..Traffic::default() }
    }

    /// Adds what a piece of the log says.
    pub fn read(&mut self, log: &[Value]) {
        for entry in log {
            let text = |path: &str| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let id = text("/params/requestId");
            match text("/method") {
                "Network.requestWillBeSent" => {
                    self.sent(entry, id);
                }
                "Network.responseReceived" => self.answered(id, entry.pointer("/params/response")),
                "Network.loadingFinished" => {
                    self.under_way.remove(id);
                }
                "Network.loadingFailed" => {
                    self.under_way.remove(id);
                    if let Some(hop) = self.hops.iter_mut().rfind(|h| h.id == id && h.status.is_none()) {
                        hop.error = Some(text("/params/errorText").to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    fn sent(&mut self, entry: &Value, id: &str) {
        let text = |path: &str| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let redirect = entry.pointer("/params/redirectResponse");
        if redirect.is_some() {
            self.answered(id, redirect);
        }
        let (url, kind) = (text("/params/request/url"), text("/params/type"));
        if url.starts_with("data:") || url.starts_with("blob:") || url.starts_with("chrome") || url.starts_with("about:") {
            return;
        }
        self.requests += 1;
        // These stay open as long as the page.
        if !matches!(kind, "WebSocket" | "EventSource" | "Ping") {
            self.under_way.insert(id.to_owned(), Instant::now());
        }
        let is_document = kind == "Document" && text("/params/frameId") == self.frame;
        if is_document || matches!(kind, "XHR" | "Fetch") {
            self.hops.push(Hop {
                id: id.to_owned(),
                is_document,
                method: text("/params/request/method").to_owned(),
                url: format!("{url}{}", text("/params/request/urlFragment")),
                posted: text("/params/request/postData").to_owned(),
                ..Hop::default()
            });
        }
    }

    fn answered(&mut self, id: &str, response: Option<&Value>) {
        let Some(hop) = self.hops.iter_mut().rfind(|h| h.id == id && h.status.is_none()) else { return };
        let status = response.and_then(|r| r.get("status")).and_then(Value::as_u64);
        hop.status = status.and_then(|s| u16::try_from(s).ok());
        if let Some(headers) = response.and_then(|r| r.get("headers")).and_then(Value::as_object) {
            // Of several headers with one name the log has the values on lines of their own.
            let pairs = headers.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
            let lines = pairs.flat_map(|(name, value)| value.lines().map(move |line| (name.to_ascii_lowercase(), line.to_owned())));
            hop.headers = lines.collect();
        }
    }

    /// Where the window went, in order.
    pub fn documents(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().filter(|h| h.is_document)
    }

    /// Whether the page waits for no answer.
    pub fn is_idle(&self) -> bool {
        self.under_way.values().all(|since| since.elapsed() > LONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sent(id: &str, kind: &str, url: &str, redirect: Option<u16>) -> Value {
        let mut entry = json!({"method": "Network.requestWillBeSent", "params": {"requestId": id, "type": kind, "frameId": "F",
            "request": {"url": url, "method": "GET", "urlFragment": if url.contains("/cb") { "#f=1" } else { "" }}}});
        if let Some(status) = redirect {
            entry["params"]["redirectResponse"] = json!({"status": status, "headers": {"Location": url}});
        }
        entry
    }

    #[test]
    fn redirects_answers_and_what_is_under_way() {
        let mut traffic = Traffic::of("F");
        traffic.read(&[
            sent("1", "Document", "http://as.test/login", None),
            sent("2", "Image", "http://as.test/logo.png", None),
            json!({"method": "Network.responseReceived", "params": {"requestId": "1",
                "response": {"status": 200, "headers": {"X-Frame-Options": "deny", "Set-Cookie": "a=1\nb=2"}}}}),
            json!({"method": "Network.loadingFinished", "params": {"requestId": "1"}}),
            sent("3", "XHR", "http://as.test/api", None),
        ]);
        assert!(!traffic.is_idle());
        traffic.read(&[
            json!({"method": "Network.loadingFailed", "params": {"requestId": "2", "errorText": "net::ERR_ABORTED"}}),
            json!({"method": "Network.loadingFinished", "params": {"requestId": "3"}}),
            sent("4", "Document", "http://as.test/continue", None),
            sent("4", "Document", "https://app.example/cb?code=1", Some(302)),
            json!({"method": "Network.loadingFailed", "params": {"requestId": "4", "errorText": "net::ERR_SOCKS_CONNECTION_FAILED"}}),
        ]);
        assert!(traffic.is_idle());
        let seen: Vec<(&str, Option<u16>)> = traffic.documents().map(|h| (h.url.as_str(), h.status)).collect();
        let expected =
            [("http://as.test/login", Some(200)), ("http://as.test/continue", Some(302)), ("https://app.example/cb?code=1#f=1", None)];
        assert_eq!(seen, expected);
        assert_eq!(traffic.hops.first().map(|h| h.headers.len()), Some(3));
        assert_eq!((traffic.requests, traffic.hops.len()), (5, 4));
    }

    #[test]
    fn what_is_no_log_is_passed_over() {
        let mut traffic = Traffic::of("F");
        traffic.read(&[
            json!(1),
            json!({"method": "Network.requestWillBeSent"}),
            json!({"method": "Network.responseReceived", "params": 1}),
        ]);
        assert!(traffic.documents().next().is_none());
    }
}
