//! `init`: from an address to a commented target file. Reads metadata only, unless it is asked to register clients.

mod ask;
mod doubts;
mod enrol;
mod file;
mod look;
mod propose;

use std::path::Path;

use crate::engine::http::Http;
use crate::model::step::ClientRole;
use crate::report::gate;
use crate::report::safe::terminal as safe;
use crate::target::{self, Target, secret};

use super::args::Init;
use super::{Failure, print};

use ask::Questions;
use enrol::{Enrolment, Order};
use look::Found;

/// Something doubtful, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub what: String,
    pub todo: String,
}

impl Notice {
    pub fn new(what: impl Into<String>, todo: impl Into<String>) -> Notice {
        Notice { what: what.into(), todo: todo.into() }
    }
}

/// What a person decides, by flags or on a terminal.
#[derive(Debug)]
pub struct Answers {
    register: bool,
    redirect_uri: String,
    user: String,
    other_user: String,
    permission_by: String,
    permission_until: String,
}

/// # Errors
/// An address that is none or a file that exists (2), a server without metadata (3), a file that cannot be written (5).
pub fn init(arguments: &Init) -> Result<u8, Failure> {
    let address = arguments.url.trim();
    if target::origin(address).is_none() {
        return Err(Failure::input(format!(
            "error: `{address}` is no http or https URL\n  = help: give an issuer, its metadata document, or a resource, for example https://login.example"
        )));
    }
    check_flags(arguments)?;
    let mut questions = Questions::on_terminal(!arguments.no_input && !arguments.stdout);
    may_write(arguments, &mut questions)?;
    let ca = match &arguments.ca {
        Some(path) => Some(std::fs::read(path).map_err(|e| Failure::input(format!("error: {} cannot be read: {e}", path.display())))?),
        None => None,
    };
    let runtime = super::runtime()?;
    let mut found = runtime
        .block_on(look::look(address, ca.as_deref()))
        .map_err(|why| Failure { code: gate::NOT_TESTED, message: format!("fatal: {}\n  nothing was written", safe(&why)) })?;
    let (issuer, names_document) = doubts::issuer(&mut found);
    let mut notices = found.notices.clone();
    notices.extend(doubts::others(&found));
    // What is doubtful is read before anything is asked.
    tell(&notices);
    let hosts = hosts(arguments, &found, &issuer, &mut notices, &mut questions);
    let loopback = [issuer.as_str(), &found.place].into_iter().chain(found.resource.as_ref().map(|r| r.address.as_str())).all(on_loopback)
        && hosts.iter().all(|(origin, contacted)| !contacted || target::is_loopback(origin));
    let answers = answers(arguments, &found, loopback, &mut questions);
    let scope = propose::scope(&found);
    let extra_scope = propose::extra_scope(&found, &scope);
    let methods = propose::methods(&found);
    if !arguments.stdout {
        can_be_written(&arguments.output)?;
    }
    let enrolment = match answers.register {
        true => Some(register(
            arguments,
            &found,
            &answers,
            &hosts,
            (&scope, extra_scope.as_deref()),
            &methods,
            loopback,
            ca.as_deref(),
            &runtime,
        )?),
        false => None,
    };
    let text = file::text(&file::Facts {
        found: &found,
        issuer: &issuer,
        names_document,
        hosts: &hosts,
        scope: &scope,
        extra_scope: extra_scope.as_deref(),
        methods: &methods,
        answers: &answers,
        enrolment: enrolment.as_ref(),
        notices: &notices,
        loopback,
        ca: arguments.ca.as_deref().and_then(Path::to_str),
    });
    if arguments.stdout {
        print(&text)?;
        return Ok(gate::PASSED);
    }
    std::fs::write(&arguments.output, &text).map_err(|e| unwritable(&arguments.output, &e))?;
    print(&closing(arguments, &found, enrolment.as_ref(), loopback && answers.permission_by.is_empty(), &answers))?;
    let none = enrolment.is_some_and(|e| e.clients.is_empty());
    Ok(if none { gate::NOT_TESTED } else { gate::PASSED })
}

fn on_loopback(url: &str) -> bool {
    target::origin(url).is_some_and(|origin| target::is_loopback(&origin))
}

/// Mistakes in flags are found before anything is sent.
fn check_flags(arguments: &Init) -> Result<(), Failure> {
    if let Some(until) = &arguments.permission_until {
        date(until).map_err(|why| Failure::input(format!("error: --permission-until {until}: {why}")))?;
    }
    if url::Url::parse(&arguments.redirect_uri).is_err() {
        return Err(Failure::input(format!(
            "error: --redirect-uri {}: it is no URL\n  = help: write it in full: https://app.example/cb",
            arguments.redirect_uri
        )));
    }
    if let Some(host) = arguments.host.iter().find(|host| target::origin(host).is_none()) {
        return Err(Failure::input(format!("error: --host {host}: it is no http or https URL\n  = help: write https://accounts.example")));
    }
    if arguments.ca.is_some()
        && arguments.output.parent().is_some_and(|p| !p.as_os_str().is_empty())
        && arguments.ca.as_ref().is_some_and(|ca| ca.is_relative())
    {
        return Err(Failure::input(
            "error: --ca is relative, and the target file is in another folder\n  = help: give the absolute path of the certificate",
        ));
    }
    Ok(())
}

fn date(text: &str) -> Result<(), String> {
    match text.parse::<jiff::civil::Date>() {
        Err(_) => Err("it is no date; write 2027-03-01".into()),
        Ok(date) if date < jiff::Zoned::now().date() => Err("that day is over".into()),
        Ok(_) => Ok(()),
    }
}

/// A file is overwritten only where somebody says so, and never one that records clients which are still registered.
fn may_write(arguments: &Init, questions: &mut Questions) -> Result<(), Failure> {
    let path = &arguments.output;
    if arguments.stdout || !path.exists() {
        return Ok(());
    }
    let recorded = target::registrations::from_file(path).map(|r| r.clients.iter().filter(|c| c.token.is_some()).count()).unwrap_or(0);
    if recorded > 0 {
        return Err(Failure::input(format!(
            "error: {} records {recorded} registered client(s), which would be forgotten\n  = help: remove them first with `grantproof unregister -t {}`, or name another file with --output",
            path.display(),
            path.display()
        )));
    }
    if arguments.force || questions.yes(&format!("{} exists. Overwrite it?", path.display()), false) {
        return Ok(());
    }
    Err(Failure::input(format!(
        "error: {} exists\n  = help: name another file with --output, or overwrite it with --force",
        path.display()
    )))
}

/// Found out before a client is registered that nobody would know of.
fn can_be_written(path: &Path) -> Result<(), Failure> {
    let there = path.exists();
    std::fs::OpenOptions::new().append(true).create(true).open(path).map_err(|e| unwritable(path, &e))?;
    if !there {
        std::fs::remove_file(path).map_err(|e| unwritable(path, &e))?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure { code: gate::NOT_WRITTEN, message: format!("fatal: {} cannot be written: {error}", path.display()) }
}

fn tell(notices: &[Notice]) {
    for notice in notices {
        eprintln!("warning: {}\n  {}", safe(&notice.what), safe(&notice.todo));
    }
}

/// Which of the origins that the metadata names elsewhere may be contacted.
fn hosts(arguments: &Init, found: &Found, issuer: &str, notices: &mut Vec<Notice>, questions: &mut Questions) -> Vec<(String, bool)> {
    let mut hosts: Vec<(String, bool)> = arguments.host.iter().filter_map(|h| target::origin(h)).map(|origin| (origin, true)).collect();
    for (origin, names) in doubts::elsewhere(found, issuer) {
        if hosts.iter().any(|(known, _)| *known == origin) {
            continue;
        }
        let on_this_machine = on_loopback(issuer) && target::is_loopback(&origin);
        let todo = format!("if that host is yours too, say so with --host {origin} or under `hosts`; else nothing is sent there");
        let notice = Notice::new(format!("the metadata places {} at {origin}, another host than the issuer's", names.join(", ")), todo);
        tell(std::slice::from_ref(&notice));
        let contacted = questions.yes(&format!("May a test contact {origin}?"), on_this_machine);
        notices.push(notice);
        hosts.push((origin, contacted));
    }
    hosts
}

fn answers(arguments: &Init, found: &Found, loopback: bool, questions: &mut Questions) -> Answers {
    let given = |flag: &Option<String>| flag.clone();
    let registers = found.text("registration_endpoint").is_some();
    let register = arguments.register
        || registers && questions.answered() && questions.yes("The server registers clients. Register those of the test there?", loopback);
    let user = |index: usize, question: &str, default: &str, questions: &mut Questions| {
        arguments.user.get(index).cloned().unwrap_or_else(|| questions.text(question, default))
    };
    let name = user(0, "Name of the first throw-away user", "alice", questions);
    let other_user = user(1, "Name of the second one", "bob", questions);
    let (mut permission_by, mut permission_until) = (given(&arguments.permission_by), given(&arguments.permission_until));
    if !loopback {
        permission_by = permission_by.or_else(|| Some(questions.text("Who permitted this test (a person, a ticket)", "")));
        if permission_until.is_none() && questions.answered() {
            let fortnight = jiff::Zoned::now().date().saturating_add(jiff::Span::new().days(14)).to_string();
            permission_until = Some(questions.checked("Until which day", &fortnight, date));
        }
    }
    Answers {
        register,
        redirect_uri: arguments.redirect_uri.clone(),
        user: name,
        other_user,
        permission_by: permission_by.unwrap_or_default(),
        permission_until: permission_until.unwrap_or_default(),
    }
}

#[allow(clippy::too_many_arguments)]
fn register(
    arguments: &Init,
    found: &Found,
    answers: &Answers,
    hosts: &[(String, bool)],
    (scope, extra): (&str, Option<&str>),
    methods: &propose::Methods,
    loopback: bool,
    ca: Option<&[u8]>,
    runtime: &tokio::runtime::Runtime,
) -> Result<Enrolment, Failure> {
    let Some(endpoint) = found.text("registration_endpoint") else {
        return Err(Failure {
            code: gate::NOT_TESTED,
            message: "fatal: the metadata names no `registration_endpoint`: the server registers nobody\n  nothing was written; leave out --register, and register the clients by hand".into(),
        });
    };
    if !loopback && (answers.permission_by.is_empty() || answers.permission_until.is_empty()) {
        return Err(Failure::input(
            "error: registering clients changes a server that is not on this machine, and nobody is named who permitted it\n  = help: --permission-by 'Jane Doe, TICKET-1' --permission-until 2027-03-01",
        ));
    }
    let initial = match &arguments.initial_access_token {
        Some(reference) => Some(secret::resolve(reference, Path::new(".")).map_err(|(why, help)| {
            let help = help.unwrap_or_default();
            Failure::input(format!(
                "error: --initial-access-token: {why}\n  = help: {}",
                if secret::kind(reference).is_none() { "write env:NAME or file:PATH" } else { &help }
            ))
        })?),
        None => None,
    };
    let mut target = Target { ca: ca.map(<[u8]>::to_vec), ..Target::bare(&found.place) };
    target.origins.extend(hosts.iter().filter(|(_, contacted)| *contacted).map(|(origin, _)| origin.clone()));
    let internal = |message: String| Failure { code: gate::INTERNAL, message: format!("fatal: {message}") };
    let http = Http::new(&target).map_err(internal)?;
    let listed = found.list("scopes_supported").is_some() || found.resource.is_some();
    let order = Order {
        endpoint,
        initial: initial.as_ref(),
        redirect_uri: &answers.redirect_uri,
        scope: listed.then(|| [scope, extra.unwrap_or("")].join(" ").trim().to_owned()),
        refreshes: propose::refreshes(found),
        methods,
        target: &arguments.output,
    };
    runtime
        .block_on(enrol::enrol(&http, &order))
        .map_err(|why| Failure { code: gate::NOT_WRITTEN, message: format!("fatal: {why}\n  nothing was written") })
}

/// What a server says of several clients alike, said once.
fn together(list: &[(ClientRole, String)]) -> Vec<(String, &str)> {
    let mut all: Vec<(String, &str)> = Vec::new();
    for (role, what) in list {
        match all.iter_mut().find(|(_, known)| known == what) {
            Some((names, _)) => names.push_str(&format!(", clients.{}", role.name())),
            None => all.push((format!("clients.{}", role.name()), what)),
        }
    }
    all
}

/// What was done, and what comes next.
fn closing(arguments: &Init, found: &Found, enrolment: Option<&Enrolment>, no_permission: bool, answers: &Answers) -> String {
    let path = arguments.output.display();
    let mut out = String::new();
    if let Some(resource) = &found.resource {
        out.push_str(&format!("the resource {} names the authorization server {}\n", safe(&resource.address), safe(&found.asked)));
    }
    if let Some(enrolment) = enrolment {
        for client in &enrolment.clients {
            out.push_str(&format!("registered  clients.{} `{}`\n", client.role.name(), safe(&client.id)));
        }
        for (word, list) in [("refused ", &enrolment.refused), ("note    ", &enrolment.changed)] {
            for (names, what) in together(list) {
                out.push_str(&format!("{word}    {names}: {}\n", safe(what)));
            }
        }
        for file in &enrolment.files {
            out.push_str(&format!("secrets     {} (only you can read it; never commit it)\n", file.display()));
        }
    } else if found.text("registration_endpoint").is_some() {
        out.push_str("the server has a registration endpoint: `--register` would register the clients\n");
    }
    let clients = if enrolment.is_some_and(|e| !e.clients.is_empty()) { "" } else { "the clients' ids and secrets, " };
    let permission =
        if no_permission || !answers.permission_by.is_empty() && !answers.permission_until.is_empty() { "" } else { ", and `permission`" };
    out.push_str(&format!(
        "{path} is written. Look through it: {clients}the users{permission}; then\n  export GRANTPROOF_PASSWORD=… GRANTPROOF_OTHER_PASSWORD=…   and what else the file takes from the environment\n  grantproof doctor -t {path}    says what works and what does not\n  grantproof plan -t {path}      says what a run would do\n  grantproof run -t {path}\n"
    ));
    if enrolment.is_some_and(|e| !e.clients.is_empty()) {
        out.push_str(&format!("  grantproof unregister -t {path}    removes the registered clients in the end\n"));
    }
    out
}

#[cfg(test)]
mod tests;
