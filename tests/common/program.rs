//! The program as a user runs it, in an environment that decides nothing.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Variables of the caller's environment that would change what the program does.
const UNSET: &[&str] = &[
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "CI",
    "GRANTPROOF_BASELINE",
    "GRANTPROOF_COLOR",
    "GRANTPROOF_PROFILE",
    "GRANTPROOF_SIGN_KEY",
    "GRANTPROOF_TARGET",
];

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantproof"));
    for name in UNSET {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
pub fn run_in(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program().current_dir(folder).args(arguments).output().expect("the program runs");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}
