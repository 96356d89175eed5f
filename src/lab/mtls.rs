//! The TLS side of the lab: the address of clients with a certificate (RFC 8705 section 5), and the front that tells the endpoints which
//! certificate a connection has shown.
//!
//! Every certificate is taken in the handshake, and none is as good as any: the endpoints judge it. What they read is the header
//! `Client-Cert` (RFC 9440), which the front writes; whatever came from outside under that name is taken out (RFC 9440 section 4).

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::server::Server;
use super::{Flaw, certificates};

/// The header of RFC 9440: the certificate of the connection, as a byte sequence of structured fields.
const HEADER: &str = "client-cert";

/// What other fronts call it, and write as PEM.
const OTHER_HEADERS: [&str; 4] = ["x-ssl-client-cert", "ssl-client-cert", "x-client-cert", "x-forwarded-client-cert"];

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The pause after a connection that could not be accepted.
const BREATH: Duration = Duration::from_millis(100);

/// Connections whose handshake is done.
pub(super) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, Peer)>,
}

/// The certificate that a connection has shown, as DER; whoever showed it has its key.
#[derive(Clone, Debug)]
pub(super) struct Peer(Option<Arc<[u8]>>);

/// Listens for TLS on 127.0.0.1; the address as it begins.
///
/// # Errors
///
/// When no port can be had, or the set-up does not stand.
pub(super) async fn listen() -> io::Result<(TlsListener, String)> {
    let acceptor = TlsAcceptor::from(certificates::server_config()?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = format!("https://{}", listener.local_addr()?);
    let (done, ready) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = done.closed() => return,
            };
            let Ok((stream, _)) = accepted else {
                // No file handle is free: others have to end first.
                tokio::time::sleep(BREATH).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (acceptor, done) = (acceptor.clone(), done.clone());
            // Each by itself: one that stalls keeps nobody waiting.
            tokio::spawn(async move {
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    let peer = Peer(shown.map(|own| Arc::from(own.as_ref())));
                    let _ = done.send((stream, peer)).await;
                }
            });
        }
    });
    Ok((TlsListener { ready }, address))
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Peer(None))
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Writes the certificate of the connection where the endpoints read it.
pub(super) async fn front(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let shown = request.extensions().get::<ConnectInfo<Peer>>().and_then(|ConnectInfo(Peer(shown))| shown.clone());
    let headers = request.headers_mut();
    let from_outside = forwarded(headers).filter(|_| server.has(Flaw::MtlsForwardedHeaderTrusted));
    headers.remove(HEADER);
    let believed = shown.map(|shown| shown.to_vec()).or(from_outside);
    if let Some(value) = believed.and_then(|der| HeaderValue::from_str(&format!(":{}:", STANDARD.encode(der))).ok()) {
        headers.insert(HEADER, value);
    }
    next.run(request).await
}

/// The certificate of the connection that a request came by, as DER.
pub(super) fn certificate(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(HEADER)?.to_str().ok()?;
    STANDARD.decode(value.strip_prefix(':')?.strip_suffix(':')?).ok()
}

/// What a careless front takes for the certificate of a connection.
fn forwarded(headers: &HeaderMap) -> Option<Vec<u8>> {
    let pem = |name: &str| {
        let text = percent_decode_str(headers.get(name)?.to_str().ok()?).decode_utf8().ok()?;
        let inner = text.split_once("-----BEGIN CERTIFICATE-----")?.1.split_once("-----END CERTIFICATE-----")?.0;
        STANDARD.decode(inner.split_whitespace().collect::<String>()).ok()
    };
    certificate(headers).or_else(|| OTHER_HEADERS.into_iter().find_map(pem))
}
