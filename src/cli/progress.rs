//! What a waiting person sees, on standard error: a bar on a terminal, lines in CI, requests as they happen with `-v`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::duration::words;
use crate::model::observation::{Exchange, StepObservation, Trial};
use crate::report::safe::terminal as safe;
use crate::run::{Event, Watcher};

use super::args::Progress;
use super::trace::Trace;

/// A watcher of a run.
#[derive(Debug)]
pub struct Watch {
    kind: Kind,
    /// 1: a line for each request; 2: with headers and bodies.
    verbose: u8,
    trace: Option<Trace>,
    begun: Instant,
    done: AtomicUsize,
    cases: AtomicUsize,
    /// What is waited for, and for how long still.
    waits: Mutex<BTreeMap<String, Duration>>,
}

#[derive(Debug)]
enum Kind {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Watch {
    pub fn new(mode: Progress, quiet: bool, verbose: u8, trace: Option<Trace>) -> Watch {
        let terminal = std::io::stderr().is_terminal();
        let ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false");
        let kind = match mode {
            _ if quiet => Kind::Nothing,
            Progress::Bar => bar(),
            Progress::Lines => Kind::Lines,
            Progress::None => Kind::Nothing,
            Progress::Auto if ci => Kind::Lines,
            Progress::Auto if terminal => bar(),
            Progress::Auto => Kind::Nothing,
        };
        Watch {
            kind,
            verbose,
            trace,
            begun: Instant::now(),
            done: AtomicUsize::new(0),
            cases: AtomicUsize::new(0),
            waits: Mutex::default(),
        }
    }

    pub fn tell(&self, event: &Event) {
        if let Some(text) = self.wait(event) {
            return self.show(&text);
        }
        let text = match event {
            Event::Waiting { .. } | Event::Waited { .. } => return,
            Event::Discovering => "reading metadata".to_owned(),
            Event::Planned { cases, controls } => {
                self.cases.store(*cases, Ordering::Relaxed);
                if let Kind::Bar(bar) = &self.kind {
                    bar.set_length(*cases as u64);
                }
                format!("{cases} attacks under {controls} controls")
            }
            Event::Control { name, granted } => format!("{name}: {}", if *granted { "granted" } else { "failed" }),
            Event::Finished { case } => {
                let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                let left = self.left(done).map(|left| format!(", about {left} left")).unwrap_or_default();
                match &self.kind {
                    Kind::Bar(bar) => {
                        bar.inc(1);
                        format!("{case}{left}")
                    }
                    _ => format!("done {done}/{} {case}{left}", self.cases.load(Ordering::Relaxed)),
                }
            }
        };
        self.show(&text);
    }

    fn show(&self, text: &str) {
        match &self.kind {
            Kind::Bar(bar) => bar.set_message(safe(text)),
            Kind::Lines => eprintln!("{}", safe(text)),
            Kind::Nothing => {}
        }
    }

    /// What is said of a wait: on a bar the one that ends next, each second; as a line its beginning, and each whole minute.
    fn wait(&self, event: &Event) -> Option<String> {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = match event {
            Event::Waiting { case, left } => waits.insert(case.clone(), *left).is_none(),
            Event::Waited { case } => {
                waits.remove(case);
                return None;
            }
            _ => return None,
        };
        let (case, left) = match &self.kind {
            Kind::Bar(_) => waits.iter().min_by_key(|(_, left)| **left)?,
            // A second is told once.
            _ => match event {
                Event::Waiting { case, left } if begins || left.as_secs() > 0 && left.as_secs() % 60 == 0 => (case, left),
                _ => return None,
            },
        };
        let others = if waits.len() > 1 { format!(", and {} more wait", waits.len() - 1) } else { String::new() };
        Some(format!("waiting: {case}, {} left{others}", words(*left)))
    }

    /// How long the other attacks will take if they are like the ones before; None: too early to say, or nearly done.
    fn left(&self, done: usize) -> Option<String> {
        let others = self.cases.load(Ordering::Relaxed).checked_sub(done).filter(|others| *others > 0 && done >= 5)?;
        let each = self.begun.elapsed().div_f64(done as f64);
        let left = each.mul_f64(others as f64);
        (left.as_secs() >= 2).then(|| HumanDuration(left).to_string())
    }

    pub fn finish(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }

    /// What could not be kept of the trace.
    pub fn trace_error(&self) -> Option<String> {
        self.trace.as_ref()?.error()
    }
}

impl Watcher for Watch {
    fn step(&self, trial: &str, step: &StepObservation) {
        if self.verbose == 0 {
            return;
        }
        let mut text = String::new();
        for exchange in &step.exchanges {
            line(&mut text, trial, step, exchange);
            if self.verbose > 1 {
                messages(&mut text, exchange);
            }
        }
        if step.exchanges.is_empty() {
            let _ = writeln!(text, "{trial}  {}  {}: {}", step.step, step.outcome.words(), step.note);
        }
        // The bar steps aside for it.
        match &self.kind {
            Kind::Bar(bar) => bar.suspend(|| eprint!("{}", safe(&text))),
            _ => eprint!("{}", safe(&text)),
        }
    }

    fn trial(&self, trial: &Trial) {
        if let Some(trace) = &self.trace {
            trace.keep(trial);
        }
    }
}

fn bar() -> Kind {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    Kind::Bar(bar)
}

fn line(text: &mut String, trial: &str, step: &StepObservation, exchange: &Exchange) {
    let answer = match &exchange.error {
        Some(error) => one_line(error),
        None => exchange.status.to_string(),
    };
    let millis = exchange.server_micros as f64 / 1e3;
    // A trial of one step may be called like it.
    let step = if step.step == trial { String::new() } else { format!("  {}", step.step) };
    let _ = writeln!(text, "{trial}{step}  {} {} → {answer}  {millis:.1} ms", exchange.method, one_line(&exchange.url));
}

/// `>` went out, `<` came back.
fn messages(text: &mut String, exchange: &Exchange) {
    let sides = [('>', &exchange.request_headers, &exchange.request_body), ('<', &exchange.response_headers, &exchange.response_body)];
    for (sign, headers, body) in sides {
        for (name, value) in headers {
            let _ = writeln!(text, "  {sign} {name}: {}", one_line(value));
        }
        for line in body.lines() {
            let _ = writeln!(text, "  {sign} {line}");
        }
    }
}

/// A line of the target's cannot pass for one of ours.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).collect::<Vec<_>>().join(" ")
}
