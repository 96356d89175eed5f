//! Markdown, read by somebody else's parser of GitHub's dialect: hostile text stays text.

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};

use grantproof::report::safe;

use super::common::hostile::TEXTS;
use super::{render, sample, samples};

/// As GitHub has it: tables, bare addresses as links, task lists, struck-out text, footnotes, alerts, formulas.
fn github() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.alerts = true;
    options.extension.math_dollars = true;
    options
}

/// What Markdown makes of a text, beside running text: links, images, HTML, headings.
#[derive(Debug, Default, PartialEq)]
struct Found {
    links: Vec<String>,
    images: usize,
    html: Vec<String>,
    headings: Vec<String>,
    other: Vec<String>,
    tables: usize,
    /// Everything that a reader sees, code included.
    text: String,
    /// What of it is neither code nor HTML: where GitHub looks for mentions.
    running: String,
}

fn read(markdown: &str) -> Found {
    let arena = Arena::new();
    let mut found = Found::default();
    for node in parse_document(&arena, markdown, &github()).descendants() {
        match &node.data.borrow().value {
            NodeValue::Link(link) => found.links.push(link.url.clone()),
            NodeValue::Image(_) => found.images += 1,
            NodeValue::HtmlBlock(html) => found.html.extend(html.literal.lines().map(str::to_owned)),
            NodeValue::HtmlInline(html) => found.html.push(html.clone()),
            NodeValue::Heading(heading) => found.headings.push(format!("h{}", heading.level)),
            NodeValue::Table(_) => found.tables += 1,
            NodeValue::Text(text) => {
                found.text += text;
                found.running += text;
            }
            NodeValue::Code(code) => found.text += &code.literal,
            NodeValue::CodeBlock(block) => found.text += &block.literal,
            NodeValue::SoftBreak | NodeValue::LineBreak => found.running.push(' '),
            NodeValue::Document
            | NodeValue::Paragraph
            | NodeValue::List(_)
            | NodeValue::Item(_)
            | NodeValue::Strong
            | NodeValue::TableRow(_)
            | NodeValue::TableCell => {}
            other => found.other.push(format!("{other:?}")),
        }
    }
    found
}

#[test]
fn hostile_text_stays_text() {
    for text in TEXTS {
        for (what, markdown) in [
            ("running text", format!("- **x:** {}\n", safe::markdown(text))),
            ("a cell", format!("| a | b |\n|---|---|\n| {} | c |\n", safe::markdown(text))),
            ("a cell with code", format!("| a | b |\n|---|---|\n| {} | c |\n", safe::code_cell(text))),
            ("code", format!("x {} y\n", safe::code(text))),
            ("a block", safe::fenced(text, "text")),
            ("a summary", format!("<details><summary>{}</summary>\n\n</details>\n", safe::html_line(text))),
        ] {
            let found = read(&markdown);
            assert!(
                found.links.is_empty() && found.images == 0 && found.headings.is_empty() && found.other.is_empty(),
                "{what}: {markdown}\n{found:#?}"
            );
            assert_eq!(found.tables, usize::from(what.starts_with("a cell")), "{what}: {markdown}");
            let html = if what == "a summary" {
                vec![format!("<details><summary>{}</summary>", safe::html_line(text)), "</details>".into()]
            } else {
                vec![]
            };
            assert_eq!(found.html, html, "{what}: {markdown}");
            // GitHub makes mentions and references of running text that is finished.
            for (index, _) in found.running.match_indices(['@']) {
                assert!(found.running[index + 1..].starts_with('\u{200b}'), "{what}: {}", found.running);
            }
        }
    }
    assert_eq!(
        read(&format!("x {}", safe::markdown("a_b*c*[d](e)`f`<g>&amp;~~h~~|i\\j $k$"))).running,
        "x a_b*c*[d](e)`f`<g>&amp;~~h~~|i\\j $k$"
    );
}

/// A whole report has the structure that we gave it, whatever stands in it.
#[test]
fn a_hostile_report_has_our_structure_only() {
    for sample in samples() {
        let markdown = render("markdown", &sample.reports);
        let found = read(&markdown);
        assert!(found.links.is_empty() && found.images == 0, "{}: {:?}", sample.name, found.links);
        assert!(found.other.is_empty(), "{}: {:?}", sample.name, found.other);
        for line in &found.html {
            let summary = line.strip_prefix("<details><summary><b>").and_then(|l| l.strip_suffix("</summary>"));
            let inner = summary.map(|l| l.replace("</b>", "").replacen("<code>", "", 1).replacen("</code>", "", 1));
            let ours = line == "</details>" || inner.is_some_and(|l| !l.contains(['<', '>']));
            assert!(ours, "{}: {line}", sample.name);
        }
        assert!(found.headings.len() <= 1 + 6 * sample.reports.len(), "{}: {:?}", sample.name, found.headings);
        assert!(markdown.chars().all(|c| c == '\n' || !c.is_control()), "{}", sample.name);
    }
}

#[test]
fn the_answer_is_first_and_findings_are_worst_first() {
    let markdown = render("markdown", sample("broken"));
    let first = markdown.lines().next().expect("a line");
    assert!(first.starts_with("# ❌ lab") && first.contains("failed"), "{first}");
    let order: Vec<&str> = markdown.lines().filter_map(|l| l.strip_prefix("<details><summary><b>")).collect();
    assert!(order[0].starts_with("BROKEN</b> high") || order[0].starts_with("BROKEN</b> critical"), "{order:?}");
    let found = read(&markdown);
    for part in ["replay was issued", "rotate", "curl -sS", "grantproof explain refresh/reuse-after-rotation"] {
        assert!(found.text.contains(part), "{part} is missing");
    }
    assert!(render("markdown", sample("strict")).starts_with("# ✅ lab"));
}

#[test]
fn waivers_baseline_and_what_was_not_tested_are_shown() {
    let found = read(&render("markdown", sample("accepted")));
    for part in ["Waived", "Jane Doe", "2027-01-31", "Since the baseline", "pkce/plain-method", "as before", "race/code-redeem"] {
        assert!(found.text.contains(part), "{part} is missing");
    }
    let found = read(&render("markdown", sample("undecided")));
    assert!(found.text.contains("Not tested") && found.text.contains("add `clients.second` to the target file"), "{}", found.text);
    assert!(read(&render("markdown", sample("fatal"))).text.contains("Nothing was judged"));
}

/// GitHub refuses a summary of more than 1 MiB, whole.
#[test]
fn it_is_never_longer_than_github_takes() {
    let mut report = sample("broken")[0].clone();
    let finding = report.verdicts[0].clone();
    report.verdicts = (0..4000)
        .map(|n| grantproof::model::report::ScenarioVerdict { id: format!("a/{n}"), reason: "|".repeat(3000), ..finding.clone() })
        .collect();
    report.gate = None;
    for (what, reports) in [("one", vec![report.clone()]), ("several", vec![report.clone(), sample("strict")[0].clone(), report])] {
        let markdown = render("markdown", &reports);
        assert!(markdown.len() <= 900 << 10, "{what}: {} bytes", markdown.len());
        assert!(markdown.len() > 500 << 10, "{what}: the room is used: {} bytes", markdown.len());
        assert!(markdown.contains(" more: see the JSON report"), "{what}");
    }
}
