//! The part of SARIF 2.1.0 that is written, with the names of the specification.

use std::path::{Component, Path};

use serde::Serialize;

use crate::report::safe::{line, sarif as safe};

pub const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Serialize)]
pub struct Log {
    #[serde(rename = "$schema")]
    pub schema: &'static str,
    pub version: &'static str,
    pub runs: Vec<Run>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub tool: Tool,
    pub automation_details: AutomationDetails,
    pub invocations: Vec<Invocation>,
    pub column_kind: &'static str,
    pub results: Vec<Finding>,
    pub properties: RunProperties,
}

#[derive(Serialize)]
pub struct RunProperties {
    pub targets: Vec<About>,
}

#[derive(Serialize)]
pub struct Tool {
    pub driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Driver {
    pub name: &'static str,
    pub version: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub information_uri: &'static str,
    pub rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    pub id: String,
    pub name: String,
    pub short_description: Text,
    pub full_description: Text,
    pub help: Help,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help_uri: Option<String>,
    pub default_configuration: Configuration,
    pub properties: RuleProperties,
}

#[derive(Serialize)]
pub struct Help {
    pub text: String,
    pub markdown: String,
}

#[derive(Serialize)]
pub struct Configuration {
    pub level: &'static str,
}

#[derive(Serialize)]
pub struct RuleProperties {
    /// What GitHub makes critical, high, medium or low of.
    #[serde(rename = "security-severity")]
    pub security_severity: &'static str,
    pub precision: &'static str,
    pub tags: Vec<String>,
}

#[derive(Serialize, Clone)]
pub struct Text {
    pub text: String,
}

impl Text {
    pub fn new(text: &str) -> Text {
        Text { text: text.to_owned() }
    }
}

#[derive(Serialize)]
pub struct AutomationDetails {
    pub id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocation {
    pub execution_successful: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time_utc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time_utc: Option<String>,
    pub exit_code: u8,
    pub exit_code_description: String,
    #[serde(rename = "toolExecutionNotifications", skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
}

#[derive(Serialize)]
pub struct Notification {
    level: &'static str,
    message: Text,
}

impl Notification {
    pub fn new(level: &'static str, text: &str) -> Notification {
        Notification { level, message: Text { text: safe(&line(text)) } }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub rule_id: String,
    pub rule_index: usize,
    pub level: &'static str,
    pub message: Text,
    pub locations: Vec<Location>,
    pub partial_fingerprints: Fingerprints,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub code_flows: Vec<CodeFlow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<Suppression>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_state: Option<&'static str>,
    pub properties: FindingProperties,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingProperties {
    pub verdict: &'static str,
    pub confirmed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level_in_profile: Option<&'static str>,
    /// How many words of the attack it was seen with.
    pub variants: usize,
}

#[derive(Serialize)]
pub struct Fingerprints {
    /// The only one that GitHub reads.
    #[serde(rename = "primaryLocationLineHash")]
    pub hash: String,
    #[serde(rename = "grantproof/v1")]
    pub own: String,
}

#[derive(Serialize, Clone)]
pub struct Location {
    #[serde(rename = "physicalLocation")]
    pub physical: Physical,
    #[serde(rename = "logicalLocations", skip_serializing_if = "Vec::is_empty")]
    pub logical: Vec<Logical>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
}

#[derive(Serialize, Clone)]
pub struct Physical {
    #[serde(rename = "artifactLocation")]
    pub artifact: Artifact,
    pub region: Region,
}

#[derive(Serialize, Clone)]
pub struct Artifact {
    pub uri: String,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    pub start_line: usize,
    pub start_column: usize,
    pub end_line: usize,
    pub end_column: usize,
}

#[derive(Serialize, Clone)]
pub struct Logical {
    #[serde(rename = "fullyQualifiedName")]
    pub name: String,
    pub kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeFlow {
    pub thread_flows: Vec<ThreadFlow>,
}

#[derive(Serialize)]
pub struct ThreadFlow {
    pub locations: Vec<FlowLocation>,
}

#[derive(Serialize)]
pub struct FlowLocation {
    pub location: Location,
    pub importance: &'static str,
}

#[derive(Serialize)]
pub struct Suppression {
    kind: &'static str,
    status: &'static str,
    justification: String,
}

impl Suppression {
    /// By a waiver.
    pub fn new(justification: &str) -> Suppression {
        Suppression { kind: "external", status: "accepted", justification: justification.to_owned() }
    }
}

/// What a run was made with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    pub name: String,
    pub issuer: String,
    pub profile: &'static str,
    pub gate: String,
    pub catalogue_digest: String,
    pub source_digest: String,
    pub target_digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}

/// The address of a target file: relative, as it was named, without what leads out of the directory; absolute ones as
/// `file:`, which the upload action makes relative to the checkout. The embedded lab has no file, and no digest of one.
pub fn uri(source: &str, digest: &str) -> String {
    if digest.is_empty() {
        return "embedded-lab".into();
    }
    let source = line(&source.replace('\\', "/"));
    let mut parts: Vec<String> = Vec::new();
    for component in Path::new(&source).components() {
        match component {
            Component::Normal(part) => parts.push(encoded(&part.to_string_lossy())),
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    let path = if parts.is_empty() { "target".to_owned() } else { parts.join("/") };
    if source.starts_with('/') { format!("file:///{path}") } else { path }
}

/// A segment of a path (RFC 3986 §3.3).
fn encoded(part: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(part, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn target_files_are_named_relative_to_where_the_run_was() {
        let file = |source| uri(source, "digest");
        assert_eq!(file("targets/staging.yaml"), "targets/staging.yaml");
        assert_eq!(file("./a b/../c:d#e.yaml"), "c%3Ad%23e.yaml");
        assert_eq!(file("../../etc/passwd"), "etc/passwd");
        assert_eq!(file("/srv/ü.yaml"), "file:///srv/%C3%BC.yaml");
        assert_eq!(file(""), "target");
        assert_eq!(uri("the embedded lab", ""), "embedded-lab");
    }
}
