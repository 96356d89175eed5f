//! `man`: a page for the program and one for each command, generated from the arguments themselves.

use clap::CommandFactory as _;

use crate::report::gate;

use super::args::{Arguments, Man};
use super::{Failure, print};

/// # Errors
/// A page that cannot be written (5).
pub fn man(arguments: &Man) -> Result<u8, Failure> {
    let dir = arguments.dir.display();
    std::fs::create_dir_all(&arguments.dir)
        .and_then(|()| clap_mangen::generate_to(Arguments::command().disable_help_subcommand(true), &arguments.dir))
        .map_err(|e| Failure { code: gate::NOT_WRITTEN, message: format!("fatal: {dir}: the man pages cannot be written: {e}") })?;
    print(&format!("grantproof.1 and a page for each command are in {dir}\n"))?;
    Ok(0)
}
