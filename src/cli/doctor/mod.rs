//! `doctor`: drives the controls alone, client by client and step by step; says what works, what failed, and what to change
//! in the target file. Nothing is attacked.

mod can_run;
mod hints;
mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::http::Http;
use crate::engine::{self, Engine, clock, discover, leavings, tls};
use crate::judge;
use crate::model::observation::{Outcome, StepObservation, Trial};
use crate::model::scenario::{Control, Scenario};
use crate::model::step::{ClientRole, StepKind, UserRole};
use crate::model::verdict::Party;
use crate::report::gate;
use crate::report::safe::terminal as safe;
use crate::run::advice;
use crate::target::Target;

use super::args::Doctor;
use super::{Failure, inputs, print};

/// The scenario whose control is the plainest flow, and the one that refreshes as well.
const PLAIN: &str = "pkce/wrong-verifier";
const WITH_REFRESH: &str = "refresh/reuse-after-rotation";

/// What was seen of a target.
#[derive(Default)]
struct Seen {
    /// The trial of each client that works.
    works: BTreeMap<ClientRole, Trial>,
    /// Users whose login failed, by name.
    locked_out: BTreeSet<String>,
    /// Users beside the first one who work.
    users: BTreeSet<UserRole>,
    /// Some place takes the genuine token.
    proof: bool,
    facts: discover::Facts,
    out: String,
}

/// # Errors
/// Wrong input (2). What does not work at the target is the exit code 3.
pub fn doctor(arguments: &Doctor) -> Result<u8, Failure> {
    let catalogue = inputs::catalogue(None)?;
    let target = crate::target::load::from_file(&arguments.target).map_err(|list| inputs::diagnostics(&list))?;
    let scenarios: Vec<&Scenario> = catalogue.scenarios.values().collect();
    let control = |id: &str| catalogue.scenarios.get(id).map(|s| s.control.clone());
    let (Some(plain), refresh) = (control(PLAIN), control(WITH_REFRESH)) else {
        return Err(Failure { code: gate::INTERNAL, message: format!("the catalogue has no `{PLAIN}`") });
    };
    let mut seen = Seen { out: format!("{}  {}\n", safe(&target.name), safe(&target.issuer)), ..Seen::default() };
    let healthy = super::runtime()?.block_on(examine(&mut seen, &target, &plain, refresh.as_ref()));
    engine::without_secrets(&target, &mut seen.out);
    print(&seen.out)?;
    print(&can_run::text(&scenarios, &target, &seen))?;
    Ok(if healthy { gate::PASSED } else { gate::NOT_TESTED })
}

async fn examine(seen: &mut Seen, target: &Target, plain: &Control, refresh: Option<&Control>) -> bool {
    let facts = match Http::new(target) {
        Ok(http) => discover::discover(&http, target).await.map(|facts| (http, facts)),
        Err(why) => Err(why),
    };
    let (http, facts) = match facts {
        Ok(both) => both,
        Err(why) => {
            let _ = writeln!(seen.out, "FAIL  {}", safe(&why));
            return false;
        }
    };
    seen.facts = facts.clone();
    places(&mut seen.out, &facts);
    // Without metadata nothing has been asked yet: what the clocks differ by stands here, and is known below.
    let below_places = seen.out.len();
    let engine = Engine::new(target.clone(), http, facts).with_evidence(Some(evidence(target)));
    let mut healthy = true;
    for (role, client) in &target.clients {
        let _ = writeln!(seen.out, "\nclient {} `{}` ({})", role.name(), safe(&client.id), client.authentication.method());
        // A client that may refresh shows its refresh as well; one that may not has still shown the rest.
        let longest = acting_as(refresh.unwrap_or(plain), *role, UserRole::Default);
        match drive(seen, &engine, &longest, &acting_as(plain, *role, UserRole::Default)).await {
            Some(trial) => {
                seen.works.insert(*role, trial);
            }
            None => healthy = false,
        }
    }
    for (user, known) in target.more_users() {
        let _ = writeln!(seen.out, "\nuser {} `{}`", user.name(), safe(&known.name));
        // Any client that works will do.
        let role = seen.works.keys().find(|r| target.role(ClientRole::Default) == Some(**r)).or(seen.works.keys().next()).copied();
        match role {
            Some(role) => {
                let control = acting_as(plain, role, user);
                match drive(seen, &engine, &control, &control).await {
                    Some(_) => {
                        seen.users.insert(user);
                    }
                    None => healthy = false,
                }
            }
            None => seen.out.push_str("      not tried: no client works\n"),
        }
    }
    let remarks = remarks(target, &engine);
    seen.out.insert_str(below_places, &remarks);
    seen.proof = engine.proof().is_some();
    hints::add(seen, target);
    // As after a run: off loopback, what was made is taken back.
    let settled = leavings::settle(&engine, !target.is_loopback()).await;
    for (word, list) in [("taken back", settled.cleaned_up), ("remains", settled.remains)] {
        for what in list {
            let _ = write!(seen.out, "\n{word}: {}", safe(&what));
        }
    }
    if seen.out.ends_with(|c| c != '\n') {
        seen.out.push('\n');
    }
    engine.sweeper().text(&mut seen.out);
    healthy
}

fn places(out: &mut String, facts: &discover::Facts) {
    let endpoints = &facts.endpoints;
    for (name, endpoint) in [
        ("authorization", &endpoints.authorization),
        ("token", &endpoints.token),
        ("userinfo", &endpoints.userinfo),
        ("introspection", &endpoints.introspection),
        ("revocation", &endpoints.revocation),
        ("keys", &endpoints.jwks),
        ("pushed", &endpoints.pushed_authorization),
    ] {
        let _ = writeln!(out, "  {name:13} {}", safe(endpoint.as_deref().unwrap_or("-")));
    }
}

/// The server's clock, as far as its answers told it, and what is to be known before the clients are looked at.
fn remarks(target: &Target, engine: &Engine) -> String {
    let mut out = String::new();
    let clock = engine.http.clock_ahead();
    let difference = clock.map_or_else(|| "- (no Date header)".into(), |seconds| format!("{seconds:+} s beside this machine's"));
    let _ = writeln!(out, "  {:13} {difference}", "clock");
    for warning in tls::warning(target).into_iter().chain(engine.facts().warnings.iter().cloned()).chain(clock::warning(clock)) {
        let _ = writeln!(out, "warn  {}", safe(&warning));
    }
    out
}

/// Where pictures of logins that fail are kept: among the reports where there are any, else among the temporary files.
fn evidence(target: &Target) -> PathBuf {
    let reports = Path::new(super::outputs::FOLDER);
    let folder = if reports.is_dir() { reports.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("{}-login", super::outputs::slug(&target.name)))
}

/// A control with every step of its default session as one client and user.
fn acting_as(control: &Control, client: ClientRole, user: UserRole) -> Control {
    let mut control = control.clone();
    for step in control.steps.iter_mut().map(Arc::make_mut) {
        step.client = client;
        step.user = user;
    }
    control
}

/// Drives a control and tells of each step; None where what `needed` asks for was not granted. A user whose login failed is
/// not tried again: it would fail the same way, and lock the account in the end.
async fn drive(seen: &mut Seen, engine: &Engine, control: &Control, needed: &Control) -> Option<Trial> {
    let user = control.steps.first().map(|s| engine.target.user(s.user).name.clone()).unwrap_or_default();
    if seen.locked_out.contains(&user) {
        let _ = writeln!(seen.out, "      not tried: the login of `{}` failed above", safe(&user));
        return None;
    }
    let (trial, _, warnings) = engine.run_control("doctor", control).await;
    let cause = judge::granted(needed, &trial).err();
    for step in &trial.steps {
        let fatal = cause.as_ref().is_some_and(|failed| failed.step == step.step);
        let sign = match (step.outcome.granted(), fatal) {
            (true, _) => "ok  ",
            (false, true) => "FAIL",
            (false, false) => "warn",
        };
        let _ = writeln!(seen.out, "{sign}  {:13} {}", step.step, safe(&told(step)));
        if step.kind == StepKind::AuthorizationRequest {
            pages(&mut seen.out, step);
        }
        if !step.outcome.granted() {
            let what = format!("{} was {}: {}", step.step, step.outcome.words(), step.note);
            let failed = judge::Failed { step: step.step.clone(), what, fault: Party::Configuration, outcome: step.outcome };
            match said::of_the_request(step) {
                Some(words) => {
                    let _ =
                        write!(seen.out, "    the page says {}: look at the request, before name and password are doubted", safe(&words));
                }
                None => seen.out.push_str(&safe(advice(&failed).trim_start_matches('\n'))),
            }
            seen.out.push('\n');
        }
        if step.outcome == Outcome::Stuck || engine.logins.was_refused(&user) {
            seen.locked_out.insert(user.clone());
        }
    }
    for warning in warnings {
        let _ = writeln!(seen.out, "warn  {}", safe(&warning));
    }
    cause.is_none().then_some(trial)
}

/// What a step gave, in one line.
fn told(step: &StepObservation) -> String {
    if !step.outcome.granted() {
        return format!("{}: {}", step.outcome.words(), step.note);
    }
    let field = |name: &str| step.fields.get(name).map(String::as_str);
    match step.kind {
        StepKind::AuthorizationRequest => {
            let iss = if field("iss").is_some() { ", iss" } else { "" };
            format!("a code at the {} redirect_uri{iss}", field("delivered_to").unwrap_or("?"))
        }
        StepKind::TokenRequest => {
            let format = match field("access_token_format") {
                Some("jwt") => {
                    format!("JWT, {}, key {}", field("access_token_alg").unwrap_or("?"), field("access_token_key").unwrap_or("?"))
                }
                _ => "opaque".into(),
            };
            let others: Vec<&str> = ["refresh_token", "id_token"].into_iter().filter(|name| field(name).is_some()).collect();
            format!("access_token ({format}) {}, scope {}", others.join(" "), field("scope").unwrap_or("-"))
        }
        _ => format!("{} {}", field("endpoint").unwrap_or(""), field("status").unwrap_or("")),
    }
}

/// The pages of a login and what was done with them; where it failed, the way of the browser as well.
fn pages(out: &mut String, step: &StepObservation) {
    let told = step.fields.get("pages").map(String::as_str).unwrap_or_default();
    for line in told.lines() {
        let _ = writeln!(out, "        {}", safe(line));
    }
    if step.outcome.granted() {
        if told.is_empty() {
            out.push_str("        no page: nobody was asked for anything\n");
        }
        return;
    }
    for exchange in &step.exchanges {
        let address = exchange.url.split(['?', '#']).next().unwrap_or_default();
        let status = if exchange.status == 0 { "no answer".into() } else { exchange.status.to_string() };
        let _ = writeln!(out, "        {} {} → {status}", exchange.method, safe(address));
    }
}
