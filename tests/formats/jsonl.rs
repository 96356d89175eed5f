//! JSON Lines: every line fits the schema of events, and can be read back.

use grantproof::model::event::Event;
use grantproof::report::gate::of;
use serde_json::Value;

use super::{render, sample, samples, selected};

#[test]
fn every_line_is_an_event_by_the_schema() {
    let schema: Value = serde_json::from_str(&grantproof::schema::text("event").expect("a schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for sample in samples() {
        let text = render("jsonl", &sample.reports);
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        for line in &lines {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", sample.name));
            if let Err(error) = validator.validate(&value) {
                panic!("{}: {error} at {}", sample.name, error.instance_path());
            }
            serde_json::from_str::<Event>(line).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        }
        let of_kind = |kind: &str| lines.iter().filter(|l| l.starts_with(&format!("{{\"event\":\"{kind}\""))).count();
        assert_eq!((of_kind("run"), of_kind("gate")), (sample.reports.len(), sample.reports.len()), "{}", sample.name);
        assert_eq!(of_kind("verdict"), selected(&sample.reports), "{}", sample.name);
        assert_eq!(of_kind("run") + of_kind("gate") + of_kind("verdict") + of_kind("variant"), lines.len(), "{}", sample.name);
    }
}

#[test]
fn the_gate_is_last_and_names_what_fails_it() {
    let text = render("jsonl", sample("broken"));
    let events: Vec<Event> = text.lines().map(|l| serde_json::from_str(l).expect("an event")).collect();
    assert!(matches!(events.first(), Some(Event::Run { .. })));
    assert!(matches!(events.last(), Some(Event::Gate { exit_code: 1, .. })));
    let failing: Vec<&String> = events
        .iter()
        .filter_map(|e| match e {
            Event::Verdict { id, fails_gate: true, .. } => Some(id),
            _ => None,
        })
        .collect();
    assert_eq!(failing, of(&sample("broken")[0]).failing.iter().collect::<Vec<_>>());
}
