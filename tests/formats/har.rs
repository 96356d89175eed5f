//! HAR: the schema of version 1.2, and that every exchange is there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{data, render, sample, samples};

fn log(reports: &[grantproof::model::report::Report]) -> Value {
    serde_json::from_str(&render("har", reports)).expect("JSON")
}

#[test]
fn the_schema_takes_every_report() {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(data("har-1.2.schema.json")).expect("a file")).expect("JSON");
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    for sample in samples() {
        let har = log(&sample.reports);
        let errors: Vec<String> = validator.iter_errors(&har).map(|e| format!("{e} at {}", e.instance_path())).take(5).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", sample.name);
    }
}

#[test]
fn every_exchange_is_an_entry_of_a_page() {
    for sample in samples() {
        let har = log(&sample.reports);
        let (entries, pages) = (har["log"]["entries"].as_array().expect("a list"), har["log"]["pages"].as_array().expect("a list"));
        let mut sent = 0;
        for report in &sample.reports {
            sent += report.controls.iter().map(|t| t.requests()).sum::<usize>();
            sent += report.negative_controls.iter().map(|n| n.answer.exchanges.len()).sum::<usize>();
            for variant in report.verdicts.iter().flat_map(|v| &v.variants) {
                sent += variant.attempts.load().expect("evidence").iter().map(|t| t.requests()).sum::<usize>();
            }
        }
        assert_eq!(entries.len(), sent, "{}", sample.name);
        let ids: BTreeSet<&str> = pages.iter().filter_map(|p| p["id"].as_str()).collect();
        assert_eq!(ids.len(), pages.len(), "{}", sample.name);
        assert!(entries.iter().all(|e| e["pageref"].as_str().is_some_and(|p| ids.contains(p))), "{}", sample.name);
    }
}

#[test]
fn an_entry_says_what_was_sent_and_which_finding_it_is_of() {
    let har = log(sample("broken"));
    let entries = har["log"]["entries"].as_array().expect("a list");
    let token = entries
        .iter()
        .find(|e| {
            e["_grantproof"]["scenario"] == "refresh/reuse-after-rotation"
                && e["request"]["url"].as_str().is_some_and(|u| u.ends_with("/token"))
        })
        .expect("a token request");
    assert_eq!(token["request"]["method"], "POST");
    assert_eq!(token["request"]["postData"]["mimeType"], "application/x-www-form-urlencoded");
    assert_eq!(token["response"]["status"], 200);
    assert_eq!(token["_grantproof"]["verdict"], "broken");
    let times: Vec<&str> = entries.iter().filter_map(|e| e["startedDateTime"].as_str()).collect();
    assert!(times.windows(2).all(|w| w[0] <= w[1]) && times[0] < times[times.len() - 1], "in the order of the report");
}
