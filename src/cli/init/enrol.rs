//! `init --register`: registers the clients of a test (RFC 7591), and puts their secrets beside the target file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::engine::http::Http;
use crate::engine::keys;
use crate::engine::registration::{Registered, Removal, Wish, register, remove};
use crate::model::step::ClientRole;
use crate::redact::Redactor;
use crate::target::{Secret, secret};

use super::propose::Methods;

/// The `kid` of the key that is made here.
const KID: &str = "grantproof-1";

/// A client as the target file writes it.
#[derive(Debug)]
pub struct Enrolled {
    pub role: ClientRole,
    pub id: String,
    /// Lines of the target file below `id` and `redirect_uri`.
    pub lines: Vec<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Enrolment {
    pub clients: Vec<Enrolled>,
    /// Clients that were not registered: role, and what to know about it.
    pub refused: Vec<(ClientRole, String)>,
    /// What the server changed, and at which client.
    pub changed: Vec<(ClientRole, String)>,
    /// Files that hold secrets.
    pub files: Vec<PathBuf>,
}

/// Where the secrets of a target file go.
pub struct Beside {
    folder: PathBuf,
    stem: String,
    /// Lines of the secrets file.
    lines: String,
}

impl Beside {
    pub fn new(target: &Path) -> Beside {
        let stem = target.file_stem().map_or_else(|| "grantproof".into(), |s| s.to_string_lossy().into_owned());
        Beside { folder: target.parent().unwrap_or(Path::new("")).to_owned(), stem, lines: String::new() }
    }

    fn secrets(&self) -> String {
        format!("{}.secrets.env", self.stem)
    }

    fn key(&self) -> String {
        format!("{}.assertion-key.pem", self.stem)
    }

    /// Keeps a secret, and gives the reference to it.
    fn keep(&mut self, name: &str, value: &Secret) -> String {
        self.lines.push_str(&secret::line(name, value.reveal()));
        format!("file:{}#{name}", self.secrets())
    }

    /// Writes a file that only its owner can read.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // A file of an earlier run may be readable by others: it is made anew.
        let removed = if path.exists() { std::fs::remove_file(&path) } else { Ok(()) };
        removed
            .and_then(|()| options.open(&path)?.write_all(text.as_bytes()))
            .map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        Ok(path)
    }

    fn write_secrets(&self, target: &str) -> Result<PathBuf, String> {
        let text = format!(
            "# Secrets of {target}, which reads them by name. Never commit this file. A shell reads it as well: set -a; . ./{}\n{}",
            self.secrets(),
            self.lines
        );
        self.write(&self.secrets(), &text)
    }
}

/// What to ask for.
pub struct Order<'a> {
    pub endpoint: &'a str,
    pub initial: Option<&'a Secret>,
    pub redirect_uri: &'a str,
    /// Everything that the clients may ask for.
    pub scope: Option<String>,
    pub refreshes: bool,
    pub methods: &'a Methods,
    /// The target file, for which this is done.
    pub target: &'a Path,
}

/// Registers one client after the other; what is refused does not stop the others.
///
/// # Errors
/// Secrets cannot be written; then what was registered is removed again.
pub async fn enrol(http: &Http, order: &Order<'_>) -> Result<Enrolment, String> {
    let mut beside = Beside::new(order.target);
    // What cannot be written is found out before anything is registered.
    beside.write(&beside.secrets(), "")?;
    let mut done = Enrolment::default();
    let mut public_key = None;
    if order.methods.private_key_jwt {
        let (pem, mut public) = keys::new_client_key()?;
        for (name, value) in [("kid", KID), ("use", "sig"), ("alg", "ES256")] {
            public[name] = value.into();
        }
        done.files.push(beside.write(&beside.key(), &pem)?);
        public_key = Some(public);
    }
    let redactor = Redactor::default();
    if let Some(token) = order.initial {
        redactor.learn_own("initial_access_token", token.reveal());
    }
    let mut kept: Vec<Registered> = Vec::new();
    let mut roles = vec![(ClientRole::Public, "none"), (ClientRole::Second, "none")];
    roles.extend(order.methods.secret.map(|method| (ClientRole::Confidential, method)));
    if order.methods.private_key_jwt {
        roles.push((ClientRole::Assertion, "private_key_jwt"));
    }
    for (role, method) in roles {
        let wish = Wish {
            name: format!("grantproof {}", role.name()),
            redirect_uri: order.redirect_uri.to_owned(),
            method,
            scope: order.scope.clone(),
            refreshes: order.refreshes,
            key: public_key.clone().filter(|_| method == "private_key_jwt"),
        };
        match register(http, order.endpoint, &wish, order.initial).await {
            Err(refused) => {
                done.refused.push((role, format!("the server refuses it: {}; {}", refused.words, refused.advice)));
            }
            Ok(client) => {
                let token = client.management.as_ref().map(|(_, token)| token.reveal());
                let secrets = [("client_secret", client.secret.as_ref().map(|s| s.reveal())), ("registration_access_token", token)];
                for (kind, secret) in secrets.into_iter().filter_map(|(kind, secret)| Some((kind, secret?))) {
                    redactor.learn_own(kind, secret);
                }
                let fits = match role {
                    ClientRole::Public => client.method == "none",
                    ClientRole::Assertion => client.method == "private_key_jwt",
                    _ => {
                        client.method == "none"
                            || client.secret.is_some()
                                && client.method.starts_with("client_secret_")
                                && client.method != "client_secret_jwt"
                    }
                };
                if !fits {
                    let removed = take_back(http, &client).await;
                    done.refused
                        .push((role, format!("the server registered another kind of client ({}); {removed}", client.changes.join("; "))));
                    continue;
                }
                done.clients.push(enrolled(role, &client, &mut beside));
                done.changed.extend(client.changes.iter().map(|change| (role, change.clone())));
                kept.push(client);
            }
        }
    }
    // What a server says may hold what it was sent, and what it gave.
    for (_, words) in done.refused.iter_mut().chain(&mut done.changed) {
        *words = redactor.text(words).into_owned();
    }
    if !done.clients.iter().any(|client| client.role == ClientRole::Assertion) {
        // Nothing uses the key.
        done.files.retain(|file| std::fs::remove_file(file).is_err());
    }
    let name = order.target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if beside.lines.is_empty() {
        // It was made to see whether it can be.
        let _ = std::fs::remove_file(beside.folder.join(beside.secrets()));
    } else {
        match beside.write_secrets(&name) {
            Ok(path) => done.files.push(path),
            Err(error) => {
                for client in &kept {
                    take_back(http, client).await;
                }
                return Err(error);
            }
        }
    }
    Ok(done)
}

/// Removes a client that is of no use, and says what became of it.
async fn take_back(http: &Http, client: &Registered) -> String {
    match &client.management {
        Some((uri, token)) if remove(http, uri, token).await == Removal::Removed => "it was removed again".into(),
        _ => format!("it remains on the server as `{}`: remove it by hand", client.client_id),
    }
}

fn enrolled(role: ClientRole, client: &Registered, beside: &mut Beside) -> Enrolled {
    let upper = role.name().to_ascii_uppercase();
    let mut lines = Vec::new();
    if let Some(secret) = &client.secret
        && client.method != "none"
        && client.method != "private_key_jwt"
    {
        lines.push(format!("auth: {}", client.method));
        lines.push(format!("secret: {}", super::file::always_quoted(&beside.keep(&format!("{upper}_SECRET"), secret))));
    }
    if client.method == "private_key_jwt" {
        lines.push("auth: private_key_jwt".into());
        lines.push(format!("key: {}", super::file::always_quoted(&format!("file:{}", beside.key()))));
        lines.push(format!("kid: {KID}"));
    }
    if let Some((uri, token)) = &client.management {
        let token = beside.keep(&format!("{upper}_REGISTRATION_TOKEN"), token);
        lines.push(format!("registration: {{uri: {}, token: {}}}", super::file::always_quoted(uri), super::file::always_quoted(&token)));
    }
    Enrolled { role, id: client.client_id.clone(), lines }
}
