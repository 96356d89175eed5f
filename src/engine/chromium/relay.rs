//! The only way out that the browser has: a SOCKS5 server on loopback (RFC 1928) which connects to the target's hosts and to
//! nothing else. What is refused here was never contacted, the redirect_uri above all; names of other hosts are not even
//! looked up.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::engine::http::Http;

/// A browser opens some dozens; more than this is a page that has gone wild.
const MOST_CONNECTIONS: usize = 256;

/// For the few bytes that say where to, and for the connection to there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Relay {
    pub port: u16,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// # Errors
    /// No port on loopback can be had.
    pub async fn open(http: Http) -> std::io::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                if connections.len() < MOST_CONNECTIONS {
                    let http = http.clone();
                    connections.spawn(async move {
                        // A connection that breaks is the browser's to notice.
                        let _ = serve(stream, &http).await;
                    });
                }
            }
        });
        Ok(Relay { port, task })
    }
}

async fn serve(mut browser: TcpStream, http: &Http) -> std::io::Result<()> {
    browser.set_nodelay(true)?;
    let server = tokio::time::timeout(PATIENCE, async {
        let (host, port) = destination(&mut browser).await?;
        let named = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let inside = ["http", "https"].iter().any(|scheme| http.allows(&format!("{scheme}://{named}:{port}/")));
        let connected = if inside { TcpStream::connect((host.as_str(), port)).await.ok() } else { None };
        // "Connection not allowed by ruleset", "host unreachable".
        let code = match (inside, &connected) {
            (_, Some(_)) => 0,
            (false, _) => 2,
            (true, None) => 4,
        };
        browser.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        Ok::<_, std::io::Error>(connected)
    })
    .await??;
    if let Some(mut server) = server {
        server.set_nodelay(true)?;
        tokio::io::copy_bidirectional(&mut browser, &mut server).await?;
    }
    Ok(())
}

/// Reads where the browser wants to go.
async fn destination(browser: &mut TcpStream) -> std::io::Result<(String, u16)> {
    let wrong = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let [version, methods] = bytes(browser).await?;
    if version != 5 {
        return Err(wrong());
    }
    let mut offered = vec![0; usize::from(methods)];
    browser.read_exact(&mut offered).await?;
    browser.write_all(&[5, 0]).await?;
    let [5, 1, _, kind] = bytes(browser).await? else { return Err(wrong()) };
    let host = match kind {
        1 => Ipv4Addr::from(bytes::<4>(browser).await?).to_string(),
        3 => {
            let [length] = bytes(browser).await?;
            let mut name = vec![0; usize::from(length)];
            browser.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_| wrong())?
        }
        4 => std::net::Ipv6Addr::from(bytes::<16>(browser).await?).to_string(),
        _ => return Err(wrong()),
    };
    Ok((host, u16::from_be_bytes(bytes(browser).await?)))
}

async fn bytes<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut read = [0; N];
    stream.read_exact(&mut read).await?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer code to a request for a host by name.
    async fn ask(relay: &Relay, host: &str, port: u16) -> (u8, TcpStream) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port)).await.expect("the relay listens");
        stream.write_all(&[5, 1, 0]).await.expect("sent");
        assert_eq!(bytes(&mut stream).await.expect("an answer"), [5, 0]);
        let mut request = vec![5, 1, 0, 3, u8::try_from(host.len()).expect("a short name")];
        request.extend(host.as_bytes());
        request.extend(port.to_be_bytes());
        stream.write_all(&request).await.expect("sent");
        (bytes::<10>(&mut stream).await.expect("an answer")[1], stream)
    }

    #[tokio::test]
    async fn only_the_hosts_of_the_target_are_reached() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = |l: &TcpListener| l.local_addr().expect("an address").port();
        let text = format!(
            "name: x\nissuer: http://127.0.0.1:{}\nclients:\n  public: {{id: a, redirect_uri: \"http://127.0.0.1:{}/cb\"}}\nusers:\n  default: {{name: a, password: \"plain:b\"}}\n",
            port(&server),
            port(&other)
        );
        let target = crate::target::load::from_text("t.yaml", &text, std::path::Path::new(".")).expect("a target");
        let relay = Relay::open(Http::new(&target).expect("a client")).await.expect("a relay");
        let (code, mut stream) = ask(&relay, "127.0.0.1", port(&server)).await;
        assert_eq!(code, 0);
        let (mut accepted, _) = server.accept().await.expect("the connection came");
        stream.write_all(b"hello").await.expect("sent");
        assert_eq!(&bytes::<5>(&mut accepted).await.expect("relayed"), b"hello");
        assert_eq!(ask(&relay, "127.0.0.1", port(&other)).await.0, 2);
        assert_eq!(ask(&relay, "no-such-host.example", 443).await.0, 2);
        let nobody = tokio::time::timeout(Duration::from_millis(50), other.accept()).await;
        assert!(nobody.is_err(), "a host outside of the target was contacted");
    }
}
