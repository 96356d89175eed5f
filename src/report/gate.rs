//! The exit code: one table, the same for every output format.

use crate::model::profile::{Level, Severity};
use crate::model::report::{Report, ScenarioVerdict};
use crate::model::verdict::Verdict;

/// The gate passes.
pub const PASSED: u8 = 0;
/// At least one broken defense at or above the threshold.
pub const BROKEN: u8 = 1;
/// Wrong arguments or files; nothing was sent.
pub const WRONG_INPUT: u8 = 2;
/// Nothing could be tested.
pub const NOT_TESTED: u8 = 3;
/// A required defense is undecided.
pub const UNDECIDED: u8 = 4;
/// A report could not be written.
pub const NOT_WRITTEN: u8 = 5;
/// An error of the program itself.
pub const INTERNAL: u8 = 70;
/// Interrupted by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM.
pub const TERMINATED: u8 = 143;

/// What fails the gate.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// None: nothing broken fails it.
    pub fail_on: Option<Severity>,
    /// A broken SHOULD fails as well.
    pub strict: bool,
    pub allow_inconclusive: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { fail_on: Some(Severity::Low), strict: false, allow_inconclusive: false }
    }
}

impl Gate {
    /// Whether this verdict alone fails the gate as broken.
    pub fn fails(&self, verdict: &ScenarioVerdict) -> bool {
        let counts = match verdict.level {
            Some(Level::Must) => true,
            Some(Level::Should) => self.strict,
            Some(Level::May) | None => false,
        };
        verdict.verdict == Verdict::Broken && counts && self.fail_on.is_some_and(|least| verdict.severity >= least)
    }

    /// A required defense about which nothing could be said.
    pub fn undecided(&self, verdict: &ScenarioVerdict) -> bool {
        let required = verdict.level == Some(Level::Must) || self.strict && verdict.level == Some(Level::Should);
        // What another finding explains is decided there.
        let open = verdict.verdict == Verdict::Inconclusive && verdict.implied_by.is_none();
        let skipped = verdict.verdict == Verdict::Skipped && verdict.selected;
        required && (open || skipped)
    }

    pub fn code(&self, report: &Report) -> u8 {
        if report.verdicts.iter().any(|v| self.fails(v)) {
            BROKEN
        } else if report.fatal.is_some() {
            NOT_TESTED
        } else if !self.allow_inconclusive && report.verdicts.iter().any(|v| self.undecided(v)) {
            UNDECIDED
        } else {
            PASSED
        }
    }
}
