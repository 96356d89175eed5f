//! The grantproof command.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::panic::catch_unwind(grantproof::cli::main) {
        Ok(code) => ExitCode::from(code),
        Err(_) => {
            eprintln!("fatal: an error of grantproof itself; please report what stands above");
            ExitCode::from(grantproof::report::gate::INTERNAL)
        }
    }
}
