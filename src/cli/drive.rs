//! Drives a run to its end or to a signal, against a target or the embedded lab.

use std::time::{Duration, Instant};

use crate::lab::LabConfig;
use crate::model::report::Recording;
use crate::model::scenario::Scenario;
use crate::report::gate;
use crate::run::{Options, Stop};
use crate::scenario::catalogue::Catalogue;
use crate::target::Target;

use super::progress::Watch;
use super::{Failure, inputs};

/// What a run came to.
pub struct Driven {
    pub recording: Recording,
    /// The exit code of the signal that ended it.
    pub signal: Option<u8>,
}

/// Runs the selected scenarios; without a target, against a lab with these flaws.
///
/// # Errors
/// The lab cannot be started (3).
pub fn drive(
    catalogue: &Catalogue,
    selected: &[&Scenario],
    target: Option<Target>,
    lab: LabConfig,
    options: &Options,
    watch: &Watch,
) -> Result<Driven, Failure> {
    // The lab lives on threads of its own, as any server does, until the run is over.
    let (target, _lab) = match target {
        Some(target) => (target, None),
        None => {
            // One core is the client's.
            let threads = super::server_runtime(1)?;
            let (flaws, habits) = (lab.flaws.clone(), lab.habits.clone());
            let lab = threads.block_on(inputs::start_lab(LabConfig { movable_clock: true, ..lab }))?;
            (Target { name: inputs::lab_name(&flaws, &habits), ..inputs::lab_target(&lab, &flaws) }, Some((lab, threads)))
        }
    };
    let stop = Stop::default();
    let driven = super::runtime()?.block_on(async {
        let signal = watch_signals(&stop);
        let recording = crate::run::run(catalogue, selected, &target, options, &stop, &|event| watch.tell(&event)).await;
        Driven { recording, signal: signal.code() }
    });
    watch.finish();
    Ok(driven)
}

/// The exit code of a signal that came.
#[derive(Clone, Default)]
struct Signal(std::sync::Arc<std::sync::atomic::AtomicU8>);

impl Signal {
    fn code(&self) -> Option<u8> {
        Some(self.0.load(std::sync::atomic::Ordering::SeqCst)).filter(|code| *code != 0)
    }
}

/// Who ends a whole process group tells each process of it twice: within this time a second SIGTERM is the first one again.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// The first signal ends the run after the requests that are under way; the second ends the program.
fn watch_signals(stop: &Stop) -> Signal {
    let signal = Signal::default();
    let (own, stop) = (signal.clone(), stop.clone());
    tokio::spawn(async move {
        let mut first: Option<Instant> = None;
        loop {
            let code = next_signal().await;
            match first {
                Some(first) if code == gate::TERMINATED && first.elapsed() < SAME_SIGNAL => continue,
                Some(_) => std::process::exit(i32::from(code)),
                None => first = Some(Instant::now()),
            }
            own.0.store(code, std::sync::atomic::Ordering::SeqCst);
            stop.stop("stopped by the user");
            eprintln!("\nstopping: the report of what was measured follows; once more to end at once");
        }
    });
    signal
}

#[cfg(unix)]
async fn next_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => gate::INTERRUPTED,
            _ = terminate.recv() => gate::TERMINATED,
        },
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => gate::INTERRUPTED,
        Err(_) => std::future::pending().await,
    }
}
