//! The HTTP layer: sends exactly what it is given, follows nothing, keeps no cookies, and puts a limit on everything that
//! a hostile server could make endless.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use url::Url;

use crate::target::{Certificate, Limits, Target, is_of, origin, origin_of};
use crate::wire;

use super::pool::Pool;
use super::{raw, tls};

/// A request as bytes will show it. Header names and values go out as they stand.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// Absolute, and sent byte for byte.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    /// The TLS certificate that the connection shows.
    pub shows: Shows,
}

/// Whose TLS certificate a connection shows (RFC 8705), by client id. Where the target file has none for that client: none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shows {
    #[default]
    Nothing,
    CertificateOf(String),
    /// The attacker's own, which says the same as that client's.
    LikenessOf(String),
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
    /// The body as a JSON object, once somebody asked for it: outcome, shape and fields are all read off it.
    pub(super) json: OnceLock<Option<Map<String, Value>>>,
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

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        wire::text(&self.body)
    }

    /// The body as a JSON object, whatever its media type says.
    pub fn object(&self) -> Option<&Map<String, Value>> {
        let read = || match serde_json::from_slice(&self.body).ok()? {
            Value::Object(members) => Some(members),
            _ => None,
        };
        self.json.get_or_init(read).as_ref()
    }

    /// 429 (RFC 6585 §4), or 503 that says when to come back.
    pub fn is_throttled(&self) -> bool {
        self.status == 429 || self.status == 503 && self.header("retry-after").is_some()
    }

    /// How long the server asks to wait (RFC 9110 §10.2.3): a number of seconds, or a date.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or(Duration::ZERO))
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
    /// The peer refused the certificate that was shown, or that none was, with this TLS alert.
    Alert(String),
    /// The address is outside the hosts that the target file declares: it was not contacted.
    Outside(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Unreachable(why) => write!(f, "no connection: {why}"),
            Failure::TimedOut => f.write_str("no answer in time"),
            Failure::Alert(alert) => write!(f, "the server refused the certificate with the TLS alert {alert}"),
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
    bare: Pool,
    /// Those that show a client certificate, by client id.
    certified: BTreeMap<String, Certified>,
    limits: Limits,
    origins: Mutex<BTreeSet<String>>,
    in_flight: Semaphore,
    /// The earliest moment of the next request, and the rate.
    pace: tokio::sync::Mutex<Pace>,
    /// The run ends: nobody waits for his turn any more.
    hurry: tokio::sync::watch::Sender<bool>,
    spent: Mutex<Spent>,
    /// Seconds by which the server's clock is ahead: the smallest difference that an answer showed.
    clock: Mutex<Option<i64>>,
    /// See [`Target::clock_header`].
    clock_header: Option<&'static str>,
}

/// The connections of a client with a certificate, and of who made one like it: never the same ones.
#[derive(Debug)]
struct Certified {
    own: Pool,
    /// Made when it is used first: most runs never need it.
    alike: OnceLock<Result<Pool, String>>,
    certificate: Certificate,
}

impl Certified {
    fn alike(&self, limits: Limits) -> Result<&Pool, Failure> {
        let make = || {
            let config = self.own.tls.as_deref().ok_or("no TLS set-up for this target")?;
            Pool::certified(limits, config, self.certificate.alike()?.certified())
        };
        self.alike.get_or_init(make).as_ref().map_err(|why| Failure::Unreachable(why.clone()))
    }
}

/// How fast requests may follow each other. A server that throttles makes it slower for the rest of the run.
#[derive(Debug)]
struct Pace {
    next: Instant,
    per_second: Option<f64>,
    /// Throttled answers in a row, by the path of the endpoint: each may have a limit of its own, and what another one answers says nothing of it.
    throttled: BTreeMap<String, u32>,
}

/// The pauses after answers that throttle and say no time, in seconds: the last one outlives the minute by which most limits count.
const PAUSES: [u64; 4] = [1, 4, 16, 64];

/// The least rate that throttled answers make of a greater one, in requests in a second.
const LEAST_RATE: f64 = 0.25;

impl Pace {
    fn new(per_second: Option<f64>) -> Pace {
        Pace { next: Instant::now(), per_second, throttled: BTreeMap::new() }
    }

    /// Slows down after an answer that says "too many requests" (RFC 6585 §4). A longer pause than the target file allows is none: the run ends.
    fn slow_down(&mut self, path: &str, asked: Option<Duration>, longest: Duration) {
        let before = self.throttled.entry(path.to_owned()).or_default();
        let own = PAUSES.get(*before as usize).or(PAUSES.last()).map_or(Duration::ZERO, |seconds| Duration::from_secs(*seconds));
        *before += 1;
        if asked.is_none_or(|asked| asked <= longest) {
            self.next = self.next.max(Instant::now() + asked.unwrap_or(own).min(longest));
        }
        self.per_second = self.per_second.map(|rate| (rate / 2.0).max(LEAST_RATE.min(rate)));
    }
}

/// What the requests of a run cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    pub requests: u64,
    /// Time in which the server had the word.
    pub waiting: Duration,
    /// Answers that said "too many requests".
    pub throttled: u64,
    /// The longest pause that such an answer asked for and that was not made, since the target file allows no such one.
    pub too_long: Option<Duration>,
}

impl Http {
    /// # Errors
    /// A certificate authority that is no PEM, or the TLS set-up failing.
    pub fn new(target: &Target) -> Result<Http, String> {
        // Several runs in one process share the provider: only the first call sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Without an https origin: reading the platform's roots would cost more than the whole run on a loopback target.
        let https = target.origins.iter().any(|o| o.starts_with("https:")) || target.ca.is_some() || target.insecure_tls;
        let tls = https.then(|| tls::config(target)).transpose()?;
        let mut certified = BTreeMap::new();
        for client in target.clients.values() {
            if let (Some(certificate), Some(config)) = (&client.certificate, &tls) {
                let own = Pool::certified(target.limits, config, certificate.certified())?;
                let certified_client = Certified { own, alike: OnceLock::new(), certificate: certificate.clone() };
                certified.insert(client.id.clone(), certified_client);
            }
        }
        Ok(Http {
            shared: Arc::new(Shared {
                bare: Pool::new(target.limits, tls)?,
                certified,
                limits: target.limits,
                origins: Mutex::new(target.origins.clone()),
                in_flight: Semaphore::new(target.limits.in_flight.max(1)),
                pace: tokio::sync::Mutex::new(Pace::new(target.limits.per_second)),
                hurry: tokio::sync::watch::Sender::new(false),
                spent: Mutex::new(Spent::default()),
                clock: Mutex::default(),
                clock_header: target.clock_header,
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
        Url::parse(url).is_ok_and(|url| self.reaches(&url))
    }

    /// The same of an address that has been read.
    pub fn reaches(&self, url: &Url) -> bool {
        self.shared.origins.lock().is_ok_and(|origins| origins.iter().any(|origin| is_of(url, origin)))
    }

    /// Every origin that may be contacted.
    pub fn origins(&self) -> Vec<String> {
        self.shared.origins.lock().map(|origins| origins.iter().cloned().collect()).unwrap_or_default()
    }

    /// Counts requests that something else sent for this run.
    pub fn also_sent(&self, requests: u64) {
        self.count(requests, Duration::ZERO);
    }

    pub fn spent(&self) -> Spent {
        self.shared.spent.lock().map(|s| *s).unwrap_or_default()
    }

    /// Sends one request. What a correct library would rewrite goes through the raw driver.
    ///
    /// # Errors
    /// Why no answer came; an address outside the target's hosts is never contacted.
    pub async fn send(&self, request: &Request) -> Result<Response, Failure> {
        self.send_to(request, Url::parse(&request.url).ok().as_ref()).await
    }

    /// The same, where the address has been read already; None: it is no URL.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn send_to(&self, request: &Request, url: Option<&Url>) -> Result<Response, Failure> {
        let url = self.inside(request, url)?;
        let _permit = self.shared.in_flight.acquire().await;
        self.pace().await;
        let moved = self.at_its_time(request);
        let request = moved.as_ref();
        let start = Instant::now();
        let pool = self.pool(request)?;
        let result = if url.as_str() == request.url {
            pool.send(request, url).await
        } else {
            // The pool would send the address as it was resolved here, not as it stands.
            raw::send(request, pool.tls.as_ref(), &self.shared.limits).await
        };
        self.count(1, start.elapsed());
        if let Ok(response) = &result {
            self.listen(url, response).await;
            self.look_at_clock(response);
        }
        result.map(|response| Response { elapsed: start.elapsed(), ..response })
    }

    /// The request with the time of its trial, where the target goes by that.
    fn at_its_time<'q>(&self, request: &'q Request) -> Cow<'q, Request> {
        let later = super::clock::later();
        match self.shared.clock_header {
            Some(name) if !later.is_zero() => {
                let mut request = request.clone();
                request.headers.push((name.to_owned(), later.as_secs().to_string()));
                Cow::Owned(request)
            }
            _ => Cow::Borrowed(request),
        }
    }

    /// Seconds by which the server's clock is ahead of this machine's, as far as its answers said it.
    pub fn clock_ahead(&self) -> Option<i64> {
        self.shared.clock.lock().ok().and_then(|clock| *clock)
    }

    fn look_at_clock(&self, response: &Response) {
        if let Ok(mut clock) = self.shared.clock.lock()
            && clock.is_none_or(|known| known.abs() > 1)
            && let Some(seen) = super::clock::ahead(response)
            && clock.is_none_or(|known| seen.abs() < known.abs())
        {
            *clock = Some(seen);
        }
    }

    /// # Errors
    /// The certificate that it is to show cannot be made.
    fn pool(&self, request: &Request) -> Result<&Pool, Failure> {
        let of = |client: &String| self.shared.certified.get(client);
        match &request.shows {
            Shows::Nothing => Ok(&self.shared.bare),
            Shows::CertificateOf(client) => Ok(of(client).map_or(&self.shared.bare, |certified| &certified.own)),
            Shows::LikenessOf(client) => of(client).map_or(Ok(&self.shared.bare), |certified| certified.alike(self.shared.limits)),
        }
    }

    /// Whether a server has asked for the certificate of such a request. One that never did has not seen it.
    pub fn was_asked(&self, request: &Request) -> bool {
        self.pool(request).is_ok_and(|pool| pool.asked.load(Ordering::Relaxed))
    }

    /// Releases requests at the same moment: every connection is open and has everything but the last byte before the
    /// first last byte goes out.
    ///
    /// # Errors
    /// One entry for each request.
    pub async fn burst(&self, requests: &[Request]) -> Vec<Result<Response, Failure>> {
        let outside = |request: &Request| self.inside(request, Url::parse(&request.url).ok().as_ref()).err();
        if let Some(failure) = requests.iter().find_map(outside) {
            return vec![Err(failure)];
        }
        // A burst spends the turns of all its requests before it is released.
        for _ in requests {
            self.pace().await;
        }
        let start = Instant::now();
        let mut work = Vec::new();
        for request in requests {
            match self.pool(request) {
                Ok(pool) if work.is_empty() => {
                    pool.close_idle();
                    work.push((self.at_its_time(request).into_owned(), pool.tls.clone()));
                }
                Ok(pool) => work.push((self.at_its_time(request).into_owned(), pool.tls.clone())),
                Err(failure) => return vec![Err(failure)],
            }
        }
        let answers = raw::burst(work, &self.shared.limits).await;
        self.count(requests.len() as u64, start.elapsed());
        answers
    }

    /// The address of a request, where it is inside the target's hosts.
    fn inside<'u>(&self, request: &Request, url: Option<&'u Url>) -> Result<&'u Url, Failure> {
        let outside = || Failure::Outside(url.and_then(origin_of).unwrap_or_else(|| request.url.clone()));
        url.filter(|url| self.reaches(url)).ok_or_else(outside)
    }

    fn count(&self, requests: u64, waiting: Duration) {
        if let Ok(mut spent) = self.shared.spent.lock() {
            spent.requests += requests;
            spent.waiting += waiting;
        }
    }

    /// Ends every pause, now and from now on: the run is over, and only what is under way is still sent.
    pub fn hurry(&self) {
        self.shared.hurry.send_replace(true);
    }

    /// Waits for this request's turn where there is a rate, or where the server asked for a pause.
    async fn pace(&self) {
        let mut pace = self.shared.pace.lock().await;
        let now = Instant::now();
        let turn = pace.next.max(now);
        if let Some(rate) = pace.per_second {
            pace.next = turn + Duration::from_secs_f64(1.0 / rate);
        }
        drop(pace);
        if turn > now {
            let mut hurry = self.shared.hurry.subscribe();
            tokio::select! {
                () = tokio::time::sleep_until(turn.into()) => {}
                _ = hurry.wait_for(|hurry| *hurry) => {}
            }
        }
    }

    /// Slows down when the server says that it is asked too often.
    async fn listen(&self, url: &Url, response: &Response) {
        let mut pace = self.shared.pace.lock().await;
        if response.is_throttled() {
            let (asked, longest) = (response.retry_after(), self.shared.limits.longest_pause);
            pace.slow_down(url.path(), asked, longest);
            if let Ok(mut spent) = self.shared.spent.lock() {
                spent.throttled += 1;
                spent.too_long = spent.too_long.max(asked.filter(|asked| *asked > longest));
            }
        } else {
            pace.throttled.remove(url.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(status: u16, retry_after: &str) -> Response {
        Response { status, headers: vec![("Retry-After".into(), retry_after.into())], ..Response::default() }
    }

    #[test]
    fn when_to_come_back() {
        assert_eq!(throttled(429, "7").retry_after(), Some(Duration::from_secs(7)));
        let later = throttled(503, "Fri, 31 Dec 2100 23:59:59 GMT");
        assert!(later.is_throttled() && later.retry_after().is_some_and(|after| after > Duration::from_secs(3600)));
        assert_eq!(throttled(429, "Fri, 31 Dec 1999 23:59:59 GMT").retry_after(), Some(Duration::ZERO));
        assert_eq!(throttled(429, "soon").retry_after(), None);
        assert!(!Response { status: 503, ..Response::default() }.is_throttled());
    }

    #[test]
    fn each_throttled_answer_makes_the_run_slower() {
        let mut pace = Pace::new(Some(10.0));
        let start = Instant::now();
        let after = |pace: &Pace| pace.next.duration_since(start).as_secs_f64().round();
        let longest = Duration::from_secs(120);
        pace.slow_down("/token", Some(Duration::from_secs(9)), longest);
        assert_eq!((pace.per_second, after(&pace)), (Some(5.0), 9.0));
        pace.slow_down("/token", Some(Duration::from_secs(86400)), longest);
        assert_eq!(after(&pace), 9.0, "a pause that is not made ends the run");
        for _ in 0..9 {
            pace.slow_down("/token", None, longest);
        }
        assert_eq!((pace.per_second, after(&pace)), (Some(LEAST_RATE), 64.0), "a minute is outlived");
        let mut free = Pace::new(None);
        free.slow_down("/register", None, longest);
        assert_eq!((free.per_second, after(&free)), (None, 1.0), "without a rate there are pauses alone");
        free.slow_down("/token", None, longest);
        assert_eq!(after(&free), 1.0, "each endpoint begins with the first pause");
        let mut slow = Pace::new(Some(0.1));
        slow.slow_down("/token", None, longest);
        assert_eq!(slow.per_second, Some(0.1), "no answer makes it faster");
    }
}
