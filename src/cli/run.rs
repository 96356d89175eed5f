//! `run` and `judge`: recording → report → gate.

use std::path::{Path, PathBuf};

use crate::lab::LabConfig;
use crate::model::report::{Recording, Report};
use crate::model::scenario::Risk;
use crate::report::gate::{self, Gate};
use crate::report::{self, Format, terminal};
use crate::run::{Options, Stop};
use crate::target::Target;

use super::args::{FailOn, GateArguments, Judge, Output, RiskName, Run, When};
use super::colour::Colour;
use super::progress::Watch;
use super::{Failure, inputs, print};

/// Where reports go that were given no name.
pub const FOLDER: &str = "reports";

/// The file in a recording's directory.
const RECORDING: &str = "recording.json";

/// # Errors
/// Wrong input (2), or a report that could not be written (5).
pub fn run(arguments: &Run, colour: Colour) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.choose.scenarios.as_deref())?;
    let selected = inputs::selected(&catalogue, &arguments.choose)?;
    let flaws = inputs::flaws(&arguments.flaw)?;
    if !flaws.is_empty() && arguments.target.is_some() {
        return Err(Failure::input(
            "error: --flaw switches on a flaw of the embedded lab, and there is a target\n  = help: leave out --target, and unset GRANTPROOF_TARGET",
        ));
    }
    let target = match &arguments.target {
        Some(path) => Some(crate::target::load::from_file(path).map_err(|list| inputs::diagnostics(&list))?),
        None => None,
    };
    let name = target.as_ref().map_or_else(|| lab_name(&arguments.flaw), |t| t.name.clone());
    let outputs = Outputs::open(&arguments.output, Some(&name), arguments.record.as_deref())?;
    let options = Options {
        profile: arguments.choose.profile,
        allow: allowed(&arguments.allow, target.as_ref()),
        keep_going: arguments.keep_going,
        repeat: arguments.repeat,
        clean_up: match arguments.clean_up {
            When::Always => true,
            When::Never => false,
            When::Auto => target.as_ref().is_some_and(|t| !t.is_loopback()),
        },
        evidence: outputs.evidence(),
    };
    let watch = Watch::new(arguments.progress);
    let stop = Stop::default();
    // The lab lives on threads of its own, as any server does, until the run is over.
    let (target, _lab) = match target {
        Some(target) => (target, None),
        None => {
            let threads = super::server_runtime()?;
            let lab = threads.block_on(inputs::start_lab(LabConfig { flaws: flaws.clone(), ..LabConfig::default() }))?;
            (inputs::lab_target(&lab, &flaws), Some((lab, threads)))
        }
    };
    let (recording, signal) = super::runtime()?.block_on(async {
        let signal = watch_signals(&stop);
        let recording = crate::run::run(&catalogue, &selected, &target, &options, &stop, &|event| watch.tell(&event)).await;
        (recording, signal.code())
    });
    watch.finish();
    if let Some(dir) = &arguments.record {
        let text = serde_json::to_string_pretty(&recording).map_err(|e| Failure { code: gate::INTERNAL, message: e.to_string() })?;
        write(&dir.join(RECORDING), &text)?;
    }
    let report = report::build::report(&catalogue, recording);
    let code = outputs.write(&report, gate_of(&arguments.gate), colour)?;
    if arguments.timings {
        eprint!("{}", report::timings::text(&report));
    }
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
    let outputs = Outputs::open(&arguments.output, None, None)?;
    let report = report::build::report(&catalogue, recording);
    outputs.write(&report, gate_of(&arguments.gate), colour)
}

/// The lab's name with its flaws, for a file.
fn lab_name(flaws: &[String]) -> String {
    std::iter::once("lab").chain(flaws.iter().map(String::as_str)).collect::<Vec<_>>().join("-")
}

/// A name as a file name: small letters, digits and hyphens.
pub fn slug(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = plain.split('-').filter(|w| !w.is_empty()).collect();
    if words.is_empty() { "report".into() } else { words.join("-").chars().take(80).collect() }
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

fn gate_of(arguments: &GateArguments) -> Gate {
    use crate::model::profile::Severity;
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

/// Where the report goes. Paths are tried before anything is sent: an hour of testing must not end at a full disk or a
/// missing directory.
struct Outputs {
    format: &'static Format,
    files: Vec<(&'static Format, PathBuf)>,
    verbose: bool,
}

impl Outputs {
    /// `target` names the files that no name was given for; None: none is written by itself.
    fn open(arguments: &Output, target: Option<&str>, record: Option<&Path>) -> Result<Outputs, Failure> {
        let known = || report::FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
        let by_name = |name: &str| {
            Format::by_name(name).ok_or_else(|| Failure::input(format!("error: no format `{name}`\n  = help: known are: {}", known())))
        };
        let format = by_name(&arguments.format)?;
        let mut files = Vec::new();
        let beside = |format: &Format| Path::new(FOLDER).join(format!("{}.{}", slug(target.unwrap_or("report")), format.extension));
        for entry in &arguments.report {
            let (format, path) = match entry.split_once('=') {
                Some((name, path)) if !path.is_empty() => (by_name(name)?, PathBuf::from(path)),
                Some(_) => {
                    return Err(Failure::input(format!(
                        "error: --report {entry}\n  = help: write FORMAT=FILE, for example json=reports/out.json"
                    )));
                }
                None => (by_name(entry)?, beside(by_name(entry)?)),
            };
            files.push((format, path));
        }
        let by_itself = arguments.report.is_empty() && !arguments.no_report && target.is_some() && Path::new(FOLDER).is_dir();
        if by_itself {
            files.push((by_name("json")?, beside(by_name("json")?)));
        } else if arguments.report.iter().any(|entry| !entry.contains('=')) {
            // Whether it can be made is found out with the files below.
            let _ = std::fs::create_dir(FOLDER);
        }
        let unwritable = |path: &Path, error: std::io::Error| Failure {
            code: gate::NOT_WRITTEN,
            message: format!("fatal: {} cannot be written: {error}\n  nothing was sent", path.display()),
        };
        for (_, path) in &files {
            std::fs::OpenOptions::new().append(true).create(true).open(path).map_err(|e| unwritable(path, e))?;
        }
        if let Some(dir) = record {
            std::fs::create_dir_all(dir).map_err(|e| unwritable(dir, e))?;
            let path = dir.join(RECORDING);
            std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(|e| unwritable(&path, e))?;
        }
        Ok(Outputs { format, files, verbose: arguments.verbose })
    }

    /// The folder beside the report for pictures of logins that fail: named like it, with `-login` behind.
    fn evidence(&self) -> Option<PathBuf> {
        let (_, path) = self.files.first()?;
        Some(path.with_file_name(format!("{}-login", path.file_stem()?.to_string_lossy())))
    }

    fn write(&self, report: &Report, gate: Gate, colour: Colour) -> Result<u8, Failure> {
        for (format, path) in &self.files {
            write(path, &(format.write)(report))?;
        }
        let text = match self.format.name {
            "terminal" => terminal::write(report, terminal::Style { colour: colour.stdout, verbose: self.verbose, gate }),
            _ => (self.format.write)(report),
        };
        print(&text)?;
        if self.format.name == "terminal" {
            for (_, path) in &self.files {
                print(&format!("report: {}\n", path.display()))?;
            }
        }
        Ok(gate.code(report))
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed =
        |e: std::io::Error| Failure { code: gate::NOT_WRITTEN, message: format!("fatal: {} cannot be written: {e}", path.display()) };
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        // A pipe or a device cannot be replaced.
        return std::fs::write(path, text).map_err(failed);
    }
    // Two runs may write the same report: each has a part of its own, and the last one stays.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).map_err(failed)
}

/// The exit code of a signal that came.
#[derive(Clone, Default)]
struct Signal(std::sync::Arc<std::sync::atomic::AtomicU8>);

impl Signal {
    fn code(&self) -> Option<u8> {
        Some(self.0.load(std::sync::atomic::Ordering::SeqCst)).filter(|code| *code != 0)
    }
}

/// The first signal ends the run after the requests that are under way; the second ends the program.
fn watch_signals(stop: &Stop) -> Signal {
    let signal = Signal::default();
    let (own, stop) = (signal.clone(), stop.clone());
    tokio::spawn(async move {
        loop {
            let code = next_signal().await;
            if own.code().is_some() {
                std::process::exit(i32::from(code));
            }
            own.0.store(code, std::sync::atomic::Ordering::SeqCst);
            stop.stop("stopped by the user");
            eprintln!("\nstopping: the report of what was measured follows; once more to end at once");
        }
    });
    signal
}

#[cfg(unix)]
async fn next_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => gate::INTERRUPTED,
            _ = terminate.recv() => gate::TERMINATED,
        },
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => gate::INTERRUPTED,
        Err(_) => std::future::pending().await,
    }
}
