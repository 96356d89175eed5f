//! The raw driver: HTTP/1.1 written byte for byte, for requests that a correct client library refuses to send or
//! rewrites, and for bursts that must arrive at the same moment.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::target::Limits;

use super::http::{Failure, Request, Response};
use super::tls;

/// Bytes of a response head, and how many headers it may have.
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 100;

/// What the preferred addresses of a host have ahead of the others (RFC 8305 §5 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Address<'a> {
    tls: bool,
    host: &'a str,
    port: u16,
    authority: &'a str,
    /// What stands after the authority, as written.
    path: &'a str,
}

/// Splits a URL without rewriting any of it.
fn split(url: &str) -> Option<Address<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let tls = match scheme {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let rest = rest.split('#').next().unwrap_or(rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, port.parse().ok()?),
        _ => (authority, if tls { 443 } else { 80 }),
    };
    Some(Address { tls, host: host.trim_start_matches('[').trim_end_matches(']'), port, authority, path })
}

/// Connects to an address of a host. Where it has addresses of both families, those of the second one have their turn when
/// the first fails or takes long (RFC 8305): a dead IPv6 would else cost the whole time of a request.
async fn reach(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == preferred);
    if second.is_empty() {
        return TcpStream::connect(&*first).await;
    }
    let mut first = Box::pin(async move { TcpStream::connect(&*first).await });
    match tokio::time::timeout(HEAD_START, &mut first).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => TcpStream::connect(&*second).await,
        Err(_) => {
            let second = async move { TcpStream::connect(&*second).await };
            let both: [Pin<Box<dyn Future<Output = _> + Send>>; 2] = [first, Box::pin(second)];
            futures_util::future::select_ok(both).await.map(|(stream, _)| stream)
        }
    }
}

async fn connect(address: &Address<'_>, tls: Option<&Arc<rustls::ClientConfig>>) -> Result<Box<dyn Stream>, Failure> {
    let unreachable = |e: std::io::Error| tls::refusal(&e).map_or_else(|| Failure::Unreachable(e.to_string()), Failure::Alert);
    let stream = reach(address.host, address.port).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    if !address.tls {
        return Ok(Box::new(stream));
    }
    let config = tls.ok_or_else(|| Failure::Unreachable("no TLS set-up for this target".into()))?;
    let name = rustls::pki_types::ServerName::try_from(address.host.to_owned()).map_err(|e| Failure::Unreachable(e.to_string()))?;
    let stream = tokio_rustls::TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(unreachable)?;
    Ok(Box::new(stream))
}

/// The request as it goes out.
fn bytes(request: &Request, address: &Address<'_>) -> Vec<u8> {
    let target = match address.path {
        "" => "/".to_owned(),
        path if path.starts_with('?') => format!("/{path}"),
        path => path.to_owned(),
    };
    let mut head = format!("{} {target} HTTP/1.1\r\n", request.method);
    if !request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("host: {}\r\n", address.authority));
    }
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = &request.body {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("connection: close\r\n\r\n");
    let mut all = head.into_bytes();
    all.extend_from_slice(request.body.as_deref().unwrap_or_default());
    all
}

/// Sends one request on a connection of its own.
pub async fn send(request: &Request, tls: Option<&Arc<rustls::ClientConfig>>, limits: &Limits) -> Result<Response, Failure> {
    let work = async {
        let address = split(&request.url).ok_or_else(|| Failure::Broken(format!("`{}` is no http URL", request.url)))?;
        let mut stream = connect(&address, tls).await?;
        stream.write_all(&bytes(request, &address)).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        read(&mut stream, limits).await
    };
    tokio::time::timeout(limits.timeout, work).await.unwrap_or(Err(Failure::TimedOut))
}

/// Opens a connection for each request, sends all but the last byte, and releases the last bytes together.
pub async fn burst(requests: Vec<(Request, Option<Arc<rustls::ClientConfig>>)>, limits: &Limits) -> Vec<Result<Response, Failure>> {
    let ready = Arc::new(tokio::sync::Barrier::new(requests.len()));
    let mut tasks = Vec::new();
    for (request, tls) in requests {
        let (ready, limits) = (Arc::clone(&ready), *limits);
        tasks.push(tokio::spawn(async move {
            let prepared = tokio::time::timeout(limits.timeout, async {
                let address = split(&request.url).ok_or_else(|| Failure::Broken(format!("`{}` is no http URL", request.url)))?;
                let mut stream = connect(&address, tls.as_ref()).await?;
                let all = bytes(&request, &address);
                let (most, last) = all.split_at(all.len().saturating_sub(1));
                stream.write_all(most).await.map_err(broken)?;
                stream.flush().await.map_err(broken)?;
                Ok((stream, last.to_vec()))
            })
            .await
            .unwrap_or(Err(Failure::TimedOut));
            // Everybody comes here, so that nobody waits for one whose connection failed.
            ready.wait().await;
            let (mut stream, last) = prepared?;
            let start = Instant::now();
            let answer = tokio::time::timeout(limits.timeout, async {
                stream.write_all(&last).await.map_err(broken)?;
                stream.flush().await.map_err(broken)?;
                read(&mut stream, &limits).await
            })
            .await
            .unwrap_or(Err(Failure::TimedOut))?;
            Ok(Response { elapsed: start.elapsed(), ..answer })
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap_or_else(|e| Err(Failure::Broken(e.to_string()))));
    }
    answers
}

fn broken(error: std::io::Error) -> Failure {
    // In TLS 1.3 a certificate is refused only after the client has begun to send.
    tls::refusal(&error).map_or_else(|| Failure::Broken(error.to_string()), Failure::Alert)
}

async fn read(stream: &mut Box<dyn Stream>, limits: &Limits) -> Result<Response, Failure> {
    let mut buffer = Vec::with_capacity(4096);
    let (mut response, body_at) = loop {
        match parse_head(&buffer)? {
            Some(head) => break head,
            None if buffer.len() > MAX_HEAD => {
                return Err(Failure::Broken("the response head has no end".into()));
            }
            None => {}
        }
        if stream.read_buf(&mut buffer).await.map_err(broken)? == 0 {
            return Err(Failure::Broken("the connection was closed before an answer came".into()));
        }
    };
    let length = response.header("content-length").and_then(|l| l.trim().parse::<usize>().ok());
    let chunked = response.header("transfer-encoding").is_some_and(|t| t.to_ascii_lowercase().contains("chunked"));
    let mut body = buffer.split_off(body_at);
    let no_body = matches!(response.status, 204 | 304);
    // Chunk sizes come on top of the data; twice the limit is more than they can add.
    let most = if chunked { limits.max_body * 2 } else { limits.max_body };
    loop {
        let done = if chunked { body.ends_with(b"0\r\n\r\n") } else { length.is_some_and(|l| body.len() >= l) };
        if done || no_body {
            break;
        }
        if body.len() > most {
            response.truncated = true;
            break;
        }
        match stream.read_buf(&mut body).await {
            Ok(0) => break,
            Ok(_) => {}
            // A server that closes without TLS close_notify after its whole answer has answered all the same.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof && length.is_none() => break,
            Err(e) => return Err(broken(e)),
        }
    }
    if chunked {
        body = unchunk(&body);
    }
    if let Some(length) = length {
        body.truncate(length);
    }
    body.truncate(limits.max_body);
    response.body = body;
    Ok(response)
}

fn parse_head(buffer: &[u8]) -> Result<Option<(Response, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(buffer) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(end)) => {
            let headers =
                head.headers.iter().map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned())).collect();
            Ok(Some((Response { status: head.code.unwrap_or(0), headers, elapsed: Duration::ZERO, ..Response::default() }, end)))
        }
        Err(error) => Err(Failure::Broken(format!("the answer is no HTTP: {error}"))),
    }
}

/// The data of a chunked body, as far as it is well-formed.
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).ok().and_then(|l| usize::from_str_radix(l.split(';').next()?.trim(), 16).ok());
        let Some(size) = size.filter(|s| *s > 0) else {
            break;
        };
        body = &body[end + 2..];
        let take = size.min(body.len());
        data.extend_from_slice(&body[..take]);
        body = body.get(take + 2..).unwrap_or_default();
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_urls_are_not_rewritten() {
        let request = Request { method: "GET".into(), url: "http://127.0.0.1:1/a/../b?x= y".into(), ..Request::default() };
        let address = split(&request.url).expect("a URL");
        assert_eq!(String::from_utf8_lossy(&bytes(&request, &address)).lines().next(), Some("GET /a/../b?x= y HTTP/1.1"));
    }

    #[test]
    fn chunks_are_joined_and_broken_ones_end_the_body() {
        assert_eq!(unchunk(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), b"abcde");
        assert_eq!(unchunk(b"ffffffffffffffffff\r\nabc"), b"");
        assert_eq!(unchunk(b"5\r\nab"), b"ab");
    }
}
