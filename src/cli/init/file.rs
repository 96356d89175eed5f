//! The text of the target file.

use std::fmt::Write as _;

use crate::model::step::ClientRole;

use super::enrol::Enrolment;
use super::look::Found;
use super::propose::Methods;
use super::{Answers, Notice};

/// The column of the comments.
const COMMENTS: usize = 40;

/// What the file says that is not in the metadata or the answers.
pub struct Facts<'a> {
    pub found: &'a Found,
    pub issuer: &'a str,
    /// The file must name the document.
    pub names_document: bool,
    /// Origins that the metadata names elsewhere, and whether they may be contacted.
    pub hosts: &'a [(String, bool)],
    pub scope: &'a str,
    pub extra_scope: Option<&'a str>,
    pub methods: &'a Methods,
    pub answers: &'a Answers,
    pub enrolment: Option<&'a Enrolment>,
    pub notices: &'a [Notice],
    pub loopback: bool,
    /// The path of a certificate authority, as the file names it.
    pub ca: Option<&'a str>,
}

/// Writes the file.
pub fn text(facts: &Facts) -> String {
    let mut out = String::from(
        "# A target of grantproof, begun by `grantproof init`; docs/targets.md has every key. Editors complete and check this file\n# with the schema that `grantproof schema target` prints.\n",
    );
    for notice in facts.notices {
        let _ = writeln!(out, "#\n# WARNING {}\n#   {}", comment(&notice.what), comment(&notice.todo));
    }
    out.push('\n');
    head(&mut out, facts);
    clients(&mut out, facts);
    users(&mut out, facts.answers);
    permission(&mut out, facts);
    listener(&mut out, facts.loopback);
    out
}

fn line(out: &mut String, text: &str, remark: &str) {
    let gap = COMMENTS.saturating_sub(text.chars().count()).max(1);
    let _ = writeln!(out, "{text}{:gap$}# {remark}", "");
}

fn head(out: &mut String, facts: &Facts) {
    line(out, &format!("name: {}", quoted(&super::propose::name(facts.issuer))), "for reports");
    line(out, &format!("issuer: {}", quoted(facts.issuer)), "exactly as the server spells it");
    if facts.names_document {
        line(out, &format!("metadata: {}", quoted(&facts.found.place)), "the document, which is not where the issuer says");
    }
    let refresh = if facts.scope.split_whitespace().any(|s| s == "offline_access") {
        "of the control flow; offline_access is for refresh tokens"
    } else {
        "of the control flow; add what makes the server give refresh tokens, if it needs something"
    };
    line(out, &format!("scope: {}", quoted(facts.scope)), refresh);
    match facts.extra_scope {
        Some(extra) => {
            line(out, &format!("extra_scope: {}", quoted(extra)), "one more that the clients may get; a refresh must not add it")
        }
        None => {
            line(out, "# extra_scope: …", "one more that the clients may get, and that `scope` does not have; a refresh must not add it")
        }
    }
    match &facts.found.resource {
        Some(resource) => {
            line(
                out,
                &format!("resource: {}", quoted(&resource.address)),
                "must answer 2xx to GET with an access token; else name another path",
            );
            if resource.identifier != resource.address {
                let _ = writeln!(out, "#   its metadata calls it {}", comment(&resource.identifier));
            }
        }
        None => line(out, "# resource: https://api.example/me", "an API that takes the access tokens, where userinfo does not"),
    }
    line(out, "# refresh_grace: 0s", "how long reuse is forgiven on purpose; without it 65s are waited out before");
    line(out, "# code_grace: 0s", "a replay is called broken; the same for codes, without it 31s");
    line(out, "# code_lifetime: 60s", "how long a code lives; without it `run --slow` waits for ten minutes");
    for (origin, contacted) in facts.hosts.iter().filter(|(_, contacted)| *contacted) {
        debug_assert!(contacted);
        if !out.contains("\nhosts:\n") {
            line(out, "hosts:", "further origins that may be contacted");
        }
        let _ = writeln!(out, "  - {}", quoted(origin));
    }
    let closed: Vec<String> = facts.hosts.iter().filter(|(_, contacted)| !contacted).map(|(origin, _)| quoted(origin)).collect();
    if closed.is_empty() {
        if !out.contains("\nhosts:\n") {
            line(out, "# hosts: [https://accounts.example]", "further origins of the login, if there are any");
        }
    } else {
        let sign = if out.contains("\nhosts:") { "#  add to hosts:" } else { "# hosts:" };
        line(out, &format!("{sign} [{}]", closed.join(", ")), "the metadata places endpoints there; if they are yours, remove the #");
    }
    if let Some(ca) = facts.ca {
        line(out, &format!("tls: {{ca: {}}}", always_quoted(ca)), "the only authority that is trusted");
    }
}

fn clients(out: &mut String, facts: &Facts) {
    let enrolled = facts.enrolment.map(|e| e.clients.as_slice()).unwrap_or_default();
    out.push('\n');
    let remark = if enrolled.is_empty() {
        "register these for the test; what is missing is skipped, by name"
    } else {
        "registered by `grantproof init --register`; `grantproof unregister` removes them"
    };
    line(out, "clients:", remark);
    let secret_method = facts.methods.secret.unwrap_or("client_secret_basic");
    let auth = format!("auth: {secret_method}");
    let proposals: [(ClientRole, &str, Vec<&str>, bool); 4] = [
        (ClientRole::Public, "no client authentication", vec![], true),
        (ClientRole::Second, "another client, of any kind: whose code, whose token?", vec![], true),
        (
            ClientRole::Confidential,
            "a client with a secret",
            vec![&auth, "secret: env:GRANTPROOF_CLIENT_SECRET"],
            facts.methods.secret.is_some(),
        ),
        (
            ClientRole::Assertion,
            "private_key_jwt; P-256 or RSA, PKCS#8 PEM or JWK",
            vec!["key: file:client-key.pem", "kid: c1"],
            facts.methods.private_key_jwt || facts.methods.other_keys,
        ),
    ];
    for (role, remark, lines, offered) in proposals {
        if let Some(client) = enrolled.iter().find(|c| c.role == role) {
            line(out, &format!("  {}:", role.name()), remark);
            let _ = writeln!(out, "    id: {}\n    redirect_uri: {}", always_quoted(&client.id), quoted(&facts.answers.redirect_uri));
            client.lines.iter().for_each(|text| {
                let _ = writeln!(out, "    {text}");
            });
        } else if offered {
            // Beside registered clients a placeholder would only fail.
            let sign = if enrolled.is_empty() { "" } else { "# " };
            line(out, &format!("{sign}  {}:", role.name()), remark);
            let _ = writeln!(out, "{sign}    id: grantproof-{}", role.name());
            line(
                out,
                &format!("{sign}    redirect_uri: {}", quoted(&facts.answers.redirect_uri)),
                "registered exactly so; nothing needs to listen there",
            );
            for text in lines {
                let _ = writeln!(out, "{sign}    {text}");
            }
        } else {
            let _ = writeln!(out, "  # no `{}`: the metadata does not offer it ({remark})", role.name());
        }
    }
    if !facts.methods.others.is_empty() {
        let _ = writeln!(
            out,
            "  # The metadata offers {} as well; docs/targets.md says which methods a client may have.",
            facts.methods.others.join(", ")
        );
    }
}

fn users(out: &mut String, answers: &Answers) {
    out.push('\n');
    line(out, "users:", "throw-away accounts; their passwords are read from the environment");
    let _ = writeln!(out, "  default: {{name: {}, password: env:GRANTPROOF_PASSWORD}}", always_quoted(&answers.user));
    let _ = writeln!(out, "  other: {{name: {}, password: env:GRANTPROOF_OTHER_PASSWORD}}", always_quoted(&answers.other_user));
}

fn permission(out: &mut String, facts: &Facts) {
    let answers = facts.answers;
    if facts.loopback && answers.permission_by.is_empty() {
        return;
    }
    out.push('\n');
    line(out, "permission:", "who permitted the test; printed in every report");
    line(out, &format!("  by: {}", always_quoted(&answers.permission_by)), "a person or a ticket");
    line(out, &format!("  until: {}", always_quoted(&answers.permission_until)), "the last day, 2027-03-01");
}

/// Whether the server reaches this machine is for the user to know.
fn listener(out: &mut String, loopback: bool) {
    out.push_str("\n# An address of ours that the server can reach lets attacks run that make it call out; docs/targets.md says how.\n");
    out.push_str(if loopback {
        "# listener: {listen: \"127.0.0.1:0\"}\n"
    } else {
        "# listener: {listen: \"0.0.0.0:8900\", url: \"https://callbacks.example\"}\n"
    });
}

/// Text of the server in a comment: one line, without control characters.
fn comment(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A YAML scalar: plain where that is safe, else in double quotes. The server chose the text.
pub fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/: ".contains(c))
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if plain { text.to_owned() } else { always_quoted(text) }
}

/// A YAML scalar in double quotes, which JSON's are.
pub fn always_quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into())
}
