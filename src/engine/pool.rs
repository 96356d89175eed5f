//! Connections that are kept between requests: HTTP/1.1 by reqwest, which follows nothing and keeps no cookies here. The
//! only file that names reqwest.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::sign::CertifiedKey;
use url::Url;

use crate::target::Limits;

use super::http::{Failure, Request, Response};
use super::tls;

/// A connection that has been idle for longer is not used again: the server may be closing it at that moment, and what is sent
/// then has no answer (RFC 9112 §9.5). Servers in use keep one for two seconds (gunicorn), five (Node.js, Apache) or more.
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// Connections that show the same certificate, or none.
#[derive(Debug)]
pub struct Pool {
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// A server has asked for the certificate.
    pub asked: Arc<AtomicBool>,
    client: RwLock<reqwest::Client>,
    limits: Limits,
}

impl Pool {
    /// # Errors
    /// The client cannot be set up.
    pub fn new(limits: Limits, tls: Option<rustls::ClientConfig>) -> Result<Pool, String> {
        let client = RwLock::new(client(&limits, tls.as_ref())?);
        Ok(Pool { tls: tls.map(Arc::new), asked: Arc::default(), client, limits })
    }

    /// Closes the connections that are idle. A server with few processes keeps one busy for each of them.
    pub fn close_idle(&self) {
        // Where no other client can be had, the one that there is goes on.
        if let Ok(fresh) = client(&self.limits, self.tls.as_deref()) {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// Connections of this set-up that show a client certificate.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn certified(limits: Limits, config: &rustls::ClientConfig, certificate: Arc<CertifiedKey>) -> Result<Pool, String> {
        let asked = Arc::default();
        let config = tls::with_certificate(config, certificate, Arc::clone(&asked));
        Ok(Pool { asked, ..Pool::new(limits, Some(config))? })
    }

    /// Sends a request whose address is `url`, letter for letter.
    ///
    /// # Errors
    /// Why no answer came.
    pub async fn send(&self, request: &Request, url: &Url) -> Result<Response, Failure> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|e| Failure::Broken(e.to_string()))?;
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut builder = client.request(method, url.clone());
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
        let text = |value: &reqwest::header::HeaderValue| crate::wire::text(value.as_bytes()).into_owned();
        let mut response = Response {
            status: answer.status().as_u16(),
            headers: answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
            ..Response::default()
        };
        while let Some(chunk) = answer.chunk().await.map_err(|e| failure(&e))? {
            let room = self.limits.max_body.saturating_sub(response.body.len());
            response.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                response.truncated = true;
                break;
            }
        }
        if response.status >= 500 {
            // Servers close the connection on which they failed, and not all say so.
            self.close_idle();
        }
        Ok(response)
    }
}

/// # Errors
/// The client cannot be set up.
fn client(limits: &Limits, tls: Option<&rustls::ClientConfig>) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .timeout(limits.timeout)
        .pool_idle_timeout(LONGEST_IDLE)
        .pool_max_idle_per_host(limits.in_flight);
    let builder = match tls {
        Some(config) => builder.tls_backend_preconfigured(config.clone()),
        None => builder.tls_certs_only(std::iter::empty::<reqwest::Certificate>()),
    };
    builder.build().map_err(|e| format!("the HTTP client cannot be set up: {e}"))
}

/// The innermost reason says it best.
fn failure(error: &reqwest::Error) -> Failure {
    let mut why: &dyn std::error::Error = error;
    while let Some(inner) = why.source() {
        why = inner;
    }
    if let Some(alert) = tls::refusal(error) {
        return Failure::Alert(alert);
    }
    if why.to_string().contains("CaUsedAsEndEntity") {
        let words = "the server shows the certificate of an authority as its own: issue one for it, with basicConstraints CA:FALSE";
        return Failure::Unreachable(words.into());
    }
    if error.is_timeout() {
        Failure::TimedOut
    } else if error.is_connect() {
        Failure::Unreachable(why.to_string())
    } else {
        Failure::Broken(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use std::sync::Mutex;

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
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (origin, seen) = server(answers, answer).await;
        let pool = Pool::new(limits, None).expect("a client");
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

    /// Servers close the connection on which they failed, and not all of them say so.
    #[tokio::test]
    async fn a_connection_on_which_the_server_failed_is_not_used_again() {
        let (responses, seen) = asked(9, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", Limits::default(), 3).await;
        assert!(responses.iter().all(|r| r.status == 500));
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[tokio::test]
    async fn an_endless_answer_is_left_at_the_limit_with_its_connection() {
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nfghij\r\n";
        let (responses, seen) = asked(9, answer, Limits { max_body: 7, ..Limits::default() }, 2).await;
        assert!(responses.iter().all(|r| r.truncated && r.body == b"abcdefg"));
        assert_eq!(seen.len(), 2);
    }
}
