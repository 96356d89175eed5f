//! `lab`: serves the practice server until it is interrupted.

use std::fmt::Write as _;

use crate::lab::{Flaw, LabConfig};

use super::args::Lab;
use super::{Failure, inputs, print};

/// # Errors
/// An unknown flaw, or a port that is taken.
pub fn lab(arguments: &Lab) -> Result<u8, Failure> {
    if arguments.list_flaws {
        let width = Flaw::ALL.iter().map(|f| f.name().len()).max().unwrap_or(0);
        let mut out = String::new();
        for flaw in Flaw::ALL {
            let _ = writeln!(out, "{:width$}  {}", flaw.name(), flaw.describes());
        }
        print(&out)?;
        return Ok(0);
    }
    let flaws = inputs::flaws(&arguments.flaw)?;
    let config = LabConfig { flaws: flaws.clone(), port: arguments.port, rate_limit: arguments.rate_limit, ..LabConfig::default() };
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
        print(&out)?;
        tokio::signal::ctrl_c().await.map_err(|e| Failure { code: crate::report::gate::INTERNAL, message: e.to_string() })?;
        lab.stop().await;
        Ok(0)
    })
}
