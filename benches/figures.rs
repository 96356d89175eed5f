//! The figures of benches/README.md: `cargo bench`, or `cargo bench -- wall cpu` for some of them.
//!
//! Nothing here is asserted: a table is printed, each figure beside its goal.

mod bare;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use grantproof::cli::{inputs, start_subject};
use grantproof::lab::{Lab, LabConfig};
use grantproof::model::observation::Trial;
use grantproof::model::report::Recording;
use grantproof::model::scenario::{Risk, Scenario};
use grantproof::plan;
use grantproof::report::build;
use grantproof::run::{Options, Stop};
use grantproof::scenario::catalogue::Catalogue;
use grantproof::selftest;
use grantproof::target::Target;
use tokio::runtime::Runtime;

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
        Some(folder) => bare_child(Path::new(&folder)),
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
        catalogue: inputs::catalogue(None).map_err(|e| e.message)?,
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
        self.catalogue.scenarios.values().collect()
    }

    fn run(&self, selected: &[&Scenario], target: &Target) -> Recording {
        let stop = Stop::default();
        self.clients.block_on(grantproof::run::run(&self.catalogue, selected, target, &Options::default(), &stop, &|_| {}))
    }

    fn lab(&self) -> Result<(Lab, Target), Failed> {
        let lab = self.servers.block_on(grantproof::lab::start(LabConfig::default()))?;
        let target = inputs::lab_target(&lab, &BTreeSet::new());
        Ok((lab, target))
    }

    /// The exchanges of a recording, for the bare client.
    fn plan(&self, recording: &Recording, target: &Target) -> bare::Plan {
        let scenarios = self.scenarios();
        let drawn = plan::draw(&scenarios, target, Risk::Noisy);
        let alone: BTreeSet<(&str, &str, Option<&str>)> = drawn
            .groups
            .iter()
            .flat_map(|g| &g.cases)
            .filter(|c| c.alone())
            .map(|c| (c.scenario.id.as_str(), c.attack.id.as_str(), c.word.as_deref()))
            .collect();
        bare::Plan::of(recording, |scenario, attack, word| alone.contains(&(scenario, attack, word)))
    }

    /// The whole catalogue, and a bare client that makes the same exchanges.
    fn wall(&mut self) -> Result<(), Failed> {
        let (mut runs, mut judging, mut same, mut wide, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        let mut differences = BTreeSet::new();
        for round in 0..=ROUNDS {
            let (lab, target) = self.lab()?;
            let start = Instant::now();
            let recording = self.run(&self.scenarios(), &target);
            let ran = millis(start);
            drop(lab);
            if let Some(fatal) = recording.fatal {
                return Err(fatal.into());
            }
            let plan = self.plan(&recording, &target);
            let start = Instant::now();
            let report = build::report(&self.catalogue, recording).expect("evidence in memory");
            let judged = millis(start);
            let mut bare = |throughout: bool| -> Result<f64, Failed> {
                let (lab, target) = self.lab()?;
                let site = bare::Site::new(&target)?;
                let start = Instant::now();
                let made = self.clients.block_on(site.run(&plan, target.limits.in_flight, throughout))?;
                let took = millis(start);
                drop(lab);
                let wanted = plan.counts();
                for kind in wanted.keys().chain(made.keys()) {
                    let (recorded, seen) = (wanted.get(kind).unwrap_or(&0), made.get(kind).unwrap_or(&0));
                    if recorded != seen {
                        differences.insert(format!("MISMATCH {kind:?}: recorded {recorded}, made by the bare client {seen}"));
                    }
                }
                Ok(took)
            };
            let (phased, throughout) = (bare(false)?, bare(true)?);
            // The first round warms up.
            if round > 0 {
                runs.push(ran + judged);
                judging.push(judged);
                same.push(phased);
                wide.push(throughout);
                counts.insert(report.run.requests);
            }
        }
        let (first, last) = (counts.first().copied().unwrap_or(0), counts.last().copied().unwrap_or(0));
        let ratio = median(runs.clone()) / median(same.clone());
        self.row("whole catalogue on the lab ÷ bare client", format!("{ratio:.2}"), "≤ 1.25", Some(ratio <= 1.25));
        let full = median(runs.clone()) / median(wide.clone());
        self.row("  ÷ bare client with 4 in flight from the first login on", format!("{full:.2}"), "", None);
        let line =
            |name: &str, values: &[f64]| format!("wall: {name:38} min {:6.1} ms, median {:6.1} ms", least(values), median(values.to_vec()));
        self.note(line("whole catalogue, run and judged", &runs));
        self.note(line("  of which judged", &judging));
        self.note(line("bare client, side by side as the run", &same));
        self.note(line("bare client, 4 in flight throughout", &wide));
        self.note(format!("wall: {first} to {last} requests a round, {ROUNDS} rounds; least ratio {:.2}", least(&runs) / least(&same)));
        if differences.is_empty() {
            self.note("wall: the bare client made the same number of exchanges of each kind in every round");
        }
        for difference in differences {
            self.note(format!("wall: {difference}"));
        }
        Ok(())
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
        let matrix = selftest::matrix(&self.catalogue, &flaws, start_subject)?;
        let seconds = start.elapsed().as_secs_f64();
        let rate = matrix.judged as f64 / seconds;
        self.row("full matrix", format!("{seconds:.1} s"), "< 30 s", Some(seconds < 30.0));
        self.row("  verdicts in a second", format!("{rate:.0}"), "thousands", Some(rate >= 1000.0));
        let (judged, requests, problems) = (matrix.judged, matrix.requests, matrix.problems.len());
        self.note(format!(
            "matrix: {} flaws and the strict lab: {judged} verdicts, {requests} requests, {:.0} requests in a second, {problems} problem(s)",
            flaws.len(),
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

    /// The program's own processor time, without that of the server.
    fn cpu(&mut self) -> Result<(), Failed> {
        if !cfg!(target_os = "linux") {
            return Err("it is read from /proc, which this system does not have".into());
        }
        let lab = OutsideLab::start(&self.scratch)?;
        let file = lab.file.to_str().ok_or("no path")?;
        let record = self.scratch.join("record");
        let (written, kept) = (format!("json={}", self.scratch.join("report.json").display()), record.display().to_string());
        // Twice: the second run finds every consent given, as all that follow do.
        for _ in 0..2 {
            quiet(Command::new(PROGRAM).args(["run", "-t", file, "--record", &kept]))?;
        }
        let recording: Recording = serde_json::from_slice(&std::fs::read(record.join("recording.json"))?)?;
        let target = grantproof::target::load::from_file(&lab.file).map_err(|d| d[0].to_string())?;
        let plan = self.plan(&recording, &target);
        std::fs::write(self.scratch.join("plan.json"), serde_json::to_string(&plan)?)?;

        let (mut run, mut run_requests, mut written_run, mut written_requests) = (0.0, 0, 0.0, 0);
        let (mut plain, mut plain_requests) = (0.0, 0);
        for _ in 0..RUNS {
            // With the report that a person reads, and with all evidence as JSON besides.
            for (output, spent, requests) in
                [("--no-report", &mut run, &mut run_requests), (written.as_str(), &mut written_run, &mut written_requests)]
            {
                let before = children()?;
                let arguments: &[&str] = if output.starts_with('-') { &[output] } else { &["--report", output] };
                let said = quiet(Command::new(PROGRAM).args(["run", "-t", file]).args(arguments))?;
                *spent += children()? - before;
                let line = said.lines().flat_map(|line| line.split(", ")).find_map(|part| part.strip_suffix(" requests"));
                *requests += line.ok_or("the report counts no requests")?.parse::<u64>()?;
            }
            let before = children()?;
            let made = quiet(Command::new(std::env::current_exe()?).env(BARE, &self.scratch))?;
            plain += children()? - before;
            plain_requests += made.trim().parse::<u64>()?;
        }
        let before = children()?;
        for _ in 0..RUNS {
            quiet(Command::new(PROGRAM).arg("list"))?;
        }
        let start = (children()? - before) / RUNS as f64;
        drop(lab);
        let (each, bare) = (run / run_requests as f64, plain / plain_requests as f64);
        self.row("own CPU per request", format!("{each:.3} ms"), "≤ 0.15 ms", Some(each <= 0.15));
        self.row("  with the JSON report", format!("{:.3} ms", written_run / written_requests as f64), "", None);
        self.row("  of the bare client", format!("{bare:.3} ms"), "", None);
        self.note(format!(
            "cpu: {RUNS} runs, {run_requests} requests, {:.2} s in all, {:.1} ms a run, of which {start:.1} ms for what `list` does as well (start, catalogue); bare client {plain_requests} requests, {:.2} s",
            run / 1e3,
            run / RUNS as f64,
            plain / 1e3
        ));
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

/// Runs a program to its end; what it printed. The gate of a run may fail or stay undecided, which is no error here.
fn quiet(command: &mut Command) -> Result<String, Failed> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.code() {
        Some(0 | 1 | 4) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Processor time of all children that have ended, in milliseconds; clock ticks are hundredths of a second on Linux.
fn children() -> Result<f64, Failed> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no /proc/self/stat")?;
    let ticks: u64 = fields.split_whitespace().skip(13).take(2).map(|t| t.parse::<u64>().unwrap_or(0)).sum();
    Ok(ticks as f64 * 10.0)
}

/// The peak of a process's memory in KiB. Its last word is read only when the peak was: a long report is rendered by then,
/// and the process waits for its reader.
fn high_water(arguments: &[&str]) -> Result<u64, Failed> {
    let mut child = Command::new(PROGRAM).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdout = child.stdout.take().ok_or("no output")?;
    let path = format!("/proc/{}/status", child.id());
    let reader = std::thread::spawn(move || {
        let mut first = [0];
        let _ = stdout.read(&mut first);
        std::thread::sleep(Duration::from_millis(20));
        let _ = stdout.read_to_end(&mut Vec::new());
    });
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).map_or(peak, |now: u64| now.max(peak));
        std::thread::sleep(Duration::from_micros(200));
    }
    reader.join().map_err(|_| "the reader failed")?;
    if peak == 0 { Err("it could not be read".into()) } else { Ok(peak) }
}

/// The bare client as a process of its own: makes the exchanges of the plan in a folder, and prints how many.
fn bare_child(folder: &Path) -> Result<(), Failed> {
    let plan: bare::Plan = serde_json::from_slice(&std::fs::read(folder.join("plan.json"))?)?;
    let target = grantproof::target::load::from_file(&folder.join("target.yaml")).map_err(|d| d[0].to_string())?;
    let made = client_runtime()?.block_on(async { bare::Site::new(&target)?.run(&plan, target.limits.in_flight, false).await })?;
    if made != plan.counts() {
        return Err(format!("other exchanges than planned: {made:?}, planned {:?}", plan.counts()).into());
    }
    println!("{}", plan.requests());
    Ok(())
}

/// The lab as a process of its own, and a target file for it. Its assertion client is left out: it keeps its key.
struct OutsideLab {
    child: Child,
    file: PathBuf,
}

impl OutsideLab {
    fn start(folder: &Path) -> Result<OutsideLab, Failed> {
        let mut child = Command::new(PROGRAM).args(["lab", "--port", "0"]).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut lab = OutsideLab { child, file: folder.join("target.yaml") };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let first = lines.next().ok_or("the lab says nothing")?;
        let issuer = first.split_whitespace().find(|w| w.starts_with("http")).ok_or("the lab names no address")?.to_owned();
        let (mut users, mut clients) = (Vec::new(), Vec::new());
        for line in lines {
            if let Some((name, password)) = line.strip_prefix("user").and_then(|l| l.trim().split_once(" / ")) {
                users.push(format!("{{name: {name}, password: \"plain:{password}\"}}"));
            } else if let Some((id, rest)) = line.strip_prefix("client").and_then(|l| l.trim().split_once(" (")) {
                let redirect = rest.rsplit(' ').next().unwrap_or_default();
                let secret =
                    rest.split_once("secret ").and_then(|(_, s)| s.split_once(')')).map(|(s, _)| format!(", secret: \"plain:{s}\""));
                clients.push((id.to_owned(), format!("{{id: {id}, redirect_uri: \"{redirect}\"{}}}", secret.unwrap_or_default())));
                // The last line.
                if id.ends_with("assertion") {
                    break;
                }
            }
        }
        let client = |role: &str| clients.iter().find(|(id, _)| id.ends_with(role)).map_or("", |(_, text)| text);
        let text = format!(
            "name: the lab outside\nissuer: {issuer}\nscope: openid profile\nextra_scope: email\nresource: {issuer}/api/me\n\
             refresh_grace: 0s\ncode_grace: 0s\nclients:\n  public: {}\n  second: {}\n  confidential: {}\n\
             users:\n  default: {}\n  other: {}\nlimits: {{in_flight: 4}}\n",
            client("public"),
            client("second"),
            client("confidential"),
            users.first().ok_or("the lab has no user")?,
            users.get(1).ok_or("the lab has one user")?,
        );
        std::fs::write(&lab.file, text)?;
        match lab.child.try_wait()? {
            None => Ok(lab),
            Some(status) => Err(format!("the lab ended: {status}").into()),
        }
    }
}

impl Drop for OutsideLab {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// oidc-provider as its interop test starts it (tests/interop/README.md).
struct Provider {
    child: Child,
    url: String,
    key: PathBuf,
}

impl Provider {
    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/oidc-provider")
    }

    fn start(scratch: &Path) -> Result<Provider, Failed> {
        if !Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success()) {
            return Err("there is no Node.js on this machine".into());
        }
        let key = scratch.join("client-key.pem");
        let mut child = Command::new("bash")
            .arg(Self::folder().join("start.sh"))
            .env("MODE", "default")
            .env("PORT", "0")
            .env("CLIENT_KEY_FILE", &key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        match BufReader::new(stdout).lines().next() {
            Some(Ok(line)) if line.starts_with("ready ") => Ok(Provider { child, url: line["ready ".len()..].to_owned(), key }),
            _ => {
                let _ = child.wait();
                Err("it could not be installed or did not start (run its start.sh by hand to see why)".into())
            }
        }
    }

    fn target(&self) -> Result<Target, Failed> {
        let port = self.url.rsplit(':').next().ok_or("no port")?;
        let text = std::fs::read_to_string(Self::folder().join("default.yaml"))?;
        let text = text.replace("@PORT@", port).replace("@KEY@", &self.key.display().to_string());
        let folder = self.key.parent().ok_or("no folder")?;
        grantproof::target::load::from_text("target.yaml", &text, folder).map_err(|d| d[0].to_string().into())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
