//! `render`: a stored report in another format.

use crate::report::read;

use super::Failure;
use super::args::Render;
use super::colour::Colour;
use super::outputs::Outputs;

/// # Errors
/// No report (2), or an output that cannot be written (5).
pub fn render(arguments: &Render, colour: Colour) -> Result<u8, Failure> {
    let reports = read::file(&arguments.file).map_err(Failure::input)?;
    Outputs::open(&arguments.output, None)?.write(&reports, colour, None)?;
    Ok(0)
}
