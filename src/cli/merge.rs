//! `merge`: shards of one target become one report, reports of several targets one file.

use crate::report::gate;
use crate::report::merge::{self, Part};
use crate::report::read;

use super::args::Merge;
use super::colour::Colour;
use super::outputs::Outputs;
use super::rules::Rules;
use super::{Failure, inputs};

/// # Errors
/// No reports, or shards that do not fit together (2), or an output that cannot be written (5).
pub fn merge(arguments: &Merge, colour: Colour) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(arguments.scenarios.as_deref())?;
    let mut parts = Vec::new();
    for path in &arguments.files {
        let reports = read::file(path).map_err(Failure::input)?;
        parts.extend(reports.into_iter().map(|report| Part { file: path.display().to_string(), report }));
    }
    let outputs = Outputs::open(&arguments.output, None)?;
    let mut reports = merge::merge(parts, &catalogue).map_err(Failure::input)?;
    let mut code = gate::PASSED;
    for report in &mut reports {
        // A report that stands for itself keeps its gate and its signature.
        let own = if report.made_of.is_empty() {
            gate::of(report).exit_code
        } else {
            let name = report.target.name.clone();
            let rules = Rules::load(&arguments.gate, arguments.sealing.sign_key.as_deref(), &catalogue, &name, None)?;
            let code = rules.apply(report);
            rules.seal(report)?;
            code
        };
        code = worse(code, own);
    }
    let key = arguments.sealing.sign_key.as_deref().map(super::rules::sign_key).transpose()?;
    outputs.write(&reports, colour, key.as_ref())?;
    Ok(code)
}

/// Broken beats everything, since it was proved; then what could not be tested.
fn worse(a: u8, b: u8) -> u8 {
    let order = [gate::BROKEN, gate::NOT_TESTED, gate::UNDECIDED, gate::WRONG_INPUT];
    order.into_iter().find(|code| a == *code || b == *code).unwrap_or(a.max(b))
}
