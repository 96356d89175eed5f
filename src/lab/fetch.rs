//! Requests of the server's own: to addresses that a client registered, and to nothing but this machine.
//!
//! On loopback plain HTTP counts as https. Redirects are not followed, and both size and time are bounded.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Host, Url};

/// The longest answer that is read, in bytes.
const MOST: u64 = 64 * 1024;
/// How long an answer may take.
const TIME: Duration = Duration::from_secs(2);
/// How many redirects a careless server follows.
const MOST_HOPS: usize = 3;

/// What came back.
struct Answer {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
}

/// Whether an address may be registered to be called: on this machine, without user information and fragment.
pub(super) fn may_be_called(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| host_of(&url).is_some() && url.username().is_empty() && url.fragment().is_none())
}

/// The host and port of an address on this machine.
fn host_of(url: &Url) -> Option<(String, u16)> {
    let is_here = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(_) => false,
    };
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    (is_here && url.scheme() == "http").then_some((host, url.port_or_known_default()?))
}

/// The document at an address that may be called.
///
/// # Errors
/// What went wrong, in words for the client.
pub(super) async fn document(address: &str) -> Result<serde_json::Value, &'static str> {
    if !may_be_called(address) {
        return Err("the address cannot be called");
    }
    let answer = send(address, "GET", None).await.ok_or("the address does not answer")?;
    if answer.status != 200 {
        return Err("the address does not answer with 200");
    }
    serde_json::from_slice(&answer.body).map_err(|_| "what the address answers is no JSON")
}

/// Sends a form, whatever is answered.
pub(super) async fn post(address: &str, form: &str) {
    if may_be_called(address) {
        // Whether the client liked it changes nothing here.
        let _ = send(address, "POST", Some(form)).await;
    }
}

/// What only a careless server does: goes wherever it is told on this machine, and where that leads.
pub(super) async fn carelessly(address: &str) {
    let mut address = address.to_owned();
    for _ in 0..=MOST_HOPS {
        match send(&address, "GET", None).await.and_then(|answer| answer.location) {
            Some(next) => address = next,
            None => return,
        }
    }
}

async fn send(address: &str, method: &str, form: Option<&str>) -> Option<Answer> {
    tokio::time::timeout(TIME, exchange(address, method, form)).await.ok().flatten()
}

/// HTTP/1.0, so that the answer ends where the connection does (RFC 1945 section 7.2.2).
async fn exchange(address: &str, method: &str, form: Option<&str>) -> Option<Answer> {
    let url = Url::parse(address).ok()?;
    let (host, port) = host_of(&url)?;
    let mut stream = TcpStream::connect((host.as_str(), port)).await.ok()?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let body = form.unwrap_or_default();
    let about = match form {
        Some(_) => format!("content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n", body.len()),
        None => String::new(),
    };
    let host = url.host_str()?;
    let request = format!("{method} {}{query} HTTP/1.0\r\nhost: {host}:{port}\r\n{about}\r\n{body}", url.path());
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    stream.take(MOST).read_to_end(&mut bytes).await.ok()?;
    read(&bytes)
}

fn read(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let location = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("location"));
    Some(Answer { status, location: location.map(|(_, value)| value.trim().to_owned()), body: bytes.get(end + 4..)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_this_machine_is_called() {
        for address in ["http://127.0.0.1:80/a", "http://[::1]:8080/", "http://127.9.9.9/x?y"] {
            assert!(may_be_called(address), "{address}");
        }
        for address in [
            "https://127.0.0.1/",
            "http://app.example/",
            "http://localhost/",
            "http://10.0.0.1/",
            "http://127.0.0.1@10.0.0.1/",
            "http://app.example@127.0.0.1/",
            "http://127.0.0.1/#f",
            "ftp://127.0.0.1/",
            "",
        ] {
            assert!(!may_be_called(address), "{address}");
        }
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = read(b"HTTP/1.0 302 Found\r\nLocation: http://x/\r\n\r\nbody").expect("an answer");
        assert_eq!((answer.status, answer.location.as_deref(), answer.body.as_slice()), (302, Some("http://x/"), b"body".as_slice()));
        for text in ["", "HTTP/1.0 200 OK\r\n", "nonsense\r\n\r\n", "HTTP/1.0 x\r\n\r\n"] {
            assert!(read(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
