//! Where the time of a run went: `run --timings`.

use std::fmt::Write as _;

use crate::model::observation::{StepObservation, Trial};
use crate::model::report::Report;

/// Requests, and the time that the server and lawful pauses took, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spent {
    requests: usize,
    server: u64,
    pauses: u64,
}

impl Spent {
    fn add(&mut self, trial: &Trial) {
        self.requests += trial.requests();
        for step in trial.steps.iter().chain(trial.proof.as_deref()) {
            self.add_step(step);
        }
    }

    fn add_step(&mut self, step: &StepObservation) {
        self.server += step.exchanges.iter().map(|e| e.server_micros).sum::<u64>();
        self.pauses += step.slept_micros();
    }
}

/// A line for each scenario, the slowest first, and the whole run: what of the wall time was the server's. Trials that ran
/// side by side count each, so that their sum may exceed the wall time.
pub fn text(report: &Report) -> String {
    let mut rows: Vec<(&str, Spent)> = report
        .verdicts
        .iter()
        .filter(|v| v.selected)
        .map(|v| {
            let mut spent = Spent::default();
            v.variants
                .iter()
                .filter_map(|variant| variant.attempts.load().ok())
                .for_each(|trials| trials.iter().for_each(|t| spent.add(t)));
            (v.id.as_str(), spent)
        })
        .collect();
    rows.sort_by(|a, b| (b.1.server + b.1.pauses).cmp(&(a.1.server + a.1.pauses)).then(a.0.cmp(b.0)));
    let mut controls = Spent::default();
    report.controls.iter().for_each(|trial| controls.add(trial));
    for negative in &report.negative_controls {
        controls.requests += negative.answer.exchanges.len();
        controls.add_step(&negative.answer);
    }
    rows.insert(0, ("controls, negative controls", controls));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = format!("{:width$}  requests  server ms  pauses ms\n", "");
    for (name, spent) in &rows {
        let _ = writeln!(out, "{name:width$}  {:8}  {:9.1}  {:9}", spent.requests, micros(spent.server), spent.pauses / 1000);
    }
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let wall = time(&report.run.started).zip(time(&report.run.finished)).map(|(start, end)| end.duration_since(start).as_secs_f64() * 1e3);
    if let Some(wall) = wall.filter(|wall| *wall > 0.0) {
        let (server, pauses) = (report.run.server_millis as f64, rows.iter().map(|(_, s)| s.pauses).sum::<u64>() as f64 / 1e3);
        let own = (wall - server - pauses).max(0.0);
        let beside = if server + pauses > wall { " (trials ran side by side, and their times add up)" } else { "" };
        let _ = writeln!(
            out,
            "wall {wall:.0} ms: {:.0} % waiting for the server, {:.0} % in pauses, {:.0} % own{beside}",
            100.0 * server / wall,
            100.0 * pauses / wall,
            100.0 * own / wall
        );
    }
    out
}

fn micros(micros: u64) -> f64 {
    micros as f64 / 1e3
}
