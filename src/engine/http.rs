//! The HTTP layer: sends exactly what it is given, follows nothing, keeps no cookies, and puts a limit on everything that
//! a hostile server could make endless. The only file that names reqwest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use url::Url;

use crate::target::{Limits, Target, origin, origin_of};

use super::raw;

/// A request as bytes will show it. Header names and values go out as they stand.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// Absolute, and sent byte for byte.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// An answer. Redirects are answers like any other.
#[derive(Debug, Clone, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body passed the limit and was left there.
    pub truncated: bool,
    /// Between the last byte out and the last byte in.
    pub elapsed: Duration,
}

impl Response {
    /// The first header of a name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The media type, without parameters, in small letters.
    pub fn media(&self) -> String {
        self.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused, unknown name, TLS.
    Unreachable(String),
    TimedOut,
    /// The connection was cut, or what came is no HTTP.
    Broken(String),
    /// The address is outside the hosts that the target file declares: it was not contacted.
    Outside(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Unreachable(why) => write!(f, "no connection: {why}"),
            Failure::TimedOut => f.write_str("no answer in time"),
            Failure::Broken(why) => write!(f, "the connection broke: {why}"),
            Failure::Outside(origin) => write!(f, "{origin} is not among the target's hosts, so it was not contacted"),
        }
    }
}

/// One polite client for one target. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: reqwest::Client,
    tls: Option<Arc<rustls::ClientConfig>>,
    limits: Limits,
    origins: Mutex<BTreeSet<String>>,
    in_flight: Semaphore,
    /// The earliest moment of the next request, where there is a rate.
    next: tokio::sync::Mutex<Instant>,
    spent: Mutex<Spent>,
}

/// What the requests of a run cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    pub requests: u64,
    /// Time in which the server had the word.
    pub waiting: Duration,
}

impl Http {
    /// # Errors
    /// A certificate authority that is no PEM, or the TLS set-up failing.
    pub fn new(target: &Target) -> Result<Http, String> {
        // Several runs in one process share the provider: only the first call sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = if target.origins.iter().any(|o| o.starts_with("https:")) || target.ca.is_some() {
            Some(Arc::new(tls_config(target)?))
        } else {
            None
        };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(target.limits.timeout)
            .pool_max_idle_per_host(target.limits.in_flight);
        builder = match &tls {
            Some(config) => builder.tls_backend_preconfigured((**config).clone()),
            // No https origin: reading the platform's roots would cost more than the whole run on a loopback target.
            None => builder.tls_certs_only(std::iter::empty::<reqwest::Certificate>()),
        };
        let client = builder.build().map_err(|e| format!("the HTTP client cannot be set up: {e}"))?;
        Ok(Http {
            shared: Arc::new(Shared {
                client,
                tls,
                limits: target.limits,
                origins: Mutex::new(target.origins.clone()),
                in_flight: Semaphore::new(target.limits.in_flight.max(1)),
                next: tokio::sync::Mutex::new(Instant::now()),
                spent: Mutex::new(Spent::default()),
            }),
        })
    }

    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Declares one more origin that may be contacted.
    pub fn allow(&self, url: &str) {
        if let (Some(origin), Ok(mut origins)) = (origin(url), self.shared.origins.lock()) {
            origins.insert(origin);
        }
    }

    /// Whether a URL is inside the target's hosts.
    pub fn allows(&self, url: &str) -> bool {
        origin(url).is_some_and(|origin| self.shared.origins.lock().is_ok_and(|origins| origins.contains(&origin)))
    }

    pub fn spent(&self) -> Spent {
        self.shared.spent.lock().map(|s| *s).unwrap_or_default()
    }

    /// Sends one request. What reqwest would rewrite goes through the raw driver.
    ///
    /// # Errors
    /// Why no answer came; an address outside the target's hosts is never contacted.
    pub async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let url = self.inside(request)?;
        let _permit = self.shared.in_flight.acquire().await;
        self.pace().await;
        let start = Instant::now();
        let result = if url.as_str() == request.url {
            self.normal(request, url).await
        } else {
            // reqwest would send the address as it was resolved here, not as it stands.
            raw::send(request, self.shared.tls.as_ref(), &self.shared.limits).await
        };
        self.count(1, start.elapsed());
        result.map(|response| Response { elapsed: start.elapsed(), ..response })
    }

    /// Releases identical requests at the same moment: every connection is open and has everything but the last byte
    /// before the first last byte goes out.
    ///
    /// # Errors
    /// One entry for each request.
    pub async fn burst(&self, request: &Request, count: u32) -> Vec<Result<Response, Failure>> {
        if let Err(failure) = self.inside(request) {
            return vec![Err(failure)];
        }
        // A burst spends the turns of all its requests before it is released.
        for _ in 0..count {
            self.pace().await;
        }
        let start = Instant::now();
        let answers = raw::burst(request, count, self.shared.tls.as_ref(), &self.shared.limits).await;
        self.count(u64::from(count), start.elapsed());
        answers
    }

    /// The address of a request, where it is inside the target's hosts.
    fn inside(&self, request: &Request) -> Result<Url, Failure> {
        let url = Url::parse(&request.url).ok();
        let origin = url.as_ref().and_then(origin_of);
        let inside = origin.as_ref().is_some_and(|origin| self.shared.origins.lock().is_ok_and(|origins| origins.contains(origin)));
        url.filter(|_| inside).ok_or_else(|| Failure::Outside(origin.unwrap_or_else(|| request.url.clone())))
    }

    fn count(&self, requests: u64, waiting: Duration) {
        if let Ok(mut spent) = self.shared.spent.lock() {
            spent.requests += requests;
            spent.waiting += waiting;
        }
    }

    /// Waits for this request's turn where the target has a rate.
    async fn pace(&self) {
        let Some(rate) = self.shared.limits.per_second else {
            return;
        };
        let mut next = self.shared.next.lock().await;
        let now = Instant::now();
        let turn = (*next).max(now);
        *next = turn + Duration::from_secs(1) / rate.max(1);
        drop(next);
        tokio::time::sleep_until(turn.into()).await;
    }

    async fn normal(&self, request: &Request, url: Url) -> Result<Response, Failure> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|e| Failure::Broken(e.to_string()))?;
        let mut builder = self.shared.client.request(method, url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value.as_bytes());
        }
        if let Some(body) = &request.body {
            if body.is_empty() {
                // A POST with an empty body says so (RFC 9110 §8.6); without the field some servers see no form at all.
                builder = builder.header("content-length", "0");
            }
            builder = builder.body(body.clone());
        }
        let mut answer = builder.send().await.map_err(|e| failure(&e))?;
        let mut response = Response {
            status: answer.status().as_u16(),
            headers: answer
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            ..Response::default()
        };
        while let Some(chunk) = answer.chunk().await.map_err(|e| failure(&e))? {
            let room = self.shared.limits.max_body.saturating_sub(response.body.len());
            response.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                response.truncated = true;
                break;
            }
        }
        Ok(response)
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    if error.is_timeout() {
        Failure::TimedOut
    } else if error.is_connect() {
        Failure::Unreachable(why)
    } else {
        Failure::Broken(why)
    }
}

/// One TLS set-up for both drivers: the platform's roots, or only the target's own authority where it names one.
fn tls_config(target: &Target) -> Result<rustls::ClientConfig, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    match &target.ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| format!("tls.ca is no PEM certificate: {e}"))?;
                roots.add(certificate).map_err(|e| format!("tls.ca: {e}"))?;
            }
            if roots.is_empty() {
                return Err("tls.ca holds no certificate".into());
            }
        }
        None => {
            let platform = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(platform.certs);
            if roots.is_empty() {
                return Err("this machine has no certificate authorities; name one with tls.ca".into());
            }
        }
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
