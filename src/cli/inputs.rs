//! What several commands read: the catalogue, the selection, the target, the lab.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::diagnostic::Diagnostic;
use crate::lab::{Flaw, Habit, Lab, LabConfig, UnknownSwitch};
use crate::model::profile::Profile;
use crate::model::step::ClientRole;
use crate::scenario::catalogue::{Catalogue, Selection};
use crate::scenario::outline::Choosable;
use crate::target::{
    Client, ClientAuthentication, Details, Endpoints, Extras, Limits, Listener, Login, SecondResource, Secret, Target, User, certificate,
};

use super::Failure;
use super::args::Choose;

pub fn diagnostics(list: &[Diagnostic]) -> Failure {
    let all: Vec<String> = list.iter().map(ToString::to_string).collect();
    Failure::input(all.join("\n\n"))
}

/// The catalogue, until the program ends: to take it apart would be a tenth of the time of `list`.
///
/// # Errors
/// Every mistake in every scenario file.
pub fn catalogue(extra: Option<&Path>) -> Result<ManuallyDrop<Catalogue>, Failure> {
    Catalogue::load(extra, &flaw_names()).map(ManuallyDrop::new).map_err(|list| diagnostics(&list))
}

pub fn flaw_names() -> BTreeSet<String> {
    Flaw::ALL.iter().map(|f| f.name().to_owned()).collect()
}

/// Those of all scenarios that are chosen, in their order.
///
/// # Errors
/// A pattern that selects nothing, or nothing selected at all.
pub fn selected<'c, S: Choosable + 'c>(
    all: impl Iterator<Item = &'c S> + Clone,
    choose: &Choose,
    profile: Option<Profile>,
) -> Result<Vec<&'c S>, Failure> {
    let selection = Selection {
        include: choose.patterns.iter().chain(&choose.select).cloned().collect(),
        exclude: choose.exclude.clone(),
        min_severity: choose.min_severity.map(Into::into),
        profile,
    };
    selection.check(all.clone()).map_err(|why| {
        let file = choose.patterns.iter().find(|pattern| pattern.ends_with(".yaml") || pattern.ends_with(".yml"));
        let help = file.map(|file| format!("\n  = help: a target file is given as `--target {file}`")).unwrap_or_default();
        Failure::input(format!("error: {why}{help}"))
    })?;
    let mut chosen: Vec<&S> = all.filter(|s| selection.takes(*s)).collect();
    if let Some((shard, of)) = choose.partition()? {
        chosen.retain(|s| is_of(s.head().id, shard, of));
    }
    if chosen.is_empty() {
        return Err(Failure::input(
            "error: nothing is selected: the selection and the profile have no scenario in common\n  = help: see `grantproof list`",
        ));
    }
    Ok(chosen)
}

/// Whether a scenario is of this shard: by its id alone, so that a new scenario moves no other one.
fn is_of(id: &str, shard: u32, of: u32) -> bool {
    let digest = Sha256::digest(id.as_bytes());
    let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    number % of + 1 == shard
}

/// # Errors
/// A flaw that the lab does not have.
pub fn flaws(names: &[String]) -> Result<BTreeSet<Flaw>, Failure> {
    switches(names, Flaw::ALL.iter().map(|flaw| flaw.name()))
}

/// # Errors
/// A habit that the lab does not have.
pub fn habits(names: &[String]) -> Result<BTreeSet<Habit>, Failure> {
    switches(names, Habit::ALL.iter().map(|habit| habit.name()))
}

fn switches<T: FromStr<Err = UnknownSwitch> + Ord>(
    names: &[String],
    known: impl Iterator<Item = &'static str> + Clone,
) -> Result<BTreeSet<T>, Failure> {
    let read = |name: &String| {
        name.parse::<T>().map_err(|UnknownSwitch { what, .. }| {
            let help = crate::diagnostic::suggestion(name, known.clone()).filter(|s| s.starts_with("did you"));
            let help = help.unwrap_or_else(|| format!("see `grantproof lab --list-{what}s`"));
            Failure::input(format!("error: the lab has no {what} `{name}`\n  = help: {help}"))
        })
    };
    names.iter().map(read).collect()
}

/// Starts a lab.
///
/// # Errors
/// The port is taken, or the system gives none.
pub async fn start_lab(config: LabConfig) -> Result<Lab, Failure> {
    let port = config.port;
    crate::lab::start(config).await.map_err(|e| Failure {
        code: crate::report::gate::NOT_TESTED,
        message: format!("fatal: the lab cannot be started on 127.0.0.1:{port}: {e}"),
    })
}

/// Where the embedded lab says that it comes from, in place of a target file.
pub const LAB: &str = "the embedded lab";

/// The name of the embedded lab as a target.
pub fn lab_name(flaws: &BTreeSet<Flaw>, habits: &BTreeSet<Habit>) -> String {
    let names: Vec<&str> = flaws.iter().map(|flaw| flaw.name()).chain(habits.iter().map(|habit| habit.name())).collect();
    if names.is_empty() { "lab".into() } else { format!("lab ({})", names.join(", ")) }
}

/// The embedded lab as a target: what a target file for it would say.
pub fn lab_target(lab: &Lab, flaws: &BTreeSet<Flaw>) -> Target {
    let directory = lab.directory();
    let clients = directory
        .clients
        .iter()
        .filter_map(|client| {
            let role = match client.role {
                "public" => ClientRole::Public,
                "second" => ClientRole::Second,
                "confidential" => ClientRole::Confidential,
                "assertion" => ClientRole::Assertion,
                "mtls" => ClientRole::Mtls,
                "mtls_public" => ClientRole::MtlsPublic,
                _ => return None,
            };
            let authentication = match (&client.secret, &client.private_key_pem) {
                (Some(secret), _) => ClientAuthentication::Basic(Secret::new(secret)),
                (_, Some(pem)) => ClientAuthentication::PrivateKeyJwt { key: Secret::new(pem), kid: None },
                _ if client.auth_method == "tls_client_auth" => ClientAuthentication::Tls(client.auth_method),
                _ => ClientAuthentication::None,
            };
            let other_redirect_uri = Some(client.other_redirect_uri.clone());
            let pair = client.certificate_pem.map(|(chain, key)| certificate::read(&Secret::new(chain), &Secret::new(key)));
            let certificate = pair.and_then(Result::ok);
            let sender_constrained = certificate.is_some();
            let plain = Client::new(&client.id, &client.redirect_uri, authentication);
            Some((role, Client { other_redirect_uri, certificate, sender_constrained, ..plain }))
        })
        .collect();
    let user = |role: &str| {
        let found = directory.users.iter().find(|user| user.role == role);
        found.map(|found| User { totp: found.totp.map(Secret::new), ..User::new(&found.name, Secret::new(&found.password)) })
    };
    let issuer = lab.issuer().to_owned();
    Target {
        name: lab_name(flaws, &BTreeSet::new()),
        source: LAB.into(),
        digest: String::new(),
        origins: [issuer.as_str(), lab.mtls()].into_iter().filter_map(crate::target::origin).collect(),
        issuer,
        place: None,
        metadata: None,
        endpoints: Endpoints::default(),
        scope: "openid profile".into(),
        extra_scope: Some("email".into()),
        resource: Some(directory.resource.clone()),
        second_resource: Some(SecondResource { url: directory.second_resource.clone(), indicator: directory.second_resource.clone() }),
        details: Details::of(directory.authorization_details[0], Some(directory.authorization_details[1])).ok(),
        ciba_approval: Some(directory.approval_page.clone()),
        extras: Extras { initial_access_token: Some(Secret::new(&directory.initial_access_token)), ..Extras::default() },
        // The lab forgives nothing, on purpose: there is no window to wait out.
        refresh_grace: Some(std::time::Duration::ZERO),
        code_grace: Some(std::time::Duration::ZERO),
        code_lifetime: Some(lab.code_lifetime()),
        refresh_lifetime: Some(lab.refresh_token_lifetime()),
        clock_header: lab.clock_header(),
        clients,
        user: user("default").unwrap_or(User::new("", Secret::new(""))),
        other_user: user("second"),
        second_factor: user("second_factor"),
        login: Login::default(),
        permission: None,
        limits: Limits { in_flight: 4, ..Limits::default() },
        ca: Some(directory.authority.as_bytes().to_vec()),
        insecure_tls: false,
        // What the lab fetches, it fetches before it answers: there is nothing to wait for.
        listener: Some(Listener { wait: std::time::Duration::ZERO, ..Listener::on_loopback() }),
        waivers: crate::target::waivers::Waivers::default(),
    }
}
