//! The HTML report: its structure, hostile reports, its size, the HTML checker of the W3C, and what a real browser and axe-core
//! say of it. What needs Chromium, Java or npm is skipped without them, and says so; GRANTPROOF_REQUIRE_BROWSER and
//! GRANTPROOF_REQUIRE_CHECKERS make that a failure.

#[path = "../common/mod.rs"]
mod common;

mod checkers;
mod hostile;
mod in_chromium;
mod page;
mod samples;

use grantproof::model::report::Report;
use grantproof::report::Format;

use page::Page;
use samples::{many, samples};

/// What the issue promises of a page of one target with 300 scenarios.
const MOST_BYTES: usize = 3 << 20;

fn render(reports: &[Report]) -> String {
    Format::by_name("html").expect("the format").text(reports).expect("a page")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_report_is_one_sound_page() {
    for (name, reports) in samples().await {
        let page = Page::parse(&render(reports));
        page.assert_sound(name);
        // Every scenario stands at one place, whatever became of it.
        for (number, report) in reports.iter().enumerate() {
            let prefix = if reports.len() == 1 { String::new() } else { format!("t{}-", number + 1) };
            for index in 0..report.verdicts.len() {
                assert!(page.ids.contains(&format!("{prefix}s{index}")), "{name}: {} is missing", report.verdicts[index].id);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_first_and_every_part_is_there() {
    let samples = samples().await;
    let (_, reports) = samples.iter().find(|(name, _)| *name == "full").expect("a sample");
    let text = render(reports);
    let order = [
        "Gate failed: ",
        "Which defenses hold</h2>",
        "Since the baseline",
        "Accepted for a while",
        "Findings by root cause",
        "What follows from it",
        "What holds</h2>",
        "Coverage by standard",
        "What was not tested, and why",
        "About this run",
        "Integrity",
    ];
    let mut from = text.find("<main").expect("the answer");
    for words in order {
        from += text[from..].find(words).unwrap_or_else(|| panic!("`{words}` is missing, or stands too early"));
    }
    for words in [
        "Jane Doe, platform security",
        "SEC-1182",
        "a.person@example.org",
        "grantproof verify FILE.json",
        "Again by hand",
        "curl -sS -i",
        "CHANGE  after rotate: the same request once more (replay)",
        "Requests and answers",
        "RFC9700#2.2.2",
    ] {
        assert!(text.contains(words), "`{words}` is missing");
    }
    for digest in [&reports[0].run.catalogue_digest, &reports[0].run.source_digest] {
        assert!(text.contains(digest.as_str()), "{digest} is missing");
    }
}

/// What the attack changed is marked, and what is drawn anew each time is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_change_is_marked_in_the_request() {
    let samples = samples().await;
    let (_, reports) = samples.iter().find(|(name, _)| *name == "flaws").expect("a sample");
    let text = render(reports);
    let marks: Vec<&str> = text.split("<mark>").skip(1).filter_map(|m| m.split("</mark>").next()).collect();
    let changed = |start: &str| marks.iter().any(|m| m.trim_start_matches(['&', 'a', 'm', 'p', ';', '?']).starts_with(start));
    assert!(changed("redirect_uri="), "{marks:?}");
    assert!(!changed("state=") && !changed("code_challenge=") && !changed("code="), "{marks:?}");
}

/// A report that says nothing of a defense does not say that none is broken.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_judged_is_no_good_news() {
    let samples = samples().await;
    let (_, reports) = samples.iter().find(|(name, _)| *name == "fatal").expect("a sample");
    let text = render(reports);
    for words in ["Nothing was judged", "the client secret is wrong", "The control that failed"] {
        assert!(text.contains(words), "`{words}` is missing");
    }
    assert!(!text.contains("No defense was seen broken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_scenarios_stay_small() {
    let one = render(&many(300, 1).await);
    assert!(one.len() <= MOST_BYTES, "{} bytes", one.len());
    Page::parse(&one).assert_sound("300 scenarios");
    assert!(one.contains("Again by hand") && one.contains("Requests and answers ("), "the evidence is there");
    // With everything broken there is more evidence than fits: it is left out, and the page says so.
    let mut broken = many(300, 1).await;
    let finding = broken[0].verdicts[0].clone();
    assert_eq!(finding.verdict, grantproof::model::verdict::Verdict::Broken);
    for (number, verdict) in broken[0].verdicts.iter_mut().enumerate() {
        *verdict = finding.clone();
        verdict.id = format!("group-{}/scenario-{number}", number % 25);
    }
    let page = render(&broken);
    assert!(page.len() <= MOST_BYTES + (1 << 20), "{} bytes", page.len());
    assert!(page.contains("are left out, so that this page stays small"));
    Page::parse(&page).assert_sound("300 findings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_no_report_is_a_page() {
    Page::parse(&render(&[])).assert_sound("none");
}

/// A renderer is pure: the same report, the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_gives_the_same_page() {
    for (name, reports) in samples().await {
        assert!(render(reports) == render(reports), "{name}");
    }
}
