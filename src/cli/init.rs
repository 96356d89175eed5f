//! `init`: reads a server's metadata and writes a commented target file for it. Nothing but the metadata is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::engine::discover;
use crate::engine::http::Http;
use crate::report::gate;
use crate::report::terminal::safe;
use crate::target::{self, Endpoints, Extras, Limits, Login, Secret, Target, User};

use super::args::Init;
use super::{Failure, print};

/// # Errors
/// An address that is none or a file that exists (2), a server without metadata (3), a file that cannot be written (5).
pub fn init(arguments: &Init) -> Result<u8, Failure> {
    let issuer = arguments.issuer.trim_end_matches("/.well-known/openid-configuration").to_owned();
    let Some(origin) = target::origin(&issuer) else {
        return Err(Failure::input(format!(
            "error: `{}` is no http or https URL\n  = help: give the issuer, for example https://login.example",
            arguments.issuer
        )));
    };
    if arguments.output.exists() && !arguments.force && !arguments.stdout {
        return Err(Failure::input(format!(
            "error: {} exists\n  = help: name another file with --output, or overwrite it with --force",
            arguments.output.display()
        )));
    }
    let bare = bare(&issuer, origin);
    let found = super::runtime()?.block_on(async {
        let http = Http::new(&bare)?;
        discover::metadata(&http, &bare).await
    });
    let metadata =
        found.map_err(|why| Failure { code: gate::NOT_TESTED, message: format!("fatal: {}\n  nothing was written", safe(&why)) })?;
    let text = file(&issuer, &metadata, bare.is_loopback());
    if arguments.stdout {
        print(&text)?;
        return Ok(0);
    }
    std::fs::write(&arguments.output, &text).map_err(|e| Failure {
        code: gate::NOT_WRITTEN,
        message: format!("fatal: {} cannot be written: {e}", arguments.output.display()),
    })?;
    let path = arguments.output.display();
    print(&format!(
        "{path} is written: fill in clients and users, then\n  grantproof doctor -t {path}    says what works and what does not\n  grantproof plan -t {path}      says what a run would do\n  grantproof run -t {path}\n"
    ))?;
    Ok(0)
}

/// A target of which only the issuer is known.
fn bare(issuer: &str, origin: String) -> Target {
    Target {
        name: issuer.to_owned(),
        source: "init".into(),
        digest: String::new(),
        issuer: issuer.to_owned(),
        metadata: None,
        endpoints: Endpoints::default(),
        origins: BTreeSet::from([origin]),
        scope: String::new(),
        extra_scope: None,
        resource: None,
        extras: Extras::default(),
        refresh_grace: None,
        code_grace: None,
        clients: BTreeMap::new(),
        user: User::new("", Secret::new("")),
        other_user: None,
        login: Login::default(),
        permission: None,
        limits: Limits::default(),
        ca: None,
        insecure_tls: false,
    }
}

/// The target file for a server with this metadata.
fn file(given: &str, metadata: &Map<String, Value>, loopback: bool) -> String {
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    let list = |name: &str| -> Vec<&str> {
        metadata.get(name).and_then(Value::as_array).map(|l| l.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    };
    let issuer = text("issuer").unwrap_or(given);
    let mut out = String::from("# Editors complete and check this file with the schema that `grantproof schema target` prints.\n");
    let _ = writeln!(
        out,
        "name: {}",
        quoted(url::Url::parse(issuer).ok().and_then(|u| u.host_str().map(str::to_owned)).as_deref().unwrap_or("target"))
    );
    let _ = writeln!(out, "issuer: {}", quoted(issuer));
    let scopes = list("scopes_supported");
    let offered = |scope: &str| scopes.is_empty() || scopes.contains(&scope);
    let wanted: Vec<&str> = ["openid", "profile"].into_iter().filter(|s| offered(s)).collect();
    let _ = writeln!(
        out,
        "scope: {}                      # of the control flow; add offline_access if refresh tokens need it",
        quoted(&wanted.join(" "))
    );
    let extra = ["email", "phone", "address"].into_iter().find(|s| offered(s)).unwrap_or("email");
    let _ = writeln!(out, "extra_scope: {extra}                 # one more that the clients may get; a refresh must not add it");
    out.push_str("# resource: https://api.example/me     # an API that takes the access tokens, where userinfo does not\n");
    out.push_str(
        "# refresh_grace: 0s                    # how long reuse is forgiven on purpose; without it 65s are waited out\n# code_grace: 0s\n",
    );
    let mut hosts: BTreeSet<String> = BTreeSet::new();
    let own = target::origin(issuer);
    for (name, value) in metadata {
        let endpoint = name.ends_with("_endpoint") || name == "jwks_uri";
        if let (true, Some(origin)) = (endpoint, value.as_str().and_then(target::origin))
            && Some(&origin) != own.as_ref()
        {
            hosts.insert(origin);
        }
    }
    if hosts.is_empty() {
        out.push_str("# hosts: [https://accounts.example]    # further origins of the login, if there are any\n");
    } else {
        let _ = writeln!(
            out,
            "hosts: [{}]   # the metadata places endpoints there: check that they are yours",
            hosts.iter().map(|h| quoted(h)).collect::<Vec<_>>().join(", ")
        );
    }
    let methods = list("token_endpoint_auth_methods_supported");
    let offers = |method: &str| methods.is_empty() || methods.contains(&method);
    out.push_str("\nclients:                               # register them for the test; what is missing is skipped, by name\n");
    let client = |out: &mut String, role: &str, comment: &str, lines: &[&str]| {
        let _ = writeln!(out, "  {role}:{:width$}# {comment}", "", width = 36usize.saturating_sub(role.len()));
        let _ = writeln!(
            out,
            "    id: grantproof-{role}\n    redirect_uri: https://app.example/cb  # registered exactly so; nothing needs to listen there"
        );
        for line in lines {
            let _ = writeln!(out, "    {line}");
        }
    };
    client(&mut out, "public", "no client authentication", &[]);
    client(&mut out, "second", "another client, of any kind", &[]);
    let secret_method = if offers("client_secret_basic") { "client_secret_basic" } else { "client_secret_post" };
    let auth = format!("auth: {secret_method}");
    client(&mut out, "confidential", "a client with a secret", &[&auth, "secret: env:GRANTPROOF_CLIENT_SECRET"]);
    if offers("private_key_jwt") {
        client(&mut out, "assertion", "private_key_jwt; P-256 or RSA, PKCS#8 PEM or JWK", &["key: file:client-key.pem", "kid: c1"]);
    }
    out.push_str("\nusers:                                 # throw-away accounts\n  default: {name: alice, password: env:GRANTPROOF_PASSWORD}\n  other: {name: bob, password: env:GRANTPROOF_OTHER_PASSWORD}\n");
    if !loopback {
        out.push_str("\npermission:                            # who permitted the test; printed in every report\n  by: \"\"\n  until: \"\"                            # the last day, 2027-03-01\n");
    }
    for (name, what) in [
        ("require_pushed_authorization_requests", "it demands pushed authorization requests (RFC 9126)"),
        ("require_signed_request_object", "it demands signed request objects (RFC 9101)"),
    ] {
        if metadata.get(name) == Some(&Value::Bool(true)) {
            let _ = writeln!(out, "\n# The metadata says that {what}, which grantproof cannot send yet.");
        }
    }
    out
}

/// A YAML scalar: plain where that is safe, else in double quotes. The server chose the text.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/: ".contains(c))
        && !text.contains(": ")
        && text.starts_with(|c: char| c.is_ascii_alphabetic());
    if plain { text.to_owned() } else { serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(metadata: &Value) -> String {
        file("http://127.0.0.1:1", metadata.as_object().expect("an object"), true)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = written(&serde_json::json!({
            "issuer": "http://127.0.0.1:1/realms/x", "authorization_endpoint": "http://127.0.0.1:1/a", "token_endpoint": "http://127.0.0.1:2/t",
            "scopes_supported": ["openid", "email"], "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }));
        let with_secrets = text.replace("env:GRANTPROOF", "plain:GRANTPROOF");
        let target = crate::target::load::from_text("t.yaml", &with_secrets, std::path::Path::new("."))
            .unwrap_or_else(|d| panic!("{}\n{text}", d[0]));
        assert_eq!(
            (target.issuer.as_str(), target.scope.as_str(), target.extra_scope.as_deref()),
            ("http://127.0.0.1:1/realms/x", "openid", Some("email"))
        );
        assert!(target.origins.contains("http://127.0.0.1:2"), "an endpoint elsewhere is declared, for the reader to check");
        assert!(text.contains("auth: client_secret_post") && !text.contains("assertion:"), "{text}");
    }

    #[test]
    fn a_hostile_issuer_stays_text() {
        let text = written(&serde_json::json!({ "issuer": "http://127.0.0.1:1/\"\nname: evil\n#" }));
        assert_eq!(text.lines().filter(|l| l.starts_with("name:")).count(), 1, "{text}");
    }
}
