//! What the gate goes by: threshold, waivers, baseline and the key that signs. All of it is read before anything is sent.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use crate::model::profile::Severity;
use crate::model::report::{Report, Waived};
use crate::report::gate::{self, Gate};
use crate::report::{baseline, integrity, read, signing, waive};
use crate::scenario::catalogue::Catalogue;
use crate::target::waivers::{Known, Waiver, Waivers};

use super::args::{FailOn, GateArguments};
use super::{Failure, inputs};

pub struct Rules {
    pub gate: Gate,
    waivers: Vec<Waiver>,
    /// The file as it was named, and the report of the same target in it.
    baseline: Option<(String, Box<Report>)>,
    key: Option<SigningKey>,
    exit_zero: bool,
}

impl Rules {
    /// Reads what the arguments name, for a target of this name with the waivers of its own file.
    ///
    /// # Errors
    /// Wrong, expired or outdated waivers, an unreadable baseline or key (2).
    pub fn load(
        arguments: &GateArguments,
        key: Option<&Path>,
        catalogue: &Catalogue,
        target: &str,
        own: Option<&Waivers>,
    ) -> Result<Rules, Failure> {
        let waivers = if arguments.no_waivers { Vec::new() } else { waivers(&arguments.waivers, catalogue, target, own)? };
        let baseline = match &arguments.baseline {
            Some(path) => {
                let reports = read::file(path).map_err(Failure::input)?;
                let names: Vec<String> = reports.iter().map(|r| r.target.name.clone()).collect();
                // The lab is one target, whatever is switched on in it.
                let lab = |name: &str| name == "lab" || name.starts_with("lab (");
                let same = |r: &Report| r.target.name == target || r.target.source == inputs::LAB && lab(target);
                let report = reports.into_iter().find(same).ok_or_else(|| {
                    Failure::input(format!(
                        "error: {}: there is no report of the target `{}` in the baseline; it has: {}\n  = help: give an earlier JSON report of the same target",
                        path.display(),
                        crate::report::safe::terminal(target),
                        crate::report::safe::terminal(&names.join(", "))
                    ))
                })?;
                Some((path.display().to_string(), Box::new(report)))
            }
            None => None,
        };
        let key = key.map(sign_key).transpose()?;
        Ok(Rules { gate: gate_of(arguments), waivers, baseline, key, exit_zero: arguments.exit_zero })
    }

    /// Marks what is waived and what the baseline knew, and asks the gate.
    pub fn apply(&self, report: &mut Report) -> u8 {
        let waived: Vec<Waived> = self.waivers.iter().map(|w| w.waived.clone()).collect();
        let unneeded = waive::waive(report, &waived);
        if let Some((file, earlier)) = &self.baseline {
            baseline::hold_against(report, earlier, file);
        }
        let mut outcome = self.gate.outcome(report);
        for waiver in unneeded.iter().filter_map(|index| self.waivers.get(*index)) {
            outcome.unneeded_waivers.push(waiver.waived.id.clone());
            eprintln!(
                "error: the waiver of `{}` is not needed any more: it was tried, and is no finding\n  --> {}\n  = help: remove the waiver",
                waiver.waived.id, waiver.place
            );
        }
        if !outcome.unneeded_waivers.is_empty() && matches!(outcome.exit_code, gate::PASSED | gate::UNDECIDED) {
            outcome.exit_code = gate::WRONG_INPUT;
            outcome.words += &format!("; waivers that are not needed any more: {}", outcome.unneeded_waivers.join(", "));
        }
        let code = outcome.exit_code;
        report.gate = Some(outcome);
        if self.exit_zero && matches!(code, gate::BROKEN | gate::UNDECIDED) { gate::PASSED } else { code }
    }

    /// Seals a report that is complete.
    ///
    /// # Errors
    /// Evidence that cannot be read back (70).
    pub fn seal(&self, report: &mut Report) -> Result<(), Failure> {
        integrity::seal(report, self.key.as_ref()).map_err(Failure::lost_evidence)
    }

    pub fn key(&self) -> Option<&SigningKey> {
        self.key.as_ref()
    }
}

fn waivers(files: &[PathBuf], catalogue: &Catalogue, target: &str, own: Option<&Waivers>) -> Result<Vec<Waiver>, Failure> {
    let mut all: Vec<Waivers> = own.filter(|w| !w.list.is_empty()).cloned().into_iter().collect();
    for path in files {
        all.push(Waivers::from_file(path).map_err(|list| inputs::diagnostics(&list))?);
    }
    checked(&all, catalogue, target)
}

/// # Errors
/// Every waiver that is not in order.
pub fn checked(all: &[Waivers], catalogue: &Catalogue, target: &str) -> Result<Vec<Waiver>, Failure> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = catalogue
        .scenarios
        .values()
        .flat_map(|s| std::iter::once(s.id.clone()).chain(s.attacks.iter().map(|a| format!("{}/{}", s.id, a.id))))
        .collect();
    let digest = |id: &str| catalogue.scenarios.get(id).map(|s| s.digest.clone());
    let known = Known { digest: &digest, ids: &ids };
    let today = jiff::Zoned::now().date();
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for waivers in all {
        match waivers.checked(target, today, &known) {
            Ok(list) => good.extend(list),
            Err(list) => wrong.extend(list),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(inputs::diagnostics(&wrong)) }
}

fn gate_of(arguments: &GateArguments) -> Gate {
    let fail_on = match arguments.fail_on {
        FailOn::Info => Some(Severity::Info),
        FailOn::Low => Some(Severity::Low),
        FailOn::Medium => Some(Severity::Medium),
        FailOn::High => Some(Severity::High),
        FailOn::Critical => Some(Severity::Critical),
        FailOn::Never => None,
    };
    Gate { fail_on, strict: arguments.strict, allow_inconclusive: arguments.allow_inconclusive }
}

/// # Errors
/// A file that cannot be read, or holds no key; what is in it is never shown.
pub fn sign_key(path: &Path) -> Result<SigningKey, Failure> {
    let wrong = |why: &str| {
        Failure::input(format!("error: --sign-key {}: {why}\n  = help: `grantproof keygen NAME` makes a key in NAME.key", path.display()))
    };
    let pem = std::fs::read_to_string(path).map_err(|e| wrong(&e.to_string()))?;
    signing::private(&pem).map_err(wrong)
}
