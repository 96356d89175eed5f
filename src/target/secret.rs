//! Secrets come from outside of the target file: `env:NAME`, `file:PATH`, `file:PATH#NAME`; `plain:TEXT` says that it is none.

use std::fmt;
use std::path::Path;

use crate::diagnostic::Diagnostics;
use crate::place::At;

/// A secret value. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The value itself, for the request that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a reference to a secret. A relative path is relative to `folder`, where the target file is.
///
/// # Errors
/// What is wrong with the reference, and what to write.
pub fn resolve(reference: &str, folder: &Path) -> Result<Secret, (String, Option<String>)> {
    let (kind, rest) = reference.split_once(':').unwrap_or(("", reference));
    match kind {
        "env" => match std::env::var(rest) {
            Ok(value) if !value.is_empty() => Ok(Secret(value)),
            Ok(_) => Err((format!("the environment variable `{rest}` is empty"), Some(format!("set it: {rest}=… grantproof run …")))),
            Err(_) => Err((format!("the environment variable `{rest}` is not set"), Some(format!("set it: {rest}=… grantproof run …")))),
        },
        "file" if named(rest, folder).is_some() => {
            let (path, name) = named(rest, folder).unwrap_or_default();
            let text = std::fs::read_to_string(folder.join(path)).map_err(|e| unreadable(path, &e))?;
            let value = text.lines().find_map(|line| assigned(line, name)).filter(|value| !value.is_empty());
            value
                .map(Secret)
                .ok_or_else(|| (format!("the file `{path}` has no line `{name}=…`"), Some("add it, or correct the name".into())))
        }
        "file" => match std::fs::read_to_string(folder.join(rest)) {
            Ok(text) => Ok(Secret(text.trim_end_matches(['\n', '\r']).to_owned())),
            Err(error) => Err(unreadable(rest, &error)),
        },
        "plain" => Ok(Secret(rest.to_owned())),
        _ => Err((
            "a secret does not stand in the target file".into(),
            Some("write `env:NAME` or `file:PATH`; `plain:TEXT` for a throw-away value of a test server".into()),
        )),
    }
}

/// The same of a value in the target file; what is wrong goes to `found`.
pub fn read_secret(place: &At<String>, folder: &Path, found: &mut Diagnostics) -> Option<Secret> {
    match resolve(&place.value, folder) {
        Ok(secret) => Some(secret),
        Err((message, help)) => {
            found.at(place, message, help);
            None
        }
    }
}

/// What kind of reference this is; None: none.
pub fn kind(reference: &str) -> Option<&str> {
    reference.split_once(':').map(|(kind, _)| kind).filter(|kind| matches!(*kind, "env" | "file" | "plain"))
}

fn unreadable(path: &str, error: &std::io::Error) -> (String, Option<String>) {
    (format!("the file `{path}` cannot be read: {error}"), Some("the path is relative to the target file".into()))
}

/// `PATH#NAME`: one line of a file of several secrets. A file whose own name has the `#` comes first.
fn named<'r>(reference: &'r str, folder: &Path) -> Option<(&'r str, &'r str)> {
    let (path, name) = reference.rsplit_once('#')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !folder.join(reference).exists()).then_some((path, name))
}

/// The value of a line `NAME=VALUE`, as a shell reads it: bare or in single quotes. Other quoting is not undone.
fn assigned(line: &str, name: &str) -> Option<String> {
    let value = line.trim().strip_prefix(name)?.strip_prefix('=')?;
    let bare = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')).map(|v| v.replace("'\\''", "'"));
    Some(bare.unwrap_or_else(|| value.to_owned()))
}

/// `NAME='VALUE'`: a line that [`resolve`] and a shell read alike.
pub fn line(name: &str, value: &str) -> String {
    format!("{name}='{}'\n", value.replace('\'', "'\\''"))
}

/// Removes the line that a reference `file:PATH#NAME` names; nothing where it is no such reference.
///
/// # Errors
/// The file cannot be read or written.
pub fn forget(reference: &str, folder: &Path) -> std::io::Result<()> {
    let Some((path, name)) = reference.strip_prefix("file:").and_then(|rest| named(rest, folder)) else {
        return Ok(());
    };
    let path = folder.join(path);
    let text = std::fs::read_to_string(&path)?;
    let kept: String = text.split_inclusive('\n').filter(|line| assigned(line, name).is_none()).collect();
    std::fs::write(&path, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_a_file_of_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.secrets.env");
        std::fs::write(&path, format!("# of t.yaml\n{}BARE=b=c\n", line("ONE", "it's $HOME"))).expect("a file");
        let value = |reference: &str| resolve(reference, folder.path()).map(|s| s.reveal().to_owned());
        assert_eq!(value("file:t.secrets.env#ONE").ok().as_deref(), Some("it's $HOME"));
        assert_eq!(value("file:t.secrets.env#BARE").ok().as_deref(), Some("b=c"));
        let (message, _) = value("file:t.secrets.env#TWO").expect_err("no such line");
        assert!(message.contains("`TWO=…`"), "{message}");
        forget("file:t.secrets.env#ONE", folder.path()).expect("written");
        assert!(value("file:t.secrets.env#ONE").is_err() && value("file:t.secrets.env#BARE").is_ok());
        std::fs::write(folder.path().join("odd#name"), "whole").expect("a file");
        assert_eq!(value("file:odd#name").ok().as_deref(), Some("whole"));
    }
}
