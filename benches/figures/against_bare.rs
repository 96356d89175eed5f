//! A run beside a bare client that makes the same exchanges: wall time, and processor time.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use grantproof::model::report::Recording;
use grantproof::model::scenario::Risk;
use grantproof::plan;
use grantproof::report::build;
use grantproof::run::pages;
use grantproof::target::Target;

use crate::bare::Site;
use crate::process::{children, quiet};
use crate::replay::{Counts, Plan};
use crate::servers::OutsideLab;
use crate::{BARE, Bench, Failed, PROGRAM, ROUNDS, RUNS, client_runtime, least, median, millis};

impl Bench {
    /// The exchanges of a recording, for the bare client: what the run made by itself, it makes by itself.
    fn plan(&self, recording: &Recording, order: &[String], target: &Target) -> Plan {
        let scenarios = self.scenarios();
        let drawn = plan::draw(&scenarios, target, Risk::Noisy);
        let shown = drawn.groups.iter().zip(&recording.controls).map(|(group, trial)| (&group.control, trial));
        let paged = pages::shown_again(shown, target);
        let alone: BTreeSet<String> = drawn
            .groups
            .iter()
            .flat_map(|g| &g.cases)
            .filter(|case| case.alone() || pages::concern(case, &paged, target))
            .map(|case| case.name())
            .collect();
        Plan::of(recording, target, order, |name| alone.contains(name))
    }

    /// The whole catalogue, and a bare client that makes the same exchanges.
    pub fn wall(&mut self) -> Result<(), Failed> {
        let (mut runs, mut judging, mut same, mut wide, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        let mut differences = Differences::default();
        let selected = self.scenarios();
        for round in 0..=ROUNDS {
            let (lab, target) = self.lab()?;
            let start = Instant::now();
            let (recording, order) = self.run_in_order(&selected, &target);
            let ran = millis(start);
            drop(lab);
            if let Some(fatal) = recording.fatal {
                return Err(fatal.into());
            }
            let plan = self.plan(&recording, &order, &target);
            let start = Instant::now();
            let report = build::report(&self.catalogue, recording).expect("evidence in memory");
            let judged = millis(start);
            let mut bare = |throughout: bool| -> Result<f64, Failed> {
                let (lab, target) = self.lab()?;
                let site = Site::new(&target)?;
                let start = Instant::now();
                let made = self.clients.block_on(site.run(&plan, target.limits.in_flight, throughout))?;
                let took = millis(start);
                drop(lab);
                differences.add(&plan.counts(), &made);
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
        self.note(format!("wall: {differences}"));
        Ok(())
    }

    /// The program's own processor time, without that of the server.
    pub fn cpu(&mut self) -> Result<(), Failed> {
        if !cfg!(target_os = "linux") {
            return Err("it is read from /proc, which this system does not have".into());
        }
        let lab = OutsideLab::start(&self.scratch)?;
        let file = lab.file.to_str().ok_or("no path")?;
        let written = format!("json={}", self.scratch.join("report.json").display());
        let target = grantproof::target::load::from_file(&lab.file).map_err(|d| d[0].to_string())?;
        // Twice: the second run finds every consent given, as all that follow do.
        self.run(&self.scenarios(), &target);
        let (recording, order) = self.run_in_order(&self.scenarios(), &target);
        let plan = self.plan(&recording, &order, &target);
        std::fs::write(self.scratch.join("plan.json"), serde_json::to_string(&plan)?)?;

        let (mut run, mut run_requests, mut written_run, mut written_requests) = (0.0, 0, 0.0, 0);
        let (mut plain, mut plain_requests, mut same) = (0.0, 0, String::new());
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
            let (count, alike) = made.split_once('\n').ok_or("the bare client counts nothing")?;
            plain_requests += count.parse::<u64>()?;
            alike.trim().clone_into(&mut same);
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
        self.note(format!("cpu: {same}"));
        Ok(())
    }
}

/// The bare client as a process of its own: makes the exchanges of the plan in a folder, and prints how many.
pub fn bare_child(folder: &Path) -> Result<(), Failed> {
    let plan: Plan = serde_json::from_slice(&std::fs::read(folder.join("plan.json"))?)?;
    let target = grantproof::target::load::from_file(&folder.join("target.yaml")).map_err(|d| d[0].to_string())?;
    let made = client_runtime()?.block_on(async { Site::new(&target)?.run(&plan, target.limits.in_flight, false).await })?;
    let mut differences = Differences::default();
    differences.add(&plan.counts(), &made);
    println!("{}", plan.requests());
    println!("{differences}");
    Ok(())
}

/// What the bare client was answered that the run was not.
#[derive(Debug, Default)]
struct Differences {
    exchanges: usize,
    other: usize,
    rounds: usize,
    of: Counts,
}

impl Differences {
    fn add(&mut self, recorded: &Counts, made: &Counts) {
        self.rounds += 1;
        self.exchanges += recorded.values().sum::<usize>();
        for (what, times) in recorded {
            let missing = times.saturating_sub(made.get(what).copied().unwrap_or(0));
            self.other += missing;
            if missing > 0 {
                *self.of.entry(what.clone()).or_default() += missing;
            }
        }
    }
}

impl std::fmt::Display for Differences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = 100.0 * (self.exchanges - self.other) as f64 / self.exchanges.max(1) as f64;
        write!(f, "{share:.1} % of the bare client's exchanges came to what the run's came to")?;
        let per_round = |times: &usize| *times as f64 / self.rounds.max(1) as f64;
        for (between, ((path, status), times)) in std::iter::once("; a round lacks ").chain(std::iter::repeat(", ")).zip(&self.of) {
            write!(f, "{between}{:.1} × {path} {status}", per_round(times))?;
        }
        Ok(())
    }
}
