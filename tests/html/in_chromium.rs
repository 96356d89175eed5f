//! The page in a real browser: silent, alone, accessible, quick.

use serde_json::{Value, json};

use crate::checkers;
use crate::common::chromium::{Viewer, have_browser};
use crate::render;
use crate::samples::{many, samples};

/// No message on the console (a breach of the page's policy is one), no request but for the file, no script.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_silent_and_alone() {
    if !have_browser("the_page_is_silent_and_alone") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let viewer = Viewer::start().await;
    for (name, reports) in samples().await {
        let file = folder.path().join("page.html");
        std::fs::write(&file, render(reports)).expect("written");
        viewer.requests().await;
        viewer.open(&file).await;
        assert_eq!(viewer.console().await, Vec::<String>::new(), "{name}");
        let asked = viewer.requests().await;
        assert!(!asked.is_empty() && asked.iter().all(|url| url == &format!("file://{}", file.display())), "{name}: {asked:?}");
        assert_eq!(viewer.run("return performance.getEntriesByType('resource').length").await, json!(0), "{name}");
        // The style sheet is the one that the policy names: it is applied.
        assert_eq!(viewer.run("return getComputedStyle(document.querySelector('.skip')).position").await, "absolute", "{name}");
        // On a narrow screen nothing is wider than the screen.
        let narrow = json!({"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": false});
        viewer.session.devtools("Emulation.setDeviceMetricsOverride", narrow).await.expect("a narrow screen");
        let wide = viewer.run("return document.documentElement.scrollWidth").await;
        viewer.session.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await.expect("a wide screen");
        assert!(wide.as_f64().is_some_and(|w| w <= 361.0), "{name}: {wide} wide");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_core_finds_no_violation() {
    let Some(axe) = checkers::axe("axe_core_finds_no_violation") else { return };
    if !have_browser("axe_core_finds_no_violation") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let viewer = Viewer::start().await;
    let file = folder.path().join("page.html");
    for (name, reports) in samples().await.iter().filter(|(name, _)| !["part", "flaws"].contains(name)) {
        std::fs::write(&file, render(reports)).expect("written");
        viewer.open(&file).await;
        viewer.run("document.querySelectorAll('details').forEach(d => d.open = true)").await;
        viewer.run(&axe).await;
        // Only colours differ between the two.
        for (scheme, rules) in [("light", EVERY_RULE), ("dark", "runOnly: ['color-contrast']")] {
            viewer.prefer(scheme).await;
            assert_eq!(violations(&viewer, rules).await, json!([]), "{name}, {scheme}");
        }
    }
    // It does find what is wrong, in either scheme.
    let wrong =
        "<!DOCTYPE html><html lang=en><title>x</title><main><h1>x</h1><p style='color: #888; background: #999'>Hard to read</p></main>";
    std::fs::write(&file, wrong).expect("written");
    viewer.open(&file).await;
    viewer.run(&axe).await;
    for rules in [EVERY_RULE, "runOnly: ['color-contrast']"] {
        let found = violations(&viewer, rules).await;
        assert!(
            found.as_array().is_some_and(|list| list.len() == 1) && found[0].as_str().is_some_and(|v| v.starts_with("color-contrast")),
            "{found}"
        );
    }
}

/// Also the one that is off by itself: targets large enough to touch.
const EVERY_RULE: &str = "rules: {'target-size': {enabled: true}}";

async fn violations(viewer: &Viewer, rules: &str) -> Value {
    let script = "const done = arguments[arguments.length - 1];
        axe.run(document, {resultTypes: ['violations'], RULES})
           .then(r => done(r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' ' + n.failureSummary).join(' | '))))
           .catch(e => done(['axe failed: ' + e]))";
    let body = json!({"script": script.replace("RULES", rules), "args": []});
    viewer.session.command("POST", "/execute/async", body).await.expect("axe runs")
}

/// The figures are printed, and not asserted: machines differ.
#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_scenarios_with_evidence_open() {
    if !have_browser("three_hundred_scenarios_open") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("page.html");
    let reports = many(300, 1).await;
    let begun = std::time::Instant::now();
    let page = render(&reports);
    let rendered = begun.elapsed();
    std::fs::write(&file, &page).expect("written");
    let viewer = Viewer::start().await;
    // In time of the processor, since others may use the machine as well.
    viewer.session.devtools("Performance.enable", json!({"timeDomain": "threadTicks"})).await.expect("it counts");
    viewer.open(&file).await;
    let script = "return [performance.getEntriesByType('navigation')[0].loadEventEnd, document.querySelectorAll('.signs .q').length,
        document.querySelectorAll('figure').length]";
    let seen = viewer.run(script).await;
    let number = |index: usize| seen.get(index).and_then(Value::as_f64).unwrap_or_default();
    let metrics = viewer.session.devtools("Performance.getMetrics", json!({})).await.expect("its metrics");
    let metric = |name: &str| {
        let found = metrics["metrics"].as_array().and_then(|list| list.iter().find(|m| m["name"] == name));
        found.and_then(|m| m["value"].as_f64()).unwrap_or_default() * 1e3
    };
    eprintln!(
        "300 scenarios: {} KiB rendered in {} ms; Chromium opened it in {:.0} ms, in which it worked for {:.0} ms ({:.0} ms of style, {:.0} ms of layout)",
        page.len() >> 10,
        rendered.as_millis(),
        number(0),
        metric("TaskDuration"),
        metric("RecalcStyleDuration"),
        metric("LayoutDuration"),
    );
    assert_eq!(number(1), 300.0, "a sign for each scenario");
    assert!(number(2) > 10.0, "the diagrams are there");
}
