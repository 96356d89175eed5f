//! Changes and values as written → operations and values with every name resolved.

use crate::diagnostic::{Diagnostics, suggestion};
use crate::model::authentication::{AssertionForgery, Authentication};
use crate::model::bend::{Carried, Encrypted, JwtBend, Proof, RequestObject};
use crate::model::conduct::{Conduct, Taken};
use crate::model::scenario::Operation;
use crate::model::step::PlannedStep;
use crate::model::value::{Expression, Forgery, Signature, Template, Value};
use crate::place::{At, Names};

use super::change;
use super::expression::{Scope, single, template};
use super::file::{AuthenticateFile, BendFile, BrowserFile, OperationsFile, ProofFile, RequestObjectFile, ValueFile};

/// A change names a step of the control, or one that the change itself repeats.
pub fn known_step(step: &At<String>, scope: &Scope, found: &mut Diagnostics) -> bool {
    let known = scope.steps.iter().any(|(name, _)| *name == step.value);
    if !known {
        let help = suggestion(&step.value, scope.steps.iter().map(|(name, _)| name.as_str()));
        found.at(step, format!("the control has no step `{}`", step.value), help);
    }
    known
}

/// Line and column, the step that the operation applies to, the operation.
pub type Placed = ((usize, usize), String, Operation);

/// The operations of one step, each with its place and the step that it applies to.
pub fn read_operations(step: &At<String>, file: &OperationsFile, scope: &Scope, found: &mut Diagnostics) -> Vec<Placed> {
    let mut operations: Vec<Placed> = Vec::new();
    let here = (step.line, step.column);
    let on = step.value.clone();
    if let Some(client) = file.act_as {
        operations.push((here, on.clone(), Operation::As(client)));
    }
    if let Some(user) = file.user {
        operations.push((here, on.clone(), Operation::User(user)));
    }
    type Make = fn(String, Value) -> Operation;
    let with_values: [(&Names<ValueFile>, Make); 4] = [
        (&file.replace, Operation::Replace),
        (&file.set, Operation::Set),
        (&file.duplicate, Operation::Duplicate),
        (&file.duplicate_before, Operation::DuplicateBefore),
    ];
    for (names, make) in with_values {
        for (name, value) in &names.0 {
            if let Some(value) = read_value(value, scope, found) {
                operations.push(((name.line, name.column), on.clone(), make(name.value.clone(), value)));
            }
        }
    }
    for name in &file.remove {
        operations.push(((name.line, name.column), on.clone(), Operation::Remove(name.value.clone())));
    }
    for name in &file.omit {
        operations.push(((name.line, name.column), on.clone(), Operation::Omit(name.value.clone())));
    }
    for (name, place) in &file.move_to.0 {
        operations.push(((name.line, name.column), on.clone(), Operation::Move(name.value.clone(), *place)));
    }
    type MakeText = fn(String) -> Operation;
    let with_text: [(&Option<At<String>>, MakeText); 3] =
        [(&file.method, Operation::Method), (&file.content_type, Operation::ContentType), (&file.path_suffix, Operation::PathSuffix)];
    for (text, make) in with_text {
        if let Some(text) = text {
            operations.push(((text.line, text.column), on.clone(), make(text.value.clone())));
        }
    }
    for name in &file.unencoded {
        operations.push(((name.line, name.column), on.clone(), Operation::Unencoded(name.value.clone())));
    }
    if let Some(authenticate) = &file.authenticate
        && let Some(authentication) = read_authentication(authenticate, scope, found)
    {
        operations.push((here, on.clone(), Operation::Authenticate(authentication)));
    }
    if let Some(certificate) = file.certificate {
        operations.push((here, on.clone(), Operation::Certificate(certificate)));
    }
    if let Some(proof) = file.proof.as_ref().and_then(|proof| read_proof(proof, scope, found)) {
        operations.push((here, on.clone(), Operation::Proof(proof)));
    }
    if let Some(carried) = file.request_object.as_ref().and_then(|object| read_request_object(object, scope, found)) {
        operations.push((here, on.clone(), Operation::Carried(carried)));
    }
    if file.plain {
        operations.push((here, on.clone(), Operation::Carried(Carried::Plain)));
    }
    if file.logged_out {
        operations.push((here, on.clone(), Operation::LoggedOut));
    }
    if file.before_login {
        operations.push((here, on.clone(), Operation::BeforeLogin));
    }
    if let Some(conduct) = file.browser.as_ref().and_then(|browser| read_conduct(browser, scope, found)) {
        operations.push((here, on.clone(), Operation::Browser(Box::new(conduct))));
    }
    if let Some(session) = &file.cookies_of {
        let named = if session.value == "default" { String::new() } else { session.value.clone() };
        if scope.steps.iter().any(|(step, _)| PlannedStep::session_of(step) == named) {
            operations.push(((session.line, session.column), on.clone(), Operation::CookiesOf(named)));
        } else {
            found.at(session, format!("there is no session `{}` here", session.value), None);
        }
    }
    if let Some(burst) = &file.burst {
        if (2..=64).contains(&burst.value) {
            operations.push((here, on.clone(), Operation::Burst(burst.value)));
        } else {
            found.at(burst, "a burst has 2 to 64 requests", None);
        }
    }
    if let Some(each) = &file.each {
        operations.push(((each.line, each.column), on.clone(), Operation::Each(each.value.clone())));
    }
    let mut waiting = on.clone();
    if let Some(repeat) = &file.repeat {
        operations.push(((repeat.line, repeat.column), on.clone(), Operation::Repeat(repeat.value.clone())));
        let session = PlannedStep::session_of(&on);
        waiting = if session.is_empty() { repeat.value.clone() } else { format!("{session}.{}", repeat.value) };
    }
    if let Some(wait) = &file.wait {
        match template(&wait.value, scope).and_then(|duration| change::pause(&duration).map(|()| duration)) {
            Ok(duration) => operations.push(((wait.line, wait.column), waiting, Operation::Wait(duration))),
            Err((message, help)) => found.at(wait, message, help),
        }
    }
    if file.skip {
        operations.push((here, on, Operation::Skip));
    }
    operations
}

/// A text with references in it; what is wrong with it is reported.
fn read_text(text: &At<String>, scope: &Scope, found: &mut Diagnostics) -> Option<Template> {
    template(&text.value, scope).map_err(|(message, help)| found.at(text, message, help)).ok()
}

/// The same of a single expression.
fn read_single(text: &At<String>, scope: &Scope, found: &mut Diagnostics) -> Option<Expression> {
    single(&text.value, scope).map_err(|(message, help)| found.at(text, message, help)).ok()
}

/// Names with their values, all of them sound.
fn members(names: &Names<At<String>>, scope: &Scope, found: &mut Diagnostics) -> Option<Vec<(String, Template)>> {
    let read: Vec<Option<_>> = names.0.iter().map(|(name, text)| Some((name.value.clone(), read_text(text, scope, found)?))).collect();
    read.into_iter().collect()
}

pub fn read_authentication(file: &AuthenticateFile, scope: &Scope, found: &mut Diagnostics) -> Option<Authentication> {
    Some(match file {
        AuthenticateFile::ClientIdOnly => Authentication::ClientIdOnly,
        AuthenticateFile::Nothing => Authentication::Nothing,
        AuthenticateFile::Secret(secret) => Authentication::Secret(read_text(secret, scope, found)?),
        AuthenticateFile::FreshKey => Authentication::Assertion(AssertionForgery::FreshKey),
        AuthenticateFile::Unsigned(alg) => Authentication::Assertion(AssertionForgery::Unsigned { alg: read_text(alg, scope, found)? }),
        AuthenticateFile::EmptySignature => Authentication::Assertion(AssertionForgery::EmptySignature),
        AuthenticateFile::Assertion(file) => Authentication::Assertion(AssertionForgery::Bent(Box::new(read_bend(file, scope, found)?))),
    })
}

fn read_proof(file: &ProofFile, scope: &Scope, found: &mut Diagnostics) -> Option<Proof> {
    Some(match file {
        ProofFile::Genuine => Proof::Genuine,
        ProofFile::None => Proof::Withheld,
        ProofFile::Missing => Proof::Missing,
        ProofFile::Text(text) => Proof::Text(read_text(text, scope, found)?),
        ProofFile::Bent(bend) => Proof::Bent(Box::new(read_bend(bend, scope, found)?)),
        ProofFile::Beside(bend) => Proof::Beside(Box::new(read_bend(bend, scope, found)?)),
        ProofFile::Behind(bend) => Proof::Behind(Box::new(read_bend(bend, scope, found)?)),
    })
}

fn read_request_object(file: &RequestObjectFile, scope: &Scope, found: &mut Diagnostics) -> Option<Carried> {
    let bend = read_bend(&file.bent, scope, found)?;
    let encrypted = file.encrypted.as_ref();
    // Claims alone have neither header nor signature, so that a bend of these would say what never goes out.
    let is_signed = bend.alg.is_some() || bend.key.is_some() || !bend.header.is_empty() || bend.signature != Signature::Fresh;
    if let Some(claims) = encrypted.filter(|encrypted| encrypted.value == Encrypted::Claims && is_signed) {
        let message = "`encrypted: claims` signs nothing, so `bent` can change its claims only";
        found.at(claims, message, Some("take alg, key, header and signature out, or write `encrypted: signed`".into()));
        return None;
    }
    let beside = members(&file.beside, scope, found)?;
    Some(Carried::Signed(Box::new(RequestObject { bend, beside, encrypted: encrypted.map(|encrypted| encrypted.value) })))
}

fn read_conduct(file: &BrowserFile, scope: &Scope, found: &mut Diagnostics) -> Option<Conduct> {
    let tampers = members(&file.tamper, scope, found)?;
    if let Some((path_of, with)) = file.go_on.as_ref().and_then(|go_on| Some((go_on.path_of.as_ref()?, go_on.with)))
        && with != Taken::Page
    {
        found.at(path_of, "`path_of` says which page is opened, and no page is opened here", Some("write `with: page`".into()));
        return None;
    }
    Some(Conduct {
        stops_at: file.stop_at,
        goes_on: file.go_on.as_ref().map(|go_on| (go_on.from.value.clone(), go_on.with)),
        path_of: file.go_on.as_ref().and_then(|go_on| go_on.path_of.as_ref()).map(|step| step.value.clone()),
        denies: file.deny,
        tampers,
        keeps: file.keep_cookies,
        as_before: file.as_before.as_ref().map(|step| step.value.clone()),
        loads_images: file.images,
    })
}

fn read_bend(file: &BendFile, scope: &Scope, found: &mut Diagnostics) -> Option<JwtBend> {
    let bend = read_changes(&file.alg, &file.key, &file.header, &file.claims, scope, found)?;
    Some(JwtBend { without: file.without.iter().map(|name| name.value.clone()).collect(), signature: file.signature, ..bend })
}

/// What a JWT says otherwise and is signed with. Every mistake is reported, not only the first.
fn read_changes(
    alg: &Option<At<String>>,
    key: &Option<At<String>>,
    header: &Names<At<String>>,
    claims: &Names<At<String>>,
    scope: &Scope,
    found: &mut Diagnostics,
) -> Option<JwtBend> {
    let alg = alg.as_ref().map(|text| read_text(text, scope, found));
    let key = key.as_ref().map(|text| read_single(text, scope, found));
    let (header, claims) = (members(header, scope, found), members(claims, scope, found));
    if matches!(alg, Some(None)) || matches!(key, Some(None)) {
        return None;
    }
    Some(JwtBend { alg: alg.flatten(), key: key.flatten(), header: header?, claims: claims?, ..JwtBend::default() })
}

fn read_value(file: &ValueFile, scope: &Scope, found: &mut Diagnostics) -> Option<Value> {
    match file {
        ValueFile::Text(text) => read_text(text, scope, found).map(Value::Text),
        ValueFile::Forge(forge) => {
            let from = read_single(&forge.from, scope, found);
            let bend = read_changes(&forge.alg, &forge.key, &forge.header, &forge.claims, scope, found);
            let bend = JwtBend { signature: forge.signature, ..bend? };
            Some(Value::Forged(Box::new(Forgery { from: from?, bend })))
        }
    }
}
