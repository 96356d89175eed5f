//! `selftest`: the flaw × scenario matrix, printed and checked.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use crate::lab::{Flaw, Habit, LabConfig};
use crate::model::verdict::Verdict;
use crate::selftest::{Asks, Cells, Matrix, Subject, matrix};

use super::args::Selftest;
use super::{Failure, inputs, print};

/// To run the cells of so few flaws takes less time than to find out which of them need to be run.
const FEW: usize = 8;

/// # Errors
/// Wrong input. A matrix with a hole is the exit code 1.
pub fn selftest(arguments: &Selftest) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.scenarios.as_deref())?;
    let flaws: Vec<String> = if arguments.flaw.is_empty() {
        inputs::flaw_names().into_iter().collect()
    } else {
        inputs::flaws(&arguments.flaw)?.iter().map(|f| f.name().to_owned()).collect()
    };
    let start = Instant::now();
    let few = flaws.len() <= FEW;
    let cells = if arguments.all_cells || few { Cells::All } else { Cells::Asked };
    let habits = inputs::habits(&arguments.habit)?;
    let hidden = |flaw: &String| habits.iter().flat_map(|habit| habit.hides()).any(|hidden| hidden.name() == flaw);
    let flaws: Vec<String> = flaws.into_iter().filter(|flaw| !hidden(flaw)).collect();
    let asks = if habits.is_empty() { Asks::Everything } else { Asks::NoError };
    let start_lab = |flaws| start_with(flaws, habits.clone());
    let result = matrix(&catalogue, &flaws, cells, asks, start_lab).map_err(|e| super::no_runtime(&e))?;
    let mut out = String::new();
    if arguments.table {
        table(&mut out, &result);
    }
    for problem in &result.problems {
        let _ = writeln!(out, "PROBLEM {problem}");
    }
    let _ = writeln!(
        out,
        "{} scenarios × {} flaws and the strict lab: {} of {} cells run, and {} with several flaws at once; the others never look for their flaw, or did not move; {} verdicts, {} requests, {:.1} s, {} problem(s)",
        catalogue.scenarios.len(),
        flaws.len(),
        result.run,
        catalogue.scenarios.len() * flaws.len(),
        result.together,
        result.judged,
        result.requests,
        start.elapsed().as_secs_f64(),
        result.problems.len()
    );
    print(&out)?;
    Ok(u8::from(!result.problems.is_empty()))
}

/// The lab with flaws, as a subject of the matrix.
pub async fn start_subject(flaws: Vec<String>) -> Result<Subject, String> {
    start_with(flaws, BTreeSet::new()).await
}

/// The same of one with habits.
pub async fn start_with(flaws: Vec<String>, habits: BTreeSet<Habit>) -> Result<Subject, String> {
    let flaws = flaws.iter().map(|name| name.parse::<Flaw>().map_err(|_| format!("no flaw {name}"))).collect::<Result<BTreeSet<_>, _>>()?;
    let config = LabConfig { flaws: flaws.clone(), habits, movable_clock: true, ..LabConfig::default() };
    let lab = crate::lab::start(config).await.map_err(|e| e.to_string())?;
    let target = inputs::lab_target(&lab, &flaws);
    let asked = lab.asked();
    let asked = move || asked().iter().map(|flaw| flaw.name().to_owned()).collect();
    Ok(Subject { target, asked: Some(Box::new(asked)), server: Box::new(lab) })
}

/// One line for each flaw: what it broke, and what that implies.
fn table(out: &mut String, matrix: &Matrix) {
    for (flaw, row) in &matrix.rows {
        let of = |implied: bool| -> Vec<&str> {
            row.values().filter(|v| v.verdict == Verdict::Broken && v.implied_by.is_some() == implied).map(|v| v.id.as_str()).collect()
        };
        let holds = row.values().filter(|v| v.verdict == Verdict::Holds).count();
        let name = if flaw.is_empty() { "(strict)" } else { flaw };
        let implied = of(true);
        let implied = if implied.is_empty() { String::new() } else { format!("  implies {}", implied.join(" ")) };
        let _ = writeln!(out, "{name:36} {holds:3} hold  broken {}{implied}", of(false).join(" "));
    }
}
