//! `run` and `judge`: recording → report → gate.

use std::sync::Arc;

use crate::lab::LabConfig;
use crate::model::report::{Recording, Report};
use crate::model::scenario::Risk;
use crate::report;
use crate::run::{Options, Watcher};
use crate::target::Target;

use super::args::{Judge, RiskName, Run, When};
use super::colour::Colour;
use super::drive;
use super::outputs::{self, Outputs};
use super::progress::Watch;
use super::rules::Rules;
use super::trace::Trace;
use super::{Failure, inputs};

/// The file in a recording's directory.
const RECORDING: &str = "recording.json";

/// # Errors
/// Wrong input (2), or a report that could not be written (5).
pub fn run(arguments: &Run, colour: Colour) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.choose.scenarios.as_deref())?;
    let selected = inputs::selected(catalogue.scenarios.values(), &arguments.choose, Some(arguments.choose.profile()))?;
    let (flaws, habits) = (inputs::flaws(&arguments.flaw)?, inputs::habits(&arguments.habit)?);
    if !(flaws.is_empty() && habits.is_empty()) && arguments.target.is_some() {
        return Err(Failure::input(
            "error: --flaw and --habit are switches of the embedded lab, and there is a target\n  = help: leave out --target, and unset GRANTPROOF_TARGET",
        ));
    }
    let target = match &arguments.target {
        Some(path) => Some(crate::target::load::from_file(path).map_err(|list| inputs::diagnostics(&list))?),
        None => None,
    };
    let name = target.as_ref().map_or_else(|| lab_name([&arguments.flaw, &arguments.habit]), |t| t.name.clone());
    let shown = target.as_ref().map_or_else(|| inputs::lab_name(&flaws, &habits), |t| t.name.clone());
    let key = arguments.sealing.sign_key.as_deref();
    let rules = Rules::load(&arguments.gate, key, &catalogue, &shown, target.as_ref().map(|t| &t.waivers))?;
    let outputs = Outputs::open(&arguments.output, Some(&name))?;
    if let Some(dir) = &arguments.record {
        let path = dir.join(RECORDING);
        // Whether it could be made is found out with the file in it.
        let _ = std::fs::create_dir_all(dir);
        outputs::writable(&path)?;
    }
    let trace = arguments.trace.as_deref().map(Trace::open).transpose()?;
    let watch = Arc::new(Watch::new(arguments.progress, arguments.output.quiet, arguments.output.verbose, trace));
    let options = Options {
        profile: arguments.choose.profile(),
        partition: arguments.choose.partition()?.map(|(k, n)| format!("{k}/{n}")),
        allow: allowed(&arguments.allow, target.as_ref()),
        keep_going: arguments.keep_going,
        repeat: arguments.repeat,
        patience: arguments.slow.unwrap_or(crate::run::PATIENCE),
        clean_up: match arguments.clean_up {
            When::Always => true,
            When::Never => false,
            When::Auto => target.as_ref().is_some_and(|t| !t.is_loopback()),
        },
        evidence: outputs.evidence(),
        in_memory: crate::run::IN_MEMORY,
        watcher: (arguments.output.verbose > 0 || arguments.trace.is_some()).then(|| watch.clone() as Arc<dyn Watcher>),
    };
    let driven = drive::drive(&catalogue, &selected, target, LabConfig { flaws, habits, ..LabConfig::default() }, &options, &watch)?;
    let (recording, signal) = (driven.recording, driven.signal);
    if let Some(error) = watch.trace_error() {
        eprintln!("warning: not all of the trace is kept: {error}");
    }
    if let Some(dir) = &arguments.record {
        outputs::write(&dir.join(RECORDING), |out| serde_json::to_writer_pretty(out, &recording).map_err(std::io::Error::other))?;
    }
    let report = report::build::report(&catalogue, recording).map_err(Failure::lost_evidence)?;
    let (report, code) = held(report, &rules, &outputs)?;
    outputs.write(std::slice::from_ref(&report), colour, rules.key())?;
    if arguments.timings {
        eprint!("{}", report::timings::text(&report));
    }
    // The process ends here, and with it all evidence: taking it apart piece by piece would only take time.
    std::mem::forget(report);
    Ok(signal.unwrap_or(code))
}

/// # Errors
/// As [`run`].
pub fn judge(arguments: &Judge, colour: Colour) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.scenarios.as_deref())?;
    let path = arguments.dir.join(RECORDING);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Failure::input(format!("error: {}: {e}\n  = help: give a directory that `grantproof run --record DIR` wrote", path.display()))
    })?;
    let recording: Recording =
        serde_json::from_str(&text).map_err(|e| Failure::input(format!("error: {}:{}:{}: {e}", path.display(), e.line(), e.column())))?;
    if recording.run.catalogue_digest != catalogue.digest {
        eprintln!("warning: the recording was made with another catalogue; what was not recorded is inconclusive");
    }
    let rules = Rules::load(&arguments.gate, arguments.sealing.sign_key.as_deref(), &catalogue, &recording.target.name, None)?;
    let outputs = Outputs::open(&arguments.output, None)?;
    let report = report::build::report(&catalogue, recording).map_err(|e| Failure::input(format!("error: {}: {e}", path.display())))?;
    let (report, code) = held(report, &rules, &outputs)?;
    outputs.write(std::slice::from_ref(&report), colour, rules.key())?;
    Ok(code)
}

/// Report → gate, and the seal where an output has it.
fn held(mut report: Report, rules: &Rules, outputs: &Outputs) -> Result<(Report, u8), Failure> {
    let code = rules.apply(&mut report);
    if outputs.have_seal() {
        rules.seal(&mut report)?;
    }
    Ok((report, code))
}

/// The lab's name with its switches, for a file.
fn lab_name(switches: [&[String]; 2]) -> String {
    std::iter::once("lab").chain(switches.into_iter().flatten().map(String::as_str)).collect::<Vec<_>>().join("-")
}

/// Loopback targets are the user's own: what is noisy there harms nobody.
pub fn allowed(names: &[RiskName], target: Option<&Target>) -> Risk {
    let least = if target.is_none_or(Target::is_loopback) { Risk::Noisy } else { Risk::Safe };
    let asked = names.iter().map(|name| match name {
        RiskName::Noisy => Risk::Noisy,
        RiskName::Destructive => Risk::Destructive,
    });
    asked.max().unwrap_or(least).max(least)
}
