//! What several tests need: the lab as a target, a run of chosen scenarios, and a proxy that misbehaves.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod chromium;
pub mod hostile;
pub mod many;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantproof::cli::inputs;
use grantproof::lab::{Flaw, Lab, LabConfig};
use grantproof::model::report::Report;
use grantproof::model::verdict::Verdict;
use grantproof::report::build;
use grantproof::report::gate::Gate;
use grantproof::run::{Options, Stop, run};
use grantproof::scenario::catalogue::Catalogue;
use grantproof::target::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub fn catalogue() -> Catalogue {
    std::mem::ManuallyDrop::into_inner(inputs::catalogue(None).unwrap_or_else(|e| panic!("{}", e.message)))
}

pub async fn lab(flaws: &[Flaw]) -> (Lab, Target) {
    let flaws: BTreeSet<Flaw> = flaws.iter().copied().collect();
    let lab = grantproof::lab::start(LabConfig { flaws: flaws.clone(), movable_clock: true, ..LabConfig::default() }).await.expect("a lab");
    let mut target = inputs::lab_target(&lab, &flaws);
    // What throttles in these tests does so for ever, or is over at once.
    target.limits.longest_pause = Duration::from_millis(50);
    (lab, target)
}

/// Runs the scenarios whose id starts with one of the prefixes ("" is all).
pub async fn run_on(target: &Target, prefixes: &[&str]) -> Report {
    run_with(target, prefixes, &Options::default(), &Stop::default()).await
}

pub async fn run_with(target: &Target, prefixes: &[&str], options: &Options, stop: &Stop) -> Report {
    let catalogue = catalogue();
    let selected: Vec<_> = catalogue.scenarios.values().filter(|s| prefixes.iter().any(|p| s.id.starts_with(p))).collect();
    assert!(!selected.is_empty());
    let work = run(&catalogue, &selected, target, options, stop, &|_| {});
    let recording = tokio::time::timeout(Duration::from_secs(600), work).await.expect("the run ends");
    build::report(&catalogue, recording).expect("evidence in memory")
}

pub fn count(report: &Report, verdict: Verdict) -> usize {
    report.verdicts.iter().filter(|v| v.verdict == verdict).count()
}

/// Nothing is certain in this report, and the gate says that nothing could be tested.
pub fn assert_nothing_judged(report: &Report, what: &str, words: &[&str]) {
    let certain: Vec<_> = report.verdicts.iter().filter(|v| matches!(v.verdict, Verdict::Holds | Verdict::Broken)).map(|v| &v.id).collect();
    assert!(certain.is_empty(), "{what}: {certain:?} must not be judged");
    let fatal = report.fatal.as_deref().unwrap_or_else(|| panic!("{what}: not fatal"));
    for word in words {
        assert!(fatal.contains(word), "{what}: the message must say `{word}`, and says:\n{fatal}");
    }
    assert_eq!(Gate::default().outcome(report).exit_code, 3, "{what}");
}

/// What the proxy does instead of forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// The connection is cut without an answer.
    Cut,
    /// No answer, ever.
    Hang,
    /// Bytes that are no HTTP.
    Garbage,
    /// A body without end.
    Endless,
    /// A head without end.
    EndlessHead,
    /// A redirect to itself.
    Loop,
    /// This status with a short page.
    Status(u16),
    /// 200 with a body that is neither JSON nor a form.
    Gibberish,
    /// This answer, head and body.
    Answer(&'static str),
    /// Forwarded without its cookies, as if the session had ended.
    Forget,
}

/// When the proxy misbehaves.
pub enum When {
    /// From this request on.
    From(usize),
    /// Requests of these numbers, the last one apart.
    Between(usize, usize),
    /// Whenever a request lacks this text.
    Without(&'static str),
    /// Whenever a request has it.
    With(&'static str),
    /// Once, at the next request after one that holds this text.
    After(&'static str, std::sync::atomic::AtomicBool),
}

impl When {
    fn misbehaves(&self, number: usize, wanted: bool, request: &str) -> bool {
        match self {
            When::From(first) => number >= *first,
            When::Between(first, last) => (*first..*last).contains(&number),
            When::Without(text) => !request.contains(text),
            When::With(text) => request.contains(text),
            When::After(text, armed) => {
                let was = wanted && armed.swap(false, Ordering::SeqCst);
                if request.contains(text) {
                    armed.store(true, Ordering::SeqCst);
                }
                was
            }
        }
    }
}

/// A proxy in front of a server on loopback that misbehaves from the given request on.
pub struct Proxy {
    pub base: String,
    pub requests: Arc<AtomicUsize>,
    /// Every request as it arrived.
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub async fn start(upstream: &str, when: When, path: &'static str, mischief: Mischief) -> Proxy {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            let when = Arc::new(when);
            while let Ok((stream, _)) = listener.accept().await {
                let (upstream, counted, log, when) = (upstream.clone(), Arc::clone(&counted), Arc::clone(&log), Arc::clone(&when));
                tokio::spawn(async move {
                    let _ = serve(stream, &upstream, &counted, &log, &when, path, mischief).await;
                });
            }
        });
        Proxy { base, requests, seen }
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: &str,
    counted: &AtomicUsize,
    log: &Mutex<Vec<String>>,
    when: &When,
    path: &str,
    mischief: Mischief,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head_end = loop {
        if let Some(at) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
    let length = head
        .lines()
        .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse::<usize>().unwrap_or(0)))
        .unwrap_or(0);
    while request.len() < head_end + length {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    log.lock().expect("the log").push(String::from_utf8_lossy(&request).into_owned());
    let wanted = head.split(' ').nth(1).is_some_and(|target| target.starts_with(path));
    let number = if wanted { counted.fetch_add(1, Ordering::SeqCst) } else { 0 };
    let armed = when.misbehaves(number, wanted, &String::from_utf8_lossy(&request));
    let forget = wanted && armed && mischief == Mischief::Forget;
    if wanted && armed && !forget {
        return misbehave(client, mischief).await;
    }
    let mut server = TcpStream::connect(upstream).await?;
    let (first, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
    let kept = rest.split_inclusive("\r\n").filter(|l| !forget || !l.to_ascii_lowercase().starts_with("cookie:"));
    let rest: String = kept.collect();
    let mut forwarded = format!("{first}\r\nconnection: close\r\n{rest}").into_bytes();
    forwarded.extend_from_slice(&request[head_end..]);
    server.write_all(&forwarded).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    client.write_all(&answer).await?;
    client.shutdown().await
}

async fn misbehave(mut client: TcpStream, mischief: Mischief) -> std::io::Result<()> {
    match mischief {
        Mischief::Cut | Mischief::Forget => {}
        Mischief::Hang => std::future::pending::<()>().await,
        Mischief::Garbage => client.write_all(b"\x00\x01 this is no HTTP\r\n\r\n").await?,
        Mischief::Endless => {
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n").await?;
            // Bounded, so that a reader without a limit fails the test by its size and does not hang it.
            for _ in 0..4096 {
                client.write_all(&[b'x'; 16384]).await?;
            }
        }
        Mischief::EndlessHead => {
            client.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            for number in 0..100_000 {
                client.write_all(format!("x-{number}: y\r\n").as_bytes()).await?;
            }
        }
        Mischief::Loop => {
            client.write_all(b"HTTP/1.1 302 Found\r\nlocation: ?again=1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?
        }
        Mischief::Status(status) => {
            let body = "<html><title>no</title><p>no";
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            client.write_all(text.as_bytes()).await?;
        }
        Mischief::Answer(answer) => client.write_all(answer.as_bytes()).await?,
        Mischief::Gibberish => {
            let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\nconnection: close\r\n\r\n{\"a\":";
            client.write_all(text.as_bytes()).await?;
        }
    }
    client.shutdown().await
}

/// The lab behind a proxy: its authorization, token and userinfo endpoints go through it.
pub async fn behind(target: &Target, from: usize, path: &'static str, mischief: Mischief) -> (Target, Proxy) {
    behind_when(target, When::From(from), path, mischief).await
}

pub async fn behind_when(target: &Target, when: When, path: &'static str, mischief: Mischief) -> (Target, Proxy) {
    let proxy = Proxy::start(&target.issuer, when, path, mischief).await;
    let mut target = target.clone();
    target.endpoints.authorization = Some(format!("{}/authorize", proxy.base));
    target.endpoints.token = Some(format!("{}/token", proxy.base));
    target.endpoints.userinfo = Some(format!("{}/userinfo", proxy.base));
    target.origins.insert(grantproof::target::origin(&proxy.base).expect("an origin"));
    target.limits.timeout = Duration::from_millis(500);
    (target, proxy)
}
