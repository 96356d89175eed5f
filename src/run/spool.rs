//! Keeps the memory of a run flat: evidence beyond a part of a megabyte waits in a file without a name until the report is
//! written.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::Sweeper;
use crate::model::attempts::{Attempts, Place, Store, parsed};
use crate::model::observation::{Exchange, StepObservation, Trial};

/// Bytes of evidence that stay in memory: a run of a few attacks touches no disk.
pub const IN_MEMORY: usize = 128 << 10;

/// Bytes that are written at once.
const PENDING: usize = 32 << 10;

/// Where evidence goes.
#[derive(Debug)]
pub struct Spool {
    room: Mutex<Room>,
    sweeper: Sweeper,
}

#[derive(Debug)]
struct Room {
    left: usize,
    file: Option<Arc<Stored>>,
}

/// The trials of a case that is still open.
#[derive(Debug, Default)]
pub struct Seen(Attempts);

/// What was written so far. The file is gone from its folder at once, and from the disk when the run ends, however it ends.
/// Only redacted evidence is ever in it; what became known as a secret later is taken out by whoever reads it, after the run.
#[derive(Debug)]
struct Stored {
    file: Mutex<Written>,
    sweeper: Sweeper,
    /// Where there is nothing to take out.
    clean: Mutex<HashSet<u64>>,
}

/// A file that grows at its end, several trials at a time.
#[derive(Debug)]
struct Written {
    file: File,
    length: u64,
    /// What comes behind that. Where it cannot be written, it stays here.
    pending: Vec<u8>,
}

impl Written {
    fn add(&mut self, text: &[u8]) -> io::Result<Place> {
        if !self.pending.is_empty() && self.pending.len() + text.len() > PENDING {
            self.file.seek(SeekFrom::Start(self.length))?;
            self.file.write_all(&self.pending)?;
            self.length += self.pending.len() as u64;
            self.pending.clear();
        }
        let place = Place { offset: self.length + self.pending.len() as u64, length: text.len() };
        self.pending.extend_from_slice(text);
        Ok(place)
    }

    fn read(&mut self, place: Place) -> io::Result<Vec<u8>> {
        if let Some(at) = place.offset.checked_sub(self.length) {
            let start = usize::try_from(at).map_err(io::Error::other)?;
            let bytes = self.pending.get(start..start + place.length);
            return bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; place.length];
        self.file.seek(SeekFrom::Start(place.offset))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Stored {
    fn bytes(&self, place: Place) -> io::Result<String> {
        let bytes = self.file.lock().unwrap_or_else(PoisonError::into_inner).read(place)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    fn is_clean(&self, place: Place) -> bool {
        self.clean.lock().unwrap_or_else(PoisonError::into_inner).contains(&place.offset)
    }

    /// Whether anything was taken out.
    fn swept(&self, trial: &mut Trial, place: Place) -> bool {
        let found = self.sweeper.trial(trial);
        if !found {
            self.clean.lock().unwrap_or_else(PoisonError::into_inner).insert(place.offset);
        }
        found
    }
}

impl Store for Stored {
    fn trial(&self, place: Place) -> io::Result<Trial> {
        let mut trial = parsed(&self.bytes(place)?)?;
        if !self.is_clean(place) {
            self.swept(&mut trial, place);
        }
        Ok(trial)
    }

    fn text(&self, place: Place) -> io::Result<String> {
        let text = self.bytes(place)?;
        if self.is_clean(place) {
            return Ok(text);
        }
        let mut trial = parsed(&text)?;
        if self.swept(&mut trial, place) { Ok(serde_json::to_string(&trial)?) } else { Ok(text) }
    }
}

impl Spool {
    /// Keeps this many bytes in memory.
    pub fn new(in_memory: usize, sweeper: Sweeper) -> Spool {
        Spool { room: Mutex::new(Room { left: in_memory, file: None }), sweeper }
    }

    /// Puts a trial of a case aside when it ended, in memory while there is room. Where no file can be written, it stays in memory.
    pub fn put(&self, seen: &mut Seen, trial: Trial) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut seen.0 {
            Attempts::Here(trials) => {
                let weight = weight(&trial);
                trials.push(trial);
                if let Some(left) = room.left.checked_sub(weight) {
                    room.left = left;
                } else if let Ok(stored) = room.store_all(trials, &self.sweeper) {
                    // The trials of one case are in one place.
                    room.left += trials.iter().rev().skip(1).map(self::weight).sum::<usize>();
                    seen.0 = stored;
                }
            }
            Attempts::Stored { places, .. } => match room.store(&trial, &self.sweeper) {
                Ok((_, place)) => places.push(place),
                Err(_) => seen.bring_back(trial),
            },
            Attempts::Text(_) => seen.bring_back(trial),
        }
    }
}

impl From<Seen> for Attempts {
    fn from(seen: Seen) -> Attempts {
        seen.0
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
    fn store(&mut self, trial: &Trial, sweeper: &Sweeper) -> io::Result<(Arc<Stored>, Place)> {
        let text = serde_json::to_string(trial)?;
        let store = match &self.file {
            Some(store) => store.clone(),
            None => {
                let file = Mutex::new(Written { file: tempfile::tempfile()?, length: 0, pending: Vec::new() });
                self.file.insert(Arc::new(Stored { file, sweeper: sweeper.clone(), clean: Mutex::default() })).clone()
            }
        };
        let place = store.file.lock().unwrap_or_else(PoisonError::into_inner).add(text.as_bytes())?;
        Ok((store, place))
    }

    /// Some trials, at least one.
    fn store_all(&mut self, trials: &[Trial], sweeper: &Sweeper) -> io::Result<Attempts> {
        let mut stored: Option<Arc<dyn Store>> = None;
        let mut places = Vec::with_capacity(trials.len());
        for trial in trials {
            let (store, place) = self.store(trial, sweeper)?;
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
    use crate::redact::Redactor;

    fn trial(name: &str) -> Trial {
        let mut trial = Trial { name: name.into(), ..Trial::default() };
        trial.variables.insert("verifier".into(), "x".repeat(100));
        trial
    }

    fn spool(in_memory: usize) -> (Spool, Redactor) {
        let redactor = Redactor::default();
        (Spool::new(in_memory, Sweeper::new(redactor.clone())), redactor)
    }

    fn seen(spool: &Spool, names: &[&str]) -> Attempts {
        let mut seen = Seen::default();
        names.iter().for_each(|name| spool.put(&mut seen, trial(name)));
        seen.into()
    }

    #[test]
    fn a_case_that_outgrows_the_room_leaves_it_to_others() {
        let (spool, _) = spool(2 * weight(&trial("")));
        let long = seen(&spool, &["1", "2", "3", "4"]);
        assert!(matches!(long, Attempts::Stored { .. }));
        assert!(matches!(seen(&spool, &["5", "6"]), Attempts::Here(_)), "its room is free again");
        let names: Vec<String> = long.load().expect("evidence").iter().map(|t| t.name.clone()).collect();
        assert_eq!(names, ["1", "2", "3", "4"]);
    }

    #[test]
    fn what_waits_on_the_disk_comes_back_as_it_was() {
        let (spool, _) = spool(2 * weight(&trial("")));
        let kept: Vec<Attempts> = (0..20).map(|n| seen(&spool, &[&n.to_string(), "again"])).collect();
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
    fn more_than_is_written_at_once_comes_back() {
        let (spool, _) = spool(0);
        let long = |name: &str| {
            let mut trial = trial(name);
            trial.variables.insert("long".into(), name.repeat(PENDING / 3));
            trial
        };
        let kept: Vec<Attempts> = (0..9)
            .map(|n| {
                let mut seen = Seen::default();
                spool.put(&mut seen, long(&n.to_string()));
                spool.put(&mut seen, trial("short"));
                seen.into()
            })
            .collect();
        for (n, attempts) in kept.iter().enumerate() {
            assert_eq!(attempts.load().expect("evidence").as_ref(), [long(&n.to_string()), trial("short")]);
        }
    }

    /// Read as trials or as text, and again after that.
    #[test]
    fn what_became_known_later_is_not_read_back() {
        const SECRET: &str = "kX3-tYq9_Lw0";
        let foretold = |name: &str| {
            let mut trial = trial(name);
            trial.variables.insert("seen".into(), format!("next: {SECRET}"));
            trial
        };
        for text_first in [false, true] {
            let (spool, redactor) = spool(0);
            let mut seen = Seen::default();
            spool.put(&mut seen, foretold("1"));
            spool.put(&mut seen, trial("2"));
            let kept = Attempts::from(seen);
            redactor.learn("code", SECRET);
            for round in 0..4 {
                if (round % 2 == 0) == text_first {
                    let text = serde_json::to_string(&kept).expect("JSON");
                    assert!(!text.contains(SECRET) && text.contains("next: ‹code"), "{text}");
                } else {
                    let trials = kept.load().expect("evidence");
                    assert!(trials[0].variables["seen"].starts_with("next: ‹code"), "{trials:?}");
                    assert_eq!(trials[1], trial("2"));
                }
            }
        }
    }
}
