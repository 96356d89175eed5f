//! What an attack waits for: how long, as its control shows, and the wait itself, which holds nobody up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::duration::{parse, words};
use crate::engine::eval::Missing;
use crate::engine::{Engine, clock};
use crate::model::observation::Trial;
use crate::model::step::PlannedStep;
use crate::model::value::{Reference, Template};

use super::{Event, Stop};

/// How long some steps wait altogether, by what their control was told (a lifetime in seconds) and the target file says. None:
/// the control does not say it.
pub fn of(steps: &[Arc<PlannedStep>], control: &Trial) -> Option<Duration> {
    steps.iter().filter_map(|step| step.wait.as_ref()).try_fold(Duration::ZERO, |sum, wait| sum.checked_add(one(wait, control)?))
}

fn one(wait: &Template, control: &Trial) -> Option<Duration> {
    parse(&wait.text_with(|reference| match reference {
        Reference::Target(fact) => control.facts.get(&format!("target.{fact}")).cloned(),
        Reference::Field { step, field } => control.step(step)?.fields.get(field).cloned(),
        _ => None,
    })?)
}

/// Why an attack is left out that would wait for longer than the run does.
pub fn too_long(wait: Duration) -> String {
    // A minute more: what the server says the next time may be a second later.
    let minutes = wait.as_secs().div_ceil(60) + 1;
    let option = if wait < super::SLOW { String::new() } else { format!("={minutes}m") };
    format!("it would wait for {}: `--slow{option}` waits", words(wait))
}

/// The longest pause before a repetition that confirms a harm: it is waited out whatever the patience of the run is.
const GRACE: Duration = Duration::from_secs(600);

/// What the control was told decides whether an attack waits; what the attack itself is told may not make it wait for longer.
///
/// # Errors
/// The wait is too long, or was not known to begin with.
pub fn bounded(engine: &Engine, patience: Duration, pause: Result<Duration, Missing>) -> Result<Duration, Missing> {
    match pause {
        Ok(pause) if engine.waits_cost_time() && pause > patience.max(GRACE) => {
            Err(Missing::Never(format!("the end of a wait of {}", words(pause))))
        }
        pause => pause,
    }
}

/// How many trials may be under way; who waits gives his place back.
pub struct Places {
    free: Semaphore,
    all: u32,
}

impl Places {
    pub fn new(all: usize) -> Places {
        let all = u32::try_from(all).unwrap_or(u32::MAX).clamp(1, 1024);
        Places { free: Semaphore::new(all as usize), all }
    }

    /// What a trial takes of them: one place, or all, so that nobody is beside it.
    pub fn share(&self, alone: bool) -> Share<'_> {
        Share { of: self, places: if alone { self.all } else { 1 } }
    }
}

/// What a trial takes while it is under way.
#[derive(Clone, Copy)]
pub struct Share<'p> {
    of: &'p Places,
    places: u32,
}

impl Share<'_> {
    pub async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes the semaphore.
        self.of.free.acquire_many(self.places).await.ok()
    }
}

/// Waits, and tells each second for how long still; false where the run was ended meanwhile.
pub async fn wait(engine: &Engine, case: &str, pause: Duration, stop: &Stop, tell: &(dyn Fn(Event) + Sync)) -> bool {
    if !engine.waits_cost_time() {
        clock::pass(pause);
        return true;
    }
    let end = tokio::time::Instant::now() + pause;
    loop {
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() || stop.is_stopped() {
            break;
        }
        tell(Event::Waiting { case: case.to_owned(), left });
        tokio::select! {
            () = tokio::time::sleep(left.min(Duration::from_secs(1))) => {}
            () = stop.stopped() => {}
        }
    }
    tell(Event::Waited { case: case.to_owned() });
    !stop.is_stopped()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_says_what_to_write() {
        assert_eq!(too_long(Duration::from_secs(605)), "it would wait for 10 min 5 s: `--slow` waits");
        assert_eq!(too_long(Duration::from_secs(3661)), "it would wait for 1 h 1 min: `--slow=63m` waits");
    }
}
