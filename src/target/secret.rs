//! Secrets come from outside of the target file: `env:NAME`, `file:PATH`; `plain:TEXT` says that it is none.

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
        "file" => match std::fs::read_to_string(folder.join(rest)) {
            Ok(text) => Ok(Secret(text.trim_end_matches(['\n', '\r']).to_owned())),
            Err(error) => {
                Err((format!("the file `{rest}` cannot be read: {error}"), Some("the path is relative to the target file".into())))
            }
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
