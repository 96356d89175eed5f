//! The matrix: every scenario against the strict lab and against the lab with each flaw. Strict: everything holds. With a
//! flaw: exactly what declares it breaks, and what that implies; no other verdict moves.
//!
//! Most cells need not be run. The strict lab says for which flaws a scenario made it look; where it never looked for one, the lab with
//! that flaw would have given the same answers, and the verdict is the strict one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::attempts::Attempts;
use crate::model::report::{Report, ScenarioVerdict, VariantVerdict};
use crate::model::scenario::Scenario;
use crate::model::verdict::Verdict;
use crate::report::build;
use crate::run::{Options, Stop};
use crate::scenario::catalogue::Catalogue;
use crate::target::Target;

/// A target that stays up while it is tested, with the flaw that it was started with ("" is the strict one).
pub struct Subject {
    pub flaw: String,
    pub target: Target,
    /// The flaws that it has looked for so far; None: it cannot tell.
    pub asked: Option<Box<dyn Fn() -> BTreeSet<String> + Send + Sync>>,
    /// Kept alive for the length of the run.
    pub server: Box<dyn std::any::Any + Send>,
}

/// Which cells are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    All,
    /// Those whose scenario makes the strict lab look for the flaw, or declares that it breaks with it.
    Asked,
}

/// What is asked of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Every verdict is the one that is declared, and none stays open.
    Everything,
    /// No verdict is wrong; it may stay open. For labs with habits, which may leave an attack without ground.
    NoError,
}

/// Of a row, scenario by scenario, without the evidence. Rows share those that are the strict lab's.
pub type Verdicts = BTreeMap<String, Arc<ScenarioVerdict>>;

/// What the matrix showed.
#[derive(Debug, Default)]
pub struct Matrix {
    /// flaw → (scenario → verdict); the strict lab is "".
    pub rows: BTreeMap<String, Verdicts>,
    pub problems: Vec<String>,
    /// Scenarios with a flaw that were run; the others have the verdict of the strict lab.
    pub run: usize,
    /// Verdicts on attacks, variants and words counted, that were judged by a run.
    pub judged: usize,
    pub requests: u64,
}

/// Runs on each core at a time: some scenarios wait.
const RUNS_PER_CORE: usize = 4;

/// Runs the matrix, each row on a thread of its own that subject and run share. `start` starts the target for a flaw.
///
/// # Errors
/// The system gives no event queue.
pub fn matrix<F, Fut>(catalogue: &Catalogue, flaws: &[String], cells: Cells, asks: Asks, start: F) -> std::io::Result<Matrix>
where
    F: Fn(String) -> Fut + Sync,
    Fut: Future<Output = Result<Subject, String>>,
{
    let every: Vec<&Scenario> = catalogue.scenarios.values().collect();
    let mut matrix = Matrix::default();
    // The strict lab and, beside it, each scenario alone.
    let alone = if cells == Cells::Asked { every.as_slice() } else { &[] };
    let alone = alone.iter().map(|scenario| Row { flaw: String::new(), scenarios: vec![*scenario] });
    let strict: Vec<Row> = std::iter::once(Row { flaw: String::new(), scenarios: every.clone() }).chain(alone).collect();
    let (whole, alone) = all(catalogue, &strict, &start)?.into_iter().partition(|(row, _)| std::ptr::eq(*row, &strict[0]));
    matrix.take(whole);
    let strict = matrix.rows.get("").cloned().unwrap_or_default();
    let asked = asked(alone, &strict, &mut matrix.requests);
    // What is not known is run.
    let concerned = |scenario: &Scenario, flaw: &String| {
        let declared = scenario.attacks.iter().any(|attack| attack.proved_by.contains(flaw));
        declared || asked.get(&scenario.id).is_none_or(|asked| asked.contains(flaw))
    };
    let with_flaw =
        |flaw: &String| Row { flaw: flaw.clone(), scenarios: every.iter().copied().filter(|scenario| concerned(scenario, flaw)).collect() };
    let mut rows: Vec<Row> = flaws.iter().map(with_flaw).collect();
    // The longest first, so that none is left alone at the end.
    rows.sort_by_key(|row| std::cmp::Reverse(row.scenarios.len()));
    matrix.run = rows.iter().map(|row| row.scenarios.len()).sum();
    matrix.take(all(catalogue, &rows, &start)?);
    for row in matrix.rows.values_mut() {
        for (id, verdict) in &strict {
            row.entry(id.clone()).or_insert_with(|| Arc::clone(verdict));
        }
    }
    Ok(match asks {
        Asks::Everything => checked(catalogue, flaws, matrix),
        Asks::NoError => without_error(catalogue, matrix),
    })
}

impl Matrix {
    /// Takes what rows came to.
    fn take(&mut self, rows: Vec<(&Row<'_>, Result<Ran, String>)>) {
        for (row, ran) in rows {
            match ran {
                Err(why) => self.problems.push(format!("{}: {why}", shown(&row.flaw))),
                Ok(ran) => {
                    self.requests += ran.requests;
                    if let Some(fatal) = &ran.fatal {
                        self.problems.push(format!("{}: {fatal}", shown(&row.flaw)));
                    }
                    self.judged += ran.verdicts.values().map(|v| v.variants.len()).sum::<usize>();
                    self.rows.insert(row.flaw.clone(), ran.verdicts);
                }
            }
        }
    }
}

/// For each scenario the flaws that the strict lab looks for while it runs alone. Only where it comes to the verdicts that it has beside all
/// others: one that got less far has not made the lab look for everything.
fn asked(alone: Vec<(&Row<'_>, Result<Ran, String>)>, strict: &Verdicts, requests: &mut u64) -> BTreeMap<String, BTreeSet<String>> {
    let verdicts = |v: &ScenarioVerdict| v.variants.iter().map(|case| (case.id.clone(), case.verdict)).collect::<BTreeMap<_, _>>();
    let mut known = BTreeMap::new();
    for (_, ran) in alone {
        let Ok(Ran { verdicts: own, requests: own_requests, asked: Some(flaws), .. }) = ran else { continue };
        *requests += own_requests;
        for (id, own) in own {
            if strict.get(&id).is_some_and(|beside| verdicts(beside) == verdicts(&own)) {
                known.insert(id, flaws.clone());
            }
        }
    }
    known
}

/// Scenarios against the lab with a flaw.
struct Row<'c> {
    flaw: String,
    scenarios: Vec<&'c Scenario>,
}

/// What a row came to, and the flaws that the lab looked for in it.
struct Ran {
    verdicts: Verdicts,
    fatal: Option<String>,
    requests: u64,
    asked: Option<BTreeSet<String>>,
}

impl Ran {
    fn of(report: Report, asked: Option<BTreeSet<String>>) -> Ran {
        let bare = |mut verdict: ScenarioVerdict| {
            verdict.variants.iter_mut().for_each(|case| case.attempts = Attempts::default());
            (verdict.id.clone(), Arc::new(verdict))
        };
        let verdicts = report.verdicts.into_iter().filter(|v| v.selected).map(bare).collect();
        Ran { verdicts, fatal: report.fatal, requests: report.run.requests, asked }
    }
}

/// Runs rows, several at a time. In the order in which they end.
fn all<'r, 'c, F, Fut>(catalogue: &Catalogue, rows: &'r [Row<'c>], start: &F) -> std::io::Result<Vec<(&'r Row<'c>, Result<Ran, String>)>>
where
    F: Fn(String) -> Fut + Sync,
    Fut: Future<Output = Result<Subject, String>>,
{
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
            let ran = runtime.block_on(async {
                let subject = start(row.flaw.clone()).await?;
                // Nobody reads the evidence of a row, and a row is small.
                let (options, stop) = (Options { in_memory: usize::MAX, ..Options::default() }, Stop::default());
                let recording = crate::run::run(catalogue, &row.scenarios, &subject.target, &options, &stop, &|_| {}).await;
                let asked = subject.asked.map(|asked| asked());
                drop(subject.server);
                build::report(catalogue, recording).map(|report| Ran::of(report, asked)).map_err(|e| e.to_string())
            });
            done.lock().unwrap_or_else(PoisonError::into_inner).push((row, ran));
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * RUNS_PER_CORE;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(rows.len())).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The rows, checked.
fn checked(catalogue: &Catalogue, flaws: &[String], mut matrix: Matrix) -> Matrix {
    let rows = std::mem::take(&mut matrix.rows);
    for (flaw, row) in &rows {
        check_row(catalogue, flaw, row, &mut matrix.problems);
        check_root(flaw, row, &mut matrix.problems);
    }
    check_kills(catalogue, flaws, &rows, &mut matrix.problems);
    matrix.rows = rows;
    matrix.problems.sort();
    matrix
}

/// The rows of a lab with habits: where a hole is declared, nothing says that it holds, and nothing else is said to be broken.
fn without_error(catalogue: &Catalogue, mut matrix: Matrix) -> Matrix {
    for (flaw, row) in &matrix.rows {
        for scenario in catalogue.scenarios.values() {
            let Some(entry) = row.get(&scenario.id) else { continue };
            for attack in &scenario.attacks {
                let declared = attack.proved_by.iter().any(|proof| proof == flaw);
                let cases = cases_of(entry, &scenario.id, &attack.id);
                let of = |verdict: Verdict| cases.iter().filter(move |case| case.verdict == verdict);
                for case in of(Verdict::Broken).filter(|case| !declared && case.implied_by.is_none()) {
                    matrix.problems.push(format!("{}: {} is broken: {}", shown(flaw), case.id, case.reason));
                }
                if declared && of(Verdict::Broken).next().is_none() {
                    let holds = of(Verdict::Holds).map(|case| format!("{}: {} holds: {}", shown(flaw), case.id, case.reason));
                    matrix.problems.extend(holds);
                }
            }
        }
    }
    matrix.problems.sort();
    matrix
}

fn cases_of<'v>(verdict: &'v ScenarioVerdict, scenario: &str, attack: &str) -> Vec<&'v VariantVerdict> {
    let name = format!("{scenario}/{attack}");
    verdict.variants.iter().filter(|v| v.id == name || v.id.starts_with(&format!("{name}["))).collect()
}

fn shown(flaw: &str) -> &str {
    if flaw.is_empty() { "strict" } else { flaw }
}

/// One lab: what must be broken is, and nothing else moved.
fn check_row(catalogue: &Catalogue, flaw: &str, row: &Verdicts, problems: &mut Vec<String>) {
    for scenario in catalogue.scenarios.values() {
        let Some(entry) = row.get(&scenario.id) else {
            problems.push(format!("{}: {} has no verdict", shown(flaw), scenario.id));
            continue;
        };
        for attack in &scenario.attacks {
            // A broken cause may take away the ground of another attack: without rotation there is no family to revoke.
            let grounded = !attack.implied_by.iter().any(|cause| is_broken(row, cause));
            let name = format!("{}/{}", scenario.id, attack.id);
            let cases = cases_of(entry, &scenario.id, &attack.id);
            let declared = !flaw.is_empty() && attack.proved_by.iter().any(|f| f == flaw);
            if declared && !cases.iter().any(|c| c.verdict == Verdict::Broken) {
                let seen = cases.first().map_or("not judged", |c| c.reason.as_str());
                problems.push(format!("{}: {name} must be broken, and is not: {seen}", shown(flaw)));
            }
            for case in cases {
                let filed = case.implied_by.is_some();
                let fine = match case.verdict {
                    Verdict::Holds => true,
                    Verdict::Broken => declared || filed,
                    Verdict::Inconclusive => filed,
                    // What the lab cannot show says so in `unproved`.
                    Verdict::NotApplicable => !grounded || attack.unproved.is_some() || attack.measures,
                    Verdict::Skipped => false,
                };
                if !fine {
                    problems.push(format!(
                        "{}: {} is {}, neither declared nor implied: {}",
                        shown(flaw),
                        case.id,
                        case.verdict.name(),
                        case.reason
                    ));
                }
                if flaw.is_empty() && case.deviation.is_some() {
                    problems.push(format!("strict: {} holds with a deviation: {}", case.id, case.deviation.as_deref().unwrap_or_default()));
                }
            }
        }
    }
}

/// One hole is one finding: whatever else breaks is filed under it.
fn check_root(flaw: &str, row: &Verdicts, problems: &mut Vec<String>) {
    let roots: Vec<&str> = row.values().filter(|v| v.verdict == Verdict::Broken && v.implied_by.is_none()).map(|v| v.id.as_str()).collect();
    if !flaw.is_empty() && roots.len() > 1 {
        problems.push(format!("{flaw}: {} findings of one hole, none filed under another: {}", roots.len(), roots.join(", ")));
    }
}

/// Whether a cause, a scenario or an attack of one, is broken in this row.
fn is_broken(row: &Verdicts, cause: &str) -> bool {
    let cases = |v: &ScenarioVerdict| v.variants.iter().any(|case| case.id == cause && case.verdict == Verdict::Broken);
    row.get(cause).is_some_and(|v| v.verdict == Verdict::Broken) || row.values().any(|v| cases(v))
}

/// Every scenario kills a flaw, and every flaw is killed.
fn check_kills(catalogue: &Catalogue, flaws: &[String], rows: &BTreeMap<String, Verdicts>, problems: &mut Vec<String>) {
    let tested: BTreeSet<&String> = flaws.iter().collect();
    for scenario in catalogue.scenarios.values() {
        let declared: BTreeSet<&String> = scenario.attacks.iter().flat_map(|a| &a.proved_by).collect();
        let kills = declared.iter().any(|f| rows.get(*f).and_then(|r| r.get(&scenario.id)).is_some_and(|v| v.verdict == Verdict::Broken));
        let relevant = declared.iter().any(|f| tested.contains(*f)) || declared.is_empty();
        // What the lab cannot show says so, attack by attack.
        if relevant && !kills && !scenario.attacks.iter().all(|a| a.lesser || a.unproved.is_some()) {
            problems.push(format!("{} kills no flaw", scenario.id));
        }
    }
    for flaw in flaws {
        // A lesser attack kills too: what it shows is seen as a deviation.
        let is_killed = |v: &ScenarioVerdict| {
            let by_lesser = |v: &VariantVerdict| v.lesser && v.verdict == Verdict::Broken;
            v.verdict == Verdict::Broken && v.implied_by.is_none() || v.variants.iter().any(by_lesser)
        };
        if !rows.get(flaw).is_some_and(|row| row.values().any(|v| is_killed(v))) {
            problems.push(format!("nothing kills the flaw {flaw}"));
        }
    }
}
