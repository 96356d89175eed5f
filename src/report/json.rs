//! The JSON report; its schema is `schema/report.schema.json`, that of several `schema/collection.schema.json`.

use std::io::{self, Write};

use serde::Serialize as _;

use crate::model::report::{Report, SCHEMA_VERSION};

/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::pretty(&mut *out);
    match reports {
        [report] => report.serialize(&mut serializer),
        _ => {
            // As `Collection` has it, which owns its reports.
            #[derive(serde::Serialize)]
            struct Collection<'r> {
                schema_version: &'static str,
                reports: &'r [Report],
            }
            Collection { schema_version: SCHEMA_VERSION, reports }.serialize(&mut serializer)
        }
    }
    .map_err(io::Error::other)?;
    out.write_all(b"\n")
}
