//! A listener of ours, to which the server comes where an attack gives it an address: addresses that nobody guesses, what each of
//! them answers, and who came.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response as Answered;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::model::observation::Outcome;
use crate::model::step::PlannedStep;
use crate::model::value::Reference;
use crate::target;

use super::http::{Request, Response};
use super::{Engine, RunningTrial, eval};

/// Bytes of a request's body that are read.
const MOST_BODY: usize = 64 << 10;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Requests that are kept for one address; a server that comes more often has been seen often enough.
const MOST_REQUESTS: usize = 16;

/// What an address answers.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// `{url}` in it stands for the address itself.
    pub body: String,
}

/// A request that came, and what it was answered.
pub type Received = (Request, Response);

#[derive(Debug)]
struct Address {
    answer: Answer,
    received: Vec<Received>,
    /// The trial that it was made for.
    of: String,
}

#[derive(Debug)]
struct Shared {
    base: String,
    addresses: Mutex<HashMap<String, Address>>,
    came: Notify,
    /// How it is known that the server can come.
    reached: OnceLock<String>,
}

/// A bound listener. Dropping it closes it.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    /// How long a request is waited for.
    pub wait: Duration,
    serving: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Listener {
    /// Binds it. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be had; what to do.
    pub async fn bind(section: &target::Listener) -> Result<Listener, String> {
        let cannot = |error: std::io::Error| {
            format!(
                "the listener cannot be opened at {}: {error}\n  = help: give `listener.listen` another address or port",
                section.listen
            )
        };
        let socket = TcpListener::bind(section.listen).await.map_err(cannot)?;
        let bound: SocketAddr = socket.local_addr().map_err(cannot)?;
        let shared =
            Arc::new(Shared { base: section.base(bound), addresses: Mutex::default(), came: Notify::new(), reached: OnceLock::new() });
        if section.proven {
            // Nothing else can have set it.
            let _ = shared.reached.set("the target file says so (`listener.proven`)".into());
        }
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It ends with the run; what cannot be accepted is not received.
            let _ = axum::serve(socket, router).await;
        });
        Ok(Listener { shared, wait: section.wait, serving })
    }

    /// A new address for a trial, with what it answers.
    pub fn open(&self, trial: &str, answer: Answer) -> String {
        let token = eval::random(32);
        let url = format!("{}/{token}", self.shared.base);
        let body = answer.body.replace("{url}", &url);
        let address = Address { answer: Answer { body, ..answer }, received: Vec::new(), of: trial.to_owned() };
        self.shared.addresses().insert(token, address);
        url
    }

    /// How it is known that the server can come here; None: it is not.
    pub fn reached(&self) -> Option<&str> {
        self.shared.reached.get().map(String::as_str)
    }

    /// What the server is given.
    pub fn base(&self) -> &str {
        &self.shared.base
    }

    /// Who came to an address, once somebody has, or the time is over.
    pub async fn requests(&self, url: &str, within: Duration) -> Vec<Received> {
        let token = url.strip_prefix(&self.shared.base).and_then(token_of).unwrap_or_default().to_owned();
        let until = Instant::now() + within;
        loop {
            let came = self.shared.came.notified();
            let received = self.shared.addresses().get(&token).map(|address| address.received.clone()).unwrap_or_default();
            let left = until.saturating_duration_since(Instant::now());
            if !received.is_empty() || left.is_zero() || tokio::time::timeout(left, came).await.is_err() {
                // Whoever came in the last moment came.
                return match self.shared.addresses().get(&token) {
                    Some(address) => address.received.clone(),
                    None => received,
                };
            }
        }
    }
}

impl Engine {
    /// Lets the server's own requests come to a listener.
    #[must_use]
    pub fn with_listener(mut self, listener: Option<Listener>) -> Engine {
        self.listener = listener;
        self
    }

    /// Where the server's own requests come.
    pub fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }
}

impl RunningTrial<'_> {
    /// Notes whose answers a step has sent on, addresses of the listener among them.
    pub(super) fn tell(&mut self, planned: &PlannedStep, outcome: Outcome) {
        if !matches!(outcome, Outcome::NotSent | Outcome::Impossible) {
            self.told.extend(answers_used(planned).map(ToOwned::to_owned));
        }
    }

    /// Whether something was sent with an answer that this step uses as well.
    pub fn was_told(&self, planned: &PlannedStep) -> bool {
        answers_used(planned).any(|step| self.told.contains(step))
    }
}

/// The steps whose answers a step uses.
fn answers_used(planned: &PlannedStep) -> impl Iterator<Item = &str> {
    planned.references().into_iter().filter_map(|reference| match reference {
        Reference::Field { step, .. } => Some(step.as_str()),
        _ => None,
    })
}

impl Shared {
    fn addresses(&self) -> MutexGuard<'_, HashMap<String, Address>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first segment of a path.
fn token_of(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split(['/', '?', '#']).next()
}

/// Answers a request, and keeps it where its address is one of ours.
async fn receive(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Answered {
    let (parts, body) = request.into_parts();
    // The address may have a path before ours, where something in front of the listener has left it there.
    let path = parts.uri.path().to_owned();
    let token = path.split('/').find(|segment| shared.addresses().contains_key(*segment)).map(ToOwned::to_owned);
    let Some(token) = token else { return answered(404, &[], String::new()) };
    let body = tokio::time::timeout(BODY_TIME, to_bytes(body, MOST_BODY)).await;
    // A body that is too long or too slow is still a request that came.
    let body = body.ok().and_then(Result::ok).map(|bytes| bytes.to_vec()).unwrap_or_default();
    let came = recorded(&shared.base, &path, &token, &parts, body);
    let answer = {
        let mut addresses = shared.addresses();
        let Some(address) = addresses.get_mut(&token) else { return answered(404, &[], String::new()) };
        let answer = address.answer.clone();
        let response = Response {
            status: answer.status,
            headers: answer.headers.clone(),
            body: answer.body.clone().into_bytes(),
            ..Response::default()
        };
        // The first that comes decides.
        let _ = shared.reached.set(format!("it came to an address of {}", address.of));
        if address.received.len() < MOST_REQUESTS {
            address.received.push((came, response));
        }
        answer
    };
    shared.came.notify_waiters();
    answered(answer.status, &answer.headers, answer.body)
}

/// The request as evidence, with the address as the server was given it.
fn recorded(base: &str, path: &str, token: &str, parts: &Parts, body: Vec<u8>) -> Request {
    let rest = path.split_once(token).map_or("", |(_, rest)| rest);
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Request {
        method: parts.method.to_string(),
        url: format!("{base}/{token}{rest}{query}"),
        headers: headers.collect(),
        body: (!body.is_empty()).then_some(body),
        ..Request::default()
    }
}

fn answered(status: u16, headers: &[(String, String)], body: String) -> Answered {
    let builder = headers.iter().fold(axum::http::Response::builder().status(status), |builder, (name, value)| builder.header(name, value));
    // A status or a header that is none was written by a scenario: what cannot be said is said as an error.
    builder.body(Body::from(body)).unwrap_or_else(|_| {
        let mut response = axum::http::Response::new(Body::empty());
        *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn get(address: &str, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nx-test: 1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it takes a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("it answers");
        text
    }

    #[tokio::test]
    async fn what_comes_is_answered_and_kept() {
        let listener = Listener::bind(&target::Listener::on_loopback()).await.expect("a free port");
        let body = "{\"client_id\":\"{url}\"}".to_owned();
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let url = listener.open("trial 1", Answer { status: 200, headers, body });
        let other = listener.open("trial 2", Answer { status: 302, ..Answer::default() });
        let host = listener.base().strip_prefix("http://").expect("plain").to_owned();
        let path = url.strip_prefix(listener.base()).expect("ours").to_owned();

        assert!(get(&host, "/nobody").await.starts_with("HTTP/1.0 404"));
        assert_eq!(listener.reached(), None);
        assert!(listener.requests(&url, Duration::ZERO).await.is_empty());

        let answer = get(&host, &format!("{path}/jku?a=b")).await;
        assert!(answer.ends_with(&format!("{{\"client_id\":\"{url}\"}}")), "{answer}");
        let came = listener.requests(&url, Duration::ZERO).await;
        let (request, response) = came.first().expect("it came");
        assert_eq!((request.url.as_str(), response.status), (format!("{url}/jku?a=b").as_str(), 200));
        assert!(request.headers.contains(&("x-test".to_owned(), "1".to_owned())));
        assert!(listener.requests(&other, Duration::ZERO).await.is_empty());
        assert_eq!(listener.reached(), Some("it came to an address of trial 1"));
    }

    #[tokio::test]
    async fn a_request_is_waited_for() {
        let listener = Arc::new(Listener::bind(&target::Listener::on_loopback()).await.expect("a free port"));
        let url = listener.open("trial", Answer { status: 204, ..Answer::default() });
        let (own, asked) = (Arc::clone(&listener), url.clone());
        let waiting = tokio::spawn(async move { own.requests(&asked, Duration::from_secs(60)).await.len() });
        let host = listener.base().strip_prefix("http://").expect("plain").to_owned();
        get(&host, url.strip_prefix(listener.base()).expect("ours")).await;
        assert_eq!(waiting.await.expect("it ends"), 1);
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told() {
        let first = Listener::bind(&target::Listener::on_loopback()).await.expect("a free port");
        let listen = first.base().strip_prefix("http://").and_then(|host| host.parse().ok()).expect("an address");
        let second = Listener::bind(&target::Listener { listen, ..target::Listener::on_loopback() }).await;
        assert!(second.is_err_and(|why| why.contains("the listener cannot be opened at 127.0.0.1:")));
    }
}
