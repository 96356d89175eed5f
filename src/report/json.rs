//! The JSON report; its schema is `schema/report.schema.json`, that of several `schema/collection.schema.json`.

use std::io::{self, Write};

use ed25519_dalek::SigningKey;
use serde::Serialize;

use crate::model::report::{Integrity, Report, SCHEMA_VERSION};

/// # Errors
/// What the writer says, or evidence that cannot be read back.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    write_signed(reports, None, out)
}

/// Several reports are signed together; one has its own signature already.
///
/// # Errors
/// As [`write()`].
pub fn write_signed(reports: &[Report], key: Option<&SigningKey>, out: &mut dyn Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::pretty(&mut *out);
    match reports {
        [report] => report.serialize(&mut serializer),
        _ => {
            let integrity = super::integrity::of_collection(SCHEMA_VERSION, reports, key)?;
            Collection { schema_version: SCHEMA_VERSION, reports, integrity }.serialize(&mut serializer)
        }
    }
    .map_err(io::Error::other)?;
    out.write_all(b"\n")
}

/// As `model::report::Collection` has it, which owns its reports.
#[derive(Serialize)]
struct Collection<'r> {
    schema_version: &'static str,
    reports: &'r [Report],
    integrity: Integrity,
}
