//! Reports that were made to attack their reader: whatever stands in a string, nothing comes of it but text.

use grantproof::model::report::Report;
use serde_json::Value;

use crate::common::chromium::{Viewer, have_browser};
use crate::common::hostile::{TEXTS, added, replaced};
use crate::page::Page;
use crate::render;
use crate::samples::samples;

/// Beside those that every format is tried with.
const ATTACKS: &[&str] = &[
    "<script>window.pwned=1;alert(1)</script>",
    "\"><img src=x onerror=\"window.pwned=1\">",
    "'><svg/onload=window.pwned=1>",
    "javascript:window.pwned=1//",
    "data:text/html,<script>window.pwned=1</script>",
    "</style><script>window.pwned=1</script><style>",
    "</title></pre></details></table></main></body></html><script>window.pwned=1</script>",
    "]]><!--",
    "--><script>window.pwned=1</script>",
    "https://evil.example/\" onmouseover=\"window.pwned=1",
    "&lt;script&gt;window.pwned=1&lt;/script&gt;&#60;script&#62;",
    "\0\u{1b}[31m\u{7}\r\u{85}\u{9b}",
    "\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{ffff}\u{e0041}",
    "`<img src=x onerror=window.pwned=1>` ‹code ›‹‹ &a=<b>&=?#",
    "[1]: // @import url(//evil.example)",
    "../../../../#s0",
];

/// Every string of a report replaced by an attack, or with it behind.
fn poisoned(report: &Report, attack: &str, all: bool) -> Report {
    if all { replaced(report, attack) } else { added(report, attack) }
}

fn attacks() -> impl Iterator<Item = &'static str> {
    ATTACKS.iter().chain(TEXTS).copied()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_of_a_hostile_report_but_text() {
    for (name, reports) in samples().await.iter().filter(|(name, _)| ["full", "several"].contains(name)) {
        // The sections of several are those of one: a few will do.
        for attack in attacks().step_by(if reports.len() == 1 { 1 } else { 5 }) {
            for all in [true, false] {
                let poisoned: Vec<Report> = reports.iter().map(|r| poisoned(r, attack, all)).collect();
                Page::parse(&render(&poisoned)).assert_sound(&format!("{name} with {attack:?}"));
            }
        }
    }
}

/// Numbers that lead nowhere, causes that run in a circle, ids that stand twice, one string of a megabyte.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_contradicts_itself_is_rendered() {
    let (_, reports) = samples().await.iter().find(|(name, _)| *name == "full").expect("a sample");
    let mut report = reports[0].clone();
    let ids: Vec<String> = report.verdicts.iter().map(|v| v.id.clone()).collect();
    for (index, verdict) in report.verdicts.iter_mut().enumerate() {
        if verdict.implied_by.is_some() || index == 0 {
            verdict.implied_by = Some(ids[(index + 1) % 5].clone());
        }
        for variant in &mut verdict.variants {
            variant.control_before = Some(usize::MAX);
            variant.control_after = Some(usize::MAX);
        }
    }
    report.verdicts[1].id = ids[0].clone();
    report.verdicts[2].implied_by = Some("no/such/scenario".into());
    report.verdicts[3].reason = "é".repeat(1 << 20);
    report.run.started = "yesterday".into();
    report.run.finished = report.run.started.clone();
    report.controls.clear();
    let page = render(std::slice::from_ref(&report));
    Page::parse(&page).assert_sound("a contradiction");
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
    report.verdicts.clear();
    Page::parse(&render(&[report.clone(), report])).assert_sound("no verdicts");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_script_of_a_report_runs_in_a_browser() {
    if !have_browser("no_script_of_a_report_runs") {
        return;
    }
    let (_, reports) = samples().await.iter().find(|(name, _)| *name == "full").expect("a sample");
    let folder = tempfile::tempdir().expect("a folder");
    let viewer = Viewer::start().await;
    for (number, attack) in attacks().enumerate() {
        let file = folder.path().join(format!("{number}.html"));
        std::fs::write(&file, render(&[added(&reports[0], attack)])).expect("written");
        viewer.requests().await;
        viewer.open(&file).await;
        // A dialog would make every command fail.
        let pwned = viewer.run("document.querySelectorAll('details').forEach(d => d.open = true); return window.pwned ?? null").await;
        assert_eq!(pwned, Value::Null, "{attack}");
        assert_eq!(viewer.console().await, Vec::<String>::new(), "{attack}");
        let elsewhere: Vec<String> = viewer.requests().await.into_iter().filter(|url| !url.starts_with("file://")).collect();
        assert!(elsewhere.is_empty(), "{attack}: {elsewhere:?}");
    }
}
