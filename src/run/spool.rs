//! Keeps the memory of a run flat: evidence beyond some megabytes waits in a file without a name until the report is
//! written.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::attempts::{Attempts, Store};
use crate::model::observation::{StepObservation, Trial};

/// Bytes of evidence that stay in memory: a run of a usual length touches no disk.
pub const IN_MEMORY: usize = 2 << 20;

/// Where evidence goes.
#[derive(Debug)]
pub struct Spool(Mutex<Room>);

#[derive(Debug)]
struct Room {
    left: usize,
    file: Option<Arc<Stored>>,
}

/// The trials of a case that is still open, the last one at hand.
#[derive(Debug)]
pub struct Seen {
    attempts: Attempts,
    /// A copy of it, where the trials wait on the disk.
    last: Option<Trial>,
}

impl Seen {
    pub fn last(&self) -> Option<&Trial> {
        match &self.attempts {
            Attempts::Here(trials) => trials.last(),
            _ => self.last.as_ref(),
        }
    }
}

/// What was written so far. The file is gone from its folder at once, and from the disk when the run ends, however it ends.
/// Only redacted evidence is ever in it.
#[derive(Debug)]
struct Stored(Mutex<File>);

impl Store for Stored {
    fn read(&self, offset: u64, length: usize) -> io::Result<String> {
        let mut bytes = vec![0; length];
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

impl Spool {
    /// Keeps this many bytes in memory.
    pub fn new(in_memory: usize) -> Spool {
        Spool(Mutex::new(Room { left: in_memory, file: None }))
    }

    /// Puts the trials of a case aside when its last one ended, in memory while there is room. Where no file can be written, they
    /// stay in memory.
    pub fn put(&self, mut trials: Vec<Trial>) -> Seen {
        let weight = trials.iter().map(weight).sum();
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = room.left.checked_sub(weight) {
            room.left = left;
            return Seen { attempts: trials.into(), last: None };
        }
        match room.store(&trials) {
            Ok(attempts) => Seen { attempts, last: trials.pop() },
            Err(_) => Seen { attempts: trials.into(), last: None },
        }
    }

    /// Keeps the trials of a case for good, once `clean` has seen each of them.
    pub fn settle(&self, seen: Seen, clean: impl Fn(&mut Trial)) -> Attempts {
        match seen.attempts {
            Attempts::Here(mut trials) => {
                trials.iter_mut().for_each(clean);
                trials.into()
            }
            stored => {
                // What cannot be read back now is told by whoever needs it.
                let Ok(mut trials) = stored.load().map(std::borrow::Cow::into_owned) else { return stored };
                let before = trials.clone();
                trials.iter_mut().for_each(clean);
                if trials == before {
                    return stored;
                }
                self.0.lock().unwrap_or_else(PoisonError::into_inner).store(&trials).unwrap_or_else(|_| trials.into())
            }
        }
    }
}

impl Room {
    fn store(&mut self, trials: &[Trial]) -> io::Result<Attempts> {
        let text = serde_json::to_string(trials)?;
        let store = match &self.file {
            Some(store) => store.clone(),
            None => self.file.insert(Arc::new(Stored(Mutex::new(tempfile::tempfile()?)))).clone(),
        };
        let offset = {
            let mut file = store.0.lock().unwrap_or_else(PoisonError::into_inner);
            let offset = file.seek(SeekFrom::End(0))?;
            file.write_all(text.as_bytes())?;
            offset
        };
        Ok(Attempts::Stored { store, offset, length: text.len() })
    }
}

/// About how many bytes a trial takes.
fn weight(trial: &Trial) -> usize {
    let map = |map: &std::collections::BTreeMap<String, String>| map.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let list = |list: &[(String, String)]| list.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let step = |step: &StepObservation| {
        let exchanges = step
            .exchanges
            .iter()
            .map(|e| e.url.len() + e.request_body.len() + e.response_body.len() + list(&e.request_headers) + list(&e.response_headers));
        map(&step.fields) + map(&step.sent) + step.note.len() + step.shape.len() + exchanges.sum::<usize>()
    };
    // Facts are shared by trials.
    map(&trial.variables) + trial.steps.iter().chain(trial.proof.as_deref()).map(step).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(name: &str) -> Trial {
        let mut trial = Trial { name: name.into(), ..Trial::default() };
        trial.variables.insert("verifier".into(), "x".repeat(100));
        trial
    }

    #[test]
    fn what_waits_on_the_disk_comes_back_as_it_was() {
        let spool = Spool::new(250);
        let put = |n: usize| spool.put(vec![trial(&n.to_string()), trial("again")]);
        let seen: Vec<Seen> = (0..20).map(put).collect();
        assert!(seen.iter().all(|s| s.last() == Some(&trial("again"))), "the last one is at hand");
        let kept: Vec<Attempts> = seen.into_iter().map(|s| spool.settle(s, |_| ())).collect();
        let in_memory = kept.iter().filter(|k| matches!(k, Attempts::Here(_))).count();
        assert_eq!(in_memory, 1, "the first fits, the others wait on the disk");
        for (n, attempts) in kept.iter().enumerate().rev() {
            let trials = attempts.load().expect("evidence");
            assert_eq!(trials.as_ref(), [trial(&n.to_string()), trial("again")]);
            assert!(!attempts.is_empty());
            let text = serde_json::to_string(attempts).expect("JSON");
            assert_eq!(text, serde_json::to_string(&trials).expect("JSON"), "the report has the same evidence either way");
        }
    }

    #[test]
    fn what_became_known_later_is_taken_out_wherever_it_waits() {
        for room in [0, 10_000] {
            let spool = Spool::new(room);
            let seen = spool.put(vec![trial("secret"), trial("plain")]);
            let clean = |trial: &mut Trial| trial.name = trial.name.replace("secret", "mark");
            let kept = spool.settle(seen, clean);
            assert_eq!(kept.load().expect("evidence").as_ref(), [trial("mark"), trial("plain")]);
        }
    }
}
