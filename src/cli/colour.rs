//! Colour, decided once for each stream: the flag, then NO_COLOR, then FORCE_COLOR and CLICOLOR_FORCE, then TERM, then
//! whether somebody is watching.

use std::io::IsTerminal as _;

use super::args::When;

#[derive(Debug, Clone, Copy)]
pub struct Colour {
    pub stdout: bool,
}

impl Colour {
    pub fn decide(when: When) -> Colour {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
        let by_environment = if set("NO_COLOR") {
            Some(false)
        } else if set("FORCE_COLOR") || set("CLICOLOR_FORCE") {
            Some(true)
        } else if std::env::var("TERM").is_ok_and(|t| t == "dumb") {
            Some(false)
        } else {
            None
        };
        let stdout = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => by_environment.unwrap_or_else(|| std::io::stdout().is_terminal()),
        };
        Colour { stdout }
    }
}
