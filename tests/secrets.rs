//! No secret is ever written: against a server that echoes every secret in every place and every encoding, every command is run, and every
//! byte that it writes is searched, temporary files and arguments of processes included.
//!
//! A secret in two pieces is none that can be found; see docs/reports.md.

#[path = "common/canary.rs"]
mod canary;
#[path = "common/echo.rs"]
mod echo;
#[path = "common/program.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use canary::{Canary, Search, files, written};
use echo::{CLIENT_SECRET, Echo, INITIAL_TOKEN, OTP_SECRET, PASSWORD};
use grantproof::lab::{Lab, LabConfig};
use grantproof::report::FORMATS;

/// Files that hold secrets on purpose: what is given to the program, and what `init --register` makes for it.
const ON_PURPOSE: &[&str] = &["client-key.pem", "registered.secrets.env", "registered.assertion-key.pem", "sign.key"];

/// Scenarios with clients of all kinds.
const SOME: &str = "pkce/wrong-verifier,code/replay,refresh/reuse-after-rotation,client-auth/wrong-secret,client-auth/assertion-*";

/// Runs leave out the registration of clients: what one run was given, the next one cannot know, and the server goes on echoing it.
/// Everything that writes, with its exit code, in order: later commands read what earlier ones wrote. `FORMAT` stands for each format.
const COMMANDS: &[(i32, &str)] = &[
    (0, "lint t.yaml"),
    (0, "plan -t t.yaml"),
    (0, "doctor -t t.yaml"),
    (0, "explain pkce/wrong-verifier --requests"),
    // Undecided: the file has neither a listener nor a second API. A signed introspection response names the server itself, which the echo
    // in front of it cannot change.
    (
        4,
        "run -t all.yaml -x race,introspection/jwt-response-alg,REGISTERING -f json --record rec --timings --progress lines --clean-up always ALL-REPORTS",
    ),
    (0, "run -t second.yaml -s SOME -v --trace trace --report json=some.json"),
    (0, "run -t t.yaml -s pkce/wrong-verifier --no-report -f FORMAT"),
    (0, "run -t t.yaml -s pkce/wrong-verifier --no-report --keep-going -v"),
    (4, "judge rec -f terminal"),
    (0, "render run.json -f FORMAT"),
    (4, "merge run.json some.json --report json=merged.json"),
    (0, "diff run.json run.json"),
    (0, "diff run.json run.json --format json"),
    (0, "verify run.json"),
    (0, "replay pkce/wrong-verifier -t t.yaml -v --trace replayed"),
    (3, "replay pkce/wrong-verifier -t wrong-password.yaml -v"),
    // Some only: each login of these files waits for a one-time code of its own.
    (3, "run -t wrong-password.yaml -s SOME --no-report"),
    (3, "doctor -t wrong-password.yaml"),
    (3, "run -t wrong-secret.yaml -s SOME -f json"),
    (3, "run -t wrong-key.yaml -s SOME"),
    (2, "run -t no-key-file.yaml"),
    (2, "run -t misspelt.yaml"),
    (2, "lint misspelt.yaml bare.yaml"),
    (0, "init BASE --register --initial-access-token env:GP_INITIAL --output registered.yaml --no-input"),
    (3, "unregister -t registered.yaml"),
    (3, "unregister -t registered.yaml"),
];

/// The attacks that register a client.
fn registering() -> String {
    let catalogue = grantproof::cli::inputs::catalogue(None).map_err(|e| e.message).expect("the catalogue");
    let all = catalogue.scenarios.values().filter(|scenario| scenario.control.flow == "registration");
    all.map(|scenario| scenario.id.as_str()).collect::<Vec<_>>().join(",")
}

/// One run of the program: what it was, and every byte that it wrote.
struct Run {
    line: String,
    code: i32,
    wrote: Vec<(String, Vec<u8>)>,
}

/// A folder to work in, with everything that a command reads.
struct Desk {
    folder: tempfile::TempDir,
    echo: Echo,
    lab: Lab,
    key: String,
}

impl Desk {
    async fn new() -> Desk {
        let lab = grantproof::lab::start(LabConfig::default()).await.expect("a lab");
        let directory = lab.directory().clone();
        let client = |role: &str| directory.clients.iter().find(|c| c.role == role).expect("a client").clone();
        let confidential = client("confidential");
        let echo =
            Echo::open(lab.issuer(), &directory.users[0].password, (&confidential.id, confidential.secret.as_deref().expect("a secret")))
                .await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("tmp")).expect("a folder");
        let key = client("assertion").private_key_pem.expect("a key");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        write("client-key.pem", &key);
        let redirect = format!("redirect_uri: \"{}\"", confidential.redirect_uri);
        let target = format!(
            "name: echo\nissuer: {base}\nscope: openid profile offline_access\nextra_scope: email\nresource: {base}/api/me\nrefresh_grace: 0s\ncode_grace: 0s\nclients:\n  public: {{id: {public}, {redirect}}}\n  second: {{id: {second}, dpop: true, {redirect}}}\n  confidential:\n    id: {confidential}\n    {redirect}\n    secret: env:GP_SECRET\n  assertion: {{id: {assertion}, key: \"file:client-key.pem\", audience: \"{issuer}\", {redirect}}}\nusers:\n  default:\n    name: alice\n    password: env:GP_ALICE\n    totp: env:GP_TOTP\n",
            base = echo.base(),
            public = client("public").id,
            second = client("second").id,
            confidential = confidential.id,
            assertion = client("assertion").id,
            issuer = lab.issuer(),
        );
        write("t.yaml", &target);
        // Every login waits for a one-time code that was not used.
        let without_codes = target.replace("    totp: env:GP_TOTP\n", "");
        write("all.yaml", &without_codes);
        write("second.yaml", &target.replace("name: echo", "name: another echo"));
        write("wrong-password.yaml", &without_codes.replace("GP_ALICE", "GP_WRONG"));
        write("wrong-secret.yaml", &target.replace("GP_SECRET", "GP_WRONG"));
        write("wrong-key.yaml", &target.replace("\"file:client-key.pem\"", "env:GP_WRONG"));
        write("no-key-file.yaml", &target.replace("client-key.pem", "no-such-file.pem"));
        // What an author should not write, and the mistakes that show him the line.
        write("misspelt.yaml", &target.replace("password: env:GP_ALICE", &format!("pasword: '{PASSWORD}'")));
        write("bare.yaml", &target.replace("secret: env:GP_SECRET", &format!("secret: '{CLIENT_SECRET}'")));
        Desk { folder, echo, lab, key }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Every secret that there is.
    fn secrets(&self) -> Vec<Canary> {
        let mut all = self.echo.secrets();
        let body: String = self.key.lines().filter(|line| !line.starts_with("-----")).collect();
        all.extend([("private_key", self.key.clone()), ("private_key", body), ("wrong", WRONG.to_owned())]);
        all.extend(self.lab.directory().users.iter().map(|user| ("password", user.password.clone())));
        all
    }

    /// Runs a command; `meanwhile` sees the process while it runs.
    fn run(&self, line: &str, meanwhile: impl Fn(u32) + Sync) -> Run {
        // Who unregisters has the tokens of the clients alone.
        let initial = if line.starts_with("init ") { INITIAL_TOKEN } else { "" };
        let otp = if ["all.yaml", "wrong-password.yaml"].iter().any(|file| line.contains(file)) { "" } else { OTP_SECRET };
        let own = |file: &str, right: &'static str| if line.contains(file) { WRONG } else { right };
        self.echo.next_run(&[
            ("password", own("wrong-password.yaml", PASSWORD)),
            ("client_secret", own("wrong-secret.yaml", CLIENT_SECRET)),
            ("otp_secret", otp),
            ("initial_access_token", initial),
        ]);
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut child = program::program()
            .args(&arguments)
            .current_dir(self.path())
            .envs([("GP_ALICE", PASSWORD), ("GP_SECRET", CLIENT_SECRET), ("GP_TOTP", OTP_SECRET), ("GP_WRONG", WRONG)])
            .env("GP_INITIAL", INITIAL_TOKEN)
            .env("TMPDIR", self.path().join("tmp"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let (id, over) = (child.id(), AtomicBool::new(false));
        let read = |mut from: Box<dyn std::io::Read + Send>| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map(|_| bytes).expect("what it wrote")
        };
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let mut wrote = Vec::new();
        let status = std::thread::scope(|scope| {
            let out = scope.spawn(|| read(Box::new(out)));
            let err = scope.spawn(|| read(Box::new(err)));
            let passing = scope.spawn(|| {
                let mut seen = BTreeMap::new();
                while !over.load(Ordering::SeqCst) {
                    for path in files(&self.path().join("tmp")) {
                        if let Ok(bytes) = std::fs::read(&path) {
                            seen.insert((format!("temporary file {}", path.display()), bytes.len()), bytes);
                        }
                    }
                    for (process, arguments) in arguments_below(id) {
                        seen.insert((format!("arguments of process {process}"), arguments.len()), arguments);
                    }
                    meanwhile(id);
                    std::thread::sleep(Duration::from_millis(10));
                }
                seen
            });
            let status = child.wait().expect("an end");
            over.store(true, Ordering::SeqCst);
            wrote.push(("standard output".to_owned(), out.join().expect("output")));
            wrote.push(("standard error".to_owned(), err.join().expect("output")));
            wrote.extend(passing.join().expect("files").into_iter().map(|((name, _), bytes)| (name, bytes)));
            status
        });
        wrote.extend(
            files(&self.path().join("tmp"))
                .into_iter()
                .map(|p| (format!("left behind: {}", p.display()), std::fs::read(p).unwrap_or_default())),
        );
        Run { line: line.to_owned(), code: status.code().unwrap_or(-1), wrote }
    }

    /// Every command with what its words stand for.
    fn commands(&self) -> Vec<(i32, String)> {
        let all: Vec<&str> = FORMATS.iter().map(|f| f.name).collect();
        let reports: Vec<String> = FORMATS.iter().map(|f| format!("--report {}=run.{}", f.name, f.extension)).collect();
        let lines = COMMANDS.iter().flat_map(|(code, line)| {
            let line = line
                .replace("BASE", self.echo.base())
                .replace("ALL-REPORTS", &reports.join(" "))
                .replace("SOME", SOME)
                .replace("REGISTERING", &registering());
            let formats: &[&str] = if line.ends_with("FORMAT") { &all } else { &[""] };
            formats.iter().map(|format| (*code, line.replace("FORMAT", format))).collect::<Vec<_>>()
        });
        lines.collect()
    }

    fn assert_silent(&self, runs: &[Run]) {
        let search = Search::new(&self.secrets());
        let mut leaks = Vec::new();
        for run in runs {
            for (place, bytes) in &run.wrote {
                leaks.extend(search.find(bytes).into_iter().map(|what| format!("`{}`, {place}: {what}", run.line)));
            }
        }
        for path in files(self.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let given = ["misspelt.yaml", "bare.yaml"];
            if !ON_PURPOSE.contains(&&*name) && !given.contains(&&*name) {
                let bytes = std::fs::read(&path).expect("a file");
                leaks.extend(search.find(&bytes).into_iter().map(|what| format!("{}: {what}", path.display())));
            }
        }
        assert!(
            leaks.is_empty(),
            "{} leaks:\n{}",
            leaks.len(),
            leaks.iter().take(60).map(|leak| leak.chars().take(1400).collect()).collect::<Vec<String>>().join("\n")
        );
    }
}

/// A value that is refused wherever it is given.
const WRONG: &str = "Wr0ng/v\u{e4}lue+of &a\\ secret";

/// The arguments of a process and of those that it started.
#[cfg(target_os = "linux")]
fn arguments_below(id: u32) -> Vec<(u32, Vec<u8>)> {
    let parent = |process: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let all = std::fs::read_dir("/proc").expect("processes").flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let below = all.filter(|process| std::iter::successors(Some(*process), |p| parent(*p)).take(20).any(|p| p == id));
    below.filter_map(|process| Some((process, std::fs::read(format!("/proc/{process}/cmdline")).ok()?))).collect()
}

#[cfg(not(target_os = "linux"))]
fn arguments_below(_: u32) -> Vec<(u32, Vec<u8>)> {
    Vec::new()
}

/// The search can fail: every encoding of every kind of secret is found, in the files of every format as well.
#[test]
fn the_search_finds_what_is_planted() {
    for secret in [PASSWORD, CLIENT_SECRET, OTP_SECRET, "opaque-Token-1", "123456", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLW9m"]
    {
        let search = Search::new(&[("canary", secret.to_owned())]);
        assert!(search.find(b"nothing to see & here % at \\ all").is_empty());
        for (encoding, text) in written(secret) {
            let in_json = serde_json::json!({"body": format!("<p>{text}</p>")}).to_string();
            let in_html = text.replace('&', "&amp;").replace('<', "&lt;");
            for (place, text) in [("text", &text), ("JSON", &in_json), ("HTML", &in_html)] {
                assert!(!search.find(text.as_bytes()).is_empty(), "{encoding} of {secret} in {place}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_by_any_command() {
    let desk = Desk::new().await;
    let mut runs = Vec::new();
    for (code, line) in desk.commands() {
        let run = tokio::task::block_in_place(|| desk.run(&line, |_| {}));
        let said = || run.wrote.iter().take(2).map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect::<String>();
        assert_eq!(run.code, code, "{line}: {}", said());
        runs.push(run);
    }
    let main = runs.iter().find(|r| r.line.contains("--record")).expect("the main run");
    let out = String::from_utf8_lossy(&main.wrote[0].1);
    assert!(!out.contains("\"fatal\""), "the main run judges: {}", out.chars().take(600).collect::<String>());
    told_everything(&desk.echo);
    desk.assert_silent(&runs);
}

/// The server did what it is for.
fn told_everything(echo: &Echo) {
    let told = echo.told();
    let places: std::collections::BTreeSet<&str> = told.iter().map(|(_, _, place)| *place).collect();
    let wanted = ["attribute", "comment", "cookie", "cut", "error_description", "error_uri", "fragment", "header", "header name", "jwt"];
    let more = ["keys", "link", "location", "member", "metadata", "script", "text", "title", "www-authenticate"];
    for place in wanted.iter().chain(&more) {
        assert!(places.contains(place), "nothing was told in {place}");
    }
    let kinds = [
        "access_token",
        "client_assertion",
        "client_secret",
        "code",
        "code_verifier",
        "cookie",
        "dpop_proof",
        "id_token",
        "otp",
        "password",
        "refresh_token",
    ];
    let encodings: Vec<String> = written(PASSWORD).into_iter().map(|(name, _)| name).collect();
    for kind in kinds {
        let missing: Vec<&String> = encodings.iter().filter(|e| !told.iter().any(|(k, name, _)| *k == kind && name == *e)).collect();
        // Of a JWT, what is many times as long does not fit into an answer.
        assert!(missing.len() <= encodings.len() / 2, "{kind} was not told as {missing:?}");
    }
    for kind in ["password", "client_secret", "otp", "code", "refresh_token", "cookie"] {
        let missing: Vec<&String> = encodings.iter().filter(|e| !told.iter().any(|(k, name, _)| *k == kind && name == *e)).collect();
        assert!(missing.is_empty(), "{kind} was not told as {missing:?}");
    }
}

/// A run that is interrupted writes what it has.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_by_a_run_that_is_interrupted() {
    let desk = Desk::new().await;
    let sent = AtomicBool::new(false);
    let run = tokio::task::block_in_place(|| {
        desk.run("run -t t.yaml --repeat 20 -f json --progress lines --report html=run.html", |id| {
            if desk.echo.told().len() > 300 && !sent.swap(true, Ordering::SeqCst) {
                let killed = std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().expect("kill");
                assert!(killed.success());
            }
        })
    });
    assert_eq!(run.code, 130, "{}", String::from_utf8_lossy(&run.wrote[1].1));
    desk.assert_silent(&[run]);
}
