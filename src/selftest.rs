//! The matrix: every scenario against the strict lab and against the lab with each flaw. Strict: everything holds. With a
//! flaw: exactly what declares it breaks, and what that implies; no other verdict moves.
//!
//! Most cells need not be run. The strict lab says for which flaws a scenario made it look; where it never looked for one, the lab with
//! that flaw would have given the same answers, and the verdict is the strict one. And what no lab with several flaws moves, none of them
//! is taken to move: flaws that nearly every scenario meets (a header that is missing, a claim of every token) are tried together first,
//! then by halves with the scenarios that moved. What declares a flaw is always run with that flaw alone.

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

/// A target that stays up while it is tested.
pub struct Subject {
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
    /// Those whose scenario makes the strict lab look for the flaw, or declares that it breaks with it; where that is nearly every
    /// scenario, those which move when several such flaws are tried together.
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
    /// Scenarios with one flaw that were run; the others have the verdict of the strict lab.
    pub run: usize,
    /// Scenarios that were run with several flaws at once.
    pub together: usize,
    /// Verdicts on attacks, variants and words counted, that were judged by a run.
    pub judged: usize,
    pub requests: u64,
}

/// Runs on each core at a time: some scenarios wait.
const RUNS_PER_CORE: usize = 4;

/// A flaw that more than one scenario in so many meets is tried together with others.
const NEARLY_EVERY: usize = 4;

/// Runs the matrix, each row on a thread of its own that subject and run share. `start` starts the target with flaws (none: the strict one).
///
/// # Errors
/// The system gives no event queue.
pub fn matrix<F, Fut>(catalogue: &Catalogue, flaws: &[String], cells: Cells, asks: Asks, start: F) -> std::io::Result<Matrix>
where
    F: Fn(Vec<String>) -> Fut + Sync,
    Fut: Future<Output = Result<Subject, String>>,
{
    let every: Vec<&Scenario> = catalogue.scenarios.values().collect();
    let mut matrix = Matrix::default();
    // The strict lab and, beside it, each scenario alone.
    let alone = if cells == Cells::Asked { every.as_slice() } else { &[] };
    let alone = alone.iter().map(|scenario| Row { flaws: vec![], scenarios: vec![*scenario] });
    let strict: Vec<Row> = std::iter::once(Row { flaws: vec![], scenarios: every.clone() }).chain(alone).collect();
    let mut alone = Vec::new();
    for (row, ran) in all(catalogue, &strict, &start)? {
        if std::ptr::eq(row, &strict[0]) {
            matrix.take(row, ran);
        } else {
            matrix.count(&ran);
            alone.extend(ran);
        }
    }
    let strict = matrix.rows.get("").cloned().unwrap_or_default();
    let asked = asked(alone, &strict);
    let declares = |scenario: &Scenario, flaw: &String| scenario.attacks.iter().any(|attack| attack.proved_by.contains(flaw));
    // What is not known is run.
    let meets = |scenario: &Scenario, flaw: &String| asked.get(&scenario.id).is_none_or(|asked| asked.contains(flaw));
    let with = |flaws: &[String], among: &[&Scenario]| {
        let is_among = |scenario: &Scenario| among.iter().any(|one| std::ptr::eq(*one, scenario));
        let is_declared = |scenario: &Scenario| matches!(flaws, [flaw] if declares(scenario, flaw));
        let is_run = |scenario: &&Scenario| is_declared(scenario) || is_among(scenario) && flaws.iter().any(|flaw| meets(scenario, flaw));
        Row { flaws: flaws.to_vec(), scenarios: every.iter().copied().filter(is_run).collect() }
    };
    let (common, mut open): (Vec<Row>, Vec<Row>) = flaws
        .iter()
        .map(|flaw| with(std::slice::from_ref(flaw), &every))
        .partition(|row| cells == Cells::Asked && row.scenarios.len() * NEARLY_EVERY > every.len());
    let common: Vec<String> = common.into_iter().flat_map(|row| row.flaws).collect();
    if !common.is_empty() {
        open.push(with(&common, &every));
    }
    while !open.is_empty() {
        // The longest first, so that none is left alone at the end.
        open.sort_by_key(|row| std::cmp::Reverse(row.scenarios.len()));
        let mut next = Vec::new();
        for (row, ran) in all(catalogue, &open, &start)? {
            let (one, other) = row.flaws.split_at(row.flaws.len() / 2);
            if one.is_empty() {
                matrix.run += row.scenarios.len();
                matrix.take(row, ran);
            } else {
                matrix.together += row.scenarios.len();
                let moved = matrix.count(&ran).map_or_else(|| row.scenarios.clone(), |ran| ran.moved(row, &strict));
                next.extend([with(one, &moved), with(other, &moved)]);
            }
        }
        open = next;
    }
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
    /// Takes what a row of one flaw, or none, came to.
    fn take(&mut self, row: &Row<'_>, ran: Result<Ran, String>) {
        let flaw = row.flaws.first().cloned().unwrap_or_default();
        self.count(&ran);
        match ran {
            Err(why) => self.problems.push(format!("{}: {why}", shown(&flaw))),
            Ok(ran) => {
                if let Some(fatal) = &ran.fatal {
                    self.problems.push(format!("{}: {fatal}", shown(&flaw)));
                }
                self.rows.insert(flaw, ran.verdicts);
            }
        }
    }

    /// Counts what a row took. None of it where it did not start.
    fn count<'r>(&mut self, ran: &'r Result<Ran, String>) -> Option<&'r Ran> {
        let ran = ran.as_ref().ok()?;
        self.requests += ran.requests;
        self.judged += ran.verdicts.values().map(|v| v.variants.len()).sum::<usize>();
        Some(ran)
    }
}

/// The verdict on each case of a scenario.
fn cases(verdict: &ScenarioVerdict) -> BTreeMap<&str, Verdict> {
    verdict.variants.iter().map(|case| (case.id.as_str(), case.verdict)).collect()
}

/// For each scenario the flaws that the strict lab looks for while it runs alone. Only where it comes to the verdicts that it has beside all
/// others: one that got less far has not made the lab look for everything.
fn asked(alone: Vec<Ran>, strict: &Verdicts) -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    for ran in alone {
        let Some(flaws) = ran.asked else { continue };
        for (id, own) in ran.verdicts {
            if strict.get(&id).is_some_and(|beside| cases(beside) == cases(&own)) {
                known.insert(id, flaws.clone());
            }
        }
    }
    known
}

/// Scenarios against the lab with flaws.
struct Row<'c> {
    flaws: Vec<String>,
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

    /// The scenarios of a row that came to something else than on the strict lab.
    fn moved<'c>(&self, row: &Row<'c>, strict: &Verdicts) -> Vec<&'c Scenario> {
        let is_moved = |scenario: &&Scenario| {
            let (own, strict) = (self.verdicts.get(&scenario.id), strict.get(&scenario.id));
            self.fatal.is_some() || own.map(|verdict| cases(verdict)) != strict.map(|verdict| cases(verdict))
        };
        row.scenarios.iter().copied().filter(is_moved).collect()
    }
}

/// Runs rows, several at a time. In the order in which they end.
fn all<'r, 'c, F, Fut>(catalogue: &Catalogue, rows: &'r [Row<'c>], start: &F) -> std::io::Result<Vec<(&'r Row<'c>, Result<Ran, String>)>>
where
    F: Fn(Vec<String>) -> Fut + Sync,
    Fut: Future<Output = Result<Subject, String>>,
{
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
            let ran = runtime.block_on(async {
                let subject = start(row.flaws.clone()).await?;
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
