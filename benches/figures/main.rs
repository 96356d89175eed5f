//! The figures of benches/README.md: `cargo bench`, or `cargo bench -- wall cpu` for some of them.
//!
//! Nothing here is asserted: a table is printed, each figure beside its goal.

mod against_bare;
mod bare;
mod process;
mod replay;
mod servers;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use grantproof::cli::{inputs, start_subject};
use grantproof::lab::{Lab, LabConfig};
use grantproof::model::observation::Trial;
use grantproof::model::report::Recording;
use grantproof::model::scenario::Scenario;
use grantproof::run::{Event, Options, Stop};
use grantproof::scenario::catalogue::Catalogue;
use grantproof::selftest;
use grantproof::target::Target;
use tokio::runtime::Runtime;

use process::high_water;
use servers::Provider;

type Failed = Box<dyn Error + Send + Sync>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_grantproof");
/// Names the plan and the target file of a bare client that this program is started as.
const BARE: &str = "GRANTPROOF_BENCH_BARE";
/// Rounds of a wall time.
const ROUNDS: usize = 15;
/// Runs of a program whose processor time is counted: its clock ticks a hundred times in a second.
const RUNS: usize = 30;

fn main() -> ExitCode {
    let result = match std::env::var_os(BARE) {
        Some(folder) => against_bare::bare_child(Path::new(&folder)),
        None => figures(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn figures() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|a| a == "--bench") {
        println!("figures: nothing is tested here; measure with `cargo bench`");
        return Ok(());
    }
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let scratch = tempfile::tempdir()?;
    let mut bench = Bench {
        catalogue: std::mem::ManuallyDrop::into_inner(inputs::catalogue(None).map_err(|e| e.message)?),
        servers: server_runtime()?,
        clients: client_runtime()?,
        scratch: scratch.path().to_owned(),
        rows: Vec::new(),
        notes: Vec::new(),
    };
    type Figure = fn(&mut Bench) -> Result<(), Failed>;
    let all: [(&str, Figure); 7] = [
        ("wall", Bench::wall),
        ("requests", Bench::requests),
        ("matrix", Bench::matrix),
        ("memory", Bench::memory),
        ("startup", Bench::startup),
        ("cpu", Bench::cpu),
        ("card", Bench::card),
    ];
    if let Some(unknown) = wanted.iter().find(|w| !all.iter().any(|(name, _)| name == **w)) {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no figure `{unknown}`; there are {}", names.join(", ")).into());
    }
    for (name, figure) in all {
        if wanted.is_empty() || wanted.iter().any(|w| *w == name) {
            eprintln!("measuring {name} …");
            if let Err(why) = figure(&mut bench) {
                bench.skip(name, &why.to_string());
            }
        }
    }
    bench.print();
    Ok(())
}

/// The runtime of labs, as the program has it: a thread for each core, at most four.
fn server_runtime() -> Result<Runtime, Failed> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}

/// The runtime of a run, as the program has it, and of the bare client: one thread.
fn client_runtime() -> Result<Runtime, Failed> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn millis(from: Instant) -> f64 {
    from.elapsed().as_secs_f64() * 1e3
}

struct Row {
    figure: String,
    measured: String,
    goal: String,
    met: Option<bool>,
}

struct Bench {
    catalogue: Catalogue,
    servers: Runtime,
    clients: Runtime,
    scratch: PathBuf,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Bench {
    fn row(&mut self, figure: impl Into<String>, measured: impl Into<String>, goal: impl Into<String>, met: Option<bool>) {
        self.rows.push(Row { figure: figure.into(), measured: measured.into(), goal: goal.into(), met });
    }

    /// A figure that could not be had, and why.
    fn skip(&mut self, figure: &str, why: &str) {
        self.row(figure, "skipped", "", None);
        self.note(format!("{figure}: skipped: {why}"));
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn print(&self) {
        let wide = |head: &str, of: fn(&Row) -> &str| self.rows.iter().map(|r| of(r).chars().count()).fold(head.len(), usize::max);
        let (figure, measured, goal) = (wide("figure", |r| &r.figure), wide("measured", |r| &r.measured), wide("goal", |r| &r.goal));
        println!("\n{:figure$}  {:measured$}  {:goal$}", "figure", "measured", "goal");
        for row in &self.rows {
            let met = match row.met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            let line = format!("{:figure$}  {:measured$}  {:goal$}  {met}", row.figure, row.measured, row.goal);
            println!("{}", line.trim_end());
        }
        println!();
        for note in &self.notes {
            println!("{note}");
        }
    }

    fn scenarios(&self) -> Vec<&Scenario> {
        // The bare client that they are compared with speaks no TLS.
        self.catalogue.scenarios.values().filter(|scenario| !scenario.id.starts_with("mtls/")).collect()
    }

    fn run(&self, selected: &[&Scenario], target: &Target) -> Recording {
        self.run_in_order(selected, target).0
    }

    /// Runs scenarios; with the names of controls and cases as they ended.
    fn run_in_order(&self, selected: &[&Scenario], target: &Target) -> (Recording, Vec<String>) {
        let (stop, order) = (Stop::default(), Mutex::new(Vec::new()));
        let tell = |event| match event {
            Event::Control { name, .. } | Event::Finished { case: name } => order.lock().expect("one thread").push(name),
            _ => {}
        };
        let recording = self.clients.block_on(grantproof::run::run(&self.catalogue, selected, target, &Options::default(), &stop, &tell));
        (recording, order.into_inner().expect("one thread"))
    }

    /// As `run` starts it: what waits moves its clock, and no time passes.
    fn lab(&self) -> Result<(Lab, Target), Failed> {
        let lab = self.servers.block_on(grantproof::lab::start(LabConfig { movable_clock: true, ..LabConfig::default() }))?;
        let target = inputs::lab_target(&lab, &BTreeSet::new());
        Ok((lab, target))
    }

    /// Requests per verdict, on the lab and on a real server.
    fn requests(&mut self) -> Result<(), Failed> {
        let (lab, target) = self.lab()?;
        let recording = self.run(&self.scenarios(), &target);
        drop(lab);
        self.per_verdict("lab", &recording);
        match Provider::start(&self.scratch) {
            Err(why) => self.skip("requests per verdict, oidc-provider", &why.to_string()),
            Ok(provider) => {
                let recording = self.run(&self.scenarios(), &provider.target()?);
                self.per_verdict("oidc-provider", &recording);
            }
        }
        Ok(())
    }

    fn per_verdict(&mut self, name: &str, recording: &Recording) {
        if let Some(fatal) = &recording.fatal {
            return self.skip(&format!("requests per verdict, {name}"), fatal);
        }
        let sum = |trials: &mut dyn Iterator<Item = &Trial>| trials.map(Trial::requests).sum::<usize>();
        let cases: Vec<_> =
            recording.cases.iter().filter(|c| !c.attempts.is_empty()).map(|c| c.attempts.load().expect("evidence")).collect();
        let total = recording.run.requests as usize;
        let own = sum(&mut cases.iter().filter_map(|c| c.first()));
        let controls = sum(&mut recording.controls.iter());
        let negatives: usize = recording.negative_controls.iter().map(|n| n.answer.exchanges.len()).sum();
        let again = sum(&mut cases.iter().flat_map(|c| c.iter().skip(1)));
        let rest = total.saturating_sub(own + controls + negatives + again);
        let share = (total - negatives - again) as f64 / own as f64;
        self.row(format!("requests per verdict, {name}"), format!("{:.2}", total as f64 / cases.len() as f64), "", None);
        self.row(format!("  requests ÷ the attacks' own, {name}"), format!("{share:.2}"), "≤ 1.3", Some(share <= 1.3));
        self.note(format!(
            "requests: {name}: {total} for {} cases: {own} of the attacks, {controls} of {} controls, {negatives} of negative controls, {again} of repetitions, {rest} others (discovery; trials that were made again)",
            cases.len(),
            recording.controls.len(),
        ));
    }

    /// Every scenario against the lab with each flaw.
    fn matrix(&mut self) -> Result<(), Failed> {
        let flaws: Vec<String> = inputs::flaw_names().into_iter().collect();
        let start = Instant::now();
        let matrix = selftest::matrix(&self.catalogue, &flaws, selftest::Cells::Asked, selftest::Asks::Everything, start_subject)?;
        let seconds = start.elapsed().as_secs_f64();
        let rate = matrix.judged as f64 / seconds;
        self.row("full matrix", format!("{seconds:.1} s"), "< 30 s", Some(seconds < 30.0));
        self.row("  verdicts in a second", format!("{rate:.0}"), "thousands", Some(rate >= 1000.0));
        let (judged, requests, problems) = (matrix.judged, matrix.requests, matrix.problems.len());
        self.note(format!(
            "matrix: {} flaws and the strict lab: {} of {} cells run, and {} with several flaws at once, {judged} verdicts, {requests} requests, {:.0} requests in a second, {problems} problem(s)",
            flaws.len(),
            matrix.run,
            flaws.len() * self.catalogue.scenarios.len(),
            matrix.together,
            requests as f64 / seconds
        ));
        Ok(())
    }

    /// The most memory that a run ever held.
    fn memory(&mut self) -> Result<(), Failed> {
        if !cfg!(target_os = "linux") {
            return Err("it is read from /proc, which this system does not have".into());
        }
        let mut most = 0;
        for format in ["terminal", "json"] {
            let mut peak = 0;
            for _ in 0..3 {
                peak = peak.max(high_water(&["run", "--format", format])?);
            }
            self.note(format!("memory: run --format {format}: {:.1} MiB, the lab included", peak as f64 / 1024.0));
            most = most.max(peak);
        }
        let mib = most as f64 / 1024.0;
        self.row("peak memory of `run`", format!("{mib:.1} MiB"), "≤ 32 MiB", Some(mib <= 32.0));
        Ok(())
    }

    fn startup(&mut self) -> Result<(), Failed> {
        for argument in ["--version", "list"] {
            let mut took = Vec::new();
            for _ in 0..20 {
                let start = Instant::now();
                Command::new(PROGRAM).arg(argument).stdout(Stdio::null()).status()?;
                took.push(millis(start));
            }
            let (value, best) = (median(took.clone()), least(&took));
            self.row(format!("start-up, `{argument}`"), format!("{value:.1} ms"), "≤ 10 ms", Some(value <= 10.0));
            self.note(format!("startup: {argument}: min {best:.1} ms, median {value:.1} ms of 20 whole processes"));
        }
        Ok(())
    }

    /// The six scenarios of the card on a real server, controls shared and not.
    fn card(&mut self) -> Result<(), Failed> {
        let provider = Provider::start(&self.scratch)?;
        let target = provider.target()?;
        let card: Vec<&Scenario> = self.scenarios().into_iter().filter(|s| s.card).collect();
        let requests = |selected: &[&Scenario]| -> Result<u64, Failed> {
            let recording = self.run(selected, &target);
            // Metadata and keys: two requests of every run.
            recording.fatal.map_or(Ok(recording.run.requests - 2), |why| Err(why.into()))
        };
        let shared = requests(&card)?;
        let mut apart = 0;
        for scenario in &card {
            apart += requests(std::slice::from_ref(scenario))?;
        }
        let names: Vec<&str> = card.iter().map(|s| s.id.as_str()).collect();
        let note = format!("card: {} on oidc-provider, without discovery", names.join(", "));
        self.row(format!("requests of the {} card scenarios, controls shared", card.len()), shared.to_string(), "about 55", None);
        self.row("  each scenario in a run of its own", apart.to_string(), "about 135", None);
        self.note(note);
        Ok(())
    }
}
