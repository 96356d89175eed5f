//! The registrations that a target file records, read without the rest of it: cleaning up needs no user's password and no
//! permission that is still running.

use std::collections::BTreeSet;
use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics};

use super::file::TargetFile;
use super::secret::{self, Secret};
use super::{Target, origin};

/// One client that `init --register` registered.
#[derive(Debug)]
pub struct Registration {
    /// The client's role in the target file.
    pub role: &'static str,
    pub client_id: String,
    /// Its client configuration endpoint (RFC 7592 §3).
    pub uri: String,
    /// The reference in the target file, and what it stands for; None where that is gone, as after a removal.
    pub reference: String,
    pub token: Option<Secret>,
    /// References to secrets of the client, which are dead with it.
    pub secrets: Vec<String>,
}

/// What a target file records.
#[derive(Debug)]
pub struct Registrations {
    /// The target, as far as requests to it need it: no users, no clients.
    pub target: Target,
    pub clients: Vec<Registration>,
    /// Clients of the file without a registration: somebody registered them by hand.
    pub by_hand: Vec<(&'static str, String)>,
}

/// Reads the registrations of a target file.
///
/// # Errors
/// A file that cannot be read or is no target file, with place and cure.
pub fn from_file(path: &Path) -> Result<Registrations, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| super::load::unreadable(&name, &error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let file: TargetFile = crate::yaml::read(&name, &text)?;
    let mut found = Diagnostics::new(&name, &text);
    let mut target = Target::bare(&file.issuer.value);
    target.origins = BTreeSet::new();
    if let Some(ca) = &file.tls.ca {
        match std::fs::read(folder.join(&ca.value)) {
            Ok(pem) => target.ca = Some(pem),
            Err(error) => found.at(ca, format!("the certificate `{}` cannot be read: {error}", ca.value), None),
        }
    }
    let (mut clients, mut by_hand) = (Vec::new(), Vec::new());
    for (role, client) in file.clients.roles() {
        let Some(registration) = &client.registration else {
            by_hand.push((role.name(), client.id.value.clone()));
            continue;
        };
        match origin(&registration.uri.value) {
            Some(origin) => target.origins.insert(origin),
            None => {
                found.at(&registration.uri, format!("`{}` is no http or https URL", registration.uri.value), None);
                continue;
            }
        };
        clients.push(Registration {
            role: role.name(),
            client_id: client.id.value.clone(),
            uri: registration.uri.value.clone(),
            reference: registration.token.value.clone(),
            token: secret::resolve(&registration.token.value, folder).ok(),
            secrets: client.secret.iter().map(|s| s.value.clone()).collect(),
        });
    }
    if found.is_empty() { Ok(Registrations { target, clients, by_hand }) } else { Err(found.into_vec()) }
}
