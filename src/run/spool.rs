//! Keeps the memory of a run flat: evidence beyond a part of a megabyte waits in a file without a name until the report is
//! written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::attempts::{Attempts, Place, Store};
use crate::model::observation::{Exchange, StepObservation, Trial};

/// Bytes of evidence that stay in memory: a run of a few attacks touches no disk.
pub const IN_MEMORY: usize = 128 << 10;

/// Where evidence goes.
#[derive(Debug)]
pub struct Spool(Mutex<Room>);

#[derive(Debug)]
struct Room {
    left: usize,
    file: Option<Arc<Stored>>,
}

/// The trials of a case that is still open.
#[derive(Debug, Default)]
pub struct Seen(Attempts);

/// What was written so far. The file is gone from its folder at once, and from the disk when the run ends, however it ends.
/// Only redacted evidence is ever in it.
#[derive(Debug)]
struct Stored(Mutex<File>);

impl Store for Stored {
    fn read(&self, place: Place) -> io::Result<String> {
        let mut bytes = vec![0; place.length];
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(place.offset))?;
        file.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

impl Spool {
    /// Keeps this many bytes in memory.
    pub fn new(in_memory: usize) -> Spool {
        Spool(Mutex::new(Room { left: in_memory, file: None }))
    }

    /// Puts a trial of a case aside when it ended, in memory while there is room. Where no file can be written, it stays in memory.
    pub fn put(&self, seen: &mut Seen, trial: Trial) {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut seen.0 {
            Attempts::Here(trials) => {
                let weight = weight(&trial);
                trials.push(trial);
                if let Some(left) = room.left.checked_sub(weight) {
                    room.left = left;
                } else if let Ok(stored) = room.store_all(trials) {
                    // The trials of one case are in one place.
                    room.left += trials.iter().rev().skip(1).map(self::weight).sum::<usize>();
                    seen.0 = stored;
                }
            }
            Attempts::Stored { places, .. } => match room.store(&trial) {
                Ok((_, place)) => places.push(place),
                Err(_) => seen.bring_back(trial),
            },
            Attempts::Text(_) => seen.bring_back(trial),
        }
    }

    /// Keeps the trials of a case for good, once `clean` has seen each of them.
    pub fn settle(&self, seen: Seen, clean: impl Fn(&mut Trial)) -> Attempts {
        let mut attempts = seen.0;
        if let Attempts::Here(trials) = &mut attempts {
            trials.iter_mut().for_each(clean);
            return attempts;
        }
        // What cannot be read back now is told by whoever needs it.
        let Ok(mut trials) = attempts.load().map(Cow::into_owned) else { return attempts };
        let before = trials.clone();
        trials.iter_mut().for_each(clean);
        if trials == before {
            return attempts;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).store_all(&trials).unwrap_or_else(|_| trials.into())
    }
}

impl Seen {
    /// Whether no trial was made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a trial that cannot be put aside: all of them are in memory then. Where they cannot be read back, whoever needs them tells why.
    fn bring_back(&mut self, trial: Trial) {
        if let Ok(mut trials) = self.0.load().map(Cow::into_owned) {
            trials.push(trial);
            self.0 = trials.into();
        }
    }
}

impl Room {
    fn store(&mut self, trial: &Trial) -> io::Result<(Arc<Stored>, Place)> {
        let text = serde_json::to_string(trial)?;
        let store = match &self.file {
            Some(store) => store.clone(),
            None => self.file.insert(Arc::new(Stored(Mutex::new(tempfile::tempfile()?)))).clone(),
        };
        let mut file = store.0.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = file.seek(SeekFrom::End(0))?;
        file.write_all(text.as_bytes())?;
        drop(file);
        Ok((store, Place { offset, length: text.len() }))
    }

    /// Some trials, at least one.
    fn store_all(&mut self, trials: &[Trial]) -> io::Result<Attempts> {
        let mut stored: Option<Arc<dyn Store>> = None;
        let mut places = Vec::with_capacity(trials.len());
        for trial in trials {
            let (store, place) = self.store(trial)?;
            stored.get_or_insert(store);
            places.push(place);
        }
        Ok(stored.map_or_else(Attempts::default, |store| Attempts::Stored { store, places }))
    }
}

/// About how many bytes of memory a trial takes.
fn weight(trial: &Trial) -> usize {
    // A text is three words and, on the heap, its bytes in whole blocks.
    let text = |text: &str| 40 + text.len();
    let pair = |(name, value): (&String, &String)| text(name) + text(value);
    let map = |map: &BTreeMap<String, String>| map.iter().map(pair).sum::<usize>();
    let list = |list: &[(String, String)]| list.iter().map(|(name, value)| pair((name, value))).sum::<usize>();
    let exchange = |e: &Exchange| {
        size_of::<Exchange>()
            + text(&e.url)
            + text(&e.request_body)
            + text(&e.response_body)
            + list(&e.request_headers)
            + list(&e.response_headers)
    };
    let step = |step: &StepObservation| {
        size_of::<StepObservation>()
            + map(&step.fields)
            + map(&step.sent)
            + text(&step.note)
            + text(&step.shape)
            + step.exchanges.iter().map(exchange).sum::<usize>()
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

    fn seen(spool: &Spool, names: &[&str]) -> Seen {
        let mut seen = Seen::default();
        names.iter().for_each(|name| spool.put(&mut seen, trial(name)));
        seen
    }

    #[test]
    fn a_case_that_outgrows_the_room_leaves_it_to_others() {
        let spool = Spool::new(2 * weight(&trial("")));
        let long = seen(&spool, &["1", "2", "3", "4"]);
        assert!(matches!(long.0, Attempts::Stored { .. }));
        assert!(matches!(seen(&spool, &["5", "6"]).0, Attempts::Here(_)), "its room is free again");
        let names: Vec<String> = spool.settle(long, |_| ()).load().expect("evidence").iter().map(|t| t.name.clone()).collect();
        assert_eq!(names, ["1", "2", "3", "4"]);
    }

    #[test]
    fn what_waits_on_the_disk_comes_back_as_it_was() {
        let spool = Spool::new(2 * weight(&trial("")));
        let seen: Vec<Seen> = (0..20).map(|n| seen(&spool, &[&n.to_string(), "again"])).collect();
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
            let seen = seen(&spool, &["secret", "plain"]);
            let clean = |trial: &mut Trial| trial.name = trial.name.replace("secret", "mark");
            let kept = spool.settle(seen, clean);
            assert_eq!(kept.load().expect("evidence").as_ref(), [trial("mark"), trial("plain")]);
        }
    }
}
