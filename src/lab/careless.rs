//! What only a flawed server fetches: addresses that a stranger wrote into a request.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::jws::Compact;
use super::params::Params;
use super::server::Server;
use super::{Flaw, MAX_BODY, fetch};

/// Goes where a request says, before it is answered.
pub(super) async fn fetch_what_is_named(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let mut texts = values(&parts.uri, &body);
    for name in [header::AUTHORIZATION.as_str(), "dpop"] {
        let headers = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        texts.extend(headers.map(|value| (name.to_owned(), value.rsplit(' ').next().unwrap_or_default().to_owned())));
    }
    for (name, text) in texts {
        if name == "request_uri" && parts.uri.path() == "/authorize" && server.has(Flaw::SsrfRequestUri) {
            fetch::carelessly(&text).await;
        }
        let jwt = Compact::parse(&text);
        for address in ["jku", "x5u"].into_iter().filter_map(|name| jwt.as_ref()?.header(name)) {
            if server.has(Flaw::SsrfJwtHeaders) {
                fetch::carelessly(address).await;
            }
        }
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// The parameters of query and body.
fn values(uri: &Uri, body: &[u8]) -> Vec<(String, String)> {
    let of = |bytes: &[u8]| Params::parse(bytes).iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>();
    [of(uri.query().unwrap_or_default().as_bytes()), of(body)].concat()
}
