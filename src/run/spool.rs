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
pub struct Spool {
    left: usize,
    file: Option<Arc<Stored>>,
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
        Spool { left: in_memory, file: None }
    }

    /// Keeps the trials of a case, in memory while there is room. Where no file can be written, they stay in memory.
    pub fn keep(&mut self, trials: Vec<Trial>) -> Attempts {
        let weight = trials.iter().map(weight).sum();
        if let Some(left) = self.left.checked_sub(weight) {
            self.left = left;
            return trials.into();
        }
        self.store(&trials).unwrap_or_else(|_| trials.into())
    }

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
    map(&trial.facts) + map(&trial.variables) + trial.steps.iter().chain(trial.proof.as_deref()).map(step).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(name: &str) -> Trial {
        let mut trial = Trial { name: name.into(), ..Trial::default() };
        std::sync::Arc::make_mut(&mut trial.facts).insert("issuer".into(), "x".repeat(100));
        trial
    }

    #[test]
    fn what_waits_on_the_disk_comes_back_as_it_was() {
        let mut spool = Spool::new(250);
        let kept: Vec<Attempts> = (0..20).map(|n| spool.keep(vec![trial(&n.to_string()), trial("again")])).collect();
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
}
