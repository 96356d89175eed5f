//! `lab`: serves the practice server until it is interrupted.

use std::fmt::Write as _;

use crate::lab::{Flaw, Habit, LabConfig};

use super::args::Lab;
use super::{Failure, inputs, print};

/// # Errors
/// An unknown flaw, or a port that is taken.
pub fn lab(arguments: &Lab) -> Result<u8, Failure> {
    let list = |switches: &[(&str, &str)]| {
        let width = switches.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        print(&switches.iter().map(|(name, what)| format!("{name:width$}  {what}\n")).collect::<String>())
    };
    if arguments.list_flaws {
        list(&Flaw::ALL.iter().map(|flaw| (flaw.name(), flaw.describes())).collect::<Vec<_>>())?;
        return Ok(0);
    }
    if arguments.list_habits {
        list(&Habit::ALL.iter().map(|habit| (habit.name(), habit.describes())).collect::<Vec<_>>())?;
        return Ok(0);
    }
    let (flaws, habits) = (inputs::flaws(&arguments.flaw)?, inputs::habits(&arguments.habit)?);
    let config = LabConfig {
        flaws: flaws.clone(),
        habits: habits.clone(),
        port: arguments.port,
        rate_limit: arguments.rate_limit,
        ..LabConfig::default()
    };
    super::server_runtime(0)?.block_on(async {
        let lab = inputs::start_lab(config).await?;
        let mut out = format!("the lab listens on {} (loopback only); Ctrl-C ends it\n", lab.issuer());
        for user in &lab.directory().users {
            let second = user.totp.map_or_else(String::new, |totp| format!(", then a one-time code of the authenticator {totp}"));
            let _ = writeln!(out, "user    {} / {}{second}", user.name, user.password);
        }
        for client in &lab.directory().clients {
            let secret = client.secret.as_ref().map(|s| format!(", secret {s}")).unwrap_or_default();
            let _ = writeln!(out, "client  {} ({}{secret}), redirect_uri {}", client.id, client.auth_method, client.redirect_uri);
        }
        let _ = writeln!(out, "TLS     {} asks for the certificates of clients (mtls_endpoint_aliases)", lab.mtls());
        for flaw in &flaws {
            let _ = writeln!(out, "flaw    {}: {}", flaw.name(), flaw.describes());
        }
        for habit in &habits {
            let _ = writeln!(out, "habit   {}: {}", habit.name(), habit.describes());
        }
        print(&out)?;
        tokio::signal::ctrl_c().await.map_err(|e| Failure { code: crate::report::gate::INTERNAL, message: e.to_string() })?;
        lab.stop().await;
        Ok(0)
    })
}
