//! YAML text → typed value, with limits against bombs and messages that say what to write.
//!
//! Anchors, aliases and merge keys are refused: scenario and target files are plain data, and what a file says must
//! stand where it is read.

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Diagnostics, suggestion};

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// Reads one YAML document.
///
/// # Errors
/// One diagnostic: the syntax, a duplicate key, an unknown field, a wrong type, or a limit that was passed.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::new(file, text);
    if text.len() > MAX_FILE {
        diagnostics.add(0, 0, format!("the file has {} bytes; at most {MAX_FILE} are read", text.len()), None);
        return Err(diagnostics.into_vec());
    }
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        diagnostics.add(0, 0, "the file is empty", Some("see `grantproof schema --help` for what it may hold".into()));
        return Err(diagnostics.into_vec());
    }
    let mut budget = serde_yaml::budget::Budget::default();
    budget.max_nodes = 20_000;
    budget.max_events = 60_000;
    budget.max_depth = 64;
    budget.max_aliases = 0;
    budget.max_anchors = 0;
    let mut options = serde_yaml::Options::default();
    options.budget = Some(budget);
    options.duplicate_keys = serde_yaml::DuplicateKeyPolicy::Error;
    options.merge_keys = serde_yaml::MergeKeyPolicy::Error;
    match serde_yaml::from_str_with_options(text, options) {
        Ok(value) => Ok(value),
        Err(error) => {
            let (line, column) = error.location().map(|l| (l.line() as usize, l.column() as usize)).unwrap_or((0, 0));
            let plain = error.without_snippet().to_string();
            let place = format!(" at line {line}, column {column}");
            let plain = plain.strip_suffix(&place).unwrap_or(&plain);
            let (message, help) = reword(plain);
            diagnostics.add(line, column, message, help);
            Err(diagnostics.into_vec())
        }
    }
}

/// The parser's messages, said for the author of the file.
fn reword(message: &str) -> (String, Option<String>) {
    for kind in ["field", "variant"] {
        if let Some(rest) = message.strip_prefix(&format!("unknown {kind} `"))
            && let Some((wrong, rest)) = rest.split_once('`')
        {
            let known: Vec<String> = rest
                .trim_start_matches(", expected")
                .trim_start_matches(" one of")
                .split([',', ' '])
                .map(|name| name.trim_matches(|c: char| c.is_whitespace() || c == '`').to_owned())
                .filter(|name| !name.is_empty() && name != "or")
                .collect();
            let what = if kind == "field" { "field" } else { "word" };
            return (format!("unknown {what} `{wrong}`"), suggestion(wrong, known.iter().map(String::as_str)));
        }
    }
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(", set ").next().unwrap_or(rest);
        return (format!("the key `{key}` stands here a second time"), Some("keep one of the two".into()));
    }
    if message.starts_with("expected string scalar") {
        let help = "write text; put it in quotes when it begins with {, [, *, &, ! or contains `: `";
        return ("text was expected here".into(), Some(help.into()));
    }
    if let Some(kind) = message.strip_prefix("invalid u") {
        return (format!("a whole number was expected here (u{kind})"), None);
    }
    if message.contains("into string; use Option") {
        return ("a value is missing here".into(), Some("write one after the colon; \"\" is the empty text".into()));
    }
    if message.contains("budget") || message.contains("limit") {
        return (
            format!("the file passes a limit of the reader: {message}"),
            Some("anchors, aliases and deep nesting are not read; write the data out".into()),
        );
    }
    if message.contains("multiple YAML documents") {
        return ("more than one YAML document in the file".into(), Some("one file, one document: remove `---`".into()));
    }
    (message.to_owned(), None)
}
