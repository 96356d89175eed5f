//! Every report format on every kind of report: strict, broken, undecided, fatal, accepted, old, empty, of several targets,
//! and made to attack the reader; each checked by a validator that somebody else wrote.

mod common;

#[path = "formats/github.rs"]
mod github;
#[path = "formats/har.rs"]
mod har;
#[path = "formats/jsonl.rs"]
mod jsonl;
#[path = "formats/junit.rs"]
mod junit;
#[path = "formats/markdown.rs"]
mod markdown;
#[path = "formats/sarif.rs"]
mod sarif;
#[path = "formats/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::hostile;
use grantproof::lab::Flaw;
use grantproof::model::report::{Baseline, Place, Report, Since, Waived};
use grantproof::model::step::ClientRole;
use grantproof::model::verdict::Verdict;
use grantproof::report::gate::{Gate, of};
use grantproof::report::{Format, build, read};
use grantproof::run::{Options, Stop};
use grantproof::target::{ClientAuthentication, Secret};

/// A kind of report, by name.
pub struct Sample {
    pub name: String,
    pub reports: Vec<Report>,
}

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn render(format: &str, reports: &[Report]) -> String {
    Format::by_name(format).expect("the format").text(reports).unwrap_or_else(|e| panic!("{format}: {e}"))
}

pub fn sample(name: &str) -> &'static [Report] {
    &samples().iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no sample {name}")).reports
}

/// Runs and stored reports, made once.
pub fn samples() -> &'static [Sample] {
    static SAMPLES: OnceLock<Vec<Sample>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        // A thread of its own: the caller may be inside of a runtime.
        let runs = std::thread::spawn(|| tokio::runtime::Runtime::new().expect("a runtime").block_on(runs()));
        let mut list = runs.join().expect("the runs");
        let flawed = list[1].reports[0].clone();
        list.push(Sample { name: "accepted".into(), reports: vec![accepted(flawed.clone())] });
        list.push(Sample { name: "of a file".into(), reports: vec![of_a_file(flawed.clone())] });
        list.push(Sample { name: "several".into(), reports: vec![flawed.clone(), list[0].reports[0].clone(), flawed.clone()] });
        list.push(Sample { name: "old".into(), reports: read::file(&data("report-1.1.json")).expect("an old report") });
        list.push(Sample { name: "none".into(), reports: Vec::new() });
        let empty = Report { verdicts: Vec::new(), controls: Vec::new(), negative_controls: Vec::new(), gate: None, ..flawed.clone() };
        list.push(Sample { name: "empty".into(), reports: vec![empty] });
        // A small one is enough to attack with: each kind of verdict once, and all that a report may have.
        let mut small = of_a_file(accepted(flawed));
        small.fatal = Some("fatal".into());
        small.run.interrupted = Some("interrupted".into());
        small.verdicts = [Verdict::Broken, Verdict::Holds]
            .iter()
            .flat_map(|w| small.verdicts.iter().filter(move |v| v.verdict == *w).take(4).cloned())
            .collect();
        for verdict in list[2].reports[0].verdicts.iter().filter(|v| !matches!(v.verdict, Verdict::Broken | Verdict::Holds)).take(6) {
            small.verdicts.push(verdict.clone());
        }
        small.verdicts.iter_mut().for_each(|v| v.selected = true);
        small.gate = Some(Gate { strict: true, ..Gate::default() }.outcome(&small));
        for (number, text) in hostile::TEXTS.iter().enumerate() {
            list.push(Sample { name: format!("hostile {number}, replaced"), reports: vec![hostile::replaced(&small, text)] });
            list.push(Sample { name: format!("hostile {number}, added"), reports: vec![hostile::added(&small, text)] });
        }
        list
    })
}

fn gated(mut report: Report) -> Report {
    report.gate = Some(Gate::default().outcome(&report));
    report
}

async fn runs() -> Vec<Sample> {
    let (_strict_lab, target) = common::lab(&[]).await;
    let strict = common::run_on(&target, &[""]).await;
    let flaws = [Flaw::RefreshReuseAccepted, Flaw::PkceVerifierIgnored, Flaw::CodeReusable];
    let (_lab, target) = common::lab(&flaws).await;
    let broken = common::run_on(&target, &[""]).await;
    let (_lab, mut target) = common::lab(&[]).await;
    target.clients.remove(&ClientRole::Second);
    if let Some(client) = target.clients.get_mut(&ClientRole::Confidential) {
        client.authentication = ClientAuthentication::Basic(Secret::new("not-the-secret"));
    }
    let options = Options { keep_going: true, ..Options::default() };
    let undecided = common::run_with(&target, &["code", "client-auth", "pkce"], &options, &Stop::default()).await;
    let fatal = common::run_on(&target, &["pkce", "client-auth"]).await;
    [("strict", strict), ("broken", broken), ("undecided", undecided), ("fatal", fatal)]
        .into_iter()
        .map(|(name, report)| Sample { name: name.into(), reports: vec![gated(report)] })
        .collect()
}

/// All findings accepted: waived, or as in the baseline.
fn accepted(mut report: Report) -> Report {
    for (number, verdict) in report.verdicts.iter_mut().filter(|v| v.verdict == Verdict::Broken).enumerate() {
        if number % 2 == 0 {
            let waived =
                Waived { id: verdict.id.clone(), reason: "AS 14.2".into(), owner: "Jane Doe".into(), expires: "2027-01-31".into() };
            verdict.variants.iter_mut().filter(|v| v.verdict == Verdict::Broken).for_each(|v| v.waived = Some(waived.clone()));
            verdict.waived = Some(waived);
        } else {
            verdict.since_baseline = Some(Since::Same);
        }
    }
    let (started, version) = (report.run.started.clone(), report.run.version.clone());
    report.baseline = Some(Baseline {
        file: "before.json".into(),
        started,
        version,
        catalogue_digest: String::new(),
        fixed: vec!["pkce/plain-method".into()],
        lost: vec!["race/code-redeem".into()],
    });
    report.summary = build::summary(&report.verdicts);
    gated(report)
}

/// As of a target file, with a permission.
fn of_a_file(mut report: Report) -> Report {
    report.target.name = "staging".into();
    report.target.source = "targets/staging.yaml".into();
    report.target.digest = "ab".repeat(32);
    report.target.place = Some(Place { line: 3, column: 9, end_column: 40 });
    let permission = serde_json::json!({ "by": "Jane Doe, TICKET-1", "until": "2027-03-01" });
    report.target.permission = Some(serde_json::from_value(permission).expect("a permission"));
    report
}

pub fn selected(reports: &[Report]) -> usize {
    reports.iter().flat_map(|r| &r.verdicts).filter(|v| v.selected).count()
}

/// Whether every gate passes.
pub fn passes(reports: &[Report]) -> bool {
    reports.iter().all(|r| of(r).exit_code == 0)
}

#[test]
fn the_samples_are_what_they_are_called() {
    let exit = |name: &str| of(&sample(name)[0]).exit_code;
    assert_eq!((exit("strict"), exit("broken"), exit("undecided"), exit("fatal"), exit("accepted")), (0, 1, 4, 3, 0));
    let has = |name: &str, verdict: Verdict| sample(name)[0].verdicts.iter().any(|v| v.selected && v.verdict == verdict);
    assert!(has("undecided", Verdict::Inconclusive) && has("undecided", Verdict::Skipped));
    assert!(sample("old")[0].gate.is_none() && sample("old")[0].standards.is_empty());
}

/// Renderers are pure: the same report, the same bytes; and no secret of the lab is in any of them.
#[test]
fn rendering_twice_gives_the_same_bytes_without_secrets() {
    for format in grantproof::report::FORMATS {
        let (once, twice) = (render(format.name, sample("broken")), render(format.name, sample("broken")));
        assert!(once == twice, "{}", format.name);
        for secret in ["wonderland-demo-1", "listening-demo-2"] {
            assert!(!once.contains(secret), "{}: {secret}", format.name);
        }
    }
}
