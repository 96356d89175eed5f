//! `lint`: the loader's diagnostics, for scenario, target and waiver files.

use std::path::Path;

use crate::diagnostic::Diagnostic;

use super::args::Lint;
use super::{Failure, inputs, print};

/// # Errors
/// Every mistake found (exit code 2).
pub fn lint(arguments: &Lint) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(None)?;
    if arguments.files.is_empty() {
        print(&format!("{} scenarios are well-formed\n", catalogue.scenarios.len()))?;
        return Ok(0);
    }
    let mut wrong: Vec<Diagnostic> = Vec::new();
    let library = catalogue.library(&inputs::flaw_names());
    for path in &arguments.files {
        if path.is_dir() {
            if let Err(list) = crate::scenario::catalogue::Catalogue::load(Some(path), &inputs::flaw_names()) {
                wrong.extend(list);
            }
            continue;
        }
        match std::fs::read_to_string(path) {
            Err(error) => {
                return Err(Failure::input(format!("error: {}: {error}", path.display())));
            }
            Ok(text) if is_waivers(&text) => {
                let waivers = crate::target::waivers::Waivers::from_file(path).map_err(|list| inputs::diagnostics(&list));
                // Each is looked at, whichever target it is for.
                waivers.and_then(|waivers| super::rules::checked(&[waivers], &catalogue, ""))?;
            }
            Ok(text) if is_target(&text) => {
                if let Err(list) =
                    crate::target::load::from_text(&path.display().to_string(), &text, path.parent().unwrap_or(Path::new(".")))
                {
                    wrong.extend(list);
                }
            }
            Ok(text) => {
                if let Err(list) = crate::scenario::resolve::scenario(&path.display().to_string(), &text, None, &library) {
                    wrong.extend(list);
                }
            }
        }
    }
    if wrong.is_empty() {
        print(&format!("{} file(s) are well-formed\n", arguments.files.len()))?;
        return Ok(0);
    }
    let count = wrong.len();
    let mut failure = inputs::diagnostics(&wrong);
    failure.message.push_str(&format!("\n\n{count} mistake(s)"));
    Err(failure)
}

/// A file of waivers has nothing else at its top.
fn is_waivers(text: &str) -> bool {
    text.lines().find(|line| line.starts_with(|c: char| c.is_ascii_alphabetic())).is_some_and(|line| line.starts_with("waivers:"))
}

/// A scenario has an id, a control and attacks; a target has none of them, however it is misspelt.
fn is_target(text: &str) -> bool {
    !text.lines().any(|line| ["id:", "control:", "attacks:"].iter().any(|key| line.starts_with(key)))
}
