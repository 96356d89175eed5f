//! Which flaws a lab has looked for while it served: what never asks for a flaw is answered by a lab with it as by the strict one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Flaw;

/// The flaws that were looked for.
#[derive(Debug)]
pub(super) struct Asked(Vec<AtomicBool>);

impl Asked {
    pub(super) fn new() -> Asked {
        Asked(Flaw::ALL.iter().map(|_| AtomicBool::new(false)).collect())
    }

    pub(super) fn note(&self, flaw: Flaw) {
        if let Some(asked) = self.0.get(flaw as usize) {
            asked.store(true, Ordering::Relaxed);
        }
    }

    /// As all of them, for what shows every flaw that is on.
    pub(super) fn note_all(&self) {
        Flaw::ALL.iter().for_each(|flaw| self.note(*flaw));
    }

    pub(super) fn flaws(&self) -> BTreeSet<Flaw> {
        Flaw::ALL.iter().copied().filter(|flaw| self.0.get(*flaw as usize).is_some_and(|asked| asked.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flaw_is_noted_as_itself() {
        for flaw in Flaw::ALL {
            let asked = Asked::new();
            asked.note(*flaw);
            assert_eq!(asked.flaws(), BTreeSet::from([*flaw]));
        }
    }
}
