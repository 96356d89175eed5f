//! `diff`: what changed between two reports.

use crate::report::diff as compare;
use crate::report::{gate, read};

use super::args::{Diff, DiffFormat};
use super::{Failure, print};

/// # Errors
/// No reports (2).
pub fn diff(arguments: &Diff) -> Result<u8, Failure> {
    let old = read::file(&arguments.old).map_err(Failure::input)?;
    let new = read::file(&arguments.new).map_err(Failure::input)?;
    let differences = compare::diff(&old, &new);
    let text = match arguments.format {
        DiffFormat::Terminal => differences.text(),
        DiffFormat::Json => {
            serde_json::to_string_pretty(&differences).map_err(|e| Failure { code: gate::INTERNAL, message: e.to_string() })? + "\n"
        }
    };
    print(&text)?;
    Ok(if arguments.exit_code && differences.is_worse() { gate::BROKEN } else { gate::PASSED })
}
