//! `schema`: the JSON Schemas, generated from the types that the program reads and writes.

use super::args::{Schema, SchemaName};
use super::{Failure, print};

/// # Errors
/// Standard output cannot be written.
pub fn schema(arguments: &Schema) -> Result<u8, Failure> {
    print(&text(arguments.name))?;
    Ok(0)
}

fn text(name: SchemaName) -> String {
    crate::schema::text(match name {
        SchemaName::Scenario => "scenario",
        SchemaName::Flow => "flow",
        SchemaName::Standard => "standard",
        SchemaName::NotTested => "not-tested",
        SchemaName::Peers => "peers",
        SchemaName::Settings => "settings",
        SchemaName::Target => "target",
        SchemaName::Report => "report",
        SchemaName::Collection => "collection",
        SchemaName::Diff => "diff",
        SchemaName::Waivers => "waivers",
        SchemaName::Recording => "recording",
        SchemaName::Event => "event",
    })
    .unwrap_or_default()
}
