//! The committed JSON Schemas are those of the types, every data file fits them, and schema and loader refuse the same
//! shapes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use grantproof::schema;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn validator(name: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&schema::text(name).expect("a schema")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a valid schema")
}

/// YAML as an editor sees it.
fn value(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{e}"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "no files in {folder}");
    found
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for name in schema::NAMES {
        let path = root().join(format!("schema/{name}.schema.json"));
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(Some(committed) == schema::text(name), "{} is stale: write `grantproof schema {name}` into it", path.display());
    }
}

#[test]
fn every_data_file_fits_its_schema_and_names_it() {
    for (folder, name) in [("scenarios", "scenario"), ("flows", "flow"), ("standards", "standard")] {
        let validator = validator(name);
        for path in files(folder)
            .into_iter()
            .filter(|path| !path.ends_with("NOT-TESTED.yaml") && !path.ends_with("PEERS.yaml") && !path.ends_with("SETTINGS.yaml"))
        {
            let text = std::fs::read_to_string(&path).expect("a file");
            let depth = path.strip_prefix(root()).expect("inside").components().count() - 1;
            let modeline = format!("# yaml-language-server: $schema={}schema/{name}.schema.json", "../".repeat(depth));
            assert_eq!(text.lines().next(), Some(modeline.as_str()), "{}", path.display());
            if let Err(error) = validator.validate(&value(&text)) {
                panic!("{}: {} at {}", path.display(), error, error.instance_path());
            }
        }
    }
}

/// Every known attack is a scenario, or says why it is none.
#[test]
fn every_known_attack_is_a_scenario_or_says_why_not() {
    let text = |name: &str| std::fs::read_to_string(root().join("scenarios").join(name)).expect("a file");
    let ids = text("IDS.txt");
    let known: BTreeSet<&str> = ids.lines().collect();
    assert!(known.iter().copied().eq(ids.lines()), "IDS.txt is sorted, and has each id once");
    assert!(validator("not-tested").is_valid(&value(&text("NOT-TESTED.yaml"))));
    let left = grantproof::scenario::catalogue::not_tested().unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let catalogue = grantproof::cli::inputs::catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    let mut found = BTreeSet::new();
    for id in catalogue.scenarios.keys().map(String::as_str).chain(left.iter().map(|entry| entry.id.as_str())) {
        assert!(known.contains(id), "{id} is not in IDS.txt");
        assert!(found.insert(id), "{id} is a scenario, and in NOT-TESTED.yaml, or there twice");
    }
    let missing: Vec<&&str> = known.iter().filter(|id| !found.contains(**id)).collect();
    assert!(missing.is_empty(), "neither a scenario nor in NOT-TESTED.yaml: {missing:?}");
    assert!(left.iter().all(|entry| entry.why.len() > 30), "a reason is a sentence");
}

/// Who else tries an attack is said of known attacks, and of tools that are named.
#[test]
fn peers_are_tools_and_try_known_attacks() {
    let text = std::fs::read_to_string(root().join("scenarios/PEERS.yaml")).expect("PEERS.yaml");
    assert!(validator("peers").is_valid(&value(&text)));
    let ids = std::fs::read_to_string(root().join("scenarios/IDS.txt")).expect("IDS.txt");
    let peers = grantproof::scenario::catalogue::peers().unwrap_or_else(|wrong| panic!("{wrong:?}"));
    for (id, tools) in &peers.attacks {
        assert!(ids.lines().any(|known| known == id), "{id} is not in IDS.txt");
        assert!(!tools.is_empty() && tools.iter().all(|tool| peers.tools.contains_key(tool)), "{id}: {tools:?}");
    }
}

/// A setting helps where a test of a real server shows it: broken without it, and held with it.
#[test]
fn settings_of_products_were_seen_to_work() {
    let file = std::fs::read_to_string(root().join("scenarios/SETTINGS.yaml")).expect("SETTINGS.yaml");
    assert!(validator("settings").is_valid(&value(&file)));
    let settings = grantproof::scenario::catalogue::settings().unwrap_or_else(|wrong| panic!("{wrong:?}"));
    for product in &settings.products {
        let expected = |mode: &str| {
            let path = root().join(format!("tests/interop/{}/{mode}.expected.yaml", product.server));
            value(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        };
        for setting in &product.settings {
            let (without, with) = (expected(&setting.broken_in), expected(&setting.holds_in));
            for id in &setting.scenarios {
                assert_eq!((&without[id], &with[id]), (&"broken".into(), &"holds".into()), "{}: {id}: {}", product.product, setting.set);
            }
        }
    }
}

/// What an editor marks red, the loader refuses, and the other way round, for mistakes of shape.
#[test]
fn schema_and_loader_refuse_the_same_shapes() {
    let good = std::fs::read_to_string(root().join("scenarios/pkce/wrong-verifier.yaml")).expect("a scenario");
    let validator = validator("scenario");
    let catalogue = grantproof::cli::inputs::catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    let library = catalogue.library(&grantproof::cli::inputs::flaw_names());
    let both =
        |text: &str| (validator.is_valid(&value(text)), grantproof::scenario::resolve::scenario("x.yaml", text, None, &library).is_ok());
    assert_eq!(both(&good), (true, true));
    let shapes = [
        ("severity: high", "severity: hihg"),
        ("title: A code", "titel: A code"),
        ("card: true", "card: perhaps"),
        ("  steps: [authorize, redeem, use]", "  steps: authorize"),
        ("        replace:\n", "        replaces:\n"),
        ("      has: [authorize.code, authorize.sent]", "      hass: [authorize.code]"),
        ("baseline: must", "baseline: always"),
        ("        skip: true", "        skip: {}"),
    ];
    for (from, to) in shapes {
        assert!(good.contains(from), "the sample has no `{from}`");
        assert_eq!(both(&good.replace(from, to)), (false, false), "{to}");
    }
}

/// The report that a run writes fits the published schema.
#[test]
fn the_sample_report_fits_its_schema() {
    let text = std::fs::read_to_string(root().join("reports/sample.json")).expect("the sample report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    if let Err(error) = validator("report").validate(&report) {
        panic!("{} at {}", error, error.instance_path());
    }
    assert!(grantproof::report::read::text("sample", &text).is_ok(), "the program reads its own report");
}
