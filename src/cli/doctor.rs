//! `doctor`: drives the controls alone, client by client and step by step; says what works, what failed, and what to change
//! in the target file. Nothing is attacked.

use std::fmt::Write as _;

use crate::engine::http::Http;
use crate::engine::{Engine, discover, html, tls};
use crate::judge;
use crate::model::observation::StepObservation;
use crate::model::scenario::{Control, Scenario};
use crate::model::step::{ClientRole, StepKind, UserRole};
use crate::plan;
use crate::report::gate;
use crate::report::terminal::safe;
use crate::run::advice;
use crate::target::Target;

use super::args::Doctor;
use super::{Failure, inputs, print};

/// The scenario whose control is the plainest flow, and the one that refreshes as well.
const PLAIN: &str = "pkce/wrong-verifier";
const WITH_REFRESH: &str = "refresh/reuse-after-rotation";

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
    let (text, healthy) = super::runtime()?.block_on(examine(&target, &plain, refresh.as_ref()));
    print(&text)?;
    print(&can_run(&scenarios, &target))?;
    Ok(if healthy { gate::PASSED } else { gate::NOT_TESTED })
}

async fn examine(target: &Target, plain: &Control, refresh: Option<&Control>) -> (String, bool) {
    let mut out = format!("{}  {}\n", safe(&target.name), safe(&target.issuer));
    let http = match Http::new(target) {
        Ok(http) => http,
        Err(why) => return (format!("{out}FAIL  {why}\n"), false),
    };
    let facts = match discover::discover(&http, target).await {
        Ok(facts) => facts,
        Err(why) => return (format!("{out}FAIL  {}\n", safe(&why)), false),
    };
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
    for warning in tls::warning(target).iter().chain(&facts.warnings) {
        let _ = writeln!(out, "warn  {}", safe(warning));
    }
    let engine = Engine::new(target.clone(), http, facts);
    let mut healthy = true;
    for (role, client) in &target.clients {
        let method = client.authentication.method();
        let _ = writeln!(out, "\nclient {} `{}` ({method})", role.name(), safe(&client.id));
        // A client that may refresh shows its refresh as well; one that may not has still shown the rest.
        let longest = acting_as(refresh.unwrap_or(plain), *role, UserRole::Default);
        healthy &= drive(&mut out, &engine, &longest, &acting_as(plain, *role, UserRole::Default)).await;
    }
    if let Some(other) = &target.other_user {
        let _ = writeln!(out, "\nuser other `{}`", safe(&other.name));
        let control = acting_as(plain, ClientRole::Default, UserRole::Other);
        healthy &= drive(&mut out, &engine, &control, &control).await;
    }
    (out, healthy)
}

/// A control with every step of its default session as one client and user.
fn acting_as(control: &Control, client: ClientRole, user: UserRole) -> Control {
    let mut control = control.clone();
    for step in &mut control.steps {
        step.client = client;
        step.user = user;
    }
    control
}

/// Drives a control and tells of each step. Only what `needed` asks for makes the target unhealthy.
async fn drive(out: &mut String, engine: &Engine, control: &Control, needed: &Control) -> bool {
    let (trial, _, warnings) = engine.run_control("doctor", &control.variables, &control.steps).await;
    for step in &trial.steps {
        let sign = if step.outcome.granted() { "ok  " } else { "FAIL" };
        let _ = writeln!(out, "{sign}  {:13} {}", step.step, safe(&told(step)));
        if step.kind == StepKind::AuthorizationRequest {
            pages(out, step);
        }
    }
    for warning in warnings {
        let _ = writeln!(out, "warn  {}", safe(&warning));
    }
    match judge::granted(needed, &trial) {
        Ok(()) => true,
        Err(failed) => {
            let _ = writeln!(out, "      {}{}", safe(&failed.what), advice(&failed));
            false
        }
    }
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

/// The pages and redirects of a login, as a browser passed them.
fn pages(out: &mut String, step: &StepObservation) {
    for exchange in &step.exchanges {
        let path = url::Url::parse(&exchange.url).map_or_else(|_| exchange.url.clone(), |u| u.path().to_owned());
        let page = html::read(exchange.response_body.as_bytes());
        let fields: Vec<&str> = page.forms.iter().flat_map(|f| &f.fields).filter(|f| f.kind != "hidden").map(|f| f.name.as_str()).collect();
        let buttons: Vec<&str> = page
            .forms
            .iter()
            .flat_map(|f| &f.buttons)
            .map(|b| if b.text.trim().is_empty() { b.value.as_str() } else { b.text.trim() })
            .collect();
        let mut line = format!("{} {path} → {}", exchange.method, exchange.status);
        if !page.title.is_empty() || !page.forms.is_empty() {
            let _ = write!(line, " page “{}”", page.title);
        }
        for (what, names) in [("fields", fields), ("buttons", buttons)] {
            if !names.is_empty() {
                let _ = write!(line, ", {what} {}", names.join(", "));
            }
        }
        let sent: Vec<String> = crate::wire::parse_form(&exchange.request_body).into_iter().map(|(name, _)| name).collect();
        if exchange.method == "POST" && !sent.is_empty() {
            let _ = write!(line, "  (sent {})", sent.join(", "));
        }
        let _ = writeln!(out, "        {}", safe(&line));
    }
}

/// Which scenarios can run, and what to add for those that cannot.
fn can_run(scenarios: &[&Scenario], target: &Target) -> String {
    let plan = plan::draw(scenarios, target, crate::model::scenario::Risk::Destructive);
    let mut missing: std::collections::BTreeMap<&str, Vec<String>> = std::collections::BTreeMap::new();
    for left in &plan.left {
        missing.entry(left.why.as_str()).or_default().push(format!("{}/{}", left.scenario.id, left.attack.id));
    }
    let cases: usize = plan.groups.iter().map(|g| g.cases.len()).sum();
    let mut out = format!("\n{cases} attacks can run under {} controls\n", plan.groups.len());
    for (why, attacks) in missing {
        let _ = writeln!(out, "{why}: {}", attacks.join(", "));
    }
    out
}
