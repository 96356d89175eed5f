//! What a waiting person sees, on standard error: a bar on a terminal, lines in CI, nothing else.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::Event;

use super::args::Progress;

/// A watcher of a run.
pub enum Watch {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Watch {
    pub fn new(mode: Progress) -> Watch {
        let terminal = std::io::stderr().is_terminal();
        let ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false");
        match mode {
            Progress::Bar => Watch::bar(),
            Progress::Lines => Watch::Lines,
            Progress::None => Watch::Nothing,
            Progress::Auto if ci => Watch::Lines,
            Progress::Auto if terminal => Watch::bar(),
            Progress::Auto => Watch::Nothing,
        }
    }

    fn bar() -> Watch {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Watch::Bar(bar)
    }

    pub fn tell(&self, event: &Event) {
        match (self, event) {
            (Watch::Bar(bar), Event::Discovering) => bar.set_message("reading metadata"),
            (Watch::Bar(bar), Event::Planned { cases, .. }) => bar.set_length(*cases as u64),
            (Watch::Bar(bar), Event::Control { name, granted }) => {
                bar.set_message(format!("{name} {}", if *granted { "granted" } else { "failed" }));
            }
            (Watch::Bar(bar), Event::Finished { case }) => {
                bar.inc(1);
                bar.set_message(case.clone());
            }
            (Watch::Lines, Event::Discovering) => eprintln!("reading metadata"),
            (Watch::Lines, Event::Planned { cases, controls }) => {
                eprintln!("{cases} attacks under {controls} controls")
            }
            (Watch::Lines, Event::Control { name, granted }) => {
                eprintln!("{name}: {}", if *granted { "granted" } else { "failed" })
            }
            (Watch::Lines, Event::Finished { case }) => eprintln!("done {case}"),
            (Watch::Nothing, _) => {}
        }
    }

    pub fn finish(&self) {
        if let Watch::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
