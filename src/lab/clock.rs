//! The lab's clock. A lab that is started for it believes a header which says how much later a request counts as sent: who
//! tests that a code is dead after ten minutes need not wait for them, and nothing else in the lab grows older.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::server::Server;

/// The request header with whole seconds, read only where [`super::LabConfig::movable_clock`] says so.
pub const HEADER: &str = "lab-later";

/// The most that a request may be later, in seconds: no point in time is out of range.
const MOST: u64 = 366 * 24 * 3600;

tokio::task_local! {
    /// By how much the request that is answered counts as sent later.
    static LATER: Duration;
}

fn later() -> Duration {
    LATER.try_with(|later| *later).unwrap_or_default()
}

/// The moment at which the request that is answered counts as sent.
pub(super) fn instant() -> Instant {
    Instant::now() + later()
}

/// The same in seconds since the epoch.
pub(super) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| (since + later()).as_secs())
}

/// Answers a request at the time that it says.
pub(super) async fn at_its_time(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(HEADER).filter(|_| server.config.movable_clock);
    let seconds = header.and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    match seconds {
        Some(seconds) => LATER.scope(Duration::from_secs(seconds.min(MOST)), next.run(request)).await,
        None => next.run(request).await,
    }
}
