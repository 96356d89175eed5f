//! The JSON Schemas, generated from the types that the program reads and writes. Editors document draft 7, so that is
//! what they are.

use schemars::generate::SchemaSettings;

/// Every schema by name; each is committed as `schema/<name>.schema.json`.
pub const NAMES: &[&str] = &[
    "scenario",
    "flow",
    "standard",
    "not-tested",
    "peers",
    "settings",
    "target",
    "report",
    "collection",
    "diff",
    "recording",
    "waivers",
    "event",
];

/// A schema as pretty-printed JSON; None for an unknown name.
pub fn text(name: &str) -> Option<String> {
    let generator = SchemaSettings::draft07().into_generator();
    let schema = match name {
        "scenario" => generator.into_root_schema_for::<crate::scenario::file::ScenarioFile>(),
        "flow" => generator.into_root_schema_for::<crate::scenario::file::FlowFile>(),
        "standard" => generator.into_root_schema_for::<crate::scenario::standard::StandardFile>(),
        "not-tested" => generator.into_root_schema_for::<crate::scenario::standard::NotTestedFile>(),
        "peers" => generator.into_root_schema_for::<crate::scenario::standard::PeersFile>(),
        "settings" => generator.into_root_schema_for::<crate::scenario::standard::SettingsFile>(),
        "target" => generator.into_root_schema_for::<crate::target::file::TargetFile>(),
        "report" => generator.into_root_schema_for::<crate::model::report::Report>(),
        "collection" => generator.into_root_schema_for::<crate::model::report::Collection>(),
        "diff" => generator.into_root_schema_for::<crate::report::diff::Differences>(),
        "waivers" => generator.into_root_schema_for::<crate::target::waivers::WaiversFile>(),
        "recording" => generator.into_root_schema_for::<crate::model::report::Recording>(),
        "event" => generator.into_root_schema_for::<crate::model::event::Event>(),
        _ => return None,
    };
    serde_json::to_string_pretty(&schema).ok().map(|text| text + "\n")
}
