//! `--trace`: each trial as a HAR file, written when it ends, so that what was seen is there also when the run is not.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::observation::Trial;
use crate::report::har;

use super::Failure;
use super::outputs::{self, slug};

/// A folder of HAR files.
#[derive(Debug)]
pub struct Trace {
    folder: PathBuf,
    kept: AtomicUsize,
    /// The first thing that went wrong.
    error: Mutex<Option<String>>,
}

impl Trace {
    /// Makes the folder, and tries whether it can be written.
    ///
    /// # Errors
    /// It cannot (5).
    pub fn open(folder: &Path) -> Result<Trace, Failure> {
        // Whether it could be made is found out with the file in it.
        let _ = std::fs::create_dir_all(folder);
        outputs::writable(&folder.join("0000.har"))?;
        Ok(Trace { folder: folder.to_owned(), kept: AtomicUsize::new(0), error: Mutex::new(None) })
    }

    pub fn keep(&self, trial: &Trial) {
        let number = self.kept.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.folder.join(format!("{number:04}-{}.har", slug(&trial.name)));
        if let Err(failure) = outputs::write(&path, |out| har::trial(trial, jiff::Timestamp::now(), out)) {
            self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure.message);
        }
    }

    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
