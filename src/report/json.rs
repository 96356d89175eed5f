//! The JSON report; its schema is `schema/report.schema.json`.

use crate::model::report::Report;

pub fn write(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"));
    text.push('\n');
    text
}

/// Reads a report back.
///
/// # Errors
/// What is not as the schema has it.
pub fn read(text: &str) -> Result<Report, String> {
    serde_json::from_str(text).map_err(|e| format!("line {}, column {}: {e}", e.line(), e.column()))
}
