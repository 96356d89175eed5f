//! The exit code: one table, the same for every output format.

use crate::model::profile::{Level, Severity};
use crate::model::report::{GateOutcome, Report, ScenarioVerdict, Since};
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
        verdict.verdict == Verdict::Broken && counts && self.fail_on.is_some_and(|least| verdict.severity >= least) && !accepted(verdict)
    }

    /// A required defense about which nothing could be said.
    pub fn undecided(&self, verdict: &ScenarioVerdict) -> bool {
        let required = verdict.level == Some(Level::Must) || self.strict && verdict.level == Some(Level::Should);
        // What another finding explains is decided there.
        let open = verdict.verdict == Verdict::Inconclusive && verdict.implied_by.is_none();
        // Whether a run waits is its owner's choice, and no lack of the target file.
        let skipped = verdict.verdict == Verdict::Skipped && verdict.selected && verdict.not_waited.is_none();
        required && (open || skipped) && !accepted(verdict)
    }

    /// What it says of a report.
    pub fn outcome(&self, report: &Report) -> GateOutcome {
        let ids = |takes: &dyn Fn(&ScenarioVerdict) -> bool| -> Vec<String> {
            report.verdicts.iter().filter(|v| takes(v)).map(|v| v.id.clone()).collect()
        };
        let (failing, undecided) = (ids(&|v| self.fails(v)), ids(&|v| self.undecided(v)));
        let exit_code = if !failing.is_empty() {
            BROKEN
        } else if report.fatal.is_some() {
            NOT_TESTED
        } else if !self.allow_inconclusive && !undecided.is_empty() {
            UNDECIDED
        } else {
            PASSED
        };
        let broken = |v: &&ScenarioVerdict| v.verdict == Verdict::Broken;
        let words = match exit_code {
            BROKEN => {
                let causes = report.verdicts.iter().filter(|v| self.fails(v) && v.implied_by.is_none()).count();
                format!("failed: {} broken", causes.max(1))
            }
            NOT_TESTED => "nothing was judged".to_owned(),
            UNDECIDED => format!("undecided: {} required and not decided", undecided.len()),
            _ => {
                let (accepted, below): (Vec<_>, Vec<_>) = report.verdicts.iter().filter(broken).partition(|v| accepted(v));
                let mut words = "passed".to_owned();
                for (count, what) in [(below.len(), "broken below what fails the gate"), (accepted.len(), "broken, known and accepted")] {
                    if count > 0 {
                        words += &format!("; {count} {what}");
                    }
                }
                words
            }
        };
        GateOutcome {
            fail_on: self.fail_on,
            strict: self.strict,
            allow_inconclusive: self.allow_inconclusive,
            exit_code,
            words,
            failing,
            undecided,
            unneeded_waivers: Vec::new(),
        }
    }
}

/// Waived, or no worse than in the baseline.
fn accepted(verdict: &ScenarioVerdict) -> bool {
    verdict.waived.is_some() || matches!(verdict.since_baseline, Some(Since::Same | Since::Better))
}

/// What the gate said of a report; reports from before it was kept are held against the default gate.
pub fn of(report: &Report) -> GateOutcome {
    report.gate.clone().unwrap_or_else(|| Gate::default().outcome(report))
}
