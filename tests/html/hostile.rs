//! Reports that were made to attack their reader: whatever stands in a string, nothing comes of it but text.

use grantproof::model::report::Report;
use serde_json::Value;

use crate::common::chromium::{Viewer, have_browser};
use crate::page::Page;
use crate::render;
use crate::samples::samples;

/// Members that take a few words only.
const WORDS: &[&str] =
    &["schema_version", "verdict", "severity", "level", "profile", "kind", "outcome", "at_fault", "since_baseline", "fail_on"];

pub const ATTACKS: &[&str] = &[
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

/// Every string of a report with an attack before or behind it; equal strings stay equal.
fn poisoned(report: &Report, attack: &str, before: bool) -> Report {
    fn walk(value: &mut Value, poison: &dyn Fn(&str) -> String) {
        match value {
            Value::String(text) => *text = poison(text),
            Value::Array(list) => list.iter_mut().for_each(|v| walk(v, poison)),
            Value::Object(members) => members.iter_mut().filter(|(n, _)| !WORDS.contains(&n.as_str())).for_each(|(_, v)| walk(v, poison)),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(report).expect("JSON");
    walk(&mut value, &|text| if before { format!("{attack}{text}") } else { format!("{text}{attack}") });
    serde_json::from_value(value).expect("still a report")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_of_a_hostile_report_but_text() {
    for (name, reports) in samples().await.iter().filter(|(name, _)| ["full", "fatal", "several"].contains(name)) {
        for (number, attack) in ATTACKS.iter().enumerate() {
            let poisoned: Vec<Report> = reports.iter().map(|r| poisoned(r, attack, number % 2 == 0)).collect();
            Page::parse(&render(&poisoned)).assert_sound(&format!("{name} with {attack:?}"));
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
    for (number, attack) in ATTACKS.iter().enumerate() {
        let file = folder.path().join(format!("{number}.html"));
        std::fs::write(&file, render(&[poisoned(&reports[0], attack, number % 2 == 1)])).expect("written");
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
