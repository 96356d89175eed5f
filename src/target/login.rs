//! The `login` part of a target file: the driver, its hints and its programs.

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostics;
use crate::place::At;
use crate::selector::Selector;

use super::file::{LoginFile, TargetFile};
use super::{BrowserPrograms, Hint, Login, LoginDriver};

/// What makes a hint a selector. Names may hold some of these too (`user[email]`), so such a hint is both.
const OF_SELECTORS: &[char] = &['#', '.', '[', '>', ' ', ':'];

pub fn login(file: &LoginFile, folder: &Path, found: &mut Diagnostics) -> Login {
    let mut program = |place: &Option<At<String>>| place.as_ref().and_then(|p| program(p, folder, found));
    let browser = BrowserPrograms { binary: program(&file.browser.binary), driver: program(&file.browser.driver) };
    let mut element = |place: &Option<At<String>>| place.as_ref().map(|p| hint(p, false, found));
    Login {
        driver: file.driver,
        command: file.command.as_ref().map(|c| c.value.clone()).unwrap_or_default(),
        folder: folder.to_owned(),
        form: element(&file.form),
        user_field: element(&file.user_field),
        password_field: element(&file.password_field),
        otp_field: element(&file.otp_field),
        consent_button: file.consent_button.as_ref().map(|p| hint(p, true, found)),
        browser,
    }
}

/// A hint; `has_text`: it may be what stands on a button, which has spaces and full stops as any text.
fn hint(place: &At<String>, has_text: bool, found: &mut Diagnostics) -> Hint {
    let text = place.value.clone();
    if !text.contains(OF_SELECTORS) {
        return Hint { text, selector: None };
    }
    match Selector::parse(&text) {
        Ok(selector) => Hint { text, selector: Some(selector) },
        Err(_) if has_text && !text.contains(['#', '[', '>', ':']) => Hint { text, selector: None },
        Err(why) => {
            let cure = if has_text {
                "write a CSS selector such as `#allow`, or the button's name, value or id"
            } else {
                "write a CSS selector such as `#login input[type=password]`; a name with such characters is `[name=\"a:b\"]`"
            };
            found.at(place, format!("`{text}` is no selector: {why}"), Some(cure.into()));
            Hint { text, selector: None }
        }
    }
}

/// The driver `command` has a command, and no other driver has one.
pub fn command(file: &TargetFile, found: &mut Diagnostics) {
    match (&file.login.command, file.login.driver) {
        (None, LoginDriver::Command) => {
            found.at(&file.name, "the login driver `command` has no command", Some("add `command: [program, argument]` to `login`".into()));
        }
        (Some(command), LoginDriver::Command) if command.value.first().is_none_or(|program| program.trim().is_empty()) => {
            found.at(command, "the command is empty", Some("write `command: [program, argument]`".into()));
        }
        (Some(command), driver) if driver != LoginDriver::Command => {
            found.at(command, "`command` belongs to the login driver `command`", Some("write `driver: command`".into()));
        }
        _ => {}
    }
}

fn program(place: &At<String>, folder: &Path, found: &mut Diagnostics) -> Option<PathBuf> {
    // In full, so that it is never looked for on the path.
    if let Some(path) = std::path::absolute(folder.join(&place.value)).ok().filter(|path| path.is_file()) {
        return Some(path);
    }
    found.at(
        place,
        format!("there is no program `{}`", place.value),
        Some("the path is relative to the target file; without it, the program is looked for on PATH".into()),
    );
    None
}
