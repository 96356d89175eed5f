//! HAR 1.2: every exchange of a run, for the network panel of a browser's developer tools and other viewers.
//!
//! Secrets are the marks that they are in the report. Exchanges are given in the order of the report: controls, negative
//! controls, attacks. The report keeps no clock time of each, so that each one starts when the one before it had ended, from the
//! start of the run on. One case is in memory at a time.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::observation::{Exchange, Outcome, StepObservation, Trial};
use crate::model::report::Report;
use crate::model::verdict::Verdict;

const TIMES: &str = "startedDateTime is the start of the run and the time that the server took before; the report keeps no clock time of each exchange. \
                     Secrets are marks: a kind and the beginning of a digest.";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    started_date_time: String,
    id: String,
    title: String,
    page_timings: PageTimings,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageTimings {
    on_content_load: i8,
    on_load: i8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'e> {
    pageref: &'e str,
    started_date_time: String,
    /// Milliseconds.
    time: f64,
    request: Request<'e>,
    response: Response<'e>,
    cache: Cache,
    timings: Timings,
    #[serde(rename = "_grantproof")]
    about: About<'e>,
}

#[derive(Serialize)]
struct Cache {}

#[derive(Serialize)]
struct Timings {
    send: u8,
    wait: f64,
    receive: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'e> {
    method: &'e str,
    url: &'e str,
    http_version: &'static str,
    cookies: [(); 0],
    headers: Vec<Pair<'e>>,
    query_string: Vec<Pair<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData<'e>>,
    headers_size: i8,
    body_size: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostData<'e> {
    mime_type: &'e str,
    text: &'e str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'e> {
    status: u16,
    status_text: &'static str,
    http_version: &'static str,
    cookies: [(); 0],
    headers: Vec<Pair<'e>>,
    content: Content<'e>,
    #[serde(rename = "redirectURL")]
    redirect_url: &'e str,
    headers_size: i8,
    /// Unknown: the report keeps the beginning of long ones.
    body_size: i8,
    /// As Chromium has it.
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    error: Option<&'e str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'e> {
    size: usize,
    mime_type: &'e str,
    text: &'e str,
}

#[derive(Serialize)]
struct Pair<'e> {
    name: Cow<'e, str>,
    value: Cow<'e, str>,
}

/// Where in the report an entry is from.
#[derive(Serialize)]
struct About<'e> {
    target: &'e str,
    trial: &'e str,
    step: &'e str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    /// As it stands in the report, where viewers cannot parse that.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'e str>,
}

/// Which attack an entry is of; none of controls.
#[derive(Clone, Copy, Default)]
struct From<'r> {
    scenario: Option<&'r str>,
    variant: Option<&'r str>,
    verdict: Option<Verdict>,
}

/// Where entries go, and what the ones before came to.
struct Log<'o> {
    out: &'o mut dyn Write,
    pages: Vec<Page>,
    entries: usize,
    start: Timestamp,
    micros: u64,
    target: String,
    /// Titles name the target where there are several.
    several: bool,
}

/// One trial as a file of its own, while the run goes on; it ended at this moment.
///
/// # Errors
/// What the writer says.
pub fn trial(trial: &Trial, end: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let steps = || trial.steps.iter().chain(trial.proof.as_deref());
    let micros: u64 = steps().map(|s| s.slept_micros() + s.exchanges.iter().map(|e| e.server_micros).sum::<u64>()).sum();
    let start = end.checked_sub(SignedDuration::from_micros(i64::try_from(micros).unwrap_or(0))).unwrap_or(end);
    let mut log = Log::begin(out, env!("CARGO_PKG_VERSION"), false)?;
    log.start = start;
    log.trial(trial, From::default())?;
    log.end()
}

/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let version = reports.first().map_or(env!("CARGO_PKG_VERSION"), |r| r.run.version.as_str());
    let mut log = Log::begin(out, version, reports.len() != 1)?;
    for report in reports {
        log.report(report)?;
    }
    log.end()
}

impl<'o> Log<'o> {
    fn begin(out: &'o mut dyn Write, version: &str, several: bool) -> io::Result<Log<'o>> {
        let creator = json!({ "name": "grantproof", "version": version });
        write!(out, "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"comment\":{},\"entries\":[", Value::from(TIMES))?;
        Ok(Log { out, pages: Vec::new(), entries: 0, start: Timestamp::UNIX_EPOCH, micros: 0, target: String::new(), several })
    }

    fn end(self) -> io::Result<()> {
        let Log { out, pages, .. } = self;
        write!(out, "\n],\"pages\":")?;
        serde_json::to_writer(&mut *out, &pages).map_err(io::Error::other)?;
        out.write_all(b"}}\n")
    }
}

impl Log<'_> {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        self.start = report.run.started.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        self.micros = 0;
        self.target.clone_from(&report.target.name);
        for control in &report.controls {
            self.trial(control, From::default())?;
        }
        for negative in &report.negative_controls {
            let name = format!("negative control: {} {}", negative.kind.name(), negative.what);
            self.page(&name);
            self.step(&negative.answer, &name, From::default())?;
        }
        for verdict in &report.verdicts {
            for variant in &verdict.variants {
                let from = From { scenario: Some(&verdict.id), variant: Some(&variant.id), verdict: Some(variant.verdict) };
                for trial in variant.attempts.load()?.iter() {
                    self.trial(trial, from)?;
                }
            }
        }
        Ok(())
    }

    fn trial(&mut self, trial: &Trial, from: From<'_>) -> io::Result<()> {
        self.page(&trial.name);
        for step in trial.steps.iter().chain(trial.proof.as_deref()) {
            self.step(step, &trial.name, from)?;
        }
        Ok(())
    }

    fn now(&self) -> String {
        let after = SignedDuration::from_micros(i64::try_from(self.micros).unwrap_or(i64::MAX));
        // Viewers read four digits of a year; hours beyond them are nobody's run.
        let now = self.start.checked_add(after).unwrap_or(self.start);
        format!("{now:.6}")
    }

    fn page(&mut self, name: &str) {
        let title = if self.several { format!("{}: {name}", self.target) } else { name.to_owned() };
        let id = format!("page_{}", self.pages.len() + 1);
        let page_timings = PageTimings { on_content_load: -1, on_load: -1 };
        self.pages.push(Page { started_date_time: self.now(), id, title, page_timings });
    }

    fn step(&mut self, step: &StepObservation, trial: &str, from: From<'_>) -> io::Result<()> {
        self.micros = self.micros.saturating_add(step.slept_micros());
        for exchange in &step.exchanges {
            let millis = exchange.server_micros as f64 / 1e3;
            let url = uri(&exchange.url);
            let entry = Entry {
                pageref: self.pages.last().map_or("", |page| page.id.as_str()),
                started_date_time: self.now(),
                time: millis,
                request: request(exchange, &url),
                response: response(exchange),
                cache: Cache {},
                timings: Timings { send: 0, wait: millis, receive: 0 },
                about: About {
                    target: &self.target,
                    trial,
                    step: &step.step,
                    outcome: step.outcome,
                    scenario: from.scenario,
                    variant: from.variant,
                    verdict: from.verdict,
                    url: (url != exchange.url).then_some(exchange.url.as_str()),
                },
            };
            self.out.write_all(if self.entries == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *self.out, &entry).map_err(io::Error::other)?;
            self.entries += 1;
            self.micros = self.micros.saturating_add(exchange.server_micros);
        }
        Ok(())
    }
}

fn request<'e>(exchange: &'e Exchange, url: &'e str) -> Request<'e> {
    let media = || header(&exchange.request_headers, "content-type").unwrap_or("application/octet-stream");
    Request {
        method: &exchange.method,
        url,
        http_version: "HTTP/1.1",
        cookies: [],
        headers: headers(&exchange.request_headers),
        query_string: query(&exchange.url),
        post_data: (!exchange.request_body.is_empty()).then(|| PostData { mime_type: media(), text: &exchange.request_body }),
        headers_size: -1,
        body_size: exchange.request_body.len(),
    }
}

fn response(exchange: &Exchange) -> Response<'_> {
    let header = |name: &str| header(&exchange.response_headers, name);
    Response {
        status: exchange.status,
        status_text: "",
        http_version: "HTTP/1.1",
        cookies: [],
        headers: headers(&exchange.response_headers),
        content: Content {
            size: exchange.response_body.len(),
            mime_type: header("content-type").unwrap_or("x-unknown"),
            text: &exchange.response_body,
        },
        redirect_url: header("location").unwrap_or(""),
        headers_size: -1,
        body_size: -1,
        error: exchange.error.as_deref(),
    }
}

fn headers(list: &[(String, String)]) -> Vec<Pair<'_>> {
    list.iter().map(|(name, value)| Pair { name: Cow::Borrowed(name), value: Cow::Borrowed(value) }).collect()
}

fn header<'e>(list: &'e [(String, String)], wanted: &str) -> Option<&'e str> {
    list.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
}

fn query(url: &str) -> Vec<Pair<'_>> {
    let query = url.split('#').next().and_then(|u| u.split_once('?')).map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| Pair { name, value }).collect()
}

/// An address that viewers can parse: what no URI may hold (RFC 3986), as the marks of secrets and what an attack sent byte for
/// byte, is percent-encoded. What is none even so is left to the entry's own field.
fn uri(address: &str) -> String {
    let bytes = address.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    let mut fragment = false;
    for (index, byte) in bytes.iter().enumerate() {
        let hex = |at: usize| bytes.get(index + at).is_some_and(u8::is_ascii_hexdigit);
        let kept = match byte {
            b'%' => hex(1) && hex(2),
            b'#' => !std::mem::replace(&mut fragment, true),
            byte => byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(byte),
        };
        if kept {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    match url::Url::parse(&out) {
        Ok(url) if url.has_host() => out,
        _ => "about:blank".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{query, uri};

    #[test]
    fn addresses_are_ones_that_viewers_can_parse() {
        assert_eq!(uri("https://as.example/authorize?a=b%20c&d=%zz#e"), "https://as.example/authorize?a=b%20c&d=%25zz#e");
        assert_eq!(uri("https://as.example/cb?code=‹code 9f2c41›"), "https://as.example/cb?code=%E2%80%B9code%209f2c41%E2%80%BA");
        for wrong in ["", "a b", "/relative", "javascript:alert(1)", "https://"] {
            assert_eq!(uri(wrong), "about:blank", "{wrong}");
        }
    }

    #[test]
    fn parameters_are_read_as_a_server_would() {
        let read = |url| query(url).into_iter().map(|p| format!("{}={}", p.name, p.value)).collect::<Vec<_>>();
        assert_eq!(read("https://a/?x=1&x=%2B#y=2"), ["x=1", "x=+"]);
        assert!(read("https://a/").is_empty());
    }
}
