//! One request that comes to nothing: for tests of what a run makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// What is lost, by the number of the request since the lab was started, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nobody reads the request.
    Request(u64),
    /// It is carried out, and nobody hears of it.
    Answer(u64),
}

/// What a lab loses, and how many requests it has had.
#[derive(Debug)]
pub(super) struct Losing {
    loss: Option<Loss>,
    requests: AtomicU64,
}

impl Losing {
    pub(super) fn new(loss: Option<Loss>) -> Losing {
        Losing { loss, requests: AtomicU64::new(0) }
    }
}

/// Leaves the request that is lost without an answer, for as long as its client waits.
pub(super) async fn lose(State(losing): State<Arc<Losing>>, request: Request, next: Next) -> Response {
    let Some(loss) = losing.loss else { return next.run(request).await };
    let number = losing.requests.fetch_add(1, Ordering::SeqCst) + 1;
    match loss {
        Loss::Request(lost) if lost == number => std::future::pending().await,
        Loss::Answer(lost) if lost == number => {
            next.run(request).await;
            std::future::pending().await
        }
        _ => next.run(request).await,
    }
}
