//! `completions`: for the shell, generated from the arguments themselves.

use clap::CommandFactory as _;

use super::args::{Arguments, Completions};
use super::{Failure, print};

/// # Errors
/// Standard output cannot be written.
pub fn completions(arguments: &Completions) -> Result<u8, Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "grantproof", &mut bytes);
    print(&String::from_utf8_lossy(&bytes))?;
    Ok(0)
}
