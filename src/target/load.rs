//! Target file → [`Target`], with the same diagnostics as scenario files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::report::Place;
use crate::place::At;

use super::client::client;
use super::file::{TargetFile, UserFile};
use super::secret::read_secret;
use super::waivers::Waivers;
use super::{Endpoints, ExtraValue, Extras, Limits, LoginDriver, SecondResource, Target, User, origin};

/// Reads a target file from disk.
///
/// # Errors
/// Every mistake found, each with its place and its cure; also a file that cannot be read.
pub fn from_file(path: &Path) -> Result<Target, Vec<Diagnostic>> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => from_text(&name, &text, path.parent().unwrap_or(Path::new("."))),
        Err(error) => Err(unreadable(&name, &error)),
    }
}

pub(super) fn unreadable(name: &str, error: &std::io::Error) -> Vec<Diagnostic> {
    vec![Diagnostic {
        file: name.to_owned(),
        line: 0,
        column: 0,
        source: None,
        message: format!("the target file cannot be read: {error}"),
        help: Some("give its path with --target, or leave the flag out to test the embedded lab".into()),
    }]
}

/// Reads a target from text; relative paths in it are relative to `folder`.
///
/// # Errors
/// As [`from_file`].
pub fn from_text(name: &str, text: &str, folder: &Path) -> Result<Target, Vec<Diagnostic>> {
    let file: TargetFile = crate::yaml::read(name, text)?;
    let mut found = Diagnostics::new(name, text);
    let target = build(&file, name, text, folder, &mut found);
    match target {
        Some(target) if found.is_empty() => Ok(target),
        _ => Err(found.into_vec()),
    }
}

fn build(file: &TargetFile, name: &str, text: &str, folder: &Path, found: &mut Diagnostics) -> Option<Target> {
    let mut origins = BTreeSet::new();
    let mut url = |place: &At<String>, what: &str, found: &mut Diagnostics| -> Option<String> {
        match origin(&place.value) {
            Some(origin) => {
                origins.insert(origin);
                Some(place.value.clone())
            }
            None => {
                found.at(
                    place,
                    format!("`{}` is no http or https URL ({what})", place.value),
                    Some("write it in full: https://host/path".into()),
                );
                None
            }
        }
    };
    let issuer = url(&file.issuer, "issuer", found);
    for host in &file.hosts {
        url(host, "hosts", found);
    }
    let mut optional = |place: &Option<At<String>>, what: &str, found: &mut Diagnostics| place.as_ref().and_then(|p| url(p, what, found));
    let endpoints = Endpoints {
        authorization: optional(&file.endpoints.authorization, "authorization endpoint", found),
        token: optional(&file.endpoints.token, "token endpoint", found),
        userinfo: optional(&file.endpoints.userinfo, "userinfo endpoint", found),
        introspection: optional(&file.endpoints.introspection, "introspection endpoint", found),
        revocation: optional(&file.endpoints.revocation, "revocation endpoint", found),
        jwks: optional(&file.endpoints.jwks, "jwks", found),
        pushed_authorization: optional(&file.endpoints.pushed_authorization, "pushed authorization request endpoint", found),
        device_authorization: optional(&file.endpoints.device_authorization, "device authorization endpoint", found),
        backchannel_authentication: optional(&file.endpoints.backchannel_authentication, "backchannel authentication endpoint", found),
        registration: optional(&file.endpoints.registration, "client registration endpoint", found),
    };
    let resource = optional(&file.resource, "resource", found);
    let ciba_approval = optional(&file.ciba_approval, "page where users answer backchannel requests", found);
    let second_url = file.second_resource.as_ref().map(|second| second.url.clone());
    let second_url = optional(&second_url, "second resource", found);
    let second_indicator = file.second_resource.as_ref().and_then(|second| second.indicator.as_ref());
    second_indicator.into_iter().for_each(|at| indicator(at, found));
    let second_resource =
        second_url.map(|url| SecondResource { indicator: second_indicator.map_or_else(|| url.clone(), |at| at.value.clone()), url });
    let metadata = match &file.metadata {
        None => None,
        Some(at) if at.value == "none" => Some(None),
        Some(at) => Some(Some(url(at, "metadata", found)?)),
    };
    let mut clients = BTreeMap::new();
    for (role, client_file) in file.clients.roles() {
        if let Some(client) = client(role, client_file, folder, found) {
            clients.insert(role, client);
        }
    }
    if [&file.clients.public, &file.clients.confidential, &file.clients.assertion].iter().all(|c| c.is_none()) {
        found.at(
            &file.name,
            "the target has no client",
            Some("give at least `clients.public`, `clients.confidential` or `clients.assertion`".into()),
        );
    }
    let user = user(&file.users.default, file.login.driver, folder, found);
    let other_user = file.users.other.as_ref().map(|u| self::user(u, file.login.driver, folder, found));
    let second_factor = file.users.second_factor.as_ref().map(|u| self::user(u, file.login.driver, folder, found));
    if let Some(user) = file.users.second_factor.as_ref().filter(|user| user.totp.is_none()) {
        found.at(
            &user.name,
            format!("the user `{}` has no second factor", user.name.value),
            Some("add `totp: env:NAME`, the secret of the authenticator, or leave `users.second_factor` out".into()),
        );
    }
    super::login::command(file, found);
    let refresh_grace = duration(&file.refresh_grace, found);
    let code_grace = duration(&file.code_grace, found);
    let code_lifetime = duration(&file.code_lifetime, found);
    let refresh_lifetime = duration(&file.refresh_lifetime, found);
    let loopback = origins.iter().all(|o| super::is_loopback(o));
    permission(file, loopback, found);
    let limits = limits(file, loopback, found);
    let ca = file.tls.ca.as_ref().and_then(|ca| match std::fs::read(folder.join(&ca.value)) {
        Ok(pem) => Some(pem),
        Err(error) => {
            found.at(
                ca,
                format!("the certificate `{}` cannot be read: {error}", ca.value),
                Some("the path is relative to the target file".into()),
            );
            None
        }
    });
    Some(Target {
        name: file.name.value.clone(),
        source: name.to_owned(),
        digest: Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect(),
        issuer: issuer?,
        place: Some(Place {
            line: file.issuer.line,
            column: file.issuer.column,
            end_column: file.issuer.column + file.issuer.value.chars().count(),
        }),
        metadata,
        endpoints,
        origins,
        scope: file.scope.clone(),
        extra_scope: file.extra_scope.clone(),
        resource,
        second_resource,
        details: file.authorization_details.as_ref().and_then(|details| super::details::details(details, found)),
        ciba_approval,
        extras: extras(file, folder, found),
        refresh_grace,
        code_grace,
        code_lifetime,
        refresh_lifetime,
        clock_header: None,
        clients,
        user: user?,
        other_user: match other_user {
            Some(user) => Some(user?),
            None => None,
        },
        second_factor: match second_factor {
            Some(user) => Some(user?),
            None => None,
        },
        login: super::login::login(&file.login, folder, found),
        permission: file.permission.clone(),
        limits,
        ca,
        insecure_tls: file.tls.insecure,
        listener: file.listener.as_ref().and_then(|listener| super::listener::listener(listener, found)),
        waivers: Waivers { file: name.to_owned(), text: text.to_owned(), list: file.waivers.clone() },
    })
}

/// Parameters that the flow or another key of the file fills in.
const OWN: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "dpop_jkt",
    "authorization_details",
];

fn extras(file: &TargetFile, folder: &Path, found: &mut Diagnostics) -> Extras {
    let mut parameters: Vec<(String, ExtraValue)> = Vec::new();
    for (name, value) in &file.authorization_parameters.0 {
        if OWN.contains(&name.value.as_str()) {
            found.at(name, format!("the control flow fills in `{}` itself", name.value), Some("leave it out here".into()));
        } else if name.value == "resource" {
            found.at(name, "`resource` belongs to the token requests as well", Some("write `resource_indicator: URL`".into()));
        } else if parameters.iter().any(|(n, _)| *n == name.value) {
            found.at(name, format!("a second `{}`", name.value), None);
        } else {
            let value = if value.value == "random" { ExtraValue::Random } else { ExtraValue::Text(value.value.clone()) };
            parameters.push((name.value.clone(), value));
        }
    }
    file.resource_indicator.iter().for_each(|at| indicator(at, found));
    Extras {
        parameters,
        resource_indicator: file.resource_indicator.as_ref().map(|at| at.value.clone()),
        initial_access_token: file.initial_access_token.as_ref().and_then(|token| read_secret(token, folder, found)),
        pushed: file.pushed_authorization,
        request_objects: file.request_objects,
    }
}

/// A `resource` as RFC 8707 §2 has it.
fn indicator(at: &At<String>, found: &mut Diagnostics) {
    if url::Url::parse(&at.value).map_or(true, |url| url.fragment().is_some()) {
        found.at(at, format!("`{}` is no absolute URI without a fragment", at.value), Some("write it as the server knows the API".into()));
    }
}

fn user(file: &UserFile, driver: LoginDriver, folder: &Path, found: &mut Diagnostics) -> Option<User> {
    let mut secret = |place: &Option<At<String>>| match place {
        Some(place) => read_secret(place, folder, found).map(Some),
        None => Some(None),
    };
    let (password, totp, cookie) = (secret(&file.password), secret(&file.totp), secret(&file.cookie));
    let (password, totp, cookie) = (password?, totp?, cookie?);
    if matches!(driver, LoginDriver::Form | LoginDriver::Browser) && password.is_none() {
        found.at(&file.name, format!("the user `{}` has no password", file.name.value), Some("add `password: env:NAME`".into()));
    }
    if driver == LoginDriver::Session && cookie.is_none() {
        found.at(
            &file.name,
            format!("the user `{}` has no session", file.name.value),
            Some("add `cookie: env:NAME`: the Cookie header of a browser in which this user is logged in".into()),
        );
    }
    if let (Some(place), Some(Err(why))) = (&file.totp, totp.as_ref().map(|t| crate::totp::Totp::read(t.reveal()))) {
        found.at(place, why, Some("give the secret that the server shows beside the QR code".into()));
    }
    Some(User { name: file.name.value.clone(), password, totp, cookie })
}

pub(super) fn duration(place: &Option<At<String>>, found: &mut Diagnostics) -> Option<Duration> {
    let place = place.as_ref()?;
    match crate::duration::parse(&place.value) {
        Some(duration) => Some(duration),
        None => {
            found.at(
                place,
                format!("`{}` is no duration", place.value),
                Some("write `30s`, `500ms`, `2m`, `8h` or `30d`, at most 366d".into()),
            );
            None
        }
    }
}

fn permission(file: &TargetFile, loopback: bool, found: &mut Diagnostics) {
    match &file.permission {
        None if loopback => {}
        None => found.at(
            &file.issuer,
            "the target is not on this machine, and nobody is named who permitted the test",
            Some("add `permission: {by: …, until: 2027-03-01}`".into()),
        ),
        Some(permission) => match permission.until.parse::<jiff::civil::Date>() {
            Err(_) => found.at(&file.name, format!("permission.until: `{}` is no date", permission.until), Some("write 2027-03-01".into())),
            Ok(until) if until < jiff::Zoned::now().date() => found.at(
                &file.name,
                format!("the permission of {} ended on {}", permission.by, permission.until),
                Some("ask for it again, and write the new date in `permission.until`".into()),
            ),
            Ok(_) => {}
        },
    }
}

fn limits(file: &TargetFile, loopback: bool, found: &mut Diagnostics) -> Limits {
    fn number<T: PartialOrd + Copy + std::fmt::Display>(place: &Option<At<T>>, least: T, most: T, found: &mut Diagnostics) -> Option<T> {
        let place = place.as_ref()?;
        if (least..=most).contains(&place.value) {
            return Some(place.value);
        }
        found.at(place, format!("{} is not between {least} and {most}", place.value), None);
        None
    }
    let seconds = |n: u32| Duration::from_secs(u64::from(n));
    let file = &file.limits;
    let defaults = Limits::default();
    Limits {
        in_flight: number(&file.in_flight, 1, 32, found).map_or(defaults.in_flight, |n| n as usize),
        per_second: number(&file.per_second, 0.01, 1000.0, found).or(if loopback { None } else { Some(10.0) }),
        timeout: number(&file.timeout, 1, 300, found).map_or(defaults.timeout, seconds),
        longest_pause: number(&file.longest_pause, 0, 3600, found).map_or(defaults.longest_pause, seconds),
        ..defaults
    }
}
