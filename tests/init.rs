//! `init`, `unregister` and `doctor` against a server that plays discovery with all kinds of lies, resources that name their
//! authorization server, and dynamic registration with successes, refusals and management.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// How the server registers clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registers {
    Everybody,
    /// Who shows this initial access token.
    WhoShows(&'static str),
    /// Public clients only.
    Public,
    /// Clients without a scope.
    WithoutScope,
    /// Gives every client a secret, whatever it asked for.
    Secrets,
    /// Places the management of its clients on another host.
    ManagedElsewhere,
    /// Gives tokens that would be two lines of a file.
    TwoLines,
}

/// What stands at an address.
type Page = (u16, Vec<(&'static str, String)>, String);

struct Server {
    base: String,
    shared: Arc<Shared>,
    _threads: tokio::runtime::Runtime,
}

struct Shared {
    pages: Mutex<BTreeMap<String, Page>>,
    registers: Mutex<Registers>,
    /// Registered clients: id → registration access token.
    clients: Mutex<BTreeMap<String, String>>,
    /// The Date of every answer, where it is not the time of day.
    date: Mutex<Option<&'static str>>,
    /// Requests as they came: method, address, Authorization, body.
    seen: Mutex<Vec<(String, String, String, String)>>,
}

impl Server {
    fn start() -> Server {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let shared = Arc::new(Shared {
            pages: Mutex::default(),
            registers: Mutex::new(Registers::Everybody),
            clients: Mutex::default(),
            date: Mutex::default(),
            seen: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = threads.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        threads.spawn(async move { axum::serve(listener, router).await });
        Server { base, shared, _threads: threads }
    }

    /// A server whose metadata is at the OpenID Connect place of its root.
    fn with_metadata(change: impl FnOnce(&mut Value)) -> Server {
        let server = Server::start();
        let mut metadata = server.metadata("");
        change(&mut metadata);
        server.page("/.well-known/openid-configuration", 200, &[], &metadata.to_string());
        server
    }

    /// Right metadata for an issuer at a path of the server.
    fn metadata(&self, path: &str) -> Value {
        let base = &self.base;
        json!({
            "issuer": format!("{base}{path}"),
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "registration_endpoint": format!("{base}/register"),
            "scopes_supported": ["openid", "profile", "email", "phone", "offline_access"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "private_key_jwt"],
        })
    }

    fn page(&self, path: &str, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        self.shared.pages.lock().expect("pages").insert(path.to_owned(), (status, headers, body.to_owned()));
    }

    fn registers(&self, how: Registers) {
        *self.shared.registers.lock().expect("registers") = how;
    }

    fn clients(&self) -> usize {
        self.shared.clients.lock().expect("clients").len()
    }

    fn paths(&self) -> Vec<String> {
        self.shared.seen.lock().expect("seen").iter().map(|(_, path, ..)| path.clone()).collect()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut response = page(&shared, method, &uri, &headers, &body);
    if let Some(date) = *shared.date.lock().expect("date") {
        response.headers_mut().insert("date", date.parse().expect("a header"));
    }
    response
}

fn page(shared: &Shared, method: Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
    let authorization = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let path = uri.path().to_owned();
    let text = String::from_utf8_lossy(body).into_owned();
    shared.seen.lock().expect("seen").push((method.to_string(), path.clone(), authorization.clone(), text.clone()));
    if path == "/register" && method == Method::POST {
        let host = headers.get("host").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (status, answer) = register(shared, host, &authorization, &serde_json::from_str(&text).unwrap_or_default());
        return (status, answer.to_string()).into_response();
    }
    if let (Some(id), Method::DELETE) = (path.strip_prefix("/register/"), method) {
        let mut clients = shared.clients.lock().expect("clients");
        return match clients.get(id).filter(|token| format!("Bearer {token}") == authorization) {
            Some(_) => {
                clients.remove(id);
                StatusCode::NO_CONTENT.into_response()
            }
            None => (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_token" }).to_string()).into_response(),
        };
    }
    let page = shared.pages.lock().expect("pages").get(&path).cloned();
    let (status, extra, text) = page.unwrap_or((404, Vec::new(), "nothing here".into()));
    let mut response = (StatusCode::from_u16(status).expect("a status"), text).into_response();
    for (name, value) in extra {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}

fn register(shared: &Shared, host: &str, authorization: &str, wish: &Value) -> (StatusCode, Value) {
    let refused = |status: StatusCode, error: &str, why: &str| (status, json!({ "error": error, "error_description": why }));
    let how = *shared.registers.lock().expect("registers");
    match how {
        Registers::WhoShows(token) if authorization != format!("Bearer {token}") => {
            return refused(StatusCode::FORBIDDEN, "access_denied", "Policy 'Trusted Hosts' rejected the request");
        }
        Registers::Public if wish["token_endpoint_auth_method"] != "none" => {
            return refused(StatusCode::BAD_REQUEST, "invalid_client_metadata", "only public clients");
        }
        Registers::WithoutScope if wish.get("scope").is_some() => {
            return refused(StatusCode::FORBIDDEN, "insufficient_scope", "Not permitted to use specified clientScope");
        }
        _ => {}
    }
    if wish["redirect_uris"][0].as_str().is_some_and(|uri| uri.starts_with("http://127.")) {
        return refused(StatusCode::BAD_REQUEST, "invalid_redirect_uri", "no loopback here");
    }
    let mut clients = shared.clients.lock().expect("clients");
    let id = format!("client-{}", clients.len() + 1);
    let token = format!("registration-token-{id}");
    clients.insert(id.clone(), token.clone());
    let mut answer = wish.clone();
    answer["client_id"] = json!(id);
    answer["registration_client_uri"] = match how {
        Registers::ManagedElsewhere => json!(format!("http://127.0.0.2:9/register/{id}")),
        _ => json!(format!("http://{host}/register/{id}")),
    };
    answer["registration_access_token"] = match how {
        Registers::TwoLines => json!(format!("{token}\nPATH=/evil")),
        _ => json!(token),
    };
    if how == Registers::Secrets {
        answer["token_endpoint_auth_method"] = json!("client_secret_basic");
    }
    if answer["token_endpoint_auth_method"] == "client_secret_basic" {
        answer["client_secret"] = json!(format!("it's a secret of {id}"));
    }
    (StatusCode::CREATED, answer)
}

fn grantproof(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantproof"));
    for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CI", "GRANTPROOF_COLOR", "GRANTPROOF_TARGET", "GRANTPROOF_PROFILE"] {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command
        .args(arguments)
        .current_dir(folder)
        .env("GRANTPROOF_PASSWORD", "one")
        .env("GRANTPROOF_OTHER_PASSWORD", "two")
        .env("GRANTPROOF_CLIENT_SECRET", "three")
        .env("INITIAL", "initial-token-1")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn written(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("grantproof.yaml")).expect("a target file")
}

#[test]
fn an_issuer_may_be_given_as_its_document() {
    let server = Server::start();
    let metadata = server.metadata("/realms/x").to_string();
    server.page("/.well-known/oauth-authorization-server/realms/x", 200, &[], &metadata);
    let folder = folder();
    for address in ["/realms/x", "/realms/x/", "/.well-known/oauth-authorization-server/realms/x"] {
        let (code, out, err) = grantproof(folder.path(), &["init", &format!("{}{address}", server.base), "--stdout"]);
        assert_eq!(code, 0, "{address}: {err}");
        assert!(out.contains(&format!("issuer: {}/realms/x ", server.base)) && !out.contains("\nmetadata:"), "{address}:\n{out}");
        assert!(out.contains("\nscope: openid profile offline_access ") && out.contains("\nextra_scope: phone "), "{out}");
        assert!(out.contains("\nname: \"127.0.0.1/realms/x\""), "{out}");
        assert_eq!(err, "");
    }
    server.page("/meta.json", 200, &[], &metadata);
    server.shared.pages.lock().expect("pages").remove("/.well-known/oauth-authorization-server/realms/x");
    let place = format!("{}/meta.json", server.base);
    let (code, out, err) = grantproof(folder.path(), &["init", &place, "--stdout"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(&format!("metadata: {place} ")), "a document at a place of its own is named:\n{out}");
}

#[test]
fn a_resource_leads_to_its_authorization_server() {
    let server = Server::with_metadata(|_| {});
    let resource = Server::start();
    let mcp = format!("{}/mcp", resource.base);
    let document =
        json!({ "resource": mcp, "authorization_servers": [server.base, "https://second.example"], "scopes_supported": ["files:read"] });
    let folder = folder();
    let init = || grantproof(folder.path(), &["init", &mcp, "--stdout"]);
    // By the well-known place with the path inserted; then by a challenge, whose scope counts more.
    resource.page("/.well-known/oauth-protected-resource/mcp", 200, &[], &document.to_string());
    let (code, out, err) = init();
    assert_eq!(code, 0, "{err}");
    for line in [format!("issuer: {} ", server.base), format!("resource: {mcp} "), "scope: \"openid files:read offline_access\"".into()] {
        assert!(out.contains(&line) || out.contains(&line.replace('"', "")), "{line}:\n{out}");
    }
    assert!(err.contains("names 2 authorization servers") && out.contains("# WARNING the resource names 2"), "{err}");
    resource.shared.pages.lock().expect("pages").clear();
    let place = format!("{}/elsewhere.json", resource.base);
    let challenge = format!("Bearer resource_metadata=\"{place}\", scope=\"files:write\"");
    resource.page("/mcp", 401, &[("www-authenticate", &challenge)], "");
    resource.page("/elsewhere.json", 200, &[], &document.to_string());
    let (code, out, err) = init();
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("files:write") && !out.contains("files:read"), "{out}");
}

#[test]
fn a_resource_does_not_choose_what_else_is_asked() {
    let resource = Server::start();
    let mcp = format!("{}/mcp", resource.base);
    let folder = folder();
    resource.page("/mcp", 401, &[("www-authenticate", "Bearer resource_metadata=\"http://127.0.0.2:9/inside\"")], "");
    let (code, _, err) = grantproof(folder.path(), &["init", &mcp, "--stdout"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("no metadata document was found") && err.contains("nothing was written") && err.contains("/mcp: 401"), "{err}");
    assert!(!resource.paths().is_empty() && !err.contains("127.0.0.2:9/inside: "), "it was not contacted: {err}");
    let document = json!({ "resource": "https://other.example/mcp", "authorization_servers": [] }).to_string();
    resource.page("/.well-known/oauth-protected-resource/mcp", 200, &[], &document);
    let (code, _, err) = grantproof(folder.path(), &["init", &mcp, "--stdout"]);
    assert!(code == 3 && err.contains("names no authorization server"), "{err}");
}

/// Metadata that lies: a warning on the terminal and in the file, each with what to do, and a test that stays where it was sent.
#[test]
fn lies_are_told_and_move_nothing() {
    let server = Server::with_metadata(|metadata| {
        metadata["issuer"] = json!("https://evil.example");
        metadata["token_endpoint"] = json!("https://tokens.evil.example/t");
        metadata["require_signed_request_object"] = json!(true);
    });
    let folder = folder();
    let (code, _, err) = grantproof(folder.path(), &["init", &server.base]);
    assert_eq!(code, 0, "{err}");
    let text = written(folder.path());
    for words in ["its issuer is `https://evil.example`", "token_endpoint at https://tokens.evil.example", "RFC 9101"] {
        assert!(err.contains(words), "{words}: {err}");
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert!(text.contains("\n# hosts: [https://tokens.evil.example:443]"), "{text}");
    assert!(text.contains(&format!("\nissuer: {} ", server.base)) && text.contains("\nmetadata: "), "{text}");
    let (code, _, err) = grantproof(folder.path(), &["init", &server.base, "--force", "--host", "https://tokens.evil.example"]);
    assert_eq!(code, 0, "{err}");
    assert!(written(folder.path()).contains("\nhosts:") && !err.contains("another host than"), "said by the user: {err}");
    // Redirects are not followed, and said.
    server.page("/.well-known/openid-configuration", 301, &[("location", "https://new.example/")], "");
    let (code, _, err) = grantproof(folder.path(), &["init", &server.base, "--stdout"]);
    assert!(code == 3 && err.contains("301") && err.contains("https://new.example/: give that address"), "{err}");
}

#[test]
fn clients_are_registered_and_removed() {
    let server = Server::with_metadata(|_| {});
    let folder = folder();
    let (code, out, err) = grantproof(folder.path(), &["init", &server.base, "--register", "--user", "carol"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(server.clients(), 4);
    let text = written(folder.path());
    let secrets = std::fs::read_to_string(folder.path().join("grantproof.secrets.env")).expect("secrets");
    for secret in ["it's a secret of", "registration-token-client"] {
        assert!(!text.contains(secret) && !out.contains(secret) && !err.contains(secret), "secrets are nowhere else:\n{text}{out}");
    }
    assert!(secrets.contains("CONFIDENTIAL_SECRET=") && secrets.contains("PUBLIC_REGISTRATION_TOKEN="), "{secrets}");
    assert!(text.contains("name: \"carol\"") && text.contains("name: \"bob\""), "{text}");
    #[cfg(unix)]
    for file in ["grantproof.secrets.env", "grantproof.assertion-key.pem"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
        assert!(out.contains(file), "{out}");
    }
    let (code, out, err) = grantproof(folder.path(), &["lint", "grantproof.yaml"]);
    assert_eq!(code, 0, "{out}{err}");
    // The key that was registered is the one beside the file, and only its public half went out.
    let seen = server.shared.seen.lock().expect("seen").clone();
    let assertion = seen.iter().find(|(.., body)| body.contains("\"jwks\"")).expect("a registration with a key");
    assert!(assertion.3.contains("\"x\"") && !assertion.3.contains("\"d\""), "{}", assertion.3);
    // What is registered is not forgotten.
    let (code, _, err) = grantproof(folder.path(), &["init", &server.base, "--register", "--force"]);
    assert!(code == 2 && err.contains("records 4 registered client(s)") && err.contains("unregister"), "{err}");
    // Removing needs no password and no secret of the rest of the file.
    let (code, out, err) = grantproof(folder.path(), &["unregister", "-t", "grantproof.yaml"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!((server.clients(), out.matches("removed  ").count()), (0, 4), "{out}");
    let secrets = std::fs::read_to_string(folder.path().join("grantproof.secrets.env")).expect("secrets");
    assert!(!secrets.contains("_TOKEN=") && !secrets.contains("_SECRET="), "{secrets}");
    let (code, _, _) = grantproof(folder.path(), &["init", &server.base, "--register", "--force"]);
    assert_eq!((code, server.clients()), (0, 4), "and again");
}

#[test]
fn refusals_are_told_with_the_words_of_the_server() {
    let server = Server::with_metadata(|_| {});
    let init = |how: Registers, more: &[&str]| {
        server.registers(how);
        server.shared.clients.lock().expect("clients").clear();
        let folder = folder();
        let mut arguments = vec!["init", server.base.as_str(), "--register"];
        arguments.extend(more);
        let (code, out, err) = grantproof(folder.path(), &arguments);
        (code, format!("{out}{err}"), written(folder.path()), folder)
    };
    let (code, told, text, folder) = init(Registers::WhoShows("initial-token-1"), &[]);
    assert_eq!((code, server.clients()), (3, 0), "{told}");
    assert!(told.contains("Policy 'Trusted Hosts' rejected") && told.contains("--initial-access-token"), "{told}");
    assert_eq!(told.matches("Trusted Hosts").count(), 1, "said once: {told}");
    assert!(text.contains("id: grantproof-public") && !folder.path().join("grantproof.secrets.env").exists(), "{text}");
    assert!(!folder.path().join("grantproof.assertion-key.pem").exists(), "a key for nobody is not kept");
    let (code, told, _, _folder) = init(Registers::WhoShows("initial-token-1"), &["--initial-access-token", "env:INITIAL"]);
    assert_eq!((code, server.clients()), (0, 4), "{told}");
    let (code, told, text, _folder) = init(Registers::Public, &[]);
    assert_eq!((code, server.clients()), (0, 2), "what could be registered is kept: {told}");
    assert!(told.contains("only public clients") && text.contains("\n#   confidential:") && text.contains("\n  public:"), "{told}{text}");
    let (code, told, _, _folder) = init(Registers::Everybody, &["--redirect-uri", "http://127.0.0.1:9123/cb"]);
    assert!(code == 3 && told.contains("no loopback here") && told.contains("--redirect-uri"), "{told}");
    let (code, told, _, _folder) = init(Registers::WithoutScope, &[]);
    assert!(code == 0 && server.clients() == 4 && told.contains("refuses a scope"), "{told}");
    let (code, told, text, _folder) = init(Registers::Secrets, &[]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("asked for none, it registered client_secret_basic); it was removed again"), "{told}");
    assert!(text.contains("\n#   public:") && text.contains("\n  second:") && text.contains("SECOND_SECRET"), "{text}");
    let (code, told, text, _folder) = init(Registers::ManagedElsewhere, &[]);
    assert!(code == 0 && told.contains("on another host: no token is sent there") && !text.contains("registration:"), "{told}{text}");
    let (code, told, _, folder) = init(Registers::TwoLines, &[]);
    assert!(code == 3 && told.contains("has control characters") && told.contains("by hand"), "{told}");
    assert!(!folder.path().join("grantproof.secrets.env").exists());
    let (code, _, err) =
        grantproof(_folder.path(), &["init", &server.base, "--output", "x.yaml", "--register", "--initial-access-token", "secret"]);
    assert!(code == 2 && err.contains("env:NAME"), "{err}");
}

#[test]
fn files_are_not_overwritten_unasked() {
    let server = Server::with_metadata(|_| {});
    let folder = folder();
    std::fs::write(folder.path().join("grantproof.yaml"), "mine").expect("a file");
    let (code, _, err) = grantproof(folder.path(), &["init", &server.base]);
    assert!(code == 2 && err.contains("--force"), "{err}");
    assert_eq!(written(folder.path()), "mine");
    assert!(server.paths().is_empty(), "nothing was sent");
    for (arguments, words) in [
        (vec!["--permission-until", "tomorrow"], "write 2027-03-01"),
        (vec!["--permission-until", "2020-01-01"], "that day is over"),
        (vec!["--redirect-uri", "app/cb"], "it is no URL"),
        (vec!["--host", "accounts"], "it is no http or https URL"),
    ] {
        let (code, _, err) = grantproof(folder.path(), &[vec!["init", &server.base, "--force"], arguments.clone()].concat());
        assert!(code == 2 && err.contains(words), "{arguments:?}: {err}");
    }
}

/// The difference of the clocks is said by `doctor` before anything else, and stands in the report of a run.
#[test]
fn clocks_that_differ_are_told() {
    let server = Server::with_metadata(|_| {});
    *server.shared.date.lock().expect("date") = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    let folder = folder();
    assert_eq!(grantproof(folder.path(), &["init", &server.base]).0, 0);
    let text = written(folder.path());
    let only_public =
        text.split("\n  second:").next().expect("the first client").to_owned() + "\nusers:\n  default: {name: a, password: \"plain:b\"}\n";
    std::fs::write(folder.path().join("grantproof.yaml"), only_public).expect("a file");
    let (code, out, err) = grantproof(folder.path(), &["doctor", "-t", "grantproof.yaml"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("s behind this machine's") && out.contains("no attack can run"), "{out}");
    let (code, out, _) = grantproof(folder.path(), &["run", "-t", "grantproof.yaml", "-s", "pkce/wrong-verifier", "--format", "json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 3 && report["warnings"].to_string().contains("clock is"), "{}", report["warnings"]);
}
