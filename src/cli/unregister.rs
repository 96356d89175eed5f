//! `unregister`: removes the clients that `init --register` registered (RFC 7592 §2.3), and lists what remains.

use std::path::Path;

use crate::engine::http::Http;
use crate::engine::registration::{Removal, remove};
use crate::redact::Redactor;
use crate::report::gate;
use crate::report::safe::terminal as safe;
use crate::target::registrations::{Registrations, from_file};
use crate::target::secret;

use super::args::Unregister;
use super::{Failure, inputs, print};

/// # Errors
/// Wrong input (2). A client that remains, or may, is the exit code 3.
pub fn unregister(arguments: &Unregister) -> Result<u8, Failure> {
    let registrations = from_file(&arguments.target).map_err(|list| inputs::diagnostics(&list))?;
    let folder = arguments.target.parent().unwrap_or(Path::new("."));
    // The server's words may hold the token that it was sent.
    let redactor = Redactor::default();
    for client in &registrations.clients {
        for secret in client.token.iter().cloned().chain(client.secrets.iter().filter_map(|s| secret::resolve(s, folder).ok())) {
            redactor.learn_own("registration_access_token", secret.reveal());
        }
    }
    let (text, clean) = super::runtime()?.block_on(all(&registrations, folder))?;
    print(&redactor.text(&text))?;
    Ok(if clean { gate::PASSED } else { gate::NOT_TESTED })
}

async fn all(registrations: &Registrations, folder: &Path) -> Result<(String, bool), Failure> {
    let mut out = String::new();
    let mut remaining = Vec::new();
    if registrations.clients.is_empty() {
        out.push_str("the target file records no registered client\n");
    } else {
        let http = Http::new(&registrations.target).map_err(|message| Failure { code: gate::INTERNAL, message })?;
        for client in &registrations.clients {
            let id = safe(&client.client_id);
            let Some(token) = &client.token else {
                remaining.push(format!(
                    "clients.{} `{id}`: its registration access token ({}) is gone; if it was not removed before, remove it by hand",
                    client.role, client.reference
                ));
                continue;
            };
            let dead = match remove(&http, &client.uri, token).await {
                Removal::Removed => {
                    out.push_str(&format!("removed  clients.{} `{id}`\n", client.role));
                    true
                }
                Removal::Gone(words) => {
                    out.push_str(&format!(
                        "gone     clients.{} `{id}`: the server does not know it or its token any more ({})\n",
                        client.role,
                        safe(&words)
                    ));
                    true
                }
                Removal::Remains(words) => {
                    remaining.push(format!("clients.{} `{id}`: {}; try again, or remove it by hand", client.role, safe(&words)));
                    false
                }
            };
            if dead {
                for reference in std::iter::once(&client.reference).chain(&client.secrets) {
                    if let Err(error) = secret::forget(reference, folder) {
                        out.push_str(&format!("note     {reference} could not be removed: {error}\n"));
                    }
                }
            }
        }
    }
    for line in &remaining {
        out.push_str(&format!("remains  {line}\n"));
    }
    for (role, id) in &registrations.by_hand {
        out.push_str(&format!("remains  clients.{role} `{}`: not registered by grantproof\n", safe(id)));
    }
    if !registrations.clients.is_empty() {
        out.push_str("the target file still names them, and keys stay on disk; `grantproof init --register --force` registers new ones\n");
    }
    Ok((out, remaining.is_empty()))
}
