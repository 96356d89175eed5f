//! Connections that are kept between requests: HTTP/1.1 by hyper, one request at a time on each. Nothing is followed, and
//! nothing added but what the protocol demands. The only file that names hyper.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::target::Limits;

use super::http::{Failure, Request, Response};
use super::raw;

/// A connection that was idle for longer is not used again: the server is about to close it, if it has not.
const MOST_IDLE: Duration = Duration::from_secs(90);

type Sender = SendRequest<Full<Bytes>>;
type Message = hyper::Request<Full<Bytes>>;

/// Connections that show the same certificate, or none.
#[derive(Debug)]
pub struct Pool {
    pub tls: Option<Arc<rustls::ClientConfig>>,
    limits: Limits,
    /// Those that wait for a request, by scheme, host and port; the last one was used last.
    idle: Mutex<BTreeMap<String, Vec<(Sender, Instant)>>>,
}

impl Pool {
    pub fn new(limits: Limits, tls: Option<rustls::ClientConfig>) -> Pool {
        Pool { tls: tls.map(Arc::new), limits, idle: Mutex::default() }
    }

    /// Sends a request whose address is `url`, letter for letter.
    ///
    /// # Errors
    /// Why no answer came.
    pub async fn send(&self, request: &Request, url: &Url) -> Result<Response, Failure> {
        tokio::time::timeout(self.limits.timeout, self.exchange(request, url)).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn exchange(&self, request: &Request, url: &Url) -> Result<Response, Failure> {
        let origin = &url[..Position::BeforePath];
        let mut message = message(request, url)?;
        loop {
            let kept = self.take(origin).await;
            let reused = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect(url).await?,
            };
            match sender.try_send_request(message).await {
                Ok(answer) => {
                    let response = read(answer, self.limits.max_body).await?;
                    if !response.truncated {
                        self.keep(origin, sender);
                    }
                    return Ok(response);
                }
                // The server closed a kept connection before it was given anything of the request.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if reused => message = unsent,
                    _ => return Err(broken(failed.error())),
                },
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<String, Vec<(Sender, Instant)>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kept connection that can take a request.
    async fn take(&self, origin: &str) -> Option<Sender> {
        loop {
            let (mut sender, since) = self.idle().get_mut(origin)?.pop()?;
            if since.elapsed() < MOST_IDLE && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, origin: &str, sender: Sender) {
        let mut idle = self.idle();
        if !idle.contains_key(origin) {
            idle.insert(origin.to_owned(), Vec::new());
        }
        let kept = idle.get_mut(origin).filter(|kept| kept.len() < self.limits.in_flight && !sender.is_closed());
        if let Some(kept) = kept {
            kept.push((sender, Instant::now()));
        }
    }

    async fn connect(&self, url: &Url) -> Result<Sender, Failure> {
        let stream = raw::connect_to(url, self.tls.as_ref()).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
        // It ends with its sender, or with the server; what went wrong is told to whoever waits for an answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

/// The request as hyper writes it.
fn message(request: &Request, url: &Url) -> Result<Message, Failure> {
    let refused = |e: &dyn std::fmt::Display| Failure::Broken(e.to_string());
    let mut message = Message::new(Full::from(request.body.clone().unwrap_or_default()));
    *message.method_mut() = hyper::Method::from_bytes(request.method.as_bytes()).map_err(|e| refused(&e))?;
    *message.uri_mut() = url[Position::BeforePath..Position::AfterQuery].parse().map_err(|e| refused(&e))?;
    let headers = message.headers_mut();
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| refused(&e))?;
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|e| refused(&e))?);
    }
    if !headers.contains_key(header::HOST) {
        let host = &url[Position::BeforeHost..Position::AfterPort];
        headers.insert(header::HOST, HeaderValue::from_str(host).map_err(|e| refused(&e))?);
    }
    if !headers.contains_key(header::ACCEPT) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    }
    if request.body.as_ref().is_some_and(Vec::is_empty) && !headers.contains_key(header::CONTENT_LENGTH) {
        // A POST with an empty body says so (RFC 9110 §8.6); without the field some servers see no form at all.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let (name, password) = (url.username(), url.password());
    if (!name.is_empty() || password.is_some()) && !headers.contains_key(header::AUTHORIZATION) {
        // What stands before the host of an address is for HTTP authentication (RFC 3986 §3.2.1).
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pair = STANDARD.encode(format!("{}:{}", decoded(name), decoded(password.unwrap_or_default())));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Basic {pair}")).map_err(|e| refused(&e))?);
    }
    Ok(message)
}

/// The whole answer, as far as the limit allows.
async fn read(answer: hyper::Response<Incoming>, max_body: usize) -> Result<Response, Failure> {
    let (head, mut body) = answer.into_parts();
    let text = |value: &HeaderValue| crate::wire::text(value.as_bytes()).into_owned();
    let mut response = Response {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        ..Response::default()
    };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
        let room = max_body.saturating_sub(response.body.len());
        response.body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            response.truncated = true;
            break;
        }
    }
    Ok(response)
}

/// The innermost reason says it best.
fn broken(error: &hyper::Error) -> Failure {
    let mut why: &dyn std::error::Error = error;
    while let Some(inner) = why.source() {
        why = inner;
    }
    Failure::Broken(why.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers so many requests on each connection, and then closes it; what it was sent, by connection.
    async fn server(answers: usize, answer: &'static str) -> (String, Arc<Mutex<Vec<Vec<String>>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://user:p%40ss@{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                told.lock().expect("a lock").push(Vec::new());
                for _ in 0..answers {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => break,
                        }
                    }
                    if head.is_empty() {
                        break;
                    }
                    told.lock().expect("a lock").last_mut().expect("a connection").push(String::from_utf8(head).expect("text"));
                    stream.write_all(answer.as_bytes()).await.expect("a reader");
                }
            }
        });
        (origin, seen)
    }

    async fn asked(answers: usize, answer: &'static str, limits: Limits, times: usize) -> (Vec<Response>, Vec<Vec<String>>) {
        let (origin, seen) = server(answers, answer).await;
        let pool = Pool::new(limits, None);
        let request = Request { method: "POST".into(), url: format!("{origin}/x?y=1#z"), body: Some(Vec::new()), ..Request::default() };
        let url = Url::parse(&request.url).expect("a URL");
        let mut responses = Vec::new();
        for _ in 0..times {
            responses.push(pool.send(&request, &url).await.expect("an answer"));
        }
        let seen = seen.lock().expect("a lock").clone();
        (responses, seen)
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_one_that_was_closed_is_replaced() {
        let answer = "HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nok";
        let (responses, seen) = asked(2, answer, Limits::default(), 5).await;
        assert!(responses.iter().all(|r| r.status == 200 && r.body == b"ok" && r.header("x-a") == Some("1")));
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        let head = seen[0][0].to_lowercase();
        assert!(head.starts_with("post /x?y=1 http/1.1\r\n") && head.contains("\r\nhost: 127.0.0.1:"), "{head}");
        assert!(head.contains("\r\ncontent-length: 0\r\n") && head.contains("\r\naccept: */*\r\n"), "{head}");
        assert!(seen[0][0].contains("Basic dXNlcjpwQHNz"), "{head}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_left_at_the_limit_with_its_connection() {
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nfghij\r\n";
        let (responses, seen) = asked(9, answer, Limits { max_body: 7, ..Limits::default() }, 2).await;
        assert!(responses.iter().all(|r| r.truncated && r.body == b"abcdefg"));
        assert_eq!(seen.len(), 2);
    }
}
