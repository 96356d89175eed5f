//! Stored JSON reports, read back: of one target or of several, of this version of the schema or an older one.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::report::{Collection, Report, SCHEMA_VERSION};

/// Bytes of a report file that are read: twenty targets with three hundred scenarios each take about a third of it.
pub const MOST_BYTES: u64 = 256 << 20;

/// What is looked at before anything else.
#[derive(Deserialize)]
struct Head {
    schema_version: Option<String>,
    reports: Option<IgnoredAny>,
    verdicts: Option<IgnoredAny>,
}

/// Reads a report file: one report, or the reports of a collection.
///
/// # Errors
/// A file that cannot be read, is too large, is cut off, is no report, or is one of a newer version; with its name, the
/// place where it went wrong, and what to do.
pub fn file(path: &Path) -> Result<Vec<Report>, String> {
    self::text(&path.display().to_string(), &bytes(path)?)
}

/// The text of a report file, not looked at yet.
///
/// # Errors
/// A file that cannot be read, is too large, or is no text.
pub fn bytes(path: &Path) -> Result<String, String> {
    let name = path.display();
    let unreadable = |e: std::io::Error| format!("error: {name}: {e}\n  = help: give a JSON report, as `--report json=FILE` writes it");
    let too_large = |size: u64| {
        format!(
            "error: {name}: {} MiB are more than the {} MiB that are read of a report\n  = help: a report of one target has a few MiB; render the parts of a collection one by one",
            size >> 20,
            MOST_BYTES >> 20
        )
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > MOST_BYTES {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // A pipe does not say how long it is.
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes)
        .map_err(|e| format!("error: {name}: byte {} is no UTF-8\n  = help: give a JSON report", e.utf8_error().valid_up_to() + 1))
}

/// Reads the text of a report file.
///
/// # Errors
/// As [`file()`].
pub fn text(name: &str, text: &str) -> Result<Vec<Report>, String> {
    let wrong = |e: &serde_json::Error, help: &str| format!("error: {name}:{}:{}: {}\n  = help: {help}", e.line(), e.column(), what(e));
    let head: Head = serde_json::from_str(text).map_err(|e| {
        let help = if e.is_eof() { "the file is cut off: get it again from where it was made" } else { "give a JSON report, unchanged" };
        wrong(&e, help)
    })?;
    let Some(version) = head.schema_version.filter(|_| head.reports.is_some() || head.verdicts.is_some()) else {
        return Err(format!("error: {name}: this is no report of grantproof\n  = help: give a file that `--report json=FILE` wrote"));
    };
    if number(&version) > number(SCHEMA_VERSION) {
        return Err(format!(
            "error: {name}: a report with schema {version}, and this program reads up to {SCHEMA_VERSION}\n  = help: use the grantproof that wrote it, or a newer one"
        ));
    }
    let help = "the file was changed, or is no report: get it again from where it was made";
    if head.reports.is_some() {
        serde_json::from_str::<Collection>(text).map(|c| c.reports).map_err(|e| wrong(&e, help))
    } else {
        serde_json::from_str::<Report>(text).map(|r| vec![r]).map_err(|e| wrong(&e, help))
    }
}

/// What went wrong, without the place, and without anything that a terminal would obey.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    super::safe::terminal(&text[..end])
}

/// `1.2` → (1, 2); what is no version is newer than any.
fn number(version: &str) -> (u32, u32) {
    version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?))).unwrap_or((u32::MAX, 0))
}
