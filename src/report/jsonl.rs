//! JSON Lines for log pipelines: the events of `model/event.rs`, whose schema is `schema/event.schema.json`.

use std::io::{self, Write};

use crate::model::event::Event;
use crate::model::report::Report;

use super::gate;
use super::view::{self, Standing};

/// # Errors
/// What the writer says.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        let (run, target, gate) = (&report.run, &report.target, gate::of(report));
        line(&Event::run(&report.schema_version, run, target), out)?;
        for verdict in report.verdicts.iter().filter(|v| v.selected) {
            for variant in &verdict.variants {
                line(&Event::variant(&run.finished, run, target, &verdict.id, variant), out)?;
            }
            let fails = matches!(view::standing(verdict, &gate), Standing::Failing | Standing::Undecided);
            line(&Event::verdict(&run.finished, run, target, verdict, fails), out)?;
        }
        line(&Event::gate(run, target, &gate, report.fatal.as_deref(), report.summary), out)?;
    }
    Ok(())
}

/// Writes one event; nothing in it can end the line, since JSON escapes control characters.
///
/// # Errors
/// What the writer says.
pub fn line(event: &Event, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event).map_err(io::Error::other)?;
    out.write_all(b"\n")
}
